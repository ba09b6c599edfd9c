"""What `trainer.metrics.alerts` says, as alert policies of Cloud Monitoring: plain values, and no resource.

**Metrics are asked in PromQL.** A condition with a filter needs the metric's descriptor, which the first run makes long
after the site. To make it here would be to own it: descriptors are a whole project's, and when one is deleted, the
points of all runs of all sites go with it. PromQL does without (`disable_metric_validation`), compares a group with a
run in one expression, and sees a machine that has never sent anything, which `condition_absent` does not: it waits for
a first point (https://cloud.google.com/monitoring/alerts/metric-absence).

**Lines of logs are matched** (`condition_matched_log`). Such conditions read what any sink of the project brings to a
log bucket, and so what the site's own sink does (https://cloud.google.com/logging/docs/alerting/log-based-alerts).

Google bills a condition by the month, and each time series that it reads
(https://cloud.google.com/stackdriver/pricing#alerting-pricing).
"""

import dataclasses
import math
import re
from collections.abc import Iterator, Mapping
from typing import TypeAlias

import pulumi
import pulumi_gcp as gcp

from infra.deployment import Deployment, Run
from infra.gcp.compute import short
from trainer.metrics.alerts import ALERTS, AgeSignal, Alert, LogSignal, MetricSignal, NodeSignal
from trainer.metrics.sinks.cloud_monitoring import PREFIX, RESOURCE

Condition: TypeAlias = gcp.monitoring.AlertPolicyConditionArgsDict

SIZE, GROUP = "compute.googleapis.com/instance_group/size", "instance_group"
"""How many machines a group has, and the monitored resource that a group is
(https://cloud.google.com/monitoring/api/metrics_gcp_c#gcp-compute)."""
AUDIT_LOG = "cloudaudit.googleapis.com%2Factivity"
"""The log of what is done to resources, which every project has (https://cloud.google.com/logging/docs/audit)."""
HEARTBEAT = "rl_env_steps_total"
"""The metric that comes as long as a run trains, if it is sent at all."""
EVALUATION_SECONDS = 60
"""How often PromQL is asked; a multiple of 30."""
RECENT_SECONDS = 600
"""How old a metric's newest point may be to count as its present value: rows come by the iteration, and points from
rows."""
LEAST_RATE_SECONDS = 300
"""Between two messages about matched lines, at least (https://cloud.google.com/monitoring/alerts/policies-in-api)."""
REFUSED_RATE_SECONDS = 3600
"""Between two messages that a machine is not to be had: a group asks for it again and again."""
LEAST_CLOSE_SECONDS = 1800
"""An incident closes by itself after so long without a match or a value, at least."""
MOST_CONTENT = 8192
"""Characters of a policy's text, by
https://cloud.google.com/monitoring/api/ref_v3/rest/v3/projects.alertPolicies#Documentation."""

_FUNCTIONS = {"average": "avg", "maximum": "max", "minimum": "min", "newest": "last"}
_SEVERITIES = {"critical": "CRITICAL", "warning": "WARNING"}


@dataclasses.dataclass(frozen=True)
class Policy:
    """An alert policy to be.

    Attributes:
        alert: what it tells.
        run: whose; None: the site's.
        condition: its only condition, as an argument of `gcp.monitoring.AlertPolicy`.
        rate_seconds: the least time between two messages; None where the condition is no matched line.
        close_seconds: when its incidents close by themselves.
        log_filter: which lines people look at then.
    """

    alert: Alert
    run: Run | None
    condition: Condition
    log_filter: str
    rate_seconds: int | None = None
    close_seconds: int = LEAST_CLOSE_SECONDS

    @property
    def severity(self) -> str:
        """In Google's words."""
        return _SEVERITIES[self.alert.severity]

    @property
    def text(self) -> str:
        """What is sent with it: whose it is, what has happened, what to do, and where more is written."""
        whose = f"Run {self.run.run_id}" if self.run else "A machine of the site"
        return f"{whose}. {self.alert.summary}\n\n{self.alert.help}\n\nRunbook: {self.alert.runbook}"[:MOST_CONTENT]


def policies(deployment: Deployment, groups: Mapping[str, pulumi.Input[str]]) -> Iterator[Policy]:
    """The site's policies: for each run all alerts that it can cause, and those of first boots.

    Args:
        deployment: the site.
        groups: the managed instance groups' names by run id.
    """
    for run in deployment.runs:
        for alert in ALERTS:
            if is_possible(deployment, run, alert):
                yield of_run(deployment, run, groups[run.run_id], alert)
    for alert in ALERTS:
        if isinstance(alert.signal, LogSignal):
            # Before there is a training, a machine does not know its run.
            lines = first_boots(deployment)
            yield _of_lines(alert, None, lines, alert.signal)


def is_possible(deployment: Deployment, run: Run, alert: Alert) -> bool:
    """Whether a run sends what an alert looks at: without GPUs it has no metrics of them, and a run file may choose."""
    sent = run.run_file.sinks.cloud_monitoring.names
    without = not deployment.settings.has_gpu and any(name.startswith("rl_gpu_") for name in alert.metrics)
    return not without and all(name in sent for name in alert.metrics)


