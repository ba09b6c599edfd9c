"""`check.yml` finds all that is wrong with hosts before anything changes. The hosts are names for this machine."""

import importlib.util
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from onprem_sites import inventory, run

ROOT = Path(__file__).parents[2]
SPEC = importlib.util.spec_from_file_location("look", ROOT / "ansible/files/look.py")
LOOK = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(LOOK)
ASKED = {"now": 0.0, "peers": [], "paths": [], "packages": []}
NO_ROUTE = "224.0.0.1"  # the kernel connects no TCP to a group of hosts


def program(folder, name, said):
    """A program that says something, first on the path."""
    path = folder / name
    path.write_text(f"#!/bin/sh\ncat <<'END'\n{said}END\n")
    path.chmod(0o755)


# The look at a host ---------------------------------------------------------------------------------------------------


def test_a_clock_that_is_off_is_measured():
    for seconds in (-300, 0, 300):
        assert LOOK.look({**ASKED, "now": time.time() - seconds})["skew"] == pytest.approx(seconds, abs=5)


def test_free_space_is_measured():
    free = shutil.disk_usage("/").free >> 20
    assert LOOK.look({**ASKED, "paths": ["/"]})["free_mib"] == {"/": pytest.approx(free, abs=512)}


def test_a_machine_is_reached_if_it_answers_at_all_and_an_archive_if_it_serves():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert LOOK.unreached("127.0.0.1", port) is None
    assert LOOK.unreached("127.0.0.1", port) is None
    assert LOOK.unreached("127.0.0.1", port, open_needed=True) == "refused"
    assert LOOK.unreached(NO_ROUTE, port) == "Network is unreachable"
    assert LOOK.unreached("host.invalid", port) is not None


def test_what_is_dropped_is_told_from_what_has_no_route(monkeypatch):
    monkeypatch.setattr(LOOK, "archives", dict)
    monkeypatch.setattr(LOOK, "unreached", lambda address, port: {1: LOOK.NO_ANSWER, 2: "No route to host"}.get(port))
    found = LOOK.look({**ASKED, "peers": [{"address": "192.0.2.1", "port": port} for port in range(3)]})["unreached"]
    assert [(each["port"], each["dropped"]) for each in found] == [(1, True), (2, False)]


def test_a_site_s_firewall_is_seen(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not LOOK.firewall()
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.defpath}")
    program(tmp_path, "nft", "")
    assert not LOOK.firewall()
    program(tmp_path, "nft", "table inet slipway {\n}\n")
    assert LOOK.firewall()


POLICY = """\
prometheus:
  Installed: (none)
  Candidate: 2.45.3+ds-2ubuntu0.3
  Version table:
     2.45.3+ds-2ubuntu0.3 500
stunnel4:
  Installed: 3:5.72-1build2
  Candidate: 3:5.72-1build2
  Version table:
rsyslog-relp:
  Installed: (none)
  Candidate: (none)
  Version table:
"""


def test_packages_that_no_archive_has_are_found(tmp_path, monkeypatch):
    program(tmp_path, "apt-cache", POLICY)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(LOOK, "LISTS", tmp_path)
    wanted = ["prometheus", "stunnel4", "rsyslog-relp", "no-such-package"]
    assert LOOK.missing(wanted) == []  # apt has no lists
    (tmp_path / "archive_dists_noble_main_binary-amd64_Packages.lz4").touch()
    assert LOOK.missing(wanted) == ["rsyslog-relp", "no-such-package"]


def test_archives_and_what_is_before_them_are_known(tmp_path, monkeypatch):
    mirrors = tmp_path / "mirrors.list"
    mirrors.write_text("# of the cloud\nhttps://cdn.example/debian\tpriority:1\nhttp://other.example/debian\n")
    places = ["http://deb.debian.org", "https://a.example", f"mirror+file:{mirrors}", "mirror://b.example:81/list"]
    uris = [f"'{place}/dists/trixie/InRelease' name 0\n" for place in [*places, "file:/srv/packages"]]
    program(tmp_path, "apt-get", "".join(uris))
    proxies = ("http", "http://proxy.example:3142"), ("https", "DIRECT")
    program(tmp_path, "apt-config", "".join(f'Acquire::{kind}::Proxy "{uri}";\n' for kind, uri in proxies))
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert LOOK.archives() == {
        "deb.debian.org": ("proxy.example", 3142),
        "a.example": ("a.example", 443),
        "cdn.example": ("cdn.example", 443),
        "b.example": ("proxy.example", 3142),
        "file": None,
    }
    monkeypatch.setattr(LOOK, "unreached", lambda *_, **__: None)
    assert LOOK.look(ASKED)["archives"] == 5


