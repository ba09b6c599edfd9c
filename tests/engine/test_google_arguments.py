"""What the provider of Google Cloud for tests refuses, by the SDK's types and Google's descriptions of its APIs.

This shows that a program with such an argument is stopped at preview, with the path of what is wrong. It does not show
that Google takes all that is let through: quotas, rights, and rules that stand in no description are Google's to tell.
"""

import dataclasses
import json

import pytest
from google_provider import checks, descriptions, matching, report, sdk
from google_provider.kind import values_at
from google_provider.kinds import KINDS
from google_provider.wire import UNKNOWN

KEY = "projects/p/locations/us-central1/keyRings/r/cryptoKeys/k"
DISK = {"boot": True, "sourceImage": "projects/debian-cloud/global/images/family/debian-12"}
THRESHOLD = {
    "filter": 'metric.type="custom.googleapis.com/x" AND resource.type="generic_task"',
    "comparison": "COMPARISON_GT",
    "duration": "300s",
    "aggregations": [{"alignmentPeriod": "60s", "perSeriesAligner": "ALIGN_MEAN"}],
}
SPOT = {"provisioningModel": "SPOT", "preemptible": True, "automaticRestart": False, "onHostMaintenance": "TERMINATE"}
TILE = {"width": 12, "height": 4, "widget": {"title": "t", "xyChart": {"dataSets": [{"plotType": "LINE"}]}}}

GOOD = {
    "compute/network:Network": {"name": "net", "autoCreateSubnetworks": False, "routingMode": "REGIONAL", "mtu": 1460},
    "compute/subnetwork:Subnetwork": {
        "name": "sub", "network": "net", "region": "us-central1", "ipCidrRange": "10.0.0.0/20",
        "logConfig": {"aggregationInterval": "INTERVAL_5_SEC", "flowSampling": 0.5, "metadata": "INCLUDE_ALL_METADATA"},
    },
    "compute/firewall:Firewall": {
        "name": "ssh", "network": "net", "sourceRanges": ["35.235.240.0/20"],
        "allows": [{"protocol": "tcp", "ports": ["22", "8000-8100"]}],
    },
    "compute/routerNat:RouterNat": {
        "name": "nat", "router": "router", "sourceSubnetworkIpRangesToNat": "ALL_SUBNETWORKS_ALL_IP_RANGES",
        "logConfig": {"enable": True, "filter": "ERRORS_ONLY"},
    },
    "compute/healthCheck:HealthCheck": {"name": "alive", "tcpHealthCheck": {"port": 22}, "checkIntervalSec": 30},
    "compute/instanceTemplate:InstanceTemplate": {
        "name": "nodes", "machineType": "g2-standard-4", "disks": [DISK], "scheduling": SPOT,
        "networkInterfaces": [{"subnetwork": "sub"}],
    },
    "compute/regionInstanceGroupManager:RegionInstanceGroupManager": {
        "name": "nodes", "baseInstanceName": "node", "region": "us-central1", "versions": [{"instanceTemplate": "t"}],
        "updatePolicy": {"type": "PROACTIVE", "minimalAction": "REPLACE", "maxSurgeFixed": 0, "maxUnavailableFixed": 4},
    },
    "kms/keyRing:KeyRing": {"name": "ring", "location": "us-central1"},
    "kms/cryptoKey:CryptoKey": {"name": "key", "keyRing": "ring", "rotationPeriod": "7776000s"},
    "kms/cryptoKeyIAMMember:CryptoKeyIAMMember": {
        "cryptoKeyId": KEY, "role": "roles/cloudkms.cryptoKeyEncrypterDecrypter", "member": "serviceAccount:a@b.com",
    },
    "storage/bucket:Bucket": {
        "name": "a-bucket", "location": "US-CENTRAL1", "publicAccessPrevention": "enforced",
        "softDeletePolicy": {"retentionDurationSeconds": 604800}, "encryption": {"defaultKmsKeyName": KEY},
        "lifecycleRules": [{"action": {"type": "Delete"}, "condition": {"numNewerVersions": 3, "withState": "ANY"}}],
    },
    "serviceaccount/account:Account": {"accountId": "slipway-nodes", "displayName": "nodes"},
    "projects/iAMCustomRole:IAMCustomRole": {
        "roleId": "slipway_write", "title": "Writes", "permissions": ["storage.objects.create"],
    },
    "logging/projectBucketConfig:ProjectBucketConfig": {
        "project": "p", "location": "us-central1", "bucketId": "logs", "retentionDays": 30,
        "cmekSettings": {"kmsKeyName": KEY},
    },
    "logging/projectSink:ProjectSink": {
        "name": "sink", "destination": "logging.googleapis.com/projects/p/locations/us-central1/buckets/logs",
    },
    "monitoring/alertPolicy:AlertPolicy": {
        "displayName": "idle", "combiner": "OR", "severity": "WARNING",
        "conditions": [{"displayName": "idle", "conditionThreshold": THRESHOLD}],
    },
    "monitoring/notificationChannel:NotificationChannel": {"type": "email", "labels": {"email_address": "a@b.com"}},
    "monitoring/dashboard:Dashboard": {
        "dashboardJson": json.dumps({"displayName": "d", "mosaicLayout": {"columns": 48, "tiles": [TILE]}}),
    },
    "bigquery/dataset:Dataset": {"datasetId": "runs", "location": "US"},
    "bigquery/table:Table": {
        "datasetId": "runs", "tableId": "metrics", "schema": json.dumps([{"name": "step", "type": "INTEGER"}]),
    },
    "pubsub/topic:Topic": {"name": "budget", "messageRetentionDuration": "86400s"},
    "billing/budget:Budget": {
        "billingAccount": "012345-6789AB-CDEF01", "displayName": "budget",
        "amount": {"specifiedAmount": {"currencyCode": "USD", "units": "100"}},
        "thresholdRules": [{"thresholdPercent": 0.9, "spendBasis": "FORECASTED_SPEND"}],
    },
    "dns/recordSet:RecordSet": {
        "managedZone": "zone", "name": "*.googleapis.com.", "type": "CNAME", "ttl": 300, "rrdatas": ["a.b."],
    },
}  # fmt: skip
"""Properties that are in order; the wrong ones below change one thing of them."""

