"""Objects in a bucket of Amazon S3, or of a server that speaks its protocol and knows conditional writes.

Credentials come from boto3's own chain (environment, profile, the machine's role), an endpoint of one's own from
`AWS_ENDPOINT_URL_S3` or `AWS_ENDPOINT_URL`. S3 is strongly consistent: a listing shows what was written before it.

Every request carries a CRC32 that S3 checks before it keeps the object. The sha256 is kept in the object's metadata as
well, and small objects are compared with it when they are read. An upload in parts that is broken off leaves no object;
its parts cost money until a rule of the bucket (`AbortIncompleteMultipartUpload`) removes them. In a bucket with
versions, `delete` hides objects, and a rule of the bucket removes them later.
"""

import functools
import hashlib
import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from trainer.clouds import endpoints
from trainer.errors import BadInput
from trainer.store.objects import s3_faults, transfer, trial
from trainer.store.objects.base import Corrupt, Described, Objects, Sent
from trainer.store.objects.patience import patiently
from trainer.store.objects.refused import Refused

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client
    from types_boto3_s3.type_defs import DeleteTypeDef

PART_BYTES = 16 << 20
"""Files larger than this go in parts of this size, several at once."""

REMOVED_AT_ONCE = 1000
"""How many keys one request to S3 may remove."""

SMALL_ATTEMPTS, FILE_ATTEMPTS = 3, 8
"""How often botocore itself tries a request: more often for one part of a file, so that not all of it is sent again."""

_CONNECTION = Config(
    connect_timeout=10,
    read_timeout=60,
    request_checksum_calculation="when_supported",
    response_checksum_validation="when_supported",
    max_pool_connections=32,
    tcp_keepalive=True,
)
_PARTS = TransferConfig(multipart_threshold=PART_BYTES, multipart_chunksize=PART_BYTES, max_concurrency=8)

T = TypeVar("T")


