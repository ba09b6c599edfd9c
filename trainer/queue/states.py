"""The life of an entry in a site's run queue, without any file: states, who holds it, and what follows what.

Each step of an entry's life is a `Change` with a number. Whoever makes the next one has the entry; of two that try, one
is told that it is not the next any more (`queue.Lost`). So a holder that was paused, or cut off from the NAS, cannot
take a step after another has taken its place.
"""

import dataclasses
import enum
import hashlib
import secrets
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from trainer.errors import ExitCode, SlipwayError

FORMAT = 1
"""Of the queue's files."""
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
MACHINE_ID = Path("/etc/machine-id")


class Senseless(SlipwayError):
    """An entry that this version of slipway cannot read."""


class State(enum.StrEnum):
    """The states of an entry."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    STOPPED_BY_BUDGET = "stopped-by-budget"
    BAD_INPUT = "bad-input"
    CANCELLED = "cancelled"


ENDS = frozenset({State.DONE, State.FAILED, State.STOPPED_BY_BUDGET, State.BAD_INPUT, State.CANCELLED})
"""The states that nothing follows."""
ENDED_BY: Mapping[ExitCode, State] = {
    ExitCode.DONE: State.DONE,
    ExitCode.BAD_INPUT: State.BAD_INPUT,
    ExitCode.STOPPED_BY_BUDGET: State.STOPPED_BY_BUDGET,
}
"""The exit codes of a training that end its entry whatever else is wanted."""
FOLLOWING: Mapping[State, frozenset[State]] = {
    # Failed without having run: it has crashed too often before.
    State.QUEUED: frozenset({State.RUNNING, State.FAILED, State.CANCELLED}),
    # Running again: the next start of its training, or another process holds it; queued: it was put back.
    State.RUNNING: frozenset({State.RUNNING, State.QUEUED}) | ENDS,
    **{state: frozenset() for state in ENDS},
}
"""Which states may follow each."""


@dataclasses.dataclass(frozen=True)
class Holder:
    """A worker process.

    Attributes:
        host: its machine's name, for people.
        machine: tells machines apart, also those of one name; it lasts over reboots.
        boot: tells the times apart that a machine was switched on, for people.
        slot: of the machine; one worker has it at a time.
        token: tells processes apart.
    """

    host: str
    machine: str
    boot: str
    slot: int
    token: str

    @classmethod
    def here(cls, slot: int) -> Self:
        """This process, as the worker of a slot."""
        host = socket.gethostname()
        return cls(host, _machine(host), _read(BOOT_ID), slot, secrets.token_hex(8))

    @property
    def place(self) -> str:
        """Machine and slot, as a file's name; the same over reboots and restarts."""
        return f"{self.host}-{self.machine}-{self.slot}"

    def __str__(self) -> str:
        return f"slot {self.slot} of {self.host}"


@dataclasses.dataclass(frozen=True)
class Submission:
    """What somebody wants trained.

    Attributes:
        run_id: the run's; one entry of a queue that is not over has it.
        run_file: the resolved run file, in YAML.
        seeds: how many runs to train, on consecutive seeds; more than one makes a group.
        priority: entries of a higher one come first.
        needs_gpu: whether only slots with a GPU take it.
        submitted_by: who, for people.
        submitted_at: when, UTC, ISO 8601.
        order: of entries with one priority the lowest comes first: it grows with each submission.
        token: tells submissions of one run apart.
    """

    run_id: str
    run_file: str
    seeds: int = 1
    priority: int = 0
    needs_gpu: bool = False
    submitted_by: str = ""
    submitted_at: str = ""
    order: int = 0
    token: str = dataclasses.field(default_factory=lambda: secrets.token_hex(4))


