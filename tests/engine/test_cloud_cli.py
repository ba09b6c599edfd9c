"""`slipway cloud` on Google's program under the real engine, as the guide shows it.

The provider of Google Cloud is the recording one (`google_provider`); groups of machines and log entries come from a
server that answers as Google's documents say, and no machine boots.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import servers
from google_account import PROJECT, REGION, serving

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs/cloud.md"
FENCE = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)
GROUP = "gcp:compute/regionInstanceGroupManager:RegionInstanceGroupManager"


class Google:
    """The groups that a site has in the imitated cloud, and what its log has."""

    def __init__(self, world):
        self.world = world

    def __call__(self, method, path, headers, body):
        if path == "/v2/entries:list":
            payload = {"run_id": "cartpole", "message": "Committed: all of it"}
            entry = {"timestamp": "2026-11-26T10:00:00Z", "insertId": "1", "severity": "INFO", "jsonPayload": payload}
            return self.ok({"entries": [entry]})
        name = path.split("/instanceGroupManagers/")[1].split("/")[0]
        (group,) = (each for each in self.world.ids(GROUP) if each.endswith(f"/{name}"))
        if path.endswith("/listManagedInstances"):
            return self.ok({})
        if "/resize?size=" in path:
            self.world.change(GROUP, group, targetSize=int(path.rpartition("=")[2]))
            return self.ok({})
        return self.ok({"targetSize": self.world.read()["resources"][GROUP][group]["state"]["targetSize"]})

    @staticmethod
    def ok(said):
        return 200, {"Content-Type": "application/json"}, json.dumps(said).encode()


class Operator:
    """Somebody in a clone of slipway, with an account."""

    def __init__(self, account, address, folder):
        self.account, self.engine = account, account.engine(folder / "engine", stack="first")
        self.folder = folder / "clone"
        self.folder.mkdir()
        for name in ("Pulumi.yaml", "infra"):
            (self.folder / name).symlink_to(ROOT / name)
        (folder / "bin").mkdir()
        program = folder / "bin/slipway"
        program.write_text(f'#!/bin/sh\nexec {sys.executable} -m trainer "$@"\n')
        program.chmod(0o755)
        self.environment = {
            **self.engine.environment,
            "PATH": f"{folder / 'bin'}{os.pathsep}{self.engine.environment['PATH']}",
            "SLIPWAY_POLICY_PACK": str(self.engine._pack(ROOT / "infra/policy")),
            "CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE": address,
            "CLOUDSDK_API_ENDPOINT_OVERRIDES_LOGGING": address,
        }

    def __call__(self, *arguments, code=0, entered=""):
        """Run slipway cloud."""
        command = ["slipway", "cloud", *arguments]
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment, input=entered, capture_output=True, text=True, check=False
        )
        assert done.returncode == code, (command, done.stdout, done.stderr)
        return done

    def config(self, stack, **values):
        """Make a stack with this configuration."""
        fixed = {"cloud": "gcp", "region": REGION, "project": PROJECT, "run": "cartpole-ppo", **values}
        lines = [f"pulumi stack init {stack} --no-select"]
        lines += [f"pulumi config set --stack {stack} slipway:{key} '{value}'" for key, value in fixed.items()]
        self.shell("\n".join(lines))

    def shell(self, script):
        done = subprocess.run(
            ["bash", "-euc", script], cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, (script, done.stdout, done.stderr)
        return done.stdout


@pytest.fixture(scope="module")
def operator(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cloud")
    with serving(folder) as account, servers.answering(Google(account.world)) as address:
        yield Operator(account, address, folder)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_guide(operator):
    """Every command of it, in its order."""
    commands = [
        line.removeprefix("$ ").replace("my-project", PROJECT)
        for block in FENCE.findall(GUIDE.read_text())
        for line in block.splitlines()
        if line.startswith("$ ")
    ]
    assert [each for each in commands if each.startswith("slipway cloud")] == [
        "slipway cloud preview", "slipway cloud up --yes", "slipway cloud status", "slipway cloud logs --since 2h",
        "slipway cloud pause", "slipway cloud resume", "slipway cloud destroy --confirm dev",
    ]  # fmt: skip
    said = operator.shell("\n".join(f"echo '$ {each}'; {each}" for each in commands))
    told = dict(part.split("\n", 1) for part in said.split("$ ")[1:])
    preview = told["slipway cloud preview"]
    assert re.match(r"dev: \d+ to create\n", preview)
    assert "e2-standard-4, spot, at most" in preview
    assert "dev is up." in told["slipway cloud up --yes"]
    assert "not begun" in told["slipway cloud status"]
    assert "Committed: all of it" in told["slipway cloud logs --since 2h"]
    assert "save a checkpoint" in told["slipway cloud pause"]
    assert "get a machine again" in told["slipway cloud resume"]
    gone = told["slipway cloud destroy --confirm dev"]
    assert re.search(r"dev is gone: \d+ resources removed, and the stack's state has none.", gone)
    assert re.search(r"stays: 1 gcp KeyRing \(slipway-dev-ring-\w+\): Google Cloud never deletes key rings", gone)
    assert operator.account.world.tokens == set()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_site_to_keep_is_not_lost_by_mistake_and_a_removal_goes_on_after_an_interruption(operator):
    from google.cloud import storage

    operator.config("kept", lifecycle="keep", machines="e2-standard-4")
    lines = operator("up", "--stack", "kept", "--yes", "--json").stdout.splitlines()
    events = [json.loads(line) for line in lines]
    assert {"begun", "done"} <= {event["event"] for event in events}
    outputs = events[-1]["outputs"]
    assert events[-1]["event"] == "up"
    assert outputs["store"].startswith("gs://slipway-kept-")

    # Results are in the bucket, and nobody has said what is to become of them.
    refused = operator("destroy", "--stack", "kept", "--confirm", "kept", code=2)
    assert "--discard-results" in refused.stderr
    wrong = operator("destroy", "--stack", "kept", "--discard-results", entered="keep\n", code=2)
    assert "Type kept to remove it" in wrong.stderr
    assert "--json" in operator("destroy", "--stack", "kept", "--discard-results", "--json", code=2).stderr
    world = operator.account.world
    made = world.tokens
    assert made

    # Pulumi's own destroy stops at what is protected.
    plain = subprocess.run(
        ["pulumi", "destroy", "--yes", "--stack", "kept", "--skip-preview", "--non-interactive"],
        cwd=operator.folder, env=operator.environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert plain.returncode != 0
    assert "protect" in plain.stdout + plain.stderr
    assert {"gcp:storage/bucket:Bucket", "gcp:kms/cryptoKey:CryptoKey"} <= world.tokens

    # Ctrl-C half-way; the same command goes on, and objects in the bucket do not stop it.
    os.environ.update(operator.account.environment)
    storage.Client().bucket(outputs["bucket"]).blob("runs/a/run.yaml").upload_from_string("x")
    command = ["slipway", "cloud", "destroy", "--stack", "kept", "--confirm", "kept", "--discard-results", "--json"]
    with subprocess.Popen(
        command,
        cwd=operator.folder,
        env=operator.environment,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        for line in process.stdout:
            event = json.loads(line)
            if event["event"] == "done" and event["op"] == "delete":
                os.killpg(process.pid, signal.SIGINT)
                break
        process.stdout.read()
    assert process.returncode != 0
    assert world.tokens
    end = time.monotonic() + 30  # the engine gives its lock back once it has stopped
    while list((operator.engine.folder / "state").rglob("locks/**/*.json")) and time.monotonic() < end:
        time.sleep(0.2)
    lines = operator("destroy", "--stack", "kept", "--confirm", "kept", "--discard-results", "--json").stdout
    last = json.loads(lines.splitlines()[-1])
    assert last["event"] == "destroyed"
    assert {each["type"] for each in last["stays"]} <= {
        "gcp:kms/keyRing:KeyRing", "gcp:kms/cryptoKey:CryptoKey", "gcp:projects/iAMCustomRole:IAMCustomRole",
        "gcp:logging/projectBucketConfig:ProjectBucketConfig", "gcp:projects/service:Service",
    }  # fmt: skip
    assert (world.tokens, list(storage.Client().list_buckets())) == (set(), [])
    again = operator("destroy", "--stack", "kept", "--confirm", "kept")
    assert "has nothing to remove" in again.stdout


def test_bad_input_ends_with_2_and_changes_nothing(operator, tmp_path):
    assert "a folder with slipway's Pulumi.yaml" in operator("status", "--directory", str(tmp_path), code=2).stderr
    unknown = operator("status", "--stack", "nowhere", code=2).stderr
    assert "--stack: 'nowhere'" in unknown
    operator.config("wrong", machines="e2-standard-9", email="nobody", zones="2")
    said = operator("preview", "--stack", "wrong", code=2).stderr
    for key in ("slipway:machines", "slipway:email", "slipway:zones"):
        assert f"{key}: " in said
    operator.config("idle")
    assert "a site that is up" in operator("pause", "--stack", "idle", code=2).stderr
    assert "is not up" in operator("status", "--stack", "idle").stdout
    assert "--yes" in operator("up", "--stack", "idle", "--json", code=2).stderr
    assert "write --since 2h" in operator("logs", "--stack", "idle", "--since", "soon", code=2).stderr


def test_without_pulumi_it_says_what_to_install(operator):
    environment = {**operator.environment, "PATH": f"{operator.folder.parent / 'bin'}:/usr/bin:/bin"}
    done = subprocess.run(
        ["slipway", "cloud", "status"],
        cwd=operator.folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "https://www.pulumi.com/docs/iac/download-install/" in done.stderr


def test_a_passphrase_that_is_missing_or_wrong_is_named(operator):
    operator.config("sealed")
    operator.shell("pulumi config set --stack sealed --secret slipway:email ops@example.com")
    for phrase in (None, "of somebody else"):
        environment = {**operator.environment, "PULUMI_CONFIG_PASSPHRASE": phrase}
        environment = {key: value for key, value in environment.items() if value is not None}
        done = subprocess.run(
            ["slipway", "cloud", "status", "--stack", "sealed"],
            cwd=operator.folder, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert (done.returncode, "PULUMI_CONFIG_PASSPHRASE" in done.stderr) == (2, True), done.stderr
