"""Figures as SVG for a page: drawn by matplotlib, coloured by the page's CSS variables, in a wide and a narrow cut.

Colours are placeholders while matplotlib draws; `_svg` turns each into `var(--...)`, so a figure follows the page from
light to dark. One accent colour marks the agent; all else is ink and grey, told apart by dashes and labels.
"""

import contextlib
import dataclasses
import enum
import io
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from trainer.metrics import formatting
from trainer.report.data import Curve

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = npt.NDArray[np.float64]

INK, MUTED, GRID, ACCENT, PAPER = "#111101", "#111102", "#111103", "#111104", "#111105"
_VARIABLES = {INK: "ink", MUTED: "muted", GRID: "grid", ACCENT: "accent", PAPER: "paper"}
_DASHES = ["--", ":", "-.", (0, (6, 2, 1, 2, 1, 2)), (0, (1, 3))]
MOST_POINTS = 600
"""Points of a drawn curve; more cannot be told apart."""


class Cut(enum.Enum):
    """For which page a figure is drawn: its width in inches (72 units of the SVG each)."""

    WIDE = 7.4
    NARROW = 3.7


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


@dataclasses.dataclass(frozen=True)
class Band:
    """A mean line over several runs, with an interval."""

    steps: Floats
    mean: Floats
    low: Floats
    high: Floats


def band(curves: Sequence[Curve], confidence: float = 0.95) -> Band | None:
    """The mean over runs and its t interval, at the steps that all of them have reached.

    The interval is mean ± t s / sqrt(n), with s the standard deviation over the n runs and t the quantile of Student's
    distribution with n - 1 degrees of freedom.

    Args:
        curves: one curve a run; values between its steps are interpolated.
        confidence: what the interval holds, 0 to 1.

    Returns:
        None for fewer than two runs that have something in common.
    """
    curves = [curve for curve in curves if curve[0]]
    if len(curves) < 2:
        return None
    from scipy.stats import t

    first, last = max(curve[0][0] for curve in curves), min(curve[0][-1] for curve in curves)
    longest = max(curves, key=lambda curve: len(curve[0]))
    steps = np.array([step for step in longest[0] if first <= step <= last], np.float64)
    if not len(steps):
        return None
    values = np.array([np.interp(steps, *curve) for curve in curves])
    mean = values.mean(0)
    half = t.ppf((1 + confidence) / 2, len(curves) - 1) * values.std(0, ddof=1) / math.sqrt(len(curves))
    return Band(steps, mean, mean - half, mean + half)


def thin(steps: Floats, *values: Floats) -> list[Floats]:
    """At most `MOST_POINTS` points: means over runs of neighbours of equal length; the last point stays as it is."""
    stride = math.ceil(len(steps) / MOST_POINTS)
    if stride <= 1:
        return [steps, *values]
    starts = np.arange(0, len(steps), stride)
    lengths = np.diff(np.append(starts, len(steps)))
    thinned = [np.add.reduceat(array, starts) / lengths for array in (steps, *values)]
    for array, thin_array in zip((steps, *values), thinned, strict=True):
        thin_array[-1] = array[-1]
    return thinned


def spread(positions: Sequence[float], gap: float) -> list[float]:
    """Positions moved as little as is needed to stand at least `gap` apart, in the same order.

    Neighbours that come too near form a block, which is centred on its members' mean (isotonic regression by pooling
    adjacent violators, of positions less `gap` times rank).
    """
    order = sorted(range(len(positions)), key=lambda index: positions[index])
    blocks: list[tuple[float, int]] = []  # (mean of position - rank * gap, members)
    for rank, index in enumerate(order):
        mean, size = positions[index] - rank * gap, 1
        while blocks and blocks[-1][0] > mean:
            other, members = blocks.pop()
            mean, size = (other * members + mean * size) / (members + size), members + size
        blocks.append((mean, size))
    flat = [mean for mean, size in blocks for _ in range(size)]
    result = [0.0] * len(positions)
    for rank, index in enumerate(order):
        result[index] = flat[rank] + rank * gap
    return result


