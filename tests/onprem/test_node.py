"""A bare Debian host with its own systemd becomes a trainer by the script of its first boot, and lives on as one."""

import json
import os
import re
import shutil
import signal
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from authority import Authority
from lab import Host, disk
from service import Service

from trainer.cli import application
from trainer.node.user_data import UserData, render

ROOT = Path(__file__).parents[2]
IMAGE, WHEELHOUSE = ROOT / ".tools/hosts/bookworm", ROOT / ".tools/wheelhouse"
TRAIN, ENDED = "slipway-train.service", "slipway-ended.service"
STORE = "/var/lib/slipway/runs"
WORKER, NAS, PKI = "slipway-worker@0.service", "/srv/nas", "/etc/slipway-pki"
DEVICES = "slipway-gpu-devices.service"
PLAYBOOK = "/var/lib/slipway-node/bundle/ansible/node.yml"
TINY = {"agent.num_envs": 8, "agent.rollout_steps": 32, "agent.minibatch_size": 256, "budget.env_steps": 1024}
TINY |= {"evaluation.seeds": 2, "evaluation.episodes_per_seed": 1, "checkpoint.interval_iterations": 1}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(os.geteuid() != 0, reason="hosts of their own need root"),
]


class Node:
    """A host, and the bucket that it fetches its bundle from, which is all that it reaches."""

    def __init__(self, host, folder, metadata, storage):
        self.host, self.folder, self.metadata, self.storage = host, folder, metadata, storage

    def publish(self, run_id, *options, **settings):
        """Make a signed bundle of a group of two runs, and put it into the bucket."""
        for old in self.folder.glob("bundle.tar.gz*"):
            old.unlink()
        pairs = [
            item for key, value in {**TINY, **settings}.items() for item in ("--set", f"{key}={json.dumps(value)}")
        ]
        out, key = self.folder / "bundle.tar.gz", self.folder / "key.pem"
        arguments = ["bundle", "cartpole-ppo", *pairs, "--run-id", run_id, "--out", str(out), "--sign", str(key)]
        assert application.run([*arguments, "--seeds", "2", *options]) == 0

    def boot(
        self, *, sha256=None, key="pub.pem", detached=False, log="first-boots", when_failed="nothing", **variables
    ):
        """Run the script of the first boot."""
        script = render(
            UserData(
                bundle_uri="gs://bucket/bundle.tar.gz",
                bundle_sha256=sha256 or (self.folder / "bundle.tar.gz.sha256").read_text().split()[0],
                public_key=(self.folder / key).read_text(),
                variables={"trainer_restart_seconds": 1, **variables},
                environment={
                    "GCE_METADATA_HOST": self.metadata.host,
                    "STORAGE_EMULATOR_HOST": self.storage.url,
                    "CLOUDSDK_API_ENDPOINT_OVERRIDES_LOGGING": self.storage.url,
                    "CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE": self.storage.url,
                },
                log=log,
                when_failed=when_failed,
            )
        ).replace("for pause in 20 40 0", "for pause in 0 0 0")
        (self.host.root / "root/user-data.sh").write_text(script)
        # nsenter stops itself when a machine that goes down stops its child: what may end so runs without it.
        return self.host.run(
            *(("systemd-run", "--no-block") if detached else ()), "bash", "/root/user-data.sh", check=False
        )

    def apply(self, inventory="localhost,", **variables):
        """Apply the playbook that the first boot has left there."""
        extra = json.dumps({"trainer_restart_seconds": 1, **variables})
        command = ["/var/lib/slipway-node/ansible/bin/ansible-playbook", "-i", inventory, "-c", "local"]
        return self.host.run(*command, "-e", extra, PLAYBOOK, check=False, ANSIBLE_PIPELINING="1")

    def status(self, run_id, seed=0):
        return json.loads(self.host.run("cat", f"{STORE}/{run_id}/seed-{seed}/status.json").stdout)

    def journal(self, *options):
        return self.host.run("journalctl", "--no-pager", "--output=cat", *options).stdout

    def ends(self):
        """What the log has of the training's ends."""
        return [json.loads(line) for line in self.host.log(ENDED).splitlines() if line.startswith("{")]

    def end(self, seconds=300):
        """Wait until the training and what follows it are over; the last end in the log."""
        over = ("inactive", "failed")
        train = self.host.wait(TRAIN, lambda found: found["ActiveState"] in over and not found.get("Job"), seconds)
        gone = int(train["InactiveEnterTimestampMonotonic"])
        self.host.wait(ENDED, lambda found: int(found["ExecMainExitTimestampMonotonic"]) >= gone)
        # On a busy machine what ran then may have begun before the last end, and seen a restart: another one follows.
        until = time.monotonic() + 60
        while self.ends()[-1]["outcome"] == "restarted" and time.monotonic() < until:
            time.sleep(0.5)
        return self.ends()[-1]


