"""Playbooks by `slipway onprem`: progress, JSON, locks, stops and faults, on this machine by Ansible itself."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from onprem_sites import inventory, objects, playbooks, rest, run, start

pytestmark = pytest.mark.deep

MARKER = "marker-7e1f0c"
HOSTS = {"gpu": ["one", "two"]}


def task(name, module="ansible.builtin.command", **arguments):
    return {"name": name, module: arguments, "changed_when": True}


def say(name, message, **more):
    return {"name": name, "ansible.builtin.debug": {"msg": message}, **more}


@pytest.fixture
def site(tmp_path):
    """An inventory with locks of its own; gives a function that writes playbooks, and runs a command."""
    locks = str(tmp_path / "lock-{{ inventory_hostname }}")
    path = inventory(tmp_path / "site", HOSTS, site_lock=locks, site_name="lab", trainer_bundle="none")
    folder = tmp_path / "playbooks"

    def command(name, *arguments, code=0, started=False, environment=None, entered="", **tasks):
        if tasks:
            playbooks(folder, **{"site": [], **tasks})
        given = (name, "--inventory", path, "--playbooks", folder, *arguments)
        if started:
            return start(*given, folder=tmp_path, **(environment or {}))
        return run(*given, folder=tmp_path, code=code, entered=entered, **(environment or {}))

    command.folder = tmp_path
    return command


def everything_in(folder):
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_up_is_told_as_json_and_as_lines_and_leaves_no_lock_and_no_password(site):
    """sudo's password and the vault's go to Ansible's prompts; the environment is not written down either."""
    look = {
        "name": "Look at the processes", "ansible.builtin.shell": "cat /proc/[0-9]*/cmdline | tr '\\0' ' '",
        "register": "seen", "changed_when": False, "no_log": True,
    }  # fmt: skip
    insist = {
        "name": "Insist",
        # In pieces, as the playbook is on the disk.
        "ansible.builtin.assert": {"that": f"{list(MARKER)} | join not in seen.stdout", "quiet": True},
    }
    tasks = [
        task("Change something", argv=["true"]),
        look,
        insist,
        {"name": "Fail", "ansible.builtin.command": {"argv": ["false"]}, "ignore_errors": True, "changed_when": False},
        {
            "name": "Be rescued",
            "block": [{"name": "Fail too", "ansible.builtin.fail": {"msg": "no"}}],
            "rescue": [say("Mend", "it")],
        },
    ]
    sudo = site.folder / "sudo"
    sudo.write_text(f"{MARKER}-sudo\n")
    out, _ = site(
        "up", "--yes", "--json", "--become-password-file", sudo, "--ask-vault-pass", site=tasks,
        entered=f"{MARKER}-vault\n", environment={"SLIPWAY_CA_PASSPHRASE": f"{MARKER}-environment"},
    )  # fmt: skip
    told = objects(out)
    assert [each["title"] for each in told if each["event"] == "begin"] == ["checking lab", "up lab"]
    states = {(each["host"], each["state"]) for each in told if each["event"] == "host"}
    assert states >= {(host, state) for host in ("one", "two") for state in ("ok", "changed", "ignored", "failed")}
    assert told[-1]["event"] == "up"
    assert told[-1]["changes"] == {"one": 1, "two": 1}
    assert not list(site.folder.glob("lock-*"))

    sudo.unlink()
    kept = everything_in(site.folder)
    assert b"--ask-vault-pass" in kept
    assert b"--ask-become-pass" in kept
    assert MARKER.encode() not in kept
    assert {path.stat().st_mode & 0o077 for path in (site.folder / "state").rglob("runs")} == {0}

    # The second time it is known how many tasks there are.
    out, err = site("up", "--yes")
    assert "[8 of 1" in err
    assert "lab is up" in out
    kept = next((site.folder / "state").rglob("runs")).iterdir()
    assert sum("up-lab" in path.name for path in kept) == 2


