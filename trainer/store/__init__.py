"""Where runs are kept. `resolve` gives the store that a run file's `store` names."""

import re
from typing import TYPE_CHECKING

from trainer.errors import BadInput, nearest

if TYPE_CHECKING:
    from trainer.store.base import Store

SHARED = ("s3", "gs", "nas")
"""The schemes of places that several machines reach; a run there is a journal over objects."""
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)")
_HALF_A_SCHEME = re.compile(r"(s3|gs|nas|file):/?(.*)", re.IGNORECASE)


def resolve(uri: str, encryption_key: str | None = None) -> "Store":
    """The store that a URI names.

    Args:
        uri: a path (`~` is the home folder), `file://` with an absolute one, `s3://BUCKET/PREFIX`,
            `gs://BUCKET/PREFIX`, or `nas://` with the absolute path of a folder that several machines mount.
        encryption_key: the key that a bucket encrypts what is made with; None: the bucket's own.

    Raises:
        BadInput: if it names no store that there is.
    """
    from trainer.store.local import LocalStore

    match = _SCHEME.fullmatch(uri)
    scheme = match[1].lower() if match else "file"
    if encryption_key is not None and scheme not in ("s3", "gs"):
        allowed = f"null, as {uri} is no bucket"
        raise BadInput("store_encryption_key", encryption_key, allowed, "leave it out, or give s3://... or gs://...")
    if match is None:
        half = _HALF_A_SCHEME.fullmatch(uri)
        if half is not None:
            raise BadInput(
                "store", uri, f"{half[1].lower()}:// and what follows", f"write {half[1].lower()}://{half[2]}"
            )
        if not uri or "\0" in uri:
            raise BadInput("store", uri, "the path of a folder, or a bucket", "write runs, or s3://BUCKET/PREFIX")
        return LocalStore.at(uri)
    if scheme in SHARED:
        from trainer.store.mirrored import MirroredStore

        return MirroredStore.at(uri, encryption_key)
    if scheme != "file":
        near = nearest(scheme, (*SHARED, "file"))
        allowed = "a path, or file://, s3://, gs:// or nas:// and what follows"
        raise BadInput("store", uri, allowed, f"write {near}://{match[2]}" if near else "write the path of a folder")
    if not match[2].startswith("/"):
        raise BadInput("store", uri, "file:// with an absolute path: file:///srv/runs", "write three slashes")
    return LocalStore.at(match[2])
