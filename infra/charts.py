"""What a site's dashboard shows, whichever cloud draws it: a chart for each metric that is sent, in groups.

Where an alert looks at a metric, its chart has a line at the alert's threshold.
"""

import dataclasses
from collections.abc import Collection

from trainer.metrics.alerts import ALERTS, AgeSignal, Alert, MetricSignal
from trainer.metrics.catalogue import METRICS, Group, Metric
from trainer.metrics.reference import TITLES

GPU = "rl_gpu_"
"""What the names of metrics begin with that only machines with GPUs have."""


@dataclasses.dataclass(frozen=True)
class Threshold:
    """A line across a chart.

    Attributes:
        alert: which looks at the metric.
        value: in the metric's unit.
        above: whether what is above it is bad, rather than what is below.
    """

    alert: Alert
    value: float
    above: bool


@dataclasses.dataclass(frozen=True)
class Chart:
    """A metric over time, with a line for each run.

    Attributes:
        metric: what is drawn.
        thresholds: lines across it.
    """

    metric: Metric
    thresholds: tuple[Threshold, ...]

    @property
    def title(self) -> str:
        """The metric's name, with its unit where the name does not say it."""
        unit = self.metric.unit.replace("_", " ")
        return f"{self.metric.name} ({unit})" if unit and self.metric.unit not in self.metric.name else self.metric.name


@dataclasses.dataclass(frozen=True)
class Section:
    """Charts of a group of the catalogue.

    Attributes:
        title: for people.
        charts: at least one, in the catalogue's order.
    """

    title: str
    charts: tuple[Chart, ...]


def sections(names: Collection[str], *, has_gpu: bool) -> tuple[Section, ...]:
    """The charts of some metrics.

    Args:
        names: of the catalogue: what runs send.
        has_gpu: whether their machines have GPUs; charts of GPUs stayed empty else.
    """
    drawn = [each for each in METRICS if each.name in names and (has_gpu or not each.name.startswith(GPU))]
    found = (
        Section(TITLES[group], tuple(Chart(each, thresholds(each)) for each in drawn if each.group is group))
        for group in Group
    )
    return tuple(section for section in found if section.charts)


def thresholds(metric: Metric) -> tuple[Threshold, ...]:
    """The lines across a metric's chart, one for each alert that looks at it."""
    found = []
    for alert in ALERTS:
        match alert.signal:
            case MetricSignal(metric.name, comparison, value):
                found.append(Threshold(alert, value, comparison == ">"))
            case AgeSignal(_, seconds, metric.name):
                found.append(Threshold(alert, seconds, True))
    return tuple(found)
