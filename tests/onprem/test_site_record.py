"""The parts of role `site` that need no host: what is different, why, and what apt-get would do."""

import importlib.util
import json
import re
import socket
import sys
import types
from pathlib import Path

import ansible.module_utils
import pytest

ROLE = Path(__file__).parents[2] / "ansible/roles/site"


def load(path):
    """A module of the role, as Python's own."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def snapshot():
    return load(ROLE / "files/snapshot.py")


@pytest.fixture(scope="module")
def modules():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ansible.module_utils, "__path__", [*ansible.module_utils.__path__, str(ROLE / "module_utils")])
        yield {name: load(ROLE / f"library/slipway_{name}.py") for name in ("kept", "packages")}


def test_this_machine_is_as_it_is(snapshot):
    one = snapshot.take()
    assert one.keys() == {"format", *snapshot.SECTIONS}
    assert all(isinstance(value, str) for section in snapshot.SECTIONS for value in one[section].values())
    assert {"root"} <= one["users"].keys()
    assert "/etc/passwd" in one["files"]
    assert list(snapshot.differences(one, json.loads(json.dumps(one)))) == []


def test_a_listening_port_and_its_program_are_seen(snapshot):
    with (
        socket.create_server(("127.0.0.1", 0)) as four,
        socket.create_server(("::1", 0), family=socket.AF_INET6) as six,
    ):
        one, other = (f"tcp {each.getsockname()[0]} {each.getsockname()[1]}" for each in (four, six))
        found = snapshot.sockets()
        assert found[one] == found[other] == Path("/proc/self/comm").read_text().strip()
    assert one not in snapshot.sockets()


BEFORE = {"packages": {"a": "1", "b": "1"}, "files": {"/etc/a": "0644 0:0 x", "/etc/passwd-": "1"}}
AFTER = {"packages": {"a": "2", "c": "1"}, "files": {"/etc/a": "0600 0:0 x", "/etc/passwd-": "2"}}


def test_every_difference_is_listed_with_its_reason_or_without(snapshot):
    exceptions = json.loads((ROLE / "files/exceptions.json").read_text())
    result = snapshot.compare(BEFORE, AFTER, exceptions)
    assert [(each["key"], each["change"]) for each in result["explained"]] == [
        ("a", "changed"),
        ("/etc/passwd-", "changed"),
    ]
    assert [snapshot.words(each) for each in result["unexplained"]] == [
        "packages: b: removed: 1",
        "packages: c: added: 1",
        "files: /etc/a: changed: 0644 0:0 x -> 0600 0:0 x",
    ]


def test_an_exception_is_for_the_whole_name_and_for_its_kind_of_change(snapshot):
    found = {"section": "files", "key": "/etc/mine", "change": "added"}
    one = {"section": "files", "reason": "why"}
    assert snapshot.explain(found, [{**one, "key": "/etc/mine"}]) == "why"
    assert snapshot.explain(found, [{**one, "key": "/etc/m"}]) == ""
    assert snapshot.explain(found, [{**one, "key": "/etc/mine", "change": "removed"}]) == ""
    assert snapshot.explain(found, [{**one, "section": "folders", "key": "/etc/mine"}]) == ""
    changed = {**found, "change": "changed", "before": "no", "after": "yes"}
    assert snapshot.explain(changed, [{**one, "key": "/etc/mine", "before": "no", "after": "y.*"}]) == "why"
    assert snapshot.explain(changed, [{**one, "key": "/etc/mine", "before": "n", "after": "y.*"}]) == ""


def test_the_command_tells_and_ends_with_1(snapshot, tmp_path, capsys, monkeypatch):
    for name, content in (("before", BEFORE), ("now", AFTER), ("none", [])):
        (tmp_path / name).write_text(json.dumps(content))
    command = [
        "compare",
        str(tmp_path / "before"),
        "--now",
        str(tmp_path / "now"),
        "--exceptions",
        str(tmp_path / "none"),
    ]
    monkeypatch.setattr(sys, "argv", ["snapshot.py", *command])
    assert snapshot.main() == 1
    assert "UNEXPLAINED: packages: a: changed: 1 -> 2" in capsys.readouterr().out
    monkeypatch.setattr(
        sys, "argv", ["snapshot.py", "compare", *[str(tmp_path / "now")] * 1, "--now", str(tmp_path / "now")]
    )
    assert snapshot.main() == 0


def test_exceptions_are_declared_with_a_reason_each(snapshot):
    for each in json.loads((ROLE / "files/exceptions.json").read_text()):
        assert each.keys() <= {"section", "key", "change", "before", "after", "reason"}
        assert each["section"] in snapshot.SECTIONS
        assert each.get("change", "added") in {"added", "removed", "changed"}
        assert each["reason"]
        for part in {"key", "before", "after"} & each.keys():
            re.compile(each[part])
        # Of any name at all only where it says from what to what.
        assert each["key"] != ".*" or each.keys() >= {"before", "after"}


EXCEPTIONS = json.loads((ROLE / "files/exceptions.json").read_text())
A, C, R = "added", "changed", "removed"


@pytest.mark.parametrize(
    ("section", "key", "change", "before", "after"),
    [
        ("packages", "openssl", C, "3.0.15-1~deb12u1", "3.0.17-1~deb12u2"),
        ("packages", "nginx", C, "config-files 1.22.1-9", "config-files 1.22.1-9+deb12u2"),
        ("packages", "linux-image-6.1.0-38-amd64", A, "", "6.1.147-1"),
        ("packages", "linux-headers-6.8.0-45-generic", R, "6.8.0-45.45", ""),
        ("packages", "linux-hwe-6.8-headers-6.8.0-45", A, "", "6.8.0-45.45~22.04.1"),
        ("files", "/etc/shadow-", C, "1", "2"),
        ("files", "/etc/ssl/certs/ca-certificates.crt", C, "1", "2"),
        ("files", "/etc/ssl/certs/5f15c80c.0", R, "1", ""),
        ("files", "/etc/systemd/system/snapd.mounts.target.wants/snap-core22-1621.mount", A, "", "1"),
        ("mounts", "/snap/core22/1621", A, "", "squashfs"),
        ("mounts", "/run/user/1000", R, "tmpfs", ""),
        ("units", "backup.service", C, "enabled, failed", "enabled, active"),
        ("units", "cloud-final.service", C, "enabled, failed", "enabled"),
        ("units", "run-r1.service", R, "loaded, failed", ""),
        ("folders", "/var/log/syslog.2.gz", A, "", "file 0640 104:4"),
        ("folders", "/var/log/dpkg.log.1", R, "file 0644 0:0", ""),
        ("folders", "/root/.ansible", A, "", "folder 0700 0:0"),
        ("sysctl", "net.netfilter.nf_conntrack_tcp_timeout_close", A, "", "10"),
        ("sysctl", "net.netfilter.nf_conntrack_frag6_timeout", A, "", "60"),
        ("sysctl", "net.netfilter.nf_flowtable_udp_timeout", A, "", "30"),
        ("sysctl", "net.nf_conntrack_max", A, "", "65536"),
        ("sysctl", "net.netfilter.nf_log.2", C, "NONE", "nf_log_ipv4"),
        ("sysctl", "net.ipv4.tcp_available_ulp", C, "espintcp mptcp", "espintcp mptcp tls"),
        ("sysctl", "fs.nfs.nlm_grace_period", A, "", "0"),
        ("sysctl", "sunrpc.min_resvport", A, "", "665"),
        ("sysctl", "fs.xfs.stats_clear", A, "", "0"),
        ("sysctl", "kernel.threads-max", C, "15613", "15611"),
    ],
)
def test_what_a_site_s_life_brings_with_it_is_no_fault(snapshot, section, key, change, before, after):
    found = {"section": section, "key": key, "change": change, "before": before, "after": after}
    assert snapshot.explain(found, EXCEPTIONS)


@pytest.mark.parametrize(
    ("section", "key", "change", "before", "after"),
    [
        ("packages", "nginx", C, "1.22.1-9", "config-files 1.22.1-9"),
        ("packages", "nginx", R, "1.22.1-9", ""),
        ("packages", "nginx", C, "config-files 1.22.1-9", "1.22.1-9"),
        ("packages", "nginx", R, "config-files 1.22.1-9", ""),
        ("packages", "linux-headers-amd64", A, "", "6.1.147-1"),
        ("packages", "linux-image-amd64", R, "6.1.147-1", ""),
        ("files", "/etc/mtab", C, "link ../proc/self/mounts", "0644 0:0 1"),
        ("files", "/etc/hostname", C, "1", "2"),
        ("files", "/etc/machine-id", C, "1", "2"),
        ("files", "/etc/resolv.conf", R, "1", ""),
        ("files", "/etc/systemd/system/snapper.service", A, "", "1"),
        ("units", "backup.service", C, "enabled, failed", "masked"),
        ("units", "backup.service", R, "enabled, failed", ""),
        ("units", "backup.service", C, "enabled, active", "enabled, failed"),
        ("units", "logrotate.service", C, "static", "static, failed"),
        ("units", "user@1000.service", A, "", "static, failed"),
        ("folders", "/home/alice", A, "", "folder 0700 1001:1001"),
        ("folders", "/root/.ssh", A, "", "folder 0700 0:0"),
        ("folders", "/root/.cache", A, "", "folder 0700 0:0"),
        ("folders", "/var/log/journal", A, "", "folder 2755 0:999"),
        ("folders", "/var/log/prometheus", A, "", "folder 0755 0:0"),
        ("folders", "/var/lib/apt", C, "folder 0755 0:0", "folder 0777 0:0"),
        ("sysctl", "kernel.unprivileged_userns_clone", A, "", "1"),
        ("sysctl", "net.ipv4.ip_forward", C, "1", "0"),
        ("sysctl", "net.netfilter.nf_conntrack_max", C, "65536", "1024"),
        ("sysctl", "net.netfilter.nf_log.2", C, "nf_log_ipv4", "NONE"),
        ("sysctl", "net.bridge.bridge-nf-call-iptables", A, "", "1"),
        ("sysctl", "kernel.osrelease", C, "6.1.0-37-amd64", "6.1.0-38-amd64"),
    ],
)
def test_what_none_of_our_roles_and_no_update_brings_is_told(snapshot, section, key, change, before, after):
    found = {"section": section, "key": key, "change": change, "before": before, "after": after}
    assert snapshot.explain(found, EXCEPTIONS) == ""


def test_another_kernel_has_values_of_its_own(snapshot):
    old = {"kernel.osrelease": "6.1.0-37-amd64", "kernel.version": "#1 SMP one", "net.old": "1", "kernel.sysrq": "1"}
    new = {"kernel.osrelease": "6.1.0-38-amd64", "kernel.version": "#1 SMP other", "net.new": "1", "kernel.sysrq": "0"}
    result = snapshot.compare({"sysctl": old}, {"sysctl": new}, EXCEPTIONS)
    assert {each["key"] for each in result["explained"]} == {"kernel.osrelease", "kernel.version", "net.old", "net.new"}
    assert {each["reason"] for each in result["explained"]} == {
        "another kernel runs, 6.1.0-38-amd64 after 6.1.0-37-amd64"
    }
    assert [each["key"] for each in result["unexplained"]] == ["kernel.sysrq"]
    same = {**new, "kernel.osrelease": "6.1.0-37-amd64", "kernel.version": "#1 SMP one"}
    left = snapshot.compare({"sysctl": old}, {"sysctl": same}, EXCEPTIONS)["unexplained"]
    assert {each["key"] for each in left} == {"net.old", "net.new", "kernel.sysrq"}


SIMULATED = """\
NOTE: This is only a simulation!
Remv systemd-timesyncd [252.36-1~deb12u1] [systemd:amd64 ]
Inst libssl3:amd64 [3.0.15-1] (3.0.16-1 Debian:12.11/stable [amd64])
Inst chrony (4.3-2+deb12u1 Debian:12.11/stable [amd64])
Conf chrony (4.3-2+deb12u1 Debian:12.11/stable [amd64])
Purg nano [7.2-1]
"""


def test_what_apt_get_would_do_is_read(modules):
    plan = modules["packages"].parse(SIMULATED)
    assert (plan.new, plan.upgraded, plan.removed) == (["chrony"], ["libssl3"], ["systemd-timesyncd", "nano"])


def test_packages_that_are_there_are_not_missing(modules, tmp_path):
    packages = modules["packages"].Packages(tmp_path)
    version = modules["packages"].states()["bash"][1]
    assert packages.missing(["bash", f"bash={version}", "bash=0.1", "no-such-package"]) == [
        "bash=0.1",
        "no-such-package",
    ]


def test_lists_of_packages_are_waited_for_where_the_machine_fetches_them_by_itself(modules, tmp_path, monkeypatch):
    busy = "E: Could not get lock /var/lib/apt/lists/lock. It is held by process 700 (apt-get)\n"
    answers = [busy, busy, "Get:1 http://deb.debian.org/debian trixie InRelease\n"]
    monkeypatch.setattr(modules["packages"], "run", lambda *command, **_: answers.pop(0))
    monkeypatch.setattr(modules["packages"].time, "sleep", lambda seconds: None)
    packages = modules["packages"].Packages(tmp_path)
    assert packages.fetch_lists().startswith("Get:1")
    assert packages.stamp.exists()
    assert answers == []
    packages.stamp.unlink()
    answers = [busy]
    monkeypatch.setattr(modules["packages"], "WAITING_SECONDS", -1)
    assert packages.fetch_lists() == busy
    assert not packages.stamp.exists()


def apt(monkeypatch, module, **said):
    """What the module calls, without its options, while `run` says what is given for a command's words."""
    calls = []

    def run(*command, **_):
        words = " ".join(each for each in command if each not in module.OPTIONS)
        calls.append(words)
        return said.get(words.replace(" --simulate", "").replace("-", "_").replace(" ", "_"), "")

    monkeypatch.setattr(module, "run", run)
    return calls


