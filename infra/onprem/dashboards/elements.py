"""What dashboards are made of: panels of Grafana, from queries and from the catalogue of metrics.

Classic dashboards (`schemaVersion`), by the SDK's own types: every Grafana from 9 on reads them from files.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models import (
    common,
    dashboard,
    prometheus,
    stat,
    statetimeline,
    table,
    text,
    timeseries,
    units,
)

from infra.charts import Chart
from trainer.metrics.catalogue import Format, Metric

SOURCE = common.DataSourceRef(type_val="prometheus", uid="slipway-prometheus")
"""The data source that the role `grafana` provisions."""
HOST = "host"
"""The label that has a host's name in the inventory."""
UNITS: Mapping[Format, str] = {
    Format.NUMBER: units.Short,
    Format.COUNT: units.Short,
    Format.PERCENT: units.PercentUnit,
    Format.SECONDS: units.Seconds,
    Format.TIMESTAMP: units.DatetimeISO,
    Format.MONEY: units.Dollars,
    Format.BYTES: units.BytesIEC,
}
BASE_UNITS: Mapping[str, str] = {
    "celsius": units.Celsius,
    "hertz": units.Hertz,
    "nats": "suffix: nats",
    "steps_per_second": "suffix: steps/s",
    "watts": units.Watt,
}
"""Where the metric's unit says more than how to print it."""
GREEN, RED, ORANGE, GREY = "green", "red", "orange", "#8e8e8e"
COLUMNS = 24
"""Of Grafana's grid."""
CHART_WIDTH, CHART_HEIGHT = 8, 8


class Line(Protocol):
    """A line across a graph, such as a threshold of `infra.charts`."""

    @property
    def value(self) -> float:
        """Where, in the graph's unit."""

    @property
    def above(self) -> bool:
        """Whether what is above it is bad, rather than what is below."""


@dataclasses.dataclass(frozen=True)
class Bound:
    """Where bad begins: a `Line` of no alert about runs."""

    value: float
    above: bool


@dataclasses.dataclass(frozen=True)
class Query:
    """What Prometheus is asked.

    Attributes:
        expr: in PromQL, with Grafana's variables.
        legend: a name for each series, with labels in double braces.
        is_reference: whether it is drawn dashed and grey, as what others are compared with.
    """

    expr: str
    legend: str
    is_reference: bool = False


def unit_of(metric: Metric) -> str:
    """Grafana's word for a metric's unit."""
    return BASE_UNITS.get(metric.unit, UNITS[metric.format])


def describe(chart: Chart) -> str:
    """What a metric's panel says of it: the catalogue's sentence, and the alerts that its lines belong to."""
    lines = [f"The line is where the alert {each.alert.name} begins: {each.alert.summary}" for each in chart.thresholds]
    return "\n\n".join([chart.metric.help, *lines])


def graph(
    title: str,
    description: str,
    queries: Sequence[Query],
    *,
    unit: str = units.Short,
    lines: Sequence[Line] = (),
    least: float | None = None,
    most: float | None = None,
    stacked: bool = False,
    no_value: str | None = None,
    width: int = CHART_WIDTH,
) -> dashboard.Panel:
    """Lines over time.

    Args:
        title: above it.
        description: behind the mark beside the title.
        queries: at least one.
        unit: Grafana's word.
        lines: thresholds across it.
        least: the axis' lower end; None: what the data need.
        most: its upper end, likewise.
        stacked: whether series stand on each other.
        no_value: what it says while there are no data.
        width: in columns of `COLUMNS`.
    """
    custom = timeseries.FieldConfig(
        draw_style=common.GraphDrawStyle.LINE,
        line_width=1,
        fill_opacity=40 if stacked else 0,
        show_points=common.VisibilityMode.AUTO,
        stacking=common.StackingConfig(mode=common.StackingMode.NORMAL, group="A") if stacked else None,
        thresholds_style=common.GraphThresholdsStyleConfig(mode=common.GraphThresholdsStyleMode.DASHED)
        if lines
        else None,
    )
    options = timeseries.Options(
        legend=common.VizLegendOptions(
            display_mode=common.LegendDisplayMode.LIST,
            placement=common.LegendPlacement.BOTTOM,
            show_legend=True,
            calcs=[],
        ),
        tooltip=common.VizTooltipOptions(mode=common.TooltipDisplayMode.MULTI, sort=common.SortOrder.DESCENDING),
    )
    defaults = dashboard.FieldConfig(
        unit=unit, min_val=least, max_val=most, thresholds=_steps(lines), custom=custom, no_value=no_value
    )
    overrides = [_dashed(_name(index)) for index, query in enumerate(queries) if query.is_reference]
    return _panel("timeseries", title, description, _range(queries), defaults, overrides, options, width)


