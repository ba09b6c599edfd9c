"""A run in a shared place that a process of this machine works on, in a folder of its own."""

import contextlib
import dataclasses
import os
import shutil
from pathlib import Path
from typing import Self

from trainer.errors import BadInput, SlipwayError
from trainer.run import files, ids
from trainer.run.directory import LOCK, lock_folder
from trainer.run.status import State
from trainer.store import lease
from trainer.store.journal import Entry, Files, Holder, Journal, Kind, Superseded
from trainer.store.lease import Heartbeat, Patience
from trainer.store.objects.base import Objects, Sent
from trainer.store.parallel import WORKERS
from trainer.store.restore import restore
from trainer.store.snapshot import Snapshot, keep
from trainer.store.told import Told, unheard
from trainer.store.uploader import FIRST_PAUSE_SECONDS, Uploader
from trainer.store.writer import KEPT_SECONDS, Writer

MARK = ".holder"
"""The file in a run directory that names the holder which works there, or worked there last; no part of the run."""
CLOSE_SECONDS = 3600.0
"""How long the end of a run waits for the store, if nothing shorter is said."""


@dataclasses.dataclass(frozen=True)
class Pace:
    """How long things take; the defaults are for real stores.

    Attributes:
        patience: how it is found out whether a holder lives.
        beat_seconds: between the holder's signs of life.
        first_pause_seconds: after the first upload that failed.
        kept_seconds: how long an entry is kept after the one that followed it.
        workers: transfers at a time.
    """

    patience: Patience = dataclasses.field(default_factory=Patience)
    beat_seconds: float = lease.BEAT_SECONDS
    first_pause_seconds: float = FIRST_PAUSE_SECONDS
    kept_seconds: float = KEPT_SECONDS
    workers: int = WORKERS


class Mirror:
    """A held run: use `create` or `take`, and `close` or `abandon` at the end.

    Its methods are called from one thread, the training's.

    Attributes:
        folder: the run directory, or a group's, on this machine.
        holder: this process, as the journal names it.
        number: of the entry by which it took the run.
    """

    def __init__(
        self,
        journal: Journal,
        folder: Path,
        entry: Entry,
        writer: Writer,
        stack: contextlib.ExitStack,
        told: Told,
        pace: Pace,
    ) -> None:
        self.folder, self.holder, self.number = folder, entry.holder, entry.taken
        self._journal, self._files, self._step = journal, entry.files, entry.step
        self._before, self._say = entry.before, told.say
        self._stack, self._pace = stack, pace
        self._uploader = Uploader(writer, told, first_pause_seconds=pace.first_pause_seconds)
        self._heartbeat = Heartbeat(journal, entry, self._uploader.stop, pace.beat_seconds)
        self._is_restored = False

    @classmethod
    def create(
        cls,
        objects: Objects,
        run_id: str,
        folder: Path,
        *,
        step: int | None = None,
        told: Told | None = None,
        pace: Pace | None = None,
    ) -> Self:
        """Begin a run in the store with what a folder holds, and hold it. It is there whole, or not at all.

        Args:
            objects: the store.
            run_id: its name there.
            folder: the run's or the group's; no other process writes to it.
            step: environment steps that it stands for.
            told: who is told what.
            pace: how long things take.

        Raises:
            BadInput: if the id is not allowed, or taken.
            Unreachable, Corrupt: as they say.
            SlipwayError: if the disk is full or fails.
        """
        ids.check(run_id)
        told, pace = told or Told(), pace or Pace()
        journal, holder = Journal(objects, run_id), Holder()
        if journal.last() is not None:
            raise _exists(objects, run_id)
        with contextlib.ExitStack() as stack:
            staging = _enter(folder, run_id, stack)
            writer = _writer(journal, Entry(Kind.TAKEN, holder, 1, {}), pace, told)
            first = keep(folder, staging, step)
            try:
                entry = writer.begin(first)
            except Superseded:
                raise _exists(objects, run_id) from None
            finally:
                first.discard()
            mirror = cls(journal, folder, entry, writer, stack.pop_all(), told, pace)
        mirror._restored()
        return mirror

    @classmethod
    def take(
        cls,
        objects: Objects,
        run_id: str,
        folder: Path,
        *,
        take_over: bool = False,
        told: Told | None = None,
        pace: Pace | None = None,
    ) -> Self:
        """Hold a run that is in the store. `restore` comes next: until then the folder is as it was.

        A holder that did not say that it stopped is waited for, unless it was this folder that it worked in.

        Args:
            objects: the store.
            run_id: its name there.
            folder: where it will be worked on; made by `restore` if missing.
            take_over: do not ask whether the process that held it last still lives.
            told: who is told what.
            pace: how long things take.

        Raises:
            BadInput: if there is no such run, or another process writes to it.
            Unreachable, Corrupt: as they say.
        """
        told, pace = told or Told(), pace or Pace()
        journal, holder = Journal(objects, run_id), Holder()
        with contextlib.ExitStack() as stack:
            _enter(folder, run_id, stack)
            dead = _read(folder / MARK)  # whoever worked here has lost the folder's lock
            entry = lease.take(journal, holder, take_over=take_over, dead=dead, patience=pace.patience, say=told.say)
            return cls(journal, folder, entry, _writer(journal, entry, pace, told), stack.pop_all(), told, pace)

    @property
    def files(self) -> Files:
        """The run as it was when this process took it."""
        return self._files

    def restore(self, *, keep_newer: bool = False, received: Sent | None = None) -> None:
        """Make the folder what the run was when it was taken: all else in it goes.

        Args:
            keep_newer: leave the folder as it is if it was this one that the run was last written from, by a process
                that is gone: then it holds what was committed, and what was not any more.
            received: told how many more bytes have come.

        Raises:
            Missing, Corrupt: if the store has lost or damaged some of it.
            Unreachable: as it says.
            SlipwayError: if the disk is full or fails.
        """
        run_id, mark = self._journal.run_id, self.folder / MARK
        if keep_newer and self._before and _read(mark) == self._before:
            self._say(f"{run_id}: going on with {self.folder}, from where the run was written last")
        else:
            _remove(mark)
            workers = self._pace.workers
            restore(self._journal.objects, run_id, self._files, self.folder, workers=workers, received=received)
        self._restored()

    def _restored(self) -> None:
        files.write(self.folder / MARK, self.holder.id.encode())
        self._is_restored = True

    def snapshot(self, step: int) -> None:
        """Keep the folder as it is now, and send that when there is time. Returns at once.

        To be called just after a checkpoint was saved and `status.json` was written.

        Args:
            step: environment steps that it stands for.

        Raises:
            SlipwayError: if the disk is full or fails.
        """
        self._step = step
        self._uploader.offer(self._now())

    def safe_at(self) -> float | None:
        """When the newest snapshot was taken that is committed (`Hold.safe_at`)."""
        return self._uploader.safe_at

    def check(self) -> None:
        """Find out whether the run may go on; it costs nothing.

        Raises:
            Superseded: if another process took the run over. `abandon` it then.
            BaseException: if sending failed in a way that will not mend itself.
        """
        self._uploader.check()

    def wait(self, timeout_seconds: float | None = None) -> bool:
        """Wait until all snapshots so far are in the store, or cannot be; False after the timeout."""
        return self._uploader.idle(timeout_seconds)

    def close(
        self,
        state: State,
        *,
        step: int | None = None,
        deadline_seconds: float = CLOSE_SECONDS,
    ) -> None:
        """Send the folder as it is now, and let go of the run, so that any machine may go on at once.

        A finished run's files, all but checkpoints, are laid out under their own names too.

        Args:
            state: the run's.
            step: environment steps that the folder stands for; None: those of the last snapshot.
            deadline_seconds: how long to wait for all this.

        Raises:
            Superseded: if another process took the run over.
            SlipwayError: if it could not be done until the deadline; the folder still has it.
        """
        try:
            self._uploader.check()
            self._step = self._step if step is None else step
            published = state is State.FINISHED
            trouble = self._uploader.close(
                self._now(), str(state), published=published, deadline_seconds=deadline_seconds
            )
            if trouble:
                raise self._unsaved(trouble)
            self._heartbeat.stop()
            with contextlib.suppress(SlipwayError):
                self._journal.objects.delete([lease.heartbeat_key(self._journal.run_id, self.number)])
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Let go of the folder, and begin nothing new in the store: others will find the holder dead."""
        self._heartbeat.stop()
        self._uploader.abandon()
        self._stack.close()

    def _unsaved(self, trouble: str) -> SlipwayError:
        return SlipwayError(
            f"{self._journal.run_id}: its end is not in {self._journal.objects.uri}: {trouble}\n"
            f"  what was reported as committed is safe there; what came after it is in {self.folder} alone"
        )

    def _now(self) -> Snapshot:
        if not self._is_restored:
            raise SlipwayError(f"{self._journal.run_id} has not been restored in {self.folder}")
        return keep(self.folder, _staging(self.folder), self._step)


def _read(mark: Path) -> str:
    """A small file's text; empty if there is none."""
    try:
        return mark.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return ""


