"""A display that also writes what it shows into the run's log."""

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from trainer.logs.lines import Severity
from trainer.logs.log import Log
from trainer.progress import Figures, Progress

if TYPE_CHECKING:
    from envs.core import Score


class LogProgress:
    """Hands each call on, and says it in the log: figures now and then, with the row as fields; the rest at once.

    Args:
        shown: what people see.
        log: where lines go.
        interval_seconds: the least time between two lines of figures.
        clock: seconds from any origin.
    """

    def __init__(
        self, shown: Progress, log: Log, interval_seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._shown, self._log, self._interval, self._clock = shown, log, interval_seconds, clock
        self._figures = Figures(clock)
        self._last = clock()
        self._pending = False

    def start(self, total_steps: int, done_steps: int, title: str, score: "Score", optimum: float | None) -> None:
        """Begin (`Progress.start`)."""
        self._shown.start(total_steps, done_steps, title, score, optimum)
        self._figures.start(total_steps, done_steps, title, score, optimum)
        self._last = self._clock()

    def update(self, step: int, row: Mapping[str, float]) -> None:
        """Show it; say it if it is time (`Progress.update`)."""
        self._shown.update(step, row)
        self._figures.update(step, row)
        self._pending = True
        if self._clock() - self._last >= self._interval:
            self._say_figures()

    def message(self, text: str) -> None:
        """Show and say it; comes from threads of sinks too (`Progress.message`)."""
        self._shown.message(text)
        self._log.write(Severity.NOTICE, text, self._figures.step)

    def phase(self, name: str) -> None:
        """Show it; say it once, after the last figures of the phase before (`Progress.phase`)."""
        self._shown.phase(name)
        if name != self._figures.phase:
            self._say_figures()
            self._figures.phase = name
            self._log.write(Severity.INFO, name, self._figures.step, {"phase": name})

    def stop(self) -> None:
        """End the display; say the last figures, if they are new (`Progress.stop`)."""
        self._shown.stop()
        self._say_figures()

    def _say_figures(self) -> None:
        if self._pending:
            self._log.write(Severity.INFO, self._figures.line(), self._figures.step, self._figures.row)
            self._pending, self._last = False, self._clock()
