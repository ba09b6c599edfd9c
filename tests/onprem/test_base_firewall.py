"""Roles base, firewall and nvidia on a real Debian host: applied twice, attacked, cut off, and given back as it was.

The host is a container: values of the kernel outside its network, auditd and the clock are not shown here. It has no
GPU: `nvidia-smi` plays a recorded answer back, and what it is asked for stands in a folder like /sys.
"""

import contextlib
import json
import os
import re
import shutil
import socket
import struct
import subprocess
import tempfile
import time
from pathlib import Path

import pytest
import yaml
from lab import ANSIBLE, site

ANSWER = Path(__file__).parent / "nvidia_smi/two-a5000.xml"
POINTS = yaml.safe_load((ANSIBLE / "roles/base/vars/main/points.yml").read_text())["base_points"]
UP = """
- hosts: one
  become: true
  any_errors_fatal: true
  roles: [base, firewall, nvidia]
"""
ONE = """
- hosts: one
  become: true
  roles: [{role}]
"""
DOWN = """
- hosts: one
  become: true
  vars: {site_state: leaving, nvidia_state: absent, firewall_state: absent, base_state: absent}
  roles: [nvidia, firewall, base]
- hosts: one
  become: true
  gather_facts: false
  vars: {site_state: absent}
  roles: [site]
"""
FAKE = "/opt/gpus"
WATCHER = 200
"""The last number of a second address of this machine: that of the monitor host, from which others come."""
ROLLBACK = 30
"""Seconds. On a busy machine a good connection takes some, too."""
RULES = "/etc/slipway-firewall.nft"

pytestmark = [
    pytest.mark.deep,
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(os.geteuid() != 0, reason="hosts of their own need root"),
]


def reaches(address, port, source):
    """Whether a connection of TCP can be opened, from an address of this machine."""
    with contextlib.suppress(OSError), socket.create_connection((address, port), timeout=1, source_address=(source, 0)):
        return True
    return False


def answers(address, pings):
    """How many of so many pings are answered."""
    found = 0
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as raw:
        raw.settimeout(1)
        for number in range(pings):
            # An echo request of nothing: type 8, code 0, checksum, identifier 7 and its number.
            raw.sendto(struct.pack("!BBHHH", 8, 0, 0xFFFF - 0x0800 - 7 - number, 7, number), (address, 0))
        with contextlib.suppress(TimeoutError):
            while True:
                packet, (sender, _) = raw.recvfrom(1024)
                found += sender == address and packet[20] == 0
    return found


def ssh(lab, *command, user="admin", key=None, options=()):
    """Run a command over SSH, with a key alone."""
    key = key or lab.network.key
    known = ["-F", lab.ssh_config, "-o", "BatchMode=yes", "-o", "ControlPath=none", "-o", "ConnectTimeout=5", *options]
    full = ["ssh", *known, "-i", key, f"{user}@{lab.hosts['one'].address}", *command]
    return subprocess.run(list(map(str, full)), capture_output=True, text=True, stdin=subprocess.DEVNULL)


