"""Values as Pulumi's provider protocol has them: a protobuf Struct in which some strings and objects mean more."""

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from google.protobuf import struct_pb2
from pulumi.runtime import rpc

from aws_provider.values import UNKNOWN

UNKNOWNS = frozenset(
    {
        rpc.UNKNOWN,
        "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",  # bool
        "3eeb2bf0-c639-47a8-9e75-3b44932eb421",  # number
        "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",  # array
        "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",  # object
        "030794c1-ac77-496b-92df-f27374a8bd58",  # asset
        "e48ece36-62e2-4504-bad9-02848725956a",  # archive
    }
)
"""What stands for a value of any type that is not known yet."""


class Unsupported(Exception):
    """A value that this plugin cannot hand to Terraform."""


class Reader:
    """Reads the protocol's values.

    Args:
        assets: a folder for the files that assets become.
    """

    def __init__(self, assets: Path) -> None:
        self._assets = assets

    def read(self, struct: struct_pb2.Struct) -> dict[str, Any]:
        """The values of a struct; secrets in clear, assets as names of files."""
        return {key: self._value(value) for key, value in struct.fields.items()}

    def _value(self, value: struct_pb2.Value) -> Any:
        kind = value.WhichOneof("kind")
        if kind == "struct_value":
            found = self.read(value.struct_value)
            if found.get(rpc._special_sig_key) == rpc._special_secret_sig:
                return found["value"]
            return self._asset(found) if rpc._special_sig_key in found else found
        if kind == "list_value":
            return [self._value(each) for each in value.list_value.values]
        plain = getattr(value, kind) if kind and kind != "null_value" else None
        return UNKNOWN if isinstance(plain, str) and plain in UNKNOWNS else plain

    def _asset(self, found: Mapping[str, Any]) -> str:
        """The file of an asset. A diff is given no content, only its hash: so the file is named after that."""
        path = self._assets / f"asset-{found.get('hash')}"
        if found.get("text") is not None:
            path.write_text(found["text"])
        elif found.get("path") and Path(found["path"]).is_file():
            shutil.copyfile(found["path"], path)
        elif found.get("path") or found.get("assets"):
            raise Unsupported("assets may be texts or files, not archives")
        return str(path)


def write(values: Mapping[str, Any]) -> struct_pb2.Struct:
    """A struct of values."""
    struct = struct_pb2.Struct()
    struct.update(_clean(values))
    return struct


def _clean(value: Any) -> Any:
    if value == UNKNOWN:
        return rpc.UNKNOWN
    if isinstance(value, dict):
        return {key: _clean(each) for key, each in value.items()}
    return [_clean(each) for each in value] if isinstance(value, list) else value


def secret(value: Any) -> Mapping[str, Any]:
    """A value that the engine encrypts in its state."""
    return {rpc._special_sig_key: rpc._special_secret_sig, "value": value}


def changed(old: Any, new: Any, path: str) -> Iterator[str]:
    """The paths of the leaves in which two values differ.

    Args:
        old: a value.
        new: another.
        path: where both are, as Pulumi writes it: `tags.name`, `rules[0].days`, `tags["a b"]`.
    """
    if old == new:
        return
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted({*old, *new}):
            yield from changed(
                old.get(key), new.get(key), f"{path}.{key}" if key.isidentifier() else f'{path}["{key}"]'
            )
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for index, (one, other) in enumerate(zip(old, new, strict=True)):
            yield from changed(one, other, f"{path}[{index}]")
    else:
        yield path
