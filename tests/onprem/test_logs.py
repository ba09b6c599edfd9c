"""What trainers say reaches the monitor, all of it and nobody else's, and is found there."""

import json
import os
import re
import socket
import ssl
import subprocess
import time

import pytest
import yaml
from lab import ANSIBLE, site

from infra.onprem import search
from infra.onprem.search import Query
from trainer.cli import application
from trainer.logs.lines import Line, Run, Severity

PKI, LOGS, PORT = "/etc/slipway-pki", "/var/log/slipway", 6514
HOSTS = {"gpu-1": "bookworm", "monitor": "trixie"}
TINY = {"agent.num_envs": 8, "agent.rollout_steps": 32, "agent.minibatch_size": 256, "budget.env_steps": 512}
TINY |= {"evaluation.seeds": 2, "evaluation.episodes_per_seed": 1}
PLAY = [{"hosts": "all", "become": True, "gather_facts": True, "roles": [{"role": "logs"}]}]
KEPT = [{"section": "folders", "key": LOGS, "reason": "what was collected stays unless logs_remove is set"}]
GONE = [{**PLAY[0], "vars": {"site_state": "leaving", "logs_state": "absent"}}]
GONE += [{**PLAY[0], "vars": {"site_state": "absent", "site_exceptions": KEPT}, "roles": [{"role": "site"}]}]

pytestmark = [
    pytest.mark.deep,
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(os.geteuid() != 0, reason="hosts of their own need root"),
]


class Authority:
    """A site's own, as role certificates makes it; and those of strangers.

    Args:
        folder: one that is not there yet.
    """

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir()
        self._openssl("req", "-x509", *self._key("ca"), "-subj", "/CN=a site", "-days", "2", "-out", folder / "ca.pem")

    def certify(self, name):
        """A key and a certificate of a host: NAME.key and NAME.pem."""
        made = (self.folder / f"{name}.{suffix}" for suffix in ("csr", "pem", "cnf"))
        request, certificate, extensions = made
        extensions.write_text(f"subjectAltName=DNS:{name}\nextendedKeyUsage=serverAuth,clientAuth\n")
        self._openssl("req", *self._key(name), "-subj", f"/CN={name}", "-out", request)
        signs = ("-CA", self.folder / "ca.pem", "-CAkey", self.folder / "ca.key", "-CAcreateserial", "-days", "2")
        self._openssl("x509", "-req", "-in", request, *signs, "-extfile", extensions, "-out", certificate)

    def give(self, host, name):
        """Put a host's certificate where role certificates puts it."""
        self.certify(name)
        host.run("groupadd", "--system", "slipway-pki")
        host.run("install", "-d", "-m", "750", "-g", "slipway-pki", PKI)
        for there, here in (("ca.pem", "ca.pem"), ("host.pem", f"{name}.pem"), ("host.key", f"{name}.key")):
            (host.root / PKI.lstrip("/") / there).write_bytes((self.folder / here).read_bytes())
            host.run("chgrp", "slipway-pki", f"{PKI}/{there}")
            host.run("chmod", "640", f"{PKI}/{there}")

    def _key(self, name):
        return "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", self.folder / f"{name}.key"

    @staticmethod
    def _openssl(*arguments):
        subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


