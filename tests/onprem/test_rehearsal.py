"""The rehearsal: a cloud's machine boots and trains, is taken away, and the next one finishes its run to the same bits.

Machines are Debian hosts with their own systemd. They boot by the script that a cloud would run, and reach by the real
protocols what stands in for a cloud: moto's S3 or fake-gcs-server, and a metadata service with credentials and notices.
What is not shown: a real cloud, its images and networks, and machines that are replaced by a group of their own.
"""

import contextlib
import json
import os
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import metadata_servers
import pytest
import servers
from lab import Host, disk
from processes import assert_same_training, status

from trainer.cli import application
from trainer.node.user_data import UserData, render
from trainer.store import shared
from trainer.store.journal import Journal, Kind
from trainer.store.objects.places import place

ROOT = Path(__file__).parents[2]
IMAGE, WHEELHOUSE = ROOT / ".tools/hosts/bookworm", ROOT / ".tools/wheelhouse"
TRAIN, RUN = "slipway-train.service", "rehearsed"
SETTINGS = {
    "agent.num_envs": 8, "agent.rollout_steps": 32, "agent.minibatch_size": 256, "budget.env_steps": 256 * 4000,
    "evaluation.seeds": 2, "evaluation.episodes_per_seed": 1, "checkpoint.interval_iterations": 50,
}  # fmt: skip

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(os.geteuid() != 0, reason="hosts of their own need root"),
]


class AWS:
    """S3, and EC2's metadata service with the credentials of the machine's role."""

    store, watch = "s3://bucket", "ec2"
    words = "spot notice (terminate): this machine goes at"

    def __init__(self, stack, folder):
        address = stack.enter_context(servers.s3())
        self.here = servers.s3_environment(address, folder)
        expiration = (datetime.now(UTC) + timedelta(hours=6)).strftime("%Y-%m-%dT%H:%M:%SZ")
        credentials = {"Code": "Success", "AccessKeyId": "role", "SecretAccessKey": "secret", "Token": "token"}
        items = {
            "placement/region": "eu-west-1",
            "iam/security-credentials/": "trainer",
            "iam/security-credentials/trainer": json.dumps({**credentials, "Expiration": expiration}),
        }
        self.metadata = stack.enter_context(metadata_servers.InstanceMetadata(**items))
        self.there = {
            "AWS_ENDPOINT_URL_S3": address,
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": f"http://{self.metadata.address}",
            "AWS_REGION": "eu-west-1",
        }

    def give_notice(self):
        """Two minutes, as EC2 does."""
        at = (datetime.now(UTC) + timedelta(minutes=2)).strftime("%Y-%m-%dT%H:%M:%SZ")
        self.metadata.items["spot/instance-action"] = json.dumps({"action": "terminate", "time": at})

    def replace_machine(self):
        """The next machine has had no notice."""
        del self.metadata.items["spot/instance-action"]


class Google:
    """Google Cloud Storage, and Compute Engine's metadata server with a token of the machine's service account."""

    store, watch = "gs://bucket", "compute-engine"
    words = "preempted by Compute Engine: this machine goes at"

    def __init__(self, stack, folder):
        address = stack.enter_context(servers.gcs())
        self.here = servers.gcs_environment(address)
        self.metadata = stack.enter_context(metadata_servers.ComputeMetadata())
        token = {"access_token": "token", "expires_in": 3600, "token_type": "Bearer"}
        self.metadata.set("service-accounts/default/token", json.dumps(token))
        self.there = {"STORAGE_EMULATOR_HOST": address, "GCE_METADATA_HOST": self.metadata.address}

    def give_notice(self):
        """Now, as Compute Engine does."""
        self.metadata.set("preempted", "TRUE")

    def replace_machine(self):
        """The next machine has had no notice."""
        self.metadata.set("preempted", "FALSE")


PAIRS = [item for key, value in SETTINGS.items() for item in ("--set", f"{key}={json.dumps(value)}")]


def bundle(cloud, folder):
    """A bundle of the run, in the bucket; its checksum."""
    out = folder / "bundle.tar.gz"
    watch = ["--set", f"preemption.watch={cloud.watch}", "--store", f"{cloud.store}/runs"]
    assert application.run(["bundle", "cartpole-ppo", *PAIRS, *watch, "--run-id", RUN, "--out", str(out)]) == 0
    sha256 = out.with_name(f"{out.name}.sha256").read_text().split()[0]
    place(cloud.store).upload(out.name, out, sha256)
    return sha256


