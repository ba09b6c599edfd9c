"""Runs whose stores, networks, disks, clocks and machines fail at random: what was reported as saved is there and
right, and the run comes to the bits of one that nothing happened to.

Each plan is a story drawn from its number: two to four machines one after the other, real processes with work folders
of their own, on S3 (moto), Google Cloud Storage (fake-gcs-server) or a shared folder. Requests meet faults in a proxy
(`fault_proxy`). A machine is killed, is preempted, falls asleep until after the next one has taken the run over, or
finds its disk full; clocks are minutes (S3) or days off. What trains is `chained_training`: the stores' code is the
trainer's, TensorFlow takes no part; `test_shared_runs` sends a real training through the proxy.

A shared folder has no requests: there only machines, disks and clocks fail. 20 plans belong to the suite, 180 to
`make soak`.
"""

import collections
import contextlib
import dataclasses
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import servers
from chained_training import RUN, STEPS, Wish, content, undisturbed
from fault_proxy import Fault, FaultProxy, Plan

from trainer.store.journal import Journal
from trainer.store.objects.base import Corrupt, Missing
from trainer.store.objects.places import place
from trainer.store.shared import pull
from trainer.store.verify import verify

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

PLANS, OF_THE_SUITE = 200, 20
KINDS = ("s3", "gs", "nas")
ENDS = ("killed", "preempted", "asleep", "full disk")
MINUTES, DAYS = 600, 5 * 86_400
DISK_BYTES = 8_000_000
MACHINE_SECONDS = 120
ROOT = Path(__file__).parents[3]


@dataclasses.dataclass(frozen=True)
class Cloud:
    """A server behind its proxy, and the variables that lead a client to the one or the other."""

    proxy: FaultProxy
    through: dict
    beside: dict


