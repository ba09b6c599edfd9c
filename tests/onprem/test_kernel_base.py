"""Role base on a machine with a kernel of its own: what it leaves out in a container, attacked before and after."""

import os
import re

import pytest
import yaml
from lab import ANSIBLE, site
from machine import Machine

POINTS = yaml.safe_load((ANSIBLE / "roles/base/vars/main/points.yml").read_text())["base_points"]
OF_KERNEL = [point for point in POINTS if not point.get("container", True)]
WANTED = {key: value for point in OF_KERNEL for key, value in point.get("sysctl", {}).items()}
MODULES = [module for point in POINTS for module in point.get("modules", [])]
WEAK = {key: {"kernel.sysrq": "1", "fs.suid_dumpable": "1"}.get(key, "0") for key in WANTED}
"""Values that a careless hand has left."""
UP = """
- hosts: one
  become: true
  gather_subset: ["!all"]
  roles: [base]
"""
DOWN = """
- hosts: one
  become: true
  gather_subset: ["!all"]
  vars: {site_state: leaving, base_state: absent}
  roles: [base]
- hosts: one
  become: true
  gather_facts: false
  vars: {site_state: absent}
  roles: [site]
"""
AS_ADMIN = ["setpriv", "--reuid=admin", "--regid=admin", "--clear-groups"]
ATTACH = (
    "import ctypes, sys\n"
    "sys.exit(ctypes.CDLL(None).ptrace(16, int(sys.argv[1]), None, None) != 0)\n"  # 16: PTRACE_ATTACH
)

pytestmark = [
    pytest.mark.deep,
    pytest.mark.slow,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(os.geteuid() != 0, reason="a machine of its own needs root"),
]


def values(machine):
    """The values of the kernel that the role's table has."""
    files = [f"/proc/sys/{key.replace('.', '/')}" for key in WANTED]
    return dict(zip(WANTED, machine.run("cat", *files).stdout.split(), strict=True))


def loads(machine, module):
    """Whether a module of the kernel can be loaded; some can be unloaded by a restart alone."""
    return not machine.run("modprobe", module, check=False).returncode


def traces_a_stranger(machine):
    """Whether a program can trace another one of the same user."""
    machine.run("systemd-run", "--quiet", "--collect", "--unit=victim", "--uid=admin", "sleep", "1000")
    try:
        victim = machine.run("systemctl", "show", "--property=MainPID", "--value", "victim").stdout.strip()
        return not machine.run(*AS_ADMIN, "python3", "-c", ATTACH, victim, check=False).returncode
    finally:
        machine.run("systemctl", "kill", "--signal=KILL", "victim")


def follows_a_strangers_link(machine):
    """Whether root opens what somebody else's link in /tmp points to."""
    machine.run(*AS_ADMIN, "ln", "-sfn", "/etc/hostname", "/tmp/link")
    return not machine.run("cat", "/tmp/link", check=False).returncode


ATTACKS = (traces_a_stranger, follows_a_strangers_link)


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """The machine after the role was applied, and what went before."""
    with site("hard", {"one": "trixie"}, kind=Machine) as made:
        made.machine, plays = made.hosts["one"], tmp_path_factory.mktemp("plays")
        made.up, made.down = plays / "up.yml", plays / "down.yml"
        made.up.write_text(UP)
        made.down.write_text(DOWN)
        # A new connection of SSH takes seconds here.
        made.write_inventory({"gpu": ["one"]}, base_ssh_rollback_seconds=180)
        # Without the role all of it is possible: what comes after tells of the role, and not of the kernel.
        assert [module for module in MODULES if not loads(made.machine, module)] == []
        made.machine.crash()
        made.machine.boot()
        made.machine.run("sysctl", "-w", *(f"{key}={value}" for key, value in WEAK.items()))
        assert values(made.machine) == WEAK
        assert [attack.__name__ for attack in ATTACKS if not attack(made.machine)] == []
        made.play(made.up)
        yield made


def test_a_second_application_changes_nothing(lab):
    again = lab.play(lab.up)
    assert again.changes() == []
    assert again.changed == 0


def test_values_of_the_kernel_are_as_the_table_has_them(lab):
    assert values(lab.machine) == WANTED


def test_what_was_possible_is_refused(lab):
    assert [attack.__name__ for attack in ATTACKS if attack(lab.machine)] == []
    assert [module for module in MODULES if loads(lab.machine, module)] == []
    assert loads(lab.machine, "udf")  # of which the table says nothing


def test_the_checks_that_a_container_leaves_out_hold(lab):
    for point in OF_KERNEL:
        for check in point.get("checks", []):
            said = lab.machine.run(*check["run"], check=False)
            assert re.search(check["says"], said.stdout, re.MULTILINE), (point["ids"], said.stdout, said.stderr)


def test_the_audit_sees_who_changes_users_and_modules(lab):
    lab.machine.run("useradd", "mallory")
    lab.machine.run("userdel", "mallory")
    lab.machine.run("modprobe", "--remove", "udf")
    assert loads(lab.machine, "udf")
    for key, program in (("slipway-users", "useradd"), ("slipway-modules", "modprobe")):
        seen = lab.machine.run("ausearch", "--input-logs", "--key", key, "--interpret", check=False)
        assert f"comm={program} " in seen.stdout, seen.stdout + seen.stderr


def test_it_holds_after_a_power_cut(lab):
    lab.machine.crash()
    lab.machine.boot()
    assert values(lab.machine) == WANTED
    assert [module for module in MODULES if loads(lab.machine, module)] == []
    assert "-k slipway-users" in lab.machine.run("auditctl", "-l").stdout


def test_it_is_given_back(lab):
    lab.play(lab.down)
    # What was there when the role was first applied, though the machine has been off since.
    assert values(lab.machine) == WEAK
    assert loads(lab.machine, MODULES[0])
