"""How a systemd unit ended."""

import enum
import signal
import subprocess
import time

from trainer.errors import BadInput, ExitCode, SlipwayError

PROPERTIES = ("LoadState", "ActiveState", "Job", "Result", "ExecMainCode", "ExecMainStatus")
EXITED = "1"
"""`ExecMainCode` of a process that ended by itself: CLD_EXITED."""
ENDED = ("inactive", "failed")
SETTLING_SECONDS = 240
"""The longest that a restart is waited for: more than the role's pause between two, less than the unit's own limit."""
POLL_SECONDS = 0.2


class Outcome(enum.StrEnum):
    """What the end of a training service means."""

    FINISHED = "finished"
    STOPPED_BY_BUDGET = "stopped-by-budget"
    BAD_INPUT = "bad-input"
    FAULT = "fault"
    STOPPED = "stopped"  # by an operator, or as the machine goes down: the run can go on
    RESTARTED = "restarted"

    @property
    def is_final(self) -> bool:
        """Whether nothing more is to be expected of the run on this machine."""
        return self not in (Outcome.STOPPED, Outcome.RESTARTED)


OUTCOMES = {
    ExitCode.DONE: Outcome.FINISHED,
    ExitCode.BAD_INPUT: Outcome.BAD_INPUT,
    ExitCode.STOPPED_BY_BUDGET: Outcome.STOPPED_BY_BUDGET,
    ExitCode.PREEMPTED: Outcome.STOPPED,
}


def properties(unit: str) -> dict[str, str]:
    """What systemd knows of a unit's last run.

    Raises:
        BadInput: if there is no such unit.
        SlipwayError: if systemd cannot be asked.
    """
    command = ["systemctl", "show", f"--property={','.join(PROPERTIES)}", "--", unit]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError) as error:
        said = (getattr(error, "stderr", None) or str(error)).strip()
        raise SlipwayError(f"systemd cannot be asked about {unit}: {said}") from error
    found = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
    if found.get("LoadState") != "loaded":
        raise BadInput("--unit", unit, "a unit that systemd knows", "see `systemctl list-units --all`")
    return found


def settled(unit: str) -> dict[str, str]:
    """What systemd knows of a unit once it runs again, or has ended with no restart to come.

    Who looked earlier, and left, could miss the end that follows a restart which fails: systemd starts nothing by
    OnFailure= that is still running for the end before.

    Raises:
        BadInput: if there is no such unit.
        SlipwayError: if systemd cannot be asked.
    """
    until = time.monotonic() + SETTLING_SECONDS
    while (found := properties(unit)).get("Job") or found["ActiveState"] not in (*ENDED, "active"):
        if time.monotonic() > until:
            break
        time.sleep(POLL_SECONDS)
    return found


def outcome(found: dict[str, str]) -> Outcome:
    """What those properties mean.

    Source: systemd.exec(5), "Environment variables set or propagated by the service manager", for `Result`.
    """
    # systemd before 254 passes through `inactive` as it restarts a unit, and tells OnSuccess= so.
    if found["ActiveState"] not in ENDED or found.get("Job"):
        return Outcome.RESTARTED
    if found["Result"] == "start-limit-hit":  # however it ended each time: SIGTERM counts as a clean end
        return Outcome.FAULT
    status = int(found["ExecMainStatus"])
    if found["ExecMainCode"] == EXITED:
        return OUTCOMES.get(ExitCode(status), Outcome.FAULT) if status in set(ExitCode) else Outcome.FAULT
    # systemd restarts what ends so by itself; left are those who stop it on purpose.
    stopped = found["Result"] == "timeout" or status == signal.SIGTERM
    return Outcome.STOPPED if stopped else Outcome.FAULT
