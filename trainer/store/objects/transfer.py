"""Files on their way to objects and back: hashed as they pass, and never half there."""

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Protocol

from trainer.errors import SlipwayError
from trainer.run.files import sync_folder
from trainer.store.objects.base import Corrupt, Sent

PIECE = 1 << 20
"""Bytes that are read at once."""


class Hash(Protocol):
    """What `hashlib` and `google_crc32c` have in common."""

    def update(self, data: bytes, /) -> None:
        """Take more bytes in."""


class Arriving:
    """A file that is being written: it hashes what passes, and tells of it. Two threads must not write at once.

    Args:
        file: where bytes go.
        told: of progress.
    """

    def __init__(self, file: BinaryIO, told: Sent | None = None) -> None:
        self._file, self._told, self._hash = file, told, hashlib.sha256()

    def write(self, data: bytes) -> int:
        """Write, hash, tell."""
        self._file.write(data)
        self._hash.update(data)
        if self._told is not None:
            self._told(len(data))
        return len(data)

    @property
    def sha256(self) -> str:
        """Of what has passed, in hexadecimal."""
        return self._hash.hexdigest()


def pieces(file: BinaryIO) -> Iterator[bytes]:
    """What is left of a file, piece by piece."""
    while piece := file.read(PIECE):
        yield piece


def pieces_here(path: Path) -> Iterator[bytes]:
    """A file of this machine, piece by piece.

    Raises:
        SlipwayError: if it cannot be read; so it is not taken for a fault of the place that the bytes go to.
    """
    try:
        with path.open("rb") as file:
            yield from pieces(file)
    except OSError as error:
        raise SlipwayError(f"cannot read {path}: {error.strerror}") from error


def check(path: Path, sha256: str, *others: Hash) -> None:
    """Read a file and compare it with its checksum.

    Args:
        path: the file.
        sha256: that its bytes should have, in hexadecimal.
        others: further hashes, which are given the bytes as well.

    Raises:
        Corrupt: if its bytes are others.
        SlipwayError: if it cannot be read.
    """
    digest = hashlib.sha256()
    for piece in pieces_here(path):
        for taking in (digest, *others):
            taking.update(piece)
    if digest.hexdigest() != sha256:
        raise changed(path)


def changed(path: Path) -> Corrupt:
    """The error for a file to be sent that has other bytes than it should."""
    return Corrupt(f"{path} is not what was to be sent: its sha256 differs")


def download(
    key: str, path: Path, sha256: str, fetch: Callable[[Arriving], None], received: Sent | None = None
) -> None:
    """Make a file of an object: aside, checked, brought to the disk, renamed. What came damaged is fetched once more.

    Args:
        key: which object.
        path: the file; its folder is made if missing.
        sha256: that its bytes must have, in hexadecimal.
        fetch: writes the object's bytes, in order.
        received: told of progress.

    Raises:
        Corrupt: if the bytes are others both times; there is no new file then.
        SlipwayError: if this machine's disk is full or fails.
    """
    try:
        _download_once(key, path, sha256, fetch, received)
    except Corrupt:
        _download_once(key, path, sha256, fetch, received)


def _download_once(key: str, path: Path, sha256: str, fetch: Callable[[Arriving], None], received: Sent | None) -> None:
    with _told(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    aside = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            arriving = _ArrivingHere(file, path, received)
            fetch(arriving)
            if arriving.sha256 != sha256:
                raise Corrupt(f"{key} is not what was sent: its sha256 differs")
            with _told(path):
                file.flush()
                os.fsync(file.fileno())
                aside.chmod(0o644)
                aside.replace(path)
                sync_folder(path.parent)
    except BaseException:
        with contextlib.suppress(OSError):
            aside.unlink()
        raise


class _ArrivingHere(Arriving):
    """A file of this machine, whose faults are not to be taken for those of the place that the bytes come from."""

    def __init__(self, file: BinaryIO, path: Path, told: Sent | None) -> None:
        super().__init__(file, told)
        self._path = path

    def write(self, data: bytes) -> int:
        with _told(self._path):
            return super().write(data)


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SlipwayError(f"cannot write {path}: {error.strerror}") from error