class Lab:
    """A monitor and a trainer, and what is asked of them."""

    def __init__(self, made, folder):
        self.site, self.hosts, self.folder = made, made.hosts, folder
        self.monitor, self.gpu = made.hosts["monitor"], made.hosts["gpu-1"]
        self.authority, self.strangers = Authority(folder / "ours"), Authority(folder / "theirs")
        self.up, self.down = folder / "up.yml", folder / "down.yml"
        self.up.write_text(yaml.safe_dump(PLAY))
        self.down.write_text(yaml.safe_dump(GONE))

    def say(self, host, unit, text):
        """A unit of a host writes lines to its standard output."""
        place = host.root / "root/said"
        place.write_text(text)
        host.run("systemd-run", "--quiet", "--wait", "--collect", f"--unit={unit}", "cat", "/root/said")

    def file(self, host, name):
        """The lines of a collected file."""
        path = self.monitor.root / LOGS.lstrip("/") / host / f"{name}.jsonl"
        return path.read_text().splitlines() if path.exists() else []

    def wait(self, host, name, done, seconds=60):
        """Wait until a file's lines are as a function wants them."""
        end = time.monotonic() + seconds
        while not done(found := self.file(host, name)):
            said = [each.log("slipway-logs.service")[-2000:] for each in self.hosts.values()]
            assert time.monotonic() < end, (found[-20:], *said)
            time.sleep(0.2)
        return found

    def relp(self, frame, authority=None, name=None):
        """Speak RELP to the monitor as somebody; all that it answers, or nothing.

        Args:
            frame: of a message of syslog, which is sent after a session is open.
            authority, name: whose certificate is shown; None: TCP in clear.
        """
        opened = b"relp_version=0\nrelp_software=test\ncommands=syslog"
        data = b"1 open %d %s\n2 syslog %d %s\n" % (len(opened), opened, len(frame), frame)
        answer = b""
        with socket.create_connection((self.monitor.address, PORT), timeout=10) as stream:
            if authority is not None:
                context = ssl.create_default_context(cafile=self.authority.folder / "ca.pem")
                context.load_cert_chain(authority.folder / f"{name}.pem", authority.folder / f"{name}.key")
                try:
                    stream = context.wrap_socket(stream, server_hostname="monitor")
                except OSError:
                    return b""
            stream.settimeout(3)
            try:
                stream.sendall(data)
                while not re.search(rb"^2 rsp", answer, re.MULTILINE) and (more := stream.recv(4096)):
                    answer += more
            except OSError:
                pass
            stream.close()
        return answer

    def search(self, **query):
        """Search as `slipway onprem logs` does."""

        def fetch(variables):
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("ANSIBLE_STDOUT_CALLBACK", "ansible.posix.json")
                played = self.site.play(ANSIBLE / search.PLAYBOOK, "--extra-vars", json.dumps(variables))
            (play,) = json.loads(played.output[played.output.index("{\n") :])["plays"]
            (task,) = [each for each in play["tasks"] if each["task"]["name"] == search.TASK]
            return task["hosts"]["monitor"]["stdout"]

        return [line["message"] for line in search.search(fetch, Query(**query)).lines]


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    with site("logs", HOSTS) as made:
        made.write_inventory({"gpu": ["gpu-1"], "monitor": ["monitor"]}, logs_rotate_mib=1, logs_free_gib=1)
        lab = Lab(made, tmp_path_factory.mktemp("logs"))
        made.play(lab.up, "--check")
        for name, host in made.hosts.items():
            lab.authority.give(host, name)
        url = "http://loki.example.org:3100"
        bad = {"logs_queue_mib": "{{ 1000000000 if inventory_hostname == 'gpu-1' else 1024 }}", "logs_loki_url": url}
        lab.refused = made.play(lab.up, "--extra-vars", json.dumps(bad), check=False)
        made.play(lab.up)
        yield lab


def line(run_id, message, severity=Severity.INFO, ago=0.0):
    """A line as a trainer writes it."""
    return Line(Run(run_id, "slipway/CartPole-v1", "ppo"), time.time() - ago, severity, message, 7).encode()


def test_a_second_application_changes_nothing(lab):
    again = lab.site.play(lab.up)
    assert again.changes() == []
    assert again.changed == 0


def test_units_are_hardened_and_the_distribution_s_own_rsyslog_stays_off(lab):
    for host, units in (
        (lab.gpu, ["slipway-logs.service"]),
        (lab.monitor, ["slipway-logs.service", "slipway-logs-rotate.service"]),
    ):
        verified = host.run("systemd-analyze", "verify", *units, check=False)
        assert "slipway-logs" not in verified.stderr
        for unit in units:
            said = host.run("systemd-analyze", "security", "--no-pager", unit).stdout
            assert float(re.search(r"Overall exposure level for \S+: ([\d.]+)", said)[1]) <= 2.0, said
        assert host.properties("rsyslog.service")["ActiveState"] == "inactive"
        assert host.properties("rsyslog.service")["UnitFileState"] == "disabled"
        assert host.properties("slipway-logs.service")["ActiveState"] == "active"
    assert lab.gpu.run("ss", "-Hltn", f"sport = :{PORT}").stdout == ""


