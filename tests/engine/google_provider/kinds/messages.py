"""Topics: Pub/Sub (https://cloud.google.com/pubsub/docs/reference/rest)."""

from google_provider.kind import Encryption, Kind, Reference, between, labels, matching
from google_provider.kinds.common import OWN, TOPIC

name = matching(r"(?!goog)[A-Za-z][A-Za-z0-9._~%+-]{2,254}", "3 to 255 characters that begin with a letter")

KINDS = (
    Kind(
        TOPIC,
        "pubsub.v1/Topic",
        "projects/{project}/topics/{name}",
        own=OWN,
        rules={"name": name, "labels": labels},
        replaces=frozenset({"name", "project"}),
        known_as=("pubsub.googleapis.com/projects/{project}/topics/{name}",),
        encryption=Encryption("kmsKeyName", "service-{number}@gcp-sa-pubsub.iam.gserviceaccount.com", location=""),
    ),
    Kind(
        "gcp:pubsub/subscription:Subscription",
        "pubsub.v1/Subscription",
        "projects/{project}/subscriptions/{name}",
        own=OWN | {"cloudStorageConfig.textConfig.state": "an output"},
        rules={"name": name, "labels": labels, "ackDeadlineSeconds": between(10, 600)},
        replaces=frozenset({"enableMessageOrdering", "filter", "name", "project", "topic"}),
        defaults={"messageRetentionDuration": "604800s"},
        computed={"ackDeadlineSeconds": lambda facts: 10, "expirationPolicy": lambda facts: {"ttl": "2678400s"}},
        references={"topic": Reference((TOPIC,))},
    ),
)
