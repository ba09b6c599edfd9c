"""A run that may be in its store already (`slipway train --or-resume`)."""

from pathlib import Path

from trainer.config.models import RunFile
from trainer.errors import MISSING, BadInput
from trainer.run import group, ids
from trainer.run.status import State
from trainer.store.base import Store


def find(store: Store, run_id: str | None, run_file: RunFile) -> Path | None:
    """The folder of a run or a group of runs, if the store has it.

    Args:
        store: where to look.
        run_id: its id.
        run_file: what it should have been trained by.

    Raises:
        BadInput: without an id, or if it was begun by another run file.
    """
    if run_id is None:
        raise BadInput("--run-id", MISSING, "with --or-resume, the run to go on with", "write --run-id ID")
    folder = store.folder(ids.check(run_id))
    if not folder.exists():
        return None
    wanted, begun = (each.model_dump(mode="json") for each in (run_file, group.runs_of(folder)[0].run_file()))
    # The same run may be reached by another path.
    differing = [key for key in wanted if wanted[key] != begun.get(key) and key != "store"]
    if differing:
        allowed = f"a run of the same run file; {', '.join(differing)} differ"
        raise BadInput("--run-id", run_id, allowed, f"choose another --run-id, or change {folder}'s run.yaml too")
    return folder


def is_finished(folder: Path) -> bool:
    """Whether nothing is left to do for a run or a group of runs."""
    states = {run.status().state for run in group.runs_of(folder)}
    return states == {State.FINISHED} and (not group.is_group(folder) or (folder / "evaluation.json").is_file())
