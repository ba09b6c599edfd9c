"""What the commands do: train, resume, evaluate, report; on one run or on a group that differs by seed alone."""

import dataclasses
import importlib.metadata
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer import backend, budget
from trainer.checkpoint import Checkpoints
from trainer.config.models import RunFile
from trainer.errors import BadInput, ExitCode, SlipwayError
from trainer.loop import Counters, End, Goal, Loop, Result
from trainer.metrics import formatting
from trainer.metrics.sinks.base import Sink
from trainer.metrics.sinks.fanout import open_sinks
from trainer.preemption import Preemption
from trainer.progress import Progress

if TYPE_CHECKING:
    from trainer.iteration import Training
    from trainer.target import Target

EXIT_CODES = {
    End.FINISHED: ExitCode.DONE,
    End.PREEMPTED: ExitCode.PREEMPTED,
    End.STOPPED_BY_BUDGET: ExitCode.STOPPED_BY_BUDGET,
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
    from trainer.store.local import resolve

    check(run_file)
    store = resolve(run_file.store)
    run_id = run_id or ids.new(run_file)
    if training_seeds > 1:
        members = [_with_seed(run_file, run_file.seed + number) for number in range(training_seeds)]
        folder = group.create(store, run_id, members)
        return _train_group(folder, progress)
    directory = RunDirectory.create(store, run_id)
    with directory.lock():
        return _Run(directory, run_file, progress).begin()
