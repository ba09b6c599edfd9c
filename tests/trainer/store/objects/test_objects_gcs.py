"""A bucket of Google Cloud Storage: what it answers when something is wrong.

fake-gcs-server knows no permissions, no keys of Cloud KMS and no faults, and does not compare an upload with its
checksum. That, a server answers here as Google's documents have it.
"""

import base64
import contextlib
import gc
import hashlib
import json
import warnings

import google_crc32c
import pytest
import servers
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from trainer.errors import BadInput, SlipwayError
from trainer.store.objects import patience
from trainer.store.objects.base import Corrupt, Exists, Missing, Unreachable
from trainer.store.objects.places import place

KEY = "projects/p/locations/europe-west1/keyRings/r/cryptoKeys/k"
LISTING = (200, {"Content-Type": "application/json"}, b'{"kind": "storage#objects"}')
MADE = (200, {"Content-Type": "application/json"}, b'{"name": "team/a", "bucket": "runs", "generation": "1"}')


def error(status, message):
    """An answer as the JSON API gives it."""
    body = {"error": {"code": status, "message": message, "errors": [{"message": message}]}}
    return status, {"Content-Type": "application/json"}, json.dumps(body).encode()


KEPT = "is subject to bucket's retention policy or object retention"


def crc32c(data):
    return base64.b64encode(google_crc32c.Checksum(data).digest()).decode()


@pytest.fixture
def answering(gcs_cloud, monkeypatch):
    """A place behind which a server gives the answers of a list, the last one for ever; and the requests it got."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gc.collect()  # what tests of others left is not looked for here
    with contextlib.ExitStack() as stack:

        def start(*answers, **keywords):
            seen = []

            def answer(method, path, headers, body):
                seen.append((method, path, body))
                answered = answers[min(len(seen), len(answers)) - 1]
                return answered(headers) if callable(answered) else answered

            monkeypatch.setenv("STORAGE_EMULATOR_HOST", stack.enter_context(servers.answering(answer)))
            return place("gs://runs/team", **keywords), seen

        yield start
    with warnings.catch_warnings(record=True) as left:
        warnings.simplefilter("always")
        gc.collect()
    assert [str(one.message) for one in left] == []  # the library leaves sockets of refused downloads to the collector


@pytest.fixture
def objects(gcs_cloud, bucket):
    servers.make_bucket(f"gs://{bucket}")
    return place(f"gs://{bucket}")


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(patience, "DEADLINE_SECONDS", 1.5)


def bad_input(objects, write=False):
    """The one clear error of a check."""
    with pytest.raises(BadInput) as caught:
        objects.check(write=write)
    assert caught.value.field == "store"
    assert caught.value.value == objects.uri
    return caught.value


def test_a_bucket_that_is_not_there(gcs_cloud):
    objects = place("gs://no-such-bucket/team")
    assert "make the bucket first" in bad_input(objects).cure
    for call in (lambda: list(objects.keys("")), objects.names):
        with pytest.raises(Unreachable, match="make the bucket first"):
            call()


def test_a_bucket_that_went_away_is_not_taken_for_a_missing_object(answering):
    objects, _ = answering(error(404, "The specified bucket does not exist."))
    for call in (lambda: objects.create("a", b""), lambda: objects.read("a"), lambda: objects.delete(["a"])):
        with pytest.raises(Unreachable, match="make the bucket first"):
            call()
    objects, _ = answering(error(404, "No such object: runs/team/a"))
    objects.delete(["a"])
    with pytest.raises(Missing):
        objects.read("a")


def test_no_credentials(no_cloud):
    with pytest.raises(BadInput) as caught:
        place("gs://runs")
    assert (caught.value.field, caught.value.value) == ("store", "gs://runs")
    assert "gcloud auth application-default login" in caught.value.cure


@pytest.mark.parametrize("content", [None, "nonsense", '{"type": "unknown"}'])
def test_credentials_that_cannot_be_read(no_cloud, monkeypatch, tmp_path, content):
    if content is not None:
        (tmp_path / "key.json").write_text(content)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "key.json"))
    with pytest.raises(BadInput, match=r"key\.json") as caught:
        place("gs://runs")
    assert caught.value.field == "store"


def test_credentials_that_are_over(no_cloud, monkeypatch, tmp_path):
    """A key of a service account that Google has disabled. A server here is asked in place of Google's."""
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    refused = {"error": "invalid_grant", "error_description": "Invalid JWT Signature."}
    answer = (400, {"Content-Type": "application/json"}, json.dumps(refused).encode())
    with servers.answering(lambda *_: answer) as address:
        key = {"type": "service_account", "client_email": "me@p.iam", "token_uri": address}
        (tmp_path / "key.json").write_text(json.dumps(key | {"private_key": private.decode()}))
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "key.json"))
        refused = bad_input(place("gs://runs/team"))
    assert "credentials that are still good; Google says: " in refused.allowed
    assert "Invalid JWT Signature" in refused.allowed
    assert "gcloud auth" in refused.cure


