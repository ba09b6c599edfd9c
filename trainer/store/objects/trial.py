"""Finding out whether a server keeps the promise that all rests on."""

import secrets

from trainer.errors import BadInput
from trainer.store.objects.base import Exists, Objects


def make_one(objects: Objects, cure: str) -> None:
    """Make and remove an object. A second attempt must fail: a server without conditional writes lets it pass.

    Args:
        objects: the place.
        cure: what to do if it knows no conditional writes.

    Raises:
        BadInput: if it knows none.
        Unreachable: as it says; if objects may be made but not removed, one is left.
    """
    key = f".check-{secrets.token_hex(8)}"
    try:
        for _ in range(2):
            objects.create(key, b"")
    except Exists:
        return objects.delete([key])
    objects.delete([key])
    raise BadInput("store", objects.uri, "a store with conditional writes; the same object was made twice", cure)
