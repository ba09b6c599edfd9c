"""A bucket, or a folder that several machines mount: runs are worked on here, and mirrored there."""

import atexit
import hashlib
import os
import shutil
import tempfile
from pathlib import Path, PurePosixPath

import yaml

from trainer.errors import BadInput, SlipwayError
from trainer.run import group
from trainer.run.directory import lock_folder
from trainer.run.status import State
from trainer.store import shared
from trainer.store.base import Hold, Store
from trainer.store.journal import Entry, File, Journal, Kind
from trainer.store.mirror import Mirror
from trainer.store.objects.base import Missing, Objects, Sent
from trainer.store.objects.places import place
from trainer.store.restore import newest, restore
from trainer.store.told import Told, unheard
from trainer.store.verified import Verified
from trainer.store.verify import verify

WORK_VARIABLE = "SLIPWAY_WORK"
SMALL_BYTES = 1 << 20
"""The largest file that is fetched for a glance at a run."""
RUN_FILE = "run.yaml"


def work_folder() -> Path:
    """Where runs of shared stores are worked on: `SLIPWAY_WORK`, or a folder in the user's cache."""
    import platformdirs

    named = os.environ.get(WORK_VARIABLE)
    return Path(named).expanduser() if named else Path(platformdirs.user_cache_dir("slipway")) / "work"


