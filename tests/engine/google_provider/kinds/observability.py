"""Logs, metrics, alarms and dashboards: Cloud Logging and Cloud Monitoring.

https://cloud.google.com/logging/docs/reference/v2/rest and https://cloud.google.com/monitoring/api/ref_v3/rest.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

from google_provider.kind import Encryption, Facts, Inputs, Kind, Reference, Refusal, between, matching, one_of, seconds
from google_provider.kinds.common import BUCKET, CHANNEL, DATASET, LOG_BUCKET, OWN, PATH, PROVIDER, TOPIC
from google_provider.places import REGIONS

HOUR_SECONDS = 3600
LONGEST_SECONDS = 84_600
"""23.5 hours: how long an alarm's condition may look back at most (.../alert#create-duration)."""

log_name = matching(r"[a-zA-Z0-9_.-]{1,100}", "up to 100 letters, digits, _, . and -")
log_location = one_of("global", "us", "eu", *REGIONS)


def minutes(least: float, most: float) -> Any:
    """A rule: a duration in whole minutes in a range, in seconds."""
    within = seconds(least, most)

    def rule(value: Any) -> str | None:
        if (why := within(value)) is not None:
            return why
        return None if float(value.removesuffix("s")) % 60 == 0 else f"{value!r} is not a number of whole minutes"

    return rule


def user_labels(value: Any) -> str | None:
    """https://cloud.google.com/monitoring/api/ref_v3/rest/v3/projects.alertPolicies#AlertPolicy."""
    wrong = [key for key in value or () if not re.fullmatch(r"[a-z][a-z0-9_-]{0,62}", key)]
    return f"{wrong[0]!r} is not a small letter, then small letters, digits, _ and -" if wrong else None


def writer(facts: Facts) -> str:
    """Who writes for a sink; nobody in particular where it stays in the project's own logs."""
    own = f"logging.googleapis.com/projects/{facts.project}/"
    if str(facts.state.get("destination")).startswith(own):
        return ""
    if facts.state.get("uniqueWriterIdentity") is False:
        return "serviceAccount:cloud-logs@system.gserviceaccount.com"
    return facts.fill("serviceAccount:service-{number}@gcp-sa-logging.iam.gserviceaccount.com")


def whole_alarm(inputs: Inputs) -> Iterator[Refusal]:
    """https://cloud.google.com/monitoring/api/ref_v3/rest/v3/projects.alertPolicies#Condition."""
    conditions = inputs.get("conditions") or []
    if not 1 <= len(conditions) <= 6:
        yield "conditions", f"there are {len(conditions)}, not from 1 to 6"
    for index, condition in enumerate(conditions):
        at = f"conditions[{index}]"
        kinds = [name for name in condition if name.startswith("condition")]
        if len(kinds) != 1:
            yield at, f"exactly one kind of condition is needed, not {', '.join(kinds) or 'none'}"
        for name in ("conditionThreshold", "conditionAbsent"):
            text = (condition.get(name) or {}).get("filter")
            for needed in ("metric.type", "resource.type") if isinstance(text, str) else ():
                if needed not in text:
                    yield f"{at}.{name}.filter", f"must say what {needed} is"
        if condition.get("conditionMatchedLog") and not (inputs.get("alertStrategy") or {}).get(
            "notificationRateLimit"
        ):
            yield "alertStrategy.notificationRateLimit", "is needed where logs are matched"
        threshold = condition.get("conditionThreshold") or {}
        if "conditionThreshold" in condition and threshold.get("comparison") not in ("COMPARISON_GT", "COMPARISON_LT"):
            yield f"{at}.conditionThreshold.comparison", "only COMPARISON_GT and COMPARISON_LT are supported"


def whole_channel(inputs: Inputs) -> Iterator[Refusal]:
    """https://cloud.google.com/monitoring/alerts/using-channels-api#ncd-ex."""
    needed = {"email": "email_address", "pubsub": "topic", "sms": "number", "slack": "channel_name"}
    label = needed.get(str(inputs.get("type")))
    if label and not (inputs.get("labels") or {}).get(label):
        yield f"labels.{label}", f"is missing: a channel of type {inputs['type']} needs it"


