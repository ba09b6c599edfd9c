"""What roles monitoring, grafana and logs look at before they change anything: here, where stand-ins tell of a host."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from lab import strategy

ROLES = Path(__file__).parents[2] / "ansible/roles"
OURS = ["prometheus", "prometheus-alertmanager", "prometheus-node-exporter", "grafana"]
SERVERS = {
    # Any two programs that are installed here.
    "monitoring_servers": ["sh", "env"],
    "monitoring_package_data": {"sh": [], "env": [], "prometheus-node-exporter": []},
    "monitoring_port_of": {"sh": "prometheus", "env": "alertmanager", "prometheus-node-exporter": "node_exporter"},
}
FULL = {"logs_free_gib": 1 << 30}
LISTENS = 'LISTEN 0 4096 *:9090 *:* users:(("prometheus",pid={},fd=3))'
PROCESSES = "5\n\n777\n\n0"
CASES = {
    "bare": ("monitoring", {}),
    "bare-grafana": ("grafana", {}),
    "removed": ("monitoring", {"dpkg-query": "prometheus config-files\nprometheus-node-exporter config-files"}),
    "removed-grafana": ("grafana", {"dpkg-query": "config-files 12.0"}),
    "data": ("monitoring", {"data": "metrics2"}),
    "data-grafana": ("grafana", {"data": "grafana"}),
    "installed": ("monitoring", {"variables": SERVERS}),
    "installed-grafana": ("grafana", {"dpkg-query": "installed 12.0"}),
    "ours": ("monitoring", {"record": ["sh", "env"], "variables": SERVERS}),
    "ours-data": ("monitoring", {"record": OURS, "data": "metrics2"}),
    "ours-grafana": ("grafana", {"record": OURS, "dpkg-query": "installed 12.0", "data": "grafana"}),
    "squatter": ("monitoring", {"ss": LISTENS.format(77), "systemctl": PROCESSES}),
    "squatter-first": ("monitoring", {"ss": LISTENS.format(1), "systemctl": "0\n\n0\n\n0"}),
    "own-port": ("monitoring", {"ss": LISTENS.format(777), "systemctl": PROCESSES}),
    "full": ("logs", {"variables": FULL}),
    "full-and-applied": ("logs", {"variables": FULL, "data": "rsyslog.conf"}),
}
"""Of each host the role that looks at it, and what there is."""
PLAY = """\
- hosts: all
  gather_facts: false
  environment: {PATH: "{{ folder }}/bin:{{ lookup('ansible.builtin.env', 'PATH') }}"}
  tasks:
    - block:
        - ansible.builtin.include_role: {name: "{{ role }}", tasks_from: preflight}
      rescue:
        - ansible.builtin.copy: {content: "{{ ansible_failed_result.msg }}", dest: "{{ folder }}/refused"}
"""


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    """What each case's role refuses; nothing where it has no objection."""
    place = tmp_path_factory.mktemp("watch")
    deb = place / "grafana.deb"
    deb.write_text("a package")
    hosts = {}
    for name, (role, given) in CASES.items():
        folder = place / name
        for each in ("bin", "record", "metrics2", "alertmanager", "grafana"):
            (folder / each).mkdir(parents=True)
        for program in ("dpkg-query", "ss", "systemctl"):
            text = given.get(program, "")
            path = folder / "bin" / program
            path.write_text(f"#!/bin/sh\ncat <<'END'\n{text}\nEND\n" if text else "#!/bin/sh\nexit 1\n")
            path.chmod(0o755)
        if "record" in given:
            (folder / "record/packages.json").write_text(json.dumps({"installed": given["record"]}))
        if found := given.get("data"):
            path = folder / found
            (path / "of-years" if path.is_dir() else path).write_text("")
        hosts[name] = {
            "role": role,
            "folder": str(folder),
            "package_data": {
                "prometheus": [f"{folder}/none", f"{folder}/metrics2"],
                "prometheus-alertmanager": [f"{folder}/alertmanager"],
                "prometheus-node-exporter": [],
            },
            "servers": ["prometheus", "prometheus-alertmanager"],
            "port_of": yaml.safe_load((ROLES / "monitoring/vars/main.yml").read_text())["monitoring_port_of"],
            **{each.removeprefix("monitoring_"): value for each, value in given.get("variables", {}).items()},
        }
    everything = {
        "ansible_connection": "local", "ansible_python_interpreter": sys.executable, "site_recorded": True,
        "check_only": True, "site_pki": f"{place}/pki", "site_secrets": str(place), "site_ca_passphrase": "one",
        "monitoring_retention_gib": 1, "grafana_source": "deb", "grafana_deb": str(deb),
        "grafana_deb_sha256": hashlib.sha256(deb.read_bytes()).hexdigest(), "site_record": "{{ folder }}/record",
    }  # fmt: skip
    over = {  # the roles' own, which no inventory has
        "monitoring_serves": True, "monitoring_servers": "{{ servers }}", "monitoring_port_of": "{{ port_of }}",
        "monitoring_package_data": "{{ package_data }}", "logs_etc": "{{ folder }}",
        "grafana_leavings": ["{{ folder }}/none", "{{ folder }}/grafana"],
    }  # fmt: skip
    inventory, playbook = place / "hosts.yml", place / "look.yml"
    inventory.write_text(yaml.safe_dump({"all": {"hosts": hosts, "vars": everything}}))
    playbook.write_text(PLAY)
    environment = {**os.environ, **strategy(), "ANSIBLE_CONFIG": str(ROLES.parent / "ansible.cfg")}
    environment |= {"ANSIBLE_ROLES_PATH": str(ROLES), "ANSIBLE_HOME": f"{place}/home"}
    command = [Path(sys.executable).with_name("ansible-playbook"), "-i", inventory, playbook, "-e", json.dumps(over)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    refused = {name: place / name / "refused" for name in CASES}
    return {name: " ".join(path.read_text().split()) if path.exists() else "" for name, path in refused.items()}


def test_a_bare_host_will_do(said):
    assert (said["bare"], said["bare-grafana"]) == ("", "")


def test_what_a_removed_package_has_left_is_not_taken_away(said):
    for package in ("prometheus", "prometheus-node-exporter"):
        assert f"apt-get purge {package}." in said["removed"]
    assert "apt-get purge grafana" in said["removed-grafana"]


def test_data_that_a_site_has_not_made_is_not_taken_away(said):
    assert "metrics2 has data that is not of this site, and would go with it. Move it away, or choose" in said["data"]
    assert "data-grafana/grafana is not empty, and is not of this site" in said["data-grafana"]


def test_a_server_that_is_not_of_this_site_is_left_alone(said):
    for name in ("sh", "env"):
        assert f"Monitor: {name} is installed here already, and not by this site" in said["installed"]
    assert "Grafana 12.0 is installed here already, and not by this site" in said["installed-grafana"]


def test_a_package_that_the_record_has_is_of_this_site(said):
    """As after a teardown that was cut off: services and settings are gone, and packages are not yet."""
    assert [said[name] for name in ("ours", "ours-data", "ours-grafana")] == ["", "", ""]


def test_a_port_that_something_else_has_is_said(said):
    for name in ("squatter", "squatter-first"):
        assert "something else listens where the site is to: LISTEN 0 4096 *:9090" in said[name]
    assert said["own-port"] == ""


def test_a_disk_that_is_full_is_no_reason_not_to_mend_a_host(said):
    assert "MiB free, and logs need" in said["full"]
    assert said["full-and-applied"] == ""
