"""Lines that a run wrote are read again, whatever a crash left behind them."""

import json

import pytest

from trainer.cli import application
from trainer.config import load
from trainer.logs import reading
from trainer.logs.lines import Run, Severity
from trainer.logs.log import FileOutlet, Log
from trainer.run import group
from trainer.run.directory import RunDirectory
from trainer.store import resolve

SAID = [(Severity.INFO, "training"), (Severity.WARNING, "a notice"), (Severity.ERROR, "disk full")]


def write(path, said=SAID, run_id="run"):
    log = Log(Run(run_id, "slipway/CartPole-v1", "ppo"), [FileOutlet(path)])
    for number, (severity, message) in enumerate(said):
        log.write(severity, message, number)
    log.close()


def test_what_was_written_is_read_and_a_second_process_appends(tmp_path):
    write(tmp_path / "log.jsonl")
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"time": "torn')
    write(tmp_path / "other.jsonl", SAID[:1])
    data = (tmp_path / "log.jsonl").read_bytes() + b"\n[]\n" + (tmp_path / "other.jsonl").read_bytes()
    assert [line["message"] for line in reading.parse(data, Severity.INFO)] == [*dict(SAID).values(), "training"]
    assert [line["message"] for line in reading.parse(data, Severity.WARNING)] == ["a notice", "disk full"]


def test_a_file_that_cannot_be_written_stops_nothing(tmp_path):
    write(tmp_path / "no folder" / "log.jsonl")
    assert not list(tmp_path.iterdir())


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """A store with a run and a group, each with what it said."""
    monkeypatch.chdir(tmp_path)
    store, run_file = resolve("runs"), load.validate({"env": {"id": "slipway/CartPole-v1"}})
    write(RunDirectory.create(store, "one", run_file).log, run_id="one")
    for member in group.members(group.create(store, "both", group.with_seeds(run_file, 2))):
        write(member.log, run_id=member.run_id)


def test_the_command_shows_lines_by_their_time(runs, capsys):
    assert application.run(["runs", "logs", "one"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" ", 1)[1] for line in lines] == [
        "INFO    one: training", "WARNING one: a notice", "ERROR   one: disk full",
    ]  # fmt: skip
    assert application.run(["runs", "logs", "both", "--level", "error", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert {line["run_id"] for line in said} == {"both/seed-0", "both/seed-1"}
    assert {line["message"] for line in said} == {"disk full"}
    assert application.run(["runs", "logs", "both", "--lines", "2"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_bad_input(runs, capsys):
    assert application.run(["runs", "logs", "one", "--level", "loud"]) == 2
    assert "--level: 'loud' is not allowed" in capsys.readouterr().err
    assert application.run(["runs", "logs", "oen"]) == 2
    assert "write one" in capsys.readouterr().err
