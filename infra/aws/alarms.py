"""What `trainer.metrics.alerts` says, as alarms of CloudWatch.

CloudWatch bills an alarm by the metrics that it looks at, by the hour (https://aws.amazon.com/cloudwatch/pricing/).
"""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import pulumi

from infra.deployment import Deployment, Run
from infra.settings import SCALE_IN
from trainer.logs.lines import Severity
from trainer.metrics.alerts import ALERTS, AgeSignal, Alert, LogSignal, MetricSignal, NodeSignal
from trainer.metrics.sinks.cloudwatch import RUN_DIMENSION

AUTO_SCALING = "AWS/AutoScaling"
LOG_METRIC = "LogLines{severity}"
"""The metric that counts lines of a run's log of a severity, or a worse one, such as `LogLinesError`."""
BOOT_METRIC = "FirstBootLines{severity}"
"""The same for lines that name no run: a machine's first boot says them, before there is a training."""
HEARTBEAT = "rl_env_steps_total"
"""The metric that comes as long as a run trains: one of the essential ones."""
MINUTE_SECONDS = 60
PARTS = 6
"""Into how many periods a signal's time is divided where each of them must be bad."""
LONGEST_INTERVAL_SECONDS = 300
"""How far points of a metric may be apart: a machine that trains sends something in each period of so long."""
MOST_DESCRIPTION = 1024
"""Characters, by https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html."""

_STATISTICS = {"average": "Average", "maximum": "Maximum", "minimum": "Minimum", "newest": "Maximum"}
_OPERATORS = {">": "GreaterThanThreshold", "<": "LessThanThreshold"}
_MISSING = {"ok": "notBreaching", "alert": "breaching"}


@dataclasses.dataclass(frozen=True)
class Alarm:
    """An alarm to be.

    Attributes:
        alert: what it tells.
        run: whose; None: the site's.
        arguments: of `aws.cloudwatch.MetricAlarm`, but for names, actions and tags.
        metrics: how many it is billed for.
        stops: whether it makes the run's group empty, too, so that nothing is paid for any more.
    """

    alert: Alert
    run: Run | None
    arguments: Mapping[str, Any]
    metrics: int = 1
    stops: bool = False


@dataclasses.dataclass(frozen=True)
class LogCount:
    """A metric filter to be: which lines of the site's log count as what.

    Attributes:
        metric: the metric's name.
        pattern: which lines.
        dimensions: of the metric, by the lines' fields.
    """

    metric: str
    pattern: str
    dimensions: Mapping[str, str]


def log_counts() -> Iterator[LogCount]:
    """The metric filters that alarms need: two for each severity that an alert listens for, however many runs."""
    for alert in ALERTS:
        if isinstance(alert.signal, LogSignal):
            severity = alert.signal.severity
            yield LogCount(
                _log_metric(LOG_METRIC, severity),
                f'{{ {_at_least(severity)} && ($.run_id = "*") }}',
                {RUN_DIMENSION: "$.run_id"},
            )
            yield LogCount(
                _log_metric(BOOT_METRIC, severity), f"{{ {_at_least(severity)} && ($.run_id NOT EXISTS) }}", {}
            )


def alarms(deployment: Deployment, groups: Mapping[str, pulumi.Input[str]]) -> Iterator[Alarm]:
    """The site's alarms: for each run all alerts that its machines can cause, and the first boot's.

    Args:
        deployment: the site.
        groups: Auto Scaling groups' names by run id.
    """
    for run in deployment.runs:
        for alert in ALERTS:
            if deployment.settings.has_gpu or not _is_of_gpus(alert):
                yield of_run(deployment, run, groups[run.run_id], alert)
    for alert in ALERTS:
        if isinstance(alert.signal, LogSignal):
            yield Alarm(alert, None, _log_alarm(deployment, alert, alert.signal, BOOT_METRIC, None))


def billed_metrics(deployment: Deployment) -> int:
    """How many metrics the site's alarms look at: that is what CloudWatch bills."""
    return sum(each.metrics for each in alarms(deployment, {run.run_id: "" for run in deployment.runs}))


def of_run(deployment: Deployment, run: Run, group: pulumi.Input[str], alert: Alert) -> Alarm:
    """An alert as a run's alarm.

    Args:
        deployment: the site.
        run: one of its runs.
        group: the name of its Auto Scaling group.
        alert: what to tell.
    """
    match alert.signal:
        case MetricSignal() as signal:
            return Alarm(alert, run, _metric_alarm(deployment, run, alert, signal))
        case AgeSignal(_, seconds, age):
            signal = MetricSignal(age, ">", seconds, over_seconds=LONGEST_INTERVAL_SECONDS, statistic="maximum")
            return Alarm(alert, run, _metric_alarm(deployment, run, alert, signal))
        case LogSignal() as signal:
            return Alarm(alert, run, _log_alarm(deployment, alert, signal, LOG_METRIC, run))
        case NodeSignal("lost", seconds):
            return Alarm(alert, run, _lost(run, alert, group, seconds), metrics=2)
        case NodeSignal(_, seconds):
            silent = _silent(deployment, run, alert, group, seconds)
            # A machine that is to stay says nothing once its run is over, and is wanted all the same.
            return Alarm(alert, run, silent, metrics=2, stops=deployment.settings.when_done == SCALE_IN)