def table(host):
    return host.run("nft", "--stateless", "list", "table", "inet", "slipway").stdout


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A bare host, and this machine as the operator and as the monitor host."""
    with site("base", {"one": "bookworm"}) as made:
        watcher = f"{made.network.prefix}.{WATCHER}"
        subprocess.run(["ip", "address", "add", f"{watcher}/24", "dev", made.network.bridge], check=True)
        made.watcher, made.host, made.playbooks = watcher, made.hosts["one"], tmp_path_factory.mktemp("plays")
        plays = {"up": UP, "down": DOWN, "base": ONE.format(role="base"), "firewall": ONE.format(role="firewall")}
        for name, text in plays.items():
            (made.playbooks / f"{name}.yml").write_text(text)
        made.alice = made.folder / "alice"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", made.alice], check=True)
        made.users = [
            {"name": "alice", "sudo": True, "keys": [made.alice.with_suffix(".pub").read_text().strip()]},
            {"name": "admin", "keys": [made.alice.with_suffix(".pub").read_text().strip()]},
        ]
        made.write_inventory(
            {"gpu": ["one"]}, base_users=made.users, base_journal_max="200M", firewall_rollback_seconds=ROLLBACK
        )
        inventory = yaml.safe_load(made.inventory.read_text())
        inventory["all"]["children"]["monitor"] = {"hosts": {"watcher": {"ansible_host": watcher}}}
        made.inventory.write_text(yaml.safe_dump(inventory, sort_keys=False))
        made.up = lambda *options: made.play(made.playbooks / "up.yml", *options)
        made.keys = made.host.run("cat", "/home/admin/.ssh/authorized_keys").stdout
        yield made


def extra(**variables):
    return "--extra-vars", json.dumps(variables)


@pytest.mark.deep
def test_a_dry_run_changes_nothing(lab):
    said = lab.up("--check")
    assert "one has no GPU of NVIDIA: it trains on its processors." in said.output
    for path in (RULES, "/etc/ssh/sshd_config.d/00-slipway.conf", "/etc/sysctl.d/90-slipway.conf", "/home/alice"):
        assert lab.host.run("test", "-e", path, check=False).returncode == 1, path


def refused(lab, role, **variables):
    """What a role says that refuses to begin."""
    said = lab.play(lab.playbooks / f"{role}.yml", *extra(**variables), check=False)
    assert said.returncode == 2, said.output
    return " ".join(said.output.split())


def test_who_would_lock_himself_out_is_refused(lab):
    words = refused(lab, "firewall", site_operators=["192.0.2.0/24"])
    assert f"you connect from {lab.network.address} to port 22 of one, which no hole would let in" in words
    lab.host.run("bash", "-c", "useradd -m pat && echo pat:secret | chpasswd")
    lab.host.run("bash", "-c", "echo 'pat ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/pat")
    words = refused(lab, "base", ansible_user="pat", ansible_password="secret")
    assert "pat logs in by password and has 0 keys in /home/pat/.ssh/authorized_keys" in words
    for folder in (lab.folder / "cp").iterdir():
        subprocess.run(["ssh", "-O", "exit", "-o", f"ControlPath={folder}", "one"], capture_output=True)
    lab.host.run("bash", "-c", "loginctl terminate-user pat; userdel --force --remove pat; rm /etc/sudoers.d/pat")


GPU = {"nvidia_root": FAKE, "nvidia_source": "given"}


@pytest.fixture(scope="module")
def safe(lab):
    """The host after the roles were applied to it."""
    host = lab.host
    for name, content in (
        ("sys/bus/pci/devices/0000:01:00.0/vendor", "0x10de\n"),
        ("sys/bus/pci/devices/0000:01:00.0/class", "0x030200\n"),
        ("sys/module/nvidia/version", "590.44.01\n"),
        ("usr/lib64/libnvidia-ml.so.590.44.01", ""),
    ):
        path = host.root / FAKE.lstrip("/") / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    shutil.copy(ANSWER, host.root / "opt/gpus/answer.xml")
    program = host.root / "usr/local/bin/nvidia-smi"
    program.write_text(f"#!/bin/sh\nexec cat {FAKE}/answer.xml\n")
    program.chmod(0o755)
    lab.up(*extra(**GPU))
    return lab


def test_a_second_application_changes_nothing(safe):
    # Somebody else's rules are none of ours.
    safe.host.run("nft", "add", "table", "ip", "other")
    again = safe.up(*extra(**GPU))
    assert again.changes() == []
    assert again.changed == 0


def expected(point, host):
    """What the points of sshd and the kernel ask of a host, by the word of the table."""
    text = {"{{ {'key': 'prohibit-password', 'never': 'no'}[base_ssh_root_login] }}": "without-password"}
    for name, value in point.get("sshd", {}).items():
        if name != "DebianBanner":  # sshd -T does not tell it: the test of SSH sees it
            yield name.lower(), text.get(value, value)
    for name, wanted in point.get("algorithms", {}).items():
        known = host.run("ssh", "-Q", point["query"]).stdout.split()
        yield name.lower(), ",".join(each for each in wanted if each in known)


def test_every_point_that_claims_to_be_done_is_done(safe):
    host = safe.host
    settings = dict(line.split(" ", 1) for line in host.run("sshd", "-T").stdout.splitlines() if " " in line)
    shown, wrong = set(), []
    for point in POINTS:
        for name, value in expected(point, host):
            if settings.get(name) != value:
                wrong.append((point["ids"], name, settings.get(name), value))
        if {"sshd", "algorithms"} & point.keys():
            shown.update(point["ids"])
        if point.get("container", True):
            for key, value in point.get("sysctl", {}).items():
                found = host.run("cat", f"/proc/sys/{key.replace('.', '/')}").stdout.strip()
                if found != value:
                    wrong.append((point["ids"], key, found, value))
                shown.update(point["ids"])
            for module in point.get("modules", []):
                said = host.run("modprobe", "--showconfig").stdout
                if f"install {module} /bin/false" not in said:
                    wrong.append((point["ids"], module))
                shown.update(point["ids"])
            for check in point.get("checks", []):
                said = host.run(*check["run"], check=False).stdout.strip()
                if not re.search(check["says"].replace("{{ base_journal_max }}", "200M"), said, re.MULTILINE):
                    wrong.append((point["ids"], check["run"], said))
                shown.update(point["ids"])
    assert not wrong, wrong
    left = {each for point in POINTS if not {"waiver", "elsewhere"} & point.keys() for each in point["ids"]} - shown
    kernel = {each for point in POINTS if not point.get("container", True) for each in point["ids"]}
    assert left <= kernel, left - kernel


def test_ssh_takes_keys_alone(safe):
    with socket.create_connection((safe.host.address, 22), timeout=10) as stream:
        assert re.fullmatch(rb"SSH-2.0-OpenSSH_[\d.]+p\d\r\n", stream.recv(100))
    methods = ssh(safe, "true", user="root", options=("-o", "PreferredAuthentications=none"))
    assert "Permission denied (publickey)" in methods.stderr
    old = ssh(safe, "true", options=("-o", "KexAlgorithms=diffie-hellman-group14-sha256"))
    assert "no matching key exchange method found" in old.stderr


def test_users_come_with_their_keys(safe):
    host = safe.host
    assert ssh(safe, "sudo -n id -un", user="alice", key=safe.alice).stdout == "root\n"
    assert host.run("getent", "shadow", "alice").stdout.split(":")[1] == "*"
    keys = host.run("cat", "/home/admin/.ssh/authorized_keys").stdout
    assert keys.startswith(safe.keys)  # a key that was there stays
    assert safe.users[1]["keys"][0] in keys


def test_updates_are_of_security_and_not_of_the_driver(safe):
    said = safe.host.run("unattended-upgrade", "--dry-run", "--debug", check=False)
    words = said.stdout + said.stderr
    assert re.search(r"Allowed origins are: .*label=Debian-Security", words), words
    assert re.search(r"Initial blacklist: .*nvidia- libnvidia-", words), words
    assert "label=Debian," not in words.split("Initial blacklist")[0]


def test_the_journal_is_bounded(safe):
    assert "max 200.0M" in safe.host.run("journalctl", "--unit=systemd-journald", "--output=cat", "--no-pager").stdout


def test_only_declared_ports_are_open_and_only_to_their_group(safe):
    host, address = safe.host, safe.host.address
    for port in (9100, 9464, 9479, 5000):
        host.run("systemd-run", f"--unit=listens-{port}", "python3", "-m", "http.server", port)
    operator = safe.network.address
    end = time.monotonic() + 20
    while not reaches(address, 9479, safe.watcher):
        assert time.monotonic() < end, table(host)
    open_to = {
        who: {port for port in (22, 9100, 9464, 9479, 5000) if reaches(address, port, who)}
        for who in (operator, safe.watcher)
    }
    assert open_to == {operator: {22}, safe.watcher: {9100, 9464, 9479}}
    assert host.run("curl", "-sf", "-o", "/dev/null", "http://127.0.0.1:5000/", check=False).returncode == 0
    assert 1 <= answers(address, 300) <= 150  # pings are rationed
    assert "policy drop" in table(host).split("chain forward")[1]
    for port in (9100, 9464, 9479, 5000):
        host.run("systemctl", "stop", f"listens-{port}")


def bad(lab, role, template, change):
    """A playbook with a copy of a role whose template has a fault."""
    folder = Path(tempfile.mkdtemp(dir=lab.playbooks))
    shutil.copytree(ANSIBLE / "roles" / role, folder / "roles" / role)
    path = folder / "roles" / role / "templates" / template
    path.write_text(change(path.read_text()))
    (folder / "up.yml").write_text(ONE.format(role=role))
    return folder / "up.yml"


def test_rules_that_shut_the_operator_out_go_back_by_themselves(safe):
    host = safe.host
    rules, file = table(host), host.run("cat", RULES).stdout
    fault = bad(
        safe,
        "firewall",
        "rules.nft.j2",
        lambda text: text.replace("ct state established", "tcp dport 22 drop\n ct state established", 1),
    )
    said = safe.play(fault, check=False)
    words = " ".join(said.output.split())
    assert said.returncode == 2
    assert (
        f"Firewall: with the new rules this machine could not open a new connection to one within {ROLLBACK} seconds"
        in words
    )
    assert "The host has gone back to the rules that it had." in words
    assert (table(host), host.run("cat", RULES).stdout) == (rules, file)
    assert ssh(safe, "true").returncode == 0
    assert host.run("systemctl", "list-timers", "--all", "--no-legend", "slipway-firewall-back.timer").stdout == ""
    assert "tcp dport 22 drop" in host.run("cat", "/var/lib/slipway-site/firewall/next").stdout


@pytest.mark.deep
def test_rules_that_make_no_sense_are_never_loaded(safe):
    rules = table(safe.host)
    said = safe.play(
        bad(safe, "firewall", "rules.nft.j2", lambda text: text.replace("policy drop", "policy dorp")), check=False
    )
    assert said.returncode == 2
    assert "failed to validate" in said.output
    assert table(safe.host) == rules


@pytest.mark.deep
def test_an_sshd_that_lets_nobody_in_goes_back_by_itself(safe):
    fault = bad(safe, "base", "sshd.conf.j2", lambda text: f"AllowUsers nobody\n{text}")
    said = safe.play(fault, *extra(base_ssh_rollback_seconds=ROLLBACK), check=False)
    words = " ".join(said.output.split())
    assert said.returncode == 2
    assert "SSH: with the hardened configuration this machine could not connect any more" in words
    assert ssh(safe, "true").returncode == 0
    assert "passwordauthentication no" in safe.host.run("sshd", "-T").stdout


def test_who_would_be_removed_meanwhile_is_refused_before_anything_changes(safe):
    alice = {"ansible_user": "alice", "ansible_ssh_private_key_file": str(safe.alice)}
    absent, yes = {"site_state": "leaving", "base_state": "absent"}, {"teardown_confirmed": "yes"}
    for playbook, given in ((ANSIBLE / "teardown.yml", yes), (safe.playbooks / "base.yml", absent)):
        said = safe.play(playbook, "--limit", "one", *extra(**given, **alice), check=False)
        words = " ".join(said.output.split())
        assert (said.returncode, said.changed) == (2, 0), said.output
        assert "User alice: you connect to one as it, but this site made that user there" in words
        assert "Connect as one who was there before the site (ansible_user)" in words
    # He was there before, but not by this key: no connection that is open is of it.
    admin = alice | {"ansible_user": "admin", "ansible_control_path_dir": str(safe.folder / "cp-alice")}
    said = safe.play(ANSIBLE / "teardown.yml", "--limit", "one", *extra(**yes, **admin), check=False)
    words = " ".join(said.output.split())
    assert (said.returncode, said.changed) == (2, 0), said.output
    assert re.search("User admin: you connect to one with the key SHA256:[^ ]+, which this site gave", words), words
    users = [user for user in safe.users if user["name"] != "alice"]
    words = refused(safe, "base", base_users=users, **alice)
    assert "User alice: you connect to one as it, but this role made it and would now remove it" in words


@pytest.mark.deep
def test_rules_that_somebody_changed_are_put_right_and_others_stay(safe):
    host = safe.host
    host.run("nft", "flush", "chain", "inet", "slipway", "input")
    host.run("nft", "add", "chain", "inet", "slipway", "input", "{ policy accept; }")
    users = [user for user in safe.users if user["name"] != "alice"]
    said = safe.up(*extra(**GPU, base_users=users))
    assert "policy drop" in table(host)
    assert host.run("nft", "list", "table", "ip", "other").returncode == 0
    assert said.changed > 0
    # And who is not asked for any more is gone.
    assert host.run("id", "alice", check=False).returncode == 1
    assert ssh(safe, "true", user="alice", key=safe.alice).returncode == 255
    assert not (host.root / "etc/sudoers.d/slipway-user-alice").exists()


def test_a_restart_that_a_run_was_cut_off_before_is_made_up_for(safe):
    host, journal = safe.host, "systemd-journald.service"
    started = host.properties(journal)["ExecMainStartTimestampMonotonic"]
    given = GPU | {"base_journal_max": "300M"}
    # The last line of the task before says that it is done.
    safe.play_until(safe.playbooks / "up.yml", "TASK [base : Look which service keeps the clock", *extra(**given))
    assert "300M" in host.run("cat", "/etc/systemd/journald.conf.d/50-slipway.conf").stdout
    assert host.properties(journal)["ExecMainStartTimestampMonotonic"] == started
    said = safe.up(*extra(**given))
    assert [line.split(": changed")[0] for line in said.changes()][:2] == [
        "site : Call for those that were not",
        "base : Restart the journal",
    ]
    assert host.properties(journal)["ExecMainStartTimestampMonotonic"] != started
    assert safe.up(*extra(**given)).changes() == []


def test_what_is_switched_off_ends(safe):
    host, timer = safe.host, "apt-daily-upgrade.timer"
    rules = "/etc/audit/rules.d/50-slipway.rules"
    servers = "/etc/systemd/timesyncd.conf.d/50-slipway.conf"
    safe.up(*extra(**GPU, base_time_servers=["ntp.example"], base_updates_reboot_time="04:30"))
    assert "ntp.example" in host.run("cat", servers).stdout
    assert 'Automatic-Reboot "true"' in host.run("apt-config", "dump").stdout
    host.run("mkdir", "-p", "/etc/audit/rules.d")
    host.run("touch", rules)  # as on a host that is no container
    host.run("systemctl", "is-active", timer)
    off = extra(**GPU, base_updates=False, base_audit=False)
    safe.up(*off)
    settings = host.run("apt-config", "dump").stdout
    assert 'APT::Periodic::Unattended-Upgrade "0";' in settings
    assert "Automatic-Reboot" not in settings
    assert [path for path in (rules, servers) if (host.root / path.strip("/")).exists()] == []
    assert safe.up(*off).changes() == []
    assert safe.up("--check", *off).changes() == []
    host.run("rmdir", "/etc/audit/rules.d", "/etc/audit")
    safe.up(*extra(**GPU))
    assert 'APT::Periodic::Unattended-Upgrade "1";' in host.run("apt-config", "dump").stdout
    host.run("systemctl", "is-active", timer)


def test_gpus_are_measured_again_and_again(safe):
    host, file = safe.host, "/var/lib/prometheus/node-exporter/slipway-gpu.prom"
    host.wait(
        "slipway-gpu-metrics.service", lambda found: found["Result"] == "success" and found["ActiveState"] == "inactive"
    )
    assert 'nvidia_smi_memory_used_bytes{gpu="1"}' in host.run("cat", file).stdout
    assert host.run("stat", "-c", "%a", file).stdout == "644\n"
    first = host.run("stat", "-c", "%Y", file).stdout
    end = time.monotonic() + 40
    while host.run("stat", "-c", "%Y", file).stdout == first:
        assert time.monotonic() < end
        time.sleep(1)
    assert (
        float(
            re.search(
                r"level for [\w.-]+: ([\d.]+)",
                host.run("systemd-analyze", "security", "slipway-gpu-metrics.service").stdout,
            )[1]
        )
        <= 4
    )


def test_the_rules_are_there_before_anything_else_after_a_boot(safe):
    rules = table(safe.host)
    safe.host.crash()
    safe.host.boot()
    assert table(safe.host) == rules
    assert ssh(safe, "true").returncode == 0
    assert not reaches(safe.host.address, 5355, safe.watcher)


def test_it_is_given_back_as_it_was(safe):
    host = safe.host
    # What the test itself has put there.
    host.run("rm", "-rf", "/usr/local/bin/nvidia-smi", FAKE)
    host.run("nft", "delete", "table", "ip", "other", check=False)
    safe.play(safe.playbooks / "down.yml")
    assert host.run("cat", "/home/admin/.ssh/authorized_keys").stdout == safe.keys
    again = safe.play(safe.playbooks / "down.yml")
    assert again.changes() == []
