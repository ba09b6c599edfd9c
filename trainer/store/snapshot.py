"""What a run directory is at one moment, kept while the training goes on.

Files that never change, or are replaced by a rename, are kept by hard links beside the run. Of files that only grow the
length is kept: what lies before it does not change.
"""

import dataclasses
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from trainer.errors import SlipwayError

FILES, PIECES = "files", "pieces"


@dataclasses.dataclass(frozen=True)
class Held:
    """A file of a snapshot.

    Attributes:
        path: a hard link to it.
        bytes: its length at that moment.
        grows: whether it may have become longer since.
    """

    path: Path
    bytes: int
    grows: bool


@dataclasses.dataclass(frozen=True)
class Snapshot:
    """A run directory at one moment. `discard` it after use.

    Attributes:
        folder: holds the links.
        step: environment steps that it stands for.
        files: by their path in the run directory, with `/` between the parts.
    """

    folder: Path
    step: int | None
    files: Mapping[str, Held]

    def discard(self) -> None:
        """Remove the links."""
        shutil.rmtree(self.folder, ignore_errors=True)


def grows(path: str) -> bool:
    """Whether a file of a run, or of a run in a group, is only appended to."""
    parts = PurePosixPath(path)
    return parts.name in ("metrics.jsonl", "log.jsonl") or parts.parent.name == "events"


def keep(run: Path, staging: Path, step: int | None) -> Snapshot:
    """The run directory as it is now, without what is locked, half written or hidden (names with a dot in front).

    The caller is the thread that writes to the run, just after it has saved: so nothing changes meanwhile.

    Args:
        run: the run's or the group's folder.
        staging: a folder on the same file system; made if missing.
        step: environment steps that it stands for.

    Raises:
        SlipwayError: if the disk is full, or knows no hard links.
    """
    try:
        staging.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(dir=staging))
        try:
            return Snapshot(folder, step, dict(_links(run, folder / FILES)))
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
    except OSError as error:
        raise SlipwayError(f"cannot keep {run} as it is now: {error.strerror}") from error


def _links(run: Path, folder: Path) -> Iterator[tuple[str, Held]]:
    for path, found in walk(run):
        link = folder / path
        link.parent.mkdir(parents=True, exist_ok=True)
        os.link(found, link)
        yield path, Held(link, link.stat().st_size, grows(path))


def walk(run: Path) -> Iterator[tuple[str, Path]]:
    """The files of a run directory that are part of the run, each with its path in it.

    Raises:
        OSError: if a folder cannot be read: what is not seen must not count as gone.
    """
    for parent, folders, names in os.walk(run, onerror=reraise):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(parent) / name
            if not name.startswith(".") and path.is_file() and not path.is_symlink():
                yield path.relative_to(run).as_posix(), path


def reraise(error: OSError) -> None:
    """For `os.walk`, which passes over errors by itself."""
    raise error
