"""Sending behind the training's back."""

import dataclasses
import threading
import time

import pytest
from memory_objects import MemoryObjects
from stand_in_training import QUICK, StandIn, content

from trainer.errors import BadInput, SlipwayError
from trainer.run.status import State
from trainer.store import shared
from trainer.store.journal import Entry, Holder, Journal, Kind, Superseded
from trainer.store.mirror import Mirror
from trainer.store.objects.base import Unreachable
from trainer.store.objects.refused import Refused
from trainer.store.told import Told


class Gate:
    """Holds uploads until it is opened, or fails all calls while it is shut."""

    def __init__(self):
        self.open, self.waited = threading.Event(), threading.Event()
        self.open.set()
        self.failing, self.error = False, Unreachable("the store does not answer\n  more about it")

    def meddle(self, call):
        if self.failing:
            raise self.error
        if call.name == "upload" and not self.open.is_set():
            self.waited.set()
            assert self.open.wait(60)


def begun(tmp_path, pace=QUICK):
    gate, said, commits, left = Gate(), [], [], []
    objects = MemoryObjects(meddle=gate.meddle)
    training = StandIn(tmp_path / "a").begin()
    told = Told(said.append, lambda step, number: commits.append((step, number)), left.append)
    mirror = Mirror.create(objects, "run", tmp_path / "a", pace=pace, told=told)
    return gate, objects, training, mirror, (said, commits, left)


def test_the_training_never_waits_and_the_newest_snapshot_wins(tmp_path):
    gate, objects, training, mirror, (_, commits, _) = begun(tmp_path)
    gate.open.clear()
    began = time.monotonic()
    mirror.snapshot(training.train())
    assert gate.waited.wait(60)
    for _ in range(5):
        mirror.snapshot(training.train())
        mirror.check()
    assert time.monotonic() - began < 30
    assert commits == []
    staging = tmp_path / ".a-mirror"
    assert len([path for path in staging.iterdir() if path.is_dir()]) == 2  # the one under way, and the newest
    gate.open.set()
    assert mirror.wait(60)
    assert commits == [(1, 2), (6, 3)]
    mirror.close(State.PREEMPTED)
    shared.pull(objects, "run", tmp_path / "b")
    assert content(tmp_path / "b") == content(tmp_path / "a")


def test_what_a_person_can_mend_is_told_with_the_fix_while_it_is_tried_again(tmp_path):
    gate, _, training, mirror, (said, commits, _) = begun(tmp_path)
    gate.error = Refused(BadInput("store", "s3://runs", "credentials\n that are still good", "sign in again"))
    gate.failing = True
    mirror.snapshot(training.train())
    assert not mirror.wait(0.05)
    assert said == ["not committed: s3://runs needs credentials that are still good; sign in again; it is tried again"]
    gate.failing = False
    assert mirror.wait(60)
    assert commits == [(1, 2)]
    mirror.close(State.PREEMPTED)


def test_a_store_that_does_not_answer_is_tried_again_and_told_of_once(tmp_path):
    gate, _, training, mirror, (said, commits, _) = begun(tmp_path)
    gate.failing = True
    for _ in range(3):
        taken_at = time.time()
        mirror.snapshot(training.train())
        assert not mirror.wait(0.05)
        mirror.check()
    assert said == ["not committed: the store does not answer; it is tried again"]
    assert commits == []
    assert mirror.safe_at() is None
    came_back_at = time.time()
    gate.failing = False
    assert mirror.wait(60)
    assert commits == [(3, 2)]
    assert taken_at <= mirror.safe_at() <= came_back_at  # when it was taken, not when it came
    assert said[1:] == ["The store answers again: committed."]
    mirror.close(State.PREEMPTED)


def test_the_end_waits_and_says_how_much_is_left(tmp_path):
    gate, objects, training, mirror, (_, commits, left) = begun(tmp_path)
    training.train()
    gate.open.clear()
    timer = threading.Timer(1.5, gate.open.set)
    timer.start()
    mirror.close(State.PREEMPTED, step=1)
    timer.join()
    assert commits == [(1, 2)]
    assert left[0] == sum(len(data) for path, data in content(tmp_path / "a").items() if path != "run.yaml")
    assert Journal(objects, "run").newest()[1].state == "preempted"


