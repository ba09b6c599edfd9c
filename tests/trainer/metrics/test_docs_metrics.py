"""The commands of docs/metrics.md, run as they stand there."""

import datetime
import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import clouds
import pytest

from trainer.config import check, load, yaml_text
from trainer.logs.lines import Line, Run, Severity
from trainer.metrics.reference import table
from trainer.metrics.sinks import cost
from trainer.metrics.sinks.jsonl import JsonlSink
from trainer.metrics.sinks.prometheus import PrometheusSink
from trainer.metrics.sinks.tensorboard import TensorBoardSink

DOCS = Path(__file__).parents[3] / "docs"
PAGE = (DOCS / "metrics.md").read_text()
ROW = {"iteration": 1, "rl_score": 4.8123, "rl_optimality_gap_ratio": 0.0176}


def block(language, containing):
    """The page's one block of code in a language that contains something."""
    blocks = re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.DOTALL)
    (found,) = [text for text in blocks if containing in text]
    return found


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "runs" / "RUN"
    folder.mkdir(parents=True)
    for sink in (JsonlSink(folder / "metrics.jsonl"), TensorBoardSink(folder / "events")):
        sink.write(ROW, 16384, 0.31)
        sink.close()
    return tmp_path


def shell(command, folder):
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command, shell=True, cwd=folder, capture_output=True, text=True, timeout=240, env={**os.environ, "PATH": path}
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_one_liner_prints_the_last_score(run):
    assert shell(block("sh", "tail"), run) == "4.8123\n"


def test_the_snippet_reads_the_scores(run, monkeypatch):
    monkeypatch.chdir(run)
    names = {}
    exec(block("python", "jsonl.read"), names)
    assert names["scores"] == [(16384, 4.8123)]


def test_curl_gets_what_the_page_shows(run):
    info = {"run_id": "lost-sales-ppo-1", "env_id": "slipway/LostSales-v0", "algorithm": "ppo"}
    sink = PrometheusSink(info, port=0)
    try:
        sink.write({"rl_score": 4.8123}, 16384, 0.31)
        request = f"http://127.0.0.1:{sink.port}/metrics"
        answer = shell(block("sh", "curl").replace("http://127.0.0.1:9464/metrics", request), run)
    finally:
        sink.close()
    assert answer == block("text", "rl_run_info")


def test_tensorboard_shows_the_run(run):
    """The real server, asked as its page in the browser asks."""
    command = [str(Path(sys.executable).parent / "tensorboard"), *block("sh", "tensorboard").split()[1:]]
    log = run / "tensorboard.log"
    with (
        log.open("w") as output,
        subprocess.Popen(
            [*command, "--port", "0", "--load_fast", "false"], cwd=run, stdout=output, stderr=output
        ) as server,
    ):
        try:
            address, deadline = None, time.monotonic() + 60
            while address is None and time.monotonic() < deadline:
                assert server.poll() is None, log.read_text()
                address = re.search(r"http://localhost:\d+/", log.read_text())
                time.sleep(0.1)
            assert address, log.read_text()
            tags = ""
            while "rl_score" not in tags and time.monotonic() < deadline:
                tags = urllib.request.urlopen(f"{address[0]}data/plugin/scalars/tags", timeout=10).read().decode()
        finally:
            server.terminate()
    assert '"RUN/events": {' in tags
    assert "outcome/rl_score" in tags


@pytest.fixture
def clouds_that_answer(monkeypatch, tmp_path):
    with clouds.amazon() as aws, clouds.google() as gcp:
        clouds.amazon_environment(monkeypatch, aws.address, tmp_path)
        clouds.google_environment(monkeypatch, gcp.address)
        aws.client("logs").create_log_group(logGroupName="/slipway/runs")
        yield


@pytest.mark.slow
@pytest.mark.parametrize("setting", ["sinks.cloudwatch", "sinks.cloud_monitoring", "sinks.logs.stdout"])
def test_the_commands_for_the_clouds_pass_all_checks(clouds_that_answer, setting, tmp_path):
    command = block("sh", f"--set {setting}")
    assert command.startswith("slipway train ")
    resolved = yaml_text.parse(shell(f"{command.strip()} --dry-run", tmp_path), "the output")["sinks"]
    name = setting.split(".")[1]
    assert resolved[name]["stdout" if name == "logs" else "enabled"] is True


@pytest.mark.parametrize("section", ["cloudwatch:\n    enabled", "cloud_monitoring:", "logs:"])
def test_the_settings_for_the_clouds_are_settings(clouds_that_answer, section):
    settings = yaml_text.parse(block("yaml", section), "the page")
    run_file = load.validate({"env": "gymnasium:CartPole-v1", **settings})
    check.check(run_file)
    (name,) = settings["sinks"]
    assert set(settings["sinks"][name]) | {"stdout"} >= set(run_file.sinks.model_dump()[name])


def test_the_line_of_log_is_as_written():
    shown = json.loads(block("json", '"severity"'))
    run = Run(shown["run_id"], shown["env_id"], shown["algorithm"])
    when = datetime.datetime.fromisoformat(shown["time"]).timestamp()
    line = Line(run, when, Severity(shown["severity"]), shown["message"], shown["step"], shown["fields"])
    assert line.encode() == block("json", '"severity"').strip()


def test_the_costs_are_as_computed():
    assert cost.table() in PAGE


def test_the_reference_is_as_generated():
    assert (DOCS / "reference" / "metrics.md").read_text() == table()