def test_a_fault_says_where_it_stopped_and_how_to_go_on(site):
    failing = {"name": "Break", "ansible.builtin.fail": {"msg": "Disk: it is full. Free some."},
               "when": "inventory_hostname == 'two'"}  # fmt: skip
    _, err = site("up", "--yes", "--quiet", code=1, site=[task("Change", argv=["true"]), failing])
    assert "two: Disk: it is full. Free some." in err
    assert "`slipway onprem up` goes on" in err
    assert "artifacts: " in err
    assert not list(site.folder.glob("lock-*"))


def test_a_check_says_all_that_is_wrong_on_any_host_once(site):
    check = [
        {"name": "Notice", "block": [{"name": "Try", "ansible.builtin.fail": {"msg": "Clock: off."}}],
         "rescue": [say("Keep", "it")]},
        {"name": "Say all that is wrong",
         "ansible.builtin.fail": {"msg": ["Clock: off.", "Disk: {{ inventory_hostname }}."]}},
    ]  # fmt: skip
    _, err = site("up", "--yes", "--quiet", code=2, check=check, site=[task("Change", argv=["true"])])
    assert "3 problems, and nothing was changed" in err
    assert err.count("one, two: Clock: off.") == 1
    assert "one: Disk: one." in err


def test_a_plan_shows_what_would_change(site):
    path = site.folder / "made"
    copy = {"name": "Write it", "ansible.builtin.copy": {"dest": str(path), "content": "new\n", "mode": "0600"}}
    refuse = {"name": "Refuse", "ansible.builtin.fail": {"msg": "Disk: it is full."}}
    out, err = site("plan", "--diff", "--quiet", "--limit", "one", code=1, site=[copy, refuse])
    assert "one: Disk: it is full." in err
    assert "nothing was changed" in err
    assert not path.exists()
    assert "one: 1 to change\n  Write it\n" in out
    assert "+new" in out
    assert "two" not in out


def test_two_operators_at_once(site):
    waiting = [task("Wait", argv=["sleep", "3600"])]
    first = site("up", "--yes", "--json", started=True, site=waiting)
    until(first, "Wait")
    # On this machine; as from another one, below.
    _, err = site("down", "--confirm", "lab", "--quiet", code=1)
    assert "the site is locked by " in err
    assert f"process {first.pid}" in err

    # The second Ctrl-C stops at once, and gives the lock back.
    first.send_signal(signal.SIGINT)
    time.sleep(0.5)
    first.send_signal(signal.SIGINT)
    _, err = rest(first)
    assert first.returncode == 1
    assert "stopped in the middle" in err
    assert "goes on" in err
    assert not list(site.folder.glob("lock-*"))

    # A lock of somebody who is gone is broken, once it is asked for.
    (site.folder / "lock-one").symlink_to("bob on laptop with slipway onprem up, since long ago")
    _, err = site("up", "--yes", "--quiet", code=1, site=[say("Look", "at it")])
    assert "one is locked by bob on laptop" in err
    assert (site.folder / "lock-one").is_symlink()
    assert not (site.folder / "lock-two").is_symlink()
    _, err = site("up", "--yes", "--break-lock")
    assert "one: the lock of bob on laptop with slipway onprem up, since long ago was broken" in err
    assert not (site.folder / "lock-one").is_symlink()


def test_what_a_killed_operator_left_is_taken_over_by_the_next_command(site):
    first = site("up", "--yes", "--json", started=True, site=[task("Wait", argv=["sleep", "3600"])])
    until(first, "Wait")
    children = psutil.Process(first.pid).children(recursive=True)
    ansible = [each for each in children if "ansible-playbook" in " ".join(each.cmdline())]
    assert ansible
    first.kill()
    rest(first)
    _, alive = psutil.wait_procs(ansible, timeout=60)
    assert not alive, "Ansible goes on by itself"
    assert (site.folder / "lock-one").is_symlink()
    _, err = site("up", "--yes", site=[say("Look", "at it")])
    assert f"process {first.pid}" in err
    assert "which is over: taking the lock" in err
    assert not list(site.folder.glob("lock-*"))


