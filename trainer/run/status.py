"""`status.json`: where a run is in its life."""

import dataclasses
import enum
import os
import socket
from datetime import UTC, datetime
from typing import Any, Self

from trainer.errors import SlipwayError

FORMAT = 1
"""Of run directories: raised when an older slipway could not go on with a newer one's, or the other way round."""


class State(enum.StrEnum):
    """The states of a run."""

    QUEUED = "queued"
    RUNNING = "running"
    PREEMPTED = "preempted"
    FINISHED = "finished"
    FAILED = "failed"
    STOPPED_BY_BUDGET = "stopped-by-budget"


FOLLOWING = {
    State.QUEUED: {State.RUNNING, State.FAILED, State.PREEMPTED},
    # Running again: a process that was killed could not say that it stopped.
    State.RUNNING: {State.RUNNING, State.PREEMPTED, State.FINISHED, State.FAILED, State.STOPPED_BY_BUDGET},
    State.PREEMPTED: {State.RUNNING},
    State.FAILED: {State.RUNNING},
    State.STOPPED_BY_BUDGET: {State.RUNNING},
    State.FINISHED: set(),
}
"""Which states may follow each."""

RESUMABLE = frozenset(state for state, following in FOLLOWING.items() if State.RUNNING in following)
"""The states that `slipway resume` goes on from."""


def now() -> str:
    """The time, UTC, ISO 8601 with seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds")


@dataclasses.dataclass(frozen=True)
class Status:
    """The content of `status.json`.

    Attributes:
        run_id: the run's.
        state: where it is.
        env_steps: environment steps done.
        iteration: training iterations done.
        wall_time_seconds: training time, over all resumes.
        resumes: how often it was resumed.
        started_at: UTC, ISO 8601; None before it ran.
        updated_at: when this was written.
        pid: the process that wrote this.
        host: its machine.
        message: why it is in this state, for people; empty if there is nothing to say.
        last_checkpoint_step: environment steps at the newest checkpoint; None if there is none.
        format: of the run directory.
    """

    run_id: str
    state: State = State.QUEUED
    env_steps: int = 0
    iteration: int = 0
    wall_time_seconds: float = 0.0
    resumes: int = 0
    started_at: str | None = None
    updated_at: str = dataclasses.field(default_factory=now)
    pid: int = dataclasses.field(default_factory=os.getpid)
    host: str = dataclasses.field(default_factory=socket.gethostname)
    message: str = ""
    last_checkpoint_step: int | None = None
    format: int = FORMAT

    def moved(self, state: State, **changes: Any) -> Self:
        """The status after a step of the run's life, written by this process now.

        Args:
            state: the next one.
            **changes: other attributes.

        Raises:
            SlipwayError: if that state cannot follow this one.
        """
        if state not in FOLLOWING[self.state]:
            raise SlipwayError(f"run {self.run_id} is {self.state} and cannot become {state}")
        if state is State.RUNNING and self.started_at is None:
            changes.setdefault("started_at", now())
        changes.setdefault("message", "")
        return dataclasses.replace(
            self, state=state, updated_at=now(), pid=os.getpid(), host=socket.gethostname(), **changes
        )

    def to_json(self) -> dict[str, Any]:
        """What the file holds."""
        values = dataclasses.asdict(self)
        return {"format": values.pop("format"), **values}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """The status that a file holds; keys that a newer slipway added are left out.

        Raises:
            SlipwayError: if a key is missing or has no sense.
        """
        known = {field.name: values[field.name] for field in dataclasses.fields(cls) if field.name in values}
        try:
            return cls(**{**known, "state": State(values["state"]), "run_id": str(values["run_id"])})
        except (KeyError, ValueError) as error:
            raise SlipwayError(f"status.json makes no sense: {error}") from error
