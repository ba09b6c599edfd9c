"""The report's figures as SVG, each in a wide and a narrow cut.

One accent colour marks the agent; all else is ink and grey, told apart by dashes and labels.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from trainer.metrics import formatting
from trainer.report.canvas import ACCENT, GRID, INK, MUTED, PAPER, Cut, drawing, svg
from trainer.report.data import Curve
from trainer.report.series import band, spread, thin, value_limits

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

_DASHES = ["--", ":", "-.", (0, (6, 2, 1, 2, 1, 2)), (0, (1, 3))]


@dataclasses.dataclass(frozen=True)
class Reference:
    """A horizontal or vertical line to compare with."""

    name: str
    value: float
    is_optimum: bool = False

    @property
    def label(self) -> str:
        """The name and the value."""
        return f"{self.name} {formatting.number(self.value)}"


@dataclasses.dataclass(frozen=True)
class Dot:
    """One row of the evaluation chart: a mean with its interval."""

    name: str
    mean: float
    low: float
    high: float
    is_agent: bool
    singles: Sequence[float] = ()
    is_beyond: bool = False
    """The mean lies left of the axis: an arrow stands for it."""


def learning_curve(
    cut: Cut,
    curves: Mapping[str, Curve],
    references: Sequence[Reference],
    evaluations: Sequence[tuple[float, float, float, float]],
    score_label: str,
) -> str:
    """The score over environment steps.

    Args:
        cut: wide or narrow.
        curves: the training score of each run, by name. Two or more become thin lines under their mean and its band.
        references: optimum and baselines.
        evaluations: (step, mean, low, high) of evaluations during the training.
        score_label: the score axis' title.
    """
    with drawing(cut, height=3.6 if cut is Cut.WIDE else 3.3 + 0.17 * len(references)) as figure:
        axes = figure.add_subplot()
        lines = list(curves.values())
        mean = band(lines)
        for steps, values in lines:
            x, y = thin(np.array(steps), np.array(values))
            axes.plot(x, y, color=ACCENT, linewidth=0.7 if mean else 1.5, alpha=0.35 if mean else 1.0)
        if mean:
            x, centre, low, high = thin(mean.steps, mean.mean, mean.low, mean.high)
            axes.fill_between(x, low, high, color=ACCENT, alpha=0.18, linewidth=0)
            axes.plot(x, centre, color=ACCENT, linewidth=1.8)
        if evaluations:
            x, y, low, high = (np.array(column) for column in zip(*evaluations, strict=True))
            axes.vlines(x, low, high, color=ACCENT, linewidth=1.1)
            axes.plot(x, y, "o", color=ACCENT, markersize=4, markerfacecolor=PAPER)
        axes.set_ylim(value_limits(lines, [reference.value for reference in references]))
        last = max([*(steps[-1] for steps, _ in lines if steps), *(step for step, *_ in evaluations)], default=1.0)
        axes.set_xlim(0, 1.012 * last)
        _reference_lines(axes, references, cut)
        axes.set_xlabel("environment steps")
        axes.set_ylabel(score_label)
        _counts(axes.xaxis)
        return svg(figure, f"learning-{cut.name.lower()}")


def evaluation_dots(cut: Cut, dots: Sequence[Dot], gaps: Sequence[Dot], optimum: float | None, score_label: str) -> str:
    """Means with their intervals, one row a policy: the scores, and the gaps to the optimum on a logarithmic axis.

    Args:
        cut: wide (side by side) or narrow (one above the other).
        dots: the rows, top first.
        gaps: the same rows as gaps to the optimum, 1 is 100 %; empty if there is no optimum.
        optimum: the best possible score, if it is known.
        score_label: the axis' title.
    """
    panels = 2 if gaps else 1
    shape = (1, panels) if cut is Cut.WIDE else (panels, 1)
    with drawing(cut, height=(0.85 + 0.34 * len(dots)) * shape[0]) as figure:
        grid = figure.subplots(*shape, squeeze=False)
        axes = grid.flat[0]
        dot_rows(axes, dots, [formatting.number(dot.mean) for dot in dots])
        if optimum is not None:
            axes.axvline(optimum, color=INK, linewidth=1, zorder=0)
            axes.annotate(
                f"optimum {formatting.number(optimum)}",
                (optimum, 1.02),
                xycoords=("data", "axes fraction"),
                ha="left" if optimum <= min(dot.mean for dot in dots) else "right",
                va="bottom",
                annotation_clip=False,
            )
        axes.margins(x=0.06)
        axes.locator_params(axis="x", nbins=5)
        axes.set_xlabel(score_label)
        if gaps:
            _gap_rows(grid.flat[1], gaps)
            if cut is Cut.WIDE:
                grid.flat[1].tick_params(axis="y", labelleft=False)
        return svg(figure, f"evaluation-{cut.name.lower()}")


def dot_rows(axes: "Axes", dots: Sequence[Dot], texts: Sequence[str]) -> None:
    """A row for each dot, its text at the right."""
    rows = range(len(dots), 0, -1)
    for row, dot, text in zip(rows, dots, texts, strict=True):
        colour = ACCENT if dot.is_agent else MUTED
        axes.plot([dot.low, dot.high], [row, row], color=colour, linewidth=2.6, alpha=0.55, solid_capstyle="butt")
        if dot.singles:
            axes.plot(dot.singles, [row - 0.26] * len(dot.singles), "|", color=colour, markersize=5)
        axes.plot(
            [dot.mean], [row], "<" if dot.is_beyond else "o", color=colour, markersize=7 if dot.is_beyond else 5.5
        )
        axes.annotate(
            text,
            (1.02, row),
            xycoords=("axes fraction", "data"),
            va="center",
            color=INK if dot.is_agent else MUTED,
            annotation_clip=False,
        )
    axes.set_yticks(list(rows), [dot.name for dot in dots])
    axes.tick_params(axis="y", length=0, labelcolor=INK)
    axes.set_ylim(0.35, len(dots) + 0.6)
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)


def _gap_rows(axes: "Axes", gaps: Sequence[Dot]) -> None:
    """Gaps on a logarithmic axis; what is not above zero stands at the left edge as an arrow."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    positive = [value for gap in gaps for value in (gap.mean, *gap.singles) if value > 0]
    left, right = min(positive) / 2.5, max(gap.high for gap in gaps) * 1.5
    shown = [
        dataclasses.replace(
            gap,
            mean=max(gap.mean, left),
            low=max(gap.low, left),
            high=max(gap.high, left),
            singles=[single for single in gap.singles if single > 0],
            is_beyond=gap.mean <= 0,
        )
        for gap in gaps
    ]
    axes.set_xscale("log")
    dot_rows(axes, shown, [formatting.percent(gap.mean) for gap in gaps])
    axes.set_xlim(left / 1.3, right)
    axes.xaxis.set_major_locator(LogLocator(numticks=6))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g} %"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("gap to the optimum, logarithmic")