@pytest.mark.parametrize(
    ("answer", "allowed", "cure"),
    [
        (
            error(403, "me@p.iam does not have storage.objects.list access to the Google Cloud Storage bucket."),
            "credentials that may storage.objects.list",
            "roles/storage.objectUser",
        ),
        (error(404, "The specified bucket does not exist."), "a bucket that there is", "make the bucket first"),
    ],
)
def test_what_a_person_can_mend(answering, answer, allowed, cure):
    objects, _ = answering(answer)
    refused = bad_input(objects)
    assert allowed in refused.allowed
    assert cure in refused.cure


@pytest.mark.parametrize(
    ("answers", "allowed", "cure"),
    [
        ([error(403, "no storage.objects.create access")], "may storage.objects.create", "objectUser"),
        (
            [MADE, error(412, "conditionNotMet"), error(403, "no storage.objects.delete access")],
            "may storage.objects.delete",
            "objectUser",
        ),
        (
            [MADE, error(412, "conditionNotMet"), error(403, f"Object 'runs/x' {KEPT} and cannot be deleted")],
            "whose objects may be replaced and removed; Google says",
            "remove the bucket's retention policy",
        ),
        (
            [MADE, error(412, "conditionNotMet"), error(403, "Object 'runs/x' is under active Event-Based hold")],
            "whose objects may be replaced and removed; Google says",
            "the objects' holds",
        ),
        (
            [error(403, "Permission denied on Cloud KMS key. Please ensure that your service account has access")],
            "an encryption key that may be used",
            "roles/cloudkms.cryptoKeyEncrypterDecrypter",
        ),
    ],
)
def test_what_a_person_can_mend_before_writing(answering, answers, allowed, cure):
    objects, _ = answering(LISTING, *answers)
    refused = bad_input(objects, write=True)
    assert allowed in refused.allowed
    assert cure in refused.cure


def test_a_server_that_knows_no_conditional_writes_is_found_out(answering):
    objects, seen = answering(LISTING, MADE, MADE, (204, {}, b""))
    assert "the same object was made twice" in bad_input(objects, write=True).allowed
    assert [method for method, *_ in seen] == ["GET", "POST", "POST", "DELETE"]
    assert "ifGenerationMatch=0" in seen[1][1]


def test_a_connection_that_breaks_after_the_object_was_made(answering):
    objects, seen = answering(None, error(412, "conditionNotMet"))
    with pytest.raises(Exists):
        objects.create("a", b"data")
    assert len(seen) == 2


def test_a_fault_that_passes(answering):
    objects, seen = answering(error(503, "Backend Error"), error(429, "rate"), MADE)
    objects.replace("a", b"data")
    assert len(seen) == 3


def test_a_server_that_is_too_busy_for_long_is_unreachable(answering, impatient):
    objects, seen = answering(error(503, "Backend Error"))
    for call in (lambda: objects.replace("a", b""), lambda: objects.read("a"), lambda: list(objects.keys(""))):
        with pytest.raises(Unreachable):
            call()
    assert len(seen) >= 6


def test_nobody_answers(gcs_cloud, impatient, monkeypatch):
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:1")
    objects = place("gs://runs")
    for call in (lambda: objects.check(write=False), lambda: objects.read("a"), lambda: objects.delete(["a"])):
        with pytest.raises(Unreachable, match="gs://runs: "):
            call()


def test_bytes_that_changed_are_asked_for_again_and_then_corrupt(answering, tmp_path):
    damaged = (200, {"x-goog-hash": f"crc32c={crc32c(b'whole')}"}, b"other")
    whole = (200, {"x-goog-hash": f"crc32c={crc32c(b'whole')}"}, b"whole")
    digest = hashlib.sha256(b"whole").hexdigest()
    objects, _ = answering(damaged, whole)
    assert objects.read("a") == b"whole"
    objects, _ = answering(damaged, whole)
    objects.download("a", tmp_path / "file", digest)
    assert (tmp_path / "file").read_bytes() == b"whole"
    objects, seen = answering(damaged)
    with pytest.raises(Corrupt, match="a"):
        objects.read("a")
    with pytest.raises(Corrupt, match="a"):
        objects.download("a", tmp_path / "other", digest)
    assert len(seen) == 4
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_each_object_is_sent_with_its_checksum(answering, tmp_path):
    """The storage makes no object of bytes that have another."""
    objects, seen = answering(MADE)
    objects.create("a", b"data")
    assert json.dumps({"crc32c": crc32c(b"data")})[1:-1].encode() in seen[0][2]

    data = b"x" * 9_000_000
    (tmp_path / "large").write_bytes(data)
    made = json.dumps({"name": "team/a", "bucket": "runs", "generation": "1", "crc32c": crc32c(data)}).encode()
    kind = {"Content-Type": "application/json"}
    objects, seen = answering(
        lambda headers: (200, {"Location": f"http://{headers['Host']}/resumable"}, b""), (200, kind, made)
    )
    objects.upload("a", tmp_path / "large", hashlib.sha256(data).hexdigest())
    assert json.loads(seen[0][2])["crc32c"] == crc32c(data)
    assert seen[1][2] == data


