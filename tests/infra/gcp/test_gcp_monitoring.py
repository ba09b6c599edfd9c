"""Alert policies: one for each alert and run, in the service's words; who hears of them."""

import json
import re
import urllib.parse

import gcp_site
import google_schema
import pytest
import recording

from infra import deployment, settings
from infra.gcp import alert_policies, site
from trainer.metrics.alerts import ALERTS, BY_NAME
from trainer.metrics.sinks.cloud_monitoring import resource

RUN = gcp_site.plan().runs[0].run_id
GROUP = f"slipway-dev-{RUN}-{gcp_site.RANDOM}"
TWO = {"seeds": "2", "email": "ops@example.com"}
SITE_LOG = 'logName="projects/my-project/logs/slipway-dev"'


def series(metric):
    return (
        f"custom_googleapis_com:slipway_{metric}"
        f'{{monitored_resource="generic_task", namespace="slipway-dev", job="{RUN}"}}'
    )


PROMQL = {
    "CheckpointStale": (f"last_over_time({series('rl_checkpoint_age_seconds')}[600s]) > 1800", "0s"),
    "ReturnPlateaued": (f"min_over_time({series('rl_plateau_ratio')}[600s]) > 0.5", "3600s"),
    "GpuIdle": (f"max_over_time({series('rl_gpu_busiest_utilization_ratio')}[600s]) < 0.05", "1800s"),
    "NodeSilent": (
        f'compute_googleapis_com:instance_group_size{{monitored_resource="instance_group", '
        f'instance_group_name="{GROUP}"}}'
        f" > 0 unless on () present_over_time({series('rl_env_steps_total')}[600s])",
        "3600s",
    ),
}
LINES = {
    "RunFailed": (
        f'{SITE_LOG} AND resource.type="generic_task" AND resource.labels.job="{RUN}" AND severity>=ERROR',
        "300s",
    ),
    "NodeLost": (
        'logName="projects/my-project/logs/cloudaudit.googleapis.com%2Factivity" AND resource.type="gce_instance"'
        ' AND severity>=ERROR AND protoPayload.methodName:"compute.instances.insert"'
        f' AND protoPayload.resourceName=~"/instances/slipway-dev-{RUN}-[a-z0-9]+$"',
        "3600s",
    ),
}
"""What is asked for each alert: PromQL and how long it must hold, or lines and the least time between two messages."""


def of_kind(recorded, kind):
    return [each for each in recorded[0] if each.kind == kind]


def policy(alert, **more):
    """The first run's policy of an alert."""
    (found,) = [
        each for each in of_kind(gcp_site.record(**more), "AlertPolicy") if each.name == f"slipway-dev-{RUN}-{alert}"
    ]
    return found.inputs


def test_each_alert_has_its_condition_here():
    assert set(PROMQL) | set(LINES) == {alert.name for alert in ALERTS}


@pytest.mark.parametrize("name", PROMQL)
def test_what_metrics_say_is_asked_in_promql(name):
    (condition,) = policy(name)["conditions"]
    query, duration = PROMQL[name]
    assert condition == {
        "displayName": BY_NAME[name].summary,
        "conditionPrometheusQueryLanguage": {
            "query": query,
            "duration": duration,
            "evaluationInterval": "60s",
            "alertRule": name,
            "disableMetricValidation": True,
        },
    }
    assert "notificationRateLimit" not in policy(name)["alertStrategy"]


@pytest.mark.parametrize("name", LINES)
def test_what_lines_say_is_matched_and_told_now_and_then(name):
    lines, rate = LINES[name]
    assert policy(name)["conditions"] == [
        {"displayName": BY_NAME[name].summary, "conditionMatchedLog": {"filter": lines}}
    ]
    assert policy(name)["alertStrategy"] == {"autoClose": "1800s", "notificationRateLimit": {"period": rate}}


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_a_policy_says_what_to_do_and_how_much_it_matters(alert):
    found = policy(alert.name)
    said = found["documentation"]
    assert said["content"] == f"Run {RUN}. {alert.summary}\n\n{alert.help}\n\nRunbook: {alert.runbook}"
    assert (said["mimeType"], said["subject"]) == ("text/markdown", f"{alert.name}: {RUN}")
    assert found["severity"] == {"critical": "CRITICAL", "warning": "WARNING"}[alert.severity]
    assert found["userLabels"]["slipway-stack"] == "dev"
    assert int(found["alertStrategy"]["autoClose"].rstrip("s")) >= 1800
    address = urllib.parse.urlsplit(said["links"][0]["url"])
    assert urllib.parse.parse_qs(address.query) == {"project": ["my-project"]}
    assert urllib.parse.unquote(address.path.partition("query=")[2]).startswith("logName=")


def test_policies_are_what_the_service_describes():
    for each in of_kind(gcp_site.record(**TWO), "AlertPolicy"):
        body = {key: value for key, value in each.inputs.items() if key != "project"}
        assert not google_schema.problems("monitoring.v3", "AlertPolicy", body)


