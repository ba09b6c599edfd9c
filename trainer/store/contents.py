"""What has to be sent so that a snapshot is in the store, given what is there."""

import dataclasses
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING

from trainer.errors import SlipwayError
from trainer.store.journal import File, Files, Piece
from trainer.store.snapshot import PIECES, Held, Snapshot

if TYPE_CHECKING:
    from hashlib import _Hash

MOST_PIECES = 64
"""Pieces that one file has; the next one gathers all in one."""
_CHUNK = 1 << 20
_SETTLED_NANOSECONDS = 10**9
"""Far longer than a tick of the clock by which a file system stamps files."""

Place = Callable[[str, str], str]
"""The key of a new object, from its sha256 and its file's name."""


@dataclasses.dataclass(frozen=True)
class Upload:
    """An object to be made of a file."""

    key: str
    path: Path
    bytes: int
    sha256: str


@dataclasses.dataclass(frozen=True)
class _Read:
    """What was read of a file that only grows, from its beginning: its pieces, and the checksum of them all."""

    inode: int
    pieces: tuple[Piece, ...]
    whole: "_Hash"


class Contents:
    """Reads the files of snapshots. It remembers the checksums of those that never change, and of what has grown.

    The same inode of the same length and time is the same file, if it was a moment old when it was read: a later one
    that is given its inode has a later time then. So what never changes is read once. Of what only grows, the last
    piece is read again: where a resume has cut the file and gone on, that has other times in its rows.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[int, int, int], str] = {}
        self._read: dict[str, _Read] = {}

    def plan(self, snapshot: Snapshot, known: Files, place: Place) -> tuple[dict[str, File], list[Upload]]:
        """The files of a snapshot as objects, and those of the objects that are not there yet.

        Args:
            snapshot: what is to be sent.
            known: the files whose objects are there.
            place: gives the keys of new objects.

        Raises:
            OSError: if the disk fails.
            SlipwayError: if a file that only grows has become shorter.
        """
        files: dict[str, File] = {}
        new: dict[str, Upload] = {}
        seen: dict[tuple[int, int, int], str] = {}
        read: dict[str, _Read] = {}
        for path, held in snapshot.files.items():
            if held.grows:
                before, aside = self._read.get(path), snapshot.folder / PIECES / path
                files[path], upload, read[path] = _grown(held, known.get(path), before, place, aside)
            else:
                files[path], upload = self._whole(held, known.get(path), place, seen)
            if upload is not None:
                new[upload.key] = upload
        self._known, self._read = seen, read
        there = {piece.key for file in known.values() for piece in file.pieces}
        return files, [upload for key, upload in new.items() if key not in there]

    def _whole(
        self, held: Held, known: File | None, place: Place, seen: dict[tuple[int, int, int], str]
    ) -> tuple[File, Upload | None]:
        """A file that never changes: one object."""
        status = held.path.stat()
        identity = (status.st_ino, status.st_size, status.st_mtime_ns)
        sha256 = self._known.get(identity) or digest(held.path)
        if time.time_ns() - status.st_mtime_ns > _SETTLED_NANOSECONDS:
            seen[identity] = sha256
        if known is not None and known.sha256 == sha256:
            return known, None
        if not held.bytes:
            return File(0, sha256, ()), None
        key = place(sha256, held.path.name)
        return File(held.bytes, sha256, (Piece(key, held.bytes, sha256),)), Upload(key, held.path, held.bytes, sha256)


def digest(path: Path) -> str:
    """A file's sha256.

    Raises:
        OSError: if it cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _grown(
    held: Held, known: File | None, before: _Read | None, place: Place, aside: Path
) -> tuple[File, Upload | None, _Read]:
    """A file that only grows: the pieces that are there and still its own, and one more for the rest.

    Args:
        held: the file.
        known: how it is in the store.
        before: what was read of it last.
        place: gives the new piece's key.
        aside: where the new piece is written.
    """
    with held.path.open("rb") as file:
        inode = os.fstat(file.fileno()).st_ino
        kept, whole = _kept(file, known.pieces if known else (), held.bytes, before)
        start = sum(piece.bytes for piece in kept)
        if start < held.bytes and len(kept) >= MOST_PIECES:
            kept, whole, start = [], hashlib.sha256(), 0
        if start == held.bytes:
            return File(held.bytes, whole.hexdigest(), tuple(kept)), None, _Read(inode, tuple(kept), whole)
        part = hashlib.sha256()
        aside.parent.mkdir(parents=True, exist_ok=True)
        with aside.open("wb") as copy:
            for data in _chunks(file, start, held.bytes):
                whole.update(data)
                part.update(data)
                copy.write(data)
    sha256 = part.hexdigest()
    piece = Piece(place(sha256, held.path.name), held.bytes - start, sha256)
    pieces = (*kept, piece)
    upload = Upload(piece.key, aside, piece.bytes, sha256)
    return File(held.bytes, whole.hexdigest(), pieces), upload, _Read(inode, pieces, whole)


def _kept(file: IO[bytes], pieces: tuple[Piece, ...], length: int, before: _Read | None) -> tuple[list[Piece], "_Hash"]:
    """The first pieces that a file still begins with, and the checksum so far.

    A resume cuts `metrics.jsonl` to its checkpoint, and writes the rest anew: so they are compared, not believed.
    """
    kept, whole = _known(file, pieces, length, before)
    start = sum(piece.bytes for piece in kept)
    for piece in pieces[len(kept) :]:
        if start + piece.bytes > length:
            break
        part, after = hashlib.sha256(), whole.copy()
        for data in _chunks(file, start, start + piece.bytes):
            part.update(data)
            after.update(data)
        if part.hexdigest() != piece.sha256:
            break
        kept.append(piece)
        whole, start = after, start + piece.bytes
    return kept, whole


def _known(
    file: IO[bytes], pieces: tuple[Piece, ...], length: int, before: _Read | None
) -> tuple[list[Piece], "_Hash"]:
    """The pieces that were read before, if they are in the store and the last of them is what it was; else none."""
    if before is None or not before.pieces or pieces[: len(before.pieces)] != before.pieces:
        return [], hashlib.sha256()
    last, end = before.pieces[-1], sum(piece.bytes for piece in before.pieces)
    if before.inode != os.fstat(file.fileno()).st_ino or end > length:
        return [], hashlib.sha256()
    part = hashlib.sha256()
    for data in _chunks(file, end - last.bytes, end):
        part.update(data)
    if part.hexdigest() != last.sha256:
        return [], hashlib.sha256()
    return list(before.pieces), before.whole.copy()


def _chunks(file: IO[bytes], start: int, stop: int) -> Iterator[bytes]:
    """The bytes of a file from `start` to before `stop`.

    Raises:
        SlipwayError: if there are fewer.
    """
    file.seek(start)
    while start < stop:
        data = file.read(min(_CHUNK, stop - start))
        if not data:
            raise SlipwayError(f"{file.name} has become shorter while it was read")
        yield data
        start += len(data)
