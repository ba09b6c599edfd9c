"""Real `slipway` processes for tests that kill them."""

import hashlib
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

from trainer.checkpoint import Checkpoints

TIMING = re.compile(r"seconds|per_second|timestamp|cost")
"""Metrics that depend on the clock."""


def slipway(*arguments, cwd, preexec_fn=None, prefix=()):
    """A started process; its output goes to a pipe."""
    return subprocess.Popen(
        [*prefix, sys.executable, "-m", "trainer", *map(str, arguments)],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=preexec_fn,
        env={**os.environ, "PYTHONFAULTHANDLER": "1"},
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
    """The rows of `metrics.jsonl` without what the clock decides."""
    lines = (run / "metrics.jsonl").read_text().splitlines()
    return [{key: value for key, value in json.loads(line).items() if not TIMING.search(key)} for line in lines]


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
