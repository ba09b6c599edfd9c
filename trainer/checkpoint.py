"""Checkpoints: everything that decides a run's future, written so that one is either whole or not there.

A checkpoint is a folder named by its environment steps:

    000001310720/
        tensors.safetensors   every array by name
        state.json            counters, and how long `metrics.jsonl` was
        manifest.json         format, the size and sha256 of the other two, and how good the policy was found

A replay is too large to be written anew each time: its rows lie beside the checkpoints, in `replay/`, in files that
checkpoints share (`trainer.segments`); the manifest names those that it needs, with size and sha256. They are on the
disk before the manifest is.

It is written under another name, brought to the disk, and then renamed: the one atomic step. What is damaged later is
found by its checksum, and the checkpoint before it is used.
"""

import contextlib
import dataclasses
import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors import numpy as safetensors

from trainer import segments
from trainer.errors import SlipwayError
from trainer.retention import Retention
from trainer.segments import DamagedSegment, Segment, Window

FORMAT = 1
TENSORS, STATE, MANIFEST = "tensors.safetensors", "state.json", "manifest.json"
REPLAY = "replay"
_ASIDE = ".writing-"
_NAME = re.compile(r"\d{12}")

Arrays = Mapping[str, npt.NDArray[Any]]


class Damaged(Exception):
    """A checkpoint that cannot be used; the message says why."""


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """One checkpoint, read and verified.

    Attributes:
        step: environment steps.
        arrays: every array by name.
        state: counters.
        window: the replay's rows; None if it has none.
    """

    step: int
    arrays: Arrays
    state: Mapping[str, Any]
    window: Window | None = None


