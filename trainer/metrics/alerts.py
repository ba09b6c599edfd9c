"""The one list of alerts: what of a run someone must hear of, when, and what to do then.

A cloud's alarms, alert policies and rules are made from it. What an alert looks at is a **signal**: a metric of the
catalogue, a line of the run's log, or what the machines' group alone knows. Alerts that look at metrics look at those
that `essential` stands for, so that every run that sends metrics to a cloud sends them.
"""

import dataclasses
from collections.abc import Mapping
from typing import Literal

from trainer.logs import lines

Severity = Literal["critical", "warning"]
"""`critical`: a run has ended, money is spent for nothing, or work will be lost. `warning`: look when there is time."""
Comparison = Literal[">", "<"]
Statistic = Literal["average", "maximum", "minimum", "newest"]
"""What is made of a metric's values in a period: `minimum` above a threshold means that all of them are above it."""
Missing = Literal["ok", "alert"]

RUNBOOK = "docs/runbooks/{name}.md"
"""The page about an alert: what it means, how to look, how to mend, how to see that it is over."""


@dataclasses.dataclass(frozen=True)
class MetricSignal:
    """A metric is beyond a threshold for a while.

    Attributes:
        metric: a name of the catalogue, without labels.
        comparison: which side of the threshold is bad.
        threshold: in the metric's unit.
        over_seconds: how long.
        statistic: of the values in that time.
    """

    metric: str
    comparison: Comparison
    threshold: float
    over_seconds: int
    statistic: Statistic


@dataclasses.dataclass(frozen=True)
class AgeSignal:
    """Something was done too long ago.

    Attributes:
        metric: a name of the catalogue: the Unix time of the last time, for whoever can subtract it from now.
        older_than_seconds: how long ago is too long.
        age_metric: a name of the catalogue: the difference itself, for clouds that cannot.
    """

    metric: str
    older_than_seconds: int
    age_metric: str


@dataclasses.dataclass(frozen=True)
class LogSignal:
    """The log of the run, or of its machine's first boot, has a line of a severity.

    Attributes:
        severity: the least that counts.
        over_seconds: how long an alert stays after the line.
    """

    severity: lines.Severity
    over_seconds: int


@dataclasses.dataclass(frozen=True)
class NodeSignal:
    """What the machines' group knows, and no machine.

    Attributes:
        kind: `lost`: fewer machines are in service than are wanted; `silent`: one is in service, and no metric of the
            catalogue comes, so it is paid and does not train.
        over_seconds: how long.
    """

    kind: Literal["lost", "silent"]
    over_seconds: int


Signal = MetricSignal | AgeSignal | LogSignal | NodeSignal


@dataclasses.dataclass(frozen=True)
class Alert:
    """One alert.

    Attributes:
        name: in CamelCase, as Prometheus' rules are named.
        summary: what has happened, in a sentence.
        help: what to do, in a sentence: the first line of its runbook.
        severity: how much it matters.
        signal: when it fires.
        missing: what it means that there are no data: `ok` where another alert says so, or there need not be any.
    """

    name: str
    summary: str
    help: str
    severity: Severity
    signal: Signal
    missing: Missing = "ok"

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics that must be sent, for a cloud to tell."""
        match self.signal:
            case MetricSignal():
                return (self.signal.metric,)
            case AgeSignal():
                return (self.signal.age_metric,)
            case _:
                return ()

    @property
    def runbook(self) -> str:
        """The page about it, from the repository's root."""
        return RUNBOOK.format(name=self.name)


ALERTS: tuple[Alert, ...] = (
    Alert(
        "RunFailed",
        "A run or its machine's first boot has failed.",
        "Read the error in the log (`slipway runs logs RUN`), mend its cause, and resume the run: it goes on from its"
        " newest checkpoint.",
        "critical",
        LogSignal(lines.Severity.ERROR, over_seconds=300),
    ),
    Alert(
        "CheckpointStale",
        "The newest checkpoint is older than half an hour.",
        "Look in the log for a disk that is full or a store that does not answer; if neither is to blame, set"
        " checkpoint.interval_seconds to less than half an hour.",
        "critical",
        AgeSignal("rl_checkpoint_timestamp_seconds", older_than_seconds=1800, age_metric="rl_checkpoint_age_seconds"),
    ),
    Alert(
        "ReturnPlateaued",
        "The score has not got better for more than half of the run so far.",
        "Compare the score with its aim and the optimum: stop the run if it is good enough, and try another learning"
        " rate, network or seed if it is not.",
        "warning",
        MetricSignal("rl_plateau_ratio", ">", 0.5, over_seconds=3600, statistic="minimum"),
    ),
    Alert(
        "GpuIdle",
        "No GPU that a run may use is at work, and all of them are paid for.",
        "Look in the log whether the run is evaluating or hangs, and whether it was given a GPU (`slipway doctor`);"
        " if it needs none, choose a machine without.",
        "critical",
        MetricSignal("rl_gpu_busiest_utilization_ratio", "<", 0.05, over_seconds=1800, statistic="maximum"),
    ),
    Alert(
        "NodeLost",
        "Fewer machines are in service than are wanted.",
        "Look at the group's activities for the reason (no capacity, a quota, spot price): allow more machine types or"
        " zones, or on-demand machines; the run goes on from its newest checkpoint when there is one.",
        "warning",
        NodeSignal("lost", over_seconds=900),
    ),
    Alert(
        "NodeSilent",
        "A machine is paid for, and has sent no metric for an hour.",
        "Read its first boot and its service in the log; if it neither installs nor trains, make the group smaller, so"
        " that it is no longer paid for.",
        "critical",
        NodeSignal("silent", over_seconds=3600),
        missing="alert",
    ),
)
"""All alerts."""

BY_NAME: Mapping[str, Alert] = {alert.name: alert for alert in ALERTS}
