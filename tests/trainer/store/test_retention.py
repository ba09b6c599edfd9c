"""What is removed from the store, and when."""

from memory_objects import MemoryObjects
from stand_in_training import StandIn

from trainer.store import snapshot
from trainer.store.journal import Entry, Holder, Journal, Kind
from trainer.store.lease import heartbeat_key
from trainer.store.objects.base import Unreachable
from trainer.store.writer import Writer, made_by


class Held:
    """A run in memory whose holder commits when it is told to, by a clock that is set."""

    def __init__(self, tmp_path, **keywords):
        self.tmp_path, self.now = tmp_path, 0.0
        self.objects = MemoryObjects()
        self.journal = Journal(self.objects, "run")
        self.training = StandIn(tmp_path / "a").begin()
        self.writer = Writer(self.journal, Entry(Kind.TAKEN, Holder(), 1, {}), clock=lambda: self.now, **keywords)
        self.send(self.writer.begin)

    def send(self, step):
        taken = snapshot.keep(self.tmp_path / "a", self.tmp_path / "staging", 1)
        step(taken)
        taken.discard()

    def commit(self):
        self.training.train()
        self.send(self.writer.commit)
        self.writer.sweep()

    def keys(self, folder):
        return {key.removeprefix("run/") for key in self.objects.data if key.startswith(f"run/{folder}/")}

    def named(self):
        return set().union(*(self.journal.read(number).object_keys() for number in self.journal.numbers()))


def test_three_entries_are_kept_and_what_they_name(tmp_path):
    held = Held(tmp_path, kept_seconds=0)
    for _ in range(8):
        held.commit()
        assert held.keys("objects") == held.named()
    assert held.journal.numbers() == [7, 8, 9]


def test_an_entry_is_kept_for_a_minute_after_the_one_that_followed_it(tmp_path):
    held = Held(tmp_path)
    for _ in range(8):
        held.now += 10
        held.commit()
    # Entry 3 was followed at 30 s, and it is 80 s now; entry 2 at 20 s, which is a minute ago.
    assert held.journal.numbers() == [3, 4, 5, 6, 7, 8, 9]
    assert held.keys("objects") == held.named()
    held.now += 1000
    held.commit()
    assert held.journal.numbers() == [8, 9, 10]


def test_what_dead_holders_left_goes_but_what_later_holders_make_stays(tmp_path):
    held = Held(tmp_path, kept_seconds=0)
    sha = "0" * 64
    left = f"run/objects/000000000001/{sha}/left"
    later = f"run/objects/000000000002/{sha}/later"
    foreign = "run/objects/notes.txt"
    for key in (left, later, foreign, heartbeat_key("run", 0), heartbeat_key("run", 1)):
        held.objects.data[key] = b"x"
    held.commit()
    assert left not in held.objects.data
    assert heartbeat_key("run", 0) not in held.objects.data
    assert {later, foreign, heartbeat_key("run", 1)} < set(held.objects.data)
    assert made_by("objects/notes.txt") == float("inf")


def test_an_object_whose_removal_is_in_doubt_is_not_counted_on(tmp_path):
    """A removal that was asked for without an answer may still happen: the same content gets another key."""
    held = Held(tmp_path, kept_seconds=0)
    path = held.tmp_path / "a" / "evaluation.json"
    path.write_text("recurring")
    held.commit()
    key = held.journal.newest()[1].files["evaluation.json"].pieces[0].key
    path.unlink()
    for _ in range(2):
        held.commit()

    def meddle(call):
        if call.name == "delete" and call.key == f"run/{key}":
            raise Unreachable("no answer")

    held.objects.meddle = meddle
    held.commit()
    assert f"run/{key}" in held.objects.data
    held.objects.meddle = lambda call: None
    path.write_text("recurring")
    held.commit()
    held.objects.data.pop(f"run/{key}", None)  # now it happens
    assert held.keys("objects") >= held.named()
    assert held.journal.newest()[1].files["evaluation.json"].pieces[0].key == f"{key}+"
    for _ in range(3):
        held.commit()
    assert held.keys("objects") == held.named()


def test_a_run_that_was_removed_by_hand_is_not_swept(tmp_path):
    held = Held(tmp_path, kept_seconds=0)
    held.objects.data.clear()
    held.writer.sweep()
    assert held.objects.data == {}
