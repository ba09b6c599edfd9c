"""Event files, read back with TensorBoard's own reader."""

import importlib
import resource
import subprocess
import sys

import pytest

from trainer.metrics.sinks.tensorboard import TensorBoardSink


@pytest.fixture
def read(monkeypatch):
    """Reads scalars as TensorBoard does: tag -> [(step, value)], over all files of a folder."""
    # TensorBoard reads files with TensorFlow where that is installed; its own code does it as well, 4 s sooner. Only
    # the name is changed: TensorBoard keeps for ever what it once found, and TensorFlow's summaries ask it, too.
    stub = importlib.import_module("tensorboard.compat.tensorflow_stub")
    monkeypatch.setattr("tensorboard.compat.tf", stub)
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    def scalars(folder):
        accumulator = EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()
        return {
            tag: [(event.step, pytest.approx(event.value)) for event in accumulator.Scalars(tag)]
            for tag in accumulator.Tags()["scalars"]
        }

    return scalars


def test_scalars_come_back_by_group(tmp_path, read):
    sink = TensorBoardSink(tmp_path / "events")
    sink.write({"iteration": 1, "rl_score": 4.9, 'rl_phase_duration_seconds{phase="rollout"}': 0.25}, 1024, 1.0)
    sink.write({"iteration": 2, "rl_score": 4.8}, 2048, 2.0)
    sink.close()
    assert read(tmp_path / "events") == {
        "outcome/rl_score": [(1024, 4.9), (2048, 4.8)],
        "speed/rl_phase_duration_seconds/rollout": [(1024, 0.25)],
    }


def test_resume_forgets_what_came_after_the_checkpoint(tmp_path, read):
    first = TensorBoardSink(tmp_path)
    for step in (10, 20, 30, 40):
        first.write({"rl_score": float(step)}, step, 1.0)
    first.close()
    second = TensorBoardSink(tmp_path, resume_step=20)
    second.write({"rl_score": 31.0}, 30, 1.0)
    second.close()
    assert read(tmp_path) == {"outcome/rl_score": [(10, 10.0), (20, 20.0), (30, 31.0)]}
    third = TensorBoardSink(tmp_path, resume_step=0)
    third.write({"rl_score": 11.0}, 10, 1.0)
    third.close()
    assert read(tmp_path) == {"outcome/rl_score": [(10, 11.0)]}
    assert len(list(tmp_path.iterdir())) == 3


def test_a_full_disk_tears_no_record(tmp_path, read):
    """A file-size limit stands in for the full disk; when it is lifted, the file goes on and all of it can be read."""
    program = f"""
import resource, signal
from trainer.metrics.sinks.tensorboard import TensorBoardSink
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
sink = TensorBoardSink({str(tmp_path)!r})
failed = []
for step in range(1, 7):
    resource.setrlimit(resource.RLIMIT_FSIZE, (10 if step == 1 else 200 if step < 6 else unlimited[1], unlimited[1]))
    try:
        sink.write({{"rl_score": 1.0}}, step, 1.0)
    except OSError:
        failed.append(step)
print(failed)
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert result.stdout == "[1, 4, 5]\n"
    assert [step for step, _ in read(tmp_path)["outcome/rl_score"]] == [2, 3, 6]
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 200
