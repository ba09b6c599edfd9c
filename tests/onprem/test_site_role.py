"""A host is recorded before its first change and given back as it was, after a site or one that died half-way."""

import json
import os
import re
import stat
import subprocess
import time
from pathlib import Path

import pytest
from lab import site

HERE = Path(__file__).parent
UP, DOWN = HERE / "example/up.yml", HERE / "example/down.yml"
RECORD = "/var/lib/slipway-site"
EXCEPTIONS = json.loads((HERE.parents[1] / "ansible/roles/site/files/exceptions.json").read_text())

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(os.geteuid() != 0, reason="hosts of their own need root"),
]


def tree(host):
    """All below the host's /etc, looked at from outside, but for what is declared to be no fault."""
    found = {}
    for place, folders, files in os.walk(host.root / "etc"):
        for path in (Path(place, name) for name in (*folders, *files)):
            status, name = path.lstat(), f"/{path.relative_to(host.root)}"
            if name.endswith("-") or name in ("/etc/ld.so.cache", "/etc/.pwd.lock"):
                continue
            content = path.read_bytes() if stat.S_ISREG(status.st_mode) else path.is_symlink() and path.readlink()
            found[name] = (status.st_mode, status.st_uid, status.st_gid, content)
    return found


def installed(host):
    return set(host.run("dpkg-query", "-W", "-f", "${Package} ${db:Status-Abbrev}\n").stdout.splitlines())


def how_it_is(host):
    """What must be the same before and after, by other means than the role's own."""
    listening = {line.split()[4] for line in host.run("ss", "-Hlntu").stdout.splitlines()}
    failed = host.run("systemctl", "--failed", "--no-legend", "--plain").stdout
    timers = host.run("systemctl", "list-unit-files", "--type=timer,service,socket", "--no-legend").stdout
    return {
        "tree": tree(host), "packages": installed(host), "listening": listening, "failed": failed, "units": timers,
        "manual": host.run("apt-mark", "showmanual").stdout,
    }  # fmt: skip


def assert_same(host, before):
    after = how_it_is(host)
    for part, was in before.items():
        now = after[part]
        if isinstance(was, dict):
            assert {k: v for k, v in was.items() if now.get(k) != v} == {}
            assert now.keys() - was.keys() == set()
        else:
            assert now == was, part
    assert not (host.root / RECORD.lstrip("/")).exists()
    assert not (host.root / "usr/sbin/policy-rc.d").exists()


@pytest.fixture(scope="module")
def lab():
    """A bare host, as an operator has it: with a daemon of his own that a site replaces."""
    with site("site-role", {"one": "trixie"}) as made:
        made.write_inventory({"gpu": ["one"]})
        host = made.hosts["one"]
        host.run("apt-get", "update", "-q")
        host.run(
            "apt-get",
            "install",
            "-qy",
            "--no-install-recommends",
            "systemd-timesyncd",
            DEBIAN_FRONTEND="noninteractive",
        )
        made.before = how_it_is(host)
        yield made


def test_a_dry_run_changes_nothing(lab):
    assert lab.play(UP, "--check", check=False).hosts["one"]["unreachable"] == 0
    assert_same(lab.hosts["one"], lab.before)


def test_a_host_that_will_not_do_is_refused_before_anything_changes(lab):
    extra = {"site_operators": ["10.0.0.0/8", "anywhere"]}
    said = lab.play(UP, "--extra-vars", json.dumps(extra), check=False)
    assert said.returncode == 2
    assert "site_operators: ['10.0.0.0/8', 'anywhere'] is not allowed. Give one or more networks" in said.output
    assert said.changed == 0


def test_what_is_asked_for_is_done_and_recorded(lab):
    lab.play(UP)
    host = lab.hosts["one"]
    assert host.run("stat", "--format=%U:%G %a", RECORD, f"{RECORD}/before.json").stdout.splitlines() == [
        "root:root 700",
        "root:root 600",
    ]
    packages = json.loads(host.run("cat", f"{RECORD}/packages.json").stdout)
    assert {"chrony", "libonig5", "rpcbind"} <= set(packages["installed"])
    assert [each["name"] for each in packages["replaced"]] == ["systemd-timesyncd"]
    assert packages["users"].keys() == {"_chrony", "_rpc"}
    assert host.run("cat", "/etc/motd").stdout == "This is a trainer.\n"
    assert (
        host.run("systemctl", "is-active", "rpcbind.service", "rpcbind.socket", check=False).stdout.split()
        == ["inactive"] * 2
    )
    assert not (host.root / "usr/sbin/policy-rc.d").exists()


def test_a_second_application_changes_nothing(lab):
    again = lab.play(UP)
    assert again.changes() == []
    assert again.changed == 0


