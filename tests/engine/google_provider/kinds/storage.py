"""Buckets and objects: Cloud Storage (https://cloud.google.com/storage/docs/json_api/v1)."""

from collections.abc import Iterator

from google_provider.kind import Encryption, Inputs, Kind, Reference, Refusal, between, labels, matching, one_of
from google_provider.kinds.common import API, BUCKET, OBJECT, OWN, PROVIDER
from google_provider.places import REGIONS

DAY_SECONDS = 86_400
CLASSES = ("STANDARD", "MULTI_REGIONAL", "REGIONAL", "NEARLINE", "COLDLINE", "ARCHIVE", "DURABLE_REDUCED_AVAILABILITY")
PLACES = frozenset({"ASIA", "ASIA1", "EU", "EUR4", "EUR5", "EUR7", "EUR8", "NAM4", "US", *map(str.upper, REGIONS)})

storage_class = one_of(*CLASSES)


def location(value: object) -> str | None:
    """https://cloud.google.com/storage/docs/locations."""
    return None if str(value).upper() in PLACES else f"{value!r} is no region, nor one of EU, US, ASIA"


def bucket_name(value: object) -> str | None:
    """https://cloud.google.com/storage/docs/buckets#naming."""
    fits = matching(r"[a-z0-9][a-z0-9_.-]{1,61}[a-z0-9]", "3 to 63 small letters, digits, ., _ and -")
    reserved = str(value).startswith("goog") or "google" in str(value)
    return fits(value) or (f"{value!r} has a part that Google keeps for itself" if reserved else None)


def soft_delete(value: object) -> str | None:
    """https://cloud.google.com/storage/docs/soft-delete#retention-duration."""
    return None if value == 0 else between(7 * DAY_SECONDS, 90 * DAY_SECONDS)(value)


def whole_bucket(inputs: Inputs) -> Iterator[Refusal]:
    """https://cloud.google.com/storage/docs/lifecycle."""
    for index, rule in enumerate(inputs.get("lifecycleRules") or []):
        action, condition = rule.get("action") or {}, rule.get("condition") or {}
        at = f"lifecycleRules[{index}]"
        if not condition:
            yield f"{at}.condition", "there is no condition"
        if action.get("type") == "SetStorageClass" and action.get("storageClass") is None:
            yield f"{at}.action.storageClass", "is missing: SetStorageClass needs it"
        if action.get("type") == "AbortIncompleteMultipartUpload":
            allowed = {"age", "matchesPrefixes", "matchesSuffixes", "withState"}
            yield from (
                (f"{at}.condition.{name}", "is no condition of AbortIncompleteMultipartUpload")
                for name in condition
                if name not in allowed
            )


KINDS = (
    Kind(
        BUCKET,
        "storage.v1/Bucket",
        "{name}",
        renames={
            "lifecycleRules": "lifecycle.rule",
            "publicAccessPrevention": "iamConfiguration.publicAccessPrevention",
            "requesterPays": "billing.requesterPays",
            "uniformBucketLevelAccess": "iamConfiguration.uniformBucketLevelAccess.enabled",
        },
        own=OWN
        | {"enableObjectRetention": "a parameter of the request", "forceDestroy": PROVIDER}
        | {
            f"lifecycleRules.condition.{each}": PROVIDER
            for each in ("sendAgeIfZero", "sendDaysSinceCustomTimeIfZero", "sendDaysSinceNoncurrentTimeIfZero",
                         "sendNumNewerVersionsIfZero")
        }
        | {"lifecycleRules.condition.withState": "words for the API's isLive"},
        rules={
            "name": bucket_name,
            "location": location,
            "labels": labels,
            "storageClass": storage_class,
            "publicAccessPrevention": one_of("inherited", "enforced"),
            "rpo": one_of("DEFAULT", "ASYNC_TURBO"),
            "softDeletePolicy.retentionDurationSeconds": soft_delete,
            "retentionPolicy.retentionPeriod": between(1, 100 * 365.25 * DAY_SECONDS),
            "lifecycleRules.action.type": one_of("Delete", "SetStorageClass", "AbortIncompleteMultipartUpload"),
            "lifecycleRules.action.storageClass": storage_class,
            "lifecycleRules.condition.age": between(0, 2**31 - 1),
            "lifecycleRules.condition.matchesStorageClasses": storage_class,
            "lifecycleRules.condition.withState": one_of("LIVE", "ARCHIVED", "ANY"),
        },
        whole=whole_bucket,
        replaces=frozenset({
            "customPlacementConfig", "enableObjectRetention", "hierarchicalNamespace", "location", "name", "project",
        }),
        defaults={"forceDestroy": False, "storageClass": "STANDARD"},
        computed={
            "url": "gs://{name}",
            "selfLink": API + "storage/v1/b/{name}",
            "projectNumber": lambda facts: int(facts.number),
            "timeCreated": "{now}",
            "updated": "{now}",
            "publicAccessPrevention": "inherited",
            "uniformBucketLevelAccess": lambda facts: False,
            "softDeletePolicy": lambda facts: {"retentionDurationSeconds": 7 * DAY_SECONDS},
            "rpo": "DEFAULT",
            "versioning": lambda facts: {"enabled": False},
        },
        name_limit=63,
        known_as=("gs://{name}", "b/{name}", "storage.googleapis.com/{name}"),
        encryption=Encryption(
            "encryption.defaultKmsKeyName", "service-{number}@gs-project-accounts.iam.gserviceaccount.com"
        ),
    ),
    Kind(
        OBJECT,
        "storage.v1/Object",
        "{bucket}-{name}",
        own=OWN | {
            "content": "what is uploaded",
            "source": "what is uploaded",
            "detectMd5hash": PROVIDER,
            "forceEmptyContentType": PROVIDER,
            "sourceMd5hash": PROVIDER,
            "contexts.customs": "a list; the API has a map by key",
            "customerEncryption.encryptionKey": "a header of the request",
        },
        rules={"storageClass": storage_class},
        one_of=(("content", "source"),),
        replaces=frozenset({
            "bucket", "cacheControl", "contentDisposition", "contentEncoding", "contentLanguage", "contentType",
            "kmsKeyName", "name", "storageClass", "customerEncryption",
        }),
        computed={
            "outputName": "{name}",
            "selfLink": API + "storage/v1/b/{bucket}/o/{name}",
            "mediaLink": "https://storage.googleapis.com/download/storage/v1/b/{bucket}/o/{name}?alt=media",
            "contentType": "text/plain; charset=utf-8",
            "storageClass": "STANDARD",
            "kmsKeyName": "",
        },
        references={"bucket": Reference((BUCKET,), outsiders=r".+")},
        idempotent=True,
    ),
)  # fmt: skip
