"""Records to a service over the network, from a thread of its own: whoever hands them over never waits."""

import collections
import contextlib
import dataclasses
import itertools
import random
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Generic, Protocol, TypeVar

T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 300.0
CLOSING_PAUSE_SECONDS = 1.0
"""The longest pause between two tries while the run waits for the end of them."""
DEADLINE_SECONDS = 10.0
"""How long closing may take."""
MOST_IN_A_REQUEST = 10_000
"""No service takes more records at once."""


class Refused(Exception):
    """The service takes none of these records together, now or later. Any other error may pass."""


@dataclasses.dataclass(frozen=True)
class Lost:
    """How many records of a request the service did not take for good, and why."""

    records: int = 0
    reason: str = ""


class Destination(Protocol[T_contra]):
    """A service that takes records, some at a time. One thread alone calls it."""

    def fits(self, records: Sequence[T_contra]) -> int:
        """How many of these, from the first on, may go in one request; at least 1."""
        ...

    def send(self, records: Sequence[T_contra]) -> Lost:
        """Send one request.

        Raises:
            Refused: if none was taken for a fault of one of them.
            Exception: if the service cannot be reached, throttles or lacks a right: then it is tried again.
        """
        ...

    def close(self) -> None:
        """Let go of connections."""
        ...


class Batched(Generic[T]):
    """Keeps records until the service has them, in order.

    A failure is told once for each outage, and followed by pauses that double from 1 s to 5 min, of which chance takes
    up to a half. What waits is bounded: the oldest goes first. A record that is refused is found by halving the request
    that it is in, and lost alone.

    A request whose answer does not come is sent again: the service may have its records twice.

    Args:
        name: of the service, for messages.
        destination: where records go; closed at the end.
        tell: takes a message for people; called from the thread.
        interval_seconds: between two turns.
        most: how many records may wait; more than go in one request.
        gather: asked for records at the start of each turn, and once more on closing.
        deadline_seconds: how long `close` waits for the service.

    Attributes:
        name: of the service.
        dropped: records that were lost: refused, pushed out by newer ones, or not sent by the deadline.
    """

    def __init__(
        self,
        name: str,
        destination: Destination[T],
        tell: Callable[[str], None],
        *,
        interval_seconds: float,
        most: int,
        gather: Callable[[], Iterable[T]] = lambda: (),
        deadline_seconds: float = DEADLINE_SECONDS,
    ) -> None:
        self.name, self._destination, self._tell = name, destination, tell
        self._interval_seconds, self._most, self._gather = interval_seconds, most, gather
        self._deadline_seconds = deadline_seconds
        self._waiting: collections.deque[T] = collections.deque()
        self._sending = self._failures = self.dropped = 0
        self._refusal_told = False
        self._lock = threading.Lock()
        self._closing, self._given_up = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"slipway: {name}", daemon=True)
        self._thread.start()

    def put(self, record: T) -> None:
        """Take a record; returns at once, whatever the service does."""
        with self._lock:
            if self._given_up.is_set():
                self.dropped += 1
                return
            self._waiting.append(record)
            if len(self._waiting) > self._most:
                del self._waiting[self._sending]  # the oldest that is not on its way
                self.dropped += 1

    def close(self) -> None:
        """Send what waits, until the deadline; what is left then is dropped."""
        if self._given_up.is_set():
            return
        self._closing.set()
        self._thread.join(self._deadline_seconds)
        with self._lock:
            self._given_up.set()
            self.dropped += len(self._waiting)
            self._waiting.clear()

    def _run(self) -> None:
        turn = again = time.monotonic() + self._interval_seconds
        while not self._given_up.is_set():
            self._closing.wait(max(0.0, min(turn, again) - time.monotonic()))
            closing = self._closing.is_set()
            if closing or time.monotonic() >= turn:
                for record in self._gather():
                    self.put(record)
                turn = time.monotonic() + self._interval_seconds
            if closing or time.monotonic() >= again:
                pause = self._send_waiting()
                again = turn if pause is None else time.monotonic() + pause
                if closing and pause is None:
                    break
                if closing and pause is not None:
                    self._given_up.wait(min(pause, CLOSING_PAUSE_SECONDS))
        self._destination.close()

    def _send_waiting(self) -> float | None:
        """Send all that waits; how many seconds to pause if that failed."""
        most = self._most
        while records := self._take(most):
            try:
                lost = self._destination.send(records)
            except Refused as error:
                if len(records) > 1:
                    most = len(records) // 2
                    continue
                lost = Lost(1, _in_a_line(error))
            except Exception as error:  # a fault of any kind must not end the thread
                return self._failed(error)
            most = 2 * len(records)
            self._sent(len(records), lost)
        return None

    def _take(self, most: int) -> list[T]:
        """The oldest records that go in one request; they stay among those that wait."""
        with self._lock:
            first = list(itertools.islice(self._waiting, min(most, MOST_IN_A_REQUEST)))
            self._sending = self._destination.fits(first) if first else 0
            return first[: self._sending]

    def _sent(self, count: int, lost: Lost) -> None:
        with self._lock:
            if not self._given_up.is_set():
                for _ in range(count):
                    self._waiting.popleft()
                self.dropped += lost.records
            self._sending = 0
        if self._failures:
            self._failures = 0
            self._say(f"{self.name} works again")
        if lost.records and not self._refusal_told:
            self._refusal_told = True
            self._say(f"{self.name} refuses some of what it is sent ({lost.reason}); training goes on")

    def _failed(self, error: Exception) -> float:
        """Note a failure; how many seconds to pause."""
        with self._lock:
            self._sending = 0
        pause = min(FIRST_PAUSE_SECONDS * 2.0 ** min(self._failures, 30), LONGEST_PAUSE_SECONDS)
        self._failures += 1
        if self._failures == 1:
            self._say(f"{self.name} fails ({_in_a_line(error)}); training goes on, and what is not sent waits for it")
        # Many machines that lost one service together should not come back together.
        return pause * random.uniform(0.5, 1.0)  # noqa: S311

    def _say(self, text: str) -> None:
        # A terminal that is gone must not end the thread; the training, which writes there too, ends itself.
        with contextlib.suppress(OSError, ValueError):
            self._tell(text)


def _in_a_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
