"""Workers as processes: each entry is trained to its end, by one at a time, whatever dies."""

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from pathlib import Path

import processes
import pytest

from trainer.config import load, presets
from trainer.queue import submit
from trainer.queue.queue import Queue
from trainer.queue.states import Holder, State, Submission

STAND_IN = Path(__file__).with_name("stand_in_slipway.py")
WORK = """
import sys
from pathlib import Path
from trainer.metrics.server import Address, Place
from trainer.queue.queue import Queue
from trainer.queue.worker import SLIPWAY, Pace, Worker
folder, store, slot, command, gpu, port = sys.argv[1:]
pace = Pace(look_seconds=0.05, beat_seconds=0.1, dead_after_seconds=1.5, restart_seconds=0.1, start_limit=3)
Worker(
    Queue(Path(folder)), store, int(slot), pace=pace, command=command.split("|") if command else SLIPWAY,
    gpu=int(gpu) if gpu else None, place=Place(Address("127.0.0.1", int(port))) if port else None,
).work()
"""
MOVING = """
from trainer.errors import SlipwayError
from trainer.queue import queue, states

class Queue(queue.Queue):
    def move(self, entry, state, **changes):
        {}
        return super().move(entry, state, **changes)

queue.Queue = Queue
"""
CANCELLED_LATE = MOVING.format(
    "if state in states.ENDS and not entry.change.cancel: super().move(entry, states.State.RUNNING, cancel=True)"
)
"""Somebody cancels each entry in the moment in which its training has ended."""
NOT_TAKEN = MOVING.format("if entry.run_id == 'ok-1': raise SlipwayError('not allowed')")
"""The folder of an entry takes no file."""
TINY = {"agent.num_envs": 8, "agent.rollout_steps": 32, "agent.minibatch_size": 256, "budget.env_steps": 256 * 40}
TINY |= {"evaluation.seeds": 2, "evaluation.episodes_per_seed": 1, "checkpoint.interval_iterations": 1}


class Site:
    """A queue, a store, and workers that are ended with the test."""

    def __init__(self, folder):
        self.queue, self.store, self.folder, self.started = Queue(folder / "queue"), folder / "runs", folder, []
        for made in (self.queue.folder, self.store):
            made.mkdir()
        self.queue.check(write=True)

    def submit(self, *run_ids, **more):
        for run_id in run_ids:
            self.queue.submit(Submission(run_id, "env: {}\n", **more))

    def worker(self, slot=0, *, command=(sys.executable, str(STAND_IN)), gpu="", port="", program=WORK):
        log = self.folder / f"worker-{len(self.started)}.log"
        arguments = [self.queue.folder, self.store, slot, "|".join(command), gpu, port]
        with log.open("w") as file:
            command = [sys.executable, "-c", program, *map(str, arguments)]
            process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, cwd=self.folder)
        process.log = log
        self.started.append(process)
        return process

    def events(self, run_id):
        """What the training wrote down."""
        with contextlib.suppress(FileNotFoundError):
            lines = [line.split() for line in (self.store / "events").read_text().splitlines()]
            return [word for each, word in lines if each == run_id]
        return []

    def states(self):
        return {entry.run_id: str(entry.state) for entry in (*self.queue.entries(), *self.queue.ended())}

    def wait(self, done, seconds=90):
        until = time.monotonic() + seconds
        while not (found := done()):
            said = "\n".join(process.log.read_text() for process in self.started)
            assert time.monotonic() < until, f"{self.states()}\n{said}"
            time.sleep(0.02)
        return found

    def ended(self, **states):
        self.wait(lambda: states.items() <= self.states().items())

    def enough(self, run_id):
        (self.store / f"{run_id}.enough").touch()

    def held(self, run_id):
        """Who trains it."""
        return self.wait(
            lambda: next((e for e in self.queue.entries() if e.run_id == run_id and e.change.holder), None)
        )


@pytest.fixture
def site(tmp_path):
    made = Site(tmp_path)
    yield made
    for process in made.started:
        if process.poll() is None:
            process.kill()
            process.wait()


def test_every_end_is_told_by_the_exit_code_and_the_next_one_starts(site):
    site.submit("crash-1", "killed-1", "bad-1", "budget-1", "again-1", "ok-1")
    worker = site.worker()
    site.ended(**{"ok-1": "done", "crash-1": "failed", "killed-1": "failed", "bad-1": "bad-input"})
    site.ended(**{"budget-1": "stopped-by-budget", "again-1": "done"})
    worker.terminate()
    assert worker.wait(10) == 0
    ended = {entry.run_id: entry.change for entry in site.queue.ended()}
    assert len(site.events("crash-1")) == 2 * 3  # begun and ended, as often as the limit allows
    assert ended["crash-1"].message.startswith(
        "3 starts in 60 minutes, and none of them came to an end; crash-1 is wrong"
    )
    assert ended["killed-1"].message.endswith("its training ended with signal SIGKILL")
    assert ended["bad-1"].message == "bad-1 is wrong\n  fix:     mend it"
    assert site.events("again-1").count("begun") == 8  # preemptions are no crashes
    said = [json.loads(line) for line in worker.log.read_text().splitlines() if line.startswith("{")]
    assert [each["event"] for each in said if each.get("run_id") == "ok-1"] == ["started", "ended", "done"]
    assert "slipway: bad-1 is wrong" in worker.log.read_text()