WRONG = [
    # a name that there is not
    ("compute/network:Network", "autoCreateSubnets", True, "did you mean autoCreateSubnetworks"),
    ("storage/bucket:Bucket", "encryption.defaultKmsKey", KEY, "did you mean"),
    ("compute/firewall:Firewall", "allows[0].port", ["22"], "did you mean ports?"),
    ("compute/subnetwork:Subnetwork", "logConfig.flow_samplign", 1, "did you mean flowSampli"),
    # a wrong type
    ("compute/network:Network", "mtu", "large", "is no integer"),
    ("compute/network:Network", "autoCreateSubnetworks", "no", "is no boolean"),
    ("storage/bucket:Bucket", "lifecycleRules", {"action": {"type": "Delete"}}, "is no list"),
    ("compute/firewall:Firewall", "allows[0].ports", [22], "22 is no string", "allows[0].ports[0]"),
    ("logging/projectBucketConfig:ProjectBucketConfig", "cmekSettings", KEY, "is no object"),
    # what must be given
    ("compute/subnetwork:Subnetwork", "network", None, "is missing"),
    ("compute/instanceTemplate:InstanceTemplate", "machineType", None, "is missing"),
    ("monitoring/alertPolicy:AlertPolicy", "conditions[0].displayName", None, "is missing"),
    ("storage/bucket:Bucket", "location", None, "is missing"),
    # no value of an enumeration
    ("compute/network:Network", "routingMode", "LOCAL", "none of GLOBAL, REGIONAL"),
    ("compute/subnetwork:Subnetwork", "logConfig.metadata", "ALL", "INCLUDE_ALL_METADATA"),
    ("compute/firewall:Firewall", "direction", "IN", "none of EGRESS, INGRESS"),
    ("compute/routerNat:RouterNat", "logConfig.filter", "ERRORS", "ERRORS_ONLY"),
    ("compute/instanceTemplate:InstanceTemplate", "scheduling.provisioningModel", "SPOTT", "SPOT"),
    ("compute/regionInstanceGroupManager:RegionInstanceGroupManager", "updatePolicy.minimalAction",
     "REBUILD", "REPLACE"),
    ("kms/cryptoKey:CryptoKey", "purpose", "ENCRYPT", "ENCRYPT_DECRYPT"),
    ("kms/cryptoKey:CryptoKey", "versionTemplate",
     {"algorithm": "AES"}, "GOOGLE_SYMMETRIC", "versionTemplate.algorithm"),
    ("storage/bucket:Bucket", "publicAccessPrevention", "yes", "inherited, enforced"),
    ("storage/bucket:Bucket", "lifecycleRules[0].action.type", "Remove", "Delete"),
    ("projects/iAMCustomRole:IAMCustomRole", "stage", "DONE", "none of ALPHA"),
    ("monitoring/alertPolicy:AlertPolicy", "combiner", "ANY", "AND"),
    ("monitoring/alertPolicy:AlertPolicy", "conditions[0].conditionThreshold.aggregations[0].perSeriesAligner",
     "MEAN", "ALIGN_MEAN"),
    ("billing/budget:Budget", "thresholdRules[0].spendBasis", "FORECAST", "CURRENT_SPEND"),
    ("dns/recordSet:RecordSet", "type", "C", "CNAME"),
    # a bad name
    ("compute/network:Network", "name", "Net", "does not match [a-z]"),
    ("compute/firewall:Firewall", "name", "ssh-", "does not match"),
    ("storage/bucket:Bucket", "name", "A_Bucket", "small letters"),
    ("storage/bucket:Bucket", "name", "my-google-bucket", "keeps for itself"),
    ("serviceaccount/account:Account", "accountId", "nodes", "6 to 30"),
    ("projects/iAMCustomRole:IAMCustomRole", "roleId", "slipway-write", "letters, digits, _ and ."),
    ("kms/keyRing:KeyRing", "name", "a.ring", "letters, digits, _ and -"),
    ("bigquery/dataset:Dataset", "datasetId", "my-runs", "letters, digits and _"),
    ("pubsub/topic:Topic", "name", "google-topic", "begin with a letter"),
    # a bad format or size
    ("compute/subnetwork:Subnetwork", "ipCidrRange", "10.0.0.1/20", "host bits"),
    ("compute/subnetwork:Subnetwork", "region", "us-central9", "us-central1"),
    ("compute/firewall:Firewall", "priority", 70000, "from 0 to 65535"),
    ("kms/cryptoKey:CryptoKey", "rotationPeriod", "90d", "no duration"),
    ("kms/cryptoKey:CryptoKey", "rotationPeriod", "3600s", "from 86400s"),
    ("kms/cryptoKey:CryptoKey", "labels", {"Stack": "dev"}, "'Stack'"),
    ("storage/bucket:Bucket", "softDeletePolicy.retentionDurationSeconds", 3600, "from 604800"),
    ("logging/projectBucketConfig:ProjectBucketConfig", "retentionDays", 4000, "from 1 to 3650"),
    ("logging/projectSink:ProjectSink", "destination", "gs://bucket", "logging.googleapis.com/"),
    ("pubsub/topic:Topic", "messageRetentionDuration", "1 day", "no duration"),
    ("monitoring/alertPolicy:AlertPolicy", "conditions[0].conditionThreshold.duration", "90s", "whole minutes"),
    ("monitoring/notificationChannel:NotificationChannel", "labels.email_address", "me", "e-mail"),
    ("kms/cryptoKeyIAMMember:CryptoKeyIAMMember", "member", "a@b.com", "a principal"),
    ("kms/cryptoKeyIAMMember:CryptoKeyIAMMember", "role", "cloudkms.admin", "a role"),
    ("billing/budget:Budget", "billingAccount", "abc", "billing account"),
    ("dns/recordSet:RecordSet", "name", "a.googleapis.com", "ends with a dot"),
    # what does not go together
    ("compute/firewall:Firewall", "denies", [{"protocol": "all"}], "cannot be given with allows"),
    ("compute/firewall:Firewall", "sourceRanges", None, "ingress needs one of"),
    ("compute/healthCheck:HealthCheck", "tcpHealthCheck", None, "is needed", "httpHealthCheck"),
    ("compute/healthCheck:HealthCheck", "timeoutSec", 60, "longer than checkIntervalSec"),
    ("compute/instanceTemplate:InstanceTemplate", "scheduling.automaticRestart", True, "must be false"),
    ("compute/instanceTemplate:InstanceTemplate", "scheduling",
     {"onHostMaintenance": "MIGRATE"}, "TERMINATE", "scheduling.onHostMaintenance"),
    ("compute/regionInstanceGroupManager:RegionInstanceGroupManager", "updatePolicy.maxUnavailableFixed",
     1, "neither 0 nor at least 3"),
    ("monitoring/alertPolicy:AlertPolicy", "conditions[0].conditionThreshold.filter",
     'metric.type="x"', "resource.type"),
    ("monitoring/notificationChannel:NotificationChannel", "labels", {}, "is missing", "labels.email_address"),
    ("billing/budget:Budget", "amount", {}, "exactly one"),
    # JSON in a string
    ("monitoring/dashboard:Dashboard", "dashboardJson", "{", "no JSON"),
    ("monitoring/dashboard:Dashboard", "dashboardJson", '{"titel": "d"}', "no such field", "dashboardJson.titel"),
    ("monitoring/dashboard:Dashboard", "dashboardJson",
     json.dumps({"gridLayout": {"widgets": [{"xyChart": {"dataSets": [{"plotType": "L"}]}}]}}),
     "LINE", "dashboardJson.gridLayout.widgets[0].xyChart.dataSets[0].plotType"),
    ("monitoring/dashboard:Dashboard", "dashboardJson",
     json.dumps({"mosaicLayout": {"columns": 48, "tiles": [TILE, TILE]}}),
     "overlaps tile 0", "dashboardJson.mosaicLayout.tiles[1]"),
    ("bigquery/table:Table", "schema", '[{"nam": "a"}]', "no such field", "schema[0].nam"),
]  # fmt: skip
"""Kind, path of what is changed, value (None: taken out), part of the reason, and where it is refused if elsewhere."""


