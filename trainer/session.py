"""What the commands do: train, resume, evaluate, report; on one run, or on a group that differs by seed alone."""

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from trainer import backend
from trainer.config.models import Evaluation, RunFile
from trainer.errors import BadInput, ExitCode, SlipwayError
from trainer.loop import End
from trainer.metrics import formatting
from trainer.preemption import Preemption
from trainer.progress import Progress
from trainer.run import files, group, ids, resumable
from trainer.run.directory import RunDirectory, lock_folder
from trainer.run.located import Located
from trainer.run.status import State
from trainer.store import resolve
from trainer.store.base import Hold
from trainer.store.journal import Superseded
from trainer.store.told import Told

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

    store = resolve(run_file.store, run_file.store_encryption_key)
    store.check_writable()
    at = Located(store, ids.check(run_id) if run_id is not None else ids.new(run_file))
    voice = _Voice(progress)
    store.check_free(at.run_id)  # said before the environment is made, which takes seconds
    check(run_file)
    if training_seeds > 1:
        group.create(store, at.run_id, group.with_seeds(run_file, training_seeds))
    else:
        RunDirectory.create(store, at.run_id, run_file)
    with voice, _held(at, store.begin(at.run_id, voice.told()), voice) as hold:
        return _train(at, hold, voice)


def resume(at: Located, *, take_over: bool = False, progress: Progress) -> Outcome:
    """Go on with a run, or with the members of a group that are not finished, from the newest checkpoint.

    Args:
        at: the run or the group.
        take_over: do not ask whether the machine that held it last still lives.
        progress: what people see.

    Raises:
        BadInput: if there is no such run, it is finished, another process writes to it, or another version made it.
        SlipwayError: if training fails; what was saved stays.
    """
    glanced, voice = at.store.glance(at.run_id), _Voice(progress)
    try:
        resumable.check(glanced)
    except BadInput:
        is_finished = {run.status().state for run in group.runs_of(glanced)} == {State.FINISHED}
        if not is_finished or not at.store.settle(at.run_id, voice.told()):
            raise
        return _outcome(at)
    with voice, _held(at, at.store.take(at.run_id, voice.told(), take_over=take_over), voice) as hold:
        resumable.check(at.folder)
        backend.prepare()
        return _train(at, hold, voice)