def test_what_a_real_training_says_arrives_as_it_is(lab, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("SLIPWAY_LOGS", "stdout")
    pairs = [item for key, value in TINY.items() for item in ("--set", f"{key}={json.dumps(value)}")]
    told = ["train", "cartpole-ppo", *pairs, "--run-id", "real", "--store", str(tmp_path), "--quiet"]
    assert application.run(told) == 0
    said = [text for text in capsys.readouterr().out.splitlines() if text.startswith("{")]
    assert len(said) >= 3
    lab.say(lab.gpu, "slipway-worker@0.service", "".join(f"{text}\n" for text in said))
    assert lab.wait("gpu-1", "real", lambda found: len(found) >= len(said)) == said
    path = f"{LOGS}/gpu-1/real.jsonl"
    stat = lab.monitor.run("stat", "--format=%U:%G %a", path, f"{LOGS}/gpu-1", LOGS).stdout.split("\n")
    assert stat[:3] == ["slipway-logs:adm 640", "slipway-logs:adm 2750", "slipway-logs:adm 2750"]


def test_a_monitor_that_trains_is_a_host_like_others(lab):
    lab.say(
        lab.monitor, "slipway-train.service", line("group/seed-0", "here") + "\n" + line("group/seed-1", "too") + "\n"
    )
    found = lab.wait("monitor", "group", lambda found: len(found) == 2)
    assert [json.loads(text)["run_id"] for text in found] == ["group/seed-0", "group/seed-1"]


def test_words_that_are_no_line_go_to_the_file_of_their_unit(lab):
    unit = "slipway-worker@1.service"
    lab.say(lab.gpu, unit, 'Traceback "x"\n{"run_id": "torn\n\x1b[31mred\n')
    lab.say(lab.gpu, "other.service", line("other", "nobody sends it") + "\n")
    lab.gpu.run("systemd-run", "--quiet", "--collect", "--unit=slipway-worker@2.service", "false", check=False)
    found = [json.loads(text) for text in lab.wait("gpu-1", unit, lambda found: "red" in "".join(found))]
    # What systemd says of a unit is among it.
    assert [each["message"] for each in found if unit not in each["message"]] == [
        'Traceback "x"',
        '{"run_id": "torn',
        "#033[31mred",
    ]
    assert {each["severity"] for each in found} == {"INFO"}
    failed = lab.wait("gpu-1", "slipway-worker@2.service", lambda found: "Failed with result" in "".join(found))
    assert json.loads(failed[-1])["severity"] == "WARNING"
    assert lab.file("gpu-1", "other") == []


TRAVERSING = ["../../../etc/x", "..", "/etc/x", "a/../b", ".hidden", "a\n", "x" * 300, "", "a/seed-0/../../../x"]


def test_no_name_leads_out_of_the_folder(lab):
    before = set(lab.monitor.run("find", "/etc", "/var/log", "-newer", f"{PKI}/host.pem", "-type", "f").stdout.split())
    lab.say(lab.gpu, "slipway-worker@3.service", "".join(line(name, "out") + "\n" for name in TRAVERSING))
    lab.wait("gpu-1", "slipway-worker@3.service", lambda found: len(found) >= len(TRAVERSING))
    # Somebody who has a trainer's key says what he likes.
    for host, unit in (("../../etc", "slipway-x"), ("gpu-1", "../../../etc/x"), ("gpu-1", "slipway-../../x")):
        frame = f"<14>1 2026-11-26T20:00:00.000000+00:00 {host} {unit} - - - forged"
        assert b"2 rsp 6 200 OK" in lab.relp(frame.encode(), lab.authority, "gpu-1")
    assert "forged" in lab.wait("unknown", "slipway-x", bool)[0]
    assert len(lab.wait("gpu-1", "other", lambda found: len(found) == 2)) == 2
    after = set(lab.monitor.run("find", "/etc", "/var/log", "-newer", f"{PKI}/host.pem", "-type", "f").stdout.split())
    new = {path for path in after - before if not path.startswith("/var/log/journal")}
    assert new == {
        f"{LOGS}/{name}.jsonl" for name in ("gpu-1/slipway-worker@3.service", "unknown/slipway-x", "gpu-1/other")
    }


def test_strangers_are_refused(lab):
    frame = b"<14>1 2026-11-26T20:00:00.000000+00:00 gpu-1 slipway-stranger - - - hello"
    lab.strangers.certify("gpu-1")  # the right name, of another authority
    lab.authority.certify("removed")  # the right authority, but no host of the site
    for authority, name in ((None, None), (lab.strangers, "gpu-1"), (lab.authority, "removed")):
        assert b"200 OK" not in lab.relp(frame, authority, name)
    said = lab.monitor.log("slipway-logs.service")
    assert "certificate validation failed" in said
    assert "no permited name found" in said
    assert lab.file("gpu-1", "slipway-stranger") == []
    assert b"2 rsp 6 200 OK" in lab.relp(frame, lab.authority, "gpu-1")


def test_nothing_is_lost_while_the_monitor_is_away(lab):
    def say(run_id, numbers):
        lab.say(lab.gpu, "slipway-worker@0.service", "".join(line(run_id, f"{n}") + "\n" for n in numbers))

    say("KILL", range(20))
    lab.monitor.run("systemctl", "kill", "--signal=KILL", "slipway-logs.service")  # it is started again by itself
    say("KILL", range(20, 300))
    say("TERM", range(20))
    lab.monitor.run("systemctl", "stop", "slipway-logs.service")
    say("TERM", range(20, 300))
    time.sleep(3)
    lab.monitor.run("systemctl", "start", "slipway-logs.service")
    wanted = {str(n) for n in range(300)}
    for death in ("KILL", "TERM"):
        lab.wait("gpu-1", death, lambda found: {json.loads(text)["message"] for text in found} == wanted)


def test_files_are_rotated_packed_and_bounded_and_found_nevertheless(lab):
    rotate = ("systemctl", "start", "slipway-logs-rotate.service")
    folder = lab.monitor.root / LOGS.lstrip("/") / "gpu-1"
    for number in range(3):
        severity = (Severity.ERROR, Severity.WARNING, Severity.INFO)[number]
        wide = [line("long", f"{number} {n} {'x' * 15_000}", severity, ago=3000 - 1000 * number) for n in range(75)]
        lab.say(lab.gpu, "slipway-worker@0.service", "\n".join(wide) + "\n")
        lab.wait("gpu-1", "long", lambda found: len(found) >= 75)
        if number < 2:
            lab.monitor.run(*rotate)
            time.sleep(1.1)  # names have the second
    names = sorted(path.name for path in folder.glob("long*"))
    assert [re.sub(r"\d+", "N", name) for name in names] == ["long.jsonl", "long.jsonl-N-N.gz", "long.jsonl-N-N"]
    assert (folder / names[1]).stat().st_mode & 0o777 == 0o640
    assert [text.split()[0] for text in lab.search(run="long")] == ["0"] * 75 + ["1"] * 75 + ["2"] * 75
    recent = lab.search(run="long", since=time.time() - 2500, level=Severity.WARNING)
    assert [text.split()[0] for text in recent] == ["1"] * 75
    old = folder / "ancient.jsonl-20200101-1577836800.gz"
    old.write_bytes(b"")
    os.utime(old, (1_577_836_800, 1_577_836_800))
    lab.monitor.run(*rotate)
    assert not old.exists()


def test_a_search_for_people(lab):
    said = lab.site.play(ANSIBLE / "logs.yml", "--extra-vars", json.dumps({"logs_query": {"run": "group"}})).output
    assert "message: here" in said


def test_bad_input_is_refused_before_anything_changes(lab):
    played, url = lab.refused, "http://loki.example.org:3100"
    said = " ".join(played.output.split())
    assert "MiB free, and logs need 1000001024 MiB. Free some" in said
    assert f"logs_loki_url: '{url}' is not allowed. Write https://HOST" in said
    assert played.returncode == 2
    assert [each for each in played.changes() if each.startswith("logs") and "changed:" in each] == []


def test_a_port_that_something_else_has_is_said(lab):
    lab.monitor.run("systemctl", "stop", "slipway-logs.service")
    lab.monitor.run("systemd-run", "--quiet", "--unit=squatter", "python3", "-m", "http.server", PORT)
    end = time.monotonic() + 20
    while not lab.monitor.run("ss", "-Hltn", f"sport = :{PORT}").stdout:
        assert time.monotonic() < end
        time.sleep(0.1)
    played = lab.site.play(lab.up, "--limit", "monitor", check=False)
    lab.monitor.run("systemctl", "stop", "squatter")
    assert f"Port {PORT}: something else listens there" in " ".join(played.output.split())
    assert played.hosts["monitor"]["changed"] == 0


def test_it_can_be_taken_back_and_what_was_collected_stays(lab):
    for host in lab.hosts.values():
        host.run("rm", "-f", "/root/said")
    lab.site.play(lab.down)
    for name in HOSTS:
        proof = json.loads((lab.site.inventory.parent / f"proofs/{name}.json").read_text())
        assert proof["unexplained"] == []
    assert json.loads(lab.file("gpu-1", "real")[0])["run_id"] == "real"
    kept = lab.monitor.run("stat", "--format=%U:%G", LOGS, f"{LOGS}/gpu-1/real.jsonl").stdout.split()
    assert kept == ["root:adm", "root:adm"]


def test_a_site_that_is_made_again_collects_where_it_did_before(lab):
    lab.site.play(lab.up)
    for run_id in ("real", "new"):
        lab.say(lab.gpu, "slipway-worker@0.service", line(run_id, "again") + "\n")
        found = lab.wait("gpu-1", run_id, lambda found: found and "again" in found[-1])
        assert json.loads(found[-1])["run_id"] == run_id
    assert lab.monitor.run("find", LOGS, "!", "-user", "slipway-logs").stdout == ""
    assert lab.site.play(lab.up).changes() == []


def test_what_a_play_that_was_cut_off_has_not_restarted_is_restarted(lab):
    before = lab.gpu.properties("slipway-logs.service")["ActiveEnterTimestamp"]
    lab.gpu.run("touch", "/etc/slipway-logs/rsyslog.conf")  # written, and not read
    lab.site.play(lab.up, "--limit", "gpu-1,monitor")
    assert lab.gpu.properties("slipway-logs.service")["ActiveEnterTimestamp"] != before
    assert lab.site.play(lab.up).changes() == []