def test_a_field_that_does_not_exist_is_found():
    wrong = {"conditions": [{"conditionMatchedLog": {"filters": ""}}], "severity": "critical", "enabled": 1}
    assert google_schema.problems("monitoring.v3", "AlertPolicy", wrong) == [
        "AlertPolicy.conditions[0].conditionMatchedLog.filters: there is no such field",
        "AlertPolicy.severity: 'critical' is none of ['SEVERITY_UNSPECIFIED', 'CRITICAL', 'ERROR', 'WARNING']",
        "AlertPolicy.enabled: 1 is no boolean",
    ]


def test_first_boots_are_heard_of_before_there_is_a_run():
    (found,) = [each for each in of_kind(gcp_site.record(), "AlertPolicy") if "first-boot" in each.name]
    (condition,) = found.inputs["conditions"]
    lines = f'{SITE_LOG} AND resource.type="gce_instance" AND severity>=ERROR'
    assert condition["conditionMatchedLog"] == {"filter": lines}
    assert found.inputs["documentation"]["content"].startswith("A machine of the site. ")


def test_series_are_those_that_the_run_sends():
    bundled = gcp_site.plan()
    found = re.search(r"\{(.*)\}", alert_policies.series(bundled, bundled.runs[0], "rl_score"))[1]
    labels = dict(re.findall(r'(\w+)="([^"]*)"', found))
    sent = resource("my-project", RUN, "slipway-dev")
    assert labels.pop("monitored_resource") == sent["type"]
    assert labels.items() <= sent["labels"].items()


def test_refusals_are_of_the_runs_own_machines():
    recorded = gcp_site.record(**TWO)
    groups = {each.inputs["description"]: each.inputs for each in of_kind(recorded, "RegionInstanceGroupManager")}
    planned = gcp_site.plan(**TWO)
    for run in planned.runs:
        pattern = re.search('resourceName=~"([^"]*)"', alert_policies.refusals(planned, run))[1]
        fits = [
            description
            for description, group in groups.items()
            if re.search(pattern, f"projects/my-project/zones/us-central1-a/instances/{group['baseInstanceName']}-x0y1")
        ]
        assert fits == [f"Trains {run.run_id}."]


def test_each_run_is_watched():
    recorded = gcp_site.record(**TWO)
    found = of_kind(recorded, "AlertPolicy")
    assert len(found) == 2 * len(ALERTS) + 1
    for run in recorded[1]["runs"]:
        silent = [each for each in found if each.name == f"slipway-dev-{run}-NodeSilent"]
        assert recorded[1]["groups"][run] in json.dumps(silent[0].inputs["conditions"])


def test_without_gpus_nothing_waits_for_them():
    found = {each.name for each in of_kind(gcp_site.record(machines="e2-standard-4"), "AlertPolicy")}
    assert len(found) == len(ALERTS)
    assert not any("GpuIdle" in name for name in found)


def test_a_run_that_sends_less_is_watched_by_what_it_sends(tmp_path):
    run = tmp_path / "run.yaml"
    sinks = "sinks: {cloud_monitoring: {metrics: [rl_score], interval_seconds: 1800}}"
    run.write_text(f"env: {{id: slipway/CartPole-v1}}\nbudget: {{env_steps: 100_000}}\n{sinks}\n")
    planned = gcp_site.plan(run=str(run))
    (first,) = planned.runs
    possible = {alert.name for alert in ALERTS if alert_policies.is_possible(planned, first, alert)}
    assert possible == {"RunFailed", "NodeLost", "NodeSilent"}
    assert alert_policies.silence(planned, first, "group").endswith("[3600s])")
    assert "slipway_rl_score{" in alert_policies.silence(planned, first, "group")


def test_who_hears_of_it():
    recorded = gcp_site.record(**TWO)
    (channel,) = of_kind(recorded, "NotificationChannel")
    assert (channel.inputs["type"], channel.inputs["labels"]) == ("email", {"email_address": "ops@example.com"})
    body = {key: value for key, value in channel.inputs.items() if key != "project"}
    assert not google_schema.problems("monitoring.v3", "NotificationChannel", body)
    for each in of_kind(recorded, "AlertPolicy"):
        assert each.refers_to["notificationChannels"] == [channel.urn]


def test_without_an_address_there_is_no_channel():
    recorded = gcp_site.record()
    assert not of_kind(recorded, "NotificationChannel")
    assert all(not each.inputs.get("notificationChannels") for each in of_kind(recorded, "AlertPolicy"))


def test_a_secret_address_stays_one(monkeypatch):
    monkeypatch.setattr(recording, "_plain", lambda value: value)
    given = {**gcp_site.CONFIG, "email": "ops@example.com"}
    planned = deployment.plan("dev", settings.load(given, ["email"]))
    recorded, _ = recording.record(lambda: site.deploy(planned), gcp_site.Google())
    (channel,) = [each for each in recorded if each.kind == "NotificationChannel"]
    assert channel.inputs["labels"]["email_address"][recording._SIGNATURE]
    assert "ops@example.com" not in json.dumps([each.inputs for each in recorded if each is not channel])


def test_policies_wait_for_the_sink_that_brings_lines():
    recorded = gcp_site.record()
    (sink,) = of_kind(recorded, "ProjectSink")
    for each in of_kind(recorded, "AlertPolicy"):
        assert sink.urn in each.dependencies