def small_multiples(cut: Cut, panels: Sequence[tuple[str, Sequence[Curve]]]) -> str:
    """Small charts over environment steps, side by side.

    Args:
        cut: wide (three a row) or narrow (two a row).
        panels: a title, and a curve for each run; the mean over runs is drawn stronger.
    """
    columns = min(3 if cut is Cut.WIDE else 2, len(panels))
    rows = math.ceil(len(panels) / columns)
    with drawing(cut, height=1.45 * rows + 0.2) as figure:
        grid = figure.subplots(rows, columns, squeeze=False)
        for axes, panel in zip(grid.flat, [*panels, *[None] * (rows * columns - len(panels))], strict=True):
            if panel is None:
                axes.set_visible(False)
                continue
            title, curves = panel
            mean = band(curves)
            for steps, values in curves:
                x, y = thin(np.array(steps), np.array(values))
                axes.plot(x, y, color=ACCENT, linewidth=0.6 if mean else 1.1, alpha=0.35 if mean else 1.0)
            if mean:
                x, y = thin(mean.steps, mean.mean)
                axes.plot(x, y, color=ACCENT, linewidth=1.3)
            axes.set_title(title)
            axes.margins(x=0)
            if max((abs(value) for _, values in curves for value in values), default=0.0) >= 1e4:
                _counts(axes.yaxis)
            axes.locator_params(axis="both", nbins=4 if cut is Cut.WIDE else 3)
            _counts(axes.xaxis)
        return svg(figure, f"learning-details-{cut.name.lower()}")


