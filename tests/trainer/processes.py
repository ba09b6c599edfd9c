"""Real `slipway` processes for tests that kill them."""

import hashlib
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

from warm_processes import WarmProcess

from trainer.checkpoint import Checkpoints
from trainer.metrics.catalogue import METRICS, Group

TIMING = re.compile(r"seconds|per_second|timestamp|cost")
HOST = tuple(metric.name for metric in METRICS if metric.group is Group.HOST)
"""Metrics that depend on the clock, and on the machine."""


def slipway(*arguments, cwd, preexec_fn=None, prefix=(), cold=False):
    """A started process; its output goes to a pipe.

    Args:
        arguments: of the command.
        cwd: where it runs.
        preexec_fn: what it does before it becomes `slipway`.
        prefix: a command that it is started by.
        cold: whether it begins from nothing, as it does with either of these two; else with all imports done
            (`warm_processes`).
    """
    environment = {**os.environ, "PYTHONFAULTHANDLER": "1"}
    if not (cold or prefix or preexec_fn):
        return WarmProcess([*map(str, arguments)], cwd, environment)
    return subprocess.Popen(
        [*prefix, sys.executable, "-m", "trainer", *map(str, arguments)],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=preexec_fn,
        env=environment,
    )


def finish(process, timeout=240):
    """Exit code and output."""
    output, _ = process.communicate(timeout=timeout)
    return process.returncode, output


def train(folder, run_id, settings, preset="cartpole-ppo", **keywords):
    """`slipway train` with overrides."""
    pairs = [item for key, value in settings.items() for item in ("--set", f"{key}={json.dumps(value)}")]
    return slipway("train", preset, "--run-id", run_id, "--store", folder, *pairs, cwd=folder, **keywords)


def checkpoint_steps(run):
    """The steps of the checkpoints in a run directory."""
    folder = run / "checkpoints"
    return sorted(int(path.name) for path in folder.iterdir() if path.name.isdigit()) if folder.is_dir() else []


def wait_for_checkpoint(process, run, beyond, timeout=120):
    """Wait until a checkpoint past a step is there, or the process has ended."""
    end = time.monotonic() + timeout
    while process.poll() is None and time.monotonic() < end:
        if any(step > beyond for step in checkpoint_steps(run)):
            return True
        time.sleep(0.002)
    return False


def rows(run):
    """The rows of `metrics.jsonl` without what the clock and the machine decide."""
    found = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{key: row[key] for key in row if not TIMING.search(key) and not key.startswith(HOST)} for row in found]


def final_bits(run):
    """The digest of the newest checkpoint's tensors, and of the replay's rows if it has any."""
    newest = checkpoint_steps(run)[-1]
    data = (run / "checkpoints" / f"{newest:012d}" / "tensors.safetensors").read_bytes()
    window = Checkpoints(run / "checkpoints").load(newest).window
    rows = b"" if window is None else window.read(window.start, window.stop).tobytes()
    return newest, hashlib.sha256(data).hexdigest(), hashlib.sha256(rows).hexdigest()


def status(run):
    """`status.json`."""
    return json.loads(Path(run / "status.json").read_text())


def assert_same_training(run, reference):
    """Weights, optimiser, environment state to the bit; every metric of every iteration, none twice, none missing."""
    assert final_bits(run) == final_bits(reference)
    got, expected = rows(run), rows(reference)
    assert [row["step"] for row in got] == [row["step"] for row in expected]
    assert [row["iteration"] for row in got] == list(range(1, len(expected) + 1))
    assert got == expected
