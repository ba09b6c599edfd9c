"""The worker of a slot: takes the queue's next entry, trains it in a process of its own, and so on for ever."""

import contextlib
import dataclasses
import json
import os
import select
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from trainer.errors import BadInput, ExitCode, SlipwayError
from trainer.metrics import server
from trainer.queue.exposition import Doing, Exposition
from trainer.queue.queue import Drained, Lost, Queue
from trainer.queue.states import ENDED_BY, Entry, Holder, State, recent
from trainer.queue.training import SLIPWAY, Training
from trainer.queue.watch import DEAD_AFTER_SECONDS, Watch
from trainer.run.status import now

SIGNALS = (signal.SIGTERM, signal.SIGINT)
SOCKET = "metrics"
"""The run's metrics, in the worker's own folder."""


@dataclasses.dataclass(frozen=True)
class Pace:
    """How often and how long.

    Attributes:
        look_seconds: between two looks at the queue.
        beat_seconds: between two signs of life.
        dead_after_seconds: for how long the sign of life of a dead worker has not changed.
        restart_seconds: before a training is started again.
        stop_seconds: how long a last checkpoint may take.
        start_limit: how many starts an entry may have that were followed by no preemption.
        start_limit_minutes: within how long.
    """

    look_seconds: float = 2.0
    beat_seconds: float = 10.0
    dead_after_seconds: float = DEAD_AFTER_SECONDS
    restart_seconds: float = 10.0
    stop_seconds: float = 90.0
    start_limit: int = 5
    start_limit_minutes: float = 60.0


