"""What people and scripts see while Pulumi works."""

import json
import sys
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, Protocol

import click

if TYPE_CHECKING:
    from pulumi.automation import events

WORDS = {
    "create": "creating",
    "update": "updating",
    "delete": "deleting",
    "replace": "replacing",
    "create-replacement": "replacing",
    "delete-replaced": "removing the old",
    "refresh": "reading",
    "read": "reading",
    "discard": "forgetting",
}
QUIET = frozenset({"same", "read", "refresh"})
"""Steps that change nothing."""


class Shown(Protocol):
    """Shows how an operation gets on, and remembers what it did."""

    changes: Counter[str]
    problems: list[str]

    def __call__(self, event: "events.EngineEvent") -> None:
        """Take an event of Pulumi's engine; it comes on another thread."""
        ...

    def stop(self) -> None:
        """End; the terminal is as it was."""
        ...


class _Base:
    """Counts changes, and keeps what the engine complained of."""

    def __init__(self) -> None:
        self.changes: Counter[str] = Counter()
        self.problems: list[str] = []
        self._begun: dict[str, float] = {}
        self._lock = threading.Lock()

    def __call__(self, event: "events.EngineEvent") -> None:
        """Take an event (`Shown`)."""
        with self._lock:
            if event.resource_pre_event is not None and _is_real(event.resource_pre_event.metadata):
                step = event.resource_pre_event.metadata
                self._begun[step.urn] = time.monotonic()
                if step.op.value not in QUIET:
                    self.begun(step.op.value, step.type, _name(step.urn))
            elif event.res_outputs_event is not None and _is_real(event.res_outputs_event.metadata):
                step = event.res_outputs_event.metadata
                self.changes[step.op.value] += 1
                if step.op.value not in QUIET:
                    self.done(step.op.value, step.type, _name(step.urn), self._seconds(step.urn))
            elif event.res_op_failed_event is not None:
                step = event.res_op_failed_event.metadata
                self.failed(step.op.value, step.type, _name(step.urn))
            elif event.diagnostic_event is not None and event.diagnostic_event.severity in ("error", "warning"):
                found = event.diagnostic_event
                text = " ".join(found.message.split())
                if found.severity == "error":
                    self.problems.append(f"{_name(found.urn)}: {text}" if found.urn else text)
                self.said(found.severity, _name(found.urn or ""), text)
            elif event.policy_event is not None:
                found_policy = event.policy_event
                name = _name(found_policy.resource_urn or "")
                text = f"{found_policy.policy_name} ({found_policy.enforcement_level}): {found_policy.message.strip()}"
                if found_policy.enforcement_level == "mandatory":
                    self.problems.append(f"{name}: {text}")
                self.said("policy", name, text)

    def stop(self) -> None:
        """Nothing to end."""

    def begun(self, op: str, kind: str, name: str) -> None:
        """A step begins."""

    def done(self, op: str, kind: str, name: str, seconds: float) -> None:
        """A step is done."""

    def failed(self, op: str, kind: str, name: str) -> None:
        """A step failed."""

    def said(self, severity: str, name: str, text: str) -> None:
        """The engine, a provider or a policy said something."""

    def _seconds(self, urn: str) -> float:
        return time.monotonic() - self._begun.get(urn, time.monotonic())


class Silent(_Base):
    """Shows nothing."""


class Lines(_Base):
    """A line on standard error for each step that is done, where no terminal is."""

    def done(self, op: str, kind: str, name: str, seconds: float) -> None:
        """Say it."""
        click.echo(f"{WORDS.get(op, op)} {_short(kind)} {name}: done in {seconds:.0f} s", err=True)

    def failed(self, op: str, kind: str, name: str) -> None:
        """Say it."""
        click.echo(f"{WORDS.get(op, op)} {_short(kind)} {name}: FAILED", err=True)

    def said(self, severity: str, name: str, text: str) -> None:
        """Say it."""
        click.echo(f"{severity}: {f'{name}: ' if name else ''}{text}", err=True)


class JsonLines(_Base):
    """An object a line on standard output, for scripts."""

    def begun(self, op: str, kind: str, name: str) -> None:
        """Write it."""
        self._write(event="begun", op=op, type=kind, name=name)

    def done(self, op: str, kind: str, name: str, seconds: float) -> None:
        """Write it."""
        self._write(event="done", op=op, type=kind, name=name, seconds=round(seconds, 3))

    def failed(self, op: str, kind: str, name: str) -> None:
        """Write it."""
        self._write(event="failed", op=op, type=kind, name=name)

    def said(self, severity: str, name: str, text: str) -> None:
        """Write it."""
        self._write(event=severity, name=name, message=text)

    @staticmethod
    def _write(**fields: Any) -> None:
        click.echo(json.dumps(fields))


class Bar(_Base):
    """A bar on a terminal, with what is under way and since when; what is done or said stays above it.

    Args:
        title: of the operation.
        total: how many resources will change; None: not known.
    """

    def __init__(self, title: str, total: int | None) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        super().__init__()
        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        self._bar = Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True), transient=True)
        self._title, self._under_way = title, dict[str, str]()
        self._task = self._bar.add_task(title, total=total)
        self._bar.start()

    def begun(self, op: str, kind: str, name: str) -> None:
        """Show it as under way."""
        self._under_way[f"{kind} {name}"] = f"{WORDS.get(op, op)} {_short(kind)} {name}"
        self._describe()

    def done(self, op: str, kind: str, name: str, seconds: float) -> None:
        """Advance."""
        del op, seconds
        self._under_way.pop(f"{kind} {name}", None)
        self._bar.advance(self._task)
        self._describe()

    def failed(self, op: str, kind: str, name: str) -> None:
        """Say it, to stay."""
        self._under_way.pop(f"{kind} {name}", None)
        self._bar.console.print(f"[red]{WORDS.get(op, op)} {_short(kind)} {name}: failed[/red]", highlight=False)

    def said(self, severity: str, name: str, text: str) -> None:
        """Say it, to stay."""
        from rich.text import Text

        self._bar.console.print(Text(f"{severity}: {f'{name}: ' if name else ''}{text}"))

    def stop(self) -> None:
        """Take the bar away."""
        self._bar.stop()

    def _describe(self) -> None:
        first = next(iter(self._under_way.values()), "")
        more = f" and {len(self._under_way) - 1} more" if len(self._under_way) > 1 else ""
        self._bar.update(self._task, description=f"{self._title}: {first}{more}" if first else self._title)


def shown(title: str, *, as_json: bool, quiet: bool, total: int | None = None) -> Shown:
    """The display that fits: JSON for scripts, a bar on a terminal, lines elsewhere, or nothing."""
    if as_json:
        return JsonLines()
    if quiet:
        return Silent()
    return Bar(title, total) if sys.stderr.isatty() else Lines()


def _is_real(step: "events.StepEventMetadata") -> bool:
    """Whether a step is of something in a cloud, not of the stack, a component or a provider."""
    return not step.type.startswith(("pulumi:", "slipway:"))


def _name(urn: str) -> str:
    return urn.rsplit("::", 1)[-1]


def _short(kind: str) -> str:
    return kind.rsplit(":", 1)[-1]
