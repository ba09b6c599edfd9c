"""The site's buckets in Cloud Storage: what runs store, and who asked for it."""

import dataclasses
from collections.abc import Sequence

import pulumi
import pulumi_gcp as gcp

from infra.deployment import Deployment
from infra.gcp.keys import DAY_SECONDS, Key
from infra.options import child, kept

RUNS, BUNDLES = "runs/", "bundles/"
"""What the bucket holds: the runs' folders, which nodes write, and the nodes' bundles, which they only read."""
LOG_WRITERS = "group:cloud-storage-analytics@google.com"
"""Who writes usage logs (https://cloud.google.com/storage/docs/access-logs)."""
VERSION_DAYS = 1
"""How long a version that was replaced or deleted stays a version; from then on it is soft-deleted."""
UPLOAD_DAYS = 1
END_UPLOADS: gcp.storage.BucketLifecycleRuleArgsDict = {
    "action": {"type": "AbortIncompleteMultipartUpload"},
    "condition": {"age": UPLOAD_DAYS},
}


@dataclasses.dataclass(frozen=True)
class StorageArgs:
    """What the buckets need.

    Attributes:
        deployment: the site.
        key: encrypts them.
        beneath: what is there as long as they are.
    """

    deployment: Deployment
    key: Key
    beneath: Sequence[pulumi.Resource] = ()


class Storage(pulumi.ComponentResource):
    """A bucket for runs and bundles, and one for the first one's usage logs.

    **How deleted objects come back.** The lifecycle's `deleted_object_days` are Cloud Storage's soft deletion, not
    versions kept as long: nobody can end a soft-deleted object's time, while a node, which deletes its old
    checkpoints, could delete their versions as well. Versions last a day beside it, as a mistake of today is undone
    more easily with them; each day longer would be stored, and paid, twice over.

    **Who asked for what** is in usage logs rather than Data Access audit logs: those are switched on for a whole
    project, so a site would decide for what is not its own, and undo that when it goes.

    Attributes:
        bucket: its name.
        store: where runs are kept, as a run file has it: `gs://BUCKET/runs`.
        log_bucket: the name of the usage logs' bucket.
    """

    bucket: pulumi.Output[str]
    store: pulumi.Output[str]
    log_bucket: pulumi.Output[str]

    def __init__(self, args: StorageArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        deployment = args.deployment
        super().__init__("slipway:gcp:Storage", deployment.named("storage"), None, opts)
        rules = deployment.settings.rules
        logs = self._bucket(args, "access-logs", [_delete(age=rules.log_retention_days), END_UPLOADS], versions=False)
        writers = gcp.storage.BucketIAMMember(
            deployment.named("access-logs-writers"),
            bucket=logs.name,
            role="roles/storage.objectCreator",
            member=LOG_WRITERS,
            opts=child(self),
        )
        bucket = self._bucket(
            args,
            "artifacts",
            [
                _old_versions(VERSION_DAYS if rules.deleted_object_days else 0),
                END_UPLOADS,
            ],
            versions=True,
            logging={"log_bucket": logs.name, "log_object_prefix": "artifacts"},
            depends_on=[writers, *args.beneath],
        )
        self.bucket, self.log_bucket = bucket.name, logs.name
        self.store = pulumi.Output.format("gs://{0}/{1}", bucket.name, RUNS.rstrip("/"))
        self.register_outputs({"bucket": self.bucket, "store": self.store})

    def _bucket(
        self,
        args: StorageArgs,
        what: str,
        lifecycle: Sequence[gcp.storage.BucketLifecycleRuleArgsDict],
        *,
        versions: bool,
        logging: gcp.storage.BucketLoggingArgsDict | None = None,
        depends_on: Sequence[pulumi.Resource] = (),
    ) -> gcp.storage.Bucket:
        deployment = args.deployment
        settings, rules = deployment.settings, deployment.settings.rules
        return gcp.storage.Bucket(
            deployment.named(what),
            project=settings.project,
            location=settings.region.upper(),
            storage_class="STANDARD",
            encryption={"default_kms_key_name": args.key.key_id},
            uniform_bucket_level_access=True,
            public_access_prevention="enforced",
            versioning={"enabled": versions},
            soft_delete_policy={"retention_duration_seconds": rules.deleted_object_days * DAY_SECONDS},
            lifecycle_rules=list(lifecycle),
            logging=logging,
            force_destroy=rules.force_destroy,
            labels=deployment.tags,
            opts=kept(self, deployment, depends_on=[args.key, *depends_on]),
        )


def _delete(*, age: int) -> gcp.storage.BucketLifecycleRuleArgsDict:
    return {"action": {"type": "Delete"}, "condition": {"age": age, "with_state": "ANY"}}


def _old_versions(days: int) -> gcp.storage.BucketLifecycleRuleArgsDict:
    """Versions go so many days after others took their place."""
    return {
        "action": {"type": "Delete"},
        "condition": {
            "days_since_noncurrent_time": days,
            "send_days_since_noncurrent_time_if_zero": days == 0,
            "with_state": "ARCHIVED",
        },
    }