def test_libraries_that_were_there_before_are_no_orphans_of_ours(modules, tmp_path, monkeypatch):
    before = {"packages": {"libonig5:amd64": "6.9.9-1+b1", "jq": "1.7.1-6"}}
    (tmp_path / "before.json").write_text(json.dumps(before))
    simulated = "Remv libonig5 [6.9.9-1+b1]\nRemv libnew1:amd64 [1.0]\n"
    calls = apt(monkeypatch, modules["packages"], apt_get_autoremove=simulated)
    modules["packages"].Packages(tmp_path)._purge_orphans()
    assert calls == ["apt-get --simulate autoremove", "apt-get purge libnew1"]


def test_what_had_been_removed_and_not_purged_is_so_again(modules, tmp_path, monkeypatch):
    module, there = modules["packages"], {"old": ("config-files", "1")}
    calls = apt(monkeypatch, module)
    monkeypatch.setattr(module, "states", lambda: dict(there))
    for _ in range(2):
        module.Packages(tmp_path).install(["old"], [], module.Plan(new=["old", "library"]), start=True)
        there |= {"old": ("installed", "1"), "library": ("installed", "1")}
    calls.clear()
    module.Packages(tmp_path).purge()
    assert [each for each in calls if re.match("apt-get (?!--simulate)", each)] == [
        "apt-get remove old library",
        "apt-get purge library",
    ]
    assert not (tmp_path / "packages.json").exists()


