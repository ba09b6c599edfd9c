"""Roles on each release, and Python of a trainer on Debian 12: made, made again, and given back as it was.

Hosts are containers: they have the kernel of this machine, without AppArmor.
"""

import hashlib
import json
import os
import re

import pytest
from lab import site
from onprem_sites import run

SITE = """
- hosts: all
  become: true
  any_errors_fatal: true
  roles: [site, base, certificates, firewall, monitoring, logs]
"""
AWAY = """
- hosts: all
  become: true
  vars:
    site_state: leaving
    logs_state: absent
    logs_remove: true
    monitoring_state: absent
    firewall_state: absent
    certificates_state: absent
    base_state: absent
  roles: [logs, monitoring, firewall, certificates, base]
- hosts: all
  become: true
  gather_facts: false
  vars: {site_state: absent}
  roles: [site]
"""
PYTHON = """
- hosts: all
  become: true
  roles: [site]
  tasks:
    - ansible.builtin.include_role: {name: trainer, tasks_from: preflight, public: true}
    - ansible.builtin.include_role: {name: trainer, tasks_from: python}
      when: not trainer_python_is_right
"""
HOME = """
- hosts: all
  become: true
  vars: {site_state: absent}
  roles: [site]
"""

pytestmark = [
    pytest.mark.deep,
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(os.geteuid() != 0, reason="hosts of their own need root"),
]


def proof(lab, name):
    return json.loads((lab.inventory.parent / f"proofs/{name}.json").read_text())


@pytest.mark.parametrize("suite", ["jammy", "noble", "trixie"])
def test_a_release_becomes_a_monitor_and_is_as_it_was_again(suite, tmp_path):
    up, down = tmp_path / "up.yml", tmp_path / "down.yml"
    up.write_text(SITE)
    down.write_text(AWAY)
    with site(f"release-{suite}", {"one": suite}) as lab:
        host = lab.hosts["one"]
        variables = {"site_ca_passphrase": "a passphrase of tests", "monitoring_retention_gib": 1, "logs_free_gib": 1}
        lab.write_inventory({"monitor": ["one"]}, **variables)
        lab.play(up)
        again = lab.play(up)
        assert again.changes() == []
        assert again.changed == 0
        assert host.run("systemctl", "--failed", "--no-legend", "--plain").stdout == ""
        assert "passwordauthentication no" in host.run("sshd", "-T").stdout
        assert lab.look("one").check_output("id -un") == "root"  # a new connection is let in
        units = ["prometheus", "prometheus-alertmanager", "prometheus-node-exporter", "slipway-logs"]
        for unit in (*units, "slipway-firewall", "unattended-upgrades"):
            assert host.run("systemctl", "is-active", unit, check=False).stdout == "active\n", host.log(unit)
        updates = host.run("unattended-upgrade", "--dry-run", "--debug", check=False)
        assert re.search(
            f"Allowed origins are: origin=(Ubuntu,archive|Debian,codename)={suite}-security",
            updates.stdout + updates.stderr,
        )
        host.crash()
        host.boot()
        assert lab.look("one").check_output("id -un") == "root"
        lab.play(down)
        assert proof(lab, "one")["unexplained"] == []
        assert lab.play(down).changes() == []


def test_a_bare_trainer_will_do_and_its_python_is_in_the_record_and_goes_with_the_site(tmp_path):
    """It is to be the monitor, too: nothing is asked for at first that roles make later."""
    from test_check_playbook import bundle
    from test_grafana import package

    up, down = tmp_path / "up.yml", tmp_path / "down.yml"
    up.write_text(PYTHON)
    down.write_text(HOME)
    with site("python", {"one": "bookworm"}) as lab:
        host = lab.hosts["one"]
        host.run("dpkg", "--purge", "python3.11-venv")
        variables = {"trainer_mode": "queue", "trainer_queue": "/srv/queue", "trainer_store": "/srv/runs"}
        variables |= {"trainer_bundle": str(bundle(tmp_path)), "trainer_free_gib": 0, "trainer_memory_gib": 1}
        variables |= {"site_ca_passphrase": "a passphrase of tests", "monitoring_retention_gib": 1, "logs_free_gib": 1}
        grafana = package(tmp_path)
        variables |= {"grafana_source": "deb", "grafana_deb": str(grafana)}
        variables["grafana_deb_sha256"] = hashlib.sha256(grafana.read_bytes()).hexdigest()
        lab.write_inventory({"gpu": ["one"], "monitor": ["one"]}, **variables)
        run("check", "--quiet", "--inventory", lab.inventory, folder=lab.folder)
        assert not (host.root / "var/lib/slipway-site").exists()
        lab.play(up)
        packages = json.loads(host.run("cat", "/var/lib/slipway-site/packages.json").stdout)
        assert "python3.11-venv" in packages["installed"]
        host.run("python3.11", "-c", "import ensurepip")
        assert lab.play(up).changed == 0
        lab.play(down)
        assert host.run("python3.11", "-c", "import ensurepip", check=False).returncode == 1
        assert proof(lab, "one")["unexplained"] == []
