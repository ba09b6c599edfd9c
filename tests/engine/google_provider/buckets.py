"""Buckets and objects, kept by the server that `STORAGE_EMULATOR_HOST` names: it has them, or has them not.

The client is Google's own.
"""

import base64
import contextlib
import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from google_provider.wire import SIGNATURE


@contextlib.contextmanager
def client() -> Iterator[Any]:
    """A client of the server."""
    from google.cloud import storage

    with contextlib.closing(storage.Client()) as made:
        yield made


def create(name: str, location: str, versioned: bool) -> None:
    """Make a bucket.

    Raises:
        google.api_core.exceptions.Conflict: there is one with this name.
    """
    with client() as server:
        bucket = server.bucket(name)
        bucket.versioning_enabled = versioned
        server.create_bucket(bucket, location=location)


def exists(name: str) -> bool:
    """Whether there is a bucket with this name."""
    with client() as server:
        return server.lookup_bucket(name) is not None


def delete(name: str, force: bool) -> str | None:
    """Delete a bucket.

    Args:
        name: of the bucket.
        force: whether its objects are deleted before.

    Returns:
        Why it was not deleted; None if it was, or was not there.
    """
    from google.api_core.exceptions import NotFound

    with client() as server:
        bucket = server.lookup_bucket(name)
        if bucket is None:
            return None
        # Old versions, too: Cloud Storage deletes no bucket that has any. The server asks for this very spelling.
        held = list(server.list_blobs(name, versions="true"))
        if held and not force:
            return f"409: the bucket {name} has {len(held)} objects, and forceDestroy is not set in the state"
        for blob in held:
            with contextlib.suppress(NotFound):  # the server knows an old version by no other name than the new one
                bucket.delete_blob(blob.name, generation=blob.generation)
        bucket.delete()
    return None


def upload(bucket: str, name: str, properties: Mapping[str, Any]) -> dict[str, Any]:
    """Upload what an object's `content` or `source` says; the outputs that tell of it.

    Raises:
        google.api_core.exceptions.NotFound: there is no such bucket.
    """
    content = data(properties)
    with client() as server:
        blob = server.bucket(bucket).blob(name)
        blob.metadata = properties.get("metadata")
        blob.upload_from_string(content, content_type=properties.get("contentType") or "application/octet-stream")
        digest = hashlib.md5(content, usedforsecurity=False)
        return {
            "crc32c": blob.crc32c,
            "generation": blob.generation,
            "md5hash": base64.b64encode(digest.digest()).decode(),
            "md5hexhash": digest.hexdigest(),
        }


def data(properties: Mapping[str, Any]) -> bytes:
    """What an object's `content` or `source` says.

    Raises:
        ValueError: it is an archive, which is not supported.
    """
    if properties.get("content") is not None:
        return str(properties["content"]).encode()
    source = properties["source"]
    if source.get("text") is not None:
        return str(source["text"]).encode()
    if source.get("path") and "assets" not in source and Path(source["path"]).is_file():
        return Path(source["path"]).read_bytes()
    raise ValueError(f"only texts and files can be uploaded, not {dict(source) | {SIGNATURE: ...}}")


def has(bucket: str, name: str) -> bool:
    """Whether there is an object."""
    with client() as server:
        return bool(server.bucket(bucket).blob(name).exists())


def remove(bucket: str, name: str) -> None:
    """Delete an object, if it is there."""
    from google.api_core.exceptions import NotFound

    with client() as server, contextlib.suppress(NotFound):
        server.bucket(bucket).blob(name).delete()
