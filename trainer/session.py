"""What the commands do: train, resume, evaluate, report; on one run, or on a group that differs by seed alone."""

import dataclasses
from pathlib import Path
from typing import Any

from trainer import backend
from trainer.config.models import Evaluation, RunFile
from trainer.errors import ExitCode
from trainer.progress import Progress
from trainer.run import files, group, ids, resumable
from trainer.run.directory import RunDirectory, check_free, lock_folder
from trainer.run.status import State

EXIT_CODES = {
    State.FINISHED: ExitCode.DONE,
    State.PREEMPTED: ExitCode.PREEMPTED,
    State.STOPPED_BY_BUDGET: ExitCode.STOPPED_BY_BUDGET,
}


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a command came to.

    Attributes:
        folder: the run directory.
        state: the run's state.
        exit_code: the command's.
        summary: for `--json`.
        lines: for people.
    """

    folder: Path
    state: str
    exit_code: ExitCode
    summary: dict[str, Any]
    lines: tuple[str, ...]


def train(run_file: RunFile, *, run_id: str | None, training_seeds: int, progress: Progress) -> Outcome:
    """Train a new run, or a group of runs; evaluate, export and report.

    Args:
        run_file: validated.
        run_id: the run's name in the store; None makes one.
        training_seeds: how many runs to train, on consecutive seeds; more than one makes a group.
        progress: what people see.

    Raises:
        BadInput: if the run file does not fit its environment, the store cannot be written, or the run exists; nothing
            has been written then.
        SlipwayError: if training fails; what was saved stays.
    """
    backend.prepare()
    from trainer.config.check import check
    from trainer.store import resolve

    store = resolve(run_file.store)
    store.check_writable()
    run_id = ids.check(run_id) if run_id is not None else ids.new(run_file)
    check_free(store.folder(run_id))  # said before the environment is made, which takes seconds
    check(run_file)
    if training_seeds > 1:
        return _train_group(group.create(store, run_id, group.with_seeds(run_file, training_seeds)), progress)
    directory = RunDirectory.create(store, run_id, run_file)
    with directory.lock():
        return _train_one(directory, progress)


def resume(folder: Path, *, progress: Progress) -> Outcome:
    """Go on with a run, or with the members of a group that are not finished, from the newest checkpoint.

    Args:
        folder: the run's or the group's directory.
        progress: what people see.

    Raises:
        BadInput: if there is no such run, it is finished, another process writes to it, or another version made it.
        SlipwayError: if training fails; what was saved stays.
    """
    resumable.check(folder)
    backend.prepare()
    if group.is_group(folder):
        return _train_group(folder, progress)
    directory = RunDirectory.open(folder)
    with directory.lock():
        return _train_one(directory, progress)


def evaluate(
    folder: Path, *, seeds: int | None = None, episodes_per_seed: int | None = None, progress: Progress
) -> Outcome:
    """Measure the newest checkpoint's policy on held-out seeds again, and write `evaluation.json`.

    Args:
        folder: the run's or the group's directory.
        seeds: how many held-out seeds; None: the run file's.
        episodes_per_seed: episodes on each; None: the run file's.
        progress: what people see.

    Raises:
        BadInput: if there is no such run, it has no checkpoint yet, or another process writes to it.
    """
    backend.prepare()
    from trainer.stages import Stages

    def settings(run_file: RunFile) -> Evaluation:
        given = {"seeds": seeds, "episodes_per_seed": episodes_per_seed}
        return run_file.evaluation.model_copy(update={name: value for name, value in given.items() if value})

    def one(directory: RunDirectory) -> None:
        run_file = directory.run_file()
        with directory.lock():
            stages = Stages(directory, run_file, progress)
            try:
                stages.restore(needed=True)
                stages.evaluate(settings(run_file))
                stages.report()
            finally:
                stages.close()

    if not group.is_group(folder):
        one(RunDirectory.open(folder))
        return _outcome(folder)
    with lock_folder(folder, folder.name):
        for member in group.members(folder):
            one(member)
        _evaluate_group(folder)
    return _outcome(folder)


def report(folder: Path) -> Outcome:
    """Write `report.html` from what the run directory holds.

    Raises:
        BadInput: if there is no such run.
    """
    from trainer.report import build

    build.build(folder)
    return _outcome(folder)


def _train_one(directory: RunDirectory, progress: Progress) -> Outcome:
    """Bring a run to its end, or as far as budget and signals let it come; its lock is held."""
    from trainer.logs import outlets
    from trainer.stages import Stages

    run_file = directory.run_file()
    with outlets.logged(directory, run_file, progress) as told:
        stages = Stages(directory, run_file, told)
        try:
            stages.run()
        finally:
            stages.close()
    return _outcome(directory.folder)


def _train_group(folder: Path, progress: Progress) -> Outcome:
    with lock_folder(folder, folder.name):
        for member in group.members(folder):
            if member.status().state is State.FINISHED:
                continue
            with member.lock():
                outcome = _train_one(member, progress)
            if outcome.exit_code is not ExitCode.DONE:
                return _outcome(folder)
        _evaluate_group(folder)
    return _outcome(folder)


def _evaluate_group(folder: Path) -> None:
    """`evaluation.json` and `report.html` across the members."""
    from trainer.evaluation import protocol
    from trainer.report import build

    members = group.members(folder)
    evaluations = [files.read_json(member.evaluation) for member in members]
    files.write_json(folder / "evaluation.json", protocol.across(evaluations))
    build.build(folder)


def _outcome(folder: Path) -> Outcome:
    """What the files of a run or a group say."""
    from trainer.report import data, words

    run = data.read(folder)
    directories = group.members(folder) if group.is_group(folder) else [RunDirectory.open(folder)]
    statuses = [directory.status() for directory in directories]
    unfinished = [status for status in statuses if status.state is not State.FINISHED]
    status = unfinished[0] if unfinished else statuses[-1]
    page = folder / "report.html"
    summary = {
        "run": str(folder),
        "state": str(status.state),
        "message": status.message,
        "env_steps": sum(each.env_steps for each in statuses),
        "wall_time_seconds": sum(each.wall_time_seconds for each in statuses),
        "report": str(page) if page.is_file() else None,
        "evaluation": files.read_json(folder / "evaluation.json") if run.evaluation is not None else None,
    }
    lines = []
    if status.message:
        lines.append(f"{status.run_id} is {status.state}: {status.message}")
    if status.state is State.STOPPED_BY_BUDGET:
        lines.append(f"To go on, raise the budget in {directories[0].folder / 'run.yaml'}: slipway resume {folder}")
    elif unfinished:
        lines.append(f"Go on with: slipway resume {folder}")
    if page.is_file():
        lines.append(f"Report: {page}")
    if run.evaluation is not None:
        lines.append(words.verdict(run))
    return Outcome(folder, str(status.state), EXIT_CODES.get(status.state, ExitCode.FAULT), summary, tuple(lines))
