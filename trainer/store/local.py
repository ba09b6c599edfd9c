"""A folder of this machine, or a NAS mount."""

import os
import shutil
import tempfile
import time
from pathlib import Path

from trainer.errors import BadInput, SlipwayError
from trainer.run import files
from trainer.run.status import State
from trainer.store.base import Hold, Store
from trainer.store.objects.base import Sent
from trainer.store.snapshot import walk
from trainer.store.told import Told, unheard
from trainer.store.verified import Verified

MARKS = ("run.yaml", "group.json")
"""What a folder holds that is a run, or a group of runs."""


class Here:
    """Holds a run that is worked on where it lies: the folder's own lock is all that it takes."""

    def __init__(self) -> None:
        self._safe_at: float | None = None

    def snapshot(self, step: int) -> None:
        """Nothing to bring anywhere: it is safe as it is."""
        del step
        self._safe_at = time.time()

    def safe_at(self) -> float | None:
        """When the newest snapshot was taken (`Hold.safe_at`)."""
        return self._safe_at

    def check(self) -> None:
        """The lock stays held."""

    def close(self, state: State) -> None:
        """Nothing to bring anywhere."""

    def abandon(self) -> None:
        """Nothing to let go of."""


class LocalStore(Store):
    """Runs in the folders of one folder.

    Args:
        root: it is made with the first run.
        uri: as people wrote it.
    """

    is_shared = False

    def __init__(self, root: Path, uri: str) -> None:
        self.root, self.uri = root, uri

    @classmethod
    def at(cls, path: str) -> "LocalStore":
        """The store in a folder; `~` is the home folder.

        Raises:
            BadInput: if there is no such home folder.
        """
        try:
            return cls(Path(path).expanduser(), path)
        except RuntimeError:
            raise BadInput("store", path, "a path whose ~ is a home folder", "write the path in full") from None

    def check_writable(self) -> None:
        """Find out whether a run could be written here, leaving nothing behind (`Store.check_writable`).

        A folder is really made: permissions alone do not tell of read-only, full or special file systems.
        """
        cure = "give another folder with --store, or make this one writable"
        try:
            below = next(path for path in (self.root.absolute(), *self.root.absolute().parents) if path.exists())
            if not below.is_dir():
                raise BadInput("store", self.uri, f"a folder; {below} is a file", cure)
            Path(tempfile.mkdtemp(prefix=".slipway-", dir=below)).rmdir()
        except OSError as error:
            allowed = f"a folder that can be written to ({error.strerror})"
            raise BadInput("store", self.uri, allowed, cure) from None

    def free_bytes(self) -> int | None:
        """Space that is left on the file system (`Store.free_bytes`)."""
        below = next(path for path in (self.root.absolute(), *self.root.absolute().parents) if path.exists())
        return shutil.disk_usage(below).free

    def run_ids(self) -> list[str]:
        """All runs and groups, sorted (`Store.run_ids`); a store that is not there yet has none."""
        try:
            with os.scandir(self.root) as entries:
                found = [entry.name for entry in entries if not entry.name.startswith(".") and entry.is_dir()]
        except FileNotFoundError:
            return []
        except OSError as error:
            cure = "give the folder that holds the runs with --store"
            raise BadInput("store", self.uri, f"a folder that can be read ({error.strerror})", cure) from None
        return sorted(name for name in found if any((self.root / name / mark).is_file() for mark in MARKS))

    def holds(self, run_id: str) -> bool:
        """Whether the run's folder is one (`Store.holds`)."""
        return holds_run(self.folder(run_id))

    def check_free(self, run_id: str) -> None:
        """Find out whether the run's folder could be made (`Store.check_free`)."""
        from trainer.run.directory import check_free  # not above: names are completed without pydantic

        check_free(self.folder(run_id))

    def folder(self, run_id: str) -> Path:
        """The run's folder (`Store.folder`)."""
        return self.root / run_id

    def begin(self, run_id: str, told: Told) -> Hold:
        """Nothing more than the folder (`Store.begin`)."""
        del run_id, told
        return Here()

    def take(self, run_id: str, told: Told, *, take_over: bool = False) -> Hold:
        """Nothing more than the folder (`Store.take`)."""
        del run_id, told, take_over
        return Here()

    def settle(self, run_id: str, told: Told) -> bool:
        """Nothing to say (`Store.settle`)."""
        del run_id, told
        return False

    def fetch(self, run_id: str, received: Sent = unheard) -> Path:
        """The run's folder (`Store.fetch`)."""
        del received
        return self.folder(run_id)

    def pull(self, run_id: str, folder: Path, received: Sent = unheard) -> None:
        """A copy of the run's folder (`Store.pull`)."""
        if folder.exists():
            allowed = "a folder that is not there yet"
            raise BadInput("FOLDER", str(folder), allowed, "remove it, or give another one")
        _copy(self.folder(run_id), folder, received)

    def push(self, run_id: str, folder: Path, sent: Sent = unheard) -> None:
        """A copy of the folder (`Store.push`)."""
        from trainer.run.directory import lock_folder

        with lock_folder(folder, run_id):
            _copy(folder, self.folder(run_id), sent)

    def verify(self, run_id: str) -> Verified:
        """Its checkpoints, which have checksums (`Store.verify`)."""
        from trainer.checkpoint import Checkpoints, Damaged
        from trainer.run import group

        wrong, sizes = [], []
        for run in group.runs_of(self.folder(run_id)):
            checkpoints = Checkpoints(run.checkpoints)
            sizes += [path.stat().st_size for path in run.checkpoints.rglob("*") if path.is_file()]
            for step in checkpoints.steps():
                try:
                    checkpoints.load(step)
                except Damaged as reason:
                    wrong.append(f"{run.run_id}, step {step}: {reason}")
        return Verified(None, len(sizes), sum(sizes), (), tuple(wrong), ())

    def read_file(self, run_id: str, path: str) -> bytes:
        """A file of the run's folder (`Store.read_file`)."""
        try:
            return (self.folder(run_id) / path).read_bytes()
        except FileNotFoundError:
            return b""
        except OSError as error:
            raise SlipwayError(f"cannot read {self.folder(run_id) / path}: {error.strerror}") from error

    def glance(self, run_id: str) -> Path:
        """The run's folder (`Store.glance`)."""
        return self.folder(run_id)


def holds_run(folder: Path) -> bool:
    """Whether a folder is a run, or a group of runs."""
    return any(files.is_file(folder / mark) for mark in MARKS)


def _copy(source: Path, target: Path, copied: Sent) -> None:
    """Make a folder like another, which appears whole.

    Raises:
        SlipwayError: if the disk is full or fails.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=".copying-", dir=target.parent))
        try:
            for path, found in walk(source):
                (aside / path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(found, aside / path)
                copied(found.stat().st_size)
            files.sync_tree(aside)
            aside.chmod(0o755)
            aside.rename(target)
            files.sync_folder(target.parent)
        except BaseException:
            shutil.rmtree(aside, ignore_errors=True)
            raise
    except OSError as error:
        raise SlipwayError(f"cannot copy {source} to {target}: {error.strerror}") from error
