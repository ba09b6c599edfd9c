"""What `slipway tune` does: make a study or go on with one, work through it, write its report."""

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from trainer.config.models import RunFile
from trainer.errors import BadInput, ExitCode
from trainer.metrics import formatting
from trainer.report import tuning_page
from trainer.run import files
from trainer.session import Outcome as Came
from trainer.tuning import display, study, tuner
from trainer.tuning.outcome import Outcome
from trainer.tuning.study import Settings, Study

PARTS = 10
"""How often a trial is measured if nothing is said."""


def tune(folder: Path, settings: Settings | None, *, trials: int, workers: int, silent: bool) -> Came:
    """Work on a study until it has so many trials, or a signal comes.

    Args:
        folder: the study's.
        settings: of a new study, or of one that must be the same; None goes on with what is there.
        trials: how many it shall have, with those that it has.
        workers: processes that train at the same time.
        silent: show no progress.

    Raises:
        BadInput: if the study is another than the one that is meant, its space has no values that go together, or
            another process works on it.
        SlipwayError: if its files cannot be read or written, or no worker comes up.
    """
    processes = tuner.Workers((settings or study.read_settings(folder)).run_file, workers)
    with _opened(folder, settings, processes) as opened:
        try:
            with display.shown(opened, trials, silent=silent) as watch:
                is_done = opened.counted() >= trials or _run(opened, processes, trials, watch)
        finally:
            page = folder / "report.html"
            files.write(page, tuning_page.render(opened).encode())
        return _came(opened, page, is_done=is_done, trials=trials)


def _run(opened: Study, processes: tuner.Workers, trials: int, watch: tuner.Watcher) -> bool:
    processes.start()
    return tuner.run(opened, processes, trials, watch)


@contextlib.contextmanager
def _opened(folder: Path, settings: Settings | None, processes: tuner.Workers) -> Iterator[Study]:
    if settings is None or study.is_study(folder):
        if settings is not None:
            study.check_same(folder, settings)
        with Study.open(folder) as opened:
            yield opened
        return
    processes.start()
    try:
        score = processes.first_score()
        with Study.create(folder, settings, score) as opened:
            yield opened
    finally:
        processes.stop()


def _came(opened: Study, page: Path, *, is_done: bool, trials: int) -> Came:
    records, best = opened.records(), opened.best()
    counts = {str(each): sum(record.outcome is each for record in records) for each in Outcome}
    counts = {name: count for name, count in counts.items() if count or name == Outcome.COMPLETE}
    state = "finished" if is_done else "preempted"
    summary: dict[str, Any] = {
        "study": str(opened.folder),
        "state": state,
        "trials": counts,
        "score": opened.score,
        "best": None if best is None else {**dataclasses.asdict(best), "run_file": str(opened.best_file)},
        "importances": opened.importances(),
        "report": str(page),
    }
    lines = [f"Trials: {', '.join(f'{count} {name}' for name, count in counts.items())}.", f"Report: {page}"]
    if best is not None:
        score = f"{opened.score['name']} {formatting.number(best.score)}"
        lines.append(f"Best {score} (trial {best.number}): {display.values(best)}.")
        lines.append(f"Train it, and measure it on held-out seeds: slipway train {opened.best_file} --seeds 5")
    elif is_done:
        failed = next((record.message for record in records if record.outcome is Outcome.FAILED), None)
        lines.append("No trial came to its end" + (f"; one failed so: {failed}" if failed else "."))
    if not is_done:
        lines.append(f"Go on with: slipway tune {opened.folder} --trials {trials}")
    code = ExitCode.PREEMPTED if not is_done else ExitCode.DONE if best is not None else ExitCode.FAULT
    return Came(opened.folder, state, code, summary, tuple(lines))


def settings_of(run_file: RunFile, space: Any, seed: int, pruner: str, parts: int | None) -> Settings:
    """The settings of a study; in 10 parts, or as many as there are iterations, if nothing is said.

    Raises:
        BadInput: if the training has fewer iterations than parts.
    """
    parts = parts or min(PARTS, run_file.iterations)
    if run_file.iterations < parts:
        allowed = f"at most {run_file.iterations}, the iterations of a training"
        raise BadInput("--parts", parts, allowed, "lower --parts, or raise budget.env_steps")
    return Settings(run_file, space, seed, pruner, parts)
