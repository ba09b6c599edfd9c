"""Learning curves, one drawing a task: the score in training over environment steps, with aims and optima as lines."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.learning import cases, record
from benchmarks.learning.cases import Case
from benchmarks.learning.record import Entry
from benchmarks.learning.tasks import TASKS, Task
from trainer.report.canvas import ACCENT, INK, MUTED, Cut, drawing, svg
from trainer.report.series import band, value_limits
from trainer.run import files

COLUMNS = 3
STYLE = (
    "<style>:root{--paper:#ffffff;--ink:#1a2230;--muted:#5b6678;--grid:#d9dfe8;--accent:#0b62c4}"
    "svg{background:#ffffff;font-family:system-ui,'Segoe UI',Roboto,'Noto Sans','DejaVu Sans',sans-serif}</style>"
)
"""Colours of the report's page by day: a picture has no page to take them from."""


def write(entries: Mapping[str, Entry], folder: Path) -> dict[str, str]:
    """Draw what there is.

    Args:
        entries: by case name.
        folder: where the drawings go.

    Returns:
        Each drawing's path from the folder's parent, by the task's key.
    """
    folder.mkdir(exist_ok=True)
    found = {}
    for task in TASKS:
        text = draw(task, entries)
        if text is not None:
            files.write(folder / f"{task.key}.svg", text.encode())
            found[task.key] = f"{folder.name}/{task.key}.svg"
    return found


def draw(task: Task, entries: Mapping[str, Entry]) -> str | None:
    """A task's drawing as SVG, a panel for each preset; None if there are no curves."""
    panels = []
    for case in cases.of_task(task.key):
        entry = entries.get(case.name)
        if entry is not None and record.same(entry["settings"], case):
            curves = [seed["curve"] for seed in entry["seeds"].values() if seed.get("curve")]
            panels += [(case, curves)] if curves else []
    if not panels:
        return None
    columns = min(COLUMNS, len(panels))
    rows = math.ceil(len(panels) / columns)
    with drawing(Cut.WIDE if columns > 1 else Cut.NARROW, height=2.2 * rows + 0.1) as figure:
        grid = figure.subplots(rows, columns, squeeze=False)
        for axes in grid.flat[len(panels) :]:
            axes.set_visible(False)
        for axes, (case, curves) in zip(grid.flat, panels, strict=False):
            _panel(axes, task, case, curves)
        picture = svg(figure, f"learning-{task.key}")
    head, _, rest = picture.partition(">")
    return f"{head}>{STYLE}{rest}\n"


def _panel(axes: Any, task: Task, case: Case, curves: list[Any]) -> None:
    mean = band(curves)
    for steps, values in curves:
        axes.plot(steps, values, color=ACCENT, linewidth=0.6 if mean else 1.2, alpha=0.35 if mean else 1.0)
    if mean:
        axes.fill_between(mean.steps, mean.low, mean.high, color=ACCENT, alpha=0.18, linewidth=0)
        axes.plot(mean.steps, mean.mean, color=ACCENT, linewidth=1.5)
    lines = [(name, value, INK, "-") for name, value in task.lines]
    # An aim can stand beside a curve if it is one of the score, and not of a gap or of other episodes.
    aims = [each.aim for each in case.measures if each.key == "score" and each.aim is not None and not each.in_interval]
    lines += [("aim", aim, MUTED, "--") for aim in aims if aim not in dict(task.lines).values()]
    low, high = value_limits(curves, [])
    seen = [low, high, *(line[1] for line in lines)]
    margin = 0.06 * (max(seen) - min(seen))
    axes.set_ylim(min(seen) - margin, max(seen) + margin)
    for name, value, colour, dashes in lines:
        axes.axhline(value, color=colour, linewidth=0.9, linestyle=dashes)
        axes.annotate(
            f"{name} {value:.5g}",
            (0.99, value),
            xycoords=("axes fraction", "data"),
            ha="right",
            va="bottom" if name == "aim" else "top",
            color=colour,
            fontsize=7,
        )
    axes.set_title(case.name)
    axes.set_xlim(0, max(np.max(steps) for steps, _ in curves))
    axes.locator_params(axis="both", nbins=4)
    _in_thousands(axes.xaxis)


def _in_thousands(axis: Any) -> None:
    from matplotlib.ticker import FuncFormatter

    axis.set_major_formatter(
        FuncFormatter(lambda value, _: f"{value / 1e6:g} M" if value >= 1e6 else f"{value / 1e3:g} k")
    )
