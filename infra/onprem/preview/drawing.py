"""A dashboard's panels, drawn in their places; colours and fonts are matplotlib's."""

import dataclasses
import math
import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from infra.onprem.dashboards import reading
from infra.onprem.dashboards.elements import COLUMNS, GREEN, GREY, RED
from infra.onprem.dashboards.reading import Json
from infra.onprem.preview.asking import POINTS, Prometheus, Series
from infra.onprem.preview.numbers import scale, written

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ROW_INCHES, WIDTH_INCHES, DOTS = 0.36, 16.0, 100
"""A row of Grafana's grid, the whole width, and dots per inch."""
MARGIN = 0.008
"""Left of panels, as a share of the width."""
LEGEND_ROWS, HANDLE_INCHES = 2, 0.45
"""The most rows of a legend, and what a name takes besides its letters: the piece of line, and room."""
CHARACTER_INCHES = 0.075
"""Of a text, about."""
HEADROOM = 1.05
"""How much higher an axis goes than the highest value, so that no line lies on the edge."""
LEAST_RATE_SECONDS = 60
"""Rates are over so long at least: four times as long as Prometheus waits between two looks."""
INK, PALE, GRID, ALERT = "#222222", "#888888", "#e5e5e5", "#d62728"
STRONG: Mapping[str, str] = {GREEN: "#2b8a3e", RED: "#c92a2a"}
LIGHT: Mapping[str, str] = {GREEN: "#69db7c", RED: "#fa5252"}
NOTHING = "No data"

Box = tuple[float, float, float, float]
"""Left, bottom, width and height, as shares of the figure."""


@dataclasses.dataclass(frozen=True)
class Line:
    """A series with its name.

    Attributes:
        query: the reference of the query that it answers.
        name: for the legend.
        series: its values.
    """

    query: str
    name: str
    series: Series


@dataclasses.dataclass(frozen=True)
class Asked:
    """What answers a dashboard's queries.

    Attributes:
        dashboard: as its file has it.
        prometheus: whom to ask.
        start: Unix time of the left end.
        end: Unix time of the right end.
    """

    dashboard: Json
    prometheus: Prometheus
    start: float
    end: float

    def lines(self, panel: Json) -> list[Line]:
        """What a panel's queries are answered with."""
        rate = max(LEAST_RATE_SECONDS, math.ceil(4 * (self.end - self.start) / POINTS))
        values = {**reading.variables(self.dashboard), "__rate_interval": f"{rate}s"}
        found = []
        for target in panel["targets"]:
            expression = reading.substituted(target["expr"], values)
            if target["instant"]:
                answer = self.prometheus.now(expression, self.end)
            else:
                answer = self.prometheus.over(expression, self.start, self.end)
            ordered = sorted(answer, key=lambda each: sorted(each.labels.items()))
            found += [
                Line(target["refId"], reading.legend(target["legendFormat"], each.labels), each) for each in ordered
            ]
        return found


def draw(dashboard: Json, prometheus: Prometheus, start: float, end: float) -> "Figure":
    """A dashboard as a figure; of closed rows the heading alone.

    Args:
        dashboard: as its file has it.
        prometheus: whom to ask.
        start: Unix time of the left end.
        end: Unix time of the right end.
    """
    from matplotlib.figure import Figure

    asked = Asked(dashboard, prometheus, start, end)
    height = ROW_INCHES * (2 + max(place["y"] + place["h"] for place in _places(dashboard)))
    row = ROW_INCHES / height
    figure = Figure(figsize=(WIDTH_INCHES, height), dpi=DOTS, facecolor="white")
    figure.text(MARGIN, 1 - 0.5 * row, f"Slipway / {dashboard['title']}", fontsize=15, weight="bold", va="top")
    for panel, place in zip(dashboard["panels"], _places(dashboard), strict=True):
        left, top = place["x"] / COLUMNS + MARGIN, 1 - (1.6 + place["y"]) * row
        if panel["type"] == "row":
            title = f"{panel['title']}  (closed at first)" if panel["collapsed"] else panel["title"]
            figure.text(left, top - 0.75 * row, title, fontsize=12, weight="bold", color=INK)
            continue
        figure.text(left, top - 0.95 * row, panel["title"], fontsize=10, color=INK)
        width, tall = place["w"] / COLUMNS - 2 * MARGIN, (place["h"] - 1.4) * row
        _DRAWN[panel["type"]](figure, (left, top - (place["h"] - 0.15) * row, width, tall), panel, asked)
    return figure


