"""Alarms, the topic that they tell, and the budget, as a program asks for them.

Nothing here evaluates an alarm: what CloudWatch makes of its metrics is AWS's documents' word alone.
"""

import json
import re

import aws_site
import pytest
from aws_site import seen
from recording import UNKNOWN

from infra.aws import alarms, budget
from trainer.logs.lines import Line, Run, Severity
from trainer.metrics import alerts, catalogue
from trainer.metrics.alerts import ALERTS, AgeSignal, LogSignal, MetricSignal, NodeSignal

CPU, EMAIL = {"machines": "c7i.large"}, {"email": "ops@example.com"}
SIDES = {">": "GreaterThanThreshold", "<": "LessThanThreshold"}


@pytest.fixture(scope="module")
def site():
    return seen(preview=True, **EMAIL)


def made(site, run_id, name):
    return site.one("MetricAlarm", f"{run_id}-{name}")


def seconds(alarm):
    """Over how long an alarm looks."""
    period = (
        alarm.get("period") or {each["metric"]["period"] for each in alarm["metricQueries"] if "metric" in each}.pop()
    )
    return period * alarm["evaluationPeriods"]


@pytest.mark.parametrize("preview", [False, True])
@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_each_alert_is_an_alarm_of_each_run(alert, preview):
    site, plan = seen(preview=preview, seeds="2", **EMAIL), aws_site.planned(seeds="2")
    for run in plan.runs:
        alarm = made(site, run.run_id, alert.name).inputs
        words = f"Run {run.run_id}. {alert.summary} {alert.help} Runbook: {alert.runbook}"
        assert alarm["alarmDescription"] == words
        assert len(alarm["alarmDescription"]) <= alarms.MOST_DESCRIPTION
        assert alarm["tags"] == {"severity": alert.severity}
        assert alarm["alarmActions"]
        assert alarm["datapointsToAlarm"] == alarm["evaluationPeriods"]
        dimensions = [
            alarm.get("dimensions"),
            *(each.get("metric", {}).get("dimensions") for each in alarm.get("metricQueries", [])),
        ]
        known = {value for each in dimensions if each for value in each.values()}
        assert known <= {run.run_id, f"slipway-dev-{run.run_id}", UNKNOWN}
        assert known
        match alert.signal:
            case MetricSignal(metric, comparison, threshold, over):
                assert alarm["metricName"] == metric
                assert alarm["comparisonOperator"] == SIDES[comparison]
                assert (alarm["threshold"], seconds(alarm)) == (threshold, over)
            case AgeSignal(_, older, age):
                assert (alarm["metricName"], alarm["threshold"]) == (age, older)
                assert (alarm["comparisonOperator"], alarm["statistic"]) == ("GreaterThanThreshold", "Maximum")
            case LogSignal(_, over):
                assert (alarm["statistic"], alarm["threshold"], alarm["period"]) == ("Sum", 0, over)
            case NodeSignal(_, over):
                assert seconds(alarm) == over
                assert [each["id"] for each in alarm["metricQueries"] if each.get("returnData")] == [
                    alarm["metricQueries"][-1]["id"]
                ]
        if alert.missing == "ok":
            assert alarm["treatMissingData"] == "notBreaching"


def test_periods_are_such_as_cloudwatch_takes(site):
    """By https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html."""
    for alarm in site.all("MetricAlarm"):
        assert seconds(alarm.inputs) <= 86_400
        periods = [alarm.inputs.get("period")] if "period" in alarm.inputs else []
        periods += [each["metric"]["period"] for each in alarm.inputs.get("metricQueries", []) if "metric" in each]
        assert periods
        assert all(period % 60 == 0 for period in periods)
        ids = [each["id"] for each in alarm.inputs.get("metricQueries", [])]
        assert all(re.fullmatch("[a-z][A-Za-z0-9_]*", each) for each in ids)


@pytest.mark.parametrize("statistic", ["average", "maximum", "minimum", "newest"])
@pytest.mark.parametrize("comparison", [">", "<"])
def test_any_metric_signal_becomes_an_alarm_that_means_it(statistic, comparison):
    plan = aws_site.planned()
    signal = MetricSignal("rl_score", comparison, 1.0, 1800, statistic)
    alert = alerts.Alert("Any", "It is so.", "Do something.", "warning", signal)
    given = alarms.of_run(plan, plan.runs[0], "group", alert).arguments
    whole = (given["period"], given["evaluation_periods"])
    if (statistic, comparison) in (("minimum", ">"), ("maximum", "<")):  # all values are bad
        assert whole == (300, 6)
    elif statistic == "newest":
        assert whole == (60, 1)
    else:
        assert whole == (1800, 1)


def test_an_alarm_looks_at_what_every_run_sends():
    for alert in ALERTS:
        assert set(alert.metrics) <= set(catalogue.ESSENTIAL)
    assert alarms.HEARTBEAT in catalogue.ESSENTIAL


def test_a_site_without_gpus_has_no_alarm_of_them(site):
    names = {each.name for each in seen(preview=True, **CPU).all("MetricAlarm")}
    assert not any(name.endswith("GpuIdle") for name in names)
    assert len(names) == len(site.all("MetricAlarm")) - 1


def test_what_is_billed_is_counted():
    """CloudWatch bills by the metric that an alarm looks at: two where one is compared with another."""
    assert alarms.billed_metrics(aws_site.planned()) == 4 + 2 * 2 + 1
    assert alarms.billed_metrics(aws_site.planned(seeds="10")) == 10 * (4 + 2 * 2) + 1
    site = seen(preview=True, seeds="2")
    looked_at = sum(
        len([query for query in each.inputs.get("metricQueries", [{"metric": {}}]) if "metric" in query])
        for each in site.all("MetricAlarm")
    )
    assert looked_at == alarms.billed_metrics(aws_site.planned(seeds="2"))


