"""A bare Debian host with its own systemd becomes a trainer by the script of its first boot, and lives on as one."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from lab import Host
from service import Service

from trainer.cli import application
from trainer.node.user_data import UserData, render

ROOT = Path(__file__).parents[2]
IMAGE, WHEELHOUSE = ROOT / ".tools/hosts/bookworm", ROOT / ".tools/wheelhouse"
TRAIN, ENDED = "slipway-train.service", "slipway-ended.service"
STORE = "/var/lib/slipway/runs"
PLAYBOOK = "/var/lib/slipway-node/bundle/ansible/node.yml"
TINY = {"agent.num_envs": 8, "agent.rollout_steps": 32, "agent.minibatch_size": 256, "budget.env_steps": 1024}
TINY |= {"evaluation.seeds": 2, "evaluation.episodes_per_seed": 1, "checkpoint.interval_iterations": 1}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(os.geteuid() != 0, reason="hosts of their own need root"),
]


class Node:
    """A host, and the bucket that it fetches its bundle from."""

    def __init__(self, host, folder, metadata, storage):
        self.host, self.folder, self.metadata, self.storage = host, folder, metadata, storage

    def publish(self, run_id, **settings):
        """Make a signed bundle, and put it into the bucket."""
        for old in self.folder.glob("bundle.tar.gz*"):
            old.unlink()
        pairs = [
            item for key, value in {**TINY, **settings}.items() for item in ("--set", f"{key}={json.dumps(value)}")
        ]
        out, key = self.folder / "bundle.tar.gz", self.folder / "key.pem"
        arguments = ["bundle", "cartpole-ppo", *pairs, "--run-id", run_id, "--out", str(out), "--sign", str(key)]
        assert application.run(arguments) == 0

    def boot(self, *, sha256=None, key="pub.pem", detached=False, **variables):
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
                    "PIP_NO_INDEX": "1",
                    "PIP_FIND_LINKS": "/srv/wheelhouse",
                },
            )
        )
        (self.host.root / "root/user-data.sh").write_text(script)
        # nsenter stops itself when a machine that goes down stops its child: what may end so runs without it.
        return self.host.run(
            *(("systemd-run", "--no-block") if detached else ()), "bash", "/root/user-data.sh", check=False
        )

    def apply(self, **variables):
        """Apply the playbook that the first boot has left there."""
        extra = json.dumps({"trainer_restart_seconds": 1, **variables})
        command = ["/var/lib/slipway-node/ansible/bin/ansible-playbook", "-i", "localhost,", "-c", "local"]
        return self.host.run(*command, "-e", extra, PLAYBOOK, check=False, ANSIBLE_PIPELINING="1")

    def status(self, run_id):
        return json.loads(self.host.run("cat", f"{STORE}/{run_id}/status.json").stdout)

    def ends(self):
        """What the log has of the training's ends."""
        return [json.loads(line) for line in self.host.log(ENDED).splitlines() if line.startswith("{")]

    def end(self, seconds=120):
        """Wait until the training and what follows it are over; the last end in the log."""
        over = ("inactive", "failed")
        train = self.host.wait(TRAIN, lambda found: found["ActiveState"] in over and not found.get("Job"), seconds)
        gone = int(train["InactiveEnterTimestampMonotonic"])
        self.host.wait(ENDED, lambda found: int(found["ExecMainExitTimestampMonotonic"]) >= gone)
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

    def storage(method, path, headers):
        name = re.fullmatch(r"/storage/v1/b/bucket/o/([\w.-]+)\?alt=media", path)
        if headers.get("Authorization") != "Bearer the-token":
            return 401, b""
        return (200, (folder / name[1]).read_bytes()) if name and (folder / name[1]).is_file() else (404, b"")

    token = json.dumps({"access_token": "the-token", "expires_in": 3600, "token_type": "Bearer"}).encode()
    services = [Service(lambda *_: (200, token)), Service(storage)]
    place = Path(os.environ.get("SLIPWAY_LAB", "/var/tmp")) / f"slipway-lab-{os.getpid()}"
    try:
        with Host(f"node-{os.getpid()}", IMAGE, place, {"/srv/wheelhouse": WHEELHOUSE}) as host:
            made = Node(host, folder, *services)
            made.publish("first")
            made.first_boot = made.boot()
            yield made
    finally:
        for service in services:
            service.close()
        shutil.rmtree(place, ignore_errors=True)


def test_the_first_boot_trains_a_run_to_its_end(node):
    assert node.first_boot.returncode == 0, node.first_boot.stdout + node.first_boot.stderr
    assert node.first_boot.stderr.splitlines()[-1] == "slipway-node: done"
    end = node.end()
    assert {"outcome": "finished", "run_id": "first", "exit_status": 0, "hook": "nothing"}.items() <= end.items()
    assert end["done"] == "the machine stays"
    assert node.status("first")["state"] == "finished"
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
        TRAIN, lambda _: node.host.run("test", "-e", f"{STORE}/long/checkpoints", check=False).returncode == 0
    )
    node.host.run("kill", "-TERM", first)
    found = node.host.wait(TRAIN, lambda found: found["NRestarts"] == "1" and found["ActiveState"] == "active")
    assert found["MainPID"] != first
    assert "status=75" in node.host.run("journalctl", "--no-pager", "--output=cat", "_PID=1").stdout
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


def test_a_bundle_of_another_checksum_is_refused(node):
    before = node.host.run("cat", "/etc/slipway/run.yaml").stdout
    done = node.boot(sha256="0" * 64)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "slipway-node: check the bundle: failed with exit code 1"
    assert "check the bundle: failed" in node.host.run("journalctl", "-t", "slipway-node", "--no-pager").stdout
    assert node.host.run("cat", "/etc/slipway/run.yaml").stdout == before


def test_a_bundle_that_another_signed_is_refused(node):
    done = node.boot(key="other-pub.pem")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "slipway-node: check the bundle: failed with exit code 1"


def test_a_machine_without_enough_disk_is_refused(node):
    node.host.run("mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", "/opt")
    try:
        done = node.apply()
    finally:
        node.host.run("umount", "/opt")
    assert done.returncode == 2
    assert "Disk: /opt has 64 MiB free, and 8 GiB are needed." in " ".join((done.stdout + done.stderr).split())
    assert "failed=1" in done.stdout


@pytest.mark.parametrize("python", ["python3.12", "/bin/true"])
def test_a_machine_without_python_3_11_is_refused(python, node):
    done = node.apply(trainer_python=python)
    assert done.returncode == 2
    assert f"Python: {python} is no Python 3.11 with venv" in " ".join((done.stdout + done.stderr).split())


def test_a_wrong_variable_is_refused(node):
    done = node.apply(trainer_when_done="explode")
    assert done.returncode == 2
    assert "value of trainer_when_done must be one of" in done.stdout + done.stderr


def test_it_switches_the_machine_off_once(node):
    node.publish("first")
    assert node.boot(trainer_when_done="power-off", detached=True).returncode == 0
    node.host.process.wait(300)
    node.host.boot()
    end = node.end()
    assert (end["outcome"], end["done"]) == ("finished", "nothing: it was switched off for this before")
    assert node.host.process.poll() is None


def test_what_it_made_can_be_removed_and_results_stay(node):
    done = node.apply(trainer_state="absent")
    assert done.returncode == 0, done.stdout
    gone = node.host.run("ls", "/opt/slipway", "/etc/slipway", "/etc/systemd/system/slipway-train.service", check=False)
    assert gone.stdout == ""
    assert node.status("first")["state"] == "finished"
    assert re.search(r"changed=0 .*failed=0", node.apply(trainer_state="absent").stdout)
