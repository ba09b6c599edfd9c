from infra.lifecycle import RULES, Lifecycle
from infra.operations import remains, removal

URN = "urn:pulumi:dev::slipway::{}::{}"


def resource(kind, name, **more):
    return {"urn": URN.format(kind, name), "type": kind, "custom": True, "id": f"{name}-id", **more}


STATE = [
    {"urn": URN.format(remains.STACK, "slipway-dev"), "type": remains.STACK, "custom": False},
    {"urn": URN.format("slipway:aws:Key", "keys"), "type": "slipway:aws:Key", "custom": False},
    resource("pulumi:providers:aws", "aws"),
    resource("aws:s3/bucket:Bucket", "artifacts", protect=True),
    resource("aws:kms/key:Key", "key"),
    resource("aws:cloudwatch/logGroup:LogGroup", "logs", retainOnDelete=True),
    resource("aws:iam/role:Role", "found", external=True),
]


def test_only_what_lies_in_a_cloud_counts():
    assert [each.name for each in remains.real(STATE)] == ["artifacts", "key", "logs"]
    assert [each.protected for each in remains.real(STATE)] == [True, False, False]


def test_what_stays_has_a_reason():
    found = remains.foresee(STATE, RULES[Lifecycle.CLEANUP])
    assert [each.name for each in found.goes] == ["artifacts"]
    reasons = {each.name: reason for each, reason in found.stays}
    assert "7 days" in reasons["key"]
    assert reasons["logs"] == remains.KEPT


def test_keys_of_google_cloud_never_go():
    state = [resource("gcp:kms/keyRing:KeyRing", "ring"), resource("gcp:kms/cryptoKey:CryptoKey", "key")]
    found = remains.foresee(state, RULES[Lifecycle.KEEP])
    assert not found.goes
    assert "30 days" in found.stays[1][1]


def test_what_stands_against_a_removal_is_named():
    free = resource("gcp:storage/bucket:Bucket", "free", inputs={"forceDestroy": True})
    held = resource("gcp:storage/bucket:Bucket", "held", inputs={"forceDestroy": False})
    table = resource("gcp:bigquery/table:Table", "table", inputs={"deletionProtection": True})
    key = resource("aws:kms/key:Key", "key", protect=True)
    found = removal.standing_against([*STATE[:3], free, held, table, key, resource("a:b/c:C", "plain")])
    assert [urn.rsplit("::", 1)[-1] for urn in found] == ["held", "table", "key"]
    assert removal.standing_against([*STATE[:3], free]) == []
