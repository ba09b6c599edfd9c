"""Objects in a bucket of Google Cloud Storage.

Credentials are the application's default ones; with `STORAGE_EMULATOR_HOST` the library talks to another server,
without any. The storage is strongly consistent: a listing shows what was written before it.

Every upload carries its CRC32C, which the storage checks before there is an object; every download is compared with the
object's. The sha256 is kept in the object's metadata. A resumable upload that is broken off leaves no object, and costs
nothing.
"""

import base64
import contextlib
import hashlib
import io
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, cast

import google_crc32c
from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError
from google.cloud import storage
from google.cloud.storage.retry import DEFAULT_RETRY

from trainer.clouds import endpoints
from trainer.errors import BadInput
from trainer.store.objects import gcs_faults, patience, transfer, trial
from trainer.store.objects.base import Corrupt, Described, Missing, Objects, Sent
from trainer.store.objects.refused import Refused

PART_BYTES = 64 << 20
"""Large files go in parts of this size, so that only one is sent again when the connection breaks.

Parts go one after the other, and each is waited for: so they are not small. One at a time is held in memory.
"""

REMOVED_AT_ONCE = 8

_LIMITS_SECONDS = (10.0, 60.0)
"""For how long one try may wait for a connection, and for an answer."""

T = TypeVar("T")


class GcsObjects(Objects):
    """Objects below a prefix of a bucket.

    Args:
        uri: as people write it.
        bucket: its name.
        prefix: without a `/` at either end; may be empty.
        encryption_key: a key of Cloud KMS with which each object is encrypted; without one, as is set on the bucket.

    Raises:
        BadInput: if there are no credentials, or the endpoint cannot be used.
    """

    def __init__(self, uri: str, bucket: str, prefix: str = "", encryption_key: str | None = None) -> None:
        self.uri, self._root, self._encryption_key = uri, f"{prefix}/" if prefix else "", encryption_key
        self._client = _client(uri)
        self._bucket = self._client.bucket(bucket)

    def check(self, *, write: bool) -> None:
        """Find out whether the bucket is there and ours, by making and removing an object (`Objects.check`)."""
        try:
            self._call("", lambda: list(self._listed(max_results=1)))
            if write:
                trial.make_one(self, "use Google Cloud Storage, or a server that knows ifGenerationMatch")
        except Refused as refused:
            raise refused.mend from refused

    def keys(self, prefix: str = "", *, after: str = "") -> Iterator[Described]:
        """The objects below a prefix, sorted, a thousand a request (`Objects.keys`)."""
        wish = {"start_offset": self._root + after} if after else {}  # it names the first one, which is not wanted
        pages = iter(self._listed(prefix, fields="items(name,size),nextPageToken", **wish).pages)
        while (page := self._call("", lambda: next(pages, None))) is not None:
            for blob in page:
                key = blob.name.removeprefix(self._root)
                if key > after:
                    yield Described(key, int(blob.size))

    def names(self, prefix: str = "") -> list[str]:
        """The "folders" that come next in the keys (`Objects.names`)."""
        listed = self._listed(prefix, delimiter="/", fields="prefixes,nextPageToken")
        self._call("", lambda: list(listed))
        return sorted(folder.removeprefix(self._root + prefix).rstrip("/") for folder in listed.prefixes)

    def _listed(self, prefix: str = "", **wish: Any) -> Any:
        return self._client.list_blobs(self._bucket, prefix=self._root + prefix, **wish, **_tries())

    def read(self, key: str) -> bytes:
        """A small object, compared with its CRC32C (`Objects.read`)."""
        try:
            return self._read(key)
        except Corrupt:
            return self._read(key)

    def _read(self, key: str) -> bytes:
        blob, how = self._blob(key), {"raw_download": True, "checksum": "crc32c", **_tries()}
        return cast(bytes, self._call(key, lambda: blob.download_as_bytes(**how)))

    def create(self, key: str, data: bytes) -> None:
        """Make a small object if there is none (`Objects.create`)."""
        self._put(key, data, if_generation_match=0)

    def replace(self, key: str, data: bytes) -> None:
        """Make a small object, or put it in the place of another (`Objects.replace`)."""
        self._put(key, data)

    def _put(self, key: str, data: bytes, **condition: int) -> None:
        blob = self._blob(key, hashlib.sha256(data).hexdigest())
        how = {"content_type": "application/octet-stream", "checksum": "crc32c", **condition, **_tries()}
        self._send(key, lambda: blob.upload_from_string(data, **how))

    def upload(self, key: str, path: Path, sha256: str, sent: Sent | None = None) -> None:
        """Make an object of a file, part after part if it is large (`Objects.upload`).

        When a part must be sent again, `sent` is told of a negative number first.
        """
        crc32c = google_crc32c.Checksum()
        transfer.check(path, sha256, crc32c)
        blob = self._blob(key, sha256)
        blob.chunk_size = PART_BYTES
        how = {"content_type": "application/octet-stream", "checksum": "crc32c", "size": path.stat().st_size}
        how["crc32c_checksum_value"] = base64.b64encode(crc32c.digest()).decode()
        with path.open("rb") as file:
            reading = _Reading(file, sent) if sent else file
            self._send(key, lambda: blob.upload_from_file(reading, rewind=True, **how, **_tries()))

    def download(self, key: str, path: Path, sha256: str, received: Sent | None = None) -> None:
        """Make a file of an object, compared with its CRC32C and its sha256 (`Objects.download`)."""

        def fetch(arriving: transfer.Arriving) -> None:
            how = {"raw_download": True, "checksum": "crc32c", **_tries()}
            with io.BufferedWriter(_Passing(arriving), transfer.PIECE) as gathered:
                self._call(key, lambda: self._blob(key).download_to_file(gathered, **how))

        transfer.download(key, path, sha256, fetch, received)

    def delete(self, keys: Iterable[str]) -> None:
        """Remove objects, some at once (`Objects.delete`)."""
        with ThreadPoolExecutor(REMOVED_AT_ONCE) as threads:
            for _ in threads.map(self._delete, keys):
                pass

    def _delete(self, key: str) -> None:
        with contextlib.suppress(Missing):
            self._call(key, lambda: self._blob(key).delete(**_tries()))

    def _blob(self, key: str, sha256: str | None = None) -> Any:
        blob = self._bucket.blob(self._root + key, kms_key_name=self._encryption_key if sha256 else None)
        if sha256:
            blob.metadata = {"sha256": sha256}
        return blob

    def _send(self, key: str, action: Callable[[], object]) -> None:
        """Upload something, from its beginning again where the library cannot go on."""
        self._call(key, lambda: patience.patiently(action, gcs_faults.is_sent_anew))

    def _call(self, key: str, action: Callable[[], T]) -> T:
        """Do it, and say what is wrong in the words of `Objects`. That the library tries again, `_tries` has said."""
        try:
            return action()
        except gcs_faults.FAULTS as error:
            raise gcs_faults.translated(error, self.uri, key) from error