def changed(good, path, value):
    """A copy with one value changed, or taken out if it is None."""
    inputs = json.loads(json.dumps(good))
    at = inputs
    steps = [int(step) if step.isdigit() else step for step in path.replace("[", ".").replace("]", "").split(".")]
    for step, following in zip(steps, [*steps[1:], None], strict=True):
        if following is None:
            at[step] = value
        elif isinstance(at, dict):
            at = at.setdefault(step, {})
        else:
            at = at[step]
    return inputs


def refusals(kind, inputs):
    token = f"gcp:{kind}"
    return checks.refusals(token, KINDS[token], inputs)


@pytest.mark.parametrize("kind", GOOD)
def test_what_is_in_order_passes(kind):
    assert refusals(kind, GOOD[kind]) == []


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: f"{wrong[0].rpartition(':')[2]}.{wrong[1]}")
def test_a_wrong_argument_is_refused_by_its_path(wrong):
    kind, path, value, why, *elsewhere = wrong
    found = refusals(kind, changed(GOOD[kind], path, value))
    assert [each for each, _ in found] == (elsewhere or [path])
    assert why in found[0][1]


def test_all_that_is_wrong_is_said_at_once():
    inputs = {"nam": "x", "autoCreateSubnetworks": "no", "routingMode": "LOCAL"}
    assert [path for path, _ in refusals("compute/network:Network", inputs)] == [*inputs]


