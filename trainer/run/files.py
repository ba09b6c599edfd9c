"""Files that are whole or not there: written beside their place, brought to the disk, renamed into it."""

import contextlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from trainer.errors import SlipwayError


def write(path: Path, data: bytes) -> None:
    """Replace a file in one step. When this returns, it survives a loss of power.

    Raises:
        SlipwayError: if the disk is full or fails; the file is then as it was before.
    """
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
        aside = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            aside.chmod(0o644)
            aside.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                aside.unlink()
            raise
        sync_folder(path.parent)
    except OSError as error:
        raise SlipwayError(f"cannot write {path}: {error.strerror}") from error


def write_json(path: Path, value: Any) -> None:
    """Replace a JSON file in one step (`write`).

    Raises:
        SlipwayError: if the disk is full or fails.
    """
    write(path, encode(value))


def encode(value: Any) -> bytes:
    """Readable JSON, keys in the given order."""
    return (json.dumps(value, indent=2, allow_nan=False) + "\n").encode()


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file.

    Raises:
        SlipwayError: if it cannot be read, or holds none.
    """
    try:
        value = json.loads(path.read_bytes())
    except OSError as error:
        raise SlipwayError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise SlipwayError(f"{path} is no JSON: {error}") from error
    if not isinstance(value, dict):
        raise SlipwayError(f"{path} holds no JSON object")
    return value


def is_file(path: Path) -> bool:
    """Whether there is such a file, whatever was given as its name; `Path.is_file` raises for one that is too long."""
    try:
        return path.is_file()
    except OSError:
        return False


def sync_folder(folder: Path) -> None:
    """Bring a folder's entries to the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(folder: Path) -> None:
    """Bring all files of a folder, and of the folders in it, to the disk."""
    for parent, _, names in os.walk(folder, topdown=False):
        for name in names:
            with (Path(parent) / name).open("rb") as file:
                os.fsync(file.fileno())
        sync_folder(Path(parent))
