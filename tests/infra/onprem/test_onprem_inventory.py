"""The inventory: everything that can be known without a host is found at once."""

import subprocess
import sys
from pathlib import Path

import pytest
from lab import MITOGEN
from onprem_sites import inventory

from infra.onprem import inventory as inventories
from infra.onprem import playbooks, ports
from infra.onprem.inventory import VaultLocked, load
from infra.onprem.passwords import Passwords
from trainer.errors import BadInput, BadInputs

GROUPS = {"nas": ["nas-1"], "gpu": ["gpu-1", "gpu-2"], "monitor": ["monitor-1"]}
VAULT = Path(sys.executable).with_name("ansible-vault")


def test_a_good_one_is_read_as_ansible_reads_it(tmp_path):
    path = inventory(
        tmp_path, {**GROUPS, "rack": ["gpu-1"]}, {"gpu-1": {"ansible_host": "192.0.2.21"}}, site_name="lab"
    )
    found = load(path, "gpu,!gpu-2", Passwords())
    assert (found.name, found.chosen) == ("lab", ("gpu-1",))
    assert [found.address(host) for host in GROUPS["gpu"]] == ["192.0.2.21", "gpu-2"]
    assert found.groups["all"] == ["gpu-1", "gpu-2", "monitor-1", "nas-1"]
    assert found.words() == "gpu: gpu-1"
    assert load(path, None, Passwords()).words() == "nas: nas-1; gpu: gpu-1, gpu-2; monitor: monitor-1"
    assert {row.name for row in found.ports} >= {"ssh", "nfs", "grafana", "trainer_metrics"}


def test_all_that_is_wrong_is_said_at_once(tmp_path):
    table = {
        **ports.shipped(),
        "mine": {"port": 9470, "protocol": "tcp", "to": ["gpu"], "from": ["monitor"]},
        "odd": {"port": 70000, "to": ["gpus"], "from": []},
    }
    path = inventory(
        tmp_path,
        {"nas": ["nas-1", "nas-2"], "gpus": ["gpu-1"], "monitor": ["monitor-1"]},
        {"nas-1": {"ansible_host": "192.0.2.1"}, "monitor-1": {"ansible_host": "192.0.2.1"}},
        site_operators=["everybody"],
        site_name="My Site",
        site_state="gone",
        site_opertors=["192.0.2.0/24"],
        site_ports=table,
        base_audit="maybe",
        monitoring_scrape_seconds="soon",
        monitoring_retention_gib="20",
        base_updates="no",
    )
    with pytest.raises(BadInputs) as raised:
        load(path, "nas,moniter", Passwords())
    fields = {error.field: error for error in raised.value.errors}
    assert fields["gpu-1"].cure == "rename the group gpus to gpu"
    assert "a group with a host or more" in fields["gpu"].allowed
    assert fields["nas"].value == "nas-1, nas-2"
    assert "monitor-1 has this one" in fields["nas-1: ansible_host"].allowed
    assert "monitor" in fields["--limit"].cure
    assert fields["site_name"].value == "My Site"
    assert any(field.endswith("site_operators") for field in fields)
    assert fields["site_opertors"].cure == "write site_operators"
    assert any(field.endswith("site_state") for field in fields)
    by_variable = {field.split(": ")[-1]: error for field, error in fields.items()}
    assert by_variable["monitoring_scrape_seconds"].allowed == "a whole number"
    assert by_variable["base_audit"].allowed == "true or false"
    assert not by_variable.keys() & {"monitoring_retention_gib", "base_updates"}
    assert raised.value.exit_code == 2


def test_a_slot_needs_a_port_for_its_metrics(tmp_path):
    good = {"gpu-1": {"trainer_slots": 16}, "gpu-2": {"trainer_slots": "{{ 2 + 2 }}"}}
    assert load(inventory(tmp_path, GROUPS, good), None, Passwords()).chosen
    path = inventory(tmp_path, GROUPS, {"gpu-1": {"trainer_slots": 17}, "gpu-2": {"trainer_slots": 0}})
    with pytest.raises(BadInputs) as raised:
        load(path, None, Passwords())
    assert [error.field for error in raised.value.errors] == ["gpu-1: trainer_slots", "gpu-2: trainer_slots"]
    assert {error.allowed for error in raised.value.errors} == {"1 to 16, the ports of site_ports.trainer_metrics"}


def test_what_must_be_set_is_asked_for(tmp_path):
    path = inventory(tmp_path, {"gpu": ["gpu-1"]}, site_operators=[])
    with pytest.raises(BadInputs, match="site_operators: a missing value"):
        load(path, None, Passwords())


