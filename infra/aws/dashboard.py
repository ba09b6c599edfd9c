"""The site's dashboard in CloudWatch, drawn from the catalogue of metrics.

Source: https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html. Three
dashboards of an account are free; each further one costs 3 USD a month (https://aws.amazon.com/cloudwatch/pricing/).
"""

import dataclasses
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pulumi
import pulumi_aws as aws

from infra import charts
from infra.aws.alarms import AUTO_SCALING, MINUTE_SECONDS
from infra.aws.compute import place
from infra.charts import Chart
from infra.deployment import Deployment
from infra.options import child
from trainer.logs.lines import Severity
from trainer.metrics import catalogue
from trainer.metrics.catalogue import Format, Kind, Metric
from trainer.metrics.sinks.cloudwatch import RUN_DIMENSION, dimension

COLUMNS = 24
"""Of CloudWatch's grid."""
WIDTH, HEIGHT = 8, 6
"""Of a graph; three stand in a row."""
ALARMS_A_WIDGET = 100
METRICS_A_DASHBOARD = 2500
"""Limits. Source: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch_limits.html"""
WARNINGS = 50
"""How many of the newest lines are shown."""
UNIT_WORDS: Mapping[Format, str] = {
    Format.PERCENT: "1 is the whole",
    Format.SECONDS: "seconds",
    Format.TIMESTAMP: "Unix time, seconds",
    Format.MONEY: "USD",
    Format.BYTES: "bytes",
}
"""What an axis is called where the unit's own word says less."""


@dataclasses.dataclass(frozen=True)
class DashboardArgs:
    """What `Dashboard` needs.

    Attributes:
        deployment: the site.
        groups: Auto Scaling groups' names by run id.
        alarm_arns: the alarms whose states are shown.
        log_group_name: where machines log.
    """

    deployment: Deployment
    groups: Mapping[str, pulumi.Input[str]]
    alarm_arns: Sequence[pulumi.Input[str]]
    log_group_name: pulumi.Input[str]