CHANGED = 'Provided CRC32C "AAAAAA==" doesn\'t match calculated CRC32C "2HvlZg==".'


def test_what_changed_on_its_way_is_sent_again(answering):
    objects, seen = answering(error(400, CHANGED), MADE)
    objects.create("a", b"data")
    assert [b"\r\n\r\ndata\r\n" in body for _, _, body in seen] == [True, True]


@pytest.mark.parametrize("last", [error(400, CHANGED), error(410, "gone"), error(404, "no")])
def test_an_upload_in_parts_that_cannot_go_on_begins_anew(answering, tmp_path, last):
    data = b"x" * 9_000_000
    (tmp_path / "large").write_bytes(data)
    kind = {"Content-Type": "application/json"}
    made = 200, kind, json.dumps({"name": "team/a", "bucket": "runs", "crc32c": crc32c(data)}).encode()

    def begun(headers):
        return 200, {"Location": f"http://{headers['Host']}/resumable?upload_id=secret"}, b""

    sent = []
    objects, seen = answering(begun, last, begun, made)
    objects.upload("a", tmp_path / "large", hashlib.sha256(data).hexdigest(), sent.append)
    assert [body for _, _, body in seen].count(data) == 2
    assert sum(sent) == len(data)
    assert min(sent) < 0


def test_the_id_of_an_upload_in_parts_is_not_told(answering, tmp_path, impatient):
    (tmp_path / "large").write_bytes(b"x" * 9_000_000)

    def begun(headers):
        return 200, {"Location": f"http://{headers['Host']}/resumable?upload_id=ABPn-secret_1"}, b""

    objects, _ = answering(begun, error(400, "no"))
    with pytest.raises(Unreachable, match=r"upload_id=\.\.\.") as caught:
        objects.upload("a", tmp_path / "large", hashlib.sha256(b"x" * 9_000_000).hexdigest())
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("host", ["http://storage.example.org", "http://10.0.0.7:4443", "storage.example.org"])
def test_an_endpoint_without_tls_elsewhere_is_refused(gcs_cloud, monkeypatch, host):
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", host)
    with pytest.raises(BadInput, match="https://") as caught:
        place("gs://runs")
    assert caught.value.value == host


@pytest.mark.parametrize("size", [10, 20_000_000])
def test_how_an_object_is_kept(gcs_cloud, objects, tmp_path, size):
    from google.cloud import storage

    (tmp_path / "file").write_bytes(b"x" * size)
    digest = hashlib.sha256(b"x" * size).hexdigest()
    objects.upload("file", tmp_path / "file", digest)
    objects.create("small", b"x")
    with contextlib.closing(storage.Client()) as client:
        kept = client.bucket(objects.uri.removeprefix("gs://"))
        assert kept.get_blob("file").metadata == {"sha256": digest}
        assert kept.get_blob("file").crc32c == crc32c(b"x" * size)
        assert kept.get_blob("small").metadata == {"sha256": hashlib.sha256(b"x").hexdigest()}


def test_the_encryption_key_is_named_in_each_request_that_makes_an_object(answering, tmp_path):
    objects, seen = answering(MADE, encryption_key=KEY)
    objects.create("a", b"data")
    objects.replace("a", b"data")
    (tmp_path / "file").write_bytes(b"data")
    objects.upload("a", tmp_path / "file", hashlib.sha256(b"data").hexdigest())
    assert [f"kmsKeyName={KEY.replace('/', '%2F')}" in path for _, path, _ in seen] == [True] * 3


def test_a_disk_of_this_machine_that_fails_is_not_taken_for_the_place(objects, tmp_path):
    objects.create("a", b"x")
    (tmp_path / "file").touch()
    with pytest.raises(SlipwayError, match="cannot write") as caught:
        objects.download("a", tmp_path / "file" / "below", hashlib.sha256(b"x").hexdigest())
    assert not isinstance(caught.value, Unreachable | Missing | Corrupt)
