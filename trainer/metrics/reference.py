"""Catalogue and alerts as a page of the docs: `python -m trainer.metrics.reference > docs/reference/metrics.md`."""

import sys

from trainer.metrics.alerts import ALERTS, AgeSignal, Alert, LogSignal, MetricSignal, NodeSignal
from trainer.metrics.catalogue import METRICS, WORKER_METRICS, Better, Group, Metric

TITLES = {
    Group.OUTCOME: "Outcome of the training rollouts",
    Group.EVALUATION: "Evaluation during training",
    Group.LEARNING: "Learning",
    Group.SPEED: "Speed",
    Group.RUN: "The run itself",
    Group.HOST: "The machine",
    Group.WORKER: "Workers of a site's queue",
}
"""What people read of each group."""
_BETTER = {Better.HIGHER: "higher", Better.LOWER: "lower", Better.TASK: "as the task's score says", None: ""}

_HEADER = """\
# Metrics

Generated from `trainer/metrics/catalogue.py` by `python -m trainer.metrics.reference`; do not edit.

Names follow [Prometheus' rules](https://prometheus.io/docs/practices/naming/): base units, `_total` for what only
grows, `_info` for metadata; a ratio of 1 is the whole, so 0.01 is 1 %. The units *score* and *reward* are the task's
own (`slipway envs describe ID`). [How to read and watch them](../metrics.md).
"""

_ALERTS = """
## Alerts

Generated from `trainer/metrics/alerts.py`. They look at metrics that `essential` stands for. Each has a
[runbook](../runbooks/README.md).

| Alert | Severity | Fires when | Meaning | What to do |
|---|---|---|---|---|
"""


def table() -> str:
    """The page, in Markdown."""
    return _HEADER + "".join(_section(group) for group in Group) + _ALERTS + "".join(_alert(each) for each in ALERTS)


def _section(group: Group) -> str:
    rows = "".join(_row(metric) for metric in (*METRICS, *WORKER_METRICS) if metric.group is group)
    return f"\n## {TITLES[group]}\n\n| Metric | Unit | Kind | Better | Meaning |\n|---|---|---|---|---|\n{rows}"


def _row(metric: Metric) -> str:
    labels = f"{{{','.join(metric.labels)}}}" if metric.labels else ""
    unit = metric.unit.replace("steps_per_second", "steps per second")
    return f"| `{metric.name}{labels}` | {unit} | {metric.kind} | {_BETTER[metric.better]} | {metric.help} |\n"


def _alert(alert: Alert) -> str:
    when = _when(alert)
    name = f"[`{alert.name}`](../{alert.runbook.removeprefix('docs/')})"
    return f"| {name} | {alert.severity} | {when} | {alert.summary} | {alert.help} |\n"


def _when(alert: Alert) -> str:
    """A signal in words."""
    match alert.signal:
        case MetricSignal(metric, comparison, threshold, seconds, statistic):
            side = "above" if comparison == ">" else "below"
            which = "the newest" if statistic == "newest" else f"the {statistic}"
            return f"{which} `{metric}` of {seconds // 60} minutes is {side} {threshold:g}"
        case AgeSignal(metric, seconds, age):
            return f"`{metric}` is more than {seconds // 60} minutes ago, or `{age}` above {seconds}"
        case LogSignal(severity):
            return f"the log has a line of severity {severity}"
        case NodeSignal("lost", seconds):
            return f"fewer machines are in service than wanted for {seconds // 60} minutes"
        case NodeSignal(_, seconds):
            return f"a machine is in service, and no metric comes for {seconds // 60} minutes"


if __name__ == "__main__":
    sys.stdout.write(table())
