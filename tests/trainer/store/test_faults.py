"""Whatever dies, sleeps or fails at any call: a run in the store is what was committed last, and never a mix."""

import os
import random
import threading
import time

import pytest
from memory_objects import Killed, MemoryObjects
from stand_in_training import QUICK, StandIn, content, continued

from trainer.errors import BadInput, SlipwayError
from trainer.run.status import State
from trainer.store.journal import Journal, Superseded
from trainer.store.mirror import Mirror
from trainer.store.objects.base import Unreachable
from trainer.store.shared import pull
from trainer.store.told import Told
from trainer.store.verify import verify

pytestmark = pytest.mark.slow
STEPS = 3


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch):
    """What is killed here is a thread, not the machine: bringing files to the disk takes time and shows nothing."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


class Life:
    """A process that begins a run, trains and finishes it; what it was told, and what the run was at each step.

    Args:
        objects: its view of the store.
        folder: where it works.
    """

    def __init__(self, objects, folder):
        self.objects, self.folder = objects, folder
        self.states, self.commits = [], []
        """What the run was, by snapshot; and how many snapshots there were at each commit that was reported."""
        self.error, self.mirror = None, None

    def heard(self, step, number):
        known = next((count for count, known in enumerate(self.steps) if known == step), None)
        self.commits.append((known, number))

    steps = (None, *range(1, STEPS + 1), "end")

    def live(self):
        try:
            self._live()
        except (Killed, SlipwayError) as error:
            self.error = error
            if self.mirror is not None:
                self.mirror.abandon()
        return self

    def _live(self):
        training = StandIn(self.folder).begin()
        self.states.append(content(self.folder))
        told = Told(committed=self.heard)
        self.mirror = Mirror.create(self.objects, "run", self.folder, pace=QUICK, told=told)
        self.commits.append((0, 1))
        for _ in range(STEPS):
            self.mirror.check()
            step = training.train()
            self.states.append(content(self.folder))
            self.mirror.snapshot(step)
            assert self.mirror.wait(20)
        self.mirror.check()
        training.finish()
        self.states.append(content(self.folder))
        self.mirror.close(State.FINISHED, step="end")


def calls_of_a_life(tmp_path):
    """The calls of one that meets no fault."""
    objects = MemoryObjects()
    life = Life(objects, tmp_path / "counted").live()
    assert life.error is None
    assert len(life.states) == len(life.steps)
    return objects.calls


def assert_whole_and_not_older(objects, folder, states, oldest):
    """The run restored from the store is one of the states from `oldest` on; which one."""
    pull(objects, "run", folder)
    found = content(folder)
    assert found in states[oldest:], f"older than {oldest}, or a mix: {sorted(found)}"
    return found


def dying(at, done):
    """A process that dies before or after the effect of its call of that number, and makes none after it."""
    dead = threading.Event()

    def meddle(call):
        if call.number == at and call.done == done:
            dead.set()
        if dead.is_set():
            raise Killed

    return meddle


@pytest.mark.parametrize("done", [False, True])
def test_a_process_may_die_at_any_call(tmp_path, done):
    count = len(calls_of_a_life(tmp_path))
    assert count > 50
    begun = 0
    for at in range(count):
        folder = tmp_path / str(at)
        objects = MemoryObjects()
        life = Life(objects.client(dying(at, done)), folder / "a").live()
        if Journal(objects, "run").last() is None:
            assert not life.commits
            assert at < 20
            Life(objects, folder / "again").live()  # the id is free
            assert verify(objects, "run").whole
            continue
        begun += 1
        oldest = life.commits[-1][0] if life.commits else 0
        found = assert_whole_and_not_older(objects, folder / "found", life.states, oldest)
        mirror, states = continued(objects, folder / "b", commits=1)
        assert states[0] == found
        mirror.close(State.PREEMPTED)
        after = verify(objects, "run")
        assert after.whole, after
        assert not after.orphaned, "the next holder removes what the dead one left"
        assert_whole_and_not_older(objects, folder / "after", states, 1)
    assert begun > 40


@pytest.mark.parametrize(("done", "commits"), [(False, 1), (False, 4), (True, 4)])
def test_a_process_may_sleep_at_any_call_while_another_takes_its_run(tmp_path, done, commits):
    """After one commit of the other's, the number that the sleeper wants is taken; after four, it is free again."""
    calls = calls_of_a_life(tmp_path)
    first = next(call.number for call in calls if call.name == "create") + 1
    lost = 0
    for at in range(first, len(calls)):
        objects = MemoryObjects()
        asleep, awake = threading.Event(), threading.Event()

        def meddle(call, at=at, asleep=asleep, awake=awake):
            if call.number == at and call.done == done:
                asleep.set()
                assert awake.wait(60)

        life = Life(objects.client(meddle), tmp_path / str(at) / "a")
        thread = threading.Thread(target=life.live)
        thread.start()
        assert asleep.wait(60)
        told_before = len(life.commits)
        before = life.commits[-1][0] if life.commits else 0
        mirror, states = continued(objects, tmp_path / str(at) / "b", commits=commits)
        assert states[0] in life.states[before:]
        expected = dict(objects.data)
        awake.set()
        thread.join(60)
        assert not thread.is_alive()
        # What it reports after it woke up, was committed before the other took the run, and is part of what that took.
        assert all(number < mirror.number for _, number in life.commits[told_before:])
        if life.error is not None:
            lost += 1
            if life.mirror is None:  # while it began the run
                assert isinstance(life.error, BadInput)
            else:
                assert isinstance(life.error, Superseded), life.error
                assert life.error.winner.holder == mirror.holder
        journal = Journal(objects, "run")
        assert journal.newest()[1].holder == mirror.holder
        needed = {f"run/{key}" for key in journal.newest()[1].object_keys()} | {journal.key(journal.last())}
        assert {key: objects.data.get(key) for key in needed} == {key: expected[key] for key in needed}
        training = StandIn(mirror.folder, "b")
        mirror.snapshot(training.train())
        assert mirror.wait(20)
        mirror.check()
        mirror.close(State.PREEMPTED)
        assert verify(objects, "run").whole
        assert assert_whole_and_not_older(objects, tmp_path / str(at) / "found", [content(mirror.folder)], 0)
    assert lost > 30


