"""What the monitor has collected is found by run, host, level and time, whatever lies in its folder."""

import gzip
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from infra.onprem import search
from infra.onprem.search import Query
from trainer.errors import BadInput, SlipwayError
from trainer.logs import reading
from trainer.logs.lines import Line, Run, Severity

SCRIPT = Path(__file__).parents[3] / "ansible/roles/logs/files/search.py"
NOW = 1_800_000_000.0


def line(run_id, seconds, message, severity=Severity.INFO):
    """A line as the trainer writes it."""
    return Line(Run(run_id, "slipway/CartPole-v1", "ppo"), NOW + seconds, severity, message, 7).encode() + "\n"


@pytest.fixture
def folder(tmp_path):
    """What a monitor might have of two hosts, and some things that nobody should put there."""
    one, two = tmp_path / "gpu-1", tmp_path / "gpu-2"
    one.mkdir()
    two.mkdir()
    (one / "a.jsonl").write_text(line("a", 30, "third") + line("a", 20, "second", Severity.WARNING))
    (one / "a.jsonl-20270115-1800000010").write_text(line("a", 10, "first") + line("a", 20, "second", Severity.WARNING))
    with gzip.open(one / "a.jsonl-20270114-1799990000.gz", "wt") as file:
        file.write(line("a", -9000, "long ago", Severity.ERROR))
    (two / "both.jsonl").write_text(line("both/seed-0", 25, "of one") + line("both/seed-1", 26, "of the other"))
    unit = {"time": "2027-01-15T08:00:15.250000+00:00", "severity": "ERROR", "message": "Traceback\nline 2"}
    (two / "slipway-worker@0.service.jsonl").write_text(json.dumps(unit) + "\n")
    for file in tmp_path.rglob("*"):
        os.utime(file, (NOW + 60, NOW + 60))
    (two / "linked.jsonl").symlink_to("/etc/passwd")
    (tmp_path / "gpu-3").symlink_to("/etc")
    (two / "notes.txt").write_text("no log\n")
    return tmp_path


@pytest.fixture
def fetch(folder):
    def run(variables):
        query = json.dumps(variables[search.VARIABLE])
        command = [sys.executable, "-I", SCRIPT, folder, query]
        return subprocess.run(command, check=True, capture_output=True, text=True, env={"LC_ALL": "C"}).stdout

    return run


def messages(found):
    return [line["message"] for line in found.lines]


def test_lines_come_by_time_from_all_files_each_once(fetch):
    found = search.search(fetch, Query())
    assert messages(found) == [
        "long ago", "first", "Traceback\nline 2", "second", "of one", "of the other", "third",
    ]  # fmt: skip
    assert (found.found, found.hosts, found.runs) == (7, ["gpu-1", "gpu-2"], ["a", "both"])
    assert search.words(found.lines[1]) == "2027-01-15T08:00:10.000Z INFO    gpu-1 a: first"
    shown = "2027-01-15T08:00:15.250000+00:00 ERROR   gpu-2 slipway-worker@0.service: Traceback\n    line 2"
    assert search.words(found.lines[2]) == shown


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"run": "a"}, ["long ago", "first", "second", "third"]),
        ({"run": "a", "since": NOW + 15}, ["second", "third"]),
        ({"run": "a", "level": Severity.WARNING}, ["long ago", "second"]),
        ({"run": "both"}, ["of one", "of the other"]),
        ({"run": "both/seed-1"}, ["of the other"]),
        ({"host": "gpu-2", "level": Severity.ERROR}, ["Traceback\nline 2"]),
        ({"run": "a", "most": 2}, ["second", "third"]),
        ({"run": "a", "since": NOW + 1000}, []),
    ],
)
def test_what_is_asked_for_is_found_and_nothing_else(fetch, query, said):
    assert messages(search.search(fetch, Query(**query))) == said


def test_too_many_lines_are_counted(fetch):
    found = search.search(fetch, Query(most=3))
    assert (len(found.lines), found.found) == (3, 7)


@pytest.mark.parametrize("run", ["../etc", "a/../../b", "a; id", "", "x" * 101, "a/seed-0/b", "a\n"])
def test_what_is_no_run_s_id_is_refused(run):
    with pytest.raises(BadInput, match="--run"):
        Query(run=run)


def test_a_run_or_a_host_that_nobody_heard_of_is_refused_with_those_that_are_known(fetch):
    with pytest.raises(BadInput, match="one that the monitor has lines of: a, both"):
        search.search(fetch, Query(run="c"))
    with pytest.raises(BadInput, match="--host: 'gpu-9' is not allowed"):
        search.search(fetch, Query(host="gpu-9"))