@pytest.mark.parametrize("how", ["failing", "slow"])
def test_the_end_waits_no_longer_than_its_deadline(tmp_path, how):
    gate, objects, training, mirror, (_, commits, _) = begun(tmp_path)
    training.train()
    gate.failing = how == "failing"
    gate.open.clear()
    began = time.monotonic()
    with pytest.raises(SlipwayError, match="its end is not in memory://runs") as caught:
        mirror.close(State.PREEMPTED, step=1, deadline_seconds=0.3)
    assert 0.3 <= time.monotonic() - began < 20
    expected = "the store does not answer" if how == "failing" else "bytes were still to be sent"
    assert expected in str(caught.value)
    assert str(tmp_path / "a") in str(caught.value)
    before = len(objects.calls)
    gate.failing = False
    gate.open.set()
    time.sleep(0.1)
    assert commits == []
    assert len(objects.calls) == before  # nothing new was begun
    assert Journal(objects, "run").newest()[1].kind is Kind.TAKEN
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a"]


def test_the_end_cuts_a_long_pause_short(tmp_path):
    pace = type(QUICK)(QUICK.patience, QUICK.beat_seconds, first_pause_seconds=3600, kept_seconds=0)
    gate, _, training, mirror, (said, commits, _) = begun(tmp_path, pace)
    gate.failing = True
    mirror.snapshot(training.train())
    while not said:
        time.sleep(0.01)
    gate.failing = False
    mirror.close(State.PREEMPTED, deadline_seconds=30)
    assert commits == [(1, 2)]


def test_a_holder_that_lost_its_run_is_told_at_its_next_look_and_writes_nothing_more(tmp_path):
    _, objects, training, mirror, (_, commits, _) = begun(tmp_path)
    other = Holder("host-b", 12)
    Journal(objects, "run").append(1, Entry(Kind.TAKEN, other, 2, {}))
    mirror.check()
    mirror.snapshot(training.train())
    assert mirror.wait(60)
    before = len(objects.calls)
    for _ in range(2):
        with pytest.raises(Superseded, match="process 12 on host-b"):
            mirror.check()
    mirror.snapshot(training.train())
    with pytest.raises(Superseded):
        mirror.close(State.FAILED)
    assert commits == []
    assert len(objects.calls) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a"]


def test_a_holder_that_commits_nothing_finds_out_too_that_it_lost_its_run(tmp_path):
    _, objects, _, mirror, _ = begun(tmp_path, dataclasses.replace(QUICK, beat_seconds=0.01))
    Journal(objects, "run").append(1, Entry(Kind.TAKEN, Holder("host-b", 12), 2, {}))
    with pytest.raises(Superseded, match="process 12 on host-b"):
        eventually(mirror.check)
    with pytest.raises(Superseded):
        mirror.close(State.FAILED)
    assert Journal(objects, "run").last() == 2


def eventually(check):
    """Ask until it raises."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        check()


def test_who_takes_a_run_as_soon_as_it_is_released_is_no_trouble_to_its_holder(tmp_path):
    _, objects, _, mirror, _ = begun(tmp_path, dataclasses.replace(QUICK, beat_seconds=0.01))

    def meddle(call):
        if call.name == "create" and call.done:
            objects.meddle = lambda call: None
            journal = Journal(objects, "run")
            number, released = journal.newest()
            taken = Entry(Kind.TAKEN, Holder("host-b", 12), 3, released.files, before=released.holder.id)
            assert journal.append(number, taken) == 3
            assert lost.wait(60)

    lost = threading.Event()
    stop = mirror._uploader.stop
    mirror._heartbeat._lost = lambda error: (stop(error), lost.set())
    objects.meddle = meddle
    mirror.close(State.PREEMPTED)
    assert Journal(objects, "run").last() == 3


def test_a_mistake_in_a_listener_is_not_swallowed(tmp_path):
    objects = MemoryObjects()
    training = StandIn(tmp_path / "a").begin()

    def broken(step, number):
        raise ZeroDivisionError

    mirror = Mirror.create(objects, "run", tmp_path / "a", pace=QUICK, told=Told(committed=broken))
    mirror.snapshot(training.train())
    assert mirror.wait(60)
    with pytest.raises(ZeroDivisionError):
        mirror.check()
    mirror.abandon()


def test_a_local_disk_that_fails_is_no_end(tmp_path, monkeypatch):
    """Pieces of what grows are copied beside the run: a disk that is full for a while costs commits, not the run."""
    gate, _, training, mirror, (said, commits, _) = begun(tmp_path)
    gate.open.clear()
    mirror.snapshot(training.train())
    assert gate.waited.wait(60)
    staging = next(path for path in (tmp_path / ".a-mirror").iterdir() if path.is_dir())
    mirror.snapshot(training.train())
    newer = next(path for path in (tmp_path / ".a-mirror").iterdir() if path.is_dir() and path != staging)
    (newer / "pieces").write_text("in the way")
    gate.open.set()
    while not said:
        time.sleep(0.01)
    assert said[0].startswith("not committed:")
    (newer / "pieces").unlink()
    assert mirror.wait(60)
    assert commits == [(1, 2), (2, 3)]
    mirror.close(State.PREEMPTED)