def _places(dashboard: Json) -> list[Json]:
    return [panel["gridPos"] for panel in dashboard["panels"]]


def _graph(figure: "Figure", box: Box, panel: Json, asked: Asked) -> None:
    left, bottom, width, height = box
    axes = figure.add_axes((left + 0.036, bottom + height * 0.25, width - 0.044, height * 0.73))
    defaults = panel["fieldConfig"]["defaults"]
    dashed = {each["matcher"]["options"] for each in panel["fieldConfig"]["overrides"]}
    lines = asked.lines(panel)
    if (defaults["custom"].get("stacking") or {}).get("mode") == "normal":
        _stacked(axes, lines)
    else:
        for line in lines:
            is_dashed = line.query in dashed
            axes.plot(
                _days(line.series.times),
                line.series.values,
                label=line.name,
                linewidth=1.2 if is_dashed else 1.4,
                linestyle="--" if is_dashed else "-",
                color=GREY if is_dashed else None,
                zorder=1.9 if is_dashed else 2.0,  # what is compared with others hides none of them
                marker="o" if len(line.series.times) == 1 else "",
            )
    for step in defaults["thresholds"]["steps"][1:]:
        axes.axhline(step["value"], color=ALERT, linestyle=(0, (5, 4)), linewidth=0.9)
    values = [value for line in lines for value in line.series.values]
    if "min" in defaults:
        axes.set_ylim(bottom=defaults["min"], top=None if any(values) else 1.0)
    low, high = axes.get_ylim()
    axes.set_ylim(top=defaults.get("max", low + (high - low) * HEADROOM))
    _values(axes, defaults.get("unit", "short"), whole=all(value % 1 == 0 for value in values))
    _times(axes, asked)
    if lines:
        _legend(axes, width * WIDTH_INCHES)
    else:
        said = defaults.get("noValue", NOTHING)
        axes.text(0.5, 0.5, said, transform=axes.transAxes, ha="center", color=PALE)


def _stacked(axes: "Axes", lines: Sequence[Line]) -> None:
    moments = sorted({at for line in lines for at in line.series.times})
    known = [dict(zip(line.series.times, line.series.values, strict=True)) for line in lines]
    values = [[row.get(at, 0.0) for at in moments] for row in known]
    if values:
        axes.stackplot(_days(moments), values, labels=[line.name for line in lines], alpha=0.6)


def _legend(axes: "Axes", inches: float) -> None:
    """The names of lines, row by row, in so many inches; of those with one name one."""
    handles, names = axes.get_legend_handles_labels()
    found = list(dict(reversed(list(zip(names, handles, strict=True)))).items())[::-1]
    longest = max(len(name) for name, _ in found) * CHARACTER_INCHES * 0.75  # its letters are smaller than a text's
    across = max(1, int(inches / (longest + HANDLE_INCHES)))
    room = across * LEGEND_ROWS
    if len(found) > room:
        found = [*found[: room - 1], (f"and {len(found) - room + 1} more", found[room - 1][1])]
    across = min(across, len(found))
    # It is filled column by column.
    ordered = [found[at] for column in range(across) for at in range(column, len(found), across)]
    axes.legend(
        [handle for _, handle in ordered],
        [name for name, _ in ordered],
        loc="upper left",
        bbox_to_anchor=(-0.02, -0.11),
        ncols=across,
        frameon=False,
        fontsize=7.5,
        handlelength=1.4,
        columnspacing=1.2,
        labelspacing=0.25,
    )


def _days(times: Sequence[float]) -> list[float]:
    """Unix times as matplotlib counts: in days since 1970."""
    return [at / 86400 for at in times]


def _times(axes: "Axes", asked: Asked) -> None:
    """An axis of times, from end to end; in UTC."""
    from matplotlib import dates

    start, end = _days((asked.start, asked.end))
    axes.set_xlim(start, end)
    locator = dates.AutoDateLocator(minticks=3, maxticks=6)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(dates.ConciseDateFormatter(locator, show_offset=False))
    axes.tick_params(labelsize=7.5, length=2, colors=INK)


