"""Lines, and what a run writes of them."""

import io
import json
import math
import threading
from types import SimpleNamespace

import pytest

from trainer.config.sinks import Logs
from trainer.errors import BadInput
from trainer.logs import lines, outlets
from trainer.logs.lines import Line, Run, Severity
from trainer.logs.log import Log, StreamOutlet
from trainer.logs.progress import LogProgress
from trainer.progress import NullProgress, PlainProgress
from trainer.run.status import State, Status

RUN = Run("lost-sales-1", "slipway/LostSales-v0", "ppo")
SCORE = SimpleNamespace(name="cost", unit="cost per period", sign=-1)
ROW = {"rl_env_steps_per_second": 50_000.0, "rl_score": 4.8123}


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def stream():
    return io.StringIO()


@pytest.fixture
def log(stream):
    return Log(RUN, [StreamOutlet(stream)], clock=lambda: 1_700_000_000.25)


def written(stream):
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_one_object_with_the_keys_that_agents_know(log, stream):
    log.write(Severity.NOTICE, 'a "word"\nand another', 16384, {"rl_score": 4.5, "rl_value_loss": math.nan, "n": 1})
    assert stream.getvalue().count("\n") == 1
    assert written(stream) == [
        {
            "time": "2023-11-14T22:13:20.250Z",
            "severity": "NOTICE",
            "run_id": "lost-sales-1",
            "env_id": "slipway/LostSales-v0",
            "algorithm": "ppo",
            "step": 16384,
            "message": 'a "word"\nand another',
            "fields": {"rl_score": 4.5, "rl_value_loss": None, "n": 1},
        }
    ]
    assert list(written(stream)[0])[:2] == ["time", "severity"]


def test_severities_are_cloud_loggings():
    from google.logging.type.log_severity_pb2 import LogSeverity

    assert {str(severity) for severity in Severity} <= set(LogSeverity.keys())


def test_a_long_message_is_cut():
    line = Line(RUN, 0.0, Severity.INFO, "ü" * 10**6, 0)
    assert len(line.encode().encode()) < 2 * lines.LONGEST_MESSAGE + 500


def test_a_stream_that_is_closed_does_no_harm(stream):
    closed = io.StringIO()
    log = Log(RUN, [StreamOutlet(closed), StreamOutlet(stream)])
    closed.close()
    log.write(Severity.INFO, "only one hears", 1)
    log.close()
    assert [line["message"] for line in written(stream)] == ["only one hears"]


def test_a_machine_may_want_every_run_s_lines_on_standard_output(monkeypatch):
    assert outlets.open_outlets(Logs(), "run", print) == []
    monkeypatch.setenv(outlets.OF_MACHINE, "stdout")
    (outlet,) = outlets.open_outlets(Logs(), "run", print)
    assert isinstance(outlet, StreamOutlet)
    monkeypatch.setenv(outlets.OF_MACHINE, "printer")
    with pytest.raises(BadInput, match="SLIPWAY_LOGS: 'printer' is not allowed"):
        outlets.check(Logs())


def test_the_log_says_what_people_see(log, stream):
    shown, clock = io.StringIO(), Clock()
    progress = LogProgress(PlainProgress(shown, clock=clock), log, 60.0, clock)
    progress.start(1_000_000, 0, "lost-sales", SCORE, None)
    progress.phase("training")
    progress.phase("training")
    for second in range(1, 151):
        clock.now = 100.0 + second
        progress.update(second * 1000, ROW)
    progress.message("newest checkpoint is damaged")
    progress.phase("evaluating")
    progress.stop()
    progress.stop()
    found = written(stream)
    assert [(line["severity"], line["step"]) for line in found] == [
        ("INFO", 0),
        ("INFO", 60_000),
        ("INFO", 120_000),
        ("NOTICE", 150_000),
        ("INFO", 150_000),
        ("INFO", 150_000),
    ]
    assert found[0]["message"] == "training"
    assert found[1]["message"] in shown.getvalue()  # word for word
    assert found[1]["fields"] == ROW
    assert found[3]["message"] == "newest checkpoint is damaged"
    assert found[5]["fields"] == {"phase": "evaluating"}
    assert "newest checkpoint is damaged" in shown.getvalue()


def test_a_silent_display_has_a_log_all_the_same(log, stream):
    progress = LogProgress(NullProgress(), log, 60.0)
    progress.message("said")
    assert written(stream)[0]["message"] == "said"


def test_states_and_checkpoints_are_said(log, stream):
    status = Status("lost-sales-1").moved(State.RUNNING)
    log.status(status)
    status = status.moved(State.RUNNING, env_steps=4096, last_checkpoint_step=4096, iteration=2)
    log.status(status)
    log.status(status.moved(State.FAILED, message="value_loss stopped being finite"))
    log.status(status.moved(State.PREEMPTED, message="stopped by SIGTERM"))
    log.status(status.moved(State.FINISHED))
    assert [(line["severity"], line["message"], line["step"]) for line in written(stream)] == [
        ("NOTICE", "run lost-sales-1 is running", 0),
        ("INFO", "checkpoint at environment step 4096", 4096),
        ("ERROR", "run lost-sales-1 is failed: value_loss stopped being finite", 4096),
        ("WARNING", "run lost-sales-1 is preempted: stopped by SIGTERM", 4096),
        ("NOTICE", "run lost-sales-1 is finished", 4096),
    ]
    assert written(stream)[1]["fields"]["last_checkpoint_step"] == 4096


def test_threads_do_not_mix_their_lines(log, stream):
    def write(name):
        for number in range(200):
            log.write(Severity.INFO, name * 50, number)

    threads = [threading.Thread(target=write, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted({line["message"][0] for line in written(stream)}) == list("abcd")
    assert len(written(stream)) == 800
