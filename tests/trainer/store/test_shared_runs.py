"""Runs in a bucket or on a shared folder, by real processes that stand for machines: each has its own work folder.

S3 is moto's server and Google Cloud Storage fake-gcs-server (see `servers`), the shared folder a local one: what NFS
does with locks and caches is not shown here. A proxy stands before the servers; where a machine is lost, one request in
twenty meets a fault, too.
"""

import collections
import contextlib
import gzip
import json
import signal
import threading
from pathlib import Path

import pytest
import servers
from fault_proxy import Fault, FaultProxy, Plan
from processes import assert_same_training, checkpoint_steps, finish, rows, slipway, status, train

from trainer.cli import application
from trainer.store import tables
from trainer.store.objects.places import place

SETTINGS = {
    "agent.num_envs": 32, "agent.rollout_steps": 32, "agent.minibatch_size": 256, "agent.epochs": 2,
    "budget.env_steps": 32 * 32 * 60, "checkpoint.interval_iterations": 1,
    "evaluation.seeds": 2, "evaluation.episodes_per_seed": 1,
}  # fmt: skip
COMMITTED = "Committed: what the run was at step"
KINDS = ("s3", "gs", "nas")


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """The run that was left alone, in a local folder."""
    folder = tmp_path_factory.mktemp("reference")
    code, output = finish(train(folder, "run", SETTINGS, cold=True))
    assert code == 0, output
    return folder / "run"


@pytest.fixture(scope="module")
def proxies():
    """Those before the servers, by kind of store."""
    with contextlib.ExitStack() as stack:
        found = {}
        for kind, server in (("s3", servers.s3()), ("gs", servers.gcs())):
            found[kind] = FaultProxy(stack.enter_context(server), kind)
            stack.callback(found[kind].stop)
        yield found


@pytest.fixture(scope="module")
def stores(tmp_path_factory, proxies):
    """The address of a store of each kind, and the environment in which it is reached."""
    home = tmp_path_factory.mktemp("home")
    s3, gcs = proxies["s3"].address, proxies["gs"].address
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (servers.s3_environment(s3, home) | servers.gcs_environment(gcs)).items():
            patch.setenv(name, value)
        for bucket in ("s3://bucket", "gs://bucket"):
            servers.make_bucket(bucket)
        (home / "share").mkdir()
        yield {"s3": "s3://bucket/runs", "gs": "gs://bucket/runs", "nas": f"nas://{home}/share"}


@pytest.fixture
def faults(proxies):
    """One request in twenty meets one; gives how many of each kind did.

    None changes a download: that happens to one object twice in a row too often for a test, and then is an error.
    """
    before = sum((proxy.applied for proxy in proxies.values()), start=collections.Counter())
    kinds = tuple(fault for fault in Fault if fault not in (Fault.CHANGED_DOWN, Fault.SHORTENED))
    for proxy in proxies.values():
        proxy.follow(Plan(7, 0.05, kinds, away_seconds=1))
    yield lambda: sum((proxy.applied for proxy in proxies.values()), start=collections.Counter()) - before
    for proxy in proxies.values():
        proxy.follow(None)