def number(
    title: str,
    description: str,
    query: Query,
    *,
    unit: str = units.Short,
    bad: Line | None = None,
    width: int = 4,
) -> dashboard.Panel:
    """The newest value, in large.

    Args:
        title: above it.
        description: behind the mark beside the title.
        query: what is asked.
        unit: Grafana's word.
        bad: where bad begins; None: nothing is.
        width: in columns of `COLUMNS`.
    """
    options = stat.Options(
        graph_mode=common.BigValueGraphMode.NONE,
        color_mode=common.BigValueColorMode.VALUE,
        reduce_options=common.ReduceDataOptions(calcs=["lastNotNull"], values=False, fields=""),
    )
    defaults = dashboard.FieldConfig(unit=unit, thresholds=_steps([bad] if bad else []), color=_by_threshold())
    return _panel("stat", title, description, [_instant(query, 0)], defaults, [], options, width, height=4)


def listing(
    title: str,
    description: str,
    query: Query,
    columns: Mapping[str, str],
    *,
    value: str | None = None,
    unit: str = units.Short,
    no_value: str | None = None,
    width: int = 12,
    height: int = CHART_HEIGHT,
) -> dashboard.Panel:
    """A table of series as they are now.

    Args:
        title: above it.
        description: behind the mark beside the title.
        query: what is asked.
        columns: headings of labels, in order.
        value: the heading of the value; None leaves it out.
        unit: Grafana's word for the value's.
        no_value: what it says if there is nothing.
        width: in columns of `COLUMNS`.
        height: in rows of the grid.
    """
    shown = [*columns, "Value"] if value else list(columns)
    keep = dashboard.DataTransformerConfig(id_val="filterFieldsByName", options={"include": {"names": shown}})
    names = {**columns, "Value": value} if value else dict(columns)
    order = dashboard.DataTransformerConfig(
        id_val="organize", options={"indexByName": {name: at for at, name in enumerate(shown)}, "renameByName": names}
    )
    target = _instant(query, 0)
    target.format_val = prometheus.PromQueryFormat.TABLE
    defaults = dashboard.FieldConfig(unit=unit, custom=common.TableFieldOptions(), no_value=no_value)
    panel = _panel("table", title, description, [target], defaults, [], table.Options(), width, height)
    panel.transformations = [keep, order]
    return panel


def states(
    title: str, description: str, query: Query, words: Mapping[int, tuple[str, str]], width: int = 12
) -> dashboard.Panel:
    """A band for each series, coloured by what its value means.

    Args:
        title: above it.
        description: behind the mark beside the title.
        query: what is asked.
        words: a word and a colour for each value.
        width: in columns of `COLUMNS`.
    """
    mapping = dashboard.ValueMap(
        options={
            str(value): dashboard.ValueMappingResult(text=word, color=color) for value, (word, color) in words.items()
        }
    )
    options = statetimeline.Options(
        show_value=common.VisibilityMode.NEVER,
        row_height=0.8,
        merge_values=True,
        legend=common.VizLegendOptions(
            display_mode=common.LegendDisplayMode.LIST,
            placement=common.LegendPlacement.BOTTOM,
            show_legend=True,
            calcs=[],
        ),
        tooltip=common.VizTooltipOptions(),
    )
    defaults = dashboard.FieldConfig(
        mappings=[mapping], custom=statetimeline.FieldConfig(line_width=0, fill_opacity=70)
    )
    return _panel("state-timeline", title, description, _range([query]), defaults, [], options, width)