class S3Objects(Objects):
    """Objects below a prefix of a bucket.

    Args:
        uri: as people write it.
        bucket: its name.
        prefix: without a `/` at either end; may be empty.
        encryption_key: a key of AWS KMS with which S3 encrypts each object; without one, as is set on the bucket.

    Raises:
        BadInput: if the endpoint, or what is set for AWS, cannot be used.
    """

    def __init__(self, uri: str, bucket: str, prefix: str = "", encryption_key: str | None = None) -> None:
        self.uri, self._bucket, self._root = uri, bucket, f"{prefix}/" if prefix else ""
        self._client, self._files = _clients(uri)
        self._encryption: dict[str, Any] = {}
        if encryption_key is not None:
            self._encryption = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": encryption_key}

    def check(self, *, write: bool) -> None:
        """Find out whether the bucket is there and ours, by making and removing an object (`Objects.check`)."""
        try:
            self._call("", lambda: self._page(MaxKeys=1))
            if write:
                trial.make_one(self, "use AWS, or a server of S3 that knows If-None-Match")
        except Refused as refused:
            raise refused.mend from refused

    def keys(self, prefix: str = "", *, after: str = "") -> Iterator[Described]:
        """The objects below a prefix, sorted, a thousand a request (`Objects.keys`)."""
        for page in self._pages(prefix, **({"StartAfter": self._root + after} if after else {})):
            for found in page.get("Contents", []):
                yield Described(found["Key"].removeprefix(self._root), found["Size"])

    def names(self, prefix: str = "") -> list[str]:
        """The "folders" that come next in the keys (`Objects.names`)."""
        pages = self._pages(prefix, Delimiter="/")
        folders = (found["Prefix"] for page in pages for found in page.get("CommonPrefixes", []))
        return sorted(folder.removeprefix(self._root + prefix).rstrip("/") for folder in folders)

    def _pages(self, prefix: str, **wish: str) -> Iterator[Mapping[str, Any]]:
        while True:
            page = self._call(prefix, lambda: self._page(prefix, **wish))
            yield page
            if not page["IsTruncated"]:
                return
            wish["ContinuationToken"] = page["NextContinuationToken"]

    def _page(self, prefix: str = "", **wish: Any) -> Mapping[str, Any]:
        return self._client.list_objects_v2(Bucket=self._bucket, Prefix=self._root + prefix, **wish)

    def read(self, key: str) -> bytes:
        """A small object, compared with its sha256 (`Objects.read`)."""
        try:
            return self._call(key, lambda: self._read(key))
        except Corrupt:
            return self._call(key, lambda: self._read(key))

    def _read(self, key: str) -> bytes:
        answer = self._client.get_object(Bucket=self._bucket, Key=self._root + key)
        data = answer["Body"].read()
        if answer["Metadata"].get("sha256") not in (None, hashlib.sha256(data).hexdigest()):
            raise Corrupt(f"{self.uri}/{key} is not what was sent: its sha256 differs")
        return data

    def create(self, key: str, data: bytes) -> None:
        """Make a small object if there is none (`Objects.create`)."""
        self._put(key, data, IfNoneMatch="*")

    def replace(self, key: str, data: bytes) -> None:
        """Make a small object, or put it in the place of another (`Objects.replace`)."""
        self._put(key, data)

    def _put(self, key: str, data: bytes, **condition: str) -> None:
        how = self._extra(hashlib.sha256(data).hexdigest()) | condition
        self._call(key, lambda: self._client.put_object(Bucket=self._bucket, Key=self._root + key, Body=data, **how))

    def upload(self, key: str, path: Path, sha256: str, sent: Sent | None = None) -> None:
        """Make an object of a file, in parts at once if it is large (`Objects.upload`).

        When a part must be sent again, `sent` is told of a negative number first.
        """
        transfer.check(path, sha256)
        self._call(key, lambda: self._upload(key, path, self._extra(sha256), sent))

    def _upload(self, key: str, path: Path, extra: dict[str, Any], sent: Sent | None) -> None:
        with path.open("rb") as file:
            self._files.upload_fileobj(
                file, self._bucket, self._root + key, ExtraArgs=extra, Callback=sent, Config=_PARTS
            )

    def download(self, key: str, path: Path, sha256: str, received: Sent | None = None) -> None:
        """Make a file of an object, in parts at once if it is large (`Objects.download`)."""

        def fetch(arriving: transfer.Arriving) -> None:
            # What has no `seek` is written in order, whichever part comes first.
            self._files.download_fileobj(self._bucket, self._root + key, cast(Any, arriving), Config=_PARTS)

        self._call(key, lambda: transfer.download(key, path, sha256, fetch, received))

    def delete(self, keys: Iterable[str]) -> None:
        """Remove objects, a thousand a request (`Objects.delete`)."""
        left = iter(keys)
        while some := list(itertools.islice(left, REMOVED_AT_ONCE)):
            self._call(some[0], functools.partial(self._delete, some))

    def _delete(self, keys: list[str]) -> None:
        wish: DeleteTypeDef = {"Objects": [{"Key": self._root + key} for key in keys], "Quiet": True}
        answer = self._client.delete_objects(Bucket=self._bucket, Delete=wish)
        for failed in answer.get("Errors", []):
            if failed.get("Code") != "NoSuchKey":
                raise ClientError({"Error": failed}, "DeleteObjects")

    def _extra(self, sha256: str) -> dict[str, Any]:
        return {"ChecksumAlgorithm": "CRC32", "Metadata": {"sha256": sha256}, **self._encryption}

    def _call(self, key: str, action: Callable[[], T]) -> T:
        """Do it, again while that may help, and say what is wrong in the words of `Objects`."""
        try:
            return patiently(action, s3_faults.is_passing)
        except (ClientError, BotoCoreError) as error:
            raise s3_faults.translated(error, self.uri, key) from error


def _clients(uri: str) -> "list[S3Client]":
    """One for small requests, and one for files."""
    try:
        # boto3 itself reads only AWS_DEFAULT_REGION; everything else of AWS reads AWS_REGION.
        session = boto3.session.Session(region_name=os.environ.get("AWS_REGION"))
        clients = [
            session.client(
                "s3", config=_CONNECTION.merge(Config(retries={"mode": "standard", "total_max_attempts": most}))
            )
            for most in (SMALL_ATTEMPTS, FILE_ATTEMPTS)
        ]
    except (BotoCoreError, ValueError) as error:
        cure = "mend AWS_PROFILE, AWS_REGION, AWS_ENDPOINT_URL_S3, or the files in ~/.aws"
        raise BadInput("store", uri, f"settings of AWS that can be used; AWS says: {error}", cure) from error
    endpoints.check_encrypted("AWS_ENDPOINT_URL_S3", clients[0].meta.endpoint_url)
    return clients