def make_key(folder, private, public):
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", folder / private], check=True)
    (folder / private).chmod(0o600)
    subprocess.run(["openssl", "pkey", "-in", folder / private, "-pubout", "-out", folder / public], check=True)


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    """A host that has trained one run to its end."""
    for path in (IMAGE, WHEELHOUSE):
        assert path.is_dir(), f"{path} is missing: make .tools/.hosts .tools/.wheelhouse"
    folder = tmp_path_factory.mktemp("bucket")
    make_key(folder, "key.pem", "pub.pem")
    make_key(folder, "other.pem", "other-pub.pem")
    forbidden = folder / "forbidden"

    def storage(method, path, headers):
        if path == "/v2/entries:write" or (path.endswith("/deleteInstances") and not forbidden.exists()):
            return 200, b"{}"
        name = re.fullmatch(r"/storage/v1/b/bucket/o/([\w.-]+)\?alt=media", path)
        if headers.get("Authorization") != "Bearer the-token":
            return 401, b""
        if forbidden.exists():
            return 403, b""
        return (200, (folder / name[1]).read_bytes()) if name and (folder / name[1]).is_file() else (404, b"")

    token = json.dumps({"access_token": "the-token", "expires_in": 3600, "token_type": "Bearer"}).encode()

    def metadata(method, path, headers):
        return 200, token if path.endswith("/token") else b"a-node"

    with disk("node") as place, Host(f"node-{os.getpid()}", [IMAGE], place / "host", {}, offline=True) as host:
        services = [Service(metadata, host.near), Service(storage, host.near)]
        try:
            made = Node(host, folder, *services)
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("PIP_NO_INDEX", "1")
                patch.setenv("PIP_FIND_LINKS", str(WHEELHOUSE))
                made.publish("first", "--wheelhouse")
            made.first_boot = made.boot()
            yield made
        finally:
            for service in services:
                service.close()


def test_the_first_boot_trains_a_group_to_its_end_without_a_package_index(node):
    routes = node.host.run("ip", "route").stdout.splitlines()
    assert [route.split(" dev ")[1].split()[0] for route in routes] == ["host0"]
    assert "default" not in routes[0]
    assert node.first_boot.returncode == 0, node.first_boot.stdout + node.first_boot.stderr
    assert node.first_boot.stderr.splitlines()[-1] == "slipway-node: done"
    end = node.end()
    assert {"outcome": "finished", "run_id": "first", "exit_status": 0, "hook": "nothing"}.items() <= end.items()
    assert end["done"] == "the machine stays"
    assert [node.status("first", seed)["state"] for seed in (0, 1)] == ["finished", "finished"]
    assert node.host.run("test", "-e", f"{STORE}/first/report.html", check=False).returncode == 0
    assert node.host.properties(TRAIN)["NRestarts"] == "0"
    assert [each["outcome"] for each in node.ends()] == ["finished"]


def test_a_second_application_changes_nothing(node):
    again = node.apply()
    assert re.search(r"changed=0 .*failed=0", again.stdout), again.stdout


