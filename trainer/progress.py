"""What people see while a run trains: a live bar on a terminal, a plain line now and then elsewhere, or nothing."""

import sys
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol, TextIO

from trainer.metrics import formatting

if TYPE_CHECKING:
    from envs.core import Score

TRAINING = "training"
"""The phase whose progress the bar shows."""


class Progress(Protocol):
    """Shows how a run gets on. Calls come in any order after `start`; `stop` may come twice."""

    def start(self, total_steps: int, done_steps: int, title: str, score: "Score", optimum: float | None) -> None:
        """Begin.

        Args:
            total_steps: environment steps of the whole run.
            done_steps: those that a resumed run has behind it.
            title: the run's name.
            score: the task's words for its objective.
            optimum: the best possible score, if it is known.
        """
        ...

    def update(self, step: int, row: Mapping[str, float]) -> None:
        """Show a training iteration: environment steps so far, and its row of metrics."""
        ...

    def message(self, text: str) -> None:
        """Say something that stays."""
        ...

    def phase(self, name: str) -> None:
        """Say what is being done: compiling, training, evaluating, exporting."""
        ...

    def stop(self) -> None:
        """End; the terminal is as it was."""
        ...


class NullProgress:
    """Shows nothing."""

    def start(self, total_steps: int, done_steps: int, title: str, score: "Score", optimum: float | None) -> None:
        """Nothing."""

    def update(self, step: int, row: Mapping[str, float]) -> None:
        """Nothing."""

    def message(self, text: str) -> None:
        """Nothing."""

    def phase(self, name: str) -> None:
        """Nothing."""

    def stop(self) -> None:
        """Nothing."""


class Figures:
    """A run's state in words, without a terminal in mind.

    Args:
        clock: seconds from any origin.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._started = clock()
        self._first: tuple[float, int] | None = None
        self.row: Mapping[str, float] = {}
        self.step = self.total_steps = 0
        self.title = self.score_name = ""
        self.optimum: float | None = None
        self.phase = ""

    def start(self, total_steps: int, done_steps: int, title: str, score: "Score", optimum: float | None) -> None:
        """Begin (`Progress.start`)."""
        self._started, self._first = self._clock(), None
        self.total_steps, self.step, self.title = total_steps, done_steps, title
        self.score_name, self.optimum = score.name, optimum

    def update(self, step: int, row: Mapping[str, float]) -> None:
        """Take an iteration (`Progress.update`)."""
        # Speed counts from the end of the first iteration: that one holds the compilation.
        self._first = self._first or (self._clock(), step)
        self.step, self.row = step, row

    @property
    def steps_per_second(self) -> float | None:
        """Environment steps per second since the first iteration; that iteration's own figure until there are two."""
        if self._first is not None:
            began, step = self._first
            seconds = self._clock() - began
            if self.step > step and seconds > 0:
                return (self.step - step) / seconds
        return self.row.get("rl_env_steps_per_second")

    @property
    def seconds_left(self) -> float | None:
        """Time to the last step at that speed; None while it is unknown."""
        speed = self.steps_per_second
        return max(0, self.total_steps - self.step) / speed if speed else None

    @property
    def elapsed_seconds(self) -> float:
        """Time since `start`."""
        return self._clock() - self._started

    @property
    def done_ratio(self) -> float:
        """Which part of the steps is done, 0 to 1."""
        return min(1.0, self.step / self.total_steps) if self.total_steps else 0.0

    def outcome(self) -> list[str]:
        """Speed, score, gap and money, as far as they are known."""
        row, parts = self.row, []
        if (speed := self.steps_per_second) is not None:
            parts.append(f"{formatting.count(speed)} steps/s")
        if "rl_score" in row:
            parts.append(f"{self.score_name} {formatting.number(row['rl_score'])}")
        elif "rl_episode_return_mean" in row:
            parts.append(f"return {formatting.number(row['rl_episode_return_mean'])}")
        if "rl_optimality_gap_ratio" in row and self.optimum is not None:
            gap = formatting.percent(row["rl_optimality_gap_ratio"])
            parts.append(f"gap {gap} to the optimum {formatting.number(self.optimum)}")
        if "rl_cost_usd_total" in row:
            parts.append(formatting.money(row["rl_cost_usd_total"]))
        return parts

    def line(self) -> str:
        """Everything in one line."""
        steps = f"{formatting.count(self.step)} of {formatting.count(self.total_steps)} steps"
        times = [f"{formatting.duration(self.elapsed_seconds)} elapsed"]
        if self.seconds_left is not None and self.step < self.total_steps:
            times.append(f"{formatting.duration(self.seconds_left)} left")
        return " · ".join([f"{self.title} {100 * self.done_ratio:.0f} %", steps, *self.outcome(), *times])


