"""Runs that send metrics and logs to both clouds: real processes, against servers that answer, break and stay away."""

import json
import signal

import pytest
from clouds import (
    PROJECT,
    REGION,
    amazon,
    amazon_environment,
    eventually,
    free_port,
    google,
    google_environment,
)
from processes import assert_same_training, train, wait_for_checkpoint
from processes import finish as finish_within

from trainer.cli import application
from trainer.metrics import catalogue
from trainer.metrics.sinks.cloud_monitoring import PREFIX

SECRET = "wJalrXUtnFEMI-not-to-be-told"
GROUP = "/slipway/runs"
SMALL = {
    "agent.num_envs": 32,
    "agent.rollout_steps": 32,
    "agent.minibatch_size": 64,
    "agent.epochs": 4,
    "budget.env_steps": 32 * 32 * 24,
    "budget.price_usd_per_hour": 1.5,
    "checkpoint.interval_iterations": 8,
    "checkpoint.interval_seconds": None,
    "evaluation.episodes_per_seed": 1,
    "evaluation.seeds": 2,
}
ALL = {
    "sinks.cloudwatch": {"enabled": True, "metrics": ["all"], "interval_seconds": 1},
    "sinks.cloud_monitoring": {"enabled": True, "interval_seconds": 5},
    "sinks.logs": {
        "stdout": True,
        "interval_seconds": 1,
        "cloudwatch": {"enabled": True, "group": GROUP},
        "cloud_logging": {"enabled": True},
    },
}


pytestmark = pytest.mark.timeout(1200)


def finish(process):
    return finish_within(process, timeout=600)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """The same training without any of it."""
    folder = tmp_path_factory.mktemp("plain")
    code, output = finish(train(folder, "run", SMALL, cold=True))
    assert code == 0, output
    return folder / "run"


@pytest.fixture
def both(monkeypatch, tmp_path):
    with amazon() as aws, google() as gcp:
        amazon_environment(monkeypatch, aws.address, tmp_path)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        google_environment(monkeypatch, gcp.address)
        aws.client("logs").create_log_group(logGroupName=GROUP)
        yield aws, gcp


def json_lines(text):
    return [json.loads(line) for line in text.splitlines() if line.startswith('{"time":')]


def streams(aws, run_id):
    found = aws.client("logs").get_log_events(logGroupName=GROUP, logStreamName=run_id, startFromHead=True)
    return [json.loads(event["message"]) for event in found["events"]]


@pytest.mark.slow
def test_metrics_and_logs_reach_both_clouds_and_the_training_is_the_same(both, plain, tmp_path):
    aws, gcp = both
    code, output = finish(train(tmp_path, "run", SMALL | ALL))
    assert code == 0, output
    assert_same_training(tmp_path / "run", plain)

    listed = aws.client("cloudwatch").list_metrics(Namespace="Slipway")["Metrics"]
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    written = {
        catalogue.parse(key).metric.name
        for row in rows
        for key in catalogue.in_order(key for key in row if key.startswith("rl_"))
    }
    assert {metric["MetricName"] for metric in listed} == written
    assert {d["Value"] for m in listed for d in m["Dimensions"] if d["Name"] == "RunId"} == {"run"}
    steps = [
        value for key, found in gcp.series.items() if key[0] == f"{PREFIX}rl_env_steps_total" for _, value in found
    ]
    assert steps[-1] == SMALL["budget.env_steps"]

    said = json_lines(output)
    assert [line["message"] for line in said] == [line["message"] for line in streams(aws, "run")]
    assert sorted(line["message"] for line in said) == sorted(e.json_payload["message"] for _, e in gcp.entries)
    messages = [line["message"] for line in said]
    assert messages[0].startswith("CloudWatch gets 41 time series, about ")
    for expected in ("run run is running", "checkpoint at environment step 8192", "evaluating", "run run is finished"):
        assert expected in messages
    assert {line["run_id"] for line in said} == {"run"}
    assert any(line["fields"].get("rl_env_steps_total") == SMALL["budget.env_steps"] for line in said)
    assert "refuses" not in output
    assert "missed" not in output

    files = b"".join(path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file())
    for told in (output.encode(), files, *aws.requests, *(repr(entry).encode() for _, entry in gcp.entries)):
        assert SECRET.encode() not in told


