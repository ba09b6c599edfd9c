"""Runs whose stores, networks, disks, clocks and machines fail at random: what was reported as saved is there and
right, and the run comes to the bits of one that nothing happens to.

Each plan is a story drawn from its number (`fault_stories`): two to four machines, one after the other, on S3 (moto),
Google Cloud Storage (fake-gcs-server) or a shared folder. Requests meet faults in a proxy (`fault_proxy`); machines are
killed, preempted, sleep until others have finished the run, or find their disk full; clocks are minutes or days off.
The number is the test's id, so one plan can be gone through alone: `pytest -m soak -k "[137]"`. How its threads and
processes meet is not drawn: a plan that failed may have to be gone through several times.

What trains is no agent (`fault_machines`): stores, checkpoints and resume are shown, TensorFlow is not. Real trainings
go through the proxy in `test_shared_runs`, and in the soak here. A shared folder has no requests: there machines, disks
and clocks fail, and `test_objects_folder` has the faults of file systems. What the services themselves do wrong is not
shown; nor are clocks with which Google gives no token.
"""

import collections
import contextlib
import itertools
import json
import random
import re
import signal
import time

import fault_machines
import moto.s3.models
import pytest
import servers
from fault_machines import RUN, STEPS, Nursery, Wish, undisturbed
from fault_proxy import Fault, FaultProxy, Plan
from fault_stories import ATTEMPTS_UNDER_FAULTS, DAYS, KINDS, NO_ROOM, End, Story, Telling, World, check_finished, drawn
from processes import assert_same_training, finish, slipway, status, train

from trainer.store.journal import Journal
from trainer.store.objects.places import place
from trainer.store.shared import pull
from trainer.store.verify import verify

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

PLANS, OF_THE_SUITE, REAL = 200, 20, 8
"""The last ones of the soak are trainings by the command line, with the waits of real stores."""
SETTINGS = {
    "agent.num_envs": 32, "agent.rollout_steps": 32, "agent.minibatch_size": 256, "agent.epochs": 2,
    "budget.env_steps": 32 * 32 * 60, "checkpoint.interval_iterations": 1,
    "evaluation.seeds": 2, "evaluation.episodes_per_seed": 1,
}  # fmt: skip
COMMITTED = re.compile(r"Committed: what the run was at step ([\d,]+) is in the store")


class Clouds:
    """The servers with their proxies, and where machines come from."""

    def __init__(self, home, stack):
        self.nursery = stack.enter_context(Nursery(home / "machines"))
        self.proxies, self.through, self.beside, self.count = {}, {}, {}, itertools.count()
        for kind, server, lead in (
            ("s3", servers.s3(), lambda address: servers.s3_environment(address, home)),
            ("gs", servers.gcs(), servers.gcs_environment),
        ):
            address = stack.enter_context(server)
            self.proxies[kind] = FaultProxy(address, kind)
            stack.callback(self.proxies[kind].stop)
            self.through |= lead(self.proxies[kind].address)
            self.beside |= lead(address)

    def world(self, kind, name, folder, states):
        """An empty store of that kind."""
        if kind == "nas":
            (folder / "share").mkdir()
            uri = f"nas://{folder}/share"
        else:
            servers.make_bucket(f"{kind}://{name}")
            uri = f"{kind}://{name}/team"
        return World(uri, folder, self.nursery, self.proxies.get(kind), self.through, states)


@pytest.fixture(scope="module")
def clouds(tmp_path_factory):
    with contextlib.ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setattr(moto.s3.models, "S3_UPLOAD_PART_MIN_SIZE", fault_machines.PART_BYTES)
        found = Clouds(tmp_path_factory.mktemp("clouds"), stack)
        for name, value in found.beside.items():
            patch.setenv(name, value)
        yield found


@pytest.fixture(scope="module")
def states(tmp_path_factory):
    return undisturbed(tmp_path_factory.mktemp("undisturbed") / RUN)


@pytest.fixture(scope="module")
def lived():
    """What happened in the plans that were gone through, by their number."""
    return {}


@pytest.fixture
def go_through(clouds, states, lived, tmp_path):
    def go(number):
        story = drawn(number)
        with Telling(story, clouds.world(story.kind, f"plan-{number}", tmp_path, states)) as telling:
            telling.tell()
            assert telling.reported
        lived[number] = telling.told

    return go


@pytest.mark.parametrize("number", range(OF_THE_SUITE))
def test_a_plan(go_through, number):
    go_through(number)


@pytest.mark.soak
@pytest.mark.parametrize("number", range(OF_THE_SUITE, PLANS - REAL))
def test_a_further_plan(go_through, number):
    go_through(number)


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """The training that nothing happened to, in a folder."""
    folder = tmp_path_factory.mktemp("reference")
    code, output = finish(train(folder, "run", SETTINGS, cold=True))
    assert code == 0, output
    return folder / "run"


@pytest.mark.soak
@pytest.mark.parametrize("number", range(PLANS - REAL, PLANS))
def test_a_plan_of_a_real_training(clouds, reference, tmp_path, number):
    draw, kind = random.Random(number), ("s3", "gs")[number % 2]
    servers.make_bucket(f"{kind}://real-{number}")
    store, proxy = f"{kind}://real-{number}/runs", clouds.proxies[kind]
    for machine in range(draw.choice((1, 2))):
        proxy.follow(Plan(draw.randrange(10**9), draw.choice((0.03, 0.1)), away_seconds=3))
        process = started(clouds, tmp_path / str(machine), store)
        for _ in range(draw.randint(1, 4)):
            if hear(process, store) is None:
                break
        time.sleep(draw.uniform(0, 0.5))
        process.send_signal(draw.choice((signal.SIGKILL, signal.SIGKILL, signal.SIGTERM)))
        assert "Traceback" not in finish(process)[1]
    for attempt in range(ATTEMPTS_UNDER_FAULTS + 1):
        is_last = attempt == ATTEMPTS_UNDER_FAULTS
        proxy.follow(None if is_last else Plan(draw.randrange(10**9), 0.1, away_seconds=3))
        process, said = started(clouds, tmp_path / "last", store), []
        while (line := hear(process, store, said)) is not None:
            said.append(line)
        code = finish(process)[0]
        assert "Traceback" not in "".join(said)
        if code == 0 or "is finished" in "".join(said):  # one that was killed had done all
            break
    else:
        raise AssertionError("".join(said))
    proxy.follow(None)
    assert verify(place(store), RUN).whole
    pull(place(store), RUN, tmp_path / "pulled")
    assert_same_training(tmp_path / "pulled", reference)
    assert status(tmp_path / "pulled")["state"] == "finished"


