"""The rules of a site, under Prometheus' own tools and in a real Prometheus that collects a real training."""

import contextlib
import http.server
import json
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import yaml
from prometheus_server import Prometheus, alertmanager, free_port, node_exporter, program
from rule_cases import CASES

from infra.onprem import rules

ROOT = Path(__file__).parents[2]
ROLE = ROOT / "ansible/roles/monitoring"
RULES = ROLE / "files/rules.yml"


def said(template, labels):
    """A text as Prometheus fills it in."""
    return re.sub(r"\{\{ \$labels\.(\w+) \}\}", lambda match: labels.get(match[1], ""), template)


def expected(rule, labels):
    """An alert as promtool wants it described."""
    annotations = {"summary": said(f"{rule.subject}. {rule.alert.summary}", labels)}
    annotations |= {"description": rule.alert.help, "runbook": rule.alert.runbook}
    return {"exp_labels": {**labels, "severity": rule.severity}, "exp_annotations": annotations}


def test_the_rules_make_sense():
    done = subprocess.run([program("promtool"), "check", "rules", RULES], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f"{len(rules.RULES)} rules found" in done.stdout


def test_every_rule_fires_when_it_should_and_not_otherwise(tmp_path):
    by_name = {rule.name: rule for rule in rules.RULES}
    assert {name for name, _, _, fires in CASES if fires} == set(by_name)
    tests = []
    for name, given, quiet, fires in CASES:
        checks = [{"eval_time": f"{minute}m", "alertname": name, "exp_alerts": []} for minute in quiet]
        for minute, labels in fires.items():
            alerts = [expected(by_name[name], labels)]
            checks.append({"eval_time": f"{minute}m", "alertname": name, "exp_alerts": alerts})
        tests.append({"name": name, "interval": "1m", "input_series": given, "alert_rule_test": checks})
    path = tmp_path / "tests.yml"
    path.write_text(yaml.safe_dump({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": tests}))
    done = subprocess.run([program("promtool"), "test", "rules", path], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


TOKEN = re.compile(
    r'"(?:[^"\\]|\\.)*"|\d[\w.]*'
    r"|\b(?:on|by|without|ignoring|group_left|group_right)\b\s*\([^)]*\)"
    r'|(?P<selector>[a-zA-Z_:][\w:]*(?:\{(?:[^}"]|"[^"]*")*\})?)(?!\w*\s*\()'
)
WORDS = {"and", "or", "unless", "bool", "offset"}


def selectors(expression):
    """The series that an expression looks at."""
    found = {match["selector"] for match in TOKEN.finditer(expression) if match["selector"]}
    return found - WORDS


def test_selectors_are_found():
    expression = (
        'increase(a_total{b=~"c|d"}[5m]) > 0 and on (x) (up{job="n"} == 1) or label_replace(z, "e", "$1", "f", "(.*)")'
    )
    assert selectors(expression) == {'a_total{b=~"c|d"}', 'up{job="n"}', "z"}
    assert selectors("time() - abs(a - timestamp(a)) > 21 * 86400") == {"a"}


# -- in a real Prometheus ----------------------------------------------------------------------------------------------

TINY = {
    "agent.num_envs": 8, "agent.rollout_steps": 32, "agent.minibatch_size": 256, "budget.env_steps": 256 * 200_000,
    "evaluation.seeds": 2, "evaluation.episodes_per_seed": 1, "checkpoint.interval_seconds": 2,
}  # fmt: skip
WITHOUT_SERIES = {"GpuIdle": "there may be no GPU here", "GpuDriverDown": "nor a driver of one"}
"""Rules whose metrics a machine for tests need not have."""


class Mailbox:
    """A webhook that keeps what Alertmanager sends."""

    def __init__(self):
        self.messages = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(handler):  # noqa: N805
                body = handler.rfile.read(int(handler.headers["Content-Length"]))
                self.messages.append(json.loads(body))
                handler.send_response(200)
                handler.end_headers()

            def log_message(handler, *_):  # noqa: N805
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def wait(self, name, status, seconds=60):
        """The first alert of a name and a status in the messages."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for alert in (alert for message in list(self.messages) for alert in message["alerts"]):
                if (alert["labels"]["alertname"], alert["status"]) == (name, status):
                    return alert
            time.sleep(0.2)
        raise AssertionError(f"{name} is not {status}: {self.messages}")


def slipway(*arguments):
    return [sys.executable, "-m", "trainer", *map(str, arguments)]


@contextlib.contextmanager
def worker(folder):
    """The worker of a slot, which trains; its process, and the address of its metrics."""
    port = free_port()
    queue = folder / "queue"
    queue.mkdir()
    options = [item for key, value in TINY.items() for item in ("--set", f"{key}={value}")]
    submit = slipway("node", "submit", "cartpole-ppo", "--queue", queue, "--run-id", "watched", *options)
    subprocess.run(submit, check=True, capture_output=True)
    work = slipway("node", "work", "--queue", queue, "--store", folder / "runs", "--metrics-port", port)
    with (folder / "worker.log").open("w") as log, subprocess.Popen(work, stdout=log, stderr=log) as process:
        try:
            yield process, f"127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(60)


def certificate(folder):
    """A certificate of 30 days, noted for the node exporter as a host does it; when it ends."""
    pki, texts = folder / "pki", folder / "texts"
    for each in (pki, texts):
        each.mkdir()
    make = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=host -days 30"
    subprocess.run(
        [*make.split(), "-keyout", pki / "host.key", "-out", pki / "host.pem"], check=True, capture_output=True
    )
    subprocess.run([ROLE / "files/certificate-expiry", pki, texts / "slipway_certificates.prom"], check=True)
    return texts, time.time() + 30 * 86400


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A Prometheus with all the jobs of a site, which has collected a bit of a training."""
    folder = tmp_path_factory.mktemp("site")
    box = Mailbox()
    # What must last minutes before it is told lasts a second here.
    hasty = folder / "rules.yml"
    hasty.write_text(re.sub(r"for: \d+s", "for: 1s", RULES.read_text()))
    receiver = {"name": "people", "webhook_configs": [{"url": box.url, "send_resolved": True}]}
    times = {"group_wait": "0s", "group_interval": "1s", "repeat_interval": "1h"}
    told = {"route": {"receiver": "people", "group_by": ["alertname"], **times}, "receivers": [receiver]}
    texts, ends = certificate(folder)
    with contextlib.ExitStack() as stack:
        process, trainer = stack.enter_context(worker(folder))
        nodes = stack.enter_context(node_exporter(folder, f"--collector.textfile.directory={texts}"))
        manager = stack.enter_context(alertmanager(folder, told))
        host = {"host": "gpu-1"}
        # "/" is mounted, whatever else is.
        targets = {
            "node": (nodes, {**host, "store": "/"}),
            "trainer": (trainer, {**host, "slot": "0"}),
            "alertmanager": (manager, host),
        }
        jobs = [
            {"job_name": job, "static_configs": [{"targets": [address], "labels": labels}]}
            for job, (address, labels) in targets.items()
        ]
        prometheus = stack.enter_context(Prometheus(folder, jobs, rules=[hasty], alertmanagers=[manager]))
        try:
            prometheus.wait("rl_plateau_ratio and on (instance) rl_checkpoint_timestamp_seconds", 400)
        except AssertionError:
            print((folder / "worker.log").read_text())
            raise
        prometheus.process, prometheus.box, prometheus.ends = process, box, ends
        yield prometheus


pytestmark = pytest.mark.timeout(600)


@pytest.mark.slow
@pytest.mark.parametrize("rule", rules.RULES, ids=lambda rule: rule.name)
def test_every_rule_looks_at_series_that_are_there(site, rule):
    site.query(rule.expression)
    for selector in selectors(rule.expression):
        if rule.name in WITHOUT_SERIES:
            site.query(selector)
        else:
            assert site.query(selector), f"{selector} has no series"


@pytest.mark.slow
def test_prometheus_has_loaded_every_rule_and_finds_no_fault(site):
    loaded = [rule for group in site.get("rules")["groups"] for rule in group["rules"]]
    assert {rule["name"] for rule in loaded} == {rule.name for rule in rules.RULES}
    assert {rule["lastError"] for rule in loaded if "lastError" in rule} <= {""}
    assert {rule["health"] for rule in loaded} == {"ok"}


@pytest.mark.slow
def test_the_end_of_a_certificate_is_what_the_host_says(site):
    (found,) = site.query('slipway_certificate_expiry_timestamp_seconds{file="host.pem"}')
    assert float(found["value"][1]) == pytest.approx(site.ends, abs=120)


@pytest.mark.slow
def test_a_run_is_named_by_what_is_said_of_it(site):
    (found,) = site.query("rl_plateau_ratio * on (instance) group_left (run_id) rl_run_info")
    assert found["metric"] == {
        "instance": found["metric"]["instance"],
        "job": "trainer",
        "host": "gpu-1",
        "slot": "0",
        "run_id": "watched",
    }


@pytest.mark.slow
def test_people_hear_of_a_trainer_that_stops(site):
    """The last test of the site: nothing trains any more."""
    assert not [alert for alert in site.get("alerts")["alerts"] if alert["labels"]["alertname"] == "TrainerDown"]
    site.process.terminate()
    alert = site.box.wait("TrainerDown", "firing")
    assert (alert["labels"]["host"], alert["labels"]["slot"], alert["labels"]["severity"]) == ("gpu-1", "0", "critical")
    assert alert["annotations"]["runbook"] == "docs/runbooks/TrainerDown.md"
    assert alert["annotations"]["summary"].startswith("Host gpu-1, slot 0. ")