def test_workers_that_race_and_die_train_each_entry_to_its_end_and_never_twice_at_once(site):
    names = [f"ok-{number}" for number in range(10)]
    site.submit("long-1", *names)
    workers = [site.worker(slot) for slot in range(2)]
    for kills in range(2):
        site.wait(lambda kills=kills: site.events("long-1").count("begun") > kills)
        site.wait(lambda kills=kills: sum("ended" in site.events(name) for name in names) >= 3 * kills)
        victim = workers[site.held("long-1").change.holder.slot]  # with what it trains; the other goes on meanwhile
        victim.kill()
        victim.wait()
        slot = workers.index(victim)
        workers[slot] = site.worker(slot)
    site.enough("long-1")
    site.ended(**dict.fromkeys([*names, "long-1"], "done"))
    for name in names:
        assert Counter(site.events(name)) == {"begun": 1, "ended": 1}
    # The new worker may be faster than the training that saves: that one is let alone, and tried again.
    assert site.events("long-1").count("begun") == 3
    assert site.events("long-1").count("saved") == 2


def test_a_slot_takes_its_own_back_at_once_and_others_when_it_is_long_gone(site):
    site.submit("long-1")
    first = site.worker(0)
    site.wait(lambda: site.events("long-1"))
    first.kill()
    first.wait()
    site.wait(lambda: "saved" in site.events("long-1"))  # what it trained does not go on without it
    site.submit("long-3", priority=9)
    again = site.worker(0)
    site.wait(lambda: site.events("long-1").count("begun") == 2)  # though another has the priority
    again.kill()
    again.wait()
    other = site.worker(1)
    site.wait(lambda: site.events("long-3"))
    site.enough("long-3")
    site.wait(lambda: site.events("long-1").count("begun") == 3)
    assert site.held("long-1").change.holder.slot == 1
    other.terminate()
    assert other.wait(10) == 0
    assert site.queue.find("long-1").change.starts == ()  # a stop is no crash
    assert site.states()["long-1"] == "running"


@pytest.mark.parametrize("is_drained", [False, True])
def test_after_a_reboot_each_slot_goes_on_with_its_own_whichever_worker_is_first(site, is_drained):
    site.submit("ok-1")
    before = dataclasses.replace(Holder.here(0), boot="the one before", token="gone")
    site.queue.move(site.queue.find("ok-1"), State.RUNNING, holder=before)
    if is_drained:
        site.queue.drain(os.uname().nodename, is_now=False, by="me")
    patient = WORK.replace("dead_after_seconds=1.5", "dead_after_seconds=60")
    other = site.worker(1, program=patient)
    site.wait(lambda: any(said["slot"] == 1 for said in site.queue.workers()))
    time.sleep(0.5)  # ten looks
    assert site.held("ok-1").change.holder == before
    site.worker(0, program=patient)
    site.ended(**{"ok-1": "done"})
    assert "put back" not in other.log.read_text()


def test_a_paused_worker_that_lost_its_entry_ends_its_training(site):
    site.submit("long-1")
    first = site.worker(0)
    site.wait(lambda: site.events("long-1"))
    first.send_signal(signal.SIGSTOP)
    site.worker(1)
    site.wait(lambda: site.held("long-1").change.holder.slot == 1)
    site.wait(lambda: "twice" in site.events("long-1"))  # the run's lock keeps the second one out
    first.send_signal(signal.SIGCONT)
    site.wait(lambda: site.events("long-1").count("begun") == 2)
    site.enough("long-1")
    site.ended(**{"long-1": "done"})
    assert '"event": "lost"' in first.log.read_text()
    assert site.events("long-1")[-1] == "ended"


def test_a_drained_host_takes_nothing_and_gives_back_what_it_should(site):
    host = os.uname().nodename
    site.submit("long-1", "ok-1")
    site.worker(0)
    site.wait(lambda: site.events("long-1"))
    site.queue.drain(host, is_now=False, by="me")
    time.sleep(0.3)
    assert site.states() == {"long-1": "running", "ok-1": "queued"}
    site.queue.drain(host, is_now=True, by="me")
    site.ended(**{"long-1": "queued"})
    assert site.events("long-1") == ["begun", "saved"]
    time.sleep(0.3)
    assert site.states() == {"long-1": "queued", "ok-1": "queued"}
    site.enough("long-1")
    site.queue.undrain(host)
    site.ended(**{"long-1": "done", "ok-1": "done"})


def slipway_cancel(site, run_id):
    command = [sys.executable, "-m", "trainer", "node", "cancel", run_id, "--queue", site.queue.folder]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_a_run_that_is_trained_can_be_cancelled(site):
    site.submit("long-1", "ok-1")
    site.worker(0)
    site.wait(lambda: site.events("long-1"))
    assert slipway_cancel(site, "long-1") == "long-1 is being stopped.\n"
    site.ended(**{"long-1": "cancelled", "ok-1": "done"})
    assert site.events("long-1") == ["begun", "saved"]


