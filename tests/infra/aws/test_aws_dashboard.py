"""The dashboard's body by CloudWatch's own description of it; nothing here draws it."""

import json
import re

import aws_site
import pytest
from aws_site import seen
from recording import UNKNOWN

from infra import charts
from infra.aws import dashboard
from trainer.metrics import catalogue
from trainer.metrics.reference import TITLES

REQUIRED = {"metric": {"region", "metrics"}, "log": {"region", "query"}, "text": {"markdown"}, "alarm": {"alarms"}}
"""By kind of widget, its properties that must be there.

Source: https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html, as
all that is checked here.
"""


def drawn(tmp_path=None, sinks="", **more):
    """The body of a site's dashboard."""
    if tmp_path is not None:
        (tmp_path / "run.yaml").write_text(f"env: slipway/CartPole-v1\nsinks: {{cloudwatch: {sinks}}}\n")
        more["run"] = str(tmp_path / "run.yaml")
    plan = aws_site.planned(**more)
    groups = {run.run_id: f"group-{run.run_id}" for run in plan.runs}
    arns = [aws_site.arn("cloudwatch", f"alarm:{number}") for number in range(7 * len(groups))]
    return plan, dashboard.body(plan, groups, arns, "/slipway/dev/nodes-1")


def graphs(body):
    return [
        each for each in body["widgets"] if each["type"] == "metric" and each["properties"]["title"].startswith("rl_")
    ]


def check(body):
    taken = set()
    assert len(body["widgets"]) <= 500
    for widget in body["widgets"]:
        x, y, width, height = (widget[key] for key in ("x", "y", "width", "height"))
        assert 0 <= x <= 23
        assert 1 <= width <= 24
        assert x + width <= 24
        assert y >= 0
        assert 1 <= height <= 1000
        cells = {(column, row) for column in range(x, x + width) for row in range(y, y + height)}
        assert not cells & taken, widget["properties"]
        taken |= cells
        properties = widget["properties"]
        assert REQUIRED[widget["type"]] <= properties.keys()
        if widget["type"] == "metric":
            assert 1 <= len(properties["metrics"]) <= 500
            assert properties["view"] in ("timeSeries", "singleValue", "bar", "pie", "table", "gauge")
            assert properties["period"] % 60 == 0
            for line in properties["metrics"]:
                if isinstance(line[0], dict):
                    assert line[0].keys() <= {"expression", "id", "label"}
                    assert len(line[0]["expression"]) <= 1024
                else:
                    plain = [each for each in line if isinstance(each, str)]
                    assert len(plain) % 2 == 0  # namespace, metric, then names and values of dimensions
        if widget["type"] == "alarm":
            assert 1 <= len(properties["alarms"]) <= 100
    assert sum(len(each["properties"]["metrics"]) for each in body["widgets"] if each["type"] == "metric") <= 2500
    json.dumps(body, allow_nan=False)


@pytest.mark.parametrize("seeds", ["1", "3", "100"])
def test_the_body_is_one_that_cloudwatch_takes(seeds):
    plan, body = drawn(seeds=seeds)
    check(body)
    (machines,) = (each for each in body["widgets"] if each["properties"].get("title") == "Machines")
    assert len(machines["properties"]["metrics"]) == 2 * len(plan.runs)


@pytest.mark.parametrize("sinks", ["{}", "{metrics: [all]}", "{metrics: [rl_policy_loss]}"])
def test_each_metric_that_is_sent_is_drawn_once_in_the_row_of_its_group(tmp_path, sinks):
    _, body = drawn(tmp_path, sinks, seeds="2")
    check(body)
    sent = set(catalogue.ESSENTIAL)
    sent |= set(catalogue.CHOICES["all"]) if "all" in sinks else {"rl_policy_loss"} if "loss" in sinks else set()
    assert [each["properties"]["title"] for each in graphs(body)] == list(catalogue.chosen(sent))
    headings = [each for each in body["widgets"] if each["type"] == "text"]
    for graph in graphs(body):
        metric = catalogue.BY_NAME[graph["properties"]["title"]]
        above = [each for each in headings if each["y"] < graph["y"]][-1]["properties"]["markdown"]
        assert above.startswith(f"## {TITLES[metric.group]}\n")
        assert f"- `{metric.name}` {metric.help}" in above.splitlines()


