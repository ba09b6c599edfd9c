"""Who may write: asked of the journal and of heartbeats, never of a clock that two machines would have to share."""

import dataclasses
import threading

import pytest
from memory_objects import MemoryObjects

from trainer.errors import BadInput, ExitCode
from trainer.store import journal as journals
from trainer.store.journal import Entry, File, Holder, Journal, Kind
from trainer.store.lease import Heartbeat, Patience, heartbeat_key, take
from trainer.store.objects.base import Unreachable

FILES = {"empty": File(0, "a" * 64, ())}
HOLDER = Holder("host-a", 12)


class Clock:
    """Seconds that pass only while somebody sleeps; `wake` is called with the time after each sleep."""

    def __init__(self, start=0.0, wake=lambda seconds: None):
        self.start = self.now = start
        self.wake = wake

    def sleep(self, seconds):
        self.now += seconds
        self.wake(self.now - self.start)

    def patience(self):
        return Patience(clock=lambda: self.now, sleep=self.sleep)


def held(kind=Kind.TAKEN, **changes):
    """A run that a holder has taken, with its first heartbeat."""
    objects = MemoryObjects()
    journal = Journal(objects, "run")
    journal.append(0, Entry(kind, HOLDER, 1, FILES, 7, **changes))
    objects.data[heartbeat_key("run", 1)] = b"1"
    return objects, journal


def commit(journal, number, kind=Kind.COMMIT, holder=HOLDER):
    journal.append(number, Entry(kind, holder, 1, FILES, 8))


def test_a_released_run_is_taken_at_once():
    _, journal = held(Kind.RELEASED, state="preempted")
    clock, me = Clock(), Holder()
    taken = take(journal, me, patience=clock.patience())
    assert clock.now == 0
    assert journal.newest() == (2, taken)
    assert (taken.kind, taken.holder, taken.taken, taken.files, taken.step) == (Kind.TAKEN, me, 2, FILES, 7)


@pytest.mark.parametrize("beat", [b"1", None])
def test_a_dead_holder_is_waited_for_once(beat):
    objects, journal = held()
    if beat is None:
        objects.data.pop(heartbeat_key("run", 1))
    clock, said = Clock(), []
    take(journal, Holder(), patience=clock.patience(), say=said.append)
    assert 45 <= clock.now <= 48
    assert len(said) == 1
    assert "process 12 on host-a has not said that it stopped; waiting 45 s" in said[0]


@pytest.mark.parametrize("at", [1, 44])
def test_a_holder_that_lives_keeps_its_run(at):
    objects, journal = held()
    clock = Clock(wake=lambda now: now >= at and objects.data.__setitem__(heartbeat_key("run", 1), b"2"))
    with pytest.raises(BadInput, match="process 12 on host-a does, and was alive just now") as caught:
        take(journal, Holder(), patience=clock.patience())
    assert caught.value.exit_code == ExitCode.BAD_INPUT
    assert clock.now <= at + 2
    assert journal.last() == 1


def test_a_holder_that_commits_keeps_its_run():
    _, journal = held()
    clock = Clock(wake=lambda now: now == 10 and commit(journal, 1))
    with pytest.raises(BadInput, match="host-a"):
        take(journal, Holder(), patience=clock.patience())
    assert journal.last() == 2


def test_a_holder_that_lets_go_meanwhile_is_followed_at_once():
    _, journal = held()
    clock = Clock(wake=lambda now: now == 10 and commit(journal, 1, Kind.RELEASED))
    assert take(journal, Holder(), patience=clock.patience()).taken == 3
    assert clock.now == 10


def test_another_that_was_faster_is_named():
    _, journal = held()
    clock = Clock(wake=lambda now: now == 10 and commit(journal, 1, Kind.TAKEN, Holder("host-b", 7)))
    with pytest.raises(BadInput, match="process 7 on host-b"):
        take(journal, Holder(), patience=clock.patience())


@pytest.mark.parametrize("take_over", [False, True])
def test_a_race_for_a_free_run_has_one_winner(take_over):
    objects, journal = held(Kind.RELEASED)

    def meddle(call):
        if call.name == "create" and not call.done and journal.last() == 1:
            commit(journal, 1, Kind.TAKEN, Holder("host-b", 7))

    with pytest.raises(BadInput, match="process 7 on host-b"):
        take(Journal(objects.client(meddle), "run"), Holder(), take_over=take_over, patience=Clock().patience())
    assert journal.last() == 2


