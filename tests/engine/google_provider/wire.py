"""Values as Pulumi's protocol has them, and as Python has them.

The protocol is in https://github.com/pulumi/pulumi/blob/master/proto/pulumi/provider.proto; what no JSON can say
(unknowns, secrets, assets) has special keys and values there.
"""

from collections.abc import Mapping
from typing import Any, Final

from google.protobuf import struct_pb2
from pulumi.runtime import rpc

SIGNATURE: Final = rpc._special_sig_key
SECRET: Final = rpc._special_secret_sig
ASSETS: Final = (rpc._special_asset_sig, rpc._special_archive_sig)
UNKNOWNS: Final = frozenset({
    rpc.UNKNOWN,
    "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",  # a boolean
    "3eeb2bf0-c639-47a8-9e75-3b44932eb421",  # a number
    "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",  # an array
    "030794c1-ac77-496b-92df-f27374a8bd58",  # an asset
    "e48ece36-62e2-4504-bad9-02848725956a",  # an archive
    "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",  # an object
})  # fmt: skip
"""What stands for a value that is not known yet (`pulumi/sdk/go/common/resource/plugin/rpc.go`)."""


class Unknown:
    """A value that is known only when resources have been made; equal to nothing but itself."""

    def __repr__(self) -> str:
        return "unknown"


UNKNOWN: Final = Unknown()


def read(message: struct_pb2.Struct) -> dict[str, Any]:
    """The values of a message: secrets in clear, numbers as they are, `UNKNOWN` where nothing is known."""
    return {name: _read(value) for name, value in message.fields.items()}


def _read(value: struct_pb2.Value) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "struct_value":
        found = read(value.struct_value)
        return found.get("value") if found.get(SIGNATURE) == SECRET else found
    if kind == "list_value":
        return [_read(item) for item in value.list_value.values]
    if kind == "number_value":
        number = value.number_value
        return int(number) if number.is_integer() else number
    if kind == "string_value":
        return UNKNOWN if value.string_value in UNKNOWNS else value.string_value
    return value.bool_value if kind == "bool_value" else None


def write(values: Mapping[str, Any]) -> struct_pb2.Struct:
    """A message of these values; those that are None are left out."""
    message = struct_pb2.Struct()
    message.update({name: _write(value) for name, value in values.items() if value is not None})
    return message


def _write(value: Any) -> Any:
    if value is UNKNOWN:
        return rpc.UNKNOWN
    if isinstance(value, Mapping):
        return {name: _write(item) for name, item in value.items() if item is not None}
    return [_write(item) for item in value] if isinstance(value, (list, tuple)) else value


def is_asset(value: Any) -> bool:
    """Whether this is a file or an archive."""
    return isinstance(value, Mapping) and value.get(SIGNATURE) in ASSETS


def has_unknown(value: Any) -> bool:
    """Whether anything in a value is not known."""
    if isinstance(value, Mapping):
        return any(map(has_unknown, value.values()))
    return any(map(has_unknown, value)) if isinstance(value, list) else value is UNKNOWN


def changes(old: Any, new: Any, path: str = "") -> list[str]:
    """The paths where two values differ."""
    if old == new:
        return []
    if isinstance(old, Mapping) and isinstance(new, Mapping) and not is_asset(old) and not is_asset(new):
        names = sorted(set(old) | set(new))
        return [found for name in names for found in changes(old.get(name), new.get(name), step(path, name))]
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        pairs = enumerate(zip(old, new, strict=True))
        return [found for index, (was, is_) in pairs for found in changes(was, is_, f"{path}[{index}]")]
    return [path]


def step(path: str, name: str) -> str:
    """The path of a property within what is at a path."""
    if not name.isidentifier():
        return f'{path}["{name}"]'
    return f"{path}.{name}" if path else name
