"""metrics.jsonl: whole rows, exact cuts, errors that say what is wrong."""

import json
import math
import resource
import subprocess
import sys

import numpy as np
import pytest

from trainer.errors import SlipwayError
from trainer.metrics.catalogue import UnknownMetricError
from trainer.metrics.sinks import jsonl
from trainer.metrics.sinks.jsonl import JsonlSink


def test_rows_come_back_in_the_catalogues_order(tmp_path):
    sink = JsonlSink(tmp_path / "metrics.jsonl")
    row = {"rl_policy_loss": np.float32(0.5), "iteration": 1, "rl_env_steps_total": np.int64(1024), "rl_score": 4.8}
    sink.write(row, 1024, 1.5)
    sink.write(dict(reversed(row.items())), 1024, 1.5)
    sink.close()
    first, second = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert first == second
    assert list(json.loads(first)) == [
        "step", "iteration", "wall_time_seconds", "rl_score", "rl_policy_loss", "rl_env_steps_total",
    ]  # fmt: skip
    assert json.loads(first)["rl_env_steps_total"] == 1024


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, np.float32("nan")])
def test_what_is_not_finite_becomes_null(tmp_path, value):
    sink = JsonlSink(tmp_path / "m.jsonl")
    sink.write({"rl_score": value}, 1, value)
    sink.close()
    assert json.loads((tmp_path / "m.jsonl").read_text()) == {"step": 1, "wall_time_seconds": None, "rl_score": None}
    assert math.isnan(jsonl.read(tmp_path / "m.jsonl")[0]["rl_score"])


def test_resume_cuts_to_the_recorded_length(tmp_path):
    path = tmp_path / "m.jsonl"
    sink = JsonlSink(path)
    sink.write({"rl_score": 1.0}, 10, 1.0)
    kept = sink.flush()
    assert kept == path.stat().st_size
    sink.write({"rl_score": 2.0}, 20, 2.0)
    sink.close()
    resumed = JsonlSink(path, keep_bytes=kept)
    resumed.write({"rl_score": 3.0}, 20, 2.5)
    assert resumed.flush() == path.stat().st_size
    resumed.close()
    assert [(row["step"], row["rl_score"]) for row in jsonl.read(path)] == [(10, 1.0), (20, 3.0)]
    JsonlSink(path, keep_bytes=0).close()
    assert path.stat().st_size == 0


@pytest.mark.parametrize("torn", [b'{"step":2,"wall', b"\x00\x00\x00", b'{"step":2}'])
def test_a_torn_last_line_goes(tmp_path, torn):
    path = tmp_path / "m.jsonl"
    path.write_bytes(b'{"step":1}\n' + torn)
    assert jsonl.read(path) == [{"step": 1}]
    JsonlSink(path).close()
    assert path.read_bytes() == b'{"step":1}\n'


@pytest.mark.parametrize("keep_bytes", [5, 100])
def test_a_length_that_is_no_end_of_a_line_is_refused_and_nothing_is_lost(tmp_path, keep_bytes):
    path = tmp_path / "m.jsonl"
    path.write_bytes(b'{"step":1}\n')
    with pytest.raises(SlipwayError, match=r"m\.jsonl has .* byte"):
        JsonlSink(path, keep_bytes=keep_bytes)
    assert path.read_bytes() == b'{"step":1}\n'


def test_a_damaged_line_is_named(tmp_path):
    (tmp_path / "m.jsonl").write_bytes(b'{"step":1}\n{"st\n')
    with pytest.raises(SlipwayError, match="line 2"):
        jsonl.read(tmp_path / "m.jsonl")
    assert jsonl.read(tmp_path / "none.jsonl") == []


def test_an_unknown_metric_is_refused_before_anything_is_written(tmp_path):
    sink = JsonlSink(tmp_path / "m.jsonl")
    with pytest.raises(UnknownMetricError, match="rl_scores"):
        sink.write({"rl_scores": 1.0}, 1, 1.0)
    sink.close()
    assert (tmp_path / "m.jsonl").read_bytes() == b""


def test_a_full_disk_leaves_whole_rows_and_says_so(tmp_path):
    """A file-size limit stands in for the full disk: a write stops midway with an OSError, in its own process."""
    program = f"""
import resource, signal
from trainer.errors import SlipwayError
from trainer.metrics.sinks.jsonl import JsonlSink
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
sink = JsonlSink({str(tmp_path / "m.jsonl")!r})
resource.setrlimit(resource.RLIMIT_FSIZE, (100, {resource.getrlimit(resource.RLIMIT_FSIZE)[1]}))
try:
    for step in range(100):
        sink.write({{"rl_score": 1.0}}, step, 1.0)
except SlipwayError as error:
    print(error)
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert "m.jsonl: File too large" in result.stdout
    content = (tmp_path / "m.jsonl").read_bytes()
    assert content.endswith(b"}\n")
    assert [row["step"] for row in jsonl.read(tmp_path / "m.jsonl")] == [0, 1]


def test_no_folder_is_a_clear_error(tmp_path):
    with pytest.raises(SlipwayError, match=r"cannot open .*No such file"):
        JsonlSink(tmp_path / "missing" / "m.jsonl")
