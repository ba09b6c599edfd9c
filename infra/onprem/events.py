"""What a playbook does, from the events of ansible-runner: tasks, hosts' results, problems, and what tasks told."""

import dataclasses
import enum
import re
from collections.abc import Iterator, Mapping
from typing import Any

from trainer.logs.reading import plain

TELLS = "ansible.builtin.debug"
"""The module by which a task tells the operator something."""
CLEAR = ("ansible.builtin.assert", "ansible.builtin.fail")
"""Modules whose message is written for people, with the cure."""


class State(enum.StrEnum):
    """What a task came to on a host."""

    OK = "ok"
    CHANGED = "changed"
    SKIPPED = "skipped"
    FAILED = "failed"
    IGNORED = "ignored"
    UNREACHABLE = "unreachable"


@dataclasses.dataclass(frozen=True)
class Task:
    """A task begins.

    Attributes:
        number: from 1.
        role: "" if it is a play's own.
        name: for people.
    """

    number: int
    role: str
    name: str

    @property
    def words(self) -> str:
        """The role and the task."""
        return f"{self.role}: {self.name}" if self.role else self.name


@dataclasses.dataclass(frozen=True)
class Problem:
    """A task that failed on a host, or a host that cannot be reached.

    Attributes:
        host: its name in the inventory.
        task: the role and the task; "" where the message says it all.
        message: what to mend, or what the module said.
        unreachable: whether it is the host that cannot be reached.
        number: the task's.
        reached: whether an earlier task was done on the host.
    """

    host: str
    task: str
    message: str
    unreachable: bool = False
    number: int = 0
    reached: bool = False

    def line(self) -> str:
        """For people."""
        return f"{self.host}: {self.message}"


@dataclasses.dataclass(frozen=True)
class Host:
    """What a task came to on a host.

    Attributes:
        host: its name in the inventory.
        state: what became of it.
        seconds: how long it took.
        diff: what changed, as a text; "" if nothing did or Ansible was not asked.
        problems: why it failed.
        told: what it tells the operator: text, a list or a mapping; None: nothing.
        output: what its program printed.
    """

    host: str
    state: State
    seconds: float = 0.0
    diff: str = ""
    problems: tuple[Problem, ...] = ()
    told: Any = None
    output: str = ""


@dataclasses.dataclass(frozen=True)
class End:
    """A playbook's own count of what became of its hosts.

    Attributes:
        failed: hosts on which something failed that nothing rescued.
        unreachable: hosts that were lost.
    """

    failed: frozenset[str]
    unreachable: frozenset[str]


@dataclasses.dataclass(frozen=True)
class Complaint:
    """Ansible itself complains: of a playbook, an inventory, a vault."""

    message: str


Event = Task | Host | End | Complaint
STARTS = ("playbook_on_task_start", "playbook_on_handler_task_start")
STATES = {
    "runner_on_ok": State.OK,
    "runner_on_failed": State.FAILED,
    "runner_on_skipped": State.SKIPPED,
    "runner_on_unreachable": State.UNREACHABLE,
}
_COMPLAINT = re.compile(r"\[?(?:ERROR)\]?!?:?\s*(.*)", re.DOTALL)
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
NO_LOG = "what it said is hidden, as it may hold a secret"


class Reader:
    """Turns events of ansible-runner into ours."""

    def __init__(self) -> None:
        self._tasks = 0
        self._task = Task(0, "", "")
        self._reached = set[str]()

    def read(self, event: Mapping[str, Any]) -> Iterator[Event]:
        """What an event of ansible-runner means; most mean nothing here."""
        kind, data = event.get("event", ""), event.get("event_data", {})
        if kind in STARTS:
            self._tasks += 1
            role, name = data.get("role", ""), data.get("task") or data.get("name", "")
            self._task = Task(self._tasks, role, name.removeprefix(f"{role} : "))
            yield self._task
        elif kind in STATES:
            found = self._host(STATES[kind], data)
            if found.state is not State.UNREACHABLE:
                self._reached.add(found.host)
            yield found
        elif kind == "playbook_on_stats":
            yield End(frozenset(data.get("failures", {})), frozenset(data.get("dark", {})))
        elif kind in ("verbose", "error"):
            text = _COLOUR.sub("", event.get("stdout", "")).strip()
            if match := _COMPLAINT.match(text):
                yield Complaint(" ".join(match[1].split()))

    def _host(self, state: State, data: Mapping[str, Any]) -> Host:
        name, result = str(data.get("host", "")), data.get("res") or {}
        words = "" if data.get("task_action") in CLEAR else self._task.words
        problems: tuple[Problem, ...] = ()
        if state is State.FAILED and data.get("ignore_errors"):
            state = State.IGNORED
        elif state is State.OK and result.get("changed"):
            state = State.CHANGED
        if state in (State.FAILED, State.UNREACHABLE):
            lost = state is State.UNREACHABLE
            number, reached = self._task.number, name in self._reached
            problems = tuple(Problem(name, words, each, lost, number, reached) for each in _messages(result))
        told = result.get("msg") if state is State.OK and data.get("task_action") == TELLS else None
        diff = _diff(result) if state is State.CHANGED else ""
        seconds, output = float(data.get("duration") or 0.0), str(result.get("stdout") or "")
        return Host(name, state, seconds, diff, problems, told, output)


def _messages(result: Mapping[str, Any]) -> list[str]:
    """Why a task failed: of a loop, each item's reason."""
    items = [each for each in result.get("results", ()) if isinstance(each, Mapping) and each.get("failed")]
    if items:
        return [message for each in items for message in _messages(each)]
    if result.get("censored") or result.get("_ansible_no_log"):
        return [NO_LOG]
    message = result.get("msg") or "it failed, and said nothing"
    if isinstance(message, list):
        return [_one_line(each) for each in message]
    said = result.get("stderr") or result.get("module_stderr") or ""
    text = _one_line(message)
    return [f"{text}: {_one_line(said)}" if said and _one_line(said) not in text else text]


def _diff(result: Mapping[str, Any]) -> str:
    """What a task changed, as Ansible tells it with `--diff`."""
    found = result.get("diff") or [each.get("diff") for each in result.get("results", ()) if isinstance(each, Mapping)]
    parts = []
    for each in found if isinstance(found, list) else [found]:
        for one in each if isinstance(each, list) else [each]:
            parts += [_one_diff(one)] if isinstance(one, Mapping) else []
    return "\n".join(part for part in parts if part)


def _one_diff(one: Mapping[str, Any]) -> str:
    import difflib

    if one.get("prepared"):
        return str(one["prepared"]).strip()
    before, after = (_text(one.get(side)) for side in ("before", "after"))
    names = (str(one.get("before_header") or "before"), str(one.get("after_header") or "after"))
    return "\n".join(difflib.unified_diff(before, after, *names, lineterm="", n=1))


def _text(side: object) -> list[str]:
    import json

    return (side if isinstance(side, str) else json.dumps(side or {}, indent=1, default=str)).splitlines()


def _one_line(text: object) -> str:
    """A host's words, which must not steer a terminal."""
    return plain(" ".join(_COLOUR.sub("", str(text)).split()))
