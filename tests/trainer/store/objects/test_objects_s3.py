"""A bucket of S3: what S3 answers when something is wrong.

Moto answers most of it; its permissions know no resources and no conditions. What it never answers (another region,
a conflict, throttling, expired credentials, refusals of the key service, a broken connection), a server answers here as
Amazon's documents have it.
"""

import contextlib
import hashlib
import json
import os
import urllib.request

import boto3
import pytest
import servers

from trainer.errors import BadInput, SlipwayError
from trainer.store.objects import patience
from trainer.store.objects.base import Corrupt, Exists, Missing, Unreachable
from trainer.store.objects.places import place

KEY = "arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
LISTING = (
    b'<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
    b"<Name>runs</Name><KeyCount>0</KeyCount><MaxKeys>1</MaxKeys><IsTruncated>false</IsTruncated></ListBucketResult>"
)


def error(status, code, message="no", headers=None, more=""):
    """An answer as S3 gives it."""
    body = f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>{message}</Message>{more}</Error>'
    return status, {"Content-Type": "application/xml", **(headers or {})}, body.encode()


@pytest.fixture
def answering(s3_cloud, monkeypatch):
    """A place behind which a server gives the answers of a list, the last one for ever; and the requests it got."""
    with contextlib.ExitStack() as stack:

        def start(*answers):
            seen = []

            def answer(method, path, headers, body):
                seen.append((method, headers))
                return answers[min(len(seen), len(answers)) - 1]

            monkeypatch.setenv("AWS_ENDPOINT_URL_S3", stack.enter_context(servers.answering(answer)))
            return place("s3://runs/team"), seen

        yield start


@pytest.fixture
def objects(s3_cloud, bucket):
    servers.make_bucket(f"s3://{bucket}")
    return place(f"s3://{bucket}")


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(patience, "DEADLINE_SECONDS", 0.5)


def bad_input(objects, write=False):
    """The one clear error of a check."""
    with pytest.raises(BadInput) as caught:
        objects.check(write=write)
    assert caught.value.field == "store"
    assert caught.value.value == objects.uri
    return caught.value


def test_a_bucket_that_is_not_there(s3_cloud):
    objects = place("s3://no-such-bucket/team")
    assert "make the bucket first" in bad_input(objects).cure
    calls = (lambda: objects.create("a", b""), lambda: objects.read("a"), lambda: list(objects.keys("")), objects.names)
    for call in calls:
        with pytest.raises(Unreachable, match="make the bucket first"):
            call()