class MirroredStore(Store):
    """Runs as journals over objects (docs/decisions/0012-a-journal-over-objects.md).

    Args:
        objects: the place.
        work: the folder that this machine keeps its copies in.
    """

    is_shared = True

    def __init__(self, objects: Objects, work: Path) -> None:
        self.objects, self.uri = objects, objects.uri
        self._work = work / hashlib.sha256(objects.uri.encode()).hexdigest()[:16]

    @classmethod
    def at(cls, uri: str, encryption_key: str | None = None) -> "MirroredStore":
        """The store that a URI names; what is made is encrypted with that key.

        Raises:
            BadInput: if the URI names no place that there could be.
        """
        return cls(place(uri, encryption_key=encryption_key), work_folder())

    def check_writable(self) -> None:
        """Find out whether objects can be made here, and removed (`Store.check_writable`)."""
        self.objects.check(write=True)

    def free_bytes(self) -> int | None:
        """A bucket has no end that it knows (`Store.free_bytes`)."""
        return None

    def run_ids(self) -> list[str]:
        """All runs and groups, sorted (`Store.run_ids`)."""
        self.objects.check(write=False)
        return shared.runs(self.objects)

    def holds(self, run_id: str) -> bool:
        """Whether a run has a journal, or belongs to a group that has one (`Store.holds`)."""
        self.objects.check(write=False)
        try:
            self._found(run_id)
        except BadInput:
            return False
        return True

    def check_free(self, run_id: str) -> None:
        """Find out whether there is no journal of that name (`Store.check_free`)."""
        if Journal(self.objects, run_id).last() is not None:
            cure = "choose another --run-id, or leave it out; `slipway resume` goes on with a run"
            raise BadInput("--run-id", run_id, f"an id that {self.uri} does not have yet", cure)
        self._clear(run_id)

    def folder(self, run_id: str) -> Path:
        """Where this machine works on a run (`Store.folder`)."""
        return self._work / "held" / run_id

    def begin(self, run_id: str, told: Told) -> Hold:
        """Make the run's journal (`Store.begin`)."""
        return Mirror.create(self.objects, run_id, self.folder(run_id), step=0, told=told)

    def take(self, run_id: str, told: Told, *, take_over: bool = False) -> Hold:
        """Take the run, and fetch what this machine lacks of it (`Store.take`)."""
        objects = self._as_the_run_says(run_id)
        mirror = Mirror.take(objects, run_id, self.folder(run_id), take_over=take_over, told=told)
        try:
            mirror.restore(keep_newer=True)
        except BaseException:
            mirror.abandon()
            raise
        return mirror

    def settle(self, run_id: str, told: Told) -> bool:
        """Say that a finished run is finished, where the machine that did it could not any more (`Store.settle`)."""
        found = Journal(self.objects, run_id).newest()
        if found is None or found[1].kind is Kind.RELEASED:
            return False
        self.take(run_id, told).close(State.FINISHED)
        return True

    def fetch(self, run_id: str, received: Sent = unheard) -> Path:
        """A copy of the newest entry, which goes when this process ends (`Store.fetch`)."""
        unit, member = self._found(run_id)
        folder = _passing()

        def use(entry: Entry) -> None:
            files = {path: file for path, file in entry.files.items() if path.startswith(member)}
            restore(self.objects, unit, files, folder / unit, received=received)

        newest(Journal(self.objects, unit), use)
        return folder / unit / member

    def pull(self, run_id: str, folder: Path, received: Sent = unheard) -> None:
        """A new folder of the newest entry (`Store.pull`)."""
        unit, member = self._found(run_id)
        if member:
            cure = f"pull {unit}, or `slipway runs show {run_id}`"
            raise BadInput("RUN", run_id, "a run that is in no group, or a whole group", cure)
        shared.pull(self.objects, unit, folder, received=received)

    def push(self, run_id: str, folder: Path, sent: Sent = unheard) -> None:
        """A new journal with what the folder holds (`Store.push`)."""
        runs = group.runs_of(folder)
        states = [run.status().state for run in runs]
        state = next((state for state in states if state is not State.FINISHED), State.FINISHED)
        steps = sum(run.status().env_steps for run in runs)
        with lock_folder(folder, run_id):
            shared.push(folder, self.objects, run_id, state, step=steps, told=Told(sent=sent))

    def verify(self, run_id: str) -> Verified:
        """All that the newest entry names (`Store.verify`)."""
        unit, _ = self._found(run_id)
        return verify(self.objects, unit)

    def read_file(self, run_id: str, path: str) -> bytes:
        """A file of the newest entry (`Store.read_file`)."""
        unit, member = self._found(run_id)
        return shared.read_files(self.objects, unit, [f"{member}{path}"]).get(f"{member}{path}", b"")

    def glance(self, run_id: str) -> Path:
        """A copy of the newest entry's small files, which goes when this process ends (`Store.glance`).

        Of checkpoints and models the folders are made, whose names say which there are.
        """
        unit, member = self._found(run_id)
        folder = _passing()

        def use(entry: Entry) -> None:
            small = {path: file for path, file in entry.files.items() if _is_small(path, file)}
            restore(self.objects, unit, small, folder / unit)
            for path in entry.files.keys() - small.keys():
                (folder / unit / path).parent.mkdir(parents=True, exist_ok=True)

        newest(Journal(self.objects, unit), use)
        return folder / unit / member

    def _found(self, run_id: str) -> tuple[str, str]:
        """The id that has the journal, and the member of the group that is meant, with a `/`; "" for all of it.

        Raises:
            BadInput: if there is no such run.
        """
        group, _, member = run_id.rpartition("/")
        if self._has_journal(run_id):
            return run_id, ""
        if group and self._has_journal(group):
            found = Journal(self.objects, group).newest()
            if found is not None and f"{member}/{RUN_FILE}" in found[1].files:
                return group, f"{member}/"
        raise BadInput("RUN", run_id, f"a run in {self.uri}", "see `slipway runs list`")

    def _has_journal(self, run_id: str) -> bool:
        return Journal(self.objects, run_id).last() is not None

    def _as_the_run_says(self, run_id: str) -> Objects:
        """The place, with the encryption key of the run's own run file."""
        found = Journal(self.objects, run_id).newest()
        paths = [path for path in (found[1].files if found else ()) if PurePosixPath(path).name == RUN_FILE]
        if not paths:
            return self.objects
        try:
            said = yaml.safe_load(shared.read_file(self.objects, run_id, min(paths)))
            key = said.get("store_encryption_key")
        except (yaml.YAMLError, AttributeError, Missing):
            return self.objects  # what is wrong with the run file is said when the run is opened
        return place(self.uri, encryption_key=key) if key else self.objects

    def _clear(self, run_id: str) -> None:
        """Remove what this machine has left of a run that the store does not have.

        Raises:
            BadInput: if a process works on it.
            SlipwayError: if the disk fails.
        """
        folder = self.folder(run_id)
        if not folder.exists():
            return
        with lock_folder(folder, run_id):
            try:
                shutil.rmtree(folder)
            except OSError as error:
                raise SlipwayError(f"cannot remove {folder}: {error.strerror}") from error


def _passing() -> Path:
    """A folder that goes when this process ends."""
    folder = Path(tempfile.mkdtemp(prefix="slipway-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _is_small(path: str, file: File) -> bool:
    """Whether a file is fetched for a glance at a run."""
    return not {"checkpoints", "model", "events"} & set(path.split("/")) and file.bytes <= SMALL_BYTES