class Dashboard(pulumi.ComponentResource):
    """One dashboard: alarms, machines, each metric that is sent with a line for each run, and the newest warnings.

    Attributes:
        url: where to see it.
    """

    def __init__(self, name: str, args: DashboardArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("slipway:aws:Dashboard", name, None, opts)
        deployment = args.deployment
        region = deployment.settings.region
        run_ids = [run.run_id for run in deployment.runs]
        text = pulumi.Output.all(
            alarms=list(args.alarm_arns),
            groups=[args.groups[run_id] for run_id in run_ids],
            log_group=args.log_group_name,
        ).apply(
            lambda known: json.dumps(
                body(deployment, dict(zip(run_ids, known["groups"], strict=True)), known["alarms"], known["log_group"])
            )
        )
        made = aws.cloudwatch.Dashboard(
            deployment.named("dashboard"),
            # CloudWatch replaces a dashboard of the same name without a word, and Pulumi names none by itself. The log
            # group's name ends in characters that no other site's has.
            dashboard_name=pulumi.Output.from_input(args.log_group_name).apply(
                lambda group: f"{deployment.name}-{group.rpartition('-')[2]}"
            ),
            dashboard_body=text,
            opts=child(self),
        )
        console = f"https://{region}.console.aws.amazon.com/cloudwatch/home?region={region}"
        self.url: pulumi.Output[str] = pulumi.Output.concat(console, "#dashboards/dashboard/", made.dashboard_name)
        self.register_outputs({"url": self.url})


def body(
    deployment: Deployment, groups: Mapping[str, str], alarm_arns: Sequence[str], log_group: str
) -> dict[str, Any]:
    """The dashboard's body.

    Args:
        deployment: the site.
        groups: Auto Scaling groups' names by run id.
        alarm_arns: the alarms.
        log_group: the log group's name.
    """
    region = deployment.settings.region
    rows = [
        *_alarms(alarm_arns),
        [_machines(groups, region), _warnings(log_group, region)],
        *_metrics(deployment, region),
    ]
    return {"start": "-PT12H", "widgets": list(_laid_out(rows))}


def sent(deployment: Deployment) -> tuple[Metric, ...]:
    """The metrics that the site's runs send to CloudWatch, in the catalogue's order: all runs the same."""
    return tuple(catalogue.BY_NAME[name] for name in catalogue.chosen(_sink(deployment)["metrics"]))


def _sink(deployment: Deployment) -> dict[str, Any]:
    """What the site's runs are told of CloudWatch."""
    prefix, said = "sinks.cloudwatch.", place(deployment, deployment.runs[0], "", "")
    return {key.removeprefix(prefix): value for key, value in said.items() if key.startswith(prefix)}


def _metrics(deployment: Deployment, region: str) -> Iterator[list[dict[str, Any]]]:
    """For each group of metrics a heading with what they mean, and rows of graphs."""
    drawn = charts.sections([metric.name for metric in sent(deployment)], has_gpu=deployment.settings.has_gpu)
    run_ids = [run.run_id for run in deployment.runs]
    count = sum(len(section.charts) for section in drawn)
    listed = (count + 2) * len(run_ids) <= METRICS_A_DASHBOARD  # two of each machine
    period = math.ceil(_sink(deployment)["interval_seconds"] / MINUTE_SECONDS) * MINUTE_SECONDS
    for section in drawn:
        meanings = [f"- `{chart.metric.name}` {chart.metric.help}" for chart in section.charts]
        yield [_text("\n".join([f"## {section.title}", *meanings]), height=1 + len(meanings))]
        graphs = [
            _graph(chart, deployment.metric_namespace, run_ids if listed else None, region, period)
            for chart in section.charts
        ]
        yield from (graphs[start : start + COLUMNS // WIDTH] for start in range(0, len(graphs), COLUMNS // WIDTH))


def _graph(chart: Chart, namespace: str, run_ids: Sequence[str] | None, region: str, period: int) -> dict[str, Any]:
    """A metric, with a line for each run, and where alarms begin; None: for each run that CloudWatch knows of."""
    metric = chart.metric
    statistic = "Average" if metric.kind is Kind.GAUGE and metric.format is not Format.TIMESTAMP else "Maximum"
    lines: list[Any]
    if metric.labels or run_ids is None:
        lines = [[{"expression": _search(metric, namespace, statistic, period), "id": "found"}]]
    else:
        lines = [[namespace, metric.name, RUN_DIMENSION, run_id, {"label": run_id}] for run_id in run_ids]
    bounds = [{"label": each.alert.name, "value": each.value} for each in chart.thresholds]
    return _widget(
        "metric",
        WIDTH,
        HEIGHT,
        title=metric.name,
        region=region,
        view="timeSeries",
        stat=statistic,
        period=period,
        metrics=lines,
        yAxis={"left": {"label": UNIT_WORDS.get(metric.format, metric.unit.replace("_", " ")), "showUnits": False}},
        **({"annotations": {"horizontal": bounds}} if bounds else {}),
    )


def _search(metric: Metric, namespace: str, statistic: str, period: int) -> str:
    """The expression for lines whose labels' values are not known before."""
    schema = ",".join([f'"{namespace}"', *(dimension(label) for label in metric.labels), RUN_DIMENSION])
    return f"SEARCH('{{{schema}}} MetricName=\"{metric.name}\"', '{statistic}', {period})"


def _alarms(arns: Sequence[str]) -> Iterator[list[dict[str, Any]]]:
    for start in range(0, len(arns), ALARMS_A_WIDGET):
        some = list(arns[start : start + ALARMS_A_WIDGET])
        yield [_widget("alarm", COLUMNS, 2 + -(-len(some) // 8), title="Alarms", alarms=some)]


def _machines(groups: Mapping[str, str], region: str) -> dict[str, Any]:
    """How many machines each group wants, and has."""
    lines = [
        [AUTO_SCALING, name, "AutoScalingGroupName", group, {"label": f"{run_id} {word}"}]
        for run_id, group in groups.items()
        for name, word in (("GroupDesiredCapacity", "wanted"), ("GroupInServiceInstances", "in service"))
    ]
    return _widget(
        "metric",
        WIDTH,
        HEIGHT,
        title="Machines",
        region=region,
        view="timeSeries",
        stat="Maximum",
        period=MINUTE_SECONDS,
        metrics=lines,
        yAxis={"left": {"label": "machines", "showUnits": False, "min": 0}},
    )


def _warnings(log_group: str, region: str) -> dict[str, Any]:
    bad = ", ".join(f'"{each}"' for each in (Severity.WARNING, Severity.ERROR))
    query = [
        f"SOURCE '{log_group}'",
        "fields @timestamp, severity, coalesce(run_id, machine) as who, message",
        f"filter severity in [{bad}]",
        "sort @timestamp desc",
        f"limit {WARNINGS}",
    ]
    return _widget(
        "log", COLUMNS - WIDTH, HEIGHT, title="Newest warnings", region=region, view="table", query=" | ".join(query)
    )


def _text(markdown: str, height: int) -> dict[str, Any]:
    return _widget("text", COLUMNS, height, markdown=markdown)


def _widget(kind: str, width: int, height: int, **properties: Any) -> dict[str, Any]:
    return {"type": kind, "width": width, "height": height, "properties": properties}


def _laid_out(rows: Sequence[Sequence[Mapping[str, Any]]]) -> Iterator[dict[str, Any]]:
    """Widgets with their places: rows below one another, those of a row side by side."""
    y = 0
    for row in rows:
        x = 0
        for widget in row:
            yield {**widget, "x": x, "y": y}
            x += widget["width"]
        y += max(widget["height"] for widget in row)