def test_the_units_are_hardened_and_without_a_mistake(node):
    verified = node.host.run("systemd-analyze", "verify", TRAIN, ENDED)
    assert verified.stdout + verified.stderr == ""
    for unit in (TRAIN, ENDED):
        said = node.host.run("systemd-analyze", "security", "--no-pager", unit).stdout
        assert float(re.search(r"Overall exposure level for \S+: ([\d.]+)", said)[1]) <= 2.0, said


def test_nobody_else_can_write_or_read_what_is_the_service_s(node):
    said = node.host.run(
        "stat", "--format=%U:%G %a", "/etc/slipway/run.yaml", "/opt/slipway", "/var/lib/slipway"
    ).stdout
    assert said.splitlines() == ["root:slipway 640", "root:root 755", "slipway:slipway 750"]
    shell = node.host.run("getent", "passwd", "slipway").stdout.strip().split(":")[-1]
    assert shell == "/usr/sbin/nologin"


def test_sigterm_ends_with_75_and_the_run_goes_on(node):
    node.publish("long", **{"budget.env_steps": 256 * 100_000})
    assert node.boot().returncode == 0
    first = node.host.properties(TRAIN)["MainPID"]
    node.host.wait(
        TRAIN, lambda _: node.host.run("test", "-e", f"{STORE}/long/seed-0/checkpoints", check=False).returncode == 0
    )
    node.host.run("kill", "-TERM", first)
    found = node.host.wait(TRAIN, lambda found: found["NRestarts"] == "1" and found["ActiveState"] == "active")
    assert found["MainPID"] != first
    assert "status=75" in node.journal("_PID=1")
    node.host.wait(TRAIN, lambda _: node.status("long")["state"] == "running")
    assert node.status("long")["resumes"] == 1
    assert "finished" not in [each["outcome"] for each in node.ends() if each["run_id"] == "long"]


def test_who_stops_it_on_purpose_sets_no_hook_off(node):
    node.host.run("systemctl", "stop", TRAIN)
    end = node.end()
    assert (end["run_id"], end["outcome"], end["done"]) == ("long", "stopped", "nothing: the run goes on, or can")
    assert node.status("long")["state"] == "preempted"


def test_bad_input_stops_it_for_good(node):
    node.host.run("bash", "-c", "sed -i 's/^seed: .*/seed: none/' /etc/slipway/run.yaml")
    node.host.run("systemctl", "start", TRAIN)
    end = node.end()
    assert (end["outcome"], end["exit_status"]) == ("bad-input", 2)
    assert node.host.properties(TRAIN)["NRestarts"] == "0"
    assert "seed: 'none' is not allowed" in node.host.log(TRAIN)


def test_preemptions_are_no_crash_loop_and_a_crash_loop_sets_the_hook_off(node):
    """The unit as it is, but for what it starts: something that ends at once, with the exit code in a file."""
    code, changed = node.host.root / "etc/exit-code", node.host.root / f"etc/systemd/system/{TRAIN}.d/changed.conf"
    changed.parent.mkdir()
    starts = "ExecStart=\nExecStart=/bin/sh -c 'read code </etc/exit-code; exit $$code'"
    changed.write_text(f"[Service]\n{starts}\nRestartSec=100ms\n")
    code.write_text("75\n")
    begun = node.journal("_PID=1").count("status=75")
    node.host.run("systemctl", "daemon-reload")
    node.host.run("systemctl", "start", TRAIN)
    node.host.wait(TRAIN, lambda _: node.journal("_PID=1").count("status=75") >= begun + 8)
    assert "fault" not in [end["outcome"] for end in node.ends()]
    code.write_text("1\n")
    end = node.end()
    assert (end["outcome"], end["exit_status"], end["done"]) == ("fault", 1, "the machine stays")
    assert node.journal("_PID=1").count("status=1/FAILURE") == 5
    shutil.rmtree(changed.parent)
    node.host.run("systemctl", "daemon-reload")
    node.host.run("systemctl", "reset-failed", TRAIN)


