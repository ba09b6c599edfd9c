"""The site's bucket: runs and bundles, encrypted, versioned, and closed to everybody else."""

import dataclasses

import pulumi
import pulumi_aws as aws

from infra.aws.account import Account
from infra.aws.policy_document import ANYBODY, Conditions, Statement, allow, deny, document
from infra.deployment import Deployment
from infra.options import after, child, kept

RUNS, BUNDLES, QUERIES = "runs/", "bundles/", "queries/"
"""Prefixes of the bucket: what machines write, what they are given, and answers to questions in SQL."""
ACCESS_LOG = "access/"
"""Prefix of the bucket with the access log."""
MULTIPART_DAYS = 7
"""Parts of an upload that was broken off are removed after so long; they cost money, and show in no listing."""
BUNDLE_DAYS = 1
"""A replaced bundle is kept no longer: the same run file makes the same bundle again."""
QUERY_DAYS = 30
"""An answer is kept so long; the question can be asked again."""


@dataclasses.dataclass(frozen=True)
class StorageArgs:
    """What `Storage` needs.

    Attributes:
        deployment: the site.
        account: where it is.
        key_arn: of the key that encrypts it.
    """

    deployment: Deployment
    account: Account
    key_arn: pulumi.Input[str]


class Storage(pulumi.ComponentResource):
    """The bucket with runs and bundles, and the bucket with its access log.

    Attributes:
        bucket: the bucket's name; ready when it is closed, encrypted and versioned.
        bucket_arn: its ARN.
        store: where runs are, `s3://BUCKET/runs`.
    """

    def __init__(self, name: str, args: StorageArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("slipway:aws:Storage", name, None, opts)
        self._deployment, account = args.deployment, args.account
        rules = args.deployment.settings.rules
        bucket, access_log = self._bucket("runs"), self._bucket("access-log")
        logging = allow(
            "AccessLog",
            ["s3:PutObject"],
            [pulumi.Output.concat(access_log.arn, f"/{ACCESS_LOG}*")],
            principal={"Service": "logging.s3.amazonaws.com"},
            conditions={
                "StringEquals": {"aws:SourceAccount": account.account_id},
                "ArnLike": {"aws:SourceArn": bucket.arn},
            },
        )
        # S3 writes access logs only where no key but its own encrypts.
        # https://docs.aws.amazon.com/AmazonS3/latest/userguide/enable-server-access-logging.html
        log_ready = self._guard("access-log", access_log, None, [*_tls_only(access_log), logging])
        log_ready.append(
            self._lifecycle(
                "access-log", access_log, [_rule("old", ACCESS_LOG, days=rules.log_retention_days, deleted_days=1)]
            )
        )
        ready = self._guard("runs", bucket, args.key_arn, [*_tls_only(bucket), *_one_key(bucket, args.key_arn)])
        # Versions that no longer count are kept at least a day.
        deleted_days = max(1, rules.deleted_object_days)
        kept_rules = [
            _rule("runs", RUNS, deleted_days=deleted_days),
            _rule("bundles", BUNDLES, deleted_days=BUNDLE_DAYS),
            _rule("queries", QUERIES, days=QUERY_DAYS, deleted_days=1),
        ]
        ready.append(self._lifecycle("runs", bucket, kept_rules))
        logged = aws.s3.BucketLogging(
            self._deployment.named("runs"),
            bucket=bucket.id,
            target_bucket=after(access_log.id, *log_ready),
            target_prefix=ACCESS_LOG,
            opts=child(self),
        )
        self.bucket: pulumi.Output[str] = after(bucket.id, *ready, logged.id)
        self.bucket_arn: pulumi.Output[str] = after(bucket.arn, *ready, logged.id)
        self.store: pulumi.Output[str] = pulumi.Output.concat("s3://", self.bucket, f"/{RUNS.rstrip('/')}")
        self.register_outputs({"bucket": self.bucket, "bucket_arn": self.bucket_arn, "store": self.store})

    def _bucket(self, what: str) -> aws.s3.Bucket:
        return aws.s3.Bucket(
            self._deployment.named(what),
            force_destroy=self._deployment.settings.rules.force_destroy,
            opts=kept(self, self._deployment),
        )

    def _guard(
        self,
        what: str,
        bucket: aws.s3.Bucket,
        key_arn: pulumi.Input[str] | None,
        statements: list[Statement],
    ) -> list[pulumi.Output[str]]:
        """Close, encrypt and version a bucket; outputs that are there when that is done."""
        name = self._deployment.named(what)
        closed = aws.s3.BucketPublicAccessBlock(
            name,
            bucket=bucket.id,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            opts=child(self),
        )
        owned = aws.s3.BucketOwnershipControls(
            name,
            bucket=bucket.id,
            rule=aws.s3.BucketOwnershipControlsRuleArgs(object_ownership="BucketOwnerEnforced"),
            opts=child(self, depends_on=[closed]),  # S3 refuses some changes of one bucket at once
        )
        policy = aws.s3.BucketPolicy(
            name, bucket=bucket.id, policy=document(*statements), opts=child(self, depends_on=[owned])
        )
        default = aws.s3.BucketServerSideEncryptionConfigurationRuleApplyServerSideEncryptionByDefaultArgs(
            sse_algorithm="AES256" if key_arn is None else "aws:kms", kms_master_key_id=key_arn
        )
        encrypted = aws.s3.BucketServerSideEncryptionConfiguration(
            name,
            bucket=bucket.id,
            rules=[
                aws.s3.BucketServerSideEncryptionConfigurationRuleArgs(
                    apply_server_side_encryption_by_default=default,
                    bucket_key_enabled=None if key_arn is None else True,
                )
            ],
            opts=child(self),
        )
        versioned = aws.s3.BucketVersioning(
            name,
            bucket=bucket.id,
            versioning_configuration=aws.s3.BucketVersioningVersioningConfigurationArgs(status="Enabled"),
            opts=child(self),
        )
        return [policy.id, encrypted.id, versioned.id]

    def _lifecycle(
        self, what: str, bucket: aws.s3.Bucket, rules: list[aws.s3.BucketLifecycleConfigurationRuleArgs]
    ) -> pulumi.Output[str]:
        parts = aws.s3.BucketLifecycleConfigurationRuleAbortIncompleteMultipartUploadArgs(
            days_after_initiation=MULTIPART_DAYS
        )
        broken_off = aws.s3.BucketLifecycleConfigurationRuleArgs(
            id="broken-uploads",
            status="Enabled",
            filter=aws.s3.BucketLifecycleConfigurationRuleFilterArgs(prefix=""),
            abort_incomplete_multipart_upload=parts,
        )
        made = aws.s3.BucketLifecycleConfiguration(
            self._deployment.named(what), bucket=bucket.id, rules=[broken_off, *rules], opts=child(self)
        )
        return made.id


def _rule(
    name: str, prefix: str, *, deleted_days: int, days: int | None = None
) -> aws.s3.BucketLifecycleConfigurationRuleArgs:
    """A rule of what lies under a prefix.

    Args:
        name: the rule's name.
        prefix: of the keys.
        deleted_days: how long a deleted or replaced object can be had back.
        days: how old an object may become; None: as it likes, and a marker of what is gone for good goes as well.
    """
    expiration = aws.s3.BucketLifecycleConfigurationRuleExpirationArgs
    return aws.s3.BucketLifecycleConfigurationRuleArgs(
        id=name,
        status="Enabled",
        filter=aws.s3.BucketLifecycleConfigurationRuleFilterArgs(prefix=prefix),
        noncurrent_version_expiration=aws.s3.BucketLifecycleConfigurationRuleNoncurrentVersionExpirationArgs(
            noncurrent_days=deleted_days
        ),
        expiration=expiration(days=days) if days else expiration(expired_object_delete_marker=True),
    )


def _tls_only(bucket: aws.s3.Bucket) -> list[Statement]:
    """Nobody may ask for anything in clear, or by a TLS that is broken."""
    all_of_it = [bucket.arn, pulumi.Output.concat(bucket.arn, "/*")]
    return [
        deny("TlsOnly", ["s3:*"], all_of_it, principal=ANYBODY, conditions={"Bool": {"aws:SecureTransport": "false"}}),
        deny(
            "NewTlsOnly",
            ["s3:*"],
            all_of_it,
            principal=ANYBODY,
            conditions={"NumericLessThan": {"s3:TlsVersion": "1.2"}},
        ),
    ]


def _one_key(bucket: aws.s3.Bucket, key_arn: pulumi.Input[str]) -> list[Statement]:
    """Nobody may write what another key encrypts; who names no key gets the bucket's."""
    objects = [pulumi.Output.concat(bucket.arn, "/*")]
    how, which = "s3:x-amz-server-side-encryption", "s3:x-amz-server-side-encryption-aws-kms-key-id"
    return [
        deny(
            "KmsOnly",
            ["s3:PutObject"],
            objects,
            principal=ANYBODY,
            conditions=_said_and(how, "StringNotEquals", "aws:kms"),
        ),
        deny(
            "OneKey", ["s3:PutObject"], objects, principal=ANYBODY, conditions=_said_and(which, "ArnNotEquals", key_arn)
        ),
    ]


def _said_and(key: str, operator: str, value: pulumi.Input[str]) -> Conditions:
    """What a request says, and is so; one that does not say it is another matter: without `Null`, it would match."""
    return {"Null": {key: "false"}, operator: {key: value}}