def started(clouds, folder, store):
    """A process of `slipway` that begins the run, or goes on with it, and reaches its store through the proxy."""
    folder.mkdir(exist_ok=True)
    pairs = [item for key, value in SETTINGS.items() for item in ("--set", f"{key}={json.dumps(value)}")]
    begin = ["train", "cartpole-ppo", "--run-id", RUN, "--store", store, *pairs]
    is_there = Journal(place(store), RUN).last() is not None
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (clouds.through | {"SLIPWAY_WORK": str(folder / "work")}).items():
            patch.setenv(name, value)
        return slipway(*(["resume", f"{store}/{RUN}", "--take-over"] if is_there else begin), cwd=folder, cold=True)


def hear(process, store, said=None):
    """The next report that something is committed, which is looked at; None if there is none any more.

    Args:
        process: of `slipway`.
        store: where the run is.
        said: is given what it says besides.
    """
    for line in process.stdout:
        if match := COMMITTED.search(line):
            objects, step = place(store), int(match[1].replace(",", ""))
            assert Journal(objects, RUN).newest()[1].step >= step
            assert verify(objects, RUN).whole
            return line
        if said is not None:
            said.append(line)
    return None


def test_the_plans_bite(clouds, lived):
    """Each kind of fault was met, and no upload went by unchecked."""
    if not lived.keys() >= set(range(OF_THE_SUITE)):
        pytest.skip("says nothing unless the plans before were gone through")
    proxies = clouds.proxies.values()
    assert set(sum((+proxy.applied for proxy in proxies), start=collections.Counter())) == set(Fault)
    assert not any(proxy.unchecked for proxy in proxies)
    said = "\n".join(line for told in lived.values() for line in told)
    assert any(words in said for words in NO_ROOM)
    for words in ("a machine whose clock is right", "superseded: ", "sign of life", "going on with"):
        assert words in said


def test_the_plans_have_all_that_they_should():
    stories = [drawn(number) for number in range(OF_THE_SUITE)]
    parts = [(story.kind, part) for story in stories for part in story.parts]
    assert {(kind, part.end) for kind, part in parts} == {(kind, end) for kind in KINDS for end in End}
    assert {(kind, abs(part.clock_off_seconds) == DAYS) for kind, part in parts} >= {(kind, True) for kind in KINDS}
    assert any(part.home != number for story in stories for number, part in enumerate(story.parts))
    assert {part.takes_over for _, part in parts} == {part.sweeps for _, part in parts} == {True, False}


def test_a_clock_that_is_set_wrong_while_a_machine_trains(clouds, states, tmp_path):
    world = clouds.world("s3", "clock", tmp_path, states)
    with Telling(Story(0, "s3", ()), world) as telling:
        machine = telling.start(Wish(world.uri, str(tmp_path / RUN), clouds.through, STEPS))
        try:
            lines = machine.lines()
            while not telling.hear(next(lines)):
                pass
            world.proxy.clock_off_seconds = 3600
            while not telling.told[-1].startswith("not committed: "):
                telling.hear(next(lines))
            assert "a machine whose clock is right" in telling.told[-1]
        finally:
            world.proxy.clock_off_seconds = 0
        assert telling.until_dead(machine) == 0
        check_finished(telling.objects, tmp_path / "pulled", states[-1])


@pytest.fixture
def finished(clouds, states, tmp_path):
    """A run in a store that nothing happened to."""
    world = clouds.world("s3", f"finished-{next(clouds.count)}", tmp_path, [*states])
    with Telling(Story(0, "s3", ()), world) as telling:
        wish = Wish(world.uri, str(tmp_path / RUN), clouds.beside, STEPS)
        assert telling.until_dead(telling.start(wish)) == 0
        yield telling


def test_a_byte_that_changed_in_the_store_is_found(finished, tmp_path, states):
    check_finished(finished.objects, tmp_path / "good", states[-1])
    step, number = finished.reported[-1]
    file = finished.journal.read(number).files[f"checkpoints/{step:012d}/tensors.safetensors"]
    key = f"{RUN}/{file.pieces[0].key}"
    data = bytearray(finished.objects.read(key))
    data[1000] ^= 1
    finished.objects.replace(key, bytes(data))
    with pytest.raises(AssertionError):
        finished.check_reported(step, number)
    with pytest.raises(AssertionError):
        check_finished(finished.objects, tmp_path / "bad", states[-1])


def test_a_run_that_went_another_way_is_found(finished, tmp_path, states):
    step, number = finished.reported[-1]
    rows = states[-1]["metrics.jsonl"]
    other = {**states[-1], "metrics.jsonl": rows[:-10] + bytes([rows[-10] ^ 1]) + rows[-9:]}
    finished.world.states[step] = other
    with pytest.raises(AssertionError):
        finished.check_reported(step, number)
    with pytest.raises(AssertionError):
        check_finished(finished.objects, tmp_path / "pulled", other)