def test_what_is_different_without_a_reason_is_told_and_what_others_need_stays(lab):
    host = lab.hosts["one"]
    host.run("apt-get", "install", "-qy", "--no-install-recommends", "jq", DEBIAN_FRONTEND="noninteractive")
    host.run("bash", "-c", "echo mine > /etc/mine.conf")
    # An operator logs in, and sshd of Debian 13 writes that down.
    terminal = ["ssh", "-F", lab.ssh_config, "-tt", host.address, "true"]
    subprocess.run(terminal, stdin=subprocess.DEVNULL, capture_output=True, check=True)
    assert (host.root / "var/log/wtmp.db").exists()
    said = lab.play(DOWN, check=False)
    assert said.returncode == 2
    words = " ".join(said.output.split())
    assert "one is not as it was" in words
    proof = json.loads((lab.inventory.parent / "proofs/one.json").read_text())
    left = {(each["section"], each["key"]) for each in proof["unexplained"]}
    assert left == {("packages", "jq"), ("packages", "libjq1:amd64"), ("manual", "jq"), ("files", "/etc/mine.conf")}
    kept = [each for each in proof["explained"] if each["key"].startswith("libonig5")]
    assert [each["reason"] for each in kept if each["section"] == "packages"] == ["needed by jq, libjq1"]
    assert host.run("jq", "--null-input", "1").stdout == "1\n"


def test_it_is_given_back_as_it_was(lab):
    host = lab.hosts["one"]
    host.run("apt-get", "purge", "-qy", "jq", "libjq1", DEBIAN_FRONTEND="noninteractive")
    host.run("rm", "/etc/mine.conf")
    lab.play(DOWN)
    assert_same(host, lab.before)
    proof = json.loads((lab.inventory.parent / "proofs/one.json").read_text())
    assert proof["unexplained"] == []
    assert {each["reason"] for each in proof["explained"]} <= {each["reason"] for each in EXCEPTIONS}


def test_to_give_it_back_again_changes_nothing(lab):
    again = lab.play(DOWN)
    assert again.changes() == []
    assert again.changed == 0


def test_a_host_that_died_in_the_middle_of_dpkg_is_given_back(lab):
    host = lab.hosts["one"]
    with lab.start(UP) as process:
        end = time.monotonic() + 300
        while not host.run("pgrep", "--full", "^/usr/bin/dpkg .*--unpack", check=False).stdout:
            assert time.monotonic() < end, "nothing was ever unpacked"
            time.sleep(0.02)
        host.crash()
        process.kill()
    host.boot()
    packages = json.loads(host.run("cat", f"{RECORD}/packages.json").stdout)
    assert packages["pending"], "the installation was over when the power went"
    lab.play(DOWN)
    assert_same(host, lab.before)


def test_a_package_that_dpkg_wants_installed_again_goes_all_the_same(lab):
    """As dpkg leaves one while whose unpacking the power went: dpkg(1), package states and flags."""
    host = lab.hosts["one"]
    lab.play(UP)
    status = host.root / "var/lib/dpkg/status"
    whole = "Package: chrony\nStatus: install ok installed\n"
    assert whole in status.read_text()
    status.write_text(status.read_text().replace(whole, whole.replace("ok installed", "reinstreq half-installed")))
    assert "reinst" in host.run("dpkg", "--audit", check=False).stdout
    (host.root / "etc/default/chrony.dpkg-new").write_text("half")
    lab.play(DOWN)
    assert_same(host, lab.before)


@pytest.mark.deep
def test_a_play_that_was_killed_half_way_is_taken_back(lab):
    host = lab.hosts["one"]
    lab.play_until(UP, "TASK [example : Make a folder]")
    lab.play(DOWN)
    assert_same(host, lab.before)


@pytest.mark.deep
def test_a_package_that_was_removed_and_not_purged_is_so_again(lab):
    host, apt = lab.hosts["one"], ("apt-get", "-qy", "--no-install-recommends")
    host.run(*apt, "install", "rpcbind", "libonig5", DEBIAN_FRONTEND="noninteractive")
    host.run("bash", "-c", "echo '# Mine.' >> /etc/default/rpcbind")
    host.run(*apt, "remove", "rpcbind", DEBIAN_FRONTEND="noninteractive")
    # A library is there that nothing needs: it stays.
    host.run("apt-mark", "auto", "libonig5")
    before = how_it_is(host)
    assert {"rpcbind rc ", "libonig5 ii "} <= before["packages"]
    lab.play(UP)
    assert "rpcbind ii " in installed(host)
    said = lab.play(DOWN)
    assert re.search("packages removed without their configuration:\\W+rpcbind", said.output)
    assert_same(host, before)