@pytest.mark.slow
def test_clouds_that_stay_away_change_nothing_but_are_told(plain, monkeypatch, tmp_path):
    amazon_environment(monkeypatch, f"http://127.0.0.1:{free_port()}", tmp_path)
    google_environment(monkeypatch, f"http://127.0.0.1:{free_port()}")
    code, output = finish(train(tmp_path, "run", SMALL | ALL))
    assert code == 0, output
    assert_same_training(tmp_path / "run", plain)
    for name in ("CloudWatch", "Cloud Monitoring"):
        assert f"{name} missed " in output
    for name in ("CloudWatch", "CloudWatch Logs", "Cloud Logging"):
        assert f"{name} fails (" in output
    assert "Traceback" not in output


@pytest.mark.slow
def test_a_run_does_not_wait_for_clouds_that_hang(both, plain, tmp_path):
    aws, gcp = both
    process = train(tmp_path, "run", SMALL | ALL)
    # Checking the settings asks for the log group, so the services hang only from the training on.
    assert wait_for_checkpoint(process, tmp_path / "run", 0, timeout=600)
    aws.gate.clear()
    gcp.gate.clear()
    code, output = finish(process)
    assert not aws.gate.is_set()
    assert not gcp.gate.is_set()
    assert code == 0, output
    assert_same_training(tmp_path / "run", plain)


@pytest.mark.slow
def test_a_signal_and_a_failure_are_said(both, tmp_path):
    aws, _ = both
    process = train(tmp_path, "run", SMALL | ALL | {"budget.env_steps": 32 * 32 * 100_000})
    assert wait_for_checkpoint(process, tmp_path / "run", 0, timeout=600)
    process.send_signal(signal.SIGTERM)
    code, output = finish(process)
    assert code == 75, output
    last = [line for line in streams(aws, "run") if "state" in line["fields"]][-1]
    assert (last["severity"], last["message"]) == ("WARNING", "run run is preempted: stopped by SIGTERM")
    code, output = finish(
        train(
            tmp_path,
            "bad",
            SMALL | ALL | {"agent.learning_rate": 1.0, "agent.max_gradient_norm": None, "agent.reward_scale": 1e30},
        )
    )
    assert code == 1, output
    last = [line for line in streams(aws, "bad") if "state" in line["fields"]][-1]
    assert last["severity"] == "ERROR"
    assert "stopped being finite" in last["message"]


