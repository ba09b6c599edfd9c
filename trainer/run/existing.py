"""A run that may be in its store already (`slipway train --or-resume`)."""

from trainer.config.models import RunFile
from trainer.errors import MISSING, BadInput
from trainer.run import group, ids
from trainer.run.located import Located
from trainer.run.status import State
from trainer.store.base import Store


def find(store: Store, run_id: str | None, run_file: RunFile, training_seeds: int) -> Located | None:
    """A run or a group of runs, if the store has it.

    Args:
        store: where to look.
        run_id: its id.
        run_file: what it should have been trained by.
        training_seeds: on how many seeds.

    Raises:
        BadInput: without an id, or if it was begun by another run file, or on more or fewer seeds.
    """
    if run_id is None:
        raise BadInput("--run-id", MISSING, "with --or-resume, the run to go on with", "write --run-id ID")
    at = Located(store, ids.check(run_id))
    if not store.holds(run_id):
        return None
    runs = group.runs_of(store.glance(run_id))
    if len(runs) != training_seeds:
        raise BadInput("--seeds", training_seeds, f"{len(runs)}, as {at.shown} has", "choose another --run-id")
    begun_by = runs[0].run_file()
    wanted, begun = (each.model_dump(mode="json") for each in (run_file, begun_by))
    # The same run may be reached by another path.
    differing = [key for key in wanted if wanted[key] != begun.get(key) and key != "store"]
    if differing:
        allowed = f"a run of the same run file; {', '.join(differing)} differ"
        raise BadInput("--run-id", run_id, allowed, f"choose another --run-id, or change {at.shown}'s run.yaml too")
    return at


def is_finished(at: Located) -> bool:
    """Whether nothing is left to do for a run or a group of runs."""
    folder = at.store.glance(at.run_id)
    states = {run.status().state for run in group.runs_of(folder)}
    return states == {State.FINISHED} and (not group.is_group(folder) or (folder / "evaluation.json").is_file())