def test_ctrl_c_in_the_last_task_of_the_check_lets_nothing_begin(site):
    wait = [task("Wait", argv=["sleep", "3"])]
    begin = [task("Begin", argv=["touch", str(site.folder / "begun")])]
    process = site("up", "--yes", "--json", started=True, check=wait, site=begin)
    until(process, "Wait")
    process.send_signal(signal.SIGINT)
    _, err = rest(process)
    assert process.returncode == 1
    assert "check: stopped, and nothing was changed" in err
    assert not (site.folder / "begun").exists()


def test_the_first_ctrl_c_stops_after_the_task(site):
    tasks = [task("Take a while", argv=["sleep", "3"]), task("Not this", argv=["touch", str(site.folder / "late")])]
    process = site("up", "--yes", "--json", started=True, site=tasks)
    until(process, "Take a while")
    process.send_signal(signal.SIGINT)
    out, err = rest(process)
    assert process.returncode == 1
    done = [each for each in objects(out) if each["event"] == "host" and each["state"] == "changed"]
    assert {each["host"] for each in done} == {"one", "two"}
    assert not (site.folder / "late").exists()
    assert "stopped before task 8 (Not this)" in err
    assert not list(site.folder.glob("lock-*"))


def until(process, name):
    """Read a process's lines until a task begins."""
    for line in process.stdout:
        event = json.loads(line)
        if event["event"] == "task" and event["task"] == name:
            return
    raise AssertionError(process.stderr.read())


def test_down_says_what_goes_and_asks_for_the_name_and_shows_the_proof(site):
    teardown = [
        say("Say what becomes of this host", {"removed": ["units"], "kept": ["runs in /srv"]}),
        {"name": "Insist on a yes", "ansible.builtin.assert": {"that": "teardown_confirmed | bool"}},
        task("Remove", argv=["touch", str(site.folder / "removed")]),
        say("Show the differences that have an explanation", ["files /etc/x changed: by a backup"]),
    ]
    _, err = site("down", "--confirm", "slipway", "--quiet", code=2, teardown=teardown)
    assert "--confirm: 'slipway' is not allowed" in err
    assert not (site.folder / "removed").exists()
    _, err = site("down", "--json", code=2)
    assert "--confirm" in err
    _, err = site("down", "--shred", "nothing", "--quiet", code=2)
    assert "--shred" in err
    out, err = site("down", "--confirm", "lab", "--quiet")
    assert "one:\n  removed: units\n  kept: runs in /srv\n" in err
    assert "one: as it was before, but for:\n  files /etc/x changed: by a backup\n" in out
    assert out.endswith("lab is gone.\n")
    assert (site.folder / "removed").exists()


def test_down_goes_no_further_than_its_look_where_a_host_cannot_be_given_back(site):
    refuse = {"name": "Insist on somebody who stays", "when": "inventory_hostname == 'two'",
              "ansible.builtin.fail": {"msg": "User alice: you connect to two as it."}}  # fmt: skip
    teardown = [
        say("Say what becomes of this host", {"removed": ["units"]}),
        refuse,
        {"name": "Insist on a yes", "ansible.builtin.assert": {"that": "teardown_confirmed | bool"}},
        task("Remove", argv=["touch", str(site.folder / "removed")]),
    ]
    _, err = site("down", "--confirm", "lab", "--quiet", code=2, teardown=teardown)
    assert "it is not taken down, and nothing was changed:\n  two: User alice: you connect to two as it." in err
    assert not (site.folder / "removed").exists()
    assert not list(site.folder.glob("lock-*"))


STUB = """#!{python}
import json
row = {{"run_id": "old", "state": "done", "since": "2026-01-31", "host": None, "slot": None, "message": "x" * 300}}
ended = [{{**row, "run_id": f"old-{{number}}"}} for number in range(3000)]
waiting = [{{**row, "run_id": "new", "state": "running"}}]
print(json.dumps({{"entries": waiting, "ended": ended, "workers": [], "drained": []}}))
"""


