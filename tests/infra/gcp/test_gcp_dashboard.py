"""The dashboard, in the words of the service that draws it."""

import itertools
import json
import re

import gcp_site
import google_schema
import pytest

from infra.gcp import dashboard
from trainer.metrics.alerts import ALERTS
from trainer.metrics.catalogue import ESSENTIAL

SITES = {
    "gpu": {},
    "cpu": {"machines": "e2-standard-4", "spot": "false"},
    "runs": {"seeds": "2", "email": "ops@example.com"},
}


def recorded(**more):
    resources, outputs = gcp_site.record(**more)
    (found,) = [each for each in resources if each.type == "gcp:monitoring/dashboard:Dashboard"]
    return found, resources, outputs


def tiles(**more):
    return json.loads(recorded(**more)[0].inputs["dashboardJson"])["mosaicLayout"]["tiles"]


def drawn(**more):
    """The charts of metrics by the metric's name."""
    found = {}
    for tile in tiles(**more):
        for data in tile["widget"].get("xyChart", {}).get("dataSets", ()):
            query = data["timeSeriesQuery"]["timeSeriesFilter"]["filter"]
            found.setdefault(re.search(r'metric\.type="([^"]*)"', query)[1].rpartition("/")[2], []).append(
                tile["widget"]
            )
    return found


@pytest.mark.parametrize("name", SITES)
def test_it_is_what_the_service_describes(name):
    content = json.loads(recorded(**SITES[name])[0].inputs["dashboardJson"])
    assert not google_schema.problems("monitoring.v1", "Dashboard", content)


@pytest.mark.parametrize("name", SITES)
def test_tiles_lie_beside_each_other(name):
    cells = set()
    for tile in tiles(**SITES[name]):
        left, top = tile.get("xPos", 0), tile.get("yPos", 0)
        assert left + tile["width"] <= dashboard.COLUMNS <= 48
        own = set(itertools.product(range(left, left + tile["width"]), range(top, top + tile["height"])))
        assert own
        assert not own & cells
        cells |= own


def test_nothing_is_written_that_answers_leave_out():
    def empty(value):
        if isinstance(value, dict):
            return any(empty(each) for each in value.values())
        if isinstance(value, list):
            return not value or any(empty(each) for each in value)
        return value in (0, "", None) or value is False

    assert not empty(json.loads(recorded()[0].inputs["dashboardJson"]))


def test_each_essential_metric_has_one_chart():
    charts = drawn()
    assert charts.keys() == {*ESSENTIAL, "size"}
    assert all(len(found) == 1 for found in charts.values())
    assert "rl_gpu_busiest_utilization_ratio" not in drawn(**SITES["cpu"])


def test_a_chart_has_the_sites_runs_and_names_each():
    (chart,) = drawn()["rl_sink_dropped_records_total"]
    (data,) = chart["xyChart"]["dataSets"]
    assert data == {
        "timeSeriesQuery": {
            "timeSeriesFilter": {
                "filter": 'metric.type="custom.googleapis.com/slipway/rl_sink_dropped_records_total"'
                ' resource.type="generic_task" resource.labels.namespace="slipway-dev"',
                "aggregation": {"alignmentPeriod": "60s", "perSeriesAligner": "ALIGN_MAX"},
            }
        },
        "plotType": "LINE",
        "targetAxis": "Y1",
        "minAlignmentPeriod": "60s",
        "legendTemplate": "${resource.labels.job} ${metric.labels.sink}",
    }


def test_alerts_have_their_lines():
    lines = {
        (name, line["label"], line["value"])
        for name, (chart, *_) in drawn().items()
        for line in chart["xyChart"].get("thresholds", ())
    }
    assert {label for _, label, _ in lines} == {alert.name for alert in ALERTS if alert.metrics}
    assert ("rl_checkpoint_age_seconds", "CheckpointStale", 1800) in lines


def test_it_lists_the_sites_own_incidents():
    found, resources, _ = recorded(**SITES["runs"])
    (listed,) = [tile["widget"]["incidentList"] for tile in tiles(**SITES["runs"]) if "incidentList" in tile["widget"]]
    policies = [each for each in resources if each.kind == "AlertPolicy"]
    assert len(set(listed["policyNames"])) == len(policies) == 2 * len(ALERTS) + 1
    assert all(re.fullmatch(r"alertPolicies/\d+", name) for name in listed["policyNames"])
    assert {each.urn for each in policies} <= set(found.refers_to["dashboardJson"])


def test_it_shows_the_log_where_it_is_kept():
    (panel,) = [tile["widget"]["logsPanel"] for tile in tiles() if "logsPanel" in tile["widget"]]
    assert panel == {
        "filter": 'logName="projects/my-project/logs/slipway-dev"',
        "resourceNames": [f"{recorded()[2]['logBucket']}/views/_AllLogs"],
    }


def test_it_says_what_is_trained_where():
    text = tiles(**SITES["runs"])[0]["widget"]["text"]["content"]
    outputs = recorded(**SITES["runs"])[2]
    assert all(f"`{run}`" in text for run in outputs["runs"])
    assert f"`{outputs['store']}`" in text


def test_its_address_is_an_output():
    assert recorded()[2]["dashboardUrl"] == (
        "https://console.cloud.google.com/monitoring/dashboards/builder/0a1b2c3d-0123-4567-89ab-0123456789ab"
        "?project=my-project"
    )
