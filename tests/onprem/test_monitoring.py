"""A bare host becomes the monitor of a site: people and hosts get in by what they have, and no one else."""

import json
import os
import re
import subprocess
import time
from pathlib import Path

import pytest
import yaml
from lab import site
from monitor_pages import Pages

PASSPHRASE = "a passphrase for tests"
UNITS = ["prometheus-node-exporter", "prometheus", "prometheus-alertmanager"]
CONFIGURATION = "/etc/slipway-monitoring"
UP = """
- name: Make a monitor
  hosts: all
  become: true
  roles:
    - role: site
    - role: monitoring
"""
DOWN = """
- name: Remove the monitor
  hosts: all
  become: true
  vars: {site_state: leaving, monitoring_state: absent}
  roles:
    - role: monitoring

- name: Give the host back
  hosts: all
  become: true
  vars: {site_state: absent}
  roles:
    - role: site
"""
AGENT, PERSON = "9100/metrics", "9090/api/v1/"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(os.geteuid() != 0, reason="hosts of their own need root"),
]


class Monitor(Pages):
    """The host, and what the operator's machine has to reach it."""

    def __init__(self, lab):
        self.lab, self.host = lab, lab.hosts["watcher"]
        super().__init__(self.host.address, lab.inventory.parent / "secrets", PASSPHRASE)
        self.up, self.down = lab.folder / "up.yml", lab.folder / "down.yml"
        self.up.write_text(UP)
        self.down.write_text(DOWN)

    def play(self, playbook, *options, check=True, **variables):
        return self.lab.play(playbook, "--extra-vars", json.dumps(variables), *options, check=check)


def sign(monitor):
    """What role `certificates` leaves behind on the operator's machine: the site's CA, and what it signed."""
    secrets = monitor.secrets
    secrets.mkdir(mode=0o700)
    names = f"subjectAltName=DNS:watcher,IP:{monitor.address}\nextendedKeyUsage=serverAuth,clientAuth\n"
    (secrets / "names").write_text(names)
    key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -noenc"
    for command in (
        f"req -x509 {key} -subj /CN=authority -days 3650 -keyout ca.key -out ca.pem",
        f"req {key} -subj /CN=watcher -keyout host.key -out host.csr",
        "x509 -req -in host.csr -CA ca.pem -CAkey ca.key -days 397 -extfile names -out host.pem",
    ):
        subprocess.run(["openssl", *command.split()], cwd=secrets, check=True, capture_output=True)


def certify(monitor):
    """What it leaves behind on the host: the CA, its certificate and its key."""
    secrets, host = monitor.secrets, monitor.host
    host.run("groupadd", "--system", "slipway-pki")
    host.run("install", "--directory", "--group=slipway-pki", "--mode=750", "/etc/slipway-pki")
    for name in ("ca.pem", "host.pem", "host.key"):
        (host.root / "etc/slipway-pki" / name).write_bytes((secrets / name).read_bytes())
        host.run("chgrp", "slipway-pki", f"/etc/slipway-pki/{name}")
        host.run("chmod", "640", f"/etc/slipway-pki/{name}")


@pytest.fixture(scope="module")
def monitor():
    with pytest.MonkeyPatch.context() as patch, site("monitoring", {"watcher": "bookworm"}) as lab:
        patch.setenv("SLIPWAY_CA_PASSPHRASE", PASSPHRASE)
        variables = {"monitoring_scrape_seconds": 1, "monitoring_retention_gib": 1, "trainer_slots": 2}
        mail = {"monitoring_email": ["ops@example.org"], "monitoring_email_from": "slipway@example.org"}
        mail |= {"monitoring_smtp": "127.0.0.1:25", "monitoring_webhooks": ["http://127.0.0.1:9/hook"]}
        lab.write_inventory({"gpu": ["watcher"], "monitor": ["watcher"]}, **variables, **mail)
        made = Monitor(lab)
        sign(made)
        certify(made)
        made.dry = made.play(made.up, "--check", check=False)
        made.first = made.play(made.up)
        yield made


def test_a_dry_run_changes_nothing_and_ends_well(monitor):
    assert monitor.dry.returncode == 0, monitor.dry.output


def test_what_serves_runs_hardened_and_starts_with_the_machine(monitor):
    for unit in UNITS:
        assert monitor.host.run("systemctl", "is-active", unit).stdout.strip() == "active"
        assert monitor.host.run("systemctl", "is-enabled", unit).stdout.strip() == "enabled"
        rating = monitor.host.run("systemd-analyze", "security", "--threshold=20", unit, check=False)
        assert rating.returncode == 0, rating.stdout[-200:]
    assert monitor.host.run("systemctl", "is-active", "slipway-certificates.timer").stdout.strip() == "active"