def _remove(mark: Path) -> None:
    try:
        mark.unlink(missing_ok=True)
    except OSError as error:
        raise SlipwayError(f"cannot remove {mark}: {error.strerror}") from error


def _staging(folder: Path) -> Path:
    """Where snapshots lie: beside the run, on the same file system."""
    folder = folder.absolute()
    return folder.parent / f".{folder.name}-mirror"


def _enter(folder: Path, run_id: str, stack: contextlib.ExitStack) -> Path:
    """The folder for snapshots, empty, and locked until the stack is closed: then it is removed.

    Raises:
        BadInput: if another process of this machine holds it.
        SlipwayError: if the disk fails.
    """
    staging = _staging(folder)
    try:
        staging.mkdir(parents=True, exist_ok=True)
        stack.enter_context(lock_folder(staging, run_id))
        if _read(staging / LOCK) != f"process {os.getpid()} on {os.uname().nodename}":
            # It was waited for while its holder, at its end, removed it; whoever comes now makes another one.
            raise BadInput("RUN", run_id, "a run that no process writes to; another process does", "try again")
        for left in staging.iterdir():  # by a process that was killed
            if left.is_dir():
                shutil.rmtree(left)
    except OSError as error:
        raise SlipwayError(f"cannot make {staging}: {error.strerror}") from error
    stack.callback(shutil.rmtree, staging, ignore_errors=True)
    return staging


def _writer(journal: Journal, entry: Entry, pace: Pace, told: Told | None) -> Writer:
    sent = told.sent if told is not None else unheard
    return Writer(journal, entry, workers=pace.workers, kept_seconds=pace.kept_seconds, sent=sent)


def _exists(objects: Objects, run_id: str) -> BadInput:
    cure = "choose another id; `slipway resume` goes on with a run"
    return BadInput("--run-id", run_id, f"an id that {objects.uri} does not have yet", cure)