def refused(node, step, code, reason, **given):
    """A first boot is refused: at the end of what it says, and in the journal; the machine stays as it was."""
    before = node.host.run("cat", "/etc/slipway/run.yaml").stdout
    done = node.boot(**given)
    said = done.stderr.splitlines()
    assert done.returncode == code, done.stderr
    assert said[-1] == f"slipway-node: {step}: failed with exit code {code}"
    assert reason in said[-2]
    if given.get("log", "there"):
        told = [json.loads(body) for _, path, _, body in node.storage.requests if path == "/v2/entries:write"]
        assert told[-1]["logName"] == "projects/a-node/logs/first-boots"
        line = told[-1]["entries"][0]["jsonPayload"]
        assert line["message"] == f"first boot: {step}: failed with exit code {code}"
        assert reason in line["said"]
    end = time.monotonic() + 20
    while not node.journal("-t", "slipway-node").endswith(f"{said[-2]}\n{said[-1]}\n"):
        assert time.monotonic() < end, node.journal("-t", "slipway-node")
        time.sleep(0.1)
    assert node.host.run("cat", "/etc/slipway/run.yaml").stdout == before


def test_a_bundle_of_another_checksum_is_refused(node):
    refused(node, "check the bundle", 2, f"sha256 is not {'0' * 64}", sha256="0" * 64)


def test_a_bundle_that_another_signed_is_refused(node):
    refused(node, "check the bundle", 2, "not signed by the key that is given", key="other-pub.pem")


def test_a_bundle_without_its_signature_is_refused(node):
    signature = node.folder / "bundle.tar.gz.sha256.sig"
    aside = signature.rename(node.folder / "aside")
    refused(node, "fetch the bundle", 1, "cannot fetch gs://bucket/bundle.tar.gz.sha256.sig: HTTPError: HTTP Error 404")
    aside.rename(signature)


def test_a_machine_that_may_not_read_the_bucket_says_so(node):
    (node.folder / "forbidden").touch()
    refused(node, "fetch the bundle", 1, "cannot fetch gs://bucket/bundle.tar.gz: HTTPError: HTTP Error 403: Forbidden")
    (node.folder / "forbidden").unlink()


def test_a_first_boot_without_python_3_11_is_refused(node):
    node.host.run("mount", "--bind", "/bin/false", "/usr/bin/python3.11")
    try:
        # On this host that is the only Python, and so nobody is left to tell the cloud's log.
        refused(node, "install Python 3.11", 2, "there is no Python 3.11, and none to install", log=None)
    finally:
        node.host.run("umount", "/usr/bin/python3.11")


ROOM = {"trainer_free_gib": 0}
REFUSED = {
    "disk": ({}, "Disk: /opt has 64 MiB free, and 8 GiB are needed."),
    "memory": ({"trainer_memory_gib": 9999}, "MiB, and 9999 GiB are needed."),
    "old-python": ({**ROOM, "trainer_python": "python3.9"}, "Python: python3.9 is no Python 3.11 with venv"),
    "no-python": ({**ROOM, "trainer_python": "/bin/true"}, "Python: /bin/true is no Python 3.11 with venv"),
    "variable": ({"trainer_when_done": "explode"}, "value of trainer_when_done must be one of"),
    "newer-bundle": ({"trainer_bundle": "/root/newer"}, "Bundle: it is of format 99, and this role takes 2."),
    "changed-bundle": ({"trainer_bundle": "/root/changed"}, "Bundle: run.yaml is not what its manifest says."),
}


@pytest.fixture(scope="module")
def refusals(node):
    """What the playbook says to machines that will not do: all are this one, each with something else that is wrong."""
    hosts = {name: variables for name, (variables, _) in REFUSED.items()}
    (node.host.root / "root/hosts.json").write_text(json.dumps({"all": {"hosts": hosts}}))
    bundle = node.host.root / "var/lib/slipway-node/bundle"
    newer, changed = (shutil.copytree(bundle, node.host.root / "root" / name) for name in ("newer", "changed"))
    manifest = json.loads((newer / "manifest.json").read_text())
    (newer / "manifest.json").write_text(json.dumps({**manifest, "format": 99}))
    with (changed / "run.yaml").open("a") as file:
        file.write("# changed\n")
    node.host.run("mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", "/opt")
    try:
        done = node.apply("/root/hosts.json")
        assert node.host.run("ls", "/opt").stdout == ""
    finally:
        node.host.run("umount", "/opt")
    assert done.returncode == 2
    return done.stdout