def test_nobody_else_reads_the_configuration(monitor):
    modes = monitor.host.run("bash", "-c", f"cd {CONFIGURATION} && stat --format='%n %U:%G %a' . * targets/*").stdout
    for line in modes.splitlines():
        name, owner, mode = line.split()
        if name.startswith("taken-"):  # a stamp of the role's
            assert (owner, mode) == ("root:root", "600"), line
            continue
        assert owner == "root:prometheus", line
        assert mode == ("750" if name in (".", "targets") else "640"), line


def test_the_password_is_kept_encrypted_and_is_said_nowhere(monitor):
    assert (monitor.secrets / "monitoring-password").read_text().startswith("$ANSIBLE_VAULT;")
    assert (monitor.secrets / "monitoring-password").stat().st_mode & 0o777 == 0o600
    password = monitor.password
    assert len(password) == 32
    assert password not in monitor.first.output
    arguments = monitor.host.run("bash", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '").stdout
    assert "--web.config.file" in arguments
    assert password not in arguments


@pytest.mark.parametrize("port", [9090, 9093])
def test_people_need_the_password_and_tls(monitor, port):
    assert monitor.curl(f"{port}/-/ready", "--user", f"slipway:{monitor.password}")[0] == 200
    assert monitor.curl(f"{port}/-/ready", "--user", "slipway:wrong")[0] == 401
    assert monitor.curl(f"{port}/-/ready")[0] == 401
    assert monitor.curl(f"{port}/-/ready", scheme="http")[0] == 400
    assert monitor.curl(f"{port}/-/ready", "--tls-max", "1.2")[0] == 0


def test_only_hosts_of_the_site_get_metrics_of_a_host(monitor):
    assert monitor.curl(AGENT)[0] == 0
    pki = "/etc/slipway-pki"
    tls = ["--cacert", f"{pki}/ca.pem", "--cert", f"{pki}/host.pem", "--key", f"{pki}/host.key"]
    metrics = monitor.host.run("curl", "--silent", *tls, f"https://{monitor.address}:{AGENT}").stdout
    assert "node_filesystem_avail_bytes{" in metrics
    assert monitor.host.run("curl", "--silent", *tls[:2], f"https://{monitor.address}:{AGENT}", check=False).returncode


def test_prometheus_collects_what_is_there_and_knows_what_is_not(monitor):
    monitor.wait("count(up)==5 and count(up==1)==3")
    up = {
        (each["metric"]["job"], each["metric"].get("slot")): each for each in monitor.ask("v1/query?query=up")["result"]
    }
    assert {key: each["value"][1] for key, each in up.items()} == {
        ("node", None): "1", ("prometheus", None): "1", ("alertmanager", None): "1",
        ("trainer", "0"): "0", ("trainer", "1"): "0",
    }  # fmt: skip
    assert {each["metric"]["host"] for each in up.values()} == {"watcher"}


def test_an_alert_of_an_operator_s_own_is_sent_as_the_runbook_says(monitor):
    page = (Path(__file__).parents[2] / "docs/runbooks/AlertsUndelivered.md").read_text()
    (command,) = re.findall(r"^curl .*?(?=^```)", page, re.MULTILINE | re.DOTALL)
    changes = {"secrets/": f"{monitor.secrets}/", "user slipway": f"user slipway:{monitor.password}"}
    for old, new in {**changes, "https://MONITOR": f"https://{monitor.address}"}.items():
        assert old in command
        command = command.replace(old, new)
    subprocess.run(["bash", "-c", command.replace("curl", "curl --fail --silent", 1)], check=True)
    _, body = monitor.curl("9093/api/v2/alerts", "--user", f"slipway:{monitor.password}")
    alerts = [each["labels"] for each in json.loads(body)]
    assert {"alertname": "Test", "severity": "warning", "host": "MONITOR"} in alerts


def test_the_rules_are_loaded_and_a_trainer_that_is_not_there_is_noticed(monitor):
    groups = monitor.ask("v1/rules")["groups"]
    assert [group["name"] for group in groups] == ["runs", "site"]
    monitor.wait('count(ALERTS{alertname="TrainerDown"})==2')
    alerts = {(each["labels"]["alertname"], each["labels"]["slot"]) for each in monitor.ask("v1/alerts")["alerts"]}
    assert {("TrainerDown", "0"), ("TrainerDown", "1")} <= alerts
    managers = monitor.ask("v1/alertmanagers")
    assert len(managers["activeAlertmanagers"]) == 1


def test_the_ends_of_certificates_are_collected(monitor):
    found = monitor.wait("slipway_certificate_expiry_timestamp_seconds")
    assert {each["metric"]["file"] for each in found} == {"ca.pem", "host.pem"}
    days = {each["metric"]["file"]: (float(each["value"][1]) - time.time()) / 86400 for each in found}
    assert 390 < days["host.pem"] < 400


def test_people_are_told_by_all_ways_that_were_asked_for(monitor):
    config = yaml.safe_load(monitor.host.run("cat", f"{CONFIGURATION}/alertmanager.yml").stdout)
    (people,) = config["receivers"]
    assert [each["to"] for each in people["email_configs"]] == ["ops@example.org"]
    assert config["global"]["smtp_require_tls"] is True
    code, status = monitor.curl("9093/api/v2/status", "--user", f"slipway:{monitor.password}")
    assert code == 200
    assert "ops@example.org" in json.loads(status)["config"]["original"]


def test_a_second_application_changes_nothing(monitor):
    again = monitor.play(monitor.up)
    assert again.changes() == []
    assert again.changed == 0


def test_another_passphrase_than_that_of_the_password_is_refused_in_words(monitor):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLIPWAY_CA_PASSPHRASE", f"{PASSPHRASE} that is new")
        said = monitor.play(monitor.up, check=False)
    assert said.returncode == 2
    assert "monitoring-password: the passphrase of the site's CA does not open it" in " ".join(said.output.split())
    assert said.changed == 0


def test_what_makes_no_sense_is_refused_before_anything_changes(monitor):
    said = monitor.play(monitor.up, monitoring_smtp="mail", check=False)
    assert said.returncode == 2
    assert 'monitoring_smtp "mail"' in " ".join(said.output.split())
    assert said.changed == 0


def started(monitor):
    """When each service was started."""
    return {unit: monitor.host.properties(f"{unit}.service")["ActiveEnterTimestamp"] for unit in UNITS}


@pytest.mark.deep
def test_what_a_play_that_was_cut_off_has_not_restarted_is_restarted(monitor):
    before = started(monitor)
    # Both are written, and not read.
    drop_in = "/etc/systemd/system/prometheus-node-exporter.service.d/slipway.conf"
    monitor.host.run("touch", drop_in, f"{CONFIGURATION}/rules.yml")
    again = monitor.play(monitor.up)
    assert {unit for unit in UNITS if started(monitor)[unit] != before[unit]} == {"prometheus-node-exporter"}
    assert "monitoring : Reload prometheus" in " ".join(again.changes())
    assert monitor.play(monitor.up).changes() == []


@pytest.mark.deep
def test_a_port_that_something_else_has_is_said(monitor):
    monitor.host.run("systemctl", "stop", "prometheus.service")
    monitor.host.run("systemd-run", "--quiet", "--unit=squatter", "python3", "-m", "http.server", "9090")
    end = time.monotonic() + 20
    while not monitor.host.run("ss", "-Hltn", "sport = :9090").stdout:
        assert time.monotonic() < end
        time.sleep(0.1)
    said = monitor.play(monitor.up, check=False)
    monitor.host.run("systemctl", "stop", "squatter.service")
    assert "Ports: something else listens where the site is to" in " ".join(said.output.split())
    assert said.changed == 0
    monitor.play(monitor.up)


@pytest.mark.deep
def test_what_was_taken_back_by_the_role_alone_is_made_again(monitor):
    """The packages are still there: they go with the host's record."""
    monitor.play(monitor.up, monitoring_state="absent")
    monitor.play(monitor.up)
    monitor.wait("count(up==1)==3")


@pytest.mark.deep
def test_a_monitor_with_a_new_disk_is_made_anew_with_the_passwords_that_there_were(monitor):
    monitor.host.crash()
    monitor.host.reinstall()
    monitor.lab.know_hosts()
    assert monitor.curl("9090/-/healthy")[0] == 0
    certify(monitor)
    monitor.play(monitor.up)
    monitor.wait("count(up==1)==3")


def test_the_host_is_given_back_as_it_was(monitor):
    monitor.play(monitor.down)
    proof = json.loads((monitor.lab.inventory.parent / "proofs/watcher.json").read_text())
    assert proof["unexplained"] == []
    for path in (CONFIGURATION, "/var/lib/slipway-monitoring", "/var/lib/prometheus"):
        assert monitor.host.run("test", "-e", path, check=False).returncode == 1, path


@pytest.mark.deep
def test_metrics_that_are_of_no_site_are_left_alone(monitor):
    monitor.host.run("mkdir", "-p", "/var/lib/prometheus/metrics2/01ABC")
    said = monitor.play(monitor.up, check=False)
    assert "/var/lib/prometheus/metrics2 has data that is not of this site" in " ".join(said.output.split())
    monitor.play(monitor.down)
    monitor.host.run("test", "-d", "/var/lib/prometheus/metrics2/01ABC")
