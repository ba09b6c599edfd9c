"""A run directory: where each file lies, how it is made, and who may write to it."""

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from trainer.config import load
from trainer.config.models import RunFile
from trainer.errors import BadInput, SlipwayError
from trainer.run import files, ids
from trainer.run.status import FORMAT, RESUMABLE, State, Status
from trainer.store.base import Store

RUN_FILE, STATUS, LOCK = "run.yaml", "status.json", ".lock"
ATTEMPTS = 10
"""How often a lock is tried before its holder counts as one that stays."""


class Locked(BadInput):
    """A run that another process writes to."""


class RunDirectory:
    """The files of one run.

    Args:
        folder: the run directory. Use `create` or `open`, which check it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.run_file_path = folder / RUN_FILE
        self.provenance = folder / "provenance.json"
        self.status_path = folder / STATUS
        self.simulation = folder / "simulation.json"
        self.checkpoints = folder / "checkpoints"
        self.metrics = folder / "metrics.jsonl"
        self.log = folder / "log.jsonl"
        self.events = folder / "events"
        self.evaluation = folder / "evaluation.json"
        self.policy_picture = folder / "policy.json"
        self.model = folder / "model"
        self.report = folder / "report.html"
        self.moved: Callable[[Status], object] = lambda _: None
        """Told each new status, once it is written."""

    @property
    def run_id(self) -> str:
        """The run's name: its folder's, after its group's if it belongs to one."""
        group = self.folder.parent
        return f"{group.name}/{self.folder.name}" if (group / "group.json").is_file() else self.folder.name

    @classmethod
    def create(cls, store: Store, run_id: str, run_file: RunFile) -> "RunDirectory":
        """A new run: its folder with `run.yaml` and `status.json` (queued), which appear in one step.

        Raises:
            BadInput: if the id is not allowed or taken, or the store cannot be written; nothing has been written then.
        """
        ids.check(run_id)
        store.check_writable()
        folder = store.folder(run_id)
        make_folder(folder, first_files(run_id, run_file))
        return cls(folder)

    @classmethod
    def open(cls, folder: Path) -> "RunDirectory":
        """A run that is there.

        Raises:
            BadInput: if there is none, or another version of slipway made it.
        """
        directory = cls(folder)
        if not directory.run_file_path.is_file():
            allowed = "a run directory, or the id of a run in the store"
            raise BadInput("RUN", str(folder), allowed, "see `slipway runs list`")
        found = files.read_json(directory.status_path).get("format")
        if found != FORMAT:
            cure = "use the version of slipway that made it (provenance.json has it)"
            raise BadInput("RUN", str(folder), f"a run of format {FORMAT}; this one has format {found!r}", cure)
        return directory

    def run_file(self) -> RunFile:
        """`run.yaml`, validated.

        Raises:
            BadInput, BadInputs: if it has been damaged.
        """
        return load.load(self.run_file_path)

    def status(self) -> Status:
        """`status.json`.

        Raises:
            SlipwayError: if it cannot be read.
        """
        return Status.from_json(files.read_json(self.status_path))

    def write_status(self, status: Status) -> None:
        """Replace `status.json` in one step.

        Raises:
            SlipwayError: if the disk is full or fails.
        """
        files.write_json(self.status_path, status.to_json())

    def move(self, state: State, **changes: Any) -> Status:
        """Read the status, go on to another state, and write it.

        Args:
            state: the next one.
            **changes: other attributes of `Status`.

        Raises:
            SlipwayError: if that state cannot follow, or the disk fails.
        """
        status = self.status().moved(state, **changes)
        self.write_status(status)
        self.moved(status)
        return status

    def check_resumable(self) -> Status:
        """The status of a run that can go on.

        Raises:
            BadInput: if it is finished.
        """
        status = self.status()
        if status.state not in RESUMABLE:
            cure = "train a new run; `slipway evaluate` and `slipway report` still work on this one"
            raise BadInput("RUN", self.run_id, f"a run that is not {status.state}", cure)
        return status

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Be the only process that writes to this run; the lock goes with the process, however it ends.

        Raises:
            BadInput: if another process writes to it.
        """
        with lock_folder(self.folder, self.run_id):
            yield

    def is_locked(self) -> bool:
        """Whether a process writes to this run now, as far as this machine can tell."""
        try:
            with (self.folder / LOCK).open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False


def first_files(run_id: str, run_file: RunFile) -> dict[str, bytes]:
    """What a run directory holds from its first moment."""
    return {
        RUN_FILE: load.dump(run_file).encode(),
        STATUS: files.encode(Status(run_id).to_json()),
    }


def make_folder(folder: Path, content: Mapping[str, bytes]) -> None:
    """Make a folder with files (by path relative to it) that appears whole or not at all.

    Raises:
        BadInput: if there is something of that name already.
        SlipwayError: if the disk is full or fails; nothing is left behind.
    """
    parent = folder.parent
    try:
        parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=".creating-", dir=parent))
        try:
            aside.chmod(0o755)
            for name, data in content.items():
                (aside / name).parent.mkdir(parents=True, exist_ok=True)
                files.write(aside / name, data)
            # A rename replaces an empty folder without a word, so that is refused here; a full one refuses by itself.
            check_free(folder)
            aside.rename(folder)
            files.sync_folder(parent)
        except BaseException:
            shutil.rmtree(aside, ignore_errors=True)
            raise
    except OSError as error:
        check_free(folder)
        raise SlipwayError(f"cannot make {folder}: {error.strerror}") from error


def check_free(folder: Path) -> None:
    """Find out whether a run's folder could be made.

    Raises:
        BadInput: if there is something of that name already.
    """
    if folder.exists():
        cure = "choose another --run-id, or leave it out; `slipway resume` goes on with a run"
        raise BadInput("--run-id", folder.name, f"an id that {folder.parent} does not have yet", cure)


@contextlib.contextmanager
def lock_folder(folder: Path, shown: str) -> Iterator[None]:
    """Hold a folder's lock (`RunDirectory.lock`).

    Raises:
        BadInput: if another process holds it.
    """
    try:
        descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise SlipwayError(f"cannot lock {folder}: {error.strerror}") from error
    try:
        try:
            _lock(descriptor)
        except BlockingIOError:
            holder = os.pread(descriptor, 100, 0).decode(errors="replace").strip() or "another process"
            cure = "wait until it ends, or stop it"
            raise Locked("RUN", shown, f"a run that no process writes to; {holder} does", cure) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"process {os.getpid()} on {os.uname().nodename}".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> None:
    """Take an open file's lock, waiting a moment: whoever only asks whether it is held (`is_locked`) holds it as long.

    Raises:
        BlockingIOError: if it stays held.
    """
    for _ in range(ATTEMPTS):
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        time.sleep(0.02)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
