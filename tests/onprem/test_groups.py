"""A host that has left a group of the inventory keeps what the group has made, until it is given back.

Hosts are names for this machine: of the roles there is what chooses between them, and nothing that changes a host.
"""

import shutil

import pytest
import yaml
from onprem_sites import LOCAL, OPERATORS, ROOT
from test_nas_parts import play

ROLES = ("base", "certificates", "firewall", "grafana", "logs", "monitoring", "nas_client", "nas_server", "nvidia")
ROLES += ("trainer", "wireguard")
EVERYWHERE = {"base", "certificates", "firewall", "logs", "monitoring", "wireguard"}
TRAINS = {"nas_client", "nvidia", "trainer"}


@pytest.fixture
def site(tmp_path):
    """A site whose monitor was a trainer, and whose trainer was the NAS; roles say what they would do."""
    shutil.copytree(ROOT / "ansible", tmp_path / "ansible")
    for role in ROLES:
        said = [{"ansible.builtin.debug": {"msg": f"{role} removed from {{{{ inventory_hostname }}}}"}}]
        (tmp_path / f"ansible/roles/{role}/tasks/absent.yml").write_text(yaml.safe_dump(said))
    for path in ("base/tasks/leave.yml", "site/tasks/give_back.yml", "site/tasks/record.yml"):
        (tmp_path / "ansible/roles" / path).write_text("[]")
    groups = {"nas": ["nas-1"], "gpu": ["gpu-1"], "monitor": ["monitor-1"]}
    was = {"nas-1": ["nas"], "gpu-1": ["nas", "gpu"], "monitor-1": ["monitor", "gpu"]}
    for host, each in was.items():
        record = tmp_path / "records" / host
        record.mkdir(parents=True)
        (record / "groups").write_text("".join(f"{group}\n" for group in each))
    variables = {**LOCAL, **OPERATORS, "site_record": f"{tmp_path}/records/{{{{ inventory_hostname }}}}"}
    children = {group: {"hosts": dict.fromkeys(hosts)} for group, hosts in groups.items()}
    (tmp_path / "hosts.yml").write_text(yaml.safe_dump({"all": {"vars": variables, "children": children}}))
    return tmp_path


@pytest.mark.slow
def test_down_removes_what_the_groups_made_that_a_host_was_in(site):
    down = yaml.safe_load((site / "ansible/teardown.yml").read_text())
    for each in down:
        each.pop("become", None)
        each.pop("vars_prompt", None)
        each.setdefault("vars", {})["teardown_confirmed"] = "yes"
    playbook = site / "ansible/teardown.yml"
    playbook.write_text(yaml.safe_dump(down))
    said = play(site, site / "hosts.yml", playbook, roles=site / "ansible/roles")
    removed = {
        host: {role for role in ROLES if f"{role} removed from {host}" in said}
        for host in ("nas-1", "gpu-1", "monitor-1")
    }
    assert removed == {
        "nas-1": {*EVERYWHERE, "nas_server"},
        "gpu-1": {*EVERYWHERE, *TRAINS, "nas_server"},
        "monitor-1": {*EVERYWHERE, *TRAINS, "grafana"},
    }
    # What is said before it asks is of the same groups.
    announced = said.partition("Look whether all can be given back")[0]
    assert announced.count("the queue's workers") == 2
    assert announced.count("the volume with runs and queue") == 2


def preflight(site, hosts):
    """A playbook in which role site looks over hosts."""
    look = {"include_role": {"name": "site", "tasks_from": "preflight"}}
    facts = {"distribution": "Debian", "distribution_version": "13.1", "service_mgr": "systemd"}
    written = {"hosts": hosts, "gather_facts": False, "vars": {"ansible_facts": facts}, "tasks": [look]}
    (site / "look.yml").write_text(yaml.safe_dump([written]))
    return site / "look.yml"


def test_a_host_that_has_left_a_group_is_refused(site):
    playbook = preflight(site, "all")
    said = play(site, site / "hosts.yml", playbook, check=False, roles=site / "ansible/roles")
    for host, group in (("gpu-1", "nas"), ("monitor-1", "gpu")):
        assert f"Groups: {host} was set up for the group {group}, and is not in it any more." in said
    assert "slipway onprem down --limit gpu-1`" in said
    assert "Groups: nas-1" not in said


def test_names_that_are_in_no_group_are_refused_and_not_told(site):
    """Of a folder Ansible takes each file for a list of hosts: here one of secrets."""
    (site / "inventory/secrets").mkdir(parents=True)
    (site / "hosts.yml").rename(site / "inventory/hosts.yml")
    (site / "inventory/secrets/nas.key").write_text("cGFzc3BocmFzZQ\n")
    playbook = preflight(site, "nas")
    said = play(site, site / "inventory", playbook, check=False, roles=site / "ansible/roles")
    assert "Inventory: 1 names in it are in none of the groups nas, gpu and monitor." in said
    assert "cGFzc3BocmFzZQ" not in said
    said = play(site, site / "inventory/hosts.yml", playbook, roles=site / "ansible/roles")
    assert "Inventory:" not in said


def test_ansible_alone_is_told_how_to_make_a_bundle(site):
    plays = yaml.safe_load((site / "ansible/site.yml").read_text())
    first = {**plays[0], "roles": [], "gather_facts": False, "become": False}
    playbook = site / "ansible/first.yml"
    playbook.write_text(yaml.safe_dump([first]))
    said = play(site, site / "hosts.yml", playbook, check=False, roles=site / "ansible/roles")
    assert f"trainer_bundle: there is no {site}/manifest.json." in said
    assert "slipway bundle --no-run" in said
    (site / "manifest.json").write_text("{}")
    play(site, site / "hosts.yml", playbook, roles=site / "ansible/roles")
