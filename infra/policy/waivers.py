"""What need not keep a rule, of ours or of checkov's, and why: written down, tested to be needed, and in the docs."""

import dataclasses
import fnmatch


@dataclasses.dataclass(frozen=True)
class Waiver:
    """An exception.

    Attributes:
        rule: the name of a rule of ours, or the id of one of checkov's.
        kind: Pulumi's type of the resource, or for checkov Terraform's; `*` stands for any characters.
        name: the resource's logical name, without the site's; `*` stands for any characters.
        reason: why.
    """

    rule: str
    kind: str
    name: str
    reason: str

    def covers(self, rule: str, kind: str, name: str) -> bool:
        """Whether a resource is excepted from a rule."""
        return rule == self.rule and fnmatch.fnmatchcase(kind, self.kind) and fnmatch.fnmatchcase(name, f"*{self.name}")


WAIVERS: tuple[Waiver, ...] = (
    Waiver(
        "aws-bucket-encrypted",
        "aws:s3/bucket:Bucket",
        "-access-log",
        "S3 delivers access logs to buckets with its own keys (SSE-S3) alone:"
        " https://docs.aws.amazon.com/AmazonS3/latest/userguide/enable-server-access-logging.html",
    ),
    Waiver("aws-bucket-access-logged", "aws:s3/bucket:Bucket", "-access-log", "It would log its own logging."),
    Waiver(
        "gcp-bucket-versioned",
        "gcp:storage/bucket:Bucket",
        "-access-logs",
        "Google writes each access log once, and nobody else writes there.",
    ),
    Waiver(
        "CKV_AWS_145",
        "aws_s3_bucket",
        "-access-log",
        "S3 delivers access logs to buckets with its own keys alone, as above.",
    ),
    Waiver(
        "CKV_AWS_144",
        "aws_s3_bucket",
        "*",
        "A copy in another region would outlive its site, and is for the operator to decide (`slipway runs push`).",
    ),
    Waiver("CKV2_AWS_62", "aws_s3_bucket", "*", "Nobody waits for events of these buckets: alarms look at metrics."),
    Waiver("CKV_GCP_62", "google_storage_bucket", "-access-logs", "It would log its own logging."),
    Waiver("CKV_GCP_78", "google_storage_bucket", "-access-logs", "Access logs are written once, as above."),
    Waiver(
        "CKV_GCP_80",
        "google_bigquery_table",
        "*",
        "External tables and views hold nothing: they read the site's bucket, which its key encrypts.",
    ),
    Waiver(
        "CKV_GCP_121",
        "google_bigquery_table",
        "-files",
        "External tables hold nothing that could be lost with them: what they read lies in the site's bucket.",
    ),
)
"""All exceptions."""
