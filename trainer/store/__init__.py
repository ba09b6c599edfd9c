"""Where runs are kept. `resolve` gives the store that a run file's `store` names."""

import re

from trainer.errors import BadInput
from trainer.store.base import Store
from trainer.store.local import LocalStore

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)")


def resolve(uri: str) -> Store:
    """The store that a URI names.

    Args:
        uri: a path, or `file://` with an absolute one. `~` is the home folder.

    Raises:
        BadInput: if it names no store that there is.
    """
    match = _SCHEME.fullmatch(uri)
    if match is None:
        if not uri or "\0" in uri:
            raise BadInput("store", uri, "the path of a folder", "write a path, such as runs")
        return LocalStore.at(uri)
    scheme, rest = match[1].lower(), match[2]
    if scheme != "file":
        cure = "write the path of a folder (a NAS mount or a mounted bucket will do)"
        raise BadInput("store", uri, "a path, or file:// with an absolute path", cure)
    if not rest.startswith("/"):
        raise BadInput("store", uri, "file:// with an absolute path: file:///srv/runs", "write three slashes")
    return LocalStore.at(rest)
