"""Makes a folder what an entry of a journal says."""

import functools
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from trainer.errors import SlipwayError
from trainer.run.directory import LOCK
from trainer.run.files import sync_folder
from trainer.store.contents import digest
from trainer.store.journal import Entry, File, Files, Journal
from trainer.store.objects.base import Corrupt, Missing, Objects, Sent
from trainer.store.parallel import WORKERS, each
from trainer.store.snapshot import reraise, walk

_ATTEMPTS = 10
"""How often a reader begins again because the entry that it reads was removed."""
_ASIDE = ".restoring-"


def newest(journal: Journal, use: Callable[[Entry], None]) -> int:
    """Use the newest entry, and begin again with a newer one if its objects are removed meanwhile.

    Args:
        journal: the run's.
        use: reads objects; raises `Missing` where there is none.

    Returns:
        The number of the entry that was used.

    Raises:
        Missing: if there is no entry, or the newest one names an object that is not there.
        SlipwayError: what `use` raises.
    """
    for _ in range(_ATTEMPTS):
        found = journal.newest()
        if found is None:
            raise Missing(f"there is no run {journal.run_id} in {journal.objects.uri}")
        try:
            use(found[1])
        except Missing:
            if journal.last() == found[0]:
                raise
        else:
            return found[0]
    raise SlipwayError(f"{journal.run_id} changes faster than it can be read: try again")


def restore(
    objects: Objects, run_id: str, files: Files, folder: Path, *, workers: int = WORKERS, received: Sent | None = None
) -> None:
    """Make a folder's files those of an entry: what is missing or differs is fetched, what is not named is removed.

    A file is whole or as it was, and all are verified. What a killed process left half written goes; a lock stays.

    Args:
        objects: the place.
        run_id: the run's folder there.
        files: what the entry says.
        folder: made if missing.
        workers: downloads at a time.
        received: told of progress.

    Raises:
        Missing, Corrupt, Unreachable: as they say.
        SlipwayError: if the disk is full or fails.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        differing = _differing(folder, files)
        _remove(folder, files)
        fetch_one = functools.partial(fetch, objects, run_id, folder, received=received)
        each(fetch_one, [(path, files[path]) for path in differing], workers)
    except OSError as error:
        raise SlipwayError(f"cannot restore {run_id} in {folder}: {error.strerror}") from error


def _differing(folder: Path, files: Files) -> list[str]:
    """The files that are not as they should be."""
    found = dict(walk(folder))

    def same(path: str, file: File) -> bool:
        here = found.get(path)
        return here is not None and here.stat().st_size == file.bytes and digest(here) == file.sha256

    return [path for path, file in files.items() if not same(path, file)]


def _remove(folder: Path, files: Files) -> None:
    """Remove the files that are not named, locks apart, and folders that are empty then."""
    for parent, folders, names in os.walk(folder, topdown=False, onerror=reraise):
        here = Path(parent)
        links = [name for name in folders if (here / name).is_symlink()]
        for path in (here / name for name in (*names, *links)):
            if path.relative_to(folder).as_posix() not in files and path.name != LOCK:
                path.unlink()
        if here != folder and not any(here.iterdir()):
            here.rmdir()


def fetch(
    objects: Objects, run_id: str, folder: Path, named: tuple[str, File], *, received: Sent | None = None
) -> None:
    """Make one file of a run, whole and verified, under its path in a folder.

    Raises:
        Missing, Corrupt, Unreachable: as they say.
        OSError: if the disk is full or fails.
    """
    path, file = named
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    if len(file.pieces) == 1 and file.pieces[0].sha256 == file.sha256:
        objects.download(f"{run_id}/{file.pieces[0].key}", target, file.sha256, received)
        return
    aside = Path(tempfile.mkdtemp(prefix=_ASIDE, dir=folder))
    try:
        _gather(objects, run_id, file, aside, received)
        (aside / "whole").replace(target)
        sync_folder(target.parent)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _gather(objects: Objects, run_id: str, file: File, aside: Path, received: Sent | None) -> None:
    """Put the pieces of a file together, durably, in `aside/whole`."""
    whole, piece_path = hashlib.sha256(), aside / "piece"
    with (aside / "whole").open("wb") as target:
        for piece in file.pieces:
            objects.download(f"{run_id}/{piece.key}", piece_path, piece.sha256, received)
            with piece_path.open("rb") as source:
                while data := source.read(1 << 20):
                    whole.update(data)
                    target.write(data)
        target.flush()
        os.fsync(target.fileno())
    if whole.hexdigest() != file.sha256:
        raise Corrupt(f"the pieces of a file of {run_id} do not make the file that was sent")