class PlainProgress:
    """One line every few seconds, for logs.

    Args:
        stream: where to write.
        interval_seconds: the least time between two lines of figures.
        clock: seconds from any origin.
    """

    def __init__(
        self, stream: TextIO, interval_seconds: float = 10.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._stream, self._interval, self._clock = stream, interval_seconds, clock
        self._figures = Figures(clock)
        self._last = clock()
        self._pending = False

    def start(self, total_steps: int, done_steps: int, title: str, score: "Score", optimum: float | None) -> None:
        """Begin (`Progress.start`)."""
        self._figures.start(total_steps, done_steps, title, score, optimum)
        self._last = self._clock()

    def update(self, step: int, row: Mapping[str, float]) -> None:
        """Print a line if it is time (`Progress.update`)."""
        self._figures.update(step, row)
        self._pending = True
        if self._clock() - self._last >= self._interval:
            self._print_figures()

    def message(self, text: str) -> None:
        """Print it."""
        print(text, file=self._stream, flush=True)

    def phase(self, name: str) -> None:
        """Print it, after the last figures of the phase before."""
        if name != self._figures.phase:
            self._print_figures()
            self._figures.phase = name
            self.message(f"{self._figures.title}: {name}")

    def stop(self) -> None:
        """Print the last figures, if they are new."""
        self._print_figures()

    def _print_figures(self) -> None:
        if self._pending:
            self.message(self._figures.line())
            self._pending, self._last = False, self._clock()


class LiveProgress:
    """A bar and a line of figures that stay in place on a terminal.

    Args:
        console: the `rich` console to draw on.
    """

    def __init__(self, console: Any) -> None:
        from rich.live import Live

        self._figures = Figures()
        self._live = Live(console=console, refresh_per_second=4, get_renderable=self._draw, transient=False)
        self._console = console

    def start(self, total_steps: int, done_steps: int, title: str, score: "Score", optimum: float | None) -> None:
        """Begin (`Progress.start`)."""
        self._figures.start(total_steps, done_steps, title, score, optimum)
        self._live.start()

    def update(self, step: int, row: Mapping[str, float]) -> None:
        """Take an iteration; the screen follows four times a second (`Progress.update`)."""
        self._figures.update(step, row)

    def message(self, text: str) -> None:
        """Print it above the bar."""
        self._console.print(text, markup=False, highlight=False)

    def phase(self, name: str) -> None:
        """Show it beside the bar."""
        self._figures.phase = name

    def stop(self) -> None:
        """Draw the last state, and leave it."""
        self._live.stop()

    def _draw(self) -> Any:
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        figures = self._figures
        left = figures.seconds_left if figures.step < figures.total_steps else None
        bar = Table.grid(padding=(0, 1), expand=True)
        for _ in range(2):
            bar.add_column(no_wrap=True)
        bar.add_column(ratio=1)
        for _ in range(3):
            bar.add_column(no_wrap=True, justify="right")
        bar.add_row(
            Text(figures.title, style="bold"),
            Text(figures.phase if figures.phase != TRAINING else "", style="yellow"),
            ProgressBar(total=1.0, completed=figures.done_ratio),
            Text(f"{100 * figures.done_ratio:.0f} %"),
            Text(f"{formatting.duration(figures.elapsed_seconds)} elapsed", style="dim"),
            Text("" if left is None else f"{formatting.duration(left)} left"),
        )
        outcome = figures.outcome()
        return Group(bar, Text("  " + " · ".join(outcome), style="cyan")) if outcome else bar


def make(*, silent: bool = False, stream: TextIO | None = None) -> Progress:
    """The progress that suits the place.

    Args:
        silent: show nothing (`--quiet`, `--json`).
        stream: where to write; standard error if None, so that standard output holds results alone.
    """
    if silent:
        return NullProgress()
    stream = stream or sys.stderr
    if not stream.isatty():
        return PlainProgress(stream)
    from rich.console import Console

    console = Console(file=stream)
    return PlainProgress(stream) if console.is_dumb_terminal else LiveProgress(console)