@pytest.mark.parametrize("host", REFUSED)
def test_a_machine_that_will_not_do_is_refused_before_anything_changes(host, refusals):
    # Of a task with a loop each item has its line, and then the host.
    said = [line for line in refusals.splitlines() if re.match(rf"(fatal|failed): \[{host}\]", line)]
    assert REFUSED[host][1] in " ".join(refusals.split("PLAY RECAP")[0].split("\\n"))
    assert said, refusals
    assert re.search(rf"^{host} .* changed=0 .* failed=1 ", refusals, re.MULTILINE), refusals


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("/etc/debian_version", "11.11\n", "this is Debian 11.11"),
        ("/proc/1/comm", "runit\n", "with runit."),
    ],
    ids=["release", "init"],
)
def test_another_operating_system_is_refused(file, content, said, node):
    (node.host.root / "root/instead").write_text(content)
    node.host.run("mount", "--bind", "/root/instead", file)
    try:
        done = node.apply()
    finally:
        node.host.run("umount", file)
    assert done.returncode == 2
    assert said in done.stdout
    assert "Use Debian from 12 or Ubuntu from 22.04" in done.stdout


def test_it_switches_the_machine_off_once(node):
    node.publish("first")
    assert node.boot(trainer_when_done="power-off", detached=True).returncode == 0
    node.host.process.wait(300)
    node.host.boot()
    end = node.end()
    assert (end["outcome"], end["done"]) == ("finished", "nothing: it was switched off for this before")
    assert node.host.process.poll() is None


QUEUE = {
    "trainer_mode": "queue",
    "trainer_mount": NAS,
    "trainer_queue": f"{NAS}/queue",
    "trainer_store": f"{NAS}/runs",
    "trainer_groups": ["slipway-pki"],
    "trainer_metrics_host": "0.0.0.0",
    "trainer_metrics_certificate": f"{PKI}/host.pem",
    "trainer_metrics_key": f"{PKI}/host.key",
    "trainer_metrics_client_ca": f"{PKI}/ca.pem",
}


@pytest.fixture(scope="module")
def site(node, tmp_path_factory):
    """The machine takes its runs from a queue on a mount now; gives the CA of its site."""
    authority = Authority(tmp_path_factory.mktemp("pki"), "ca", [node.host.far])
    pki = node.host.root / PKI[1:]
    pki.mkdir()
    for found, name in zip(
        (authority.path, *authority.certificate("host")), ("ca.pem", "host.pem", "host.key"), strict=True
    ):
        shutil.copyfile(found, pki / name)
    # As a NAS has it: root may not write here, and the user has a folder of its own.
    script = f"""groupadd --system slipway-pki
    chown -R root:slipway-pki {PKI} && chmod 750 {PKI} && chmod 640 {PKI}/host.key
    mkdir -p /var/nas {NAS} && chown slipway: /var/nas && chmod 700 /var/nas
    echo '/var/nas {NAS} none bind 0 0' >>/etc/fstab && systemctl daemon-reload && mount {NAS}"""
    node.host.run("bash", "-ec", script)
    node.first_application = node.apply(**QUEUE)
    assert node.first_application.returncode == 0, node.first_application.stdout
    return authority


def queued(node, *command):
    """`slipway node` as the service's user."""
    words = ["/opt/slipway/current/bin/slipway", "node", *command, "--queue", QUEUE["trainer_queue"], "--json"]
    return json.loads(node.host.run("runuser", "-u", "slipway", "--", *words).stdout)


def trained(node, run_id):
    """The run's status, once it is there."""
    said = node.host.run("cat", f"{NAS}/runs/{run_id}/status.json", check=False).stdout
    return json.loads(said or "{}")


