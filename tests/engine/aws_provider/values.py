"""Values in Terraform's shape as its protocol writes them, and the one that is not known yet."""

from typing import Any

import msgpack

UNKNOWN = msgpack.ExtType(0, b"\0")
"""What is not known yet, as of a resource that is still to be made."""


def has_unknown(value: Any) -> bool:
    """Whether something in a value is not known yet."""
    if isinstance(value, dict):
        return any(map(has_unknown, value.values()))
    return any(map(has_unknown, value)) if isinstance(value, list) else value == UNKNOWN


def without_unknown(value: Any) -> Any:
    """The value with None where it is not known: after an apply that is what Terraform's core makes of the rest."""
    if isinstance(value, dict):
        return {key: without_unknown(each) for key, each in value.items()}
    if isinstance(value, list):
        return [without_unknown(each) for each in value]
    return None if value == UNKNOWN else value


def encode(value: Any) -> bytes:
    """A value as the protocol writes it."""
    return msgpack.packb(value, use_bin_type=True)


def decode(data: bytes) -> Any:
    """The value that the protocol wrote; what is unknown within limits is plainly unknown here."""
    if not data:
        return None
    return msgpack.unpackb(data, ext_hook=lambda code, content: UNKNOWN, strict_map_key=False, raw=False)
