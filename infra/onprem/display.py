"""What people and scripts see while a playbook runs."""

import dataclasses
import json
import sys
from collections import Counter
from typing import Any, Protocol

import click

from infra.onprem.events import Complaint, End, Event, Host, State, Task

LOUD = (State.CHANGED, State.FAILED, State.UNREACHABLE)
"""What a line is worth where there is no terminal."""


class Display(Protocol):
    """Shows how a playbook gets on."""

    def begin(self, title: str, total: int | None) -> None:
        """A playbook begins.

        Args:
            title: for people.
            total: how many tasks it had the last time; None: it has not run before.
        """
        ...

    def __call__(self, event: Event) -> None:
        """Something happened."""
        ...

    def say(self, text: str) -> None:
        """A word beside."""
        ...

    def end(self) -> None:
        """It is over; the terminal is as it was."""
        ...


class Silent:
    """Shows nothing."""

    def begin(self, title: str, total: int | None) -> None:
        """Show nothing."""

    def __call__(self, event: Event) -> None:
        """Show nothing."""

    def say(self, text: str) -> None:
        """Show nothing."""

    def end(self) -> None:
        """Show nothing."""


class Lines(Silent):
    """Lines on standard error: each task, and each host on which it changed something or failed."""

    def __init__(self) -> None:
        self._total: int | None = None

    def begin(self, title: str, total: int | None) -> None:
        """Say it."""
        self._total = total
        self.say(f"{title} ...")

    def __call__(self, event: Event) -> None:
        """Say it."""
        if isinstance(event, Task):
            self.say(f"[{count(event.number, self._total)}] {event.words}")
        elif isinstance(event, Host) and event.state in LOUD:
            self.say(f"    {event.host}: {event.state}" + "".join(f"\n      {each.message}" for each in event.problems))
        elif isinstance(event, Complaint):
            self.say(f"    {event.message}")

    def say(self, text: str) -> None:
        """Say it."""
        click.echo(text, err=True)


class JsonLines(Silent):
    """An object a line on standard output, for scripts."""

    def begin(self, title: str, total: int | None) -> None:
        """Write it."""
        self._write(event="begin", title=title, tasks=total)

    def __call__(self, event: Event) -> None:
        """Write it."""
        if isinstance(event, Task):
            self._write(event="task", number=event.number, role=event.role, task=event.name)
        elif isinstance(event, Host):
            said = dataclasses.asdict(event)
            said["problems"] = [each.message for each in event.problems]
            said.pop("output")
            self._write(event="host", **{key: value for key, value in said.items() if value not in (None, "", [])})
        elif isinstance(event, Complaint):
            self._write(event="complaint", message=event.message)

    def say(self, text: str) -> None:
        """Write it."""
        self._write(event="said", message=text)

    @staticmethod
    def _write(**fields: Any) -> None:
        click.echo(json.dumps(fields, default=str))


class Bar(Silent):
    """A bar on a terminal with the task under way and what became of the hosts; failures stay above it."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        self._console = Console(stderr=True)
        columns = (SpinnerColumn(), TextColumn("{task.fields[count]}"), BarColumn(20), TimeElapsedColumn())
        self._bar = Progress(*columns, TextColumn("{task.description}"), console=self._console, transient=True)
        self._row = self._bar.add_task("", total=None, count="")
        self._total: int | None = None
        self._task = Task(0, "", "")
        self._states = Counter[State]()

    def begin(self, title: str, total: int | None) -> None:
        """Show it."""
        self._total = total
        self._states.clear()
        self._bar.update(self._row, total=total, completed=0, description=title, count="")
        self._bar.start()

    def __call__(self, event: Event) -> None:
        """Show it."""
        from rich.text import Text

        if isinstance(event, Task):
            self._task = event
            self._bar.update(self._row, completed=event.number - 1, count=count(event.number, self._total))
        elif isinstance(event, Host):
            self._states[event.state] += 1
            for problem in event.problems:
                self._console.print(Text(problem.line(), style="red"))
        elif isinstance(event, Complaint):
            self._console.print(Text(event.message, style="red"))
        elif isinstance(event, End):
            return
        states = ", ".join(f"{self._states[each]} {each}" for each in LOUD if self._states[each])
        self._bar.update(self._row, description=f"{self._task.words}{f' ({states})' if states else ''}")

    def say(self, text: str) -> None:
        """Say it, to stay."""
        from rich.text import Text

        self._console.print(Text(text))

    def end(self) -> None:
        """Take the bar away."""
        self._bar.stop()


def count(number: int, total: int | None) -> str:
    """Which task of how many; a playbook that has grown since has no total."""
    return f"{number} of {total}" if total is not None and number <= total else str(number)


def fitting(*, as_json: bool, quiet: bool) -> Display:
    """The display that fits: JSON for scripts, nothing if asked, a bar on a terminal, else lines."""
    if as_json:
        return JsonLines()
    if quiet:
        return Silent()
    return Bar() if sys.stderr.isatty() else Lines()