def test_unknown_values_are_not_refused():
    network = dict.fromkeys(sdk.resource("gcp:compute/network:Network").inputs, UNKNOWN)
    assert refusals("compute/network:Network", network) == []
    firewall = {**GOOD["compute/firewall:Firewall"], "network": UNKNOWN, "sourceRanges": UNKNOWN}
    assert refusals("compute/firewall:Firewall", firewall) == []
    assert (
        refusals("compute/firewall:Firewall", {**firewall, "allows": [{"protocol": UNKNOWN, "ports": [UNKNOWN]}]}) == []
    )
    wrong = {**GOOD["compute/firewall:Firewall"], "network": UNKNOWN, "sourceRanges": None}
    assert [path for path, _ in refusals("compute/firewall:Firewall", wrong)] == ["sourceRanges"]


def test_a_resource_that_the_sdk_does_not_have():
    with pytest.raises(sdk.UnknownToken, match="metwork"):
        checks.refusals("gcp:compute/metwork:Network", None, {})


# ---- the tables ------------------------------------------------------------------
def field(token, path):
    """The SDK's field at a path."""
    fields = sdk.resource(token).inputs
    for step in path.split("."):
        found = fields[step]
        inner = found.type
        while inner.element:
            inner = inner.element
        fields = inner.fields
    return found


