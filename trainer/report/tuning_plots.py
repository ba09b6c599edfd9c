"""A study's figures as SVG, each in a wide and a narrow cut: history, learning curves, slices, parallel coordinates."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from trainer.metrics import formatting
from trainer.report.canvas import ACCENT, GRID, INK, MUTED, Cut, drawing, svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from trainer.tuning.space import Choice, Range
    from trainer.tuning.study import Record

SHOWN_KEYS = 12
"""Keys with a panel or an axis of their own at most; the first ones of the space."""


def history(cut: Cut, records: "Sequence[Record]", sign: int, title: str) -> str:
    """Each trial's score, and the best up to it."""
    with drawing(cut, height=3.2) as figure:
        axes = figure.add_subplot()
        complete = [(record.number, record.score) for record in records if record.score is not None]
        ended = [(record.number, _last(record)) for record in records if record.score is None and record.parts]
        if complete:
            numbers, scores = zip(*complete, strict=True)
            pick = np.maximum.accumulate if sign > 0 else np.minimum.accumulate
            axes.step(numbers, pick(np.array(scores)), where="post", color=ACCENT, linewidth=1.6, label="best so far")
            axes.plot(numbers, scores, "o", color=ACCENT, markersize=4, label="complete")
        if ended:
            numbers, scores = zip(*ended, strict=True)
            axes.plot(numbers, scores, "x", color=MUTED, markersize=5, label="ended early, at its last score")
        axes.set_xlabel("trial")
        axes.set_ylabel(title)
        _whole_numbers(axes)
        figure.legend(loc="outside lower left", frameon=False, ncols=3 if cut is Cut.WIDE else 1, handlelength=1.6)
        return svg(figure, f"history-{cut.name.lower()}")


def courses(cut: Cut, records: "Sequence[Record]", best: "Record | None", parts: int, title: str) -> str:
    """Each trial's score as its training goes on; those that were pruned end early."""
    with drawing(cut, height=3.2) as figure:
        axes = figure.add_subplot()
        for record in records:
            if not record.parts:
                continue
            is_best = best is not None and record.number == best.number
            x = [100 * part / parts for part in sorted(record.parts)]
            y = [record.parts[part] for part in sorted(record.parts)]
            axes.plot(
                x,
                y,
                color=ACCENT if is_best else INK if record.score is not None else MUTED,
                linewidth=2.0 if is_best else 0.8,
                alpha=1.0 if is_best else 0.45,
                linestyle="-" if record.score is not None else "--",
                marker="o" if len(x) == 1 else None,
                markersize=3,
                zorder=3 if is_best else 2,
            )
        axes.set_xlim(0, 102)
        axes.set_xlabel("training done, %")
        axes.set_ylabel(title)
        return svg(figure, f"courses-{cut.name.lower()}")


def importances(cut: Cut, shares: dict[str, float]) -> str:
    """How much each key explains."""
    with drawing(cut, height=0.8 + 0.3 * len(shares)) as figure:
        axes = figure.add_subplot()
        names = [_short(key) for key in reversed(shares)]
        values = [100 * share for share in reversed(shares.values())]
        axes.barh(names, values, color=ACCENT, height=0.55)
        for row, value in enumerate(values):
            axes.annotate(f"{value:.0f} %", (value, row), xytext=(4, 0), textcoords="offset points", va="center")
        axes.set_xlim(0, max(values) * 1.15)
        axes.set_xlabel("share of what sets good trials apart, %")
        return svg(figure, f"importances-{cut.name.lower()}")


def slices(cut: Cut, records: "Sequence[Record]", space: "dict[str, Range | Choice]", title: str) -> str:
    """The complete trials' scores over each key that varies; later trials are darker."""
    keys, complete = list(space)[:SHOWN_KEYS], [record for record in records if record.score is not None]
    columns = min(len(keys), 3 if cut is Cut.WIDE else 1)
    rows = math.ceil(len(keys) / columns)
    with drawing(cut, height=2.3 * rows + 0.3) as figure:
        panels = figure.subplots(rows, columns, squeeze=False, sharey=True)
        for number, axes in enumerate(panels.flat):
            if number >= len(keys):
                axes.set_axis_off()
                continue
            key = keys[number]
            places, labels, is_log = _scale(space[key], [record.values[key] for record in complete])
            order = np.linspace(0.25, 1.0, max(1, len(complete)))
            scores = [record.score for record in complete]
            axes.scatter(places, scores, s=16, color=ACCENT, alpha=order[: len(complete)], linewidths=0)
            if is_log:
                _logarithmic(axes, space[key])
            if labels is not None:
                axes.set_xticks(range(len(labels)), labels)
                axes.set_xlim(-0.5, len(labels) - 0.5)
            axes.set_xlabel(_short(key))
            if number % columns == 0:
                axes.set_ylabel(title)
        return svg(figure, f"slices-{cut.name.lower()}")