def test_an_entry_that_is_cancelled_when_its_training_has_ended_is_not_left_with_the_slot(site):
    site.submit("ok-1", "ok-2")
    site.worker(0, program=CANCELLED_LATE + WORK)
    site.ended(**{"ok-1": "cancelled", "ok-2": "cancelled"})
    assert site.events("ok-1") == ["begun", "ended"]


def test_a_run_that_is_cancelled_in_the_pause_before_a_restart_does_not_start_again(site):
    site.submit("crash-1", "ok-1")
    site.worker(0, program=WORK.replace("restart_seconds=0.1", "restart_seconds=3600"))
    site.wait(lambda: site.queue.find("crash-1").change.message)  # its training has ended, and is to be started again
    assert slipway_cancel(site, "crash-1") == "crash-1 is being stopped.\n"
    site.ended(**{"crash-1": "cancelled", "ok-1": "done"})
    assert site.events("crash-1") == ["begun", "ended"]


def test_an_entry_that_nobody_can_take_holds_up_no_other(site):
    site.submit("ok-1", "ok-2")
    site.worker(0, program=NOT_TAKEN + WORK)
    site.ended(**{"ok-2": "done"})
    assert site.states()["ok-1"] == "queued"


def test_a_slot_has_one_worker_and_gpus_are_for_those_that_have_one(site):
    site.submit("ok-gpu", needs_gpu=True)
    site.submit("ok-any")
    first = site.worker(0)
    site.ended(**{"ok-any": "done"})
    second = site.worker(0)
    assert second.wait(20) != 0
    assert "--slot: 0 is not allowed" in second.log.read_text()
    assert site.states()["ok-gpu"] == "queued"
    assert first.poll() is None
    site.worker(1, gpu=0)
    site.ended(**{"ok-gpu": "done"})


def test_metrics_tell_a_worker_that_waits_from_one_that_trains(site):
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1] - 1
    site.submit("long-1", "long-2")
    site.queue.drain(os.uname().nodename, is_now=False, by="me")
    site.worker(1, port=port)

    def scraped(*lines):
        with contextlib.suppress(OSError):
            found = urllib.request.urlopen(f"http://127.0.0.1:{port + 1}/metrics", timeout=10).read().decode()
            return set(lines) <= set(found.splitlines())
        return False

    site.wait(lambda: scraped('rl_worker_state{state="drained"} 1.0', 'rl_queue_runs{state="queued"} 2.0'))
    site.queue.undrain(os.uname().nodename)
    site.wait(lambda: scraped('rl_worker_state{state="running"} 1.0', 'rl_queue_runs{state="running"} 1.0'))
    site.enough("long-1")
    site.enough("long-2")
    site.wait(lambda: scraped('rl_worker_state{state="idle"} 1.0', 'rl_worker_ended_runs_total{state="done"} 2.0'))


@pytest.mark.slow
def test_a_training_that_is_killed_with_its_worker_goes_on_to_the_same_bits(site):
    """The real one: killed, told to stop, and once not disturbed at all."""
    run_file = load.validate(_with(presets.data("cartpole-ppo"), TINY))
    folder = site.folder / "reference"
    folder.mkdir()
    reference = processes.train(folder, "run", TINY)
    submit(site.queue.folder, run_file, "run")
    run = site.store / "run"
    port = 20000 + os.getpid() % 10000
    worker = site.worker(0, command=(), port=port)
    site.wait(lambda: len(processes.checkpoint_steps(run)) > 1, 120)
    worker.kill()
    worker.wait()
    worker = site.worker(0, command=(), port=port)
    site.wait(lambda: run.is_dir() and processes.status(run)["resumes"] == 1, 120)
    served = site.wait(lambda: _served(port), 60)
    assert 'rl_run_info{algorithm="ppo",env_id="slipway/CartPole-v1",run_id="run"} 1.0' in served
    assert 'rl_worker_state{state="running"} 1.0' in served
    site.ended(run="done")
    assert processes.finish(reference)[0] == 0
    processes.assert_same_training(run, folder / "run")
    assert (run / "report.html").is_file()


def _served(port):
    with contextlib.suppress(OSError):
        found = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10).read().decode()
        return found if "rl_run_info" in found else ""
    return ""


def _with(data, settings):
    from trainer.config import overrides

    return overrides.apply(data, [f"{key}={json.dumps(value)}" for key, value in settings.items()])


def test_the_states_of_the_catalogue_are_those_that_there_are():
    from trainer.metrics.catalogue import WORKER_METRICS
    from trainer.queue.exposition import Doing, Exposition

    shown = {family.name: family for family in Exposition(Path("/no")).collect()}
    assert set(shown) == {metric.name.removesuffix("_total") for metric in WORKER_METRICS}
    help_text = WORKER_METRICS[0].help
    assert all(str(doing) in help_text for doing in Doing)
    assert {sample.labels["state"] for sample in shown["rl_worker_ended_runs"].samples} == {
        str(state) for state in State if state not in (State.QUEUED, State.RUNNING)
    }
