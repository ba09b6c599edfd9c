"""Many sinks: watchers fail without harm, the record does not."""

import pytest

from trainer.errors import SlipwayError
from trainer.metrics.catalogue import UnknownMetricError
from trainer.metrics.sinks import jsonl
from trainer.metrics.sinks.fanout import SinkSet, open_sinks
from trainer.metrics.sinks.jsonl import JsonlSink
from trainer.metrics.sinks.tensorboard import TensorBoardSink


class Flaky:
    """A sink that raises while `broken`."""

    def __init__(self):
        self.broken, self.tries, self.steps = True, 0, []

    def write(self, row, step, wall_time_seconds):
        self.tries += 1
        if self.broken:
            raise OSError("no space left on device")
        self.steps.append(step)

    def flush(self):
        if self.broken:
            raise OSError("no space left on device")

    def close(self):
        pass


def test_a_failing_watcher_is_told_once_tried_ever_less_and_comes_back(tmp_path):
    flaky, told = Flaky(), []
    sinks = SinkSet(JsonlSink(tmp_path / "m.jsonl"), {"Watcher": flaky}, told.append)
    for step in range(1, 33):
        sinks.write({"rl_score": 1.0}, step, 1.0)
    assert flaky.tries == 5  # at rows 1, 3, 6, 11 and 20
    assert len(told) == 1
    assert "Watcher fails (no space left on device)" in told[0]
    flaky.broken = False
    for step in range(33, 65):
        sinks.write({"rl_score": 1.0}, step, 1.0)
    assert flaky.steps == list(range(37, 65))
    (watcher,) = sinks.watchers
    assert (watcher.failures, watcher.dropped) == (5, 36)
    assert sinks.flush() == (tmp_path / "m.jsonl").stat().st_size
    sinks.close()
    assert told[1:] == ["Watcher missed 36 rows; m.jsonl has them all"]
    assert len(jsonl.read(tmp_path / "m.jsonl")) == 64


def test_what_watchers_have_lost_is_part_of_the_rows(tmp_path):
    class Lossy(Flaky):
        broken, dropped = False, 0

        def __init__(self):
            self.tries, self.steps, self.rows = 0, [], []

        def write(self, row, step, wall_time_seconds):
            self.rows.append(row)

    lossy, told = Lossy(), []
    sinks = SinkSet(JsonlSink(tmp_path / "m.jsonl"), {"Cloud Monitoring": lossy}, told.append)
    sinks.write({"rl_score": 1.0}, 1, 1.0)
    lossy.dropped = 7
    sinks.write({"rl_score": 1.0}, 2, 1.0)
    sinks.close()
    lost = 'rl_sink_dropped_records_total{sink="Cloud Monitoring"}'
    assert [row.get(lost) for row in jsonl.read(tmp_path / "m.jsonl")] == [None, 7]
    assert [row.get(lost) for row in lossy.rows] == [None, 7]
    assert told == ["Cloud Monitoring missed 7 points; m.jsonl has all rows"]


def test_a_watcher_that_cannot_flush_does_no_harm(tmp_path):
    told = []
    sinks = SinkSet(JsonlSink(tmp_path / "m.jsonl"), {"Watcher": Flaky()}, told.append)
    sinks.flush()
    sinks.flush()
    sinks.close()
    assert len(told) == 1


def test_tensorboard_in_a_place_that_cannot_be_written_stops_nothing(tmp_path):
    (tmp_path / "events").write_text("a file where the folder should be")
    told = []
    sinks = open_sinks(tmp_path, told.append)
    sinks.write({"rl_score": 1.0}, 1, 1.0)
    sinks.close()
    assert "TensorBoard fails" in told[0]
    assert len(jsonl.read(tmp_path / "metrics.jsonl")) == 1


def test_the_records_failure_passes_on(tmp_path):
    sinks = open_sinks(tmp_path, print, tensorboard=False)
    sinks.write({"rl_score": 1.0}, 1, 1.0)
    with pytest.raises(UnknownMetricError):
        sinks.write({"score": 1.0}, 2, 1.0)
    sinks.close()
    with pytest.raises(SlipwayError, match="rows are missing"):
        open_sinks(tmp_path, print, keep_bytes=10_000)


def test_a_resumed_set_cuts_the_record_and_purges_the_events(tmp_path):
    sinks = open_sinks(tmp_path, print)
    sinks.write({"rl_score": 1.0}, 10, 1.0)
    kept = sinks.flush()
    sinks.write({"rl_score": 2.0}, 20, 2.0)
    sinks.close()
    extra = TensorBoardSink(tmp_path / "more")
    resumed = open_sinks(tmp_path, print, keep_bytes=kept, resume_step=10, others={"More": extra})
    resumed.write({"rl_score": 3.0}, 20, 2.0)
    resumed.close()
    assert [row["rl_score"] for row in jsonl.read(tmp_path / "metrics.jsonl")] == [1.0, 3.0]
    assert len(list((tmp_path / "events").iterdir())) == 2
    assert len(list((tmp_path / "more").iterdir())) == 1