def test_no_credentials(s3_cloud, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    assert "aws configure" in bad_input(place("s3://runs")).cure


@contextlib.contextmanager
def permissions(address, monkeypatch, *actions):
    """As a user who may do just this; moto holds the policy against each request."""
    iam = boto3.client("iam", endpoint_url=address)
    iam.create_user(UserName="trainer")
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_user_policy(UserName="trainer", PolicyName="may", PolicyDocument=document)
    key = iam.create_access_key(UserName="trainer")["AccessKey"]
    try:
        with monkeypatch.context() as patch, enforcement(address):
            patch.setenv("AWS_ACCESS_KEY_ID", key["AccessKeyId"])
            patch.setenv("AWS_SECRET_ACCESS_KEY", key["SecretAccessKey"])
            yield
    finally:
        iam.delete_access_key(UserName="trainer", AccessKeyId=key["AccessKeyId"])
        iam.delete_user_policy(UserName="trainer", PolicyName="may")
        iam.delete_user(UserName="trainer")


@contextlib.contextmanager
def enforcement(address):
    def ask_who_it_is(after):
        kind = {"Content-Type": "text/plain"}
        request = urllib.request.Request(f"{address}/moto-api/reset-auth", data=after, headers=kind, method="POST")
        urllib.request.urlopen(request, timeout=30).close()

    ask_who_it_is(b"0")
    try:
        yield
    finally:
        ask_who_it_is(b"inf")


@pytest.mark.parametrize(
    ("may", "missing"),
    [
        ([], "s3:ListBucket"),
        (["s3:ListBucket"], "s3:PutObject"),
        (["s3:ListBucket", "s3:PutObject"], "s3:DeleteObject"),
    ],
)
def test_permissions_that_are_missing(objects, s3_cloud, monkeypatch, may, missing):
    with permissions(s3_cloud, monkeypatch, "s3:GetObject", *may):
        allowed = place(objects.uri)
        if may:
            allowed.check(write=False)
        refused = bad_input(allowed, write=bool(may))
    assert f"credentials that may {missing};" in refused.allowed
    assert refused.cure == f"allow {missing} there"


def test_the_permissions_that_are_needed(objects, s3_cloud, monkeypatch, tmp_path):
    needed = ("s3:ListBucket", "s3:GetObject", "s3:PutObject", "s3:DeleteObject")
    with permissions(s3_cloud, monkeypatch, *needed):
        allowed = place(objects.uri)
        allowed.check(write=True)
        allowed.create("a", b"x")
        assert allowed.read("a") == b"x"
        with pytest.raises(Exists):
            allowed.create("a", b"y")
        with pytest.raises(Missing):
            allowed.read("b")
        (tmp_path / "large").write_bytes(b"x" * 20_000_000)
        digest = hashlib.sha256(b"x" * 20_000_000).hexdigest()
        allowed.upload("large", tmp_path / "large", digest)
        allowed.download("large", tmp_path / "back", digest)
        allowed.delete(["a", "large"])
    assert list(objects.keys("")) == []


def test_credentials_that_nobody_knows(objects, s3_cloud, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    with enforcement(s3_cloud):
        assert "credentials that AWS knows" in bad_input(place(objects.uri)).allowed


@pytest.mark.parametrize(
    ("answer", "allowed", "cure"),
    [
        (
            error(301, "PermanentRedirect", headers={"x-amz-bucket-region": "eu-north-1"}),
            "region",
            "set AWS_REGION=eu-north-1, where the bucket is",
        ),
        (
            error(400, "AuthorizationHeaderMalformed", more="<Region>eu-north-1</Region>"),
            "region",
            "set AWS_REGION=eu-north-1, where the bucket is",
        ),
        (error(400, "ExpiredToken", "The provided token has expired."), "token has expired", "sign in again"),
        (error(403, "AccessDenied", "Access Denied"), "s3:ListBucket; AWS says: Access Denied", "allow s3:ListBucket"),
        (error(403, "SignatureDoesNotMatch"), "credentials that AWS knows", "aws configure"),
        (error(403, "RequestTimeTooSkewed"), "clock", "timedatectl"),
        (error(400, "InvalidBucketName", "not valid"), "not valid", "mend the bucket's name"),
    ],
)
def test_what_a_person_can_mend(answering, answer, allowed, cure):
    objects, _ = answering(answer)
    refused = bad_input(objects)
    assert allowed in refused.allowed
    assert cure in refused.cure


@pytest.mark.parametrize(
    ("answer", "allowed", "cure"),
    [
        (error(400, "KMS.DisabledException", "is disabled."), "encryption key", "enabled"),
        (error(403, "AccessDenied", f"not authorized to perform: kms:GenerateDataKey on {KEY}"), "kms:Gen", "kms:Dec"),
        (error(501, "NotImplemented", "A header you provided"), "conditional writes", "use AWS"),
        (
            error(400, "ObjectLocked", "Object is WORM protected"),
            "replaced and removed; AWS says",
            "without object lock",
        ),
        (error(403, "AccessDenied", "because object protected by object lock."), "replaced and", "that keeps versions"),
    ],
)
def test_what_a_person_can_mend_before_writing(answering, answer, allowed, cure):
    objects, _ = answering((200, {}, LISTING), answer)
    refused = bad_input(objects, write=True)
    assert allowed in refused.allowed
    assert cure in refused.cure


def test_a_bucket_with_object_lock_keeps_versions_and_is_good_enough(s3_cloud, bucket, tmp_path):
    """What is removed is hidden: S3 refuses to remove locked versions by name alone, which is never asked for here."""
    client = boto3.client("s3")
    here = {"LocationConstraint": os.environ["AWS_REGION"]}
    client.create_bucket(Bucket=bucket, CreateBucketConfiguration=here, ObjectLockEnabledForBucket=True)
    rule = {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 1}}
    client.put_object_lock_configuration(
        Bucket=bucket, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": rule}
    )
    objects = place(f"s3://{bucket}/team")
    objects.check(write=True)
    objects.create("a", b"1")
    for data in (b"2", b"3"):
        objects.replace("a", data)
    (tmp_path / "large").write_bytes(b"x" * 20_000_000)
    objects.upload("large", tmp_path / "large", hashlib.sha256(b"x" * 20_000_000).hexdigest())
    assert objects.read("a") == b"3"
    objects.delete(["a", "large"])
    assert list(objects.keys()) == []
    assert (
        len([found for found in client.list_object_versions(Bucket=bucket)["Versions"] if "team/a" in found["Key"]])
        == 3
    )


def test_a_server_that_knows_no_conditional_writes_is_found_out(answering):
    deleted = (200, {}, b'<?xml version="1.0" encoding="UTF-8"?><DeleteResult/>')
    objects, seen = answering((200, {}, LISTING), (200, {"ETag": '"1"'}, b""), (200, {"ETag": '"1"'}, b""), deleted)
    assert "the same object was made twice" in bad_input(objects, write=True).allowed
    assert [method for method, _ in seen] == ["GET", "PUT", "PUT", "POST"]
    assert seen[1][1]["If-None-Match"] == "*"
    assert seen[1][1]["x-amz-checksum-crc32"] == "AAAAAA=="  # of nothing; buckets with object lock insist on one


def test_a_conflict_with_another_write_is_tried_again(answering):
    objects, seen = answering(error(409, "ConditionalRequestConflict"), (200, {"ETag": '"1"'}, b""))
    objects.create("a", b"data")
    assert [method for method, _ in seen] == ["PUT", "PUT"]


def test_a_conflict_that_another_write_won(answering):
    objects, _ = answering(error(409, "ConditionalRequestConflict"), error(412, "PreconditionFailed"))
    with pytest.raises(Exists):
        objects.create("a", b"data")


def test_a_connection_that_breaks_after_the_object_was_made(answering):
    objects, _ = answering(None, error(412, "PreconditionFailed"))
    with pytest.raises(Exists):
        objects.create("a", b"data")


@pytest.mark.parametrize(
    "answer", [error(503, "SlowDown"), error(500, "InternalError"), error(409, "OperationAborted")]
)
def test_a_server_that_is_too_busy_for_long_is_unreachable(answering, impatient, answer):
    objects, seen = answering(answer)
    with pytest.raises(Unreachable):
        objects.replace("a", b"data")
    assert len(seen) >= 2


@pytest.mark.slow
def test_a_part_of_a_file_is_tried_more_often(answering, monkeypatch, tmp_path):
    monkeypatch.setattr(patience, "DEADLINE_SECONDS", 0)
    (tmp_path / "file").write_bytes(b"data")
    objects, seen = answering(*[error(503, "SlowDown")] * 3, (200, {"ETag": '"1"'}, b""))
    objects.upload("a", tmp_path / "file", hashlib.sha256(b"data").hexdigest())
    assert len(seen) == 4


def test_nobody_answers(s3_cloud, impatient, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:1")
    objects = place("s3://runs")
    for call in (lambda: objects.check(write=False), lambda: objects.read("a"), lambda: objects.delete(["a"])):
        with pytest.raises(Unreachable, match="s3://runs: Could not connect"):
            call()


def test_what_changed_on_its_way_is_sent_again(answering, tmp_path):
    changed = error(400, "BadDigest", "The checksum you specified did not match the calculated checksum.")
    (tmp_path / "file").write_bytes(b"data")
    for call in (
        lambda objects: objects.create("a", b"data"),
        lambda objects: objects.upload("a", tmp_path / "file", hashlib.sha256(b"data").hexdigest()),
    ):
        objects, seen = answering(changed, (200, {}, b""))
        call(objects)
        assert len(seen) == 2


def test_an_upload_whose_parts_are_gone_begins_anew(answering, tmp_path):
    """As when the answer to the request that makes them one object was lost, and it is asked for again later."""
    data = b"x" * 17_000_000
    (tmp_path / "file").write_bytes(data)
    begun = b"<InitiateMultipartUploadResult><UploadId>1</UploadId></InitiateMultipartUploadResult>"
    made = b"<CompleteMultipartUploadResult><ETag>1</ETag></CompleteMultipartUploadResult>"
    part = (200, {"ETag": "1"}, b"")
    gone = error(404, "NoSuchUpload", "The specified upload does not exist.")
    objects, seen = answering(
        (200, {}, begun), part, part, gone, (204, {}, b""), (200, {}, begun), part, part, (200, {}, made)
    )
    objects.upload("a", tmp_path / "file", hashlib.sha256(data).hexdigest())
    assert [method for method, _ in seen] == ["POST", "PUT", "PUT", "POST", "DELETE", "POST", "PUT", "PUT", "POST"]


def test_a_body_that_breaks_off_is_asked_for_again(answering):
    objects, seen = answering((200, {"Content-Length": 100}, b"short"), (200, {}, b"whole"))
    assert objects.read("a") == b"whole"
    assert len(seen) == 2


@pytest.mark.parametrize("headers", [{"x-amz-checksum-crc32": "AAAAAA=="}, {"x-amz-meta-sha256": "0" * 64}])
def test_bytes_that_changed_are_asked_for_again_and_then_corrupt(answering, headers):
    objects, seen = answering((200, headers, b"damaged"), (200, {}, b"whole"))
    assert objects.read("a") == b"whole"
    objects, seen = answering((200, headers, b"damaged"))
    with pytest.raises(Corrupt, match="a"):
        objects.read("a")
    assert len(seen) == 2


def test_some_objects_that_cannot_be_removed(answering, impatient):
    body = (
        b'<?xml version="1.0" encoding="UTF-8"?><DeleteResult><Error><Key>team/b</Key><Code>AccessDenied</Code>'
        b"<Message>Access Denied</Message></Error></DeleteResult>"
    )
    objects, _ = answering((200, {}, body))
    with pytest.raises(Unreachable, match="s3:DeleteObject"):
        objects.delete(["a", "b"])


@pytest.mark.parametrize("url", ["http://minio.example.org:9000", "http://10.0.0.7", "http://127.0.0.1.example.org"])
@pytest.mark.parametrize("name", ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"])
def test_an_endpoint_without_tls_elsewhere_is_refused(s3_cloud, monkeypatch, name, url):
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3")
    monkeypatch.setenv(name, url)
    with pytest.raises(BadInput, match="https://") as caught:
        place("s3://runs")
    assert caught.value.value == url


@pytest.mark.parametrize("url", ["https://minio.example.org", "http://localhost:9000", "http://[::1]:9000"])
def test_endpoints_over_tls_or_on_this_machine(s3_cloud, monkeypatch, url):
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", url)
    assert place("s3://runs")._client.meta.endpoint_url == url


@pytest.mark.parametrize(("name", "value"), [("AWS_PROFILE", "nobody"), ("AWS_ENDPOINT_URL_S3", "nonsense")])
def test_settings_that_cannot_be_used(s3_cloud, monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    with pytest.raises(BadInput, match=value) as caught:
        place("s3://runs")
    assert name in caught.value.cure


def test_the_region_is_read_as_all_of_amazon_does(s3_cloud, monkeypatch):
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3")
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    monkeypatch.setenv("AWS_REGION", "ap-south-1")
    assert "ap-south-1" in place("s3://runs")._client.meta.endpoint_url


@pytest.mark.parametrize("size", [10, 20_000_000])
def test_how_an_object_is_kept(s3_cloud, objects, tmp_path, size):
    """Moto notes the key's name, and asks no key service."""
    (tmp_path / "file").write_bytes(b"x" * size)
    digest = hashlib.sha256(b"x" * size).hexdigest()
    objects.upload("plain", tmp_path / "file", digest)
    place(objects.uri, encryption_key=KEY).upload("encrypted", tmp_path / "file", digest)
    head = {
        name: boto3.client("s3").head_object(Bucket=objects.uri.removeprefix("s3://"), Key=name, ChecksumMode="ENABLED")
        for name in ("plain", "encrypted")
    }
    assert head["plain"]["Metadata"] == head["encrypted"]["Metadata"] == {"sha256": digest}
    assert "ChecksumCRC32" in head["plain"]
    assert head["plain"].get("ServerSideEncryption") != "aws:kms"
    assert (head["encrypted"]["ServerSideEncryption"], head["encrypted"]["SSEKMSKeyId"]) == ("aws:kms", KEY)


def test_small_objects_are_encrypted_as_well(objects):
    place(objects.uri, encryption_key=KEY).create("a", b"x")
    head = boto3.client("s3").head_object(Bucket=objects.uri.removeprefix("s3://"), Key="a")
    assert head["SSEKMSKeyId"] == KEY
    assert head["Metadata"] == {"sha256": hashlib.sha256(b"x").hexdigest()}


def test_a_disk_of_this_machine_that_fails_is_not_taken_for_the_place(objects, tmp_path):
    objects.create("a", b"x")
    (tmp_path / "file").touch()
    with pytest.raises(SlipwayError, match="cannot write") as caught:
        objects.download("a", tmp_path / "file" / "below", hashlib.sha256(b"x").hexdigest())
    assert not isinstance(caught.value, Unreachable | Missing | Corrupt)