# The whole check ------------------------------------------------------------------------------------------------------


def unreached(name, *, dropped):
    why = LOOK.NO_ANSWER if dropped else "No route to host"
    return {"name": name, "address": name, "port": 9100, "service": "node exporter", "why": why, "dropped": dropped}


def test_what_a_host_s_own_firewall_drops_is_no_problem(tmp_path):
    """The playbook's own tasks, after a look at hosts that saw what is said here."""
    (play,) = yaml.safe_load((ROOT / "ansible/check.yml").read_text())
    setup = {"name": "Learn", "ansible.builtin.setup": {"gather_subset": ["!all", "!min", "distribution"]}}
    said = [task for task in play["tasks"] if task["name"] in {"Keep what is wrong", "Say all that is wrong"}]
    kept = {**{key: play[key] for key in ("name", "hosts", "gather_facts")}, "tasks": [setup, *said]}
    kept["vars"] = {key: play["vars"][key] for key in ("check_found", "check_clock_seconds")}
    (tmp_path / "play.yml").write_text(yaml.safe_dump([kept], sort_keys=False))
    saw = {"skew": 0, "archives": 1, "missing": [], "silent": [], "free_mib": {}}
    peers = [unreached(name, dropped=dropped) for name in ("up", "bare", "off") for dropped in (True, False)]
    hosts = {
        "new": {"check_saw": {**saw, "firewall": False, "unreached": peers}},
        "up": {"check_saw": {**saw, "firewall": True, "unreached": []}},
        "bare": {"check_saw": {**saw, "firewall": False, "unreached": []}},
        "off": None,  # it was not looked at
    }
    path = inventory(tmp_path, {"gpu": list(hosts)}, hosts, check_free_mib={})
    command = [Path(sys.executable).with_name("ansible-playbook"), "-i", path, "--limit", "new", tmp_path / "play.yml"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2, done.stdout
    end = "Let packets through between the two."
    unseen = f"({LOOK.NO_ANSWER}, and whether its own firewall drops it was not seen)"
    reasons = ("up", "(No route to host)"), ("bare", f"({LOOK.NO_ANSWER})"), ("bare", "(No route to host)")
    assert json.loads(re.search(r"FAILED! => (\{.*\})", done.stdout)[1])["msg"] == [
        f"Route: {name} ({name}) port 9100, node exporter, is not reached {why}. {end}"
        for name, why in (*reasons, ("off", unseen), ("off", "(No route to host)"))
    ], done.stdout


@pytest.mark.parametrize("is_up", [True, False])
def test_a_full_disk_keeps_no_host_from_the_cure(tmp_path, is_up):
    (play,) = yaml.safe_load((ROOT / "ansible/check.yml").read_text())
    (keep,) = (task for task in play["tasks"] if task["name"] == "Keep what is wrong")
    shown = {"name": "Show it", "ansible.builtin.debug": {"msg": keep["vars"]["check_small"]}}
    saw = {"firewall": is_up, "free_mib": {"/": 5}}
    (tmp_path / "play.yml").write_text(yaml.safe_dump([{"hosts": "all", "gather_facts": False, "tasks": [shown]}]))
    path = inventory(tmp_path, {"gpu": ["one"]}, check_saw=saw, check_free_mib={"/": 1024})
    command = [Path(sys.executable).with_name("ansible-playbook"), "-i", path, tmp_path / "play.yml"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert ("/ has 5 MiB free" in said) != is_up, said


@pytest.fixture
def device():
    """A disk that has a file system on it."""
    image = Path(f"/var/tmp/slipway-check-{os.getpid()}.img")
    with image.open("wb") as file:
        file.truncate(16 << 20)
    try:
        subprocess.run(["mkfs.ext4", "-q", image], check=True)
        done = subprocess.run(["losetup", "--find", "--show", image], check=True, capture_output=True, text=True)
        yield done.stdout.strip()
        subprocess.run(["losetup", "--detach", done.stdout.strip()], check=True)
    finally:
        image.unlink()


CHANGES = {
    "check_clock_seconds: 60": "check_clock_seconds: 240",
    "now(utc=true).timestamp()": "now(utc=true).timestamp() - 300",
    "{/: 1024, /var: 2048}": "{/: 999999999}",
    "^(Debian 1[23]([.]|$)|Ubuntu (22|24)[.]04)": "^no release$",
    "all: [nftables, ": "all: [no-such-package, nftables, ",
}
"""What has this machine be too small, another release, and its clock off: the rest of the playbook is as it is."""


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="a disk of its own needs root")
def test_all_that_is_wrong_with_any_host_is_said_together(tmp_path, device):
    copy = shutil.copytree(ROOT / "ansible", tmp_path / "ansible")
    text = (copy / "check.yml").read_text()
    for old, new in CHANGES.items():
        assert old in text
        text = text.replace(old, new)
    (copy / "check.yml").write_text(text)
    path = inventory(
        tmp_path / "site",
        {"nas": ["nas-1"], "gpu": ["gpu-1"], "monitor": ["monitor-1"]},
        {
            "nas-1": {"ansible_host": "127.0.0.1", "nas_server_device": device, "nas_transport": "stunnel"},
            "gpu-1": {"ansible_host": "127.0.0.2", "nas_client_options": ["soft"]},
            "monitor-1": {"ansible_host": NO_ROUTE, "grafana_source": "deb", "grafana_deb": "grafana.rpm"},
        },
        trainer_bundle=str(bundle(tmp_path)),
        nas_transport="stunnel",
    )
    before = subprocess.run(["dumpe2fs", "-h", device], capture_output=True, check=True).stdout
    _, err = run("check", "--quiet", "--inventory", path, "--playbooks", copy, folder=tmp_path, code=2)
    assert "problems, and nothing was changed" in err
    everywhere = "gpu-1, monitor-1, nas-1"
    lines = {" ".join(line.split()) for line in err.splitlines()}
    for words in (
        f"{everywhere}: Release: this is Debian",
        f"{everywhere}: Packages: no-such-package are in none of the archives that apt knows.",
        f"{everywhere}: certificates_passphrase: it has 0 characters",
        "gpu-1: nas_client_options: soft is not allowed.",
        f"nas-1: nas_server_device: {device} has something on it (ext4), and is not formatted.",
        f"gpu-1, nas-1: Route: monitor-1 ({NO_ROUTE}) port 6514, syslog in TLS, is not reached (Network is",
        "monitor-1: monitoring_passphrase: it is missing",
        "monitor-1: grafana_passphrase: it is missing",
    ):
        assert any(line.startswith(words) for line in lines), f"{words}\n{err}"
    # What is free changes from one look to the next, so hosts need not be in one line.
    disks = re.findall(r"^ *(\S.*): Disk: / has \d+ MiB free", err, re.MULTILINE)
    assert {host for hosts in disks for host in hosts.split(", ")} == {"nas-1", "gpu-1", "monitor-1"}, err
    clocks = re.findall(r"(\S+): Clock: it is (30\d) s off from this machine's, and 240 s are allowed. Set it", err)
    assert clocks, err
    assert "Apply role" not in err  # of what is not there before roles are applied nothing is said
    assert subprocess.run(["dumpe2fs", "-h", device], capture_output=True, check=True).stdout == before
    assert not Path("/var/lib/slipway-site").exists()


def bundle(folder):
    """A bundle as the role's look at it needs it: its files are of no use."""
    import hashlib

    made = folder / "bundle"
    made.mkdir()
    files = {"slipway.whl": b"wheel", "requirements.txt": b""}
    for name, content in files.items():
        (made / name).write_bytes(content)
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    manifest = {"format": 2, "run_id": None, "seeds": 1, "gpu": False, "wheelhouse": False, "wheel": "slipway.whl"}
    (made / "manifest.json").write_text(json.dumps({**manifest, "environment": "none", "files": sums}))
    return made
