"""Real processes, killed at random moments, go on to the same bits as one that was left alone."""

import os
import random
import resource
import shutil
import signal
import subprocess
import time

import pytest
from processes import (
    assert_same_training,
    checkpoint_steps,
    finish,
    rows,
    slipway,
    status,
    train,
    wait_for_checkpoint,
)

ITERATIONS = 72
CASES = {
    "tensor environment": (
        "cartpole-ppo",
        {
            "agent.num_envs": 32, "agent.rollout_steps": 32, "agent.minibatch_size": 64, "agent.epochs": 6,
            "agent.observation_normalisation": "running", "budget.env_steps": 32 * 32 * ITERATIONS,
        },
    ),
    "gymnasium": (
        "pendulum-ppo",
        {
            "agent.num_envs": 2, "agent.rollout_steps": 64, "agent.minibatch_size": 64, "agent.epochs": 2,
            "budget.env_steps": 2 * 64 * ITERATIONS,
        },
    ),
    "replay": (
        "cartpole-dqn",
        {
            "agent.num_envs": 4, "agent.rollout_steps": 8, "agent.gradient_steps": 8, "agent.minibatch_size": 16,
            "agent.learning_starts": 64, "agent.replay_size": 256, "agent.n_step": 2,
            "agent.networks.layers": [32], "budget.env_steps": 4 * 8 * ITERATIONS,
        },
    ),
    "recurrent": (
        "cartpole-ppo",
        {
            "agent.num_envs": 16, "agent.rollout_steps": 16, "agent.minibatch_size": 64, "agent.epochs": 2,
            "agent.networks.recurrent.units": 16, "budget.env_steps": 16 * 16 * ITERATIONS,
        },
    ),
    "self-labelling": (
        "job-shop-self-labelling",
        {
            "env.parameters.jobs": 4, "env.parameters.machines": 4, "agent.num_envs": 32, "agent.rollout_steps": 16,
            "agent.episodes_per_start": 8, "agent.minibatch_size": 16, "agent.networks.actor": [16],
            "budget.env_steps": 32 * 16 * ITERATIONS,
        },
    ),
}  # fmt: skip
COMMON = {"evaluation.seeds": 2, "evaluation.episodes_per_seed": 1, "checkpoint.interval_iterations": 1}


@pytest.fixture(scope="session")
def references(tmp_path_factory):
    """Each case trained once without interruption, when first asked for."""
    store, made = tmp_path_factory.mktemp("references"), {}

    def reference(case):
        if case not in made:
            preset, settings = CASES[case]
            code, output = finish(train(store, case.split()[0], {**settings, **COMMON}, preset, cold=True))
            assert code == 0, output
            made[case] = store / case.split()[0]
        return made[case]

    return reference


def kill_and_resume(folder, case, kills, seed, *, all_cold=False):
    """Train, killing the process `kills` times at random moments, then let it finish.

    Args:
        folder: for the run.
        case: of `CASES`.
        kills: how many.
        seed: of the moments.
        all_cold: whether all processes begin from nothing; else those that may be killed while they import.
    """
    preset, settings = CASES[case]
    run, chance, survived = folder / "run", random.Random(seed), 0

    def begun(number):
        cold = all_cold or number % 4 == 3
        # Before the run directory exists nothing was reported as saved, and the run is started again.
        if run.is_dir():
            return slipway("resume", run, cwd=folder, cold=cold)
        return train(folder, "run", {**settings, **COMMON}, preset, cold=cold)

    process = begun(0)
    for number in range(kills):
        if number % 4 == 3:  # anywhere: importing, compiling, restoring, training
            time.sleep(chance.uniform(0, 5))
        else:  # while it trains and saves
            before = checkpoint_steps(run)
            wait_for_checkpoint(process, run, before[-1] if before else -1)
            time.sleep(chance.uniform(0, 0.15))
        survived += process.poll() is None
        process.send_signal(signal.SIGKILL)
        finish(process)
        if run.is_dir() and status(run)["state"] == "finished":
            break
        process = begun(number + 1)
    else:
        code, output = finish(process)
        assert code in (0, 2), output
    return run, survived


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("case", "kills", "seed"),
    [("tensor environment", 5, 1), ("gymnasium", 4, 2), ("replay", 1, 3), ("recurrent", 1, 4)],
)
def test_kill_9_at_random_moments_changes_no_bit(tmp_path, references, case, kills, seed):
    run, survived = kill_and_resume(tmp_path, case, kills, seed)
    assert survived >= kills * 0.8  # or the kills would have hit processes that had already ended
    assert_same_training(run, references(case))
    assert status(run)["state"] == "finished"
    assert (run / "report.html").is_file()
    assert not list(run.glob("**/.writing-*"))


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_everything_and_resume_goes_on_exactly(tmp_path, references, number):
    case = "tensor environment"
    preset, settings = CASES[case]
    rarely = {"checkpoint.interval_iterations": None, "checkpoint.interval_seconds": None}
    run = tmp_path / "run"
    process = train(tmp_path, "run", {**settings, **COMMON, **rarely}, preset)
    while process.poll() is None and not ((run / "metrics.jsonl").is_file() and len(rows(run)) >= 2):
        time.sleep(0.01)
    process.send_signal(number)
    code, output = finish(process)
    assert code == 75, output
    assert status(run)["state"] == "preempted"
    assert f"slipway resume {run}" in output
    done = len(rows(run))
    assert 2 <= done < ITERATIONS
    assert status(run)["iteration"] == done  # nothing since the last checkpoint was lost
    code, output = finish(slipway("resume", run, cwd=tmp_path))
    assert code == 0, output
    assert status(run)["resumes"] == 1
    assert_same_training(run, references(case))
    assert "rl_plateau_ratio" in rows(run)[-1]  # so that it was compared


