"""`slipway onprem` against a real host with sshd and sudo: what goes wrong with connections and passwords."""

import json
import os
import subprocess

import lab
import pytest
from onprem_sites import playbooks, rest, run, start

ROLE_CHECKS = {"SLIPWAY_CA_PASSPHRASE": "a passphrase of tests", "SLIPWAY_NAS_PASSPHRASE": "a passphrase of tests"}
PASSWORD = "secret-5d0a7c"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(os.geteuid() != 0, reason="hosts of their own need root"),
]


@pytest.fixture(scope="module")
def site():
    with lab.site("driver", {"gpu-1": "trixie"}) as made:
        made.write_inventory({"gpu": ["gpu-1"]}, trainer_bundle="none")
        look = {"name": "Look", "ansible.builtin.command": {"argv": ["id"]}, "become": True, "changed_when": False}
        wait = {"name": "Wait", "ansible.builtin.command": {"argv": ["sleep", "{{ seconds | default(0) }}"]}}
        made.playbooks = playbooks(made.folder / "playbooks", check=[look], site=[wait])
        made.given = ("--inventory", made.inventory, "--playbooks", made.playbooks)
        made.host = made.hosts["gpu-1"]
        yield made


def change(site, old, new):
    """A changed inventory beside the site's."""
    path = site.folder / "changed/hosts.yml"
    path.parent.mkdir(exist_ok=True)
    text = site.inventory.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    return ("--inventory", path, "--playbooks", site.playbooks)


def test_all_is_well(site):
    out, _ = run("up", "--yes", "--quiet", *site.given, folder=site.folder)
    assert "is up" in out


def test_who_is_not_reached_is_named_before_anything_changes(site):
    ghost = change(
        site, "gpu-1:\n      ansible_host: ", "gpu-2: {ansible_host: 192.0.2.254}\n    gpu-1:\n      ansible_host: "
    )
    path = ghost[1]
    path.write_text(path.read_text().replace("gpu-1: null", "gpu-1: null\n        gpu-2: null"))
    fast = {"ANSIBLE_TIMEOUT": "3"}
    _, err = run("up", "--yes", "--quiet", *ghost, folder=site.folder, code=2, **fast)
    assert "1 problem, and nothing was changed" in err
    assert "gpu-2: not reached" in err
    _, err = run(
        "check", "--quiet", *change(site, site.host.address, "no.such.name.invalid"), folder=site.folder, code=2
    )
    assert "no such name" in err
    assert "ansible_host" in err


def test_a_key_that_is_not_known_or_not_let_in(site):
    config = site.ssh_config.read_text()
    strange, other = site.folder / "strange", site.folder / "other"
    strange.write_text(config.replace(str(site.folder / "known_hosts"), "/dev/null"))
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", site.folder / "stranger"], check=True)
    other.write_text(config.replace(str(site.network.key), str(site.folder / "stranger")))
    for path, words in ((strange, "SSH does not know its key"), (other, "SSH lets this user and key not in")):
        given = change(site, str(site.ssh_config), str(path))
        _, err = run(
            "check", "--quiet", *given, folder=site.folder, code=2, ANSIBLE_SSH_CONTROL_PATH_DIR=str(path) + ".cp"
        )
        assert words in err


def test_sudo_with_a_password(site):
    site.host.run("bash", "-c", f"echo admin:{PASSWORD} | chpasswd")
    site.host.run("bash", "-c", "echo 'admin ALL=(ALL) ALL' > /etc/sudoers.d/admin")
    right, wrong = site.folder / "right", site.folder / "wrong"
    right.write_text(f"{PASSWORD}\n")
    wrong.write_text("wrong\n")
    try:
        _, err = run("check", "--quiet", *site.given, folder=site.folder, code=2)
        assert "sudo asks for a password" in err
        assert "--ask-become-pass" in err
        _, err = run("check", "--quiet", *site.given, "--become-password-file", wrong, folder=site.folder, code=2)
        assert "sudo refuses its password" in err
        run("up", "--yes", "--quiet", *site.given, "--become-password-file", right, folder=site.folder)
        right.unlink()
        kept = b"".join(path.read_bytes() for path in (site.folder / "state").rglob("*") if path.is_file())
        assert b"ask-become-pass" in kept
        assert PASSWORD.encode() not in kept
    finally:
        site.host.run("bash", "-c", "echo 'admin ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/admin")


def test_a_connection_that_is_lost_half_way(site):
    """It is named, what was done stays, and the same command goes on afterwards."""
    waiting = change(site, "ansible_user: admin", "ansible_user: admin\n    seconds: 300")
    process = start("up", "--yes", "--json", *waiting, folder=site.folder)
    for line in process.stdout:
        event = json.loads(line)
        if event["event"] == "task" and event["task"] == "Wait":
            break
    # Wait until it is at work there, and let the host's SSH die.
    site.host.run("bash", "-c", "until pgrep --exact sleep; do :; done; systemctl stop ssh; pkill -9 sshd; pkill sleep")
    _, err = rest(process)
    assert process.returncode == 1, err
    assert "gpu-1: its connection was lost" in err
    assert "`slipway onprem up` goes on" in err
    site.host.run("systemctl", "start", "ssh")
    # It could not give its lock back: the next one on this machine takes it.
    again = change(site, "ansible_user: admin", "ansible_user: admin\n    seconds: 0")
    _, err = run("up", "--yes", *again, folder=site.folder)
    assert f"process {process.pid}" in err
    assert "which is over: taking the lock" in err


def test_the_check_looks_at_hosts_and_what_they_reach(site):
    """slipway's own `check.yml` with the roles' own looks: all problems together, and nothing is changed."""
    text = site.inventory.read_text()
    extended = site.folder / "extended/hosts.yml"
    extended.parent.mkdir()
    extended.write_text(
        text.replace("hosts:\n", "hosts:\n    monitor-1: {ansible_host: 192.0.2.254}\n", 1).rstrip()
        + "\n    monitor:\n      hosts:\n        monitor-1: null\n"
    )
    before = site.host.run("bash", "-c", "dpkg -l; find /etc -type f | sort | xargs sha256sum").stdout
    _, err = run(
        "check", "--quiet", "--inventory", extended, folder=site.folder, code=2, ANSIBLE_TIMEOUT="3", **ROLE_CHECKS
    )
    assert "monitor-1: not reached" in err
    assert "gpu-1: Route: monitor-1 (192.0.2.254) port 6514, syslog in TLS, is not reached" in err
    assert site.host.run("bash", "-c", "dpkg -l; find /etc -type f | sort | xargs sha256sum").stdout == before