def whole_dashboard(inputs: Inputs) -> Iterator[Refusal]:
    """Tiles lie within the columns and do not overlap (.../dashboards/ref#mosaiclayout)."""
    try:
        layout = json.loads(inputs.get("dashboardJson") or "{}").get("mosaicLayout") or {}
    except ValueError:
        return
    taken: dict[tuple[int, int], int] = {}
    columns = layout.get("columns", 0)
    if layout and not 1 <= columns <= 48:
        yield "dashboardJson.mosaicLayout.columns", f"{columns} is not from 1 to 48"
    for index, tile in enumerate(layout.get("tiles", ())):
        at = f"dashboardJson.mosaicLayout.tiles[{index}]"
        left, top = tile.get("xPos", 0), tile.get("yPos", 0)
        if left + tile.get("width", 0) > columns:
            yield f"{at}.width", f"the tile reaches beyond the {columns} columns"
        cells = {(left + x, top + y) for x in range(tile.get("width", 0)) for y in range(tile.get("height", 0))}
        overlapped = {taken[cell] for cell in cells if cell in taken}
        if overlapped:
            yield at, f"it overlaps tile {min(overlapped)}"
        taken.update(dict.fromkeys(cells, index))


KINDS = (
    Kind(
        LOG_BUCKET,
        "logging.v2/LogBucket",
        "projects/{project}/locations/{location}/buckets/{bucketId}",
        renames={"enableAnalytics": "analyticsEnabled"},
        own=OWN | {"bucketId": PATH, "location": PATH},
        rules={"bucketId": log_name, "location": log_location, "retentionDays": between(1, 3650)},
        replaces=frozenset({"bucketId", "location", "project"}),
        defaults={"retentionDays": 30},
        computed={
            "name": "projects/{project}/locations/{location}/buckets/{bucketId}",
            "lifecycleState": "ACTIVE",
            "description": "",
        },
        named="",
        known_as=("logging.googleapis.com/projects/{project}/locations/{location}/buckets/{bucketId}",),
        encryption=Encryption("cmekSettings.kmsKeyName", "cmek-p{number}@gcp-sa-logging.iam.gserviceaccount.com"),
        remains="Cloud Logging keeps its name for 7 days",
    ),
    Kind(
        "gcp:logging/projectSink:ProjectSink",
        "logging.v2/LogSink",
        "projects/{project}/sinks/{name}",
        own=OWN | {
            "customWriterIdentity": "a parameter of the request",
            "uniqueWriterIdentity": "a parameter of the request",
        },
        rules={
            "name": log_name,
            "destination": matching(
                r"storage\.googleapis\.com/[a-z0-9_.-]+|bigquery\.googleapis\.com/projects/[^/]+/datasets/\w+"
                r"|pubsub\.googleapis\.com/projects/[^/]+/topics/[^/]+|logging\.googleapis\.com/projects/[^/]+"
                r"(/locations/[^/]+/buckets/[^/]+)?",
                "a destination such as logging.googleapis.com/projects/PROJECT/locations/PLACE/buckets/BUCKET",
            ),
        },
        replaces=frozenset({"name", "project", "uniqueWriterIdentity"}),
        defaults={"uniqueWriterIdentity": True, "disabled": False},
        computed={"writerIdentity": writer},
        references={
            "destination": Reference((BUCKET, DATASET, TOPIC, LOG_BUCKET), outsiders=r".*/(_Default|_Required)")
        },
        brings="service-{number}@gcp-sa-logging.iam.gserviceaccount.com",
    ),
    Kind(
        "gcp:logging/projectExclusion:ProjectExclusion",
        "logging.v2/LogExclusion",
        "projects/{project}/exclusions/{name}",
        own=OWN,
        rules={"name": log_name},
        replaces=frozenset({"name", "project"}),
        defaults={"disabled": False},
    ),
    Kind(
        "gcp:logging/metric:Metric",
        "logging.v2/LogMetric",
        "{name}",
        own=OWN,
        rules={
            "name": matching(r"[A-Za-z0-9][A-Za-z0-9_.,+!*',()%/-]{0,99}", "up to 100 characters of a metric's name"),
        },
        replaces=frozenset({"name", "project"}),
        computed={
            "metricDescriptor": lambda facts: {"metricKind": "DELTA", "valueType": "INT64", "unit": "1"},
        },
    ),
    Kind(
        "gcp:logging/logView:LogView",
        "logging.v2/LogView",
        "{bucket}/views/{name}",
        own=OWN | {"bucket": PATH, "location": PATH, "parent": PATH},
        rules={"name": log_name},
        replaces=frozenset({"bucket", "location", "name", "parent"}),
        computed={
            "createTime": "{now}", "updateTime": "{now}", "parent": "projects/{project}",
            "location": lambda facts: facts.state["bucket"].split("/")[3],
        },
        references={"bucket": Reference((LOG_BUCKET,))},
    ),
    Kind(
        "gcp:logging/linkedDataset:LinkedDataset",
        "logging.v2/Link",
        "{bucket}/links/{linkId}",
        own=OWN | {"bucket": PATH, "linkId": PATH, "location": PATH, "parent": PATH},
        rules={"linkId": matching(r"[A-Za-z0-9_]{1,100}", "up to 100 letters, digits and _")},
        replaces=frozenset({"bucket", "description", "linkId", "location", "parent"}),
        computed={
            "createTime": "{now}", "lifecycleState": "ACTIVE", "name": "{bucket}/links/{linkId}",
            "parent": "projects/{project}", "location": lambda facts: facts.state["bucket"].split("/")[3],
            "bigqueryDatasets": lambda facts: [
                {"datasetId": facts.fill("bigquery.googleapis.com/projects/{project}/datasets/{linkId}")}
            ],
        },
        named="",
        references={"bucket": Reference((LOG_BUCKET,), holds=True)},
    ),
    Kind(
        "gcp:monitoring/alertPolicy:AlertPolicy",
        "monitoring.v3/AlertPolicy",
        "projects/{project}/alertPolicies/{unique}",
        own=OWN,
        rules={
            "userLabels": user_labels,
            "displayName": matching(r"(?s).{1,512}", "up to 512 characters"),
            "documentation.content": matching(r"(?s).{0,8192}", "up to 8192 characters"),
            "documentation.mimeType": one_of("text/markdown"),
            "alertStrategy.autoClose": seconds(HOUR_SECONDS / 2, 7 * 24 * HOUR_SECONDS),
            "conditions.conditionThreshold.duration": minutes(0, LONGEST_SECONDS),
            "conditions.conditionAbsent.duration": minutes(120, LONGEST_SECONDS),
            "conditions.conditionThreshold.aggregations.alignmentPeriod": minutes(60, 25 * HOUR_SECONDS),
            "conditions.conditionAbsent.aggregations.alignmentPeriod": minutes(60, 25 * HOUR_SECONDS),
            "conditions.conditionPrometheusQueryLanguage.duration": minutes(0, LONGEST_SECONDS),
            "conditions.conditionPrometheusQueryLanguage.evaluationInterval": seconds(30, HOUR_SECONDS),
        },
        whole=whole_alarm,
        replaces=frozenset({"project"}),
        defaults={"enabled": True},
        computed={
            "name": "projects/{project}/alertPolicies/{unique}",
            "creationRecords": lambda facts: [{"mutateTime": facts.now, "mutatedBy": "test@example.com"}],
        },
        named="",
        references={"notificationChannels": Reference((CHANNEL,), holds=True)},
    ),
    Kind(
        CHANNEL,
        "monitoring.v3/NotificationChannel",
        "projects/{project}/notificationChannels/{unique}",
        own=OWN | {"forceDelete": PROVIDER, "sensitiveLabels": "the provider puts them into labels"},
        rules={
            "userLabels": user_labels,
            "labels.email_address": matching(r"[^@\s]+@[^@\s]+\.[^@\s.]+", "an e-mail address"),
            "type": one_of("email", "sms", "pubsub", "slack", "pagerduty", "webhook_basicauth", "webhook_tokenauth",
                           "mobile_app", "google_chat", "servicenow"),
        },
        whole=whole_channel,
        replaces=frozenset({"project", "type"}),
        defaults={"enabled": True, "forceDelete": False},
        computed={"name": "projects/{project}/notificationChannels/{unique}", "verificationStatus": ""},
        named="",
    ),
    Kind(
        "gcp:monitoring/metricDescriptor:MetricDescriptor",
        "monitoring.v3/MetricDescriptor",
        "projects/{project}/metricDescriptors/{type}",
        own=OWN,
        rules={"type": matching(r"(custom|external|workload|prometheus)\.googleapis\.com/[\w./-]+", "a metric's type")},
        replaces=frozenset({"labels", "launchStage", "metadata", "metricKind", "project", "type", "unit", "valueType"}),
        computed={
            "name": "projects/{project}/metricDescriptors/{type}", "monitoredResourceTypes": lambda facts: [],
        },
        named="",
    ),
    Kind(
        "gcp:monitoring/dashboard:Dashboard",
        "monitoring.v1/Dashboard",
        "projects/{number}/dashboards/{unique}",
        own=OWN | {"dashboardJson": "the whole dashboard, which is checked by the API's schema"},
        documents={"dashboardJson": "monitoring.v1/Dashboard"},
        whole=whole_dashboard,
        replaces=frozenset({"project"}),
        named="",
    ),
)  # fmt: skip