@pytest.mark.parametrize(
    ("strategy", "plugins", "field", "allowed"),
    [
        ("liner", None, "ANSIBLE_STRATEGY", "linear or mitogen_linear"),
        ("free", None, "ANSIBLE_STRATEGY", "linear or mitogen_linear"),
        ("mitogen_linear", "/nowhere:/tmp", "ANSIBLE_STRATEGY_PLUGINS", "a folder with mitogen_linear.py"),
        ("mitogen_linear", None, "ANSIBLE_STRATEGY_PLUGINS", "a folder with mitogen_linear.py"),
    ],
)
def test_a_strategy_that_will_not_do_is_refused(tmp_path, monkeypatch, strategy, plugins, field, allowed):
    monkeypatch.setenv("ANSIBLE_STRATEGY", strategy)
    if plugins:
        monkeypatch.setenv("ANSIBLE_STRATEGY_PLUGINS", plugins)
    with pytest.raises(BadInputs) as raised:
        load(inventory(tmp_path, GROUPS), None, Passwords())
    (error,) = raised.value.errors
    assert (error.field, error.allowed) == (field, allowed)


def test_both_strategies_will_do(tmp_path, monkeypatch):
    for name, value in MITOGEN.items():
        monkeypatch.setenv(name, value)
    assert load(inventory(tmp_path, GROUPS), None, Passwords()).chosen
    monkeypatch.setenv("ANSIBLE_STRATEGY", "linear")
    assert load(inventory(tmp_path, GROUPS), None, Passwords()).chosen


def test_an_inventory_that_is_not_there_or_makes_no_sense(tmp_path):
    with pytest.raises(BadInput, match="slipway onprem init"):
        inventories.locate(tmp_path)
    broken = tmp_path / "hosts.yml"
    broken.write_text("all: [")
    with pytest.raises(BadInput, match="--inventory"):
        load(inventories.locate(tmp_path), None, Passwords())


def encrypted(folder, *command, text):
    done = subprocess.run(
        [VAULT, *command, "--vault-password-file", folder / "password"],
        input=text, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout


def test_a_locked_vault_is_named_and_the_right_password_opens_it(tmp_path):
    (tmp_path / "password").write_text("open sesame\n")
    (tmp_path / "wrong").write_text("close sesame\n")
    whole = inventory(tmp_path / "whole", {"gpu": ["gpu-1"]})
    (tmp_path / "whole/group_vars").mkdir()
    text = encrypted(tmp_path, "encrypt", "--output", "-", text="site_name: hidden\n")
    (tmp_path / "whole/group_vars/all.yml").write_text(text)
    with pytest.raises(VaultLocked, match="--ask-vault-pass"):
        load(whole, None, Passwords())
    with pytest.raises(VaultLocked, match="does not open"):
        load(whole, None, Passwords(vault="close sesame"))
    assert load(whole, None, Passwords(vault="open sesame")).name == "hidden"

    single = inventory(tmp_path / "single", {"gpu": ["gpu-1"]})
    (tmp_path / "single/group_vars").mkdir()
    text = encrypted(tmp_path, "encrypt_string", "--stdin-name", "site_ca_passphrase", text="correct horse")
    (tmp_path / "single/group_vars/all.yml").write_text(text)
    with pytest.raises(VaultLocked, match="site_ca_passphrase"):
        load(single, None, Passwords())
    with pytest.raises(VaultLocked, match="does not open"):
        load(single, None, Passwords(vault_file=tmp_path / "wrong"))
    assert load(single, None, Passwords(vault_file=tmp_path / "password")).name == "slipway"


def test_the_example_is_a_good_one():
    found = load(playbooks.EXAMPLE / "hosts.yml", None, Passwords())
    assert {group: len(found.groups[group]) for group in playbooks.GROUPS} == {"nas": 1, "gpu": 2, "monitor": 1}


@pytest.mark.parametrize("limit", ["~gpu", "gpu[0]", "@hosts", "gpu,~nas"])
def test_patterns_of_which_the_hosts_are_not_known_beforehand_are_refused(tmp_path, limit):
    with pytest.raises(BadInputs, match="names of hosts and groups") as raised:
        load(inventory(tmp_path, GROUPS), limit, Passwords())
    assert "gpu-1, gpu-2" in raised.value.errors[0].cure


def test_a_file_that_ansible_would_not_read_is_bad_input(tmp_path):
    path = inventory(tmp_path, {"gpu": ["gpu-1"]})
    (tmp_path / "group_vars/all").mkdir(parents=True)
    (tmp_path / "group_vars/all/main.yml").write_text("site_name: lab\n")
    (tmp_path / "group_vars/gpu.yml").write_text("trainer_gpu: false\n")
    assert load(path, None, Passwords()).name == "lab"
    (tmp_path / "group_vars/all.yml").write_text("monitoring_smtp: mail.example.org:587\n")
    with pytest.raises(BadInputs) as raised:
        load(path, None, Passwords())
    (error,) = raised.value.errors
    assert error.field == "group_vars/all.yml"
    assert str(tmp_path / "group_vars/all") in error.cure
