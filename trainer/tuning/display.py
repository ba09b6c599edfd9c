"""What people see while a study is worked on: a line for each trial, and on a terminal a bar below."""

import contextlib
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from trainer.metrics import formatting
from trainer.tuning.outcome import Outcome

if TYPE_CHECKING:
    from trainer.tuning.study import Record, Study
    from trainer.tuning.tuner import Watcher


def values(record: "Record") -> str:
    """A trial's values in words, keys without `agent.`."""
    return ", ".join(
        f"{key.removeprefix('agent.')} {formatting.number(value) if isinstance(value, float) else value}"
        for key, value in record.values.items()
    )


def line(study: "Study", record: "Record") -> str:
    """A trial that has ended, and the best so far."""
    if record.outcome is Outcome.COMPLETE:
        said = f"{study.score['name']} {formatting.number(record.score)}"
    else:
        said = str(record.outcome)
        if record.outcome is Outcome.FAILED:
            said = f"{said} ({record.message})"
        elif record.parts:
            said = f"{said} after part {max(record.parts)} of {study.settings.parts}"
    best = study.best()
    so_far = ""
    if best is not None and best.number == record.number:
        so_far = ", the best so far"
    elif best is not None:
        so_far = f"; best {formatting.number(best.score)} (trial {best.number})"
    return f"trial {record.number}: {said}{so_far} · {values(record)}"


@contextlib.contextmanager
def shown(study: "Study", trials: int, *, silent: bool) -> Iterator["Watcher"]:
    """What to tell of trials that have ended.

    Args:
        study: which.
        trials: how many it shall have.
        silent: show nothing.
    """
    if silent or not sys.stderr.isatty():

        def say(record: "Record | None") -> None:
            if record is not None and not silent:
                sys.stderr.write(f"{line(study, record)}\n")
                sys.stderr.flush()

        yield say
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns: list[Any] = [
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("trials"),
        TimeElapsedColumn(),
        TextColumn("elapsed"),
        TimeRemainingColumn(),
        TextColumn("left"),
    ]
    console = Console(file=sys.stderr)
    with Progress(*columns, console=console, refresh_per_second=2) as progress:
        task = progress.add_task(study.folder.name, total=trials, completed=study.counted())

        def watch(record: "Record | None") -> None:
            if record is None:
                return
            console.print(line(study, record), markup=False, highlight=False)
            progress.update(task, completed=study.counted())

        yield watch
