"""A run's log: one line to all outlets; none of them can stop the run."""

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TextIO

from trainer.logs.lines import Line, Run, Severity
from trainer.run.status import State, Status

_SEVERITIES = {
    State.FAILED: Severity.ERROR,
    State.PREEMPTED: Severity.WARNING,
    State.STOPPED_BY_BUDGET: Severity.WARNING,
}


class Outlet(Protocol):
    """Where lines go. Calls return at once, from any thread."""

    def put(self, record: Line) -> None:
        """Take a line; raises nothing."""
        ...

    def close(self) -> None:
        """Send what waits."""
        ...


class StreamOutlet:
    """Lines to a stream, such as standard output; a stream that is closed loses them.

    Args:
        stream: where to write.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def put(self, record: Line) -> None:
        """Write it (`Outlet.put`)."""
        try:
            self._stream.write(record.encode() + "\n")  # one call, so that threads do not mix their lines
            self._stream.flush()
        except (OSError, ValueError):  # ValueError: closed by this process
            return

    def close(self) -> None:
        """Nothing to do: the stream is not ours."""


class FileOutlet:
    """Lines at the end of a file; a full disk loses them, and tells nobody: the run itself will.

    Args:
        path: the file; made if missing.
    """

    def __init__(self, path: Path) -> None:
        self._file: TextIO | None = None
        with contextlib.suppress(OSError):
            self._file = path.open("a", encoding="utf-8")

    def put(self, record: Line) -> None:
        """Write it (`Outlet.put`)."""
        with contextlib.suppress(OSError, ValueError):  # ValueError: closed already
            if self._file is not None:
                self._file.write(record.encode() + "\n")
                self._file.flush()

    def close(self) -> None:
        """Close the file."""
        with contextlib.suppress(OSError):
            if self._file is not None:
                self._file.close()


class Log:
    """What a run says, to its outlets.

    Args:
        run: which run.
        outlets: where lines go.
        clock: Unix time.
    """

    def __init__(self, run: Run, outlets: Sequence[Outlet], clock: Callable[[], float] = time.time) -> None:
        self._run, self._outlets, self._clock = run, outlets, clock
        self._before: Status | None = None

    def write(self, severity: Severity, message: str, step: int, fields: Mapping[str, Any] | None = None) -> None:
        """Say something.

        Args:
            severity: how much it matters.
            message: for people.
            step: environment steps of the run so far.
            fields: for programs.
        """
        line = Line(self._run, self._clock(), severity, message, step, dict(fields or {}))
        for outlet in self._outlets:
            outlet.put(line)

    def status(self, status: Status) -> None:
        """Say what is new in a status: a checkpoint, or another state."""
        before, self._before = self._before, status
        fields = {
            "state": str(status.state),
            "iteration": status.iteration,
            "wall_time_seconds": status.wall_time_seconds,
            "resumes": status.resumes,
            "last_checkpoint_step": status.last_checkpoint_step,
        }
        if before is not None and before.state is status.state is State.RUNNING:
            self.write(Severity.INFO, f"checkpoint at environment step {status.env_steps}", status.env_steps, fields)
            return
        reason = f": {status.message}" if status.message else ""
        severity = _SEVERITIES.get(status.state, Severity.NOTICE)
        self.write(severity, f"run {status.run_id} is {status.state}{reason}", status.env_steps, fields)

    def close(self) -> None:
        """Close all outlets, each within its deadline."""
        for outlet in self._outlets:
            outlet.close()