class Checkpoints:
    """The checkpoints of one run.

    Args:
        folder: where they lie; made at the first save.
        retention: which are kept; None: the last three.
    """

    def __init__(self, folder: Path, retention: Retention | None = None) -> None:
        self.folder, self._retention = folder, retention or Retention()
        self._segments: list[Segment] = []
        """Those of the checkpoint that was saved or loaded last."""

    def steps(self) -> list[int]:
        """The steps of all checkpoints, oldest first, verified or not."""
        if not self.folder.is_dir():
            return []
        return sorted(int(path.name) for path in self.folder.iterdir() if _NAME.fullmatch(path.name))

    def save(
        self,
        step: int,
        arrays: Arrays,
        state: Mapping[str, Any],
        window: Window | None = None,
        merit: float | None = None,
    ) -> Path:
        """Write a checkpoint; when this returns, it survives a loss of power. Then drop those that need not be kept.

        Args:
            step: environment steps.
            arrays: every array by name.
            state: counters.
            window: the replay's rows, grown from those of the checkpoint that was saved or loaded last.
            merit: how good the policy was found, more being better; None if it was not.

        Raises:
            SlipwayError: if the disk is full or fails; earlier checkpoints are as they were.
        """
        target = self.folder / f"{step:012d}"
        aside = self.folder / f"{_ASIDE}{target.name}"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            for old in self.folder.glob(f"{_ASIDE}*"):
                shutil.rmtree(old)
            aside.mkdir()
            files = {
                TENSORS: safetensors.save({name: np.asarray(value, order="C") for name, value in arrays.items()}),
                STATE: _encode(state),
            }
            described = {
                name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in files.items()
            }
            manifest: dict[str, Any] = {"format": FORMAT, "step": step, "merit": merit, "files": described}
            held = None
            if window is not None:
                held = segments.extend(self.folder / REPLAY, self._segments, window)
                listed = [dataclasses.asdict(segment) for segment in held]
                manifest["replay"] = {"start": window.start, "stop": window.stop, "segments": listed}
            files[MANIFEST] = _encode(manifest)
            for name, data in files.items():
                _write_durably(aside / name, data)
            _sync(aside)
            if target.exists():
                shutil.rmtree(target)  # the same step again, after a resume that found it damaged
            aside.rename(target)
            _sync(self.folder)
        except OSError as error:
            with contextlib.suppress(OSError):
                shutil.rmtree(aside)
            kept = self.steps()
            raise SlipwayError(
                f"cannot write the checkpoint {target}: {error.strerror}\n"
                + (f"  the one at step {kept[-1]} is intact" if kept else "  there was none before it")
            ) from error
        merits = {each: self._merit(each) for each in self.steps()}
        for old_step in merits.keys() - self._retention.kept(merits):
            with contextlib.suppress(OSError):  # an old checkpoint too many does no harm
                shutil.rmtree(self.folder / f"{old_step:012d}")
        if held is not None:
            self._segments = held
            self._sweep()
        return target

    def _sweep(self) -> None:
        """Remove the segments that no checkpoint needs; none if it cannot be told what one of them needs."""
        try:
            needed = [segment for step in self.steps() for segment in _replay(self._manifest(step))[2]]
        except (Damaged, DamagedSegment):
            return
        segments.sweep(self.folder / REPLAY, needed)

    def _merit(self, step: int) -> float | None:
        """What `save` was told of a checkpoint; None if it was told nothing, or the checkpoint is damaged."""
        try:
            merit = self._manifest(step).get("merit")
        except Damaged:
            return None
        return merit if isinstance(merit, float) else None

    def _manifest(self, step: int) -> Mapping[str, Any]:
        manifest = _json(_read(self.folder / f"{step:012d}", MANIFEST), MANIFEST)
        if manifest.get("format") != FORMAT:
            raise Damaged(f"{MANIFEST} has format {manifest.get('format')!r}, not {FORMAT}")
        return manifest

    def load(self, step: int) -> Checkpoint:
        """Read and verify one checkpoint.

        Raises:
            Damaged: if it is missing in part, or its bytes are not those that were written.
        """
        folder = self.folder / f"{step:012d}"
        manifest = self._manifest(step)
        files = {}
        for name in (TENSORS, STATE):
            files[name] = _read(folder, name)
            expected = manifest.get("files", {}).get(name, {})
            if hashlib.sha256(files[name]).hexdigest() != expected.get("sha256"):
                raise Damaged(f"{name} is not what was written (sha256 differs)")
        try:
            arrays = safetensors.load(files[TENSORS])
        except SafetensorError as error:
            raise Damaged(f"{TENSORS} cannot be read: {error}") from error
        window, held = self._window(manifest)
        checkpoint = Checkpoint(step, arrays, _json(files[STATE], STATE), window)
        self._segments = held
        return checkpoint

    def _window(self, manifest: Mapping[str, Any]) -> tuple[Window | None, list[Segment]]:
        if "replay" not in manifest:
            return None, []
        try:
            start, stop, held = _replay(manifest)
            rows = segments.load(self.folder / REPLAY, held, start, stop)
        except DamagedSegment as error:
            raise Damaged(str(error)) from error
        return Window(start, stop, lambda begin, end: rows[begin - start : end - start]), held

    def latest(self, say: Callable[[str], None]) -> Checkpoint | None:
        """The newest checkpoint that is whole, or None.

        Args:
            say: told of each damaged one that is passed over.
        """
        for step in reversed(self.steps()):
            try:
                return self.load(step)
            except Damaged as reason:
                say(f"The checkpoint at step {step} is damaged: {reason}. Falling back to the one before.")
        return None


def _replay(manifest: Mapping[str, Any]) -> tuple[int, int, list[Segment]]:
    """Which rows a checkpoint needs, from where to before where, and the segments that hold them."""
    described = manifest.get("replay", {"start": 0, "stop": 0, "segments": []})
    try:
        held = [Segment.of(segment) for segment in described["segments"]]
        return int(described["start"]), int(described["stop"]), held
    except (KeyError, TypeError, ValueError) as error:
        raise DamagedSegment(f"{MANIFEST} does not say which rows of the replay it needs") from error


def _encode(value: Mapping[str, Any]) -> bytes:
    return (json.dumps(value, indent=2, sort_keys=True) + "\n").encode()


def _read(folder: Path, name: str) -> bytes:
    try:
        return (folder / name).read_bytes()
    except OSError as error:
        raise Damaged(f"{name} cannot be read ({error.strerror})") from error


def _json(data: bytes, name: str) -> Mapping[str, Any]:
    try:
        value = json.loads(data)
    except ValueError as error:
        raise Damaged(f"{name} is no JSON: {error}") from error
    if not isinstance(value, dict):
        raise Damaged(f"{name} holds no object")
    return value


def _write_durably(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
