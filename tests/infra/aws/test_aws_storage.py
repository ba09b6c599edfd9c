"""The buckets of a site in AWS, as a program asks for them, and what their policies come to."""

import aws_site
import iam
import pytest
from aws_site import ACCOUNT, KEY_ID, arn
from iam import Request

from infra.lifecycle import RULES, Lifecycle

CPU = {"machines": "c7i.large"}
BUCKET, ACCESS_LOG = "slipway-dev-runs", "slipway-dev-access-log"
KEY = arn("kms", f"key/{KEY_ID}")
ME = arn("iam", "role/any", "")


@pytest.fixture(scope="module")
def site():
    return aws_site.seen(**CPU)


@pytest.fixture(scope="module")
def bucket(site):
    return list(site.statements("BucketPolicy", "runs").values())


def test_what_is_exported_is_where_runs_are(site):
    assert (site.outputs["bucket"], site.outputs["store"]) == (BUCKET, f"s3://{BUCKET}/runs")


@pytest.mark.parametrize("what", ["runs", "access-log"])
def test_buckets_are_closed_owned_and_versioned(site, what):
    name = f"slipway-dev-{what}"
    closed = site.one("BucketPublicAccessBlock", what).inputs
    assert closed == {
        "bucket": name,
        **dict.fromkeys(("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets"), True),
    }
    assert site.one("BucketOwnershipControls", what).inputs["rule"] == {"objectOwnership": "BucketOwnerEnforced"}
    assert site.one("BucketVersioning", what).inputs["versioningConfiguration"] == {"status": "Enabled"}


def test_the_key_encrypts_runs_and_s3_its_own_log(site):
    (runs,) = site.one("BucketServerSideEncryptionConfiguration", "runs").inputs["rules"]
    default = "applyServerSideEncryptionByDefault"
    assert runs == {default: {"sseAlgorithm": "aws:kms", "kmsMasterKeyId": KEY}, "bucketKeyEnabled": True}
    (log,) = site.one("BucketServerSideEncryptionConfiguration", "access-log").inputs["rules"]
    assert log == {default: {"sseAlgorithm": "AES256"}}


@pytest.mark.parametrize("lifecycle", Lifecycle)
def test_the_lifecycle_decides_what_may_go(lifecycle):
    found, rules = aws_site.seen(**CPU, lifecycle=str(lifecycle)), RULES[lifecycle]
    for bucket in found.all("Bucket"):
        assert (bucket.protect, bucket.inputs["forceDestroy"]) == (rules.protect, rules.force_destroy)
    by_id = {each["id"]: each for each in found.one("BucketLifecycleConfiguration", "runs").inputs["rules"]}
    assert all(each["status"] == "Enabled" for each in by_id.values())
    assert by_id["broken-uploads"]["abortIncompleteMultipartUpload"] == {"daysAfterInitiation": 7}
    assert by_id["broken-uploads"]["filter"] == {"prefix": ""}
    assert {name: each["filter"]["prefix"] for name, each in by_id.items() if name != "broken-uploads"} == {
        "runs": "runs/",
        "bundles": "bundles/",
        "queries": "queries/",
    }
    days = by_id["runs"]["noncurrentVersionExpiration"]["noncurrentDays"]
    assert days == max(1, rules.deleted_object_days)  # S3 knows no less than a day
    ends = {name for name, each in by_id.items() if "days" in each.get("expiration", {})}
    assert ends == {"queries"}  # whose questions can be asked again
    (old,) = [
        each
        for each in found.one("BucketLifecycleConfiguration", "access-log").inputs["rules"]
        if each["id"] != "broken-uploads"
    ]
    assert old["expiration"] == {"days": rules.log_retention_days}


def test_access_is_logged_by_s3_alone(site):
    logging = site.one("BucketLogging").inputs
    assert logging == {"bucket": BUCKET, "targetBucket": ACCESS_LOG, "targetPrefix": "access/"}
    policy = list(site.statements("BucketPolicy", "access-log").values())
    context = {"aws:SourceAccount": ACCOUNT, "aws:SourceArn": f"arn:aws:s3:::{BUCKET}", "aws:SecureTransport": "true"}

    def put(key="access/1", by="logging.s3.amazonaws.com", **changed):
        return Request("s3:PutObject", f"arn:aws:s3:::{ACCESS_LOG}/{key}", context | changed, by)

    assert iam.allows(policy, put())
    assert not iam.allows(policy, put("else/1"))
    assert not iam.allows(policy, put(by="cloudtrail.amazonaws.com"))
    assert not iam.allows(policy, put(**{"aws:SourceArn": "arn:aws:s3:::another"}))
    assert not iam.allows(policy, put(**{"aws:SourceAccount": "210987654321"}))


ENCRYPTION = "s3:x-amz-server-side-encryption"
USUAL = {"aws:SecureTransport": "true", "s3:TlsVersion": "1.3"}


@pytest.mark.parametrize(
    ("said", "denied"),
    [
        ({}, False),  # then the bucket's own key encrypts
        ({ENCRYPTION: "aws:kms"}, False),
        ({ENCRYPTION: "aws:kms", f"{ENCRYPTION}-aws-kms-key-id": KEY}, False),
        ({ENCRYPTION: "aws:kms", f"{ENCRYPTION}-aws-kms-key-id": arn("kms", "key/another")}, True),
        ({ENCRYPTION: "AES256"}, True),
        ({"s3:TlsVersion": "1.2"}, False),
        ({"s3:TlsVersion": "1.1"}, True),
        ({"aws:SecureTransport": "false"}, True),
    ],
)
def test_only_what_is_encrypted_well_is_taken(bucket, said, denied):
    put = Request("s3:PutObject", f"arn:aws:s3:::{BUCKET}/runs/a", USUAL | said, ME)
    assert iam.denies(bucket, put) is denied


@pytest.mark.parametrize("resource", ["", "/runs/a"])
def test_nothing_is_asked_in_clear(bucket, resource):
    context = {"aws:SecureTransport": "false"}
    for action in ("s3:GetObject", "s3:ListBucket", "s3:DeleteObject"):
        assert iam.denies(bucket, Request(action, f"arn:aws:s3:::{BUCKET}{resource}", context, ME))
        assert not iam.denies(bucket, Request(action, f"arn:aws:s3:::{BUCKET}{resource}", USUAL, ME))


def test_nobody_is_allowed_by_the_bucket_itself(bucket):
    assert {each["Effect"] for each in bucket} == {"Deny"}


def test_bundles_are_uploaded_when_the_bucket_is_ready(site):
    urns = {urn.rsplit("$", 1)[-1] for found in site.all("BucketObjectv2") for urn in found.refers_to["bucket"]}
    wanted = ("bucketPolicy:BucketPolicy", "bucketVersioning:BucketVersioning", "bucketLogging:BucketLogging")
    assert {f"aws:s3/{kind}::{BUCKET}" for kind in wanted} <= urns
    encrypted = "bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
    assert f"aws:s3/{encrypted}::{BUCKET}" in urns