def parallel(cut: Cut, records: "Sequence[Record]", space: "dict[str, Range | Choice]", sign: int, title: str) -> str:
    """A line for each complete trial through its values; the best tenth in colour."""
    keys, complete = list(space)[:SHOWN_KEYS], [record for record in records if record.score is not None]
    scores = np.array([record.score for record in complete], float)
    good = set(np.argsort(-sign * scores)[: max(1, len(scores) // 10)].tolist())
    heights = [_unit(space[key], [record.values[key] for record in complete]) for key in keys]
    low, high = scores.min(), scores.max()
    heights.append((scores - low) / (high - low) if high > low else np.full(len(scores), 0.5))
    with drawing(cut, height=3.4 if cut is Cut.WIDE else 3.8) as figure:
        axes = figure.add_subplot()
        for row in range(len(complete)):
            is_good = row in good
            axes.plot(
                range(len(heights)),
                [height[row] for height in heights],
                color=ACCENT if is_good else MUTED,
                alpha=0.9 if is_good else 0.3,
                linewidth=1.6 if is_good else 0.8,
                zorder=3 if is_good else 2,
            )
        for place in range(len(heights)):
            axes.axvline(place, color=GRID, linewidth=1, zorder=1)
        for place, key in enumerate(keys):
            bottom, top = _ends(space[key])
            axes.annotate(top, (place, 1.03), ha="center", va="bottom", color=MUTED)
            axes.annotate(bottom, (place, -0.03), ha="center", va="top", color=MUTED)
        axes.annotate(formatting.number(high), (len(keys), 1.03), ha="center", va="bottom", color=MUTED)
        axes.annotate(formatting.number(low), (len(keys), -0.03), ha="center", va="top", color=MUTED)
        names = [*(_short(key) for key in keys), title]
        axes.set_xticks(
            range(len(names)),
            names,
            rotation=20 if cut is Cut.WIDE else 90,
            ha="right" if cut is Cut.WIDE else "center",
        )
        axes.set_yticks([])
        axes.set_ylim(-0.12, 1.12)
        axes.set_xlim(-0.4, len(names) - 0.6)
        for spine in axes.spines.values():
            spine.set_visible(False)
        axes.grid(visible=False)
        return svg(figure, f"parallel-{cut.name.lower()}")


def _last(record: "Record") -> float:
    return record.parts[max(record.parts)]


def _short(key: str) -> str:
    return key.removeprefix("agent.")


def _options(dimension: Any) -> list[Any] | None:
    return list(dimension.options) if hasattr(dimension, "options") else None


def _scale(dimension: "Range | Choice", values: Sequence[Any]) -> tuple[list[float], list[str] | None, bool]:
    """Where values lie on an axis, the names of its ticks if it is a choice, and whether it is logarithmic."""
    options = _options(dimension)
    if options is not None:
        return [options.index(value) for value in values], [_plain(option) for option in options], False
    return list(values), None, bool(getattr(dimension, "log", False))


def _unit(dimension: "Range | Choice", values: Sequence[Any]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Where values lie between the dimension's ends, 0 to 1."""
    places, labels, is_log = _scale(dimension, values)
    if labels is not None:
        return np.array(places, float) / (len(labels) - 1)
    low, high = float(dimension.low), float(dimension.high)  # type: ignore[union-attr]
    if is_log:
        return np.log(np.array(places, float) / low) / math.log(high / low)
    return (np.array(places, float) - low) / (high - low)


def _ends(dimension: Any) -> tuple[str, str]:
    options = _options(dimension)
    if options is not None:
        return _plain(options[0]), _plain(options[-1])
    return f"{dimension.low:.4g}", f"{dimension.high:.4g}"


def _plain(option: Any) -> str:
    if isinstance(option, bool) or option is None:
        return {True: "yes", False: "no", None: "none"}[option]
    if isinstance(option, list):
        return " ".join(_plain(item) for item in option)
    return str(option)


def _logarithmic(axes: "Axes", dimension: Any) -> None:
    """The range that was searched, its ends and its middle in plain letters: the page's font has no powers."""
    from matplotlib.ticker import NullLocator

    low, high = float(dimension.low), float(dimension.high)
    places = [low, math.sqrt(low * high), high]
    axes.set_xscale("log")
    axes.set_xlim(low / 1.2, high * 1.2)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(places, [f"{place:.2g}" for place in places])


def _whole_numbers(axes: "Axes") -> None:
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
