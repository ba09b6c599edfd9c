"""Alerts of a site on own servers: one list with those of runs, each with a rule and a page, and all of it current."""

import re
from pathlib import Path

import pytest

from infra.aws import alarms
from infra.onprem import rules, runbooks
from infra.onprem.alerts import ALERTS as SITE_ALERTS
from trainer.metrics import alerts, catalogue
from trainer.metrics.alerts import ALERTS as RUN_ALERTS
from trainer.metrics.alerts import AgeSignal, Alert, LogSignal, MetricSignal

ROOT = Path(__file__).parents[3]
ALL = (*RUN_ALERTS, *SITE_ALERTS)
ROLE = ROOT / "ansible/roles/monitoring"


def named(alert):
    return alert.name


def test_the_rules_that_the_role_installs_are_as_generated():
    assert (ROLE / "files/rules.yml").read_text() == rules.render(), "make docs"


def test_the_index_of_runbooks_is_as_generated():
    assert (ROOT / "docs/runbooks/README.md").read_text() == runbooks.page(), "make docs"


@pytest.mark.parametrize("alert", SITE_ALERTS, ids=named)
def test_an_alert_has_words_for_people(alert):
    assert re.fullmatch(r"([A-Z][a-z]+)+", alert.name)
    for words in (alert.summary, alert.help):
        assert words[0].isupper()
        assert words.endswith(".")
        assert not {"\n", "|"} & set(words)
    assert alert.severity in ("critical", "warning")


def test_no_two_alerts_share_a_name():
    assert len({alert.name for alert in ALL}) == len(ALL)


def test_each_alert_is_a_rule_or_told_by_another():
    ruled = {rule.name for rule in rules.RULES}
    assert ruled | set(rules.ELSEWHERE) == {alert.name for alert in ALL}
    assert not ruled & set(rules.ELSEWHERE)
    assert set(rules.ELSEWHERE.values()) <= ruled


@pytest.mark.parametrize("alert", ALL, ids=named)
def test_each_alert_has_its_runbook(alert):
    page = (ROOT / alert.runbook).read_text()
    assert page.startswith(f"# {alert.name}\n\n")
    assert [line for line in page.splitlines() if line.startswith("## ")] == [
        "## What it means",
        "## Look",
        "## Mend",
        "## Over when",
    ]
    for target in re.findall(r"\]\(([^)#]+)", page):
        # Pages of other parts of a site come with them.
        assert (ROOT / alert.runbook).parent.joinpath(target).resolve().is_file(), target


def test_each_runbook_has_its_alert():
    pages = {path.stem for path in (ROOT / "docs/runbooks").glob("*.md")} - {"README"}
    assert pages == {alert.name for alert in ALL}


@pytest.mark.parametrize("alert", RUN_ALERTS, ids=named)
def test_a_clouds_alarm_names_the_same_runbook(alert):
    assert f"docs/runbooks/{alert.name}.md" in alarms.description(alert, None)


@pytest.mark.parametrize("alert", RUN_ALERTS, ids=named)
def test_a_rule_about_a_run_looks_at_what_the_alert_does(alert):
    rule = next((rule for rule in rules.RULES if rule.name == alert.name), None)
    match alert.signal:
        case MetricSignal(metric, comparison, threshold):
            assert metric in rule.expression
            assert rule.expression.endswith(f"{comparison} {threshold:g}")
        case AgeSignal(metric, seconds, age):
            assert {metric, age} <= set(re.findall(r"\w+", rule.expression))
            assert rule.expression.count(f"> {seconds}") == 2
        case LogSignal():
            assert rules.FAILED_RUNS in rule.expression
        case _:
            assert rule is None


@pytest.mark.parametrize(
    ("signal", "expression", "held"),
    [
        (MetricSignal("rl_score", ">", 1, 600, "average"), "avg_over_time(rl_score[600s]) {run} > 1", 0),
        (MetricSignal("rl_score", ">", 1, 600, "maximum"), "max_over_time(rl_score[600s]) {run} > 1", 0),
        (MetricSignal("rl_score", "<", 1, 600, "minimum"), "min_over_time(rl_score[600s]) {run} < 1", 0),
        (MetricSignal("rl_score", "<", 1, 600, "newest"), "rl_score {run} < 1", 0),
        (MetricSignal("rl_score", ">", 1, 600, "minimum"), "min_over_time(rl_score[300s]) {run} > 1", 300),
        (MetricSignal("rl_score", "<", 1, 60, "maximum"), "max_over_time(rl_score[60s]) {run} < 1", 0),
    ],
)
def test_every_statistic_has_its_expression(signal, expression, held):
    rule = rules.of_run(Alert("Any", "It is so.", "Do something.", "warning", signal))
    run = "* on (instance) group_left (run_id) rl_run_info"
    assert (rule.expression, rule.for_seconds) == (expression.format(run=run), held)


def test_only_what_a_clouds_group_knows_is_told_by_others():
    kinds = {type(alerts.BY_NAME[name].signal) for name in rules.ELSEWHERE}
    assert kinds == {alerts.NodeSignal}


def test_rules_about_runs_name_metrics_of_the_catalogue():
    known = {metric.name for metric in (*catalogue.METRICS, *catalogue.WORKER_METRICS)}
    for rule in rules.RUN_RULES:
        assert set(re.findall(r"\brl_\w+", rule.expression)) <= known, rule.name