def test_pushing_a_holder_aside_does_not_wait_and_goes_on_though_it_commits():
    objects, journal = held()

    def meddle(call):
        if call.name == "create" and not call.done and journal.last() < 4:
            commit(journal, journal.last())

    clock, me = Clock(), Holder()
    taken = take(Journal(objects.client(meddle), "run"), me, take_over=True, patience=clock.patience())
    assert clock.now == 0
    assert taken.taken == 5
    assert journal.newest() == (5, taken)


def test_a_watcher_that_was_paused_looks_once_more():
    """It sleeps for an hour after a look, in which the holder's heart beat: that counts, not the hour."""
    objects, _journal = held()
    clock = Clock()

    def meddle(call):
        if call.name == "read" and call.done and call.key == heartbeat_key("run", 1) and clock.now == 2:
            clock.now += 3600
            objects.data[heartbeat_key("run", 1)] = b"2"

    with pytest.raises(BadInput, match="host-a"):
        take(Journal(objects.client(meddle), "run"), Holder(), patience=clock.patience())


def test_a_store_that_does_not_answer_says_nothing_about_the_holder():
    objects, journal = held()

    def meddle(call):
        if call.name == "read" and call.number > 8:
            raise Unreachable("no answer")

    with pytest.raises(Unreachable):
        take(Journal(objects.client(meddle), "run"), Holder(), patience=Clock().patience())
    assert journal.last() == 1


def test_there_is_no_such_run():
    with pytest.raises(BadInput, match="a run in memory://runs"):
        take(Journal(MemoryObjects(), "run"), Holder())


@pytest.mark.parametrize("times", [("1970-01-01T00:00:00+00:00", "2100-01-01T00:00:00+00:00")] * 2)
@pytest.mark.parametrize("start", [-1e9, 0.0, 1e9])
def test_clocks_that_are_wrong_change_nothing(times, start, monkeypatch):
    """The wall clocks of the two machines are a century apart, either way; their own clocks began anywhere."""
    for mine, its in (times, times[::-1]):
        _, journal = held(time=its)
        monkeypatch.setattr(journals, "now", lambda mine=mine: mine)
        clock = Clock(start)
        take(journal, Holder(), patience=clock.patience())
        assert 45 <= clock.now - start <= 48
        commit(journal, 2)
        assert journal.last() == 3


def never(error):
    raise AssertionError(error)


def test_a_heart_beats_until_it_is_stopped():
    objects, journal = held()
    heartbeat = Heartbeat(journal, journal.read(1), never, seconds=0.01)
    seen = set()
    while len(seen) < 3:
        seen.add(objects.data[heartbeat_key("run", 1)])
    heartbeat.stop()
    heartbeat._thread.join(5)
    assert not heartbeat._thread.is_alive()


def test_a_heart_goes_on_though_the_store_fails_now_and_then():
    objects, journal = held()

    def meddle(call):
        if call.number in (0, 1, 3, 5):  # beats and looks
            raise Unreachable("no answer")

    heartbeat = Heartbeat(Journal(objects.client(meddle), "run"), journal.read(1), never, seconds=0.01)
    while objects.data[heartbeat_key("run", 1)] != b'{"beats": 4}':
        pass
    heartbeat.stop()


def test_a_heart_finds_out_that_the_run_was_taken_and_beats_no_more():
    _, journal = held()
    said, done = [], threading.Event()
    heartbeat = Heartbeat(journal, journal.read(1), lambda error: (said.append(error), done.set()), seconds=0.01)
    journal.append(1, Entry(Kind.COMMIT, HOLDER, 1, FILES, 8))  # its own
    journal.append(2, Entry(Kind.TAKEN, Holder("host-b", 7), 3, FILES, 8))
    assert done.wait(60)
    heartbeat._thread.join(60)
    assert not heartbeat._thread.is_alive()
    assert [str(error).splitlines()[0].split(",")[0] for error in said] == [
        "RUN: run: process 7 on host-b took the run over"
    ]


def test_patience_is_what_the_decision_says():
    assert dataclasses.asdict(Patience())["dead_after_seconds"] == 45
