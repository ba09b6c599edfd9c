"""Sends snapshots to the store behind the training's back, so that the training never waits."""

import dataclasses
import threading
import time

from trainer.errors import SlipwayError
from trainer.store.journal import Superseded
from trainer.store.objects.refused import Refused
from trainer.store.snapshot import Snapshot
from trainer.store.told import Told
from trainer.store.writer import Abandoned, Writer

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 60.0
"""Between attempts; each pause is twice the one before."""
LAST_PAUSE_SECONDS = 1.0
"""The longest pause while somebody waits for the last snapshot."""


@dataclasses.dataclass(frozen=True)
class _Job:
    """A snapshot to be sent. The last one of a run has the state that it is released with."""

    snapshot: Snapshot
    state: str | None = None
    published: bool = False
    taken_at: float = dataclasses.field(default_factory=time.time)


class Uploader:
    """Sends the newest snapshot in a thread of its own, and tries again whatever fails but the hold on the run.

    Args:
        writer: the holder's hand in the store.
        told: `say`, once when something is not committed and once when it is again; `committed`, of each commit;
            `left`, while `close` waits.
        first_pause_seconds: after the first failure.

    Attributes:
        safe_at: Unix time at which the newest snapshot was offered that is committed; None if none is.
    """

    def __init__(self, writer: Writer, told: Told, *, first_pause_seconds: float = FIRST_PAUSE_SECONDS) -> None:
        self._writer, self._told = writer, told
        self._first_pause_seconds = self._pause_seconds = first_pause_seconds
        self._changed = threading.Condition()
        self._waiting: _Job | None = None
        self._working = False
        self._closing = self._abandoned = self._released = False
        self._number = 0
        """The last entry that `committed` was told of."""
        self._error: BaseException | None = None
        self.safe_at: float | None = None
        self._trouble = ""
        """Why the last attempt failed; empty if it did not."""
        self._thread = threading.Thread(target=self._run, name="store-uploader", daemon=True)
        self._thread.start()

    def offer(self, snapshot: Snapshot) -> None:
        """Send a snapshot when there is time; one that waits already is dropped for it. Returns at once."""
        self._queue(_Job(snapshot))

    def check(self) -> None:
        """Find out whether the run may go on.

        Raises:
            Superseded: if somebody else has the run now.
            BaseException: what else went wrong in the uploader's thread and will again.
        """
        if self._error is not None:
            raise self._error

    def idle(self, timeout_seconds: float | None = None) -> bool:
        """Wait until nothing is left to be sent, or nothing will be.

        Returns:
            Whether that is so; False after the timeout.
        """
        with self._changed:
            return self._changed.wait_for(
                lambda: (self._waiting is None and not self._working) or not self._thread.is_alive(), timeout_seconds
            )

    def close(self, snapshot: Snapshot, state: str, *, published: bool, deadline_seconds: float) -> str:
        """Send the last snapshot, and release the run.

        Args:
            snapshot: the last one.
            state: the run's, in words.
            published: whether its files are laid out under their own names too, before it is released.
            deadline_seconds: how long to wait for all this.

        Returns:
            Why it could not be done until the deadline; empty if it is done.

        Raises:
            Superseded: if somebody else has the run now.
            BaseException: what else went wrong and will again.
        """
        end = time.monotonic() + deadline_seconds
        self._queue(_Job(snapshot, state, published))
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        while self._thread.is_alive() and (remains := end - time.monotonic()) > 0:
            self._thread.join(min(1.0, remains))
            if self._thread.is_alive():
                self._told.left(self._writer.left)
        remaining = self._writer.left
        self.abandon()
        if self._released:
            return ""
        self.check()
        return self._trouble or f"{remaining} bytes were still to be sent"

    def stop(self, error: Superseded) -> None:
        """Send nothing more: somebody else has the run, as `check` will say."""
        if not self._released:  # somebody may have it once this holder has let go
            self._error = self._error or error
            self.abandon()

    def abandon(self) -> None:
        """Begin nothing new. What is under way may still end, unless the process does."""
        self._writer.abandon()
        with self._changed:
            self._closing = self._abandoned = True
            self._drop()
            self._changed.notify_all()

    def _queue(self, job: _Job) -> None:
        with self._changed:
            self._drop()
            if not self._thread.is_alive() or self._abandoned:
                job.snapshot.discard()
                return
            self._waiting = job
            self._changed.notify_all()

    def _drop(self) -> None:
        if self._waiting is not None:
            self._waiting.snapshot.discard()
            self._waiting = None

    def _run(self) -> None:
        try:
            while (job := self._next()) is not None:
                self._attempt(job)
        except Abandoned:
            pass
        except BaseException as error:  # it belongs to the training's thread, which raises it at its next look
            self._error = error
        finally:
            with self._changed:
                self._working = False
                self._drop()
                self._abandoned = True
                self._changed.notify_all()

    def _next(self) -> _Job | None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting is not None or self._closing)
            job, self._waiting = self._waiting, None
            self._working = job is not None
            return job

    def _attempt(self, job: _Job) -> None:
        """Save a snapshot, or keep it to be tried again.

        Raises:
            Superseded, Abandoned: as they say; it is not tried again then.
        """
        try:
            self._save(job)
        except (Superseded, Abandoned):
            job.snapshot.discard()
            raise
        except (SlipwayError, OSError) as error:
            self._failed(job, error)
        else:
            job.snapshot.discard()
            with self._changed:
                self._working = False
                self._changed.notify_all()

    def _save(self, job: _Job) -> None:
        if job.state is None or job.published:
            self._done(job, self._writer.commit(job.snapshot))
        if job.published:
            self._writer.publish(job.snapshot)
        if job.state is not None:
            self._done(job, self._writer.release(job.snapshot, job.state))
            self._released = True
        self._writer.sweep()

    def _done(self, job: _Job, number: int) -> None:
        if self._trouble:
            self._told.say("The store answers again: committed.")
        self._trouble, self._pause_seconds = "", self._first_pause_seconds
        if number > self._number:
            self._number = number
            self.safe_at = job.taken_at
            self._told.committed(job.snapshot.step, number)

    def _failed(self, job: _Job, error: Exception) -> None:
        """Keep the snapshot, unless a newer one has come, and pause."""
        if not self._trouble and not self._abandoned:
            self._told.say(f"not committed: {_in_short(error)}; it is tried again")
        self._trouble = str(error) or repr(error)
        with self._changed:
            self._working = False
            if self._waiting is None and not self._abandoned:
                self._waiting = job
            else:
                job.snapshot.discard()
            pause, self._pause_seconds = self._pause_seconds, min(2 * self._pause_seconds, LONGEST_PAUSE_SECONDS)
            if self._closing:
                self._changed.wait_for(lambda: self._abandoned, min(pause, LAST_PAUSE_SECONDS))
            else:
                self._changed.wait_for(lambda: self._closing, pause)


def _in_short(error: Exception) -> str:
    """In one line; of what a person can mend, what is wrong and the fix."""
    if isinstance(error, Refused):
        mend = error.mend
        return " ".join(f"{mend.value} needs {mend.allowed}; {mend.cure}".split())
    return (str(error) or repr(error)).splitlines()[0]