class Machine:
    """A work folder, and the commands of `slipway` that are given on it."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir()

    def start(self, *arguments):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SLIPWAY_WORK", str(self.folder / "work"))
            return slipway(*arguments, cwd=self.folder)

    def run(self, *arguments, expect=0):
        code, output = finish(self.start(*arguments))
        assert code == expect, output
        return output

    def train(self, store, run_id, **settings):
        pairs = [item for pair in {**SETTINGS, **settings}.items() for item in ("--set", "=".join(map(str, pair)))]
        return self.start("train", "cartpole-ppo", "--run-id", run_id, "--store", store, *pairs)


@pytest.fixture
def machines(tmp_path):
    return Machine(tmp_path / "one"), Machine(tmp_path / "two")


@contextlib.contextmanager
def past(process, words):
    """A process that has said these words; a thread goes on reading what it says, so that it is never blocked."""
    try:
        if not any(words in line for line in process.stdout):
            raise AssertionError(f"the process ended without {words!r}")
        reader = threading.Thread(target=process.stdout.read)
        reader.start()
        yield
        reader.join(timeout=120)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", KINDS)
def test_a_machine_is_lost_and_another_goes_on_to_the_same_bits(stores, machines, reference, tmp_path, kind, faults):
    one, two = machines
    store, run_id = stores[kind], f"lost-{kind}"
    process = one.train(store, run_id, **{"sinks.logs.stdout": "true"})
    with past(process, COMMITTED):
        process.kill()
    waits = kind == "nas"  # the others are told that the machine is gone
    output = two.run("resume", f"{store}/{run_id}", *([] if waits else ["--take-over"]))
    assert ("waiting 45 s for a sign of life" in output) == waits
    assert "Committed: what the run was at step 61,440" in output
    assert f"Report: {store}/{run_id}/report.html" in output
    assert "whole" in one.run("runs", "verify", f"{store}/{run_id}")
    (row,) = map(json.loads, gzip.decompress(place(store).read(tables.key(tables.RUNS, run_id))).splitlines())
    assert (row["run_id"], row["env_steps"], row["resumes"]) == (run_id, 61_440, 1)
    one.run("runs", "pull", f"{store}/{run_id}", tmp_path / "pulled")
    assert_same_training(tmp_path / "pulled", reference)
    assert status(tmp_path / "pulled")["state"] == "finished"
    assert status(tmp_path / "pulled")["resumes"] == 1
    said = one.run("runs", "logs", f"{store}/{run_id}")
    assert "is finished" in said
    assert COMMITTED in said
    logged = [json.loads(line)["message"] for line in output.splitlines() if line.startswith("{")]
    assert logged[-1] == f"All of {run_id} is in {store}."  # what is told at the end gets to the logs of a cloud too
    assert any("Committed: what the run was at step 61,440" in message for message in logged)
    assert bool(faults()) == (kind != "nas")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_one_machine_at_a_time_and_one_that_wakes_up_writes_nothing(stores, machines, tmp_path):
    one, two = machines
    run = f"{stores['s3']}/contested"
    process = one.train(stores["s3"], "contested", **{"budget.env_steps": 10**8, "checkpoint.interval_iterations": 20})
    with past(process, COMMITTED):
        refused = two.run("resume", run, expect=2)
        assert f"process {process.pid} on " in refused
        assert "alive just now" in refused
        process.send_signal(signal.SIGSTOP)
        other = two.start("resume", run, "--take-over")
        with past(other, COMMITTED):
            process.send_signal(signal.SIGCONT)
            assert process.wait(timeout=120) == 2
            other.send_signal(signal.SIGTERM)
            assert other.wait(timeout=120) == 75
    one.run("runs", "verify", run)
    one.run("runs", "pull", run, tmp_path / "pulled")
    assert status(tmp_path / "pulled")["state"] == "preempted"
    assert status(tmp_path / "pulled")["pid"] == other.pid
    steps = [row["iteration"] for row in rows(tmp_path / "pulled")]
    assert steps == list(range(1, len(steps) + 1))
    assert checkpoint_steps(tmp_path / "pulled")[-1] == 1024 * len(steps)


def command(machine, *arguments):
    """A command that needs no training, as JSON; it says nothing else."""
    return json.loads(machine.run(*arguments, "--json"))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_run_goes_from_store_to_store(stores, machines, reference, tmp_path):
    one, two = machines
    stations = [reference, *(f"{stores[kind]}/run" for kind in KINDS)]
    for source, target in zip(stations, KINDS, strict=False):
        pushed = command(one, "runs", "push", source, stores[target])
        assert pushed == {"run": str(source), "copy": f"{stores[target]}/run"}
        assert "run" in {run["run_id"] for run in command(two, "runs", "list", "--store", stores[target])}
        shown = command(two, "runs", "show", f"{stores[target]}/run")
        assert shown["state"] == "finished"
        assert shown["checkpoint_steps"] == checkpoint_steps(reference)
        assert command(two, "runs", "verify", "run", "--store", stores[target])["whole"]
    command(two, "runs", "pull", stations[-1], tmp_path / "back")
    assert_same_training(tmp_path / "back", reference)
    taken = two.run("runs", "push", reference, stores["s3"], expect=2)
    assert "an id that s3://bucket/runs does not have yet" in taken
    with contextlib.suppress(FileNotFoundError):
        assert not list((two.folder / "work").rglob("run.yaml"))  # who only reads leaves nothing behind


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_of_a_newer_format_is_left_as_it_is(stores, tmp_path, monkeypatch, capfd, kind):
    monkeypatch.setenv("SLIPWAY_WORK", str(tmp_path / "work"))
    monkeypatch.chdir(tmp_path)
    store = f"{stores[kind]}/newer"
    if kind == "nas":
        Path(store.removeprefix("nas://")).mkdir()
    objects = place(store)
    entry = json.dumps({"format": 2, "of": "the future"}).encode()
    objects.create("run/journal/000000000001.json", entry)
    objects.create("run/objects/000000000001/x/run.yaml", b"")
    run = f"{store}/run"
    commands = (["resume", run], ["resume", run, "--take-over"], ["runs", "pull", run], ["runs", "show", run])
    for arguments in (*commands, ["runs", "verify", run], ["runs", "logs", run], ["evaluate", run]):
        assert application.run(arguments) == 2
        said = capfd.readouterr().err
        assert f"RUN: '{run}' is not allowed" in said
        assert "a run whose journal has format 1; this one has format 2" in said
        assert "fix:     use the version of slipway that wrote it, or a newer one" in said
    assert application.run(["runs", "list", "--store", store]) == 0
    assert "damaged" in capfd.readouterr().out
    assert [found.key for found in objects.keys("")] == [
        "run/journal/000000000001.json", "run/objects/000000000001/x/run.yaml",
    ]  # fmt: skip
    assert objects.read("run/journal/000000000001.json") == entry
    assert not (tmp_path / "runs").exists()
