"""The catalogue as a page of the docs: `python -m trainer.metrics.reference > docs/reference/metrics.md`."""

import sys

from trainer.metrics.catalogue import METRICS, Better, Group, Metric

_TITLES = {
    Group.OUTCOME: "Outcome of the training rollouts",
    Group.EVALUATION: "Evaluation during training",
    Group.LEARNING: "Learning",
    Group.SPEED: "Speed",
    Group.RUN: "The run itself",
}
_BETTER = {Better.HIGHER: "higher", Better.LOWER: "lower", Better.TASK: "as the task's score says", None: ""}

_HEADER = """\
# Metrics

Generated from `trainer/metrics/catalogue.py` by `python -m trainer.metrics.reference`; do not edit.

Names follow [Prometheus' rules](https://prometheus.io/docs/practices/naming/): base units, `_total` for what only
grows, `_info` for metadata; a ratio of 1 is the whole, so 0.01 is 1 %. The units *score* and *reward* are the task's
own (`slipway envs describe ID`). [How to read and watch them](../metrics.md).
"""


def table() -> str:
    """The page, in Markdown."""
    return _HEADER + "".join(_section(group) for group in Group)


def _section(group: Group) -> str:
    rows = "".join(_row(metric) for metric in METRICS if metric.group is group)
    return f"\n## {_TITLES[group]}\n\n| Metric | Unit | Kind | Better | Meaning |\n|---|---|---|---|---|\n{rows}"


def _row(metric: Metric) -> str:
    labels = f"{{{','.join(metric.labels)}}}" if metric.labels else ""
    unit = metric.unit.replace("steps_per_second", "steps per second")
    return f"| `{metric.name}{labels}` | {unit} | {metric.kind} | {_BETTER[metric.better]} | {metric.help} |\n"


if __name__ == "__main__":
    sys.stdout.write(table())