class Worker:
    """Trains the entries of a queue, one at a time.

    Args:
        queue: whose.
        store: where the runs are kept, whatever their run files say.
        slot: of this machine; one worker has it at a time.
        gpu: the number of the slot's GPU, as `nvidia-smi` counts; None: it has none.
        place: where the metrics of slot 0 are served; those of slot N have a port N higher. None: nowhere.
        pace: how often and how long.
        command: what `slipway` is started by.
        say: takes each event, for the log.
    """

    def __init__(
        self,
        queue: Queue,
        store: str,
        slot: int = 0,
        *,
        gpu: int | None = None,
        place: server.Place | None = None,
        pace: Pace = Pace(),
        command: Sequence[str] = SLIPWAY,
        say: Callable[[Mapping[str, Any]], None] | None = None,
    ) -> None:
        self._queue, self._store, self._gpu, self._pace, self._command = queue, store, gpu, pace, command
        self._holder = Holder.here(slot)
        self._place = _of_slot(place, slot) if place else None
        self._watch = Watch(pace.dead_after_seconds)
        self._tell = say or _print
        self._stopping = False
        self._beats, self._beaten = 0, -float("inf")
        self._shown: Exposition
        self._folder: Path
        self._heard: socket.socket

    def work(self) -> None:
        """Train until SIGTERM or SIGINT; what is trained then is saved, and goes on when this slot's worker is back.

        Raises:
            BadInput: if there is no such queue, another worker has the slot, or metrics cannot be served there.
        """
        self._queue.check(write=True)
        with contextlib.ExitStack() as stack:
            stack.enter_context(_alone(self._queue.folder, self._holder.slot))
            self._folder = Path(tempfile.mkdtemp(prefix="slipway-worker-"))
            stack.callback(shutil.rmtree, self._folder, ignore_errors=True)
            self._shown = Exposition(self._folder / SOCKET)
            if self._place is not None:
                served = server.Server(self._shown, self._place, "--metrics-")
                stack.callback(served.close)
            self._heard = stack.enter_context(_signals(self._stop))
            self._say("ready", queue=str(self._queue.folder), store=self._store)
            while not self._stopping:
                entry = self._patiently(self._next)
                if entry is not None:
                    self._train(entry)
                else:
                    self._wait(self._pace.look_seconds)
            with contextlib.suppress(SlipwayError):
                self._beat("stopped", force=True)
            self._say("stopped")

    # -- which

    def _next(self) -> Entry | None:
        """Take an entry, after those of dead workers were put back; None if there is none for this slot."""
        entries = self._queue.entries()
        self._shown.saw(entries, time.time())
        drained = self._queue.drained(self._holder.host)
        self._shown.doing = Doing.DRAINED if drained else Doing.IDLE
        self._beat(str(self._shown.doing))
        # Its own first: at once, wherever it stands in the queue.
        for entry in (each for each in entries if self._is_own(each)):
            if not (drained and drained.is_now) and not entry.change.cancel:
                return self._start(entry)
            self._put_back(entry, "its host is drained")
        orphans = [entry for entry in entries if self._is_orphan(entry)]
        for entry in orphans:
            self._put_back(entry, "its worker is gone")
        if drained or orphans:
            return None
        trouble: SlipwayError | None = None
        for entry in entries:
            if entry.state is State.QUEUED and (self._gpu is not None or not entry.submission.needs_gpu):
                try:
                    return self._start(entry)
                except Lost:
                    continue
                except SlipwayError as error:  # such as one whose folder belongs to another user: it holds up no other
                    trouble = error
        if trouble is not None:
            raise trouble
        return None

    def _is_own(self, entry: Entry) -> bool:
        """Whether this slot holds it: an earlier process of the slot did, which is dead, or this one does.

        This one trains nothing while it looks for the next. It holds an entry all the same where somebody cancelled it
        in the moment in which its training ended, or where the NAS took a step and its answer was lost.
        """
        holder = entry.change.holder
        return entry.state is State.RUNNING and holder is not None and holder.place == self._holder.place

    def _is_orphan(self, entry: Entry) -> bool:
        holder = entry.change.holder
        if entry.state is not State.RUNNING or holder is None or holder.place == self._holder.place:
            return False
        # Also of this machine, where that slot's worker may start a moment later than this one.
        return self._watch.is_dead(holder, self._queue.sign_of_life(holder))

    def _put_back(self, entry: Entry, why: str) -> None:
        """Let anybody take an entry whose training has ended; one that was to be cancelled is so."""
        with contextlib.suppress(Lost):
            if entry.change.cancel:
                self._end(entry, State.CANCELLED)
                return
            self._queue.move(entry, State.QUEUED, message=why)
            self._say("put back", entry, why=why)

    def _start(self, entry: Entry) -> Entry | None:
        """Take an entry, or the next start of one that is this worker's; None if it has crashed too often.

        Raises:
            Lost: if somebody else has it.
        """
        at, pace = time.time(), self._pace
        starts = recent(entry.change.starts, at, pace.start_limit_minutes)
        if len(starts) >= pace.start_limit:
            often = f"{len(starts)} starts in {pace.start_limit_minutes:g} minutes, and none of them came to an end"
            self._end(entry, State.FAILED, f"{often}; {entry.change.message}".removesuffix("; "))
            return None
        return self._queue.move(entry, State.RUNNING, holder=self._holder, starts=(*starts, at))

    # -- train

    def _train(self, held: Entry) -> None:
        """Bring an entry to its end, or as far as signals, drains and its own faults let it come."""
        entry: Entry | None = held
        while entry is not None:
            entry = self._patiently(lambda begun=entry: self._once(begun))  # type: ignore[misc]
            if entry is not None and not self._pause(entry):
                return
            if entry is not None:
                entry = self._patiently(lambda ended=entry: self._again(self._mine(ended)))  # type: ignore[misc]

    def _again(self, entry: Entry) -> Entry | None:
        """The next start of an entry; None if it was cancelled in the pause before, or has crashed too often."""
        if entry.change.cancel:
            self._end(entry, State.CANCELLED)
            return None
        return self._start(entry)

    def _once(self, entry: Entry) -> Entry | None:
        """One start of an entry's training; the entry if it is to be started again, None if it is not."""
        self._shown.doing = Doing.RUNNING
        self._beaten = -float("inf")  # what it does now is told at the next look
        self._say("started", entry, start=len(entry.change.starts))
        training = Training(self._command, entry.submission, self._store, self._folder, self._environment())
        try:
            newest, wish = self._attend(training, entry)
        except BaseException:
            training.kill()
            raise
        code = training.poll()
        reason = training.reason()
        self._say("ended", entry, exit_code=code, reason=reason)
        if newest is None:
            return None
        return self._patiently(lambda: self._settle(newest, code or 0, wish, reason))

    def _attend(self, training: Training, entry: Entry) -> tuple[Entry | None, str]:
        """Wait for a training's end, and stop it when it should.

        Returns:
            The entry as it is then, None if it is somebody else's; and why the training was stopped, empty if it was
            not.
        """
        newest, wish, looked = entry, "", time.monotonic()
        killed_at = float("inf")
        while training.poll() is None:
            self._wait(min(1.0, self._pace.look_seconds))
            at = time.monotonic()
            if at >= killed_at:
                training.kill()
            if at - looked >= self._pace.look_seconds:
                looked = at
                try:
                    newest, drained = self._look(newest)
                except Lost:
                    self._say("lost", entry)  # whoever has it now trains it
                    training.kill()
                    return None, ""
                except SlipwayError as error:
                    self._say("trouble", entry, reason=str(error))
                    drained = None
                wished = "cancel" if newest.change.cancel else "drain" if drained and drained.is_now else ""
                wish = wish or wished
            if self._stopping:
                wish = wish or "stop"
            if wish and killed_at == float("inf"):
                self._shown.doing = Doing.STOPPING
                killed_at = at + self._pace.stop_seconds
                training.stop()
        return newest, wish

    def _look(self, entry: Entry) -> tuple[Entry, Drained | None]:
        """The entry as it is now, and whether this host is drained.

        Raises:
            Lost: if it is somebody else's.
            SlipwayError: if the queue does not answer.
        """
        if self._beat("running", entry):  # the whole queue is read less often: it may be long
            self._shown.saw(self._queue.entries(), time.time())
        newest = self._mine(entry)
        self._shown.looked_at = time.time()
        return newest, self._queue.drained(self._holder.host)

    def _mine(self, entry: Entry) -> Entry:
        """The entry as it is now.

        Raises:
            Lost: if it is somebody else's.
            SlipwayError: if the queue does not answer.
        """
        newest = self._queue.newest(entry)
        if not newest.is_held_by(self._holder):
            raise Lost(f"{entry.run_id} was given to another worker")
        return newest

    def _settle(self, entry: Entry, code: int, wish: str, reason: str) -> Entry | None:
        """Say in the queue how a training ended; the entry if it is to be started again."""
        entry = self._mine(entry)
        if code in ENDED_BY:
            self._end(entry, ENDED_BY[ExitCode(code)], reason if code == ExitCode.BAD_INPUT else "")
            return None
        # Told to stop before it could listen, it is ended by the signal: there was nothing to save.
        was_stopped = code == ExitCode.PREEMPTED or (bool(wish) and code in (-signal.SIGTERM, -signal.SIGKILL))
        starts = () if was_stopped else entry.change.starts
        if entry.change.cancel or wish == "cancel":
            self._end(entry, State.CANCELLED)
            return None
        if wish == "drain":
            self._queue.move(entry, State.QUEUED, starts=starts, message="its host is drained")
            self._say("put back", entry, why="its host is drained")
            return None
        why = "" if was_stopped else reason or f"its training ended with {_ended(code)}"
        return self._queue.move(entry, State.RUNNING, starts=starts, message=why)

    def _end(self, entry: Entry, state: State, message: str = "") -> None:
        self._queue.move(entry, state, message=message)
        self._shown.ended_one(state)
        self._say(str(state), entry, **({"message": message} if message else {}))

    def _pause(self, entry: Entry) -> bool:
        """Wait before the next start, but not for one that is cancelled; whether this process is to go on with it."""
        until = time.monotonic() + self._pace.restart_seconds
        while not self._stopping and (left := until - time.monotonic()) > 0:
            self._wait(min(left, self._pace.look_seconds))
            with contextlib.suppress(SlipwayError):
                self._beat("running", entry)
                if self._mine(entry).change.cancel:
                    break
        return not self._stopping

    def _environment(self) -> dict[str, str]:
        """The training's: this process's, its GPU alone, and where the worker takes its metrics from."""
        gpu = "-1" if self._gpu is None else str(self._gpu)
        kept = {name: value for name, value in os.environ.items() if not name.startswith(server.ADDRESS)}
        kept |= {"CUDA_VISIBLE_DEVICES": gpu, "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
        return kept | {server.ADDRESS: f"{server.UNIX}{self._folder / SOCKET}"}

    # -- the rest

    def _patiently(self, action: "Callable[[], Entry | None]") -> Entry | None:
        """What an action returns, tried again for as long as the queue does not answer; None if the entry was lost."""
        while True:
            try:
                return action()
            except Lost as error:
                self._say("lost", reason=str(error))
                return None
            except BadInput:
                raise
            except (SlipwayError, OSError) as error:
                self._say("trouble", reason=str(error))
                if self._stopping:
                    return None
                self._wait(self._pace.look_seconds)

    def _beat(self, state: str, entry: Entry | None = None, *, force: bool = False) -> bool:
        """Show that this worker lives, if it is time to; whether it was."""
        at = time.monotonic()
        if not force and at - self._beaten < self._pace.beat_seconds:
            return False
        self._beats += 1
        said = {"host": self._holder.host, "slot": self._holder.slot, "gpu": self._gpu, "state": state}
        self._queue.beat(
            self._holder, {**said, "run_id": entry.run_id if entry else None, "at": now(), "beats": self._beats}
        )
        self._beaten = at
        return True

    def _stop(self) -> None:
        self._stopping = True

    def _wait(self, seconds: float) -> None:
        """Wait, but for a signal or the end of a child."""
        if select.select([self._heard], [], [], seconds)[0]:
            with contextlib.suppress(BlockingIOError):
                self._heard.recv(4096)

    def _say(self, event: str, entry: Entry | None = None, **more: Any) -> None:
        said = {"event": event, "time": now(), "slot": self._holder.slot}
        self._tell(said | ({"run_id": entry.run_id} if entry else {}) | more)


def _print(event: Mapping[str, Any]) -> None:
    sys.stdout.write(json.dumps(event) + "\n")
    sys.stdout.flush()


def _ended(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    with contextlib.suppress(ValueError):
        return f"signal {signal.Signals(-code).name}"
    return f"signal {-code}"


def _of_slot(place: server.Place, slot: int) -> server.Place:
    address = place.address
    if not address.port:
        return place
    if address.port + slot > 65535:
        allowed = f"a port from 1 to {65535 - slot}, as slot {slot} has one {slot} higher"
        raise BadInput("--metrics-port", address.port, allowed, "set a lower port")
    return dataclasses.replace(place, address=dataclasses.replace(address, port=address.port + slot))


@contextlib.contextmanager
def _alone(folder: Path, slot: int) -> Iterator[None]:
    """Be the one worker of a slot on this machine: a name of the kernel's, which goes with the process.

    Raises:
        BadInput: if another process is.
    """
    found = folder.stat()
    name = f"\0slipway-worker-{found.st_dev:x}-{found.st_ino:x}-{slot}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as held:
        try:
            held.bind(name)
        except OSError:
            allowed = "a slot that no other worker of this machine has"
            raise BadInput("--slot", slot, allowed, "give another slot, or stop that worker") from None
        yield


@contextlib.contextmanager
def _signals(stop: Callable[[], None]) -> Iterator[socket.socket]:
    """A socket that can be read once a signal has come; those that ask to stop call a function."""
    heard, told = socket.socketpair()
    heard.setblocking(False)
    told.setblocking(False)

    def take(number: int, frame: FrameType | None) -> None:
        del frame
        if number in SIGNALS:
            stop()

    before = {number: signal.signal(number, take) for number in (*SIGNALS, signal.SIGCHLD)}
    wakes = signal.set_wakeup_fd(told.fileno(), warn_on_full_buffer=False)
    try:
        yield heard
    finally:
        signal.set_wakeup_fd(wakes)
        for number, handler in before.items():
            signal.signal(number, handler)
        heard.close()
        told.close()
