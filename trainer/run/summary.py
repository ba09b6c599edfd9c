"""A run in a few figures, read from its folder alone: for `slipway runs`. Damage becomes a remark, not an error."""

from pathlib import Path
from typing import Any

from trainer.config.models import RunFile
from trainer.errors import SlipwayError
from trainer.run import files, group
from trainer.run.directory import RunDirectory
from trainer.run.status import State
from trainer.store.base import Store
from trainer.store.objects.base import Unreachable

DAMAGED = "damaged"
"""The state shown of a run whose files cannot be read."""
INTERRUPTED = "interrupted"
"""The state shown of a run that says it is running, while no process of this machine writes to it."""


def of(folder: Path, detailed: bool = False, *, lock_tells: bool = True) -> dict[str, Any]:
    """The figures of a run or a group of runs.

    Args:
        folder: its directory.
        detailed: with where it ran, and which files it has.
        lock_tells: whether a process that writes to the run holds this folder's lock.
    """
    read = _group if group.is_group(folder) else _run
    return read(folder, detailed, lock_tells)


def at(store: Store, run_id: str) -> dict[str, Any]:
    """The figures of a run or a group of runs in a store.

    Raises:
        Unreachable: if the store does not answer.
    """
    try:
        return of(store.glance(run_id), lock_tells=not store.is_shared)
    except Unreachable:
        raise
    except SlipwayError as error:
        return _damaged(run_id, error)


def _damaged(run_id: str, error: SlipwayError) -> dict[str, Any]:
    nothing = ("env_id", "algorithm", "seed", "env_steps", "done_ratio", "score", "optimality_gap_ratio", "updated_at")
    return {"run_id": run_id, "state": DAMAGED, **dict.fromkeys(nothing), "message": _in_one_line(error)}


def _in_one_line(error: SlipwayError) -> str:
    return "; ".join(" ".join(line.split()) for line in str(error).splitlines())


def _run(folder: Path, detailed: bool, lock_tells: bool) -> dict[str, Any]:
    run = RunDirectory(folder)
    try:
        run = RunDirectory.open(folder)
        run_file, status = run.run_file(), run.status()
    except SlipwayError as error:
        return _damaged(run.run_id, error)
    dead = lock_tells and status.state is State.RUNNING and not run.is_locked()
    found = {
        "run_id": run.run_id,
        "state": INTERRUPTED if dead else str(status.state),
        "env_id": run_file.env.id,
        "algorithm": run_file.agent.algorithm,
        "seed": run_file.seed,
        "env_steps": status.env_steps,
        "done_ratio": min(1.0, status.env_steps / run_file.budget.env_steps),
        **_result(run.evaluation),
        "updated_at": status.updated_at,
        "message": status.message,
    }
    return {**found, **_details(run, run_file)} if detailed else found


def _details(run: RunDirectory, run_file: RunFile) -> dict[str, Any]:
    status = run.status()
    present = [
        path
        for path in (run.run_file_path, run.simulation, run.provenance, run.metrics, run.evaluation, run.report)
        if path.is_file()
    ]
    return {
        "budget_env_steps": run_file.budget.env_steps,
        "iteration": status.iteration,
        "wall_time_seconds": status.wall_time_seconds,
        "resumes": status.resumes,
        "started_at": status.started_at,
        "host": status.host,
        "pid": status.pid,
        "checkpoint_steps": _steps(run.checkpoints),
        "model_versions": sorted(path.name for path in run.model.iterdir()) if run.model.is_dir() else [],
        "folder": str(run.folder),
        "files": [path.name for path in present],
    }


def _steps(checkpoints: Path) -> list[int]:
    if not checkpoints.is_dir():
        return []
    return sorted(int(path.name) for path in checkpoints.iterdir() if path.name.isdigit())


def _group(folder: Path, detailed: bool, lock_tells: bool) -> dict[str, Any]:
    try:
        runs = [_run(member.folder, False, lock_tells) for member in group.members(folder)]
    except SlipwayError as error:
        return {**_run(folder, False, lock_tells), "state": DAMAGED, "message": _in_one_line(error)}
    states = [run["state"] for run in runs]
    parts = [run["done_ratio"] or 0.0 for run in runs]
    steps = [run["env_steps"] or 0 for run in runs]
    found = {
        **runs[0],
        "run_id": folder.name,
        "state": states[0] if len(set(states)) == 1 else next(s for s in _SHOWN_FIRST if s in states),
        "seed": [run["seed"] for run in runs],
        "env_steps": sum(steps),
        "done_ratio": sum(parts) / len(parts),
        **_result(folder / "evaluation.json"),
        "updated_at": max(str(run["updated_at"] or "") for run in runs),
    }
    if detailed:
        found |= {"folder": str(folder), "members": [f"{run['run_id']} ({run['state']})" for run in runs]}
    return found


_SHOWN_FIRST = (
    State.RUNNING, DAMAGED, State.FAILED, INTERRUPTED, State.PREEMPTED, State.STOPPED_BY_BUDGET, State.QUEUED,
    State.FINISHED,
)  # fmt: skip
"""Which state stands for a group whose runs differ: what is going on, then what needs a hand."""


def _result(evaluation: Path) -> dict[str, float | None]:
    """The greedy policy's score and gap, if it has been evaluated."""
    nothing: dict[str, float | None] = {"score": None, "optimality_gap_ratio": None}
    if not evaluation.is_file():
        return nothing
    try:
        said = files.read_json(evaluation)
        greedy = said["policies"]["greedy"]
        exact = (said.get("exact") or {}).get("greedy") or {}
        gap = exact.get("optimality_gap_ratio", greedy.get("optimality_gap_ratio"))
        return {"score": exact.get("score", greedy["mean"]), "optimality_gap_ratio": gap}
    except (SlipwayError, KeyError, TypeError, AttributeError):
        return nothing