def test_files_come_back_as_they_were_and_only_once(modules, tmp_path):
    kept = modules["kept"].Kept(tmp_path / "record", dry=False)
    file, link, new, folder = (tmp_path / name for name in ("file", "link", "new", "folder"))
    file.write_text("old")
    file.chmod(0o640)
    link.symlink_to("somewhere")
    folder.mkdir(mode=0o700)
    for path in (file, link, new, folder):
        assert kept.keep_path(path)
    kept.save()
    file.write_text("new")
    assert not kept.keep_path(file)
    file.unlink()
    file.symlink_to(link)
    link.unlink()
    link.mkdir()
    (link / "x").touch()
    new.mkdir()
    folder.chmod(0o755)
    again = modules["kept"].Kept(tmp_path / "record", dry=False)
    assert all(again.restore_path(path) for path in (file, link, new, folder))
    assert (file.is_symlink(), file.read_text(), file.stat().st_mode & 0o777) == (False, "old", 0o640)
    assert str(link.readlink()) == "somewhere"
    assert not new.exists()
    assert folder.stat().st_mode & 0o777 == 0o700
    assert not any(again.restore_path(path) for path in (file, link, new, folder))
    assert not (tmp_path / "record/kept.json").exists()


def test_a_dry_run_keeps_nothing(modules, tmp_path):
    kept = modules["kept"].Kept(tmp_path / "record", dry=True)
    assert kept.keep_path(Path("/etc/passwd"))
    kept.save()
    assert not (tmp_path / "record").exists()