@pytest.mark.parametrize("lost", [False, True])
def test_any_call_may_fail_once_and_nothing_is_lost(tmp_path, lost):
    """`lost`: the call has its effect, only its answer does not arrive."""
    count = len(calls_of_a_life(tmp_path))
    for at in range(count):
        objects = MemoryObjects()

        def meddle(call, at=at):
            if call.number == at and call.done == lost:
                raise Unreachable("no answer")

        life = Life(objects.client(meddle), tmp_path / str(at) / "a").live()
        if isinstance(life.error, Unreachable):  # said at once to who began the run
            assert not life.commits
            continue
        assert life.error is None, (at, life.error)
        numbers = [number for _, number in life.commits]
        assert numbers == sorted(set(numbers))
        assert life.commits[-1][0] == len(life.states) - 1
        assert verify(objects, "run").whole
        assert_whole_and_not_older(objects, tmp_path / str(at) / "found", life.states, len(life.states) - 1)


class World:
    """Machines that want the same run, on a store that fails; and what must be true whatever happens.

    Each snapshot's `metrics.jsonl` tells its whole history, as a machine goes on from what it restored. So a commit
    that was reported is in the run as long as its history begins that of the run.

    Args:
        folder: for the machines.
        seed: of all that is drawn; threads still run as they like.
    """

    def __init__(self, folder, seed):
        self.folder, self.seed = folder, seed
        self.objects = MemoryObjects()
        self.snapshots, self.reported, self.problems = [], [], []
        training = StandIn(folder / "first").begin()
        training.log(0)
        self.snapshots.append(content(folder / "first"))
        Mirror.create(self.objects, "run", folder / "first", pace=QUICK).close(State.PREEMPTED)

    def faults(self, draw):
        """A machine's luck, until it dies."""
        dead = threading.Event()

        def meddle(call):
            if dead.is_set():
                raise Killed
            luck = draw.random()
            if luck < 0.002:
                dead.set()
                raise Killed
            if luck < 0.015:
                raise Unreachable("no answer")
            if luck < 0.025:
                time.sleep(0.1)  # twice as long as until a holder counts as dead
            elif luck < 0.2:
                time.sleep(0.001)

        return meddle

    def machine(self, name):
        """Takes the run again and again, whether or not another works on it, until it has come some way."""
        draw = random.Random(f"{self.seed} {name}")
        for life in range(100):
            if len(self.reported) >= 6:
                return
            word = f"{name}{life}"
            mirror = None
            try:
                objects = self.objects.client(self.faults(draw))
                told = Told(committed=lambda step, number: self.reported.append((number, self.snapshots[step])))
                folder = self.folder / word
                mirror = Mirror.take(objects, "run", folder, take_over=draw.random() < 0.3, pace=QUICK, told=told)
                mirror.restore()
                self.work(mirror, StandIn(folder, word), draw)
            except (Killed, SlipwayError):
                if mirror is not None:
                    mirror.abandon()
            except BaseException as error:
                self.problems.append(error)
                raise

    def work(self, mirror, training, draw):
        for _ in range(draw.randrange(1, 6)):
            mirror.check()
            training.train()
            mirror.snapshot(self.seen(mirror.folder))
            mirror.wait(draw.choice([0, 0.01, 1]))
        mirror.close(State.PREEMPTED, step=self.seen(mirror.folder), deadline_seconds=5)

    def seen(self, folder):
        """Remember what a folder holds; its number stands for its step."""
        with self.objects._lock:
            self.snapshots.append(content(folder))
            return len(self.snapshots) - 1

    def read(self, folder):
        """The run as a reader sees it, which knows all that was reported before."""
        reported = list(self.reported)
        pull(self.objects, "run", folder)
        found = content(folder)
        assert found in self.snapshots, "a mix"
        for number, snapshot in reported:
            assert found["metrics.jsonl"].startswith(snapshot["metrics.jsonl"]), f"commit {number} is lost"


@pytest.mark.parametrize("seed", range(4))
def test_machines_that_fight_for_a_run_on_a_store_that_fails(tmp_path, seed):
    world = World(tmp_path, seed)
    machines = [threading.Thread(target=world.machine, args=(name,)) for name in "ab"]
    for machine in machines:
        machine.start()
    reads = 0
    while any(machine.is_alive() for machine in machines):
        world.read(tmp_path / f"read-{reads}")
        reads += 1
    for machine in machines:
        machine.join()
    assert world.problems == []
    assert len(world.reported) >= 6
    world.read(tmp_path / "last")
    assert verify(world.objects, "run").whole
    numbers = [number for number, _ in world.reported]
    assert len(set(numbers)) == len(numbers), "two machines were told that they made the same entry"
    mirror, _ = continued(world.objects, tmp_path / "next", word="z", commits=1)
    mirror.close(State.PREEMPTED)
    assert verify(world.objects, "run").orphaned == ()