@dataclasses.dataclass(frozen=True)
class Change:
    """A step of an entry's life.

    Attributes:
        state: the one that begins.
        at: when, UTC, ISO 8601.
        holder: who trains it, while it is running; who did, afterwards.
        starts: Unix times of the newest starts of its training that were followed by no preemption.
        cancel: whether somebody wants it cancelled; its holder stops it then.
        message: why, for people; empty if there is nothing to say.
        by: who made the change, so that a repeated request knows its own.
    """

    state: State
    at: str
    holder: Holder | None = None
    starts: tuple[float, ...] = ()
    cancel: bool = False
    message: str = ""
    by: str = dataclasses.field(default_factory=lambda: secrets.token_hex(8))

    def to_json(self) -> dict[str, Any]:
        """What its file holds."""
        return {"format": FORMAT, **dataclasses.asdict(self)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """The change that a file holds.

        Raises:
            Senseless: if it makes no sense.
        """
        _check_format(values)
        try:
            known = {field.name: values[field.name] for field in dataclasses.fields(cls) if field.name in values}
            holder = known.get("holder")
            known |= {"state": State(values["state"]), "starts": tuple(map(float, values.get("starts", ())))}
            known |= {"at": str(values["at"]), "message": str(values.get("message", ""))}
            return cls(**{**known, "holder": Holder(**holder) if holder else None})
        except (KeyError, TypeError, ValueError) as error:
            raise Senseless(f"an entry of the queue makes no sense: {error}") from error


@dataclasses.dataclass(frozen=True)
class Entry:
    """An entry as it stands.

    Attributes:
        submission: what it is.
        number: of its newest change, from 0.
        change: that.
    """

    submission: Submission
    number: int
    change: Change

    @property
    def run_id(self) -> str:
        """The run's."""
        return self.submission.run_id

    @property
    def state(self) -> State:
        """Where it is in its life."""
        return self.change.state

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.state in ENDS

    @property
    def rank(self) -> tuple[int, int, str, str]:
        """What entries are taken by, the lowest first."""
        said = self.submission
        return (-said.priority, said.order, said.submitted_at, said.run_id)

    def is_held_by(self, holder: Holder) -> bool:
        """Whether that very process trains it."""
        return self.state is State.RUNNING and self.change.holder == holder

    def then(self, state: State, at: str, **changes: Any) -> Change:
        """The change that follows; who held it, and when it was started, stay as they are.

        Args:
            state: the next one.
            at: when.
            **changes: other attributes of `Change`.

        Raises:
            SlipwayError: if that state cannot follow.
        """
        if state not in FOLLOWING[self.state]:
            raise SlipwayError(f"{self.run_id} is {self.state} in the queue and cannot become {state}")
        changes = {"holder": self.change.holder, "starts": self.change.starts, **changes}
        return Change(state, at, **changes)

    def shown(self) -> dict[str, Any]:
        """What people and scripts want to know."""
        said, change = self.submission, self.change
        return {
            "run_id": said.run_id,
            "state": str(change.state),
            "since": change.at,
            "priority": said.priority,
            "needs_gpu": said.needs_gpu,
            "seeds": said.seeds,
            "submitted_by": said.submitted_by,
            "submitted_at": said.submitted_at,
            "host": change.holder.host if change.holder else None,
            "slot": change.holder.slot if change.holder else None,
            "cancel": change.cancel,
            "message": change.message,
        }


def submission_from_json(values: Mapping[str, Any]) -> Submission:
    """The submission in the first file of an entry.

    Raises:
        Senseless: if it makes no sense.
    """
    _check_format(values)
    try:
        said = values["submission"]
        known = {field.name: said[field.name] for field in dataclasses.fields(Submission) if field.name in said}
        made = Submission(**known)
    except (KeyError, TypeError) as error:
        raise Senseless(f"an entry of the queue makes no sense: {error}") from error
    # Entries are compared with each other by these: one that cannot be would stop all workers.
    plain = (made.run_id, made.run_file, made.submitted_by, made.submitted_at, made.token)
    numbers = (made.seeds, made.priority, made.order)
    if not all(isinstance(each, str) for each in plain) or not all(isinstance(each, int) for each in numbers):
        raise Senseless("an entry of the queue makes no sense: its submission has values of other kinds")
    return made


def recent(starts: tuple[float, ...], now: float, minutes: float) -> tuple[float, ...]:
    """The starts within so many minutes before now; what a clock that was set back left in the future counts too."""
    return tuple(start for start in starts if start > now - 60 * minutes)


def _check_format(values: Mapping[str, Any]) -> None:
    if values.get("format") != FORMAT:
        raise Senseless(f"an entry of the queue has format {values.get('format')!r}, and this slipway takes {FORMAT}")


def _machine(host: str) -> str:
    # machine-id(5) asks not to show the id itself.
    return hashlib.sha256(f"slipway {_read(MACHINE_ID) or host}".encode()).hexdigest()[:12]


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""