def test_status_asks_a_trainer_that_has_slipway_and_takes_all_it_says(tmp_path):
    """Whatever the operator's own settings of Ansible are; a GPU whose driver fails is told of, and does no harm."""
    programs = tmp_path / "programs"
    installed = tmp_path / "slipway/environment"
    for path, text in {
        installed / ".complete": "",
        installed / "bin/slipway": STUB.format(python=sys.executable),
        programs / "runuser": '#!/bin/bash\nexec "${@:4}"\n',
        programs / "nvidia-smi": "#!/bin/sh\necho 'NVIDIA-SMI has failed, as the driver does not answer.'\nexit 9\n",
    }.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)
    homes = {"one": {"trainer_home": str(tmp_path / "none")}, "two": {"trainer_home": str(tmp_path / "slipway")}}
    addresses = {host: {**home, "ansible_host": f"127.0.0.{at}"} for at, (host, home) in enumerate(homes.items(), 1)}
    given = ("--inventory", inventory(tmp_path / "site", HOSTS, addresses, site_name="lab"))
    own = {
        "PATH": f"{programs}:{os.environ['PATH']}", "ANSIBLE_STDOUT_CALLBACK": "json", "ANSIBLE_BECOME_ASK_PASS": "1",
        "ANSIBLE_VERBOSITY": "1",
    }  # fmt: skip
    out, _ = run("status", *given, "--json", folder=tmp_path, **own)
    found = json.loads(out)
    assert not found["queue"]["error"]
    assert len(found["queue"]["rows"]) == 3001
    assert "has failed" in found["hosts"]["one"]["gpu_error"]
    out, _ = run("status", *given, folder=tmp_path, **own)
    assert "the driver fails: NVIDIA-SMI has failed" in out
    assert "new" in out
    out, err = run("status", *given, "--limit", "one", folder=tmp_path, **own)
    assert "queue: slipway is not installed" in out, err


def test_what_is_relative_is_so_to_where_the_operator_is(site):
    (site.folder / "password").write_text("open sesame\n")
    (site.folder / "ansible.cfg").write_text("[defaults]\nvault_password_file = password\n")
    vault = [Path(sys.executable).with_name("ansible-vault"), "encrypt_string", "--stdin-name", "site_ca_passphrase"]
    said = subprocess.run(
        [*vault, "--vault-password-file", site.folder / "password"], input="in a vault", capture_output=True, text=True
    ).stdout
    (site.folder / "site/group_vars").mkdir()
    (site.folder / "site/group_vars/all.yml").write_text(said)
    site("check", "--quiet", check=[say("Read it", "{{ site_ca_passphrase | mandatory }}")])
    (site.folder / "password").write_text("close sesame\n")
    _, err = site("check", "--quiet", code=2)
    assert "vault" in err


def test_a_part_of_a_site_is_told_as_a_part(site):
    out, _ = site("check", "--limit", "two", check=[])
    assert "gpu: two" in out
    assert "one" not in out.replace("done", "")
    out, _ = site("up", "--yes", "--quiet", "--limit", "two", site=[])
    assert "lab is up, as far as two." in out


def test_bad_input_ends_with_2(site, tmp_path):
    playbooks(tmp_path / "playbooks", site=[])
    assert "write --yes" in site("up", "--json", code=2)[1]
    assert "--limit" in site("up", "--yes", "--limit", "three", code=2)[1]
    assert "--become-password-file" in site("up", "--yes", "--become-password-file", "none", code=2)[1]
    assert "--vault-password-file" in site("check", "--vault-password-file", "none", code=2)[1]
    assert (
        "--playbooks"
        in run("check", "--inventory", tmp_path / "site", "--playbooks", tmp_path, folder=tmp_path, code=2)[1]
    )
    assert "hosts.yml" in run("check", folder=tmp_path, code=2)[1]


def test_a_playbook_that_makes_no_sense(site):
    _, err = site("check", "--quiet", code=1, check=[{"name": "Odd", "no.such.module": {}}])
    assert "no.such.module" in err


def test_init_copies_the_example_once(tmp_path):
    out, _ = run("init", "mine", folder=tmp_path)
    assert (tmp_path / "mine/secrets").stat().st_mode & 0o777 == 0o700
    assert "slipway onprem check --inventory mine" in out
    assert (tmp_path / "mine/group_vars/all/main.yml").is_file()
    assert "--inventory" not in run("init", "mine", folder=tmp_path, code=2)[1]
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