EVERY_KIND = pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.token)


@EVERY_KIND
def test_every_property_has_its_field_in_the_api_or_a_reason(kind):
    assert matching.unmatched(kind) == ()
    without_reasons = {match.path: match.schema for match in matching.matches(dataclasses.replace(kind, own={}))}
    needless = {path for path in kind.own if without_reasons.get(path) is not None}
    assert needless <= {"routingPolicy"}  # the fields of a record set's are many, and of no use here


def test_the_report_has_every_kind():
    told = list(report.lines())
    assert len(told) == len(KINDS) + 2
    assert "NOT MATCHED" not in "".join(told)
    (key,) = (line for line in told if "kms/cryptoKey:CryptoKey |" in line)
    assert "| cloudkms.v1/CryptoKey | keyRing: part of the path" in key


@EVERY_KIND
def test_tables_name_properties_that_there_are(kind):
    paths = {match.path for match in matching.matches(kind)}
    outputs = set(sdk.resource(kind.token).outputs)
    for table in (kind.renames, kind.rules, kind.documents, kind.references):
        assert set(table) <= paths | {"labels.email_address"}
    assert set(kind.own) <= paths | {"deletionPolicy", "project"}
    assert {*kind.defaults, *kind.guards, *(kind.replaces - {"*"})} <= paths
    assert set(kind.computed) <= paths | outputs
    assert {name for group in (*kind.one_of, *kind.at_most_one_of) for name in group} <= paths


@EVERY_KIND
def test_the_sdk_and_the_api_name_the_same_values(kind):
    """A property that was matched with another field would hardly have the same enumeration."""
    for match in matching.matches(kind):
        schema = match.schema
        while schema is not None and schema.kind == "list":
            schema = schema.element
        named = field(kind.token, match.path).values
        if schema is not None and schema.values and named:
            assert named <= schema.values, match.path


