"""Real runs on machines that go: the last checkpoint, the reason, the exit code, and the same bits once resumed."""

import re
import signal

import pytest
from metadata_servers import ComputeMetadata, ec2_mock, free_port, wait_for
from processes import assert_same_training, finish, rows, slipway, status, train

from trainer.preemption import ec2

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

ITERATIONS = 1200
"""Enough that the training lasts longer than the five seconds between two questions to EC2."""
SETTINGS = {
    "agent.num_envs": 16, "agent.rollout_steps": 32, "agent.minibatch_size": 64, "agent.epochs": 4,
    "budget.env_steps": 16 * 32 * ITERATIONS, "evaluation.seeds": 2, "evaluation.episodes_per_seed": 1,
    "checkpoint.interval_iterations": None, "checkpoint.interval_seconds": None, "sinks.tensorboard": False,
}  # fmt: skip


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """A run that nobody disturbed."""
    folder = tmp_path_factory.mktemp("reference")
    code, output = finish(train(folder, "run", {**SETTINGS, "preemption.watch": "none"}, cold=True))
    assert code == 0, output
    return folder / "run"


def trains(run, process):
    """Whether a run has made some iterations and still goes on."""
    assert process.poll() is None, process.communicate()
    return (run / "metrics.jsonl").is_file() and len(rows(run)) >= 2


def assert_preempted_and_resumed(process, run, reference, reason):
    code, output = finish(process)
    assert code == 75, output
    assert re.search(rf"^{reason}; saving$", output, re.MULTILINE), output
    assert re.search(rf"^run is preempted: {reason}$", output, re.MULTILINE), output
    assert f"Go on with: slipway resume {run}" in output
    said = status(run)
    assert said["state"] == "preempted"
    assert re.fullmatch(reason, said["message"])
    assert 2 <= said["iteration"] == len(rows(run)) < ITERATIONS  # nothing since the last checkpoint was lost
    code, output = finish(slipway("resume", run, cwd=run.parent))
    assert code == 0, output
    assert_same_training(run, reference)


def test_a_spot_machine_of_ec2_goes(tmp_path, reference, monkeypatch):
    """Nobody answers at first: that is told once, and the notice is heard all the same."""
    port, run = free_port(), tmp_path / "run"
    monkeypatch.setenv(ec2.VARIABLE, f"http://127.0.0.1:{port}")
    process = train(tmp_path, "run", {**SETTINGS, "preemption.watch": "ec2"})
    wait_for(lambda: trains(run, process), 120)
    with ec2_mock("spot", "--action", "terminate", port=port):
        process.wait(60)
    monkeypatch.setenv(ec2.VARIABLE, f"http://127.0.0.1:{free_port()}")
    reason = r"spot notice \(terminate\): this machine goes at (\d{4}-\d\d-\d\d )?\d\d:\d\d:\d\d UTC"
    assert_preempted_and_resumed(process, run, reference, reason)


def test_a_machine_of_compute_engine_goes(tmp_path, reference):
    run = tmp_path / "run"
    with ComputeMetadata() as server:
        server.failures = 1
        process = train(tmp_path, "run", {**SETTINGS, "preemption.watch": "compute-engine"})
        wait_for(lambda: trains(run, process), 120)
        server.set("preempted", "TRUE")
        process.wait(60)
        server.set("preempted", "FALSE")  # the next machine
        reason = r"preempted by Compute Engine: this machine goes at (\d{4}-\d\d-\d\d )?\d\d:\d\d:\d\d UTC"
        assert_preempted_and_resumed(process, run, reference, reason)


def test_a_signal_during_the_evaluation_at_the_end_leaves_a_run_that_resumes(tmp_path, reference):
    """The training is done and saved by then; what follows is done anew."""
    run, said = tmp_path / "run", ""
    process = train(tmp_path, "run", {**SETTINGS, "preemption.watch": "none"})
    while "evaluating" not in said:
        said = process.stdout.readline()
        assert said
    process.send_signal(signal.SIGTERM)
    code, output = finish(process)
    assert code == 75, output
    assert (status(run)["state"], status(run)["message"]) == ("preempted", "stopped by SIGTERM")
    assert status(run)["iteration"] == ITERATIONS
    assert not (run / "model").exists()
    code, output = finish(slipway("resume", run, cwd=tmp_path))
    assert code == 0, output
    assert status(run)["state"] == "finished"
    assert [path.name for path in (run / "model").iterdir()] == ["1"]
    assert_same_training(run, reference)
    assert (run / "evaluation.json").read_text() == (reference / "evaluation.json").read_text()