@pytest.fixture(scope="module")
def halfway(tmp_path_factory):
    """A run that a signal stopped halfway, with three checkpoints."""
    preset, settings = CASES["tensor environment"]
    folder = tmp_path_factory.mktemp("halfway")
    process = train(folder, "run", {**settings, **COMMON}, preset)
    assert wait_for_checkpoint(process, folder / "run", 32 * 32 * 5)
    process.send_signal(signal.SIGTERM)
    code, output = finish(process)
    assert code == 75, output
    return folder / "run"


@pytest.fixture
def stopped(tmp_path, halfway, references):
    """A copy of that run, and the one that was left alone."""
    return shutil.copytree(halfway, tmp_path / "run"), references("tensor environment")


def truncate(folder):
    file = folder / "tensors.safetensors"
    os.truncate(file, file.stat().st_size // 2)


def flip_a_bit(folder):
    file = folder / "tensors.safetensors"
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


def lose_the_manifest(folder):
    (folder / "manifest.json").unlink()


@pytest.mark.slow
@pytest.mark.parametrize("damage", [truncate, flip_a_bit, lose_the_manifest])
def test_a_damaged_checkpoint_is_passed_over_and_said(tmp_path, stopped, damage):
    run, reference = stopped
    newest = checkpoint_steps(run)[-1]
    damage(run / "checkpoints" / f"{newest:012d}")
    shutil.copytree(run / "checkpoints" / f"{newest:012d}", run / "checkpoints" / f".writing-{newest + 1:012d}")
    code, output = finish(slipway("resume", run, cwd=tmp_path))
    assert code == 0, output
    assert f"The checkpoint at step {newest} is damaged" in output
    assert "Falling back" in output
    assert_same_training(run, reference)


@pytest.mark.slow
def test_resuming_a_finished_run_is_refused_and_changes_nothing(tmp_path, references):
    reference = references("tensor environment")
    before = {path: path.stat().st_mtime_ns for path in reference.rglob("*") if path.name != ".lock"}
    code, output = finish(slipway("resume", reference, cwd=tmp_path))
    assert code == 2
    assert "finished" in output
    assert "Traceback" not in output
    assert {path: path.stat().st_mtime_ns for path in reference.rglob("*") if path.name != ".lock"} == before


@pytest.mark.slow
def test_a_full_disk_stops_with_a_clear_error_and_earlier_checkpoints_are_intact(tmp_path, references):
    """On a file system of its own where the kernel lets us make one; else by a limit on the size of files."""
    preset, settings = CASES["tensor environment"]
    wide = {"agent.networks.actor": [512, 512], "agent.networks.critic": [512, 512], "checkpoint.keep_last": 50}
    disk = tmp_path / "disk"
    disk.mkdir()
    iterations = 16  # the disk is full after four
    settings = {**settings, **COMMON, **wide, "agent.epochs": 1, "budget.env_steps": 32 * 32 * iterations}
    namespace = subprocess.run(["unshare", "-rm", "true"], capture_output=True, check=False).returncode == 0
    if namespace:
        keep = tmp_path / "keep"
        script = f'mount -t tmpfs -o size=32m none "{disk}" && "$@"; code=$?; cp -a "{disk}" "{keep}"; exit $code'
        process = train(disk, "run", settings, preset, prefix=("unshare", "-rm", "sh", "-c", script, "sh"))
    else:
        keep = disk
        limit = 8 << 20  # one checkpoint has some 6.5 MB; the record and TensorBoard's file stay far below
        settings["checkpoint.interval_iterations"] = 4
        settings["agent.networks.actor"] = [1024, 1024]
        process = train(
            disk, "run", settings, preset,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
        )  # fmt: skip
    code, output = finish(process)
    assert code == 1, output
    assert "cannot write" in output
    assert "Traceback" not in output
    run = keep / "run"
    saved = checkpoint_steps(run)
    if namespace:
        assert saved
        assert "No space left on device" in output
        # On a disk with room, it goes on from what was saved.
        code, output = finish(slipway("resume", run, cwd=tmp_path))
        assert code == 0, output
        assert len(rows(run)) == iterations


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("seed", range(100, 110))
def test_soak_many_kills(tmp_path, references, case, seed):
    run, survived = kill_and_resume(tmp_path, case, 16, seed, all_cold=True)
    assert survived >= 16 * 0.8
    assert_same_training(run, references(case))
    assert status(run)["state"] == "finished"