def test_ports_that_are_claimed_twice_are_named():
    clashes = load(ROLE / "filter_plugins/site_filters.py").site_port_clashes
    ports = {
        "a": {"port": 9464, "count": 16, "protocol": "tcp"},
        "b": {"port": 9479, "protocol": "tcp"},
        "c": {"port": 9480, "protocol": "tcp"},
        "d": {"port": 9464, "protocol": "udp"},
    }
    assert clashes(ports) == ["a and b both claim tcp port 9479"]


@pytest.mark.parametrize("upgrade", [True, False])
def test_apt_is_asked_for_another_version_of_what_is_there(modules, tmp_path, monkeypatch, upgrade):
    packages, asked = modules["packages"], []

    def run(*command, **_):
        asked.append(command)
        if "--simulate" in command:
            return "Inst nvidia-smi [550.1-1] (535.2-1 Debian:12 [amd64])\n"
        return "nvidia-smi\tinstalled\t550.1-1\n" if command[0] == "dpkg-query" else ""

    monkeypatch.setattr(packages, "run", run)
    monkeypatch.setattr(packages, "tidy", lambda: None)
    monkeypatch.setattr(packages, "heal", lambda **_: None)
    given = {"names": ["nvidia-smi"], "default_release": "", "start": True, "update": False, "replace": []}
    given["upgrade"] = upgrade
    done = packages.present(types.SimpleNamespace(check_mode=False), packages.Packages(tmp_path), given)
    installing = [command for command in asked if "install" in command and "--simulate" not in command]
    assert done["changed"] is upgrade
    assert len(installing) == upgrade
    assert all("--allow-downgrades" in command and command[-1] == "nvidia-smi" for command in installing)