def test_a_trainer_of_one_run_becomes_one_of_a_queue_and_is_as_safe(node, site):
    assert re.search(r"changed=0 .*failed=0", (again := node.apply(**QUEUE)).stdout), again.stdout
    assert node.host.run("ls", "/etc/systemd/system", "-1").stdout.count("slipway-") == 1
    assert node.host.properties(WORKER)["ActiveState"] == "active"
    verified = node.host.run("systemd-analyze", "verify", WORKER)
    assert verified.stdout + verified.stderr == ""
    said = node.host.run("systemd-analyze", "security", "--no-pager", WORKER).stdout
    assert float(re.search(r"Overall exposure level for \S+: ([\d.]+)", said)[1]) <= 2.0, said
    found = node.host.properties(WORKER)
    assert NAS in found["RequiresMountsFor"].split()
    assert int(found["TasksMax"]) == 4096
    assert found["MemoryMax"] != "infinity"


@pytest.mark.deep
def test_a_trainer_with_gpus_has_their_devices_made_first(node, site):
    """There is no GPU here: the unit says so, and the worker starts all the same."""
    assert node.apply(**QUEUE, trainer_gpu=True).returncode == 0
    found = node.host.properties(WORKER)
    assert found["ActiveState"] == "active"
    assert DEVICES in found["After"].split()
    assert DEVICES in found["Wants"].split()
    assert "No driver of NVIDIA can be loaded: trainings go on the processors." in node.host.log(DEVICES)
    assert node.host.properties(DEVICES)["Result"] == "success"
    verified = node.host.run("systemd-analyze", "verify", WORKER, DEVICES)
    assert verified.stdout + verified.stderr == ""
    for unit in (WORKER, DEVICES):
        said = node.host.run("systemd-analyze", "security", "--no-pager", unit).stdout
        assert float(re.search(r"Overall exposure level for \S+: ([\d.]+)", said)[1]) <= 2.0, said
    assert node.apply(**QUEUE).returncode == 0
    assert node.host.run("ls", "/etc/systemd/system", "-1").stdout.count("slipway-") == 1
    assert not (node.host.root / "usr/local/sbin/slipway-gpu-devices").exists()


@pytest.mark.deep
def test_what_was_broken_off_is_made_up_for(node, site):
    """An application after it wrote the units, and a removal after it drained the host; an operator's drain stays."""
    unit = node.host.root / "etc/systemd/system/slipway-worker@.service"
    unit.write_text(unit.read_text().replace("--metrics-port 9464", "--metrics-port 9470"))
    moved = {**QUEUE, "trainer_metrics_port": 9470}
    assert node.apply(**moved).returncode == 0
    process = node.host.properties(WORKER)["MainPID"]
    assert "--metrics-port\x009470" in node.host.run("cat", f"/proc/{process}/cmdline").stdout
    assert re.search(r"changed=0 .*failed=0", (again := node.apply(**moved)).stdout), again.stdout
    assert node.host.properties(WORKER)["MainPID"] == process

    drained = node.host.root / "var/nas/queue/drained"
    queued(node, "drain", "--now", "--by", "removal")
    node.host.run("systemctl", "disable", "--now", WORKER)
    assert node.apply(**QUEUE).returncode == 0
    assert list(drained.iterdir()) == []
    assert node.host.properties(WORKER)["ActiveState"] == "active"
    queued(node, "drain")
    queued(node, "drain", "--now", "--by", "removal")
    assert re.search(r"changed=0 .*failed=0", (again := node.apply(**QUEUE)).stdout), again.stdout
    assert len(list(drained.iterdir())) == 1
    queued(node, "undrain")

    queued(node, "drain", "--now", "--by", "removal")
    node.host.run("systemctl", "disable", "--now", WORKER)
    record = node.host.root / "root/record"
    record.mkdir()
    (record / "before.json").write_text('{"folders": {\n"/var/lib/slipway": "folder 0750 64000:64000"\n}}')
    gone = {**QUEUE, "trainer_state": "absent", "trainer_bundle": "/no/bundle", "site_record": "/root/record"}
    assert (done := node.apply(**gone, trainer_purge=True)).returncode == 0, done.stdout
    assert list(drained.iterdir()) == []
    assert node.host.run("ls", "/opt", "/etc/systemd/system", "-1").stdout.count("slipway") == 0
    assert (node.host.root / STORE[1:]).is_dir()  # it was there before the site
    assert re.search(r"changed=0 .*failed=0", node.apply(**gone, trainer_purge=True).stdout)
    assert (done := node.apply(**QUEUE)).returncode == 0, done.stdout


