"""What becomes of a run whose machines, disks, clocks and network fail, drawn from a number and then lived through.

The invariant is checked all along, over a connection without faults: what a machine reports as committed is read back
at once, every byte, and compared with what the run is at that step where nothing happens; nothing that was reported is
gone later; and in the end the run is whole, finished, and to the bit the one that nothing happened to.
"""

import contextlib
import dataclasses
import enum
import errno
import hashlib
import os
import random
import signal
import subprocess
import time

from fault_machines import RUN, STEPS, Wish, content
from fault_proxy import Fault, Plan

from trainer.run.status import State
from trainer.store.journal import Journal, Kind
from trainer.store.objects.base import Missing
from trainer.store.objects.places import place
from trainer.store.shared import pull
from trainer.store.verify import verify

KINDS = ("s3", "gs", "nas")
MINUTES, DAYS = 600, 5 * 86_400
DISK_BYTES = 12_000_000
ATTEMPTS_UNDER_FAULTS = 3
NO_ROOM = (os.strerror(errno.ENOSPC), os.strerror(errno.EFBIG))


class End(enum.StrEnum):
    """How a machine's part in a run ends."""

    KILLED = "killed"
    PREEMPTED = "preempted"
    ASLEEP = "asleep until others have finished the run"
    FULL_DISK = "its disk is full, and it goes on when there is room"
    FINISHED = "it finishes the run"


@dataclasses.dataclass(frozen=True)
class Part:
    """A machine's part in a story.

    Attributes:
        end: how it ends.
        home: the number of the machine whose folder this is: an earlier one that comes back, or its own.
        until: the step after which it is preempted.
        heard: the commits that it reports before its end begins, if that is not its own choice.
        then_seconds: how long after that.
        faults: of its requests.
        clock_off_seconds: how wrong its clock is.
        takes_over: does not ask whether the holder before lives.
        sweeps: removes old entries at once.
        pace: a seed.
    """

    end: End
    home: int
    until: int
    heard: int
    then_seconds: float
    faults: Plan
    clock_off_seconds: int
    takes_over: bool
    sweeps: bool
    pace: int


@dataclasses.dataclass(frozen=True)
class Story:
    """The parts of the machines, one after the other, in a store of a kind."""

    seed: int
    kind: str
    parts: tuple[Part, ...]


def drawn(seed):
    """The story of a number."""
    draw, kind = random.Random(seed), KINDS[seed % len(KINDS)]
    parts = []
    for number in range(draw.choice((2, 3, 3, 4))):
        parts.append(_part(draw, kind, number, parts))
    return Story(seed, kind, (*parts[:-1], dataclasses.replace(parts[-1], end=End.FINISHED, until=STEPS)))


def _part(draw, kind, number, before):
    end = draw.choice([end for end in End if end is not End.FINISHED])
    left = {part.home for part in before if part.end in (End.KILLED, End.PREEMPTED)}
    homes = sorted(left - {part.home for part in before if part.end is End.ASLEEP})
    comes_back = bool(homes) and end is not End.FULL_DISK and draw.random() < 0.4
    faults = draw.sample(tuple(Fault), draw.randint(4, len(Fault)))
    return Part(
        end=end,
        home=draw.choice(homes) if comes_back else number,
        until=draw.randint(1, STEPS - 1) if end is End.PREEMPTED else STEPS - 1,
        heard=draw.randint(0, 3),
        then_seconds=draw.choice((0.0, draw.uniform(0, 0.3))),
        faults=Plan(
            draw.randrange(10**9), draw.choice((0.03, 0.1, 0.2)), tuple(faults), stalls=draw.choice((0, 0, 0, 1))
        ),
        clock_off_seconds=_clock(draw, kind),
        takes_over=draw.random() < 0.7,
        sweeps=draw.random() < 0.5,
        pace=draw.randrange(10**9),
    )


def _clock(draw, kind):
    """S3 takes no request whose clock is more than a quarter of an hour off."""
    off = draw.choice((MINUTES, MINUTES, DAYS)) if kind == "s3" else DAYS
    return draw.choice((0, 0, off, -off))