def test_a_run_that_is_known_is_known_among_many(fetch, folder):
    for number in range(200):
        (folder / f"gpu-2/m{number:03}.jsonl").write_text(line(f"m{number:03}", 5, "old"))
    assert search.search(fetch, Query(run="m150", level=Severity.ERROR)).lines == []
    assert search.search(fetch, Query(run="m150/seed-0", host="gpu-1")).lines == []
    with pytest.raises(BadInput, match="--run: 'm200' is not allowed"):
        search.search(fetch, Query(run="m200"))


def test_following_shows_each_line_once_and_late_ones_too(fetch, folder, monkeypatch):
    monkeypatch.setattr(time, "time", lambda: NOW + 60)
    looks = iter([line("a", 40, "fourth"), line("a", 35, "late")])

    def sleep(seconds):
        assert seconds == search.FOLLOW_SECONDS
        with (folder / "gpu-1/a.jsonl").open("a") as file:
            file.write(next(looks))
        os.utime(folder / "gpu-1/a.jsonl", (NOW + 60, NOW + 60))

    said = search.follow(fetch, Query(run="a", since=NOW + 25), trouble=pytest.fail, sleep=sleep)
    assert [next(said)["message"] for _ in range(3)] == ["third", "fourth", "late"]


def test_following_shows_what_waited_on_a_host_while_the_monitor_was_away(fetch, folder, monkeypatch):
    now = NOW + 60
    monkeypatch.setattr(time, "time", lambda: now)
    looks = []

    def away_for_long(variables):
        nonlocal now
        looks.append(variables)
        if len(looks) == 2:
            now += 7200
            raise SlipwayError("away")
        return fetch(variables)

    def say(text):
        with (folder / "gpu-1/a.jsonl").open("a") as file:
            file.write(text)
        os.utime(folder / "gpu-1/a.jsonl", (now, now))

    def sleep(_):
        if len(looks) == 2:
            say(line("a", 7200, "the monitor is back"))
        if len(looks) == 2 + 60 // search.FOLLOW_SECONDS:  # rsyslog.conf.j2: action.resumeIntervalMax
            say(line("a", 3000, "meanwhile"))
        if len(looks) == 40:
            say(line("a", 3000, "out of the blue") + line("a", 7250, "last"))

    said = search.follow(away_for_long, Query(run="a", since=NOW + 25), trouble=lambda _: None, sleep=sleep)
    assert [next(said)["message"] for _ in range(4)] == ["third", "the monitor is back", "meanwhile", "last"]


HOSTILE = [
    b"\x00\xff\xfe binary\n",
    b'{"message": 5}\n',
    b"[" * 100_000 + b"\n",
    b'{"time": "never", "severity": "ALARM", "run_id": {"a": 1}, "message": "lies"}\n',
    b'{"time": "9999-12-31T23:59:59+00:00", "severity": "INFO", "run_id": "h", "message": "future", "x": NaN}\n',
    b'{"time": "0001-01-01T00:00:00+14:00", "severity": "INFO", "run_id": "h", "message": "past"}\n',
    b'{"message": "\\ud800 \\u001b[2J \\u202e"}\n',
    b'{"message": "' + b"x" * 1_000_000 + b'"}\n',
    b'{"message": "torn',
]


def test_hostile_lines_garble_nothing(fetch, folder):
    (folder / "gpu-1/h.jsonl").write_bytes(b"".join(HOSTILE))
    (folder / "gpu-1/h.jsonl-1.gz").write_bytes(gzip.compress(line("h", 1, "whole").encode())[:-9])
    (folder / "gpu-1/h.jsonl-2.gz").write_bytes(b"no archive")
    found = search.search(fetch, Query(run="h"))
    assert len(found.lines) == len(HOSTILE)
    for said in found.lines:
        shown = search.words(said)
        assert all(part.isprintable() for part in shown.split("\n")), shown
        assert len(shown) < 100_000
        shown.encode()
    assert [said["severity"] for said in found.lines] == ["INFO"] * len(HOSTILE)


def test_an_answer_that_is_none_is_said():
    for text in ("", "[]", "oops", '{"summary": 5}', '{"time": 1}'):
        with pytest.raises(SlipwayError, match="the monitor's answer is none"):
            search.search(lambda _, text=text: text, Query())


def test_a_terminal_is_not_steered():
    steering = "\x1b]0;title\x07\x9b2J\u202eback\r\n2027 ERROR fake"
    assert reading.plain(steering) == "\\x1b]0;title\\x07\\x9b2J\\u202eback\n    2027 ERROR fake"
