"""All alerts as rules of Prometheus: `python -m infra.onprem.rules > ansible/roles/monitoring/files/rules.yml`.

What a run must tell is `trainer.metrics.alerts`, which the clouds' alarms are made of, too; what hosts and services
must tell is `infra.onprem.alerts`. A rule about a run carries the run's id, so that its time begins anew with the next
run of the same trainer.
"""

import dataclasses
import json
import sys
import textwrap
from collections.abc import Iterator, Mapping

from infra.onprem.alerts import ALERTS as SITE_ALERTS
from infra.onprem.alerts import SiteAlert
from trainer.metrics.alerts import ALERTS as RUN_ALERTS
from trainer.metrics.alerts import AgeSignal, Alert, LogSignal, MetricSignal, NodeSignal, Severity

FAILED_RUNS = 'rl_worker_ended_runs_total{state=~"failed|bad-input"}'
"""The metric form of a log's line that says that a run has failed: the worker of a slot counts what it has brought to
an end, by the state it ended in."""
ELSEWHERE: Mapping[str, str] = {"NodeLost": "HostDown", "NodeSilent": "TrainerDown"}
"""Alerts that only groups of rented machines can cause, and what tells the same of hosts that are one's own: the
inventory says which there are, and none is paid for by the hour."""
NEWEST_SECONDS = 300
"""How far back a metric's newest values are looked at: rows come by the iteration."""
FUNCTIONS = {"average": "avg_over_time", "maximum": "max_over_time", "minimum": "min_over_time"}
RUN = "Run {{ $labels.run_id }} on {{ $labels.host }}"
TRAINER = "Slot {{ $labels.slot }} of {{ $labels.host }}"
"""Whose an alert is."""
WIDTH = 116
"""Characters of a line in the file, at most."""

HEADER = """\
# Generated from trainer/metrics/alerts.py and infra/onprem/alerts.py by `python -m infra.onprem.rules`; do not edit.
groups:
"""


@dataclasses.dataclass(frozen=True)
class Rule:
    """One alerting rule.

    Attributes:
        alert: what it tells.
        expression: in PromQL: a series for each thing that is wrong.
        for_seconds: how long there must be one.
        subject: whose it is, as a template of Prometheus.
    """

    alert: Alert | SiteAlert
    expression: str
    for_seconds: int
    subject: str

    @property
    def name(self) -> str:
        """The alert's."""
        return self.alert.name

    @property
    def severity(self) -> Severity:
        """The alert's."""
        return self.alert.severity


def _metric(signal: MetricSignal) -> tuple[str, int]:
    """PromQL, and for how many seconds it must hold."""
    beyond = f"{signal.comparison} {signal.threshold:g}"
    if signal.statistic == "newest":
        return f"{_of_runs(signal.metric)} {beyond}", 0
    window, held = signal.over_seconds, 0
    if (signal.statistic, signal.comparison) in (("minimum", ">"), ("maximum", "<")):
        # All values of an hour are bad if those of each few minutes of it are; so a run that has just begun is not
        # judged by its first values, as it would be by an hour that is nearly empty.
        window = min(NEWEST_SECONDS, signal.over_seconds)
        held = signal.over_seconds - window
    return f"{_of_runs(f'{FUNCTIONS[signal.statistic]}({signal.metric}[{window}s])')} {beyond}", held


def _of_runs(expression: str) -> str:
    """An expression with the id of the run that its series are of."""
    return f"{expression} * on (instance) group_left (run_id) rl_run_info"


def of_run(alert: Alert) -> Rule | None:
    """An alert about runs; None for those that are `ELSEWHERE`."""
    match alert.signal:
        case MetricSignal() as signal:
            return Rule(alert, *_metric(signal), RUN)
        case AgeSignal(metric, seconds, age):
            # The row's own age stands still with a training that hangs, and there is no time before a first checkpoint.
            older = f"(time() - {_of_runs(metric)} > {seconds}) or {_of_runs(age)} > {seconds}"
            return Rule(alert, older, 0, RUN)
        case LogSignal(_, seconds):
            return Rule(alert, f"increase({FAILED_RUNS}[{seconds}s]) > 0", 0, TRAINER)
        case NodeSignal():
            return None


def of_site(alert: SiteAlert) -> Rule:
    """An alert about hosts and services."""
    subject = "Host {{ $labels.host }}" + "".join(f", {each} {{{{ $labels.{each} }}}}" for each in alert.where)
    return Rule(alert, alert.expression, alert.for_seconds, subject)


RUN_RULES: tuple[Rule, ...] = tuple(rule for rule in map(of_run, RUN_ALERTS) if rule is not None)
SITE_RULES: tuple[Rule, ...] = tuple(map(of_site, SITE_ALERTS))
RULES: tuple[Rule, ...] = RUN_RULES + SITE_RULES
"""All rules."""


def render() -> str:
    """The file of rules."""
    return HEADER + "".join(_group("runs", RUN_RULES)) + "".join(_group("site", SITE_RULES))


def _group(name: str, rules: tuple[Rule, ...]) -> Iterator[str]:
    yield f"  - name: {name}\n    rules:\n"
    for rule in rules:
        yield f"      - alert: {rule.name}\n"
        yield _folded("expr", rule.expression, 8)
        if rule.for_seconds:
            yield f"        for: {rule.for_seconds}s\n"
        yield f"        labels:\n          severity: {rule.severity}\n        annotations:\n"
        yield _folded("summary", f"{rule.subject}. {rule.alert.summary}", 10)
        yield _folded("description", rule.alert.help, 10)
        yield f"          runbook: {json.dumps(rule.alert.runbook)}\n"


def _folded(key: str, text: str, indent: int) -> str:
    """A key with words that may be longer than a line."""
    margin = " " * (indent + 2)
    lines = textwrap.wrap(text, WIDTH - len(margin), break_long_words=False, break_on_hyphens=False)
    return " " * indent + f"{key}: >-\n" + "".join(f"{margin}{line}\n" for line in lines)


if __name__ == "__main__":
    sys.stdout.write(render())