def evaluate(
    at: Located, *, seeds: int | None = None, episodes_per_seed: int | None = None, progress: Progress
) -> Outcome:
    """Measure the newest checkpoint's policy on held-out seeds again, and write `evaluation.json`.

    Args:
        at: the run or the group.
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

    voice = _Voice(progress)
    with _held(at, at.store.take(at.run_id, voice.told()), voice):
        folder = at.folder
        if not group.is_group(folder):
            one(RunDirectory.open(folder))
            return _outcome(at)
        with lock_folder(folder, folder.name):
            for member in group.members(folder):
                one(member)
            _evaluate_group(folder)
        return _outcome(at)


def report(at: Located, *, progress: Progress) -> Outcome:
    """Write `report.html` from what the run directory holds.

    Args:
        at: the run or the group.
        progress: what people see.

    Raises:
        BadInput: if there is no such run; of a store that machines share also if another process writes to it.
    """
    from trainer.report import build

    voice = _Voice(progress)
    with _held(at, at.store.take(at.run_id, voice.told()), voice):
        build.build(at.folder)
        return _outcome(at)


class _Voice(contextlib.ExitStack):
    """Says what a store that is elsewhere has to say: to people, and in a run's logs too, once those are open.

    It is left after the run is in its store, so that the logs hear of the last commit.

    Args:
        progress: what people see.
    """

    def __init__(self, progress: Progress) -> None:
        super().__init__()
        self.progress = self._shown = progress
        self._said: set[int | None] = set()

    def told(self) -> Told:
        """For a store."""
        return Told(lambda text: self.progress.message(text), self._committed, self._left)

    def log(self, directory: RunDirectory, run_file: RunFile) -> None:
        """Open a run's logs, until this is left or another run's are opened, and speak there too.

        Raises:
            BadInput: if a cloud is not set up, or has no such log group.
        """
        from trainer.logs import outlets

        self.close()
        self.progress = self.enter_context(outlets.logged(directory, run_file, self._shown))
        self.callback(setattr, self, "progress", self._shown)

    def _committed(self, step: int | None, number: int) -> None:
        if step not in self._said:  # the same step again: what follows a training, such as its evaluation
            said = f"Committed: what the run was at step {step or 0:,} is in the store (entry {number})."
            self.progress.message(said)
        self._said.add(step)

    def _left(self, count: int) -> None:
        self._shown.phase(f"uploading, {formatting.count(count)}B left")


@contextlib.contextmanager
def _held(at: Located, hold: Hold, voice: _Voice) -> Iterator[Hold]:
    """A held run, which is brought to its store in the end, however the work on it ended.

    Raises:
        SlipwayError: if it could not be brought there.
    """
    try:
        yield hold
    except (Superseded, KeyboardInterrupt):
        hold.abandon()
        raise
    except BaseException:
        with contextlib.suppress(SlipwayError):  # the first fault is the one to tell
            _close(at, hold)
        raise
    _close(at, hold)
    if at.store.is_shared:
        voice.progress.message(f"All of {at.run_id} is in {at.store.uri}.")


def _close(at: Located, hold: Hold) -> None:
    """Bring a run to its store; a signal waits until that is done."""
    with Preemption():
        hold.close(State(_outcome(at).state))


def _train(at: Located, hold: Hold, voice: _Voice) -> Outcome:
    """Bring a run or a group to its end, or as far as budget and signals let it come."""
    if group.is_group(at.folder):
        _train_group(at.folder, hold, voice)
    else:
        directory = RunDirectory.open(at.folder)
        with directory.lock():
            _train_one(directory, hold, voice)
    return _outcome(at)


def _train_one(directory: RunDirectory, hold: Hold, voice: _Voice) -> End:
    """One run; its lock is held."""
    from trainer.stages import Stages

    run_file = directory.run_file()
    voice.log(directory, run_file)
    stages = Stages(directory, run_file, voice.progress, hold)
    try:
        return stages.run()
    finally:
        stages.close()


def _train_group(folder: Path, hold: Hold, voice: _Voice) -> None:
    with lock_folder(folder, folder.name):
        for member in group.members(folder):
            if member.status().state is State.FINISHED:
                continue
            with member.lock():
                end = _train_one(member, hold, voice)
            if end is not End.FINISHED:
                return
        _evaluate_group(folder)


def _evaluate_group(folder: Path) -> None:
    """`evaluation.json` and `report.html` across the members."""
    from trainer.evaluation import protocol
    from trainer.report import build

    members = group.members(folder)
    evaluations = [files.read_json(member.evaluation) for member in members]
    files.write_json(folder / "evaluation.json", protocol.across(evaluations))
    build.build(folder)


def _outcome(at: Located) -> Outcome:
    """What the files of a run or a group say."""
    from trainer.report import data, words

    folder = at.folder
    run = data.read(folder)
    directories = group.members(folder) if group.is_group(folder) else [RunDirectory.open(folder)]
    statuses = [directory.status() for directory in directories]
    unfinished = [status for status in statuses if status.state is not State.FINISHED]
    status = unfinished[0] if unfinished else statuses[-1]
    page = folder / "report.html"
    is_published = at.store.is_shared and not unfinished  # then it is in the store under its own name too
    shown_page = f"{at.shown}/{page.name}" if is_published else str(page)
    summary = {
        "run": at.shown,
        "state": str(status.state),
        "message": status.message,
        "env_steps": sum(each.env_steps for each in statuses),
        "wall_time_seconds": sum(each.wall_time_seconds for each in statuses),
        "report": shown_page if page.is_file() else None,
        "evaluation": files.read_json(folder / "evaluation.json") if run.evaluation is not None else None,
    }
    lines = []
    if status.message:
        lines.append(f"{status.run_id} is {status.state}: {status.message}")
    if status.state is State.STOPPED_BY_BUDGET:
        lines.append(f"To go on, raise the budget in {directories[0].folder / 'run.yaml'}: slipway resume {at.shown}")
    elif unfinished:
        lines.append(f"Go on with: slipway resume {at.shown}")
    if page.is_file():
        lines.append(f"Report: {shown_page}")
    if run.evaluation is not None:
        lines.append(words.verdict(run))
    return Outcome(folder, str(status.state), EXIT_CODES.get(status.state, ExitCode.FAULT), summary, tuple(lines))