def test_a_queue_s_run_goes_on_after_the_power_was_cut(node, site):
    pairs = [item for key, value in TINY.items() for item in ("--set", f"{key}={json.dumps(value)}")]
    long = ["--set", f"budget.env_steps={256 * 100_000}"]
    assert queued(node, "submit", "cartpole-ppo", *pairs, *long, "--run-id", "long")["state"] == "queued"
    node.host.wait(WORKER, lambda _: trained(node, "long").get("last_checkpoint_step"), 300)
    context = ssl.create_default_context(cafile=site.path)
    context.load_cert_chain(*site.certificate("monitor"))
    address = f"https://{node.host.far}:9464/metrics"
    shown = urllib.request.urlopen(address, context=context, timeout=10).read().decode()
    assert {'rl_worker_state{state="running"} 1.0', 'rl_queue_runs{state="running"} 1.0'} <= set(shown.splitlines())
    assert 'run_id="long"' in shown
    # Under TLS 1.3 a client has finished its handshake before the server refuses it: then sending or reading fails.
    with pytest.raises((urllib.error.URLError, ssl.SSLError, ConnectionError)):
        urllib.request.urlopen(address, context=ssl.create_default_context(cafile=site.path), timeout=10).read()
    os.kill(node.host.leader, signal.SIGKILL)
    node.host.process.wait(60)
    node.host.boot()
    status = node.host.wait(WORKER, lambda _: trained(node, "long")["resumes"] == 1, 300)
    assert status["ActiveState"] == "active"
    (entry,) = queued(node, "queue")["entries"]
    assert (entry["run_id"], entry["state"], entry["slot"]) == ("long", "running", 0)


def test_what_it_made_can_be_removed_results_stay_and_the_queue_has_its_run_back(node, site):
    there = {**QUEUE, "trainer_state": "absent", "trainer_bundle": "/no/bundle", "trainer_purge": True}
    before = trained(node, "long")["env_steps"]
    done = node.apply(**there)
    assert done.returncode == 0, done.stdout
    places = ["/opt/slipway", "/etc/slipway", "/var/lib/slipway", "/etc/systemd/system/slipway-worker@.service"]
    assert node.host.run("ls", "-d", *places, check=False).stdout == ""
    assert node.host.run("id", "slipway", check=False).returncode != 0
    status = trained(node, "long")
    assert (status["state"], status["env_steps"] >= before) == ("preempted", True)
    changes = sorted((node.host.root / "var/nas/queue/entries/long").glob("*.json"))
    assert json.loads(changes[-1].read_text())["state"] == "queued"
    assert list((node.host.root / "var/nas/queue/drained").iterdir()) == []
    assert re.search(r"changed=0 .*failed=0", node.apply(**there).stdout)


def test_a_first_boot_that_fails_leaves_its_group_and_where_that_is_refused_the_machine_goes_off(node):
    """Of Compute Engine there is the request alone: nobody deletes the machine for it."""
    node.host.run("systemctl", "stop", TRAIN, check=False)  # a machine that trains would stay
    done = node.boot(sha256="0" * 64, when_failed="scale-in")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == "a-node leaves its managed instance group"
    (_, told, _, _), (method, path, _, body) = node.storage.requests[-2:]
    assert (told, method, path) == ("/v2/entries:write", "POST", "/a-node/deleteInstances")
    assert json.loads(body) == {"instances": ["zones/a-node/instances/a-node"]}
    (node.folder / "forbidden").touch()
    assert node.boot(when_failed="scale-in", detached=True).returncode == 0
    node.host.process.wait(120)
    assert [path for _, path, _, _ in node.storage.requests[-4:]] == ["/v2/entries:write"] + [path] * 3
