"""Segments: rows of a growing list, in files that never change and that successive checkpoints share.

A checkpoint of a large replay writes only the rows that are new since the one before, as one more segment; its manifest
names all segments that it needs. A segment's name holds its rows' numbers and the start of its sha256, so a name means
the same bytes for ever. Segments that no kept checkpoint names are removed.
"""

import contextlib
import dataclasses
import hashlib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors import numpy as safetensors

from trainer.run import files

MOST = 64
"""Segments that one checkpoint names; the next one gathers all rows in a new segment."""
ROWS = "rows"
_ASIDE, _SUFFIX = ".writing-", ".safetensors"


class DamagedSegment(Exception):
    """A segment that cannot be used; the message says why."""


@dataclasses.dataclass(frozen=True)
class Window:
    """The rows of a growing list that count: from `start` to before `stop`, numbered from the list's beginning.

    `read(start, stop)` gives some of them, [stop - start, ...]. Rows with the same number never differ within a run.
    """

    start: int
    stop: int
    read: Callable[[int, int], npt.NDArray[Any]]


@dataclasses.dataclass(frozen=True)
class Segment:
    """One file: the rows from `start` to before `stop`."""

    name: str
    start: int
    stop: int
    bytes: int
    sha256: str

    @classmethod
    def of(cls, described: Mapping[str, Any]) -> "Segment":
        """From a manifest.

        Raises:
            DamagedSegment: if it makes no sense.
        """
        try:
            made = cls(**described)
            sensible = 0 <= made.start < made.stop and Path(made.name).name == made.name
        except TypeError:
            sensible = False
        if not sensible:
            raise DamagedSegment("the manifest names a segment without sense")
        return made


def extend(folder: Path, before: Sequence[Segment], window: Window) -> list[Segment]:
    """The segments of a window, of which only what `before` lacks is written, durably.

    Args:
        folder: where they lie; made if it is missing.
        before: those of the checkpoint that the window's list has grown from.
        window: what is to be kept.

    Returns:
        In order, each beginning where the one before ends; none if the window is empty.

    Raises:
        OSError: if the disk is full or fails.
    """
    kept = [segment for segment in before if segment.stop > window.start and segment.stop <= window.stop]
    if kept and (kept[0].start > window.start or len(kept) >= MOST):
        kept = []
    begin = kept[-1].stop if kept else window.start
    if begin == window.stop:
        return kept
    return [*kept, _write(folder, begin, window.stop, window.read(begin, window.stop))]


def load(folder: Path, segments: Sequence[Segment], start: int, stop: int) -> npt.NDArray[Any]:
    """The rows from `start` to before `stop`, of segments as `extend` gave them.

    Raises:
        DamagedSegment: if one is missing, its bytes are not those that were written, or rows are missing.
    """
    if not segments:
        raise DamagedSegment("the manifest names no segment")
    parts, begin = [], start
    for number, segment in enumerate(segments):
        if segment.start != begin and (number or segment.start > start):
            raise DamagedSegment(f"the segments leave out rows before {segment.start}")
        parts.append(_read(folder, segment))
        begin = segment.stop
    if begin != stop:
        raise DamagedSegment(f"the segments end at row {begin}, not {stop}")
    return np.concatenate(parts)[start - segments[0].start :]


def sweep(folder: Path, needed: Iterable[Segment]) -> None:
    """Remove what no checkpoint needs, and what a crash left half written. One too many does no harm."""
    names = {segment.name for segment in needed}
    if not folder.is_dir():
        return
    for path in folder.iterdir():
        if path.name not in names:
            with contextlib.suppress(OSError):
                path.unlink()


def _write(folder: Path, start: int, stop: int, rows: npt.NDArray[Any]) -> Segment:
    data = safetensors.save({ROWS: np.ascontiguousarray(rows)})
    digest = hashlib.sha256(data).hexdigest()
    segment = Segment(f"{start:012d}-{stop:012d}-{digest[:16]}{_SUFFIX}", start, stop, len(data), digest)
    folder.mkdir(parents=True, exist_ok=True)
    aside = folder / f"{_ASIDE}{segment.name}"
    try:
        with aside.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(folder / segment.name)  # over a damaged one of the same name too
    except OSError:
        with contextlib.suppress(OSError):
            aside.unlink()
        raise
    files.sync_folder(folder)
    files.sync_folder(folder.parent)
    return segment


def _read(folder: Path, segment: Segment) -> npt.NDArray[Any]:
    try:
        data = (folder / segment.name).read_bytes()
    except OSError as error:
        raise DamagedSegment(f"{segment.name} cannot be read ({error.strerror})") from error
    if len(data) != segment.bytes or hashlib.sha256(data).hexdigest() != segment.sha256:
        raise DamagedSegment(f"{segment.name} is not what was written (sha256 differs)")
    try:
        rows = safetensors.load(data)[ROWS]
    except (SafetensorError, KeyError) as error:
        raise DamagedSegment(f"{segment.name} cannot be read: {error}") from error
    if len(rows) != segment.stop - segment.start:
        raise DamagedSegment(f"{segment.name} has {len(rows)} rows, not {segment.stop - segment.start}")
    return rows