def of_run(deployment: Deployment, run: Run, group: pulumi.Input[str], alert: Alert) -> Policy:
    """An alert as a run's policy.

    Args:
        deployment: the site.
        run: one of its runs.
        group: the name of its managed instance group.
        alert: what to tell.
    """
    lines = lines_of(deployment, run)
    match alert.signal:
        case MetricSignal() as signal:
            return Policy(alert, run, _promql(alert, *_metric(deployment, run, signal)), lines)
        case AgeSignal(_, seconds, age):
            signal = MetricSignal(age, ">", seconds, over_seconds=0, statistic="newest")
            return Policy(alert, run, _promql(alert, *_metric(deployment, run, signal)), lines)
        case LogSignal() as signal:
            return _of_lines(alert, run, lines, signal)
        case NodeSignal("lost", seconds):
            refused = refusals(deployment, run)
            rate = max(seconds, REFUSED_RATE_SECONDS)
            return Policy(alert, run, _matched(alert, refused), refused, rate, max(seconds, LEAST_CLOSE_SECONDS))
        case NodeSignal(_, seconds):
            query = pulumi.Output.from_input(group).apply(lambda name: silence(deployment, run, name))
            return Policy(alert, run, _promql(alert, query, seconds), _log(deployment, deployment.log_name))


def series(deployment: Deployment, run: Run, metric: str) -> str:
    """A run's metric, as PromQL names it (https://cloud.google.com/monitoring/promql/promql-mapping)."""
    labels = {"monitored_resource": RESOURCE, "namespace": deployment.name, "job": run.run_id}
    return _series(PREFIX + metric, labels)


def silence(deployment: Deployment, run: Run, group: str) -> str:
    """PromQL: the group has a machine, and nothing came from the run of late."""
    size = _series(SIZE, {"monitored_resource": GROUP, "instance_group_name": group})
    sent = run.run_file.sinks.cloud_monitoring.names
    sign = series(deployment, run, HEARTBEAT if HEARTBEAT in sent else sent[0])
    return f"{size} > 0 unless on () present_over_time({sign}[{_recent(run)}s])"


def lines_of(deployment: Deployment, run: Run) -> str:
    """A filter: what a run says in the site's log."""
    site = _log(deployment, deployment.log_name)
    return f'{site} AND resource.type="{RESOURCE}" AND resource.labels.job="{run.run_id}"'


def first_boots(deployment: Deployment) -> str:
    """A filter: what machines say in the site's log before there is a training."""
    return f'{_log(deployment, deployment.log_name)} AND resource.type="gce_instance"'


def refusals(deployment: Deployment, run: Run) -> str:
    """A filter: what Compute Engine answered when it could not make a run's machine, which is wanted.

    No metric tells how many machines a group wants; that it tries to make one is what says so. The same lines are what
    Google's own diagnosis of groups looks at
    (https://github.com/GoogleCloudPlatform/gcpdiag, gcpdiag/lint/gce/err_2021_001_mig_scaleup_failed.py).
    """
    machine = f"/instances/{deployment.named(short(run.run_id))}-[a-z0-9]+$"
    return (
        f'{_log(deployment, AUDIT_LOG)} AND resource.type="gce_instance" AND severity>=ERROR'
        f' AND protoPayload.methodName:"compute.instances.insert" AND protoPayload.resourceName=~"{machine}"'
    )


def _metric(deployment: Deployment, run: Run, signal: MetricSignal) -> tuple[str, int]:
    """PromQL, and for how many seconds it must hold."""
    found = series(deployment, run, signal.metric)
    window, held = signal.over_seconds, 0
    if (signal.statistic, signal.comparison) in (("minimum", ">"), ("maximum", "<")):
        # All values of an hour are bad if those of each moment of it are. So a run that has just begun is not judged by
        # its first minutes, as it would be by a window of an hour that is nearly empty.
        window, held = _recent(run), signal.over_seconds
    elif signal.statistic == "newest":
        window = _recent(run)
    function = f"{_FUNCTIONS[signal.statistic]}_over_time"
    return f"{function}({found}[{window}s]) {signal.comparison} {signal.threshold:g}", held


def _recent(run: Run) -> int:
    """How far back a run's newest point may be, in whole minutes: two intervals of its points at least."""
    interval = run.run_file.sinks.cloud_monitoring.interval_seconds
    return max(RECENT_SECONDS, math.ceil(2 * interval / 60) * 60)


def _of_lines(alert: Alert, run: Run | None, lines: str, signal: LogSignal) -> Policy:
    bad = f"{lines} AND severity>={signal.severity}"
    rate, close = max(signal.over_seconds, LEAST_RATE_SECONDS), max(signal.over_seconds, LEAST_CLOSE_SECONDS)
    return Policy(alert, run, _matched(alert, bad), lines, rate, close)


def _promql(alert: Alert, query: pulumi.Input[str], held_seconds: int) -> Condition:
    return {
        "display_name": alert.summary,
        "condition_prometheus_query_language": {
            "query": query,
            "duration": f"{held_seconds}s",
            "evaluation_interval": f"{EVALUATION_SECONDS}s",
            "alert_rule": alert.name,
            "disable_metric_validation": True,
        },
    }


def _matched(alert: Alert, lines: str) -> Condition:
    return {"display_name": alert.summary, "condition_matched_log": {"filter": lines}}


def _series(metric: str, labels: Mapping[str, str]) -> str:
    """A time series of Cloud Monitoring in PromQL: the first slash becomes a colon, what else is no word a `_`."""
    domain, _, path = metric.partition("/")
    name = ":".join(re.sub(r"\W", "_", part) for part in (domain, path))
    return name + "{" + ", ".join(f'{key}="{value}"' for key, value in labels.items()) + "}"


def _log(deployment: Deployment, name: str) -> str:
    return f'logName="projects/{deployment.settings.project}/logs/{name}"'