def refused(tmp_path, monkeypatch, capfd, *settings):
    """What `slipway train` says; it has made nothing."""
    monkeypatch.chdir(tmp_path)
    pairs = [part for setting in settings for part in ("--set", setting)]
    assert application.run(["train", "cartpole-ppo", "--store", str(tmp_path / "runs"), *pairs]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert not list((tmp_path / "runs").glob("*")) if (tmp_path / "runs").exists() else True
    return err


@pytest.mark.parametrize(
    ("settings", "field", "fix"),
    [
        (["sinks.cloudwatch.metrics=[rl_scor]"], "sinks.cloudwatch.metrics[0]: 'rl_scor'", "write rl_score"),
        (["sinks.cloudwatch.metrics=[rl_run_info]"], "sinks.cloudwatch.metrics[0]: 'rl_run_info'", ""),
        (["sinks.cloud_monitoring.metrics=[everything]"], "sinks.cloud_monitoring.metrics[0]: 'everything'", ""),
        (["sinks.cloudwatch.metrics=[]"], "sinks.cloudwatch.metrics", ""),
        (['sinks.cloudwatch.namespace=a"b'], "sinks.cloudwatch.namespace", "to get Slipway"),
        (["sinks.cloudwatch.namespace=AWS/EC2"], "sinks.cloudwatch.namespace: 'AWS/EC2'", "without AWS/"),
        (["sinks.cloudwatch.interval_seconds=0"], "sinks.cloudwatch.interval_seconds", ""),
        (["sinks.cloud_monitoring.interval_seconds=1"], "sinks.cloud_monitoring.interval_seconds", ""),
        (["sinks.cloud_monitoring.project=My Project"], "sinks.cloud_monitoring.project", ""),
        (["sinks.logs.cloudwatch.group=a b"], "sinks.logs.cloudwatch.group", ""),
        (["sinks.logs.cloud_logging.log_name=a/b"], "sinks.logs.cloud_logging.log_name", ""),
        (
            ["sinks.logs.cloudwatch={enabled: true, group: /no/such}"],
            "sinks.logs.cloudwatch.group: '/no/such'",
            "aws logs create-log-group",
        ),
    ],
)
def test_what_is_wrong_is_found_before_the_run(both, tmp_path, monkeypatch, capfd, settings, field, fix):
    err = refused(tmp_path, monkeypatch, capfd, *settings)
    assert err.startswith(f"slipway: {field}")
    assert len(err.splitlines()) == 3
    assert fix in err


def test_a_missing_group_names_the_region(both, tmp_path, monkeypatch, capfd):
    err = refused(tmp_path, monkeypatch, capfd, "sinks.logs.cloudwatch={enabled: true, group: /no/such}")
    assert f"a log group that is there, in {REGION}" in err


def test_no_region_credentials_or_project_is_found_before_the_run(both, tmp_path, monkeypatch, capfd):
    monkeypatch.delenv("AWS_REGION")
    assert "set AWS_REGION" in refused(tmp_path, monkeypatch, capfd, "sinks.cloudwatch.enabled=true")
    monkeypatch.setenv("AWS_REGION", REGION)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    assert "credentials of AWS" in refused(tmp_path, monkeypatch, capfd, "sinks.logs.cloudwatch.enabled=true")
    monkeypatch.delenv("GOOGLE_CLOUD_PROJECT")
    for sink in ("sinks.cloud_monitoring", "sinks.logs.cloud_logging"):
        assert f"set {sink}.project" in refused(tmp_path, monkeypatch, capfd, f"{sink}.enabled=true")


def test_the_project_of_the_run_file_comes_first(both, monkeypatch):
    from trainer.metrics.sinks.cloud_monitoring import CloudMonitoring

    for project, expected in (("another-project", "another-project"), (None, PROJECT)):
        destination = CloudMonitoring(project, "run")
        assert destination.project == expected
        destination.close()


def test_the_cost_is_told_when_a_sink_opens(both):
    from trainer.config.models import Sinks
    from trainer.metrics.sinks.exporters import open_exporters

    told = []
    settings = Sinks.model_validate({"cloudwatch": {"enabled": True}, "cloud_monitoring": {"enabled": True}})
    info = {"run_id": "run", "env_id": "slipway/LostSales-v0", "algorithm": "ppo"}
    for sink in open_exporters(settings, info, told.append).values():
        sink.close()
    assert told == [
        "CloudWatch gets 12 time series, about 4.04 USD for a month of training (list price)",
        "Cloud Monitoring gets 12 time series, about 1.03 USD for a month of training (list price)",
    ]


def test_a_sink_that_cannot_open_closes_the_others(both, monkeypatch):
    import threading

    from trainer.config.models import Sinks
    from trainer.errors import BadInput
    from trainer.metrics.sinks.exporters import open_exporters

    monkeypatch.delenv("GOOGLE_CLOUD_PROJECT")
    settings = Sinks.model_validate({"cloudwatch": {"enabled": True}, "cloud_monitoring": {"enabled": True}})
    with pytest.raises(BadInput):
        open_exporters(settings, {"run_id": "run", "env_id": "", "algorithm": ""}, lambda text: None)
    eventually(lambda: not any(thread.name == "slipway: CloudWatch" for thread in threading.enumerate()))
