"""Lines of runs as they come."""

import json
import threading

import pytest

from trainer.cli import application
from trainer.config import load
from trainer.logs import following
from trainer.logs.lines import Run, Severity
from trainer.logs.log import FileOutlet, Log
from trainer.run import files
from trainer.run.directory import RunDirectory
from trainer.store import resolve


class Files:
    """The files of a group of two, which change while somebody waits."""

    def __init__(self, *later):
        self.held, self.later, self.waits = {}, list(later), []
        for path in ("a/", "b/"):
            self.be(path, "running")

    def be(self, path, state, *messages):
        self.held[f"{path}status.json"] = json.dumps({"state": state}).encode()
        said = [{"time": f"{at:02d}", "severity": "INFO", "message": text} for at, text in messages]
        self.held[f"{path}log.jsonl"] = "".join(json.dumps(line) + "\n" for line in said).encode()

    def sleep(self, seconds):
        self.waits.append(seconds)
        for change in self.later.pop(0):
            self.be(*change)

    def follow(self, **keywords):
        found = following.follow(
            lambda path: self.held.get(path, b""), ["a/", "b/"], Severity.INFO, 7, sleep=self.sleep, **keywords
        )
        return [line["message"] for line in found]


def test_each_line_comes_once_by_its_time_until_all_runs_are_over():
    one, two, three = (1, "one"), (2, "two"), (3, "three")
    said = Files(
        [("a/", "running", one), ("b/", "running", two)],
        [("a/", "finished", one, three), ("b/", "running", two)],
        [("b/", "failed", two, (4, "four"))],
    )
    assert said.follow() == ["one", "two", "three", "four"]
    assert said.waits == [7, 7, 7]


def test_a_run_that_is_preempted_is_waited_for_and_may_have_lost_its_last_lines():
    one, lost, again = (1, "one"), (2, "lost"), (3, "again")
    said = Files(
        [("a/", "finished"), ("b/", "running", one, lost)],
        [("b/", "preempted", one, lost)],
        [("b/", "running", one)],
        [("b/", "finished", one, again)],
    )
    assert said.follow() == ["one", "lost", "again"]


def test_known_lines_are_left_out_and_files_that_make_no_sense_are_waited_for():
    said = Files([("a/", "finished", (1, "one")), ("b/", "finished", (2, "two"))])
    said.held["a/status.json"] = b"[]"
    assert said.follow(known=[{"time": "01", "severity": "INFO", "message": "one"}]) == ["two"]


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(following, "LOCAL_SECONDS", 0.01)
    return RunDirectory.create(resolve("runs"), "one", load.validate({"env": {"id": "slipway/CartPole-v1"}}))


def test_the_command_ends_when_the_run_is_over(run, capsys):
    log = Log(Run("one", "slipway/CartPole-v1", "ppo"), [FileOutlet(run.log)])
    for step in range(3):
        log.write(Severity.INFO, f"at {step}", step)
    log.close()
    codes = []
    arguments = ["runs", "logs", "one", "--follow", "--lines", "2", "--json"]
    command = threading.Thread(target=lambda: codes.append(application.run(arguments)))
    command.start()
    command.join(1)
    assert command.is_alive()
    log = Log(Run("one", "slipway/CartPole-v1", "ppo"), [FileOutlet(run.log)])
    log.write(Severity.NOTICE, "the end", 3)
    log.close()
    status = files.read_json(run.status_path)
    files.write_json(run.status_path, {**status, "state": "finished"})
    command.join(60)
    assert codes == [0]
    lines = [json.loads(text) for text in capsys.readouterr().out.splitlines()]
    assert [line["message"] for line in lines] == ["at 1", "at 2", "the end"]