class Region:
    """Where machines are: the first one of all installs what it needs, and leaves that in the image of the others."""

    def __init__(self, folder):
        self.folder, self.installed = folder, folder / "installed"

    @property
    def image(self):
        """The layers of a machine's disk."""
        return [self.installed, IMAGE] if self.installed.is_dir() else [IMAGE]

    def keep(self, host):
        """Make the environments that a machine has installed a layer of those that come after it."""
        if not self.installed.is_dir():
            aside = self.folder / "aside"
            aside.mkdir()
            kept = ["opt/slipway", "var/lib/slipway-node/ansible"]
            subprocess.run(["cp", "--archive", "--link", "--parents", *kept, aside], cwd=host.upper, check=True)
            aside.rename(self.installed)


@pytest.fixture(scope="module")
def region():
    for path in (IMAGE, WHEELHOUSE):
        assert path.is_dir(), f"{path} is missing: make .tools/.hosts .tools/.wheelhouse"
    with disk("rehearsal") as folder:
        yield Region(folder)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The same run, trained on this machine from its beginning to its end; its folder."""
    store = tmp_path_factory.mktemp("undisturbed")
    command = [sys.executable, "-m", "trainer", "train", "cartpole-ppo", *PAIRS, "--run-id", RUN, "--quiet"]
    command += ["--set", "preemption.watch=none"]
    subprocess.run([*command, "--store", str(store)], cwd=store, check=True, capture_output=True)
    return store / RUN


@contextlib.contextmanager
def machine(name, cloud, region, sha256):
    """A new machine that has run its first boot; when it is left, nothing of it remains."""
    script = render(
        UserData(
            f"{cloud.store}/bundle.tar.gz",
            sha256,
            # So long that nothing starts again on a machine that is about to go.
            variables={"trainer_restart_seconds": 900, "trainer_environment": cloud.there},
            environment={**cloud.there, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "/srv/wheelhouse"},
        )
    )
    wheels = {"/srv/wheelhouse": WHEELHOUSE}
    with Host(f"{name}-{os.getpid()}", region.image, region.folder / name, wheels) as host:
        (host.root / "root/user-data.sh").write_text(script)
        booted = host.run("bash", "/root/user-data.sh", check=False)
        assert booted.returncode == 0, booted.stdout + booted.stderr
        region.keep(host)
        yield host


def wait_for_commits(host, journal, count):
    """Wait until a run's journal has so many entries."""
    end = time.monotonic() + 240
    while (journal.last() or 0) < count:
        assert time.monotonic() < end, host.log(TRAIN)
        time.sleep(0.2)


@pytest.mark.parametrize("kind", [AWS, Google], ids=["aws", "google"])
def test_a_machine_is_taken_away_and_the_next_one_finishes_its_run(kind, region, undisturbed, tmp_path, monkeypatch):
    with contextlib.ExitStack() as stack:
        cloud = kind(stack, tmp_path)
        for name, value in cloud.here.items():
            monkeypatch.setenv(name, value)
        servers.make_bucket(cloud.store)
        sha256 = bundle(cloud, tmp_path)
        objects = place(f"{cloud.store}/runs")
        journal = Journal(objects, RUN)

        with machine("first", cloud, region, sha256) as host:
            wait_for_commits(host, journal, 3)
            cloud.give_notice()
            host.wait(TRAIN, lambda found: found["SubState"] == "auto-restart")
            assert "status=75" in host.run("journalctl", "--no-pager", "--output=cat", "_PID=1").stdout
            _, left = journal.newest()
            assert (left.kind, left.state) == (Kind.RELEASED, "preempted")
            assert 0 < left.step < SETTINGS["budget.env_steps"]

        cloud.replace_machine()
        with machine("second", cloud, region, sha256) as host:
            found = host.wait(TRAIN, lambda found: found["ActiveState"] in ("inactive", "failed"), 240)
            assert found["Result"] == "success", host.log(TRAIN)

        shared.pull(objects, RUN, tmp_path / RUN)
        said = [json.loads(line)["message"] for line in (tmp_path / RUN / "log.jsonl").read_text().splitlines()]
        assert any(cloud.words in line for line in said)
        assert status(tmp_path / RUN)["state"] == "finished"
        assert status(tmp_path / RUN)["resumes"] == 1
        assert objects.read(f"{RUN}/report.html") == (tmp_path / RUN / "report.html").read_bytes()
        assert_same_training(tmp_path / RUN, undisturbed)