def test_lines_are_counted_by_two_filters_however_many_runs():
    """A log group takes 100 filters."""
    site = seen(preview=True, seeds="2", **EMAIL)
    assert len(site.all("LogMetricFilter")) == 2
    run, boot = (site.one("LogMetricFilter", name).inputs for name in ("LogLinesError", "FirstBootLinesError"))
    assert run["metricTransformation"]["dimensions"] == {"RunId": "$.run_id"}
    assert run["pattern"] == '{ ($.severity = "ERROR") && ($.run_id = "*") }'
    assert "dimensions" not in boot["metricTransformation"]
    assert boot["pattern"] == '{ ($.severity = "ERROR") && ($.run_id NOT EXISTS) }'
    watched = {
        each.inputs["metricName"] for each in site.all("MetricAlarm") if "LogLines" in each.inputs.get("metricName", "")
    }
    assert watched == {run["metricTransformation"]["name"]}
    assert site.one("MetricAlarm", "first-boot-RunFailed").inputs["metricName"] == boot["metricTransformation"]["name"]


def test_filters_name_the_fields_that_lines_have():
    line = json.loads(Line(Run("run", "env", "ppo"), 0.0, Severity.ERROR, "it broke", 0).encode())
    assert (line["severity"], line["run_id"]) == ("ERROR", "run")
    assert alarms._at_least(Severity.WARNING) == '($.severity = "WARNING" || $.severity = "ERROR")'


@pytest.mark.parametrize("preview", [False, True])
def test_a_silent_machine_is_paid_no_longer(preview):
    site = seen(preview=preview, **EMAIL)
    (stop,) = (each for each in site.all("Policy") if "autoscaling" in each.type)
    assert stop.inputs["scalingAdjustment"] == 0
    assert stop.inputs["adjustmentType"] == "ExactCapacity"
    actions = {each.name: each.inputs["alarmActions"] for each in site.all("MetricAlarm")}
    stopping = [name for name, found in actions.items() if len(found) > 1]
    assert [name.rpartition("-")[2] for name in stopping] == ["NodeSilent"]
    if not preview:
        assert (
            actions[stopping[0]][1] == f"{aws_site.arn('autoscaling', 'scalingPolicy:0123abcd:policyName/')}{stop.name}"
        )
        assert stop.inputs["autoscalingGroupName"] == site.one("Group").name


def test_silence_counts_while_a_machine_is_in_service_alone():
    """No machine, or no word of the group: there is no value, or 0, and what is missing is no alarm."""
    plan = aws_site.planned()
    given = alarms.of_run(plan, plan.runs[0], "group", alerts.BY_NAME["NodeSilent"]).arguments
    serving, points, silent = given["metric_queries"]
    assert silent["expression"] == "IF(serving > 0 AND FILL(points, 0) == 0, 1, 0)"
    assert (serving["metric"]["stat"], points["metric"]["stat"]) == ("Minimum", "SampleCount")
    assert points["metric"]["metric_name"] == "rl_env_steps_total"
    assert given["treat_missing_data"] == "notBreaching"


def test_the_topic_is_encrypted_and_takes_alarms_and_budgets_of_this_account_alone():
    site = seen(**EMAIL)
    assert site.one("Topic").inputs["kmsMasterKeyId"].startswith("arn:aws:kms:")
    statements = site.statements("TopicPolicy")
    allowed = {name: each for name, each in statements.items() if each["Effect"] == "Allow"}
    assert {each["Principal"]["Service"] for each in allowed.values()} == {
        "cloudwatch.amazonaws.com",
        "budgets.amazonaws.com",
    }
    for each in allowed.values():
        assert each["Action"] in (["sns:Publish"], "sns:Publish")
        assert each["Condition"]["StringEquals"] == {"aws:SourceAccount": aws_site.ACCOUNT}
    arn = allowed["Alarms"]["Condition"]["ArnLike"]["aws:SourceArn"]
    assert arn == aws_site.arn("cloudwatch", "alarm:slipway-dev-*")
    assert statements["Encrypted"]["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


@pytest.mark.parametrize("preview", [False, True])
def test_whose_address_is_configured_gets_mail(preview):
    subscription = seen(preview=preview, **EMAIL).one("TopicSubscription").inputs
    assert (subscription["protocol"], subscription["endpoint"]) == ("email", "ops@example.com")
    assert not seen(preview=preview).all("TopicSubscription")


@pytest.mark.parametrize("preview", [False, True])
def test_a_budget_where_one_is_set(preview):
    site = seen(preview=preview, budgetUsd="100", **EMAIL)
    (made,) = (each.inputs for each in site.all("Budget") if each.custom)
    assert (made["budgetType"], made["timeUnit"], made["limitAmount"], made["limitUnit"]) == (
        "COST",
        "MONTHLY",
        "100",
        "USD",
    )
    assert made["costFilters"] == [{"name": "TagKeyValue", "values": ["user:slipway-stack$dev"]}]
    assert budget.TAG in aws_site.planned().tags
    assert [(each["notificationType"], each["threshold"]) for each in made["notifications"]] == [
        ("ACTUAL", 50),
        ("ACTUAL", 80),
        ("ACTUAL", 100),
        ("FORECASTED", 100),
    ]
    assert all(each["subscriberEmailAddresses"] == ["ops@example.com"] for each in made["notifications"])
    assert all(len(each["subscriberSnsTopicArns"]) == 1 for each in made["notifications"])
    assert not seen(preview=preview, **EMAIL).all("Budget")