class _Passing(io.RawIOBase):
    """What a buffer passes on: the library hands out 8 KiB at a time, too little to be hashed and written each."""

    def __init__(self, arriving: transfer.Arriving) -> None:
        self._arriving = arriving

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        return self._arriving.write(data)


class _Reading:
    """A file that is being sent, and tells of it."""

    def __init__(self, file: BinaryIO, told: Sent) -> None:
        self._file, self._told = file, told

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self._told(len(data))
        return data

    def tell(self) -> int:
        return self._file.tell()

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        before, after = self._file.tell(), self._file.seek(offset, whence)
        if after != before:
            self._told(after - before)  # what is sent again
        return after


def _tries() -> dict[str, Any]:
    """How long and how often the library tries: also what is conditional, as a repeated `create` says `Exists`."""
    return {"retry": DEFAULT_RETRY.with_timeout(patience.DEADLINE_SECONDS), "timeout": _LIMITS_SECONDS}


def _client(uri: str) -> Any:
    # Otherwise a thread asks for the bucket's own description, for traces that nobody reads.
    os.environ.setdefault("DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA", "true")
    try:
        client = storage.Client(project="unused")  # objects need none, and people who have set none need not
    except DefaultCredentialsError as error:
        allowed = f"credentials of Google Cloud for this place; the library says: {error}"
        raise BadInput("store", uri, allowed, gcs_faults.SIGN_IN) from error
    except (GoogleAuthError, OSError, ValueError) as error:
        allowed = f"settings of Google Cloud that can be used; the library says: {error}"
        raise BadInput("store", uri, allowed, "mend GOOGLE_APPLICATION_CREDENTIALS, or unset it") from error
    endpoints.check_encrypted("STORAGE_EMULATOR_HOST", client.api_endpoint)
    client._http.hooks["response"].append(_read_refusal)
    return client


def _read_refusal(response: Any, **_: Any) -> None:
    """The library leaves the body of a refused download unread, and its connection open until that is collected."""
    if not response.ok:
        _ = response.content
