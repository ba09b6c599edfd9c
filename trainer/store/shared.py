"""Runs in a shared place, for those who only read them, bring them there or fetch them."""

import hashlib
from collections.abc import Collection
from pathlib import Path

from trainer.errors import BadInput, SlipwayError
from trainer.run import files
from trainer.run.directory import lock_folder
from trainer.run.status import State
from trainer.store.journal import JOURNAL, Entry, File, Journal
from trainer.store.mirror import CLOSE_SECONDS, MARK, Mirror
from trainer.store.objects.base import Corrupt, Missing, Objects, Sent
from trainer.store.parallel import each
from trainer.store.restore import newest, restore
from trainer.store.told import Told


def runs(objects: Objects) -> list[str]:
    """The runs and groups that are there, sorted.

    Raises:
        Unreachable: if the place does not answer.
    """
    names = [name for name in objects.names() if not name.startswith(".")]
    there = each(lambda name: any(True for _ in objects.keys(f"{name}/{JOURNAL}/")), names)
    return [name for name, is_run in zip(names, there, strict=True) if is_run]


def read_files(objects: Objects, run_id: str, paths: Collection[str]) -> dict[str, bytes]:
    """Small files of a run, all of one moment, without fetching the rest; those that it does not have are left out.

    Raises:
        Missing: if there is no such run, or an object of it is gone.
        Corrupt, Unreachable: as they say.
    """
    found: dict[str, bytes] = {}

    def look(entry: Entry) -> None:
        found.clear()
        chosen = [(path, entry.files[path]) for path in paths if path in entry.files]
        data = each(lambda named: _read(objects, run_id, named[1]), chosen)
        found.update(zip([path for path, _ in chosen], data, strict=True))

    newest(Journal(objects, run_id), look)
    return found


def read_file(objects: Objects, run_id: str, path: str) -> bytes:
    """A small file of a run.

    Raises:
        Missing: if there is none.
        Corrupt, Unreachable: as they say.
    """
    found = read_files(objects, run_id, [path])
    if path not in found:
        raise Missing(f"there is no {path} in {objects.uri}/{run_id}")
    return found[path]


def _read(objects: Objects, run_id: str, file: File) -> bytes:
    data = b"".join(objects.read(f"{run_id}/{piece.key}") for piece in file.pieces)
    if hashlib.sha256(data).hexdigest() != file.sha256:
        raise Corrupt(f"{objects.uri}/{run_id}: {file.pieces[0].key} is not what was sent (sha256 differs)")
    return data


def pull(objects: Objects, run_id: str, folder: Path, *, received: Sent | None = None) -> int:
    """Make a run directory of a run's last entry; nobody else is kept from writing to the run.

    It lies beside its place, hidden, until it is whole. One that was broken off is gone on with.

    Args:
        objects: the place.
        run_id: the run.
        folder: the new run directory.
        received: told how many more bytes have come.

    Returns:
        The number of the entry.

    Raises:
        BadInput: if there is no such run, or there is something at `folder`.
        Missing, Corrupt: if the place has lost or damaged some of it.
        Unreachable: as it says.
        SlipwayError: if the disk is full or fails.
    """
    folder = folder.absolute()
    if folder.exists():
        raise BadInput("folder", str(folder), "a folder that is not there yet", "remove it, or give another one")
    journal = Journal(objects, run_id)
    if journal.newest() is None:
        raise BadInput("RUN", run_id, f"a run in {objects.uri}", "see `slipway runs list`")
    aside = folder.parent / f".pulling-{folder.name}"
    try:
        aside.mkdir(parents=True, exist_ok=True)
        with lock_folder(aside, run_id):
            number = newest(journal, lambda entry: restore(objects, run_id, entry.files, aside, received=received))
            files.sync_tree(aside)
            aside.rename(folder)
            files.sync_folder(folder.parent)
    except OSError as error:
        raise SlipwayError(f"cannot make {folder}: {error.strerror}") from error
    return number


def push(
    folder: Path,
    objects: Objects,
    run_id: str,
    state: State,
    *,
    step: int | None = None,
    told: Told | None = None,
    deadline_seconds: float = CLOSE_SECONDS,
) -> None:
    """Make a run in the store of a run directory, which stays as it is. Nobody holds it then.

    Args:
        folder: the run's or the group's; the caller holds its lock.
        objects: the place.
        run_id: its name there.
        state: the run's.
        step: environment steps that it stands for.
        told: who is told what.
        deadline_seconds: how long to wait for the store.

    Raises:
        BadInput: if the id is not allowed, or taken.
        Unreachable, Corrupt: as they say.
        SlipwayError: if it could not be done until the deadline, or the disk is full or fails.
    """
    mirror = Mirror.create(objects, run_id, folder, step=step, told=told)
    mirror.close(state, deadline_seconds=deadline_seconds)
    (folder / MARK).unlink(missing_ok=True)