def prose(title: str, markdown: str, *, height: int = 4) -> dashboard.Panel:
    """A text from side to side."""
    options = text.Options(mode=text.TextMode.MARKDOWN, content=markdown)
    return dashboard.Panel(
        type_val="text", title=title, options=options, grid_pos=dashboard.GridPos(w=COLUMNS, h=height)
    )


def choice(name: str, label: str, description: str, values: str) -> dashboard.VariableModel:
    """A variable of which one, some or all values are chosen.

    Args:
        name: as in `$name`.
        label: for people.
        description: what it chooses.
        values: a query for `label_values`.
    """
    return dashboard.VariableModel(
        type_val=dashboard.VariableType.QUERY,
        name=name,
        label=label,
        description=description,
        query={"query": values, "refId": f"Variable-{name}"},
        definition=values,
        datasource=SOURCE,
        multi=True,
        include_all=True,
        all_value=".+",
        current=dashboard.VariableOption(selected=True, text="All", value="$__all"),
        refresh=dashboard.VariableRefresh.ON_TIME_RANGE_CHANGED,
        sort=dashboard.VariableSort.ALPHABETICAL_ASC,
    )


def _panel(
    kind: str,
    title: str,
    description: str,
    targets: list[Dataquery],
    defaults: dashboard.FieldConfig,
    overrides: list[dashboard.DashboardFieldConfigSourceOverrides],
    options: Any,
    width: int,
    height: int = CHART_HEIGHT,
) -> dashboard.Panel:
    return dashboard.Panel(
        type_val=kind,
        title=title,
        description=description,
        datasource=SOURCE,
        targets=targets,
        field_config=dashboard.FieldConfigSource(defaults=defaults, overrides=overrides),
        options=options,
        grid_pos=dashboard.GridPos(w=width, h=height),
    )


def _name(index: int) -> str:
    """A query's reference: A, B, ..."""
    return chr(ord("A") + index)


def _range(queries: Sequence[Query]) -> list[Dataquery]:
    return [
        prometheus.Dataquery(
            expr=query.expr, legend_format=query.legend, range_val=True, instant=False, ref_id=_name(index)
        )
        for index, query in enumerate(queries)
    ]


def _instant(query: Query, index: int) -> prometheus.Dataquery:
    return prometheus.Dataquery(
        expr=query.expr, legend_format=query.legend, range_val=False, instant=True, ref_id=_name(index)
    )


def _steps(lines: Sequence[Line]) -> dashboard.ThresholdsConfig:
    """Thresholds of a graph: an alert says which side is bad."""
    steps = [dashboard.Threshold(value=None, color=GREEN if not lines or lines[0].above else RED)]
    steps += [dashboard.Threshold(value=each.value, color=RED if each.above else GREEN) for each in lines]
    return dashboard.ThresholdsConfig(mode=dashboard.ThresholdsMode.ABSOLUTE, steps=steps)


def _by_threshold() -> dashboard.FieldColor:
    return dashboard.FieldColor(mode=dashboard.FieldColorModeId.THRESHOLDS)


def _dashed(reference: str) -> dashboard.DashboardFieldConfigSourceOverrides:
    """How a reference is drawn."""
    return dashboard.DashboardFieldConfigSourceOverrides(
        matcher=dashboard.MatcherConfig(id_val="byFrameRefID", options=reference),
        properties=[
            dashboard.DynamicConfigValue(id_val="custom.lineStyle", value={"fill": "dash", "dash": [6, 6]}),
            dashboard.DynamicConfigValue(id_val="color", value={"mode": "fixed", "fixedColor": GREY}),
        ],
    )