def description(alert: Alert, run: Run | None) -> str:
    """What an alarm says to who gets it: whose it is, what has happened, what to do, and where more is written."""
    whose = f"Run {run.run_id}" if run else "A machine of the site"
    return f"{whose}. {alert.summary} {alert.help} Runbook: {alert.runbook}"[:MOST_DESCRIPTION]


def _metric_alarm(deployment: Deployment, run: Run, alert: Alert, signal: MetricSignal) -> dict[str, Any]:
    # All values of an hour are bad if those of each sixth of it are. So a run that has just begun is not judged by its
    # first minutes, as it would be if the hour were one period.
    parts = PARTS if (signal.statistic, signal.comparison) in (("minimum", ">"), ("maximum", "<")) else 1
    period = max(MINUTE_SECONDS, signal.over_seconds // parts // MINUTE_SECONDS * MINUTE_SECONDS)
    if signal.statistic == "newest":
        period, parts = MINUTE_SECONDS, 1
    return {
        "namespace": deployment.metric_namespace,
        "metric_name": signal.metric,
        "dimensions": {RUN_DIMENSION: run.run_id},
        "statistic": _STATISTICS[signal.statistic],
        "period": period,
        **_judged(
            alert, run, signal.comparison, signal.threshold, -(-signal.over_seconds // period) if parts > 1 else 1
        ),
    }


def _log_alarm(deployment: Deployment, alert: Alert, signal: LogSignal, metric: str, run: Run | None) -> dict[str, Any]:
    return {
        "namespace": deployment.metric_namespace,
        "metric_name": _log_metric(metric, signal.severity),
        **({"dimensions": {RUN_DIMENSION: run.run_id}} if run else {}),
        "statistic": "Sum",
        "period": signal.over_seconds,
        **_judged(alert, run, ">", 0, 1),
    }


def _lost(run: Run, alert: Alert, group: pulumi.Input[str], seconds: int) -> dict[str, Any]:
    return {
        "metric_queries": [
            _query("desired", AUTO_SCALING, "GroupDesiredCapacity", "Minimum", MINUTE_SECONDS, _of_group(group)),
            _query("serving", AUTO_SCALING, "GroupInServiceInstances", "Maximum", MINUTE_SECONDS, _of_group(group)),
            {"id": "lost", "expression": "desired - serving", "label": "machines that lack", "return_data": True},
        ],
        **_judged(alert, run, ">", 0, seconds // MINUTE_SECONDS),
    }


def _silent(deployment: Deployment, run: Run, alert: Alert, group: pulumi.Input[str], seconds: int) -> dict[str, Any]:
    """1 in each period in which a machine is in service from its beginning to its end, and nothing comes.

    There is a value only where the group says how many machines are in service, and what is not there is no alarm:
    so neither a group that was just made nor one that is empty can cause one. That no metric comes is what FILL makes
    a number of. It makes one of the newest period, too, whose metrics may be late; so all of the periods count.
    """
    own = {RUN_DIMENSION: run.run_id}
    return {
        "metric_queries": [
            _query(
                "serving",
                AUTO_SCALING,
                "GroupInServiceInstances",
                "Minimum",
                LONGEST_INTERVAL_SECONDS,
                _of_group(group),
            ),
            _query("points", deployment.metric_namespace, HEARTBEAT, "SampleCount", LONGEST_INTERVAL_SECONDS, own),
            {
                "id": "silent",
                "expression": "IF(serving > 0 AND FILL(points, 0) == 0, 1, 0)",
                "label": "a machine that sends nothing",
                "return_data": True,
            },
        ],
        **_judged(alert, run, ">", 0, seconds // LONGEST_INTERVAL_SECONDS),
        "treat_missing_data": _MISSING["ok"],
    }


def _judged(alert: Alert, run: Run | None, comparison: str, threshold: float, periods: int) -> dict[str, Any]:
    return {
        "comparison_operator": _OPERATORS[comparison],
        "threshold": threshold,
        "evaluation_periods": periods,
        "datapoints_to_alarm": periods,
        "treat_missing_data": _MISSING[alert.missing],
        "alarm_description": description(alert, run),
    }


def _query(
    name: str, namespace: str, metric: str, statistic: str, period: int, dimensions: Mapping[str, pulumi.Input[str]]
) -> dict[str, Any]:
    return {
        "id": name,
        "metric": {
            "namespace": namespace,
            "metric_name": metric,
            "stat": statistic,
            "period": period,
            "dimensions": dict(dimensions),
        },
    }


def _of_group(group: pulumi.Input[str]) -> dict[str, pulumi.Input[str]]:
    return {"AutoScalingGroupName": group}


def _log_metric(template: str, severity: Severity) -> str:
    return template.format(severity=severity.title())


def _at_least(severity: Severity) -> str:
    """The part of a filter pattern that a line of this severity, or a worse one, fits."""
    worse = list(Severity)[list(Severity).index(severity) :]
    return "(" + " || ".join(f'$.severity = "{each}"' for each in worse) + ")"


def _is_of_gpus(alert: Alert) -> bool:
    return any(name.startswith("rl_gpu_") for name in alert.metrics)