@dataclasses.dataclass(frozen=True)
class World:
    """What a story is lived through in.

    Attributes:
        uri: the store.
        folder: for the machines.
        nursery: where machines come from.
        proxy: in front of the store; None for a shared folder.
        through: variables that lead to the proxy.
        states: what the run is after each step where nothing happens.
    """

    uri: str
    folder: object
    nursery: object
    proxy: object
    through: dict
    states: list


class Telling:
    """A story that is lived through; use it as a context, so that no machine is left.

    Attributes:
        told: what happened, for whoever reads of a failure.
        reported: step and number of what was reported as committed.
    """

    def __init__(self, story, world):
        self.story, self.world = story, world
        self.objects = place(world.uri)
        self.journal = Journal(self.objects, RUN)
        self.told, self.reported, self._asleep = [f"{story.kind}, plan {story.seed}"], [], []
        self._ends = contextlib.ExitStack()

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        self._ends.close()
        if error is not None:
            error.add_note("\n".join(self.told))

    def tell(self):
        """All parts, and what must be true in the end."""
        for number, part in enumerate(self.story.parts):
            self.told.append(
                f"machine {number} in folder {part.home}: {part.end}; clock {part.clock_off_seconds} s off"
            )
            self._play(part)
            self._check_newest()
        self._follow(None)
        for machine in self._asleep:
            self._wake(machine)
        check_finished(self.objects, self.world.folder / "pulled", self.world.states[-1])

    def _play(self, part):
        folder = self.world.folder / str(part.home)
        folder.mkdir(exist_ok=True)
        if part.end is End.FULL_DISK:
            return self._fill_disk(part, folder)
        if part.end is End.FINISHED:
            return self._finish(part)
        machine = self._begin(part)
        if part.end is End.PREEMPTED:
            return self.until_dead(machine)
        self._hear_some(machine, part)
        if part.end is End.ASLEEP:
            machine.signal(signal.SIGSTOP)
            return self._asleep.append(machine)
        machine.signal(signal.SIGKILL)
        return self.until_dead(machine)

    def _finish(self, part):
        """Under faults that may keep it from it; at the latest without them it must."""
        for attempt in range(ATTEMPTS_UNDER_FAULTS + 1):
            faults = part.faults if attempt < ATTEMPTS_UNDER_FAULTS else None
            machine = self._begin(dataclasses.replace(part, faults=faults, pace=part.pace + attempt))
            if self.until_dead(machine) == 0:
                return
        raise AssertionError("no machine could finish the run, not even without faults")

    def _begin(self, part):
        """A machine that lives; S3 refuses one whose clock is days off, which then is set right."""
        if self.story.kind == "s3" and abs(part.clock_off_seconds) == DAYS:
            self._follow(None)
            before = self._everything()
            refused = self._machine(part)
            assert self.until_dead(refused) == 2
            assert "a machine whose clock is right" in self.told[-2]
            assert self._everything() == before
            part = dataclasses.replace(part, clock_off_seconds=0)
        self._follow(part.faults)
        return self._machine(part)

    def _machine(self, part):
        folder = str(self.world.folder / str(part.home) / RUN)
        names = ("until", "takes_over", "sweeps", "clock_off_seconds")
        wish = {name: getattr(part, name) for name in names} | {"seed": part.pace}
        return self.start(Wish(self.world.uri, folder, self.world.through, **wish))

    def start(self, wish):
        """A machine, which is dead in the end."""
        machine = self.world.nursery.machine(wish)
        self._ends.callback(machine.close)
        return machine

    def _everything(self):
        return {(found.key, found.bytes) for found in self.objects.keys(RUN)}

    def _follow(self, plan):
        if self.world.proxy is not None:
            self.world.proxy.follow(plan)

    def _hear_some(self, machine, part):
        """Listen until enough is reported, or the machine is dead."""
        left = part.heard
        lines = machine.lines()
        while left and (line := next(lines, None)) is not None:
            left -= self.hear(line)
        time.sleep(part.then_seconds)

    def _hear_of_disk(self, machine):
        """Listen until it complains of its disk, or is dead."""
        for line in machine.lines():
            self.hear(line)
            if any(words in line for words in NO_ROOM):
                return

    def until_dead(self, machine):
        """Listen to the rest; returns its exit code."""
        for line in machine.lines():
            self.hear(line)
        machine.close()
        self.told.append(f"exit code {machine.code}")
        assert not any("Traceback" in line for line in self.told)
        return machine.code

    def hear(self, line):
        """Whether it is a report of something committed, which is looked at."""
        self.told.append(line)
        if not line.startswith("committed "):
            return False
        step, number = map(int, line.split()[1:])
        self.reported.append((step, number))
        self.check_reported(step, number)
        return True

    def check_reported(self, step, number):
        """What a machine reports is there and right, or something later is there in its place."""
        try:
            entry = self.journal.read(number)
            found = {path: self._read(file) for path, file in entry.files.items()}
        except Missing:
            newest, entry = self.journal.newest()
            assert newest > number
            assert entry.step >= step
            return
        assert entry.step == step
        expected = self.world.states[step]
        if entry.kind is Kind.RELEASED and entry.state == State.FAILED:  # perhaps in the middle of the next step
            assert found["metrics.jsonl"].startswith(expected["metrics.jsonl"])
            kept = f"checkpoints/{step:012d}/"
            found, expected = (
                {path: data for path, data in files.items() if kept in path} for files in (found, expected)
            )
        assert found == expected

    def _read(self, file):
        data = b"".join(self.objects.read(f"{RUN}/{piece.key}") for piece in file.pieces)
        assert hashlib.sha256(data).hexdigest() == file.sha256
        return data

    def _check_newest(self):
        """Nothing that was reported is gone."""
        if self.reported:
            number, entry = self.journal.newest()
            step, reported = max(self.reported, key=lambda pair: pair[1])
            assert number >= reported
            assert entry.step >= step

    def _wake(self, machine):
        """A machine that slept while the run was finished elsewhere changes nothing of it.

        One that fell asleep before it had the run may take it now; one that had it finds that it has it no more.
        """
        number, entry = self.journal.newest()
        self.told.append("one wakes up")
        machine.signal(signal.SIGCONT)
        self.until_dead(machine)
        later, found = self.journal.newest()
        assert (found.files, found.state, found.step) == (entry.files, entry.state, entry.step)
        assert later == number or found.taken > number

    def _fill_disk(self, part, folder):
        """The disk is full while the machine works; then there is room, and it is started again."""
        is_own = _mounted(folder)
        if is_own:
            self._ends.callback(subprocess.run, ["umount", "--lazy", folder], check=True)
        machine = self._begin(part)
        self._hear_some(machine, part)
        with _filled(folder) if is_own else machine.limited():
            self._hear_of_disk(machine)
        self.until_dead(machine)  # what it could not write it may write now
        self._follow(None)
        assert self.until_dead(self._machine(dataclasses.replace(part, clock_off_seconds=0))) == 0


def check_finished(objects, folder, expected):
    """The run is whole, nobody holds it, and it is to the bit what it is where nothing happens.

    Args:
        objects: the store.
        folder: for a copy of the run; not there yet.
        expected: the run's content.
    """
    found = verify(objects, RUN)
    assert found.whole, found
    entry = Journal(objects, RUN).newest()[1]
    assert (entry.kind, entry.state) == (Kind.RELEASED, State.FINISHED)
    pull(objects, RUN, folder)
    assert content(folder) == expected


def _mounted(folder):
    """Put a small disk there, where that is allowed; whether it is."""
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", folder]
    return subprocess.run(command, capture_output=True).returncode == 0


@contextlib.contextmanager
def _filled(folder):
    """No byte more fits on the disk."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
    yield
    ballast.unlink()