@pytest.fixture(scope="module")
def clouds(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    with servers.s3() as s3, servers.gcs() as gcs, contextlib.ExitStack() as stack:
        found = {}
        for kind, server, lead in (
            ("s3", s3, lambda address: servers.s3_environment(address, home)),
            ("gs", gcs, servers.gcs_environment),
        ):
            proxy = FaultProxy(server, kind)
            stack.callback(proxy.stop)
            found[kind] = Cloud(proxy, lead(proxy.address), lead(server))
        yield found


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    return content(undisturbed(tmp_path_factory.mktemp("undisturbed") / "run"))


class Story:
    """What becomes of one run.

    Args:
        number: the plan's.
        clouds: by kind.
        folder: for the machines.
        patch: of the environment.
        ends: what is to be done in the end.
    """

    def __init__(self, number, clouds, folder, patch, ends):
        self.random, self.folder, self.ends = random.Random(number), folder, ends
        self.kind = KINDS[number % len(KINDS)]
        self.cloud = clouds.get(self.kind)
        self.reported, self.asleep, self.told = [], [], []
        if self.cloud is None:
            (folder / "share").mkdir()
            self.uri = f"nas://{folder}/share"
        else:
            self.uri = f"{self.kind}://plan-{number}/team"
            for name, value in self.cloud.beside.items():
                patch.setenv(name, value)
            servers.make_bucket(f"{self.kind}://plan-{number}")
        self.objects = place(self.uri)

    def tell(self):
        """All of it; the run is finished then."""
        count = self.random.choice((2, 3, 3, 4))
        for machine in range(count):
            folder = self.folder / str(machine)
            folder.mkdir()
            end = self.random.choice(ENDS) if machine + 1 < count else "finished"
            self.told.append(f"machine {machine} on {self.kind}: {end}")
            self._machine(folder, end)
        if self.cloud is not None:
            self.cloud.proxy.follow(None)
        for process in self.asleep:
            self._wake(process)

    def _machine(self, folder, end):
        until = STEPS if end == "finished" else self.random.randint(1, STEPS - 1)
        off = self.random.choice((0, 0, 1, -1)) * (MINUTES if self.kind == "s3" else DAYS)
        wish = Wish(self.uri, str(folder / RUN), self.random.randrange(10**9), self._is_new(), until, off)
        if end == "finished":
            return self._until_done(wish)
        if end == "preempted":
            return self._done(self._start(wish))
        has_disk = end == "full disk" and self._mount(folder)
        process = self._start(dataclasses.replace(wish, until=STEPS - 1))
        self._listen(process, self.random.randint(0, 3))
        time.sleep(self.random.uniform(0, 0.1))
        if end == "asleep":
            process.send_signal(signal.SIGSTOP)
            return self.asleep.append(process)
        if not has_disk:
            process.kill()
            return self._done(process)
        with _full(folder):
            process.wait(MACHINE_SECONDS)
        self._done(process)
        return self._until_done(wish)

    def _until_done(self, wish):
        """A machine that is started again as long as store and network do not let it begin or end."""
        for _ in range(5):
            if self._done(self._start(dataclasses.replace(wish, make=self._is_new()))) == 0:
                return
        raise AssertionError("\n".join(self.told))

    def _is_new(self):
        return Journal(self.objects, RUN).last() is None

    def _mount(self, folder):
        """Give a machine a small disk, where that is allowed; whether it is."""
        made = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", folder], capture_output=True
        )
        if made.returncode == 0:
            self.ends.callback(subprocess.run, ["umount", "--lazy", folder], check=True)
        return made.returncode == 0

    def _start(self, wish):
        """A machine under faults of its own."""
        environment = os.environ | {"PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "tests/trainer")))}
        if self.cloud is not None:
            environment |= self.cloud.through
            self.cloud.proxy.follow(self._plan())
        process = subprocess.Popen(
            [sys.executable, "-m", "chained_training", json.dumps(dataclasses.asdict(wish))],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment,
        )  # fmt: skip
        self.ends.callback(process.kill)
        return process

    def _plan(self):
        chosen = self.random.sample(tuple(Fault), self.random.randint(3, len(Fault)))
        return Plan(self.random.randrange(10**9), self.random.choice((0.02, 0.1, 0.2)), tuple(chosen))

    def _listen(self, process, step):
        """Until it has reported a step, or has ended."""
        for line in process.stdout:
            if self._hear(line) and int(line.split()[1]) >= step:
                return

    def _hear(self, line):
        self.told.append(line.strip())
        if not line.startswith("committed "):
            return False
        _, step, number = line.split()
        self.reported.append((int(step), int(number)))
        return True

    def _done(self, process):
        """The rest of what it says, and its exit code; what it had reported is looked at."""
        for line in process.stdout:
            self._hear(line)
        process.stdout.close()
        code = process.wait(MACHINE_SECONDS)
        assert "Traceback" not in "\n".join(self.told), "\n".join(self.told)
        self.check_reported()
        return code

    def _wake(self, process):
        """One that slept while the run was finished elsewhere: it changes nothing."""
        before = Journal(self.objects, RUN).newest()
        process.send_signal(signal.SIGCONT)
        self._done(process)
        assert Journal(self.objects, RUN).newest() == before, "\n".join(self.told)

    def check_reported(self):
        """What was reported is there and right, or later than that is."""
        journal = Journal(self.objects, RUN)
        for step, number in self.reported:
            try:
                entry = journal.read(number)
            except Missing:
                entry = journal.newest()[1]
                assert entry.step >= step, self.told
                continue
            assert entry.step == step, self.told
            for path, file in entry.files.items():
                data = b"".join(self.objects.read(f"{RUN}/{piece.key}") for piece in file.pieces)
                assert hashlib.sha256(data).hexdigest() == file.sha256, (path, self.told)
            assert step == 0 or f"checkpoints/{step:012d}/tensors.safetensors" in entry.files, self.told


@contextlib.contextmanager
def _full(folder):
    """Nothing more can be written there."""
    ballast = folder / "ballast"
    descriptor = os.open(ballast, os.O_CREAT | os.O_WRONLY)
    with contextlib.suppress(OSError):
        while True:
            os.write(descriptor, bytes(4096))
    os.close(descriptor)
    yield
    ballast.unlink()


def told(number, clouds, folder, patch, expected):
    """A plan is gone through, and comes to what it must."""
    with contextlib.ExitStack() as ends:
        story = Story(number, clouds, folder, patch, ends)
        story.tell()
        check(story.objects, story.folder / "pulled", expected)
        return story


def check(objects, folder, expected):
    """The run is whole, and to the bit the one that nothing happened to."""
    found = verify(objects, RUN)
    assert found.whole, found
    pull(objects, RUN, folder)
    assert content(folder) == expected


@pytest.mark.parametrize("number", range(OF_THE_SUITE))
def test_a_plan(clouds, expected, tmp_path, monkeypatch, number):
    assert told(number, clouds, tmp_path, monkeypatch, expected).reported


@pytest.mark.soak
@pytest.mark.parametrize("number", range(OF_THE_SUITE, PLANS))
def test_a_further_plan(clouds, expected, tmp_path, monkeypatch, number):
    assert told(number, clouds, tmp_path, monkeypatch, expected).reported


def test_the_plans_met_every_fault(clouds):
    """Of those before in this module: it says nothing when it is run alone."""
    met = sum((cloud.proxy.applied for cloud in clouds.values()), start=collections.Counter())
    if met:
        assert set(met) == set(Fault)


def test_a_machine_whose_clock_is_an_hour_off_is_refused_by_s3(clouds, tmp_path, monkeypatch):
    with contextlib.ExitStack() as ends:
        story = Story(PLANS - PLANS % len(KINDS), clouds, tmp_path, monkeypatch, ends)
        story.cloud.proxy.follow(None)
        environment = os.environ | story.cloud.through | {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests/trainer'}"}
        wish = Wish(story.uri, str(tmp_path / RUN), 0, True, STEPS, 3600)
        done = subprocess.run(
            [sys.executable, "-m", "chained_training", json.dumps(dataclasses.asdict(wish))],
            capture_output=True, text=True, env=environment, timeout=MACHINE_SECONDS,
        )  # fmt: skip
        assert done.returncode == 2
        assert "a machine whose clock is right" in done.stdout
        assert "timedatectl" in done.stdout
        assert not list(story.objects.keys(""))
        assert not (tmp_path / RUN).exists()


@pytest.mark.parametrize("damage", ["object", "row"])
def test_damage_would_be_found(clouds, expected, tmp_path, monkeypatch, damage):
    """A run that comes out of a store damaged, or from a training that went another way, does not pass."""
    with contextlib.ExitStack() as ends:
        story = Story(PLANS + 3, clouds, tmp_path, monkeypatch, ends)
        assert story.kind == "nas"
        story._until_done(Wish(story.uri, str(tmp_path / RUN), 0, True, STEPS))
        check(story.objects, tmp_path / "good", expected)
        if damage == "row":
            expected = {**expected, "metrics.jsonl": expected["metrics.jsonl"].replace(b"1", b"2", 1)}
        else:
            number, step = next((number, step) for step, number in story.reported if step == STEPS)
            entry = Journal(story.objects, RUN).read(number)
            key = entry.files[f"checkpoints/{step:012d}/tensors.safetensors"].pieces[0].key
            path = tmp_path / "share" / RUN / key
            path.write_bytes(path.read_bytes()[:-1] + b"?")
            with pytest.raises(Corrupt):
                story.check_reported()
        with pytest.raises((AssertionError, Corrupt)):
            check(story.objects, tmp_path / "again", expected)
