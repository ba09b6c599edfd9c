"""After a training service has ended: says so in the log, and does what was asked for then."""

from pathlib import Path
from typing import Any

from trainer.errors import SlipwayError
from trainer.node import unit
from trainer.node.hooks import HOOKS
from trainer.run import files
from trainer.run.status import now

POWER_OFF = "power-off"


def ended(name: str, run_id: str, hook: str, record: Path | None) -> dict[str, Any]:
    """Find out how a unit ended, and run the hook if that was for good.

    Args:
        name: the training's unit.
        run_id: of its run.
        hook: a key of `HOOKS`.
        record: the file that remembers the end, so that a machine which is switched on again stays on.

    Returns:
        What happened, for the log.

    Raises:
        BadInput: if there is no such unit.
        SlipwayError: if the hook fails; nothing is recorded then, and this may be called again.
    """
    found = unit.settled(name)
    outcome = unit.outcome(found)
    said = {
        "event": "ended",
        "run_id": run_id,
        "outcome": str(outcome),
        "result": found["Result"],
        "exit_status": int(found["ExecMainStatus"]),
        "hook": hook,
    }
    if not outcome.is_final:
        return {**said, "done": "nothing: the run goes on, or can"}
    if hook == POWER_OFF and record is not None and _recorded(record) == (run_id, outcome):
        return {**said, "done": "nothing: it was switched off for this before"}
    # Recorded first: a machine that switches off may not come to it afterwards.
    if record is not None:
        files.write_json(record, {**said, "time": now()})
    try:
        return {**said, "done": HOOKS[hook]()}
    except BaseException:
        if record is not None:
            record.unlink(missing_ok=True)
        raise


def _recorded(record: Path) -> tuple[Any, Any]:
    try:
        before = files.read_json(record)
    except SlipwayError:
        return None, None
    return before.get("run_id"), before.get("outcome")