def heatmap(cut: Cut, picture: Mapping[str, Any]) -> str:
    """A policy as a table of colours; cells without a value stay empty.

    Args:
        cut: wide or narrow.
        picture: `policy.json` of kind heatmap: x_label, y_label, x [columns], y [rows], values [rows][columns].

    Raises:
        ValueError: if the shapes do not fit.
    """
    x, y = list(picture["x"]), list(picture["y"])
    values = np.array([[np.nan if cell is None else cell for cell in row] for row in picture["values"]], np.float64)
    if values.shape != (len(y), len(x)):
        raise ValueError(f"values are {values.shape}, but y and x have {len(y)} and {len(x)} entries")
    width = cut.value
    with drawing(cut, height=min(5.0, max(1.8, width * 0.86 * len(y) / max(1, len(x))))) as figure:
        axes = figure.add_subplot()
        shown = np.ma.masked_invalid(values)
        mesh = axes.pcolormesh(shown, cmap="cividis", edgecolors=PAPER, linewidth=0.6, rasterized=values.size > 2500)
        axes.grid(visible=False)
        for axis, labels in ((axes.xaxis, x), (axes.yaxis, y)):
            stride = math.ceil(len(labels) / (16 if cut is Cut.WIDE else 8))
            axis.set_ticks([index + 0.5 for index in range(0, len(labels), stride)], [str(s) for s in labels[::stride]])
        axes.set_xlabel(str(picture.get("x_label", "")))
        axes.set_ylabel(str(picture.get("y_label", "")))
        for spine in axes.spines.values():
            spine.set_visible(False)
        whole = bool(np.all(shown == np.round(shown)))
        if whole and len(x) <= (26 if cut is Cut.WIDE else 12) and len(y) <= 26:
            middle = (np.nanmin(values) + np.nanmax(values)) / 2
            for (row, column), cell in np.ndenumerate(values):
                if math.isfinite(cell):
                    colour = "#00204d" if cell > middle else "#ffffff"
                    axes.text(
                        column + 0.5, row + 0.5, f"{cell:.0f}", ha="center", va="center", fontsize=7, color=colour
                    )
        bar = figure.colorbar(mesh, ax=axes, fraction=0.04, pad=0.02)
        bar.outline.set_visible(False)
        bar.set_label(str(picture.get("value_label", "")))
        if whole:
            bar.locator = _integer_locator()
            bar.update_ticks()
        return svg(figure, f"policy-{cut.name.lower()}")


def _reference_lines(axes: "Axes", references: Sequence[Reference], cut: Cut) -> None:
    """Lines with their labels at the right of a wide figure, in a legend under a narrow one."""
    dashes = iter(_DASHES * len(references))
    handles = [
        axes.axhline(
            reference.value,
            color=INK if reference.is_optimum else MUTED,
            linestyle="-" if reference.is_optimum else next(dashes),
            linewidth=1.0,
            label=reference.label,
            zorder=1,
        )
        for reference in references
    ]
    if not handles:
        return
    if cut is Cut.NARROW:
        axes.figure.legend(handles=handles, loc="outside lower left", frameon=False, ncols=1, handlelength=2.6)
        return
    low, high = axes.get_ylim()
    places = spread([(reference.value - low) / (high - low) for reference in references], 0.065)
    for reference, place in zip(references, places, strict=True):
        axes.annotate(
            reference.label,
            xy=(1.0, reference.value),
            xycoords=("axes fraction", "data"),
            xytext=(1.035, place),
            textcoords="axes fraction",
            va="center",
            color=INK if reference.is_optimum else MUTED,
            arrowprops={"arrowstyle": "-", "color": GRID, "shrinkA": 1, "shrinkB": 0, "linewidth": 0.8},
            annotation_clip=False,
        )


def _counts(axis: "Axis") -> None:
    """Large numbers as 200k, 1M."""
    from matplotlib.ticker import FuncFormatter

    axis.set_major_formatter(FuncFormatter(lambda value, _: formatting.count(value)))


def _integer_locator() -> Any:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(integer=True)