def test_a_graph_has_lines_where_alarms_begin(tmp_path):
    _, body = drawn(tmp_path, "{metrics: [all]}")
    lines = {each["properties"]["title"]: each["properties"].get("annotations") for each in graphs(body)}
    assert {name: said["horizontal"] for name, said in lines.items() if said} == {
        name: [{"label": each.alert.name, "value": each.value} for each in thresholds]
        for name in lines
        if (thresholds := charts.thresholds(catalogue.BY_NAME[name]))
    }
    assert lines["rl_checkpoint_age_seconds"] == {"horizontal": [{"label": "CheckpointStale", "value": 1800}]}


def test_machines_without_gpus_have_no_graphs_of_them():
    _, body = drawn(machines="c7i.large")
    check(body)
    assert not [each for each in graphs(body) if each["properties"]["title"].startswith(charts.GPU)]


def test_a_graph_has_a_line_for_each_run_in_the_metrics_namespace():
    plan, body = drawn(seeds="3")
    for graph in graphs(body):
        metric = catalogue.BY_NAME[graph["properties"]["title"]]
        if metric.labels:
            continue
        assert graph["properties"]["metrics"] == [
            ["Slipway/dev", metric.name, "RunId", run.run_id, {"label": run.run_id}] for run in plan.runs
        ]


def test_what_has_labels_is_searched_for(tmp_path):
    _, body = drawn(tmp_path, "{metrics: [rl_phase_duration_seconds]}")
    (graph,) = (each for each in graphs(body) if each["properties"]["title"] == "rl_phase_duration_seconds")
    ((found,),) = graph["properties"]["metrics"]
    assert found["expression"] == (
        "SEARCH('{\"Slipway/dev\",Phase,RunId} MetricName=\"rl_phase_duration_seconds\"', 'Average', 60)"
    )


def test_more_lines_than_a_dashboard_takes_are_searched_for(tmp_path):
    _, body = drawn(tmp_path, "{metrics: [all]}", seeds="100")
    check(body)
    assert all(isinstance(line[0], dict) for graph in graphs(body) for line in graph["properties"]["metrics"])


def test_a_period_is_as_long_as_points_are_apart(tmp_path):
    _, body = drawn(tmp_path, "{interval_seconds: 90}")
    assert {each["properties"]["period"] for each in graphs(body)} == {120}


def test_alarms_are_shown_and_the_newest_warnings():
    _, body = drawn(seeds="20")
    shown = [arn for each in body["widgets"] if each["type"] == "alarm" for arn in each["properties"]["alarms"]]
    assert len(shown) == len(set(shown)) == 140
    (log,) = (each["properties"] for each in body["widgets"] if each["type"] == "log")
    assert log["query"].startswith("SOURCE '/slipway/dev/nodes-1' | fields ")
    assert 'severity in ["WARNING", "ERROR"]' in log["query"]


@pytest.mark.parametrize("preview", [False, True])
def test_a_site_has_one_dashboard_and_says_where(preview):
    site = seen(preview=preview)
    (made,) = (each.inputs for each in site.all("Dashboard") if each.custom)
    if preview:
        assert made["dashboardBody"] is UNKNOWN
        assert "dashboardUrl" not in site.outputs
        return
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,255}", made["dashboardName"])
    assert site.outputs["dashboardUrl"] == (
        "https://us-east-1.console.aws.amazon.com/cloudwatch/home?region=us-east-1"
        f"#dashboards/dashboard/{made['dashboardName']}"
    )
    body = json.loads(made["dashboardBody"])
    check(body)
    shown = [arn for each in body["widgets"] if each["type"] == "alarm" for arn in each["properties"]["alarms"]]
    assert len(shown) == len(set(shown))
    assert set(shown) == {aws_site.arn("cloudwatch", f"alarm:{each.name}") for each in site.all("MetricAlarm")}