def value_limits(curves: Sequence[Curve], references: Sequence[float]) -> tuple[float, float]:
    """Limits of a learning curve's score axis: what matters, without the first tenth of the training.

    An untrained policy may be so bad that nothing else could be told apart; what lies outside is cut off.
    """
    tails = [value for _, values in curves for value in values[len(values) // 10 :]]
    seen = sorted([*tails, *references])
    low, high = (seen[0], seen[-1]) if seen else (0.0, 1.0)
    margin = 0.06 * (high - low) or 0.05 * abs(high) or 1.0
    return low - margin, high + margin


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
    with _drawing(cut, height=3.6 if cut is Cut.WIDE else 3.3 + 0.17 * len(references)) as figure:
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
            bars: dict[str, Any] = {
                "fmt": "o",
                "markersize": 3.5,
                "markerfacecolor": PAPER,
                "capsize": 2,
                "linewidth": 0.9,
            }
            axes.errorbar(x, y, yerr=(y - low, high - y), color=ACCENT, ecolor=ACCENT, **bars)
        axes.set_ylim(value_limits(lines, [reference.value for reference in references]))
        axes.set_xlim(0, max((steps[-1] for steps, _ in lines if steps), default=1.0))
        _reference_lines(axes, references, cut)
        axes.set_xlabel("environment steps")
        axes.set_ylabel(score_label)
        _counts(axes)
        return _svg(figure, f"learning-{cut.name.lower()}")


def evaluation_dots(cut: Cut, dots: Sequence[Dot], optimum: float | None, score_label: str) -> str:
    """Means with their intervals, one row a policy, the optimum as a line.

    Args:
        cut: wide or narrow.
        dots: the rows, top first.
        optimum: the best possible score, if it is known.
        score_label: the axis' title.
    """
    with _drawing(cut, height=0.85 + 0.34 * len(dots)) as figure:
        axes = figure.add_subplot()
        rows = range(len(dots), 0, -1)
        for row, dot in zip(rows, dots, strict=True):
            colour = ACCENT if dot.is_agent else MUTED
            axes.plot([dot.low, dot.high], [row, row], color=colour, linewidth=2.6, alpha=0.55, solid_capstyle="butt")
            if dot.singles:
                axes.plot(dot.singles, [row - 0.26] * len(dot.singles), "|", color=colour, markersize=5)
            axes.plot([dot.mean], [row], "o", color=colour, markersize=6)
            axes.annotate(
                formatting.number(dot.mean),
                (1.015, row),
                xycoords=("axes fraction", "data"),
                va="center",
                color=INK if dot.is_agent else MUTED,
                annotation_clip=False,
            )
        if optimum is not None:
            axes.axvline(optimum, color=INK, linewidth=1, zorder=0)
            axes.annotate(
                f"optimum {formatting.number(optimum)}",
                (optimum, 1.02),
                xycoords=("data", "axes fraction"),
                ha="left",
                va="bottom",
                annotation_clip=False,
            )
        axes.set_yticks(list(rows), [dot.name for dot in dots])
        axes.tick_params(axis="y", length=0, labelcolor=INK)
        axes.set_ylim(0.35, len(dots) + 0.6)
        axes.margins(x=0.06)
        axes.grid(visible=False, axis="y")
        axes.spines["left"].set_visible(False)
        axes.set_xlabel(score_label)
        return _svg(figure, f"evaluation-{cut.name.lower()}")


def small_multiples(cut: Cut, panels: Sequence[tuple[str, Sequence[Curve]]]) -> str:
    """Small charts over environment steps, side by side.

    Args:
        cut: wide (three a row) or narrow (one a row).
        panels: a title, and a curve for each run; the mean over runs is drawn stronger.
    """
    columns = min(3, len(panels)) if cut is Cut.WIDE else 1
    rows = math.ceil(len(panels) / columns)
    with _drawing(cut, height=1.45 * rows + 0.2) as figure:
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
            axes.locator_params(axis="both", nbins=4)
            _counts(axes)
        return _svg(figure, f"learning-details-{cut.name.lower()}")


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
    with _drawing(cut, height=min(5.0, max(1.8, width * 0.86 * len(y) / max(1, len(x))))) as figure:
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
                    colour = "#00204d" if cell > middle else "#fff4c9"
                    axes.text(
                        column + 0.5, row + 0.5, f"{cell:.0f}", ha="center", va="center", fontsize=7, color=colour
                    )
        bar = figure.colorbar(mesh, ax=axes, fraction=0.04, pad=0.02)
        bar.outline.set_visible(False)
        bar.set_label(str(picture.get("value_label", "")))
        if whole:
            bar.locator = _integer_locator()
            bar.update_ticks()
        return _svg(figure, f"policy-{cut.name.lower()}")


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


def _counts(axes: "Axes") -> None:
    """Environment steps as 200k, 1M."""
    from matplotlib.ticker import FuncFormatter

    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: formatting.count(value)))


def _integer_locator() -> Any:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(integer=True)


@contextlib.contextmanager
def _drawing(cut: Cut, height: float) -> Iterator["Figure"]:
    """A figure in the house's style; matplotlib's global state stays as it was."""
    import matplotlib
    from matplotlib.figure import Figure

    style: dict[Any, Any] = {
        "svg.fonttype": "none",
        "svg.hashsalt": "slipway",
        "text.parse_math": False,  # a name with two dollar signs is no formula
        "font.size": 8.5,
        "axes.titlesize": 8.5,
        "axes.titlelocation": "left",
        "axes.labelsize": 8.5,
        "text.color": INK,
        "axes.titlecolor": INK,
        "axes.labelcolor": MUTED,
        "axes.edgecolor": GRID,
        "axes.facecolor": "none",
        "axes.grid": True,
        "axes.axisbelow": True,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.formatter.useoffset": False,
        "grid.color": GRID,
        "grid.linewidth": 0.6,
        "xtick.color": GRID,
        "ytick.color": GRID,
        "xtick.labelcolor": MUTED,
        "ytick.labelcolor": MUTED,
        "figure.facecolor": "none",
    }
    with matplotlib.rc_context(style):
        yield Figure(figsize=(cut.value, height), layout="constrained")


def _svg(figure: "Figure", name: str) -> str:
    """The figure as an SVG element that can stand in a page beside others: own ids, the page's colours, no metadata."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    buffer = io.StringIO()
    FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :].strip()
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'(<svg\b[^>]*?) width="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'(<svg\b[^>]*?) height="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = re.sub(r"url\(#", f"url(#{name}-", text)
    text = re.sub(r'xlink:href="#', f'xlink:href="#{name}-', text)
    for colour, variable in _VARIABLES.items():
        text = text.replace(colour, f"var(--{variable})")
    # The words of a figure are in its label and its table; a reader of the page need not hear each tick.
    return text.replace("<svg", '<svg aria-hidden="true" focusable="false"', 1)