NOT_MADE = {
    "bigquery/table:Table": {"expirationTime", "generatedSchemaColumns", "location", "maxStaleness"},
    "compute/firewall:Firewall": {"enableLogging"},
    "compute/instanceTemplate:InstanceTemplate": {
        "confidentialInstanceConfig", "region", "scheduling", "shieldedInstanceConfig",
    },
    "compute/regionInstanceTemplate:RegionInstanceTemplate": {
        "confidentialInstanceConfig", "scheduling", "shieldedInstanceConfig",
    },
    "compute/regionInstanceGroupManager:RegionInstanceGroupManager": {"targetSizePolicies"},
    "compute/route:Route": {
        "asPaths", "nextHopHub", "nextHopInterRegionCost", "nextHopMed", "nextHopOrigin", "nextHopPeering",
        "routeStatus", "routeType", "warnings",
    },
    "compute/subnetwork:Subnetwork": {"ipCidrRange", "ipv6GceEndpoint", "state"},
    "dns/managedZone:ManagedZone": {"cloudLoggingConfig", "dnssecConfig"},
    "dns/policy:Policy": {"dns64Config"},
    "kms/cryptoKey:CryptoKey": {"cryptoKeyBackend", "keyAccessJustificationsPolicy"},
    "logging/projectSink:ProjectSink": {"bigqueryOptions"},
    "pubsub/topic:Topic": {"messageStoragePolicy"},
    "storage/bucket:Bucket": {"website"},
    "storage/bucketObject:BucketObject": {"content", "crc32c", "generation", "md5hash", "md5hexhash"},
}  # fmt: skip
"""Outputs that Google always gives, and no table here if nothing was set: they are absent. Those of objects a server
tells."""


def test_which_outputs_are_not_made():
    missing = {}
    for kind in KINDS.values():
        found = sdk.resource(kind.token)
        given = {name for name, each in found.inputs.items() if each.required}
        known = {"pulumiLabels", "effectiveLabels", "deletionPolicy", "project", kind.named}
        left = found.always - given - set(kind.computed) - set(kind.defaults) - known
        if left:
            missing[kind.token.removeprefix("gcp:")] = left
    assert missing == NOT_MADE


# ---- the parts -------------------------------------------------------------------
@pytest.mark.parametrize(
    ("said", "value", "why"),
    [
        ({"type": "integer", "format": "int32"}, 2**31, "is not within"),
        ({"type": "integer", "format": "int32"}, 1.5, "is no integer"),
        ({"type": "string", "format": "uint64"}, "-1", "is not within"),
        ({"type": "string", "format": "uint64"}, "1", None),
        ({"type": "string", "format": "google-datetime"}, "2026-01-31", "is no time"),
        ({"type": "string", "format": "google-datetime"}, "2026-01-31T12:00:00Z", None),
        ({"type": "string", "format": "google-duration"}, "1.5s", None),
        ({"type": "string", "format": "date"}, "31.1.2026", "is no date"),
        ({"type": "string", "format": "byte"}, "a", "is not base64"),
        ({"type": "string", "pattern": "[a-z]+"}, "a1", "does not match"),
        ({"type": "integer", "minimum": "1", "maximum": "3"}, 0, "beyond the minimum"),
        ({"type": "integer", "minimum": "1", "maximum": "3"}, 4, "beyond the maximum"),
        ({"type": "string", "enum": ["A", "B"]}, "C", "is none of A, B"),
        ({"type": "string"}, "anything", None),
    ],
)
def test_what_descriptions_say_of_a_value(said, value, why):
    found = descriptions.Schema("compute.v1", said).refusal(value)
    assert found is None if why is None else why in found


def test_documents_are_checked_to_their_depths():
    dashboard = descriptions.find("monitoring.v1/Dashboard")
    document = {
        "displayName": 1,
        "gridLayout": {"columns": "2", "widgets": [{"text": {"format": "RTF"}}, {"txt": {}}, 3]},
        "labels": {"a": 1},
        "rowLayout": [],
    }
    assert [path for path, _ in descriptions.refusals(dashboard, document)] == [
        "displayName",
        "gridLayout.widgets[0].text.format",
        "gridLayout.widgets[1].txt",
        "gridLayout.widgets[2]",
        "labels.a",
        "rowLayout",
    ]


def test_values_at_a_path():
    inputs = {"disks": [{"boot": True}, {"size": 1}, {"boot": False}], "labels": {"a": "b"}}
    assert list(values_at(inputs, "disks.boot")) == [("disks[0].boot", True), ("disks[2].boot", False)]
    assert list(values_at(inputs, "labels")) == [("labels", {"a": "b"})]
    assert list(values_at(inputs, "none.there")) == []