def _values(axes: "Axes", unit: str, *, whole: bool) -> None:
    """An axis of numbers, marked where they are round in their unit; no two marks say the same.

    Args:
        axes: whose.
        unit: Grafana's word.
        whole: whether all numbers are whole, as those of things that are counted.
    """
    from matplotlib.ticker import MaxNLocator

    axes.grid(visible=True, color=GRID, linewidth=0.7)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    low, high = axes.get_ylim()
    size = scale(max(abs(low), abs(high)), unit)
    locator = MaxNLocator(5, steps=[1, 2, 5, 10], integer=whole and unit == "short")
    marks = [size * float(mark) for mark in locator.tick_values(low / size, high / size)]
    marks = [mark for mark in marks if low <= mark <= high]
    spread = high - low
    for _ in range(6):
        said = [written(mark, unit, spread) for mark in marks]
        if len(set(said)) == len(said):
            break
        spread /= 10
    one_each = dict(zip(said, marks, strict=True))  # where numbers differ by less than is written of them
    axes.set_yticks(list(one_each.values()), list(one_each))
    axes.set_ylim(low, high)


def _number(figure: "Figure", box: Box, panel: Json, asked: Asked) -> None:
    left, bottom, width, height = box
    defaults = panel["fieldConfig"]["defaults"]
    lines = asked.lines(panel)
    if lines:
        value = lines[0].series.values[-1]
        steps = defaults["thresholds"]["steps"]
        passed = [step["color"] for step in steps if step["value"] is None or step["value"] <= value]
        said, colour = written(value, defaults.get("unit", "short"), abs(value)), STRONG.get(passed[-1], INK)
    else:
        said, colour = NOTHING, PALE
    figure.text(
        left + width / 2, bottom + height / 2, said, fontsize=19, color=colour, ha="center", va="center", weight="bold"
    )


def _listing(figure: "Figure", box: Box, panel: Json, asked: Asked) -> None:
    left, bottom, width, height = box
    defaults = panel["fieldConfig"]["defaults"]
    order = next(each for each in panel["transformations"] if each["id"] == "organize")["options"]
    columns = sorted(order["indexByName"], key=order["indexByName"].__getitem__)
    rows = [[order["renameByName"][name] for name in columns]]
    for line in asked.lines(panel):
        value = line.series.values[-1]
        said = {**line.series.labels, "Value": written(value, defaults.get("unit", "short"), abs(value))}
        rows.append([said.get(name, "") for name in columns])
    if len(rows) == 1:
        rows.append([defaults.get("noValue", NOTHING), *[""] * (len(columns) - 1)])
    longest = [max(len(row[at]) for row in rows) + 2 for at in range(len(columns))]
    tall = ROW_INCHES * 0.75 / figure.get_figheight()
    room = max(2, int(height / tall))
    if len(rows) > room:
        rows = [*rows[: room - 1], [f"and {len(rows) - room + 1} more", *[""] * (len(columns) - 1)]]
    for number, row in enumerate(rows):
        for index, cell in enumerate(row):
            place = left + width * sum(longest[:index]) / sum(longest)
            at = bottom + height - tall * (0.6 + number)
            figure.text(place, at, cell, fontsize=8.5, va="center", color=INK if number else PALE)


def _states(figure: "Figure", box: Box, panel: Json, asked: Asked) -> None:
    left, bottom, width, height = box
    axes = figure.add_axes((left + 0.09, bottom + height * 0.14, width - 0.092, height * 0.84))
    mapping = panel["fieldConfig"]["defaults"]["mappings"][0]["options"]
    lines = asked.lines(panel)
    wide = max(1.0, (asked.end - asked.start) / POINTS) / 86400
    for row, line in enumerate(lines):
        for value, said in mapping.items():
            pairs = zip(_days(line.series.times), line.series.values, strict=True)
            spans = [(at, wide) for at, number in pairs if number == float(value)]
            axes.broken_barh(spans, (len(lines) - row - 0.9, 0.8), color=LIGHT[said["color"]])
    axes.set_yticks([len(lines) - row - 0.5 for row in range(len(lines))], [line.name for line in lines])
    _times(axes, asked)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _prose(figure: "Figure", box: Box, panel: Json, asked: Asked) -> None:
    del asked
    left, bottom, width, height = box
    room = int(width * WIDTH_INCHES / CHARACTER_INCHES)
    paragraphs = panel["options"]["content"].replace("`", "").split("\n\n")
    said = "\n\n".join(textwrap.fill(" ".join(each.split()), room) for each in paragraphs)
    figure.text(left, bottom + height, said, fontsize=9, va="top", color=INK, linespacing=1.5)


_DRAWN: Mapping[str, Callable[["Figure", Box, Json, Asked], None]] = {
    "timeseries": _graph,
    "stat": _number,
    "table": _listing,
    "state-timeline": _states,
    "text": _prose,
}
