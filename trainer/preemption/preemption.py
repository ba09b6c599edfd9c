"""Turns signals and clouds' notices into a wish to stop or to save, which the training meets between its calls."""

import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Self

from trainer.config import preemption as config
from trainer.preemption.notice import Notice, Preempted
from trainer.preemption.watch import Watch

SIGNALS = (signal.SIGINT, signal.SIGTERM)
SIGNALS_ALONE = config.Preemption(watch="none")


def _unheard(text: str) -> None:
    del text


class Preemption:
    """While entered, signals and this machine's cloud can ask to stop or to save.

    The first signal asks to stop; a second one that is Ctrl-C stops at once, as if there were no handler.

    Args:
        settings: whose notices count.
        tell: is told what the cloud says, from another thread.

    Attributes:
        received: why to stop; None while there is no reason to.
    """

    def __init__(self, settings: config.Preemption = SIGNALS_ALONE, tell: Callable[[str], None] = _unheard) -> None:
        self.received: Notice | None = None
        self._settings, self._tell = settings, tell
        self._heard: set[Notice] = set()
        self._to_save = threading.Event()
        self._signalled = False
        self._watch: Watch | None = None
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        for number in SIGNALS:
            self._before[number] = signal.signal(number, self._handle)
        if self._settings.watch != "none":
            self._watch = Watch(self._settings, self.heed, self._tell)
            self._watch.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._watch is not None:
            self._watch.close()
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def heed(self, notice: Notice) -> None:
        """Take what a cloud says; what is said again, or after the end was, changes nothing."""
        if notice in self._heard or self.received is not None:
            return
        self._heard.add(notice)
        if notice.stops:
            self.received = notice
            self._tell(f"{notice.reason}; saving")
        else:
            self._to_save.set()
            self._tell(f"{notice.reason}; saving a checkpoint and going on")

    def save_requested(self) -> bool:
        """Whether a checkpoint is wanted now, beyond those that the run file asks for. Asking takes it as granted."""
        wanted = self._to_save.is_set()
        self._to_save.clear()
        return wanted

    def check(self) -> None:
        """Go no further if the run is to stop.

        Raises:
            Preempted: if it is.
        """
        if self.received is not None:
            raise Preempted(self.received.reason)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        del frame
        if self._signalled and number == signal.SIGINT:
            raise KeyboardInterrupt
        self._signalled = True
        self.received = self.received or Notice(f"stopped by {signal.Signals(number).name}")
