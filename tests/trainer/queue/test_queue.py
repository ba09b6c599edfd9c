"""The queue's files: order, one holder at a time, and nothing lost wherever a process dies."""

import contextlib
import dataclasses
import errno
import getpass
import json
import os
import pwd
import socket
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, multiple, rule

from trainer import queue as queues
from trainer.cli import application
from trainer.config import load
from trainer.errors import BadInput, SlipwayError
from trainer.queue.queue import Drained, Lost, Queue
from trainer.queue.states import ENDS, FOLLOWING, Change, Entry, Holder, Senseless, State, Submission, recent
from trainer.queue.watch import Watch

RUN_FILE = {"env": {"id": "slipway/CartPole-v1"}}
OTHER_HOST = Holder("other", "abc", "boot-1", 0, "token")


@pytest.fixture
def queue(tmp_path):
    (tmp_path / "queue").mkdir()
    made = Queue(tmp_path / "queue")
    made.check(write=True)
    return made


def submitted(queue, run_id, **more):
    return queue.submit(Submission(run_id, "env: {}\n", **more))


def ids(entries):
    return [entry.run_id for entry in entries]


def test_first_in_first_out_within_a_priority(queue):
    for run_id, priority in (("b", 0), ("a", 0), ("c", 5), ("d", -1), ("e", 5)):
        submitted(queue, run_id, priority=priority)
    assert ids(queue.entries()) == ["c", "e", "b", "a", "d"]


def test_an_entry_goes_there_and_back_as_it_is(queue):
    made = submitted(queue, "a", seeds=3, priority=2, needs_gpu=True, submitted_by="me@here", submitted_at="2026-01-01")
    assert queue.find("a") == made
    held = queue.move(made, State.RUNNING, holder=Holder.here(1), starts=(1.5, 2.5))
    assert queue.find("a") == held
    assert Change.from_json(json.loads(json.dumps(held.change.to_json()))) == held.change


def test_a_run_is_once_in_the_queue_until_its_entry_is_over(queue):
    entry = submitted(queue, "a")
    with pytest.raises(BadInput, match="neither queued nor running"):
        submitted(queue, "a")
    queue.move(entry, State.CANCELLED)
    assert queue.entries() == []
    again = submitted(queue, "a")
    assert again.submission.token != entry.submission.token
    assert [entry.state for entry in queue.ended()] == [State.CANCELLED]


def test_many_submit_one_run_and_one_succeeds(queue):
    said = []

    def submit():
        try:
            said.append(submitted(queue, "a").run_id)
        except BadInput:
            said.append(None)

    threads = [threading.Thread(target=submit) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(str, said)) == ["None"] * 7 + ["a"]


def test_of_many_that_take_an_entry_one_has_it(queue):
    for number in range(6):
        submitted(queue, f"run-{number}")
    taken, barrier = [], threading.Barrier(8)

    def take(holder):
        barrier.wait()
        for entry in queue.entries():
            if entry.state is State.QUEUED:
                with contextlib.suppress(Lost):
                    taken.append(queue.move(entry, State.RUNNING, holder=holder))

    threads = [threading.Thread(target=take, args=[Holder.here(number)]) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(ids(taken)) == [f"run-{number}" for number in range(6)]
    for entry in taken:
        assert queue.newest(entry) == entry


def test_who_lost_an_entry_takes_no_step_of_it_not_even_of_the_next_one_of_that_run(queue):
    old = queue.move(submitted(queue, "a"), State.RUNNING, holder=OTHER_HOST)
    back = queue.move(old, State.QUEUED)
    with pytest.raises(Lost):
        queue.move(old, State.DONE)
    queue.move(queue.move(back, State.RUNNING, holder=Holder.here(0)), State.DONE)
    submitted(queue, "a")
    for step in (State.DONE, State.RUNNING, State.QUEUED):
        with pytest.raises(Lost):
            queue.move(old, step)
    with pytest.raises(Lost):
        queue.newest(old)
    assert [(entry.state, entry.number) for entry in queue.entries()] == [(State.QUEUED, 0)]


def test_a_step_that_the_server_took_before_it_went_silent_counts(queue, monkeypatch):
    entry, link = submitted(queue, "a"), os.link

    def lost_reply(*arguments, **keywords):
        link(*arguments, **keywords)
        return link(*arguments, **keywords)  # the client asks again

    monkeypatch.setattr(os, "link", lost_reply)
    moved = queue.move(entry, State.RUNNING, holder=OTHER_HOST)
    assert queue.find("a") == moved


def test_a_submission_that_the_server_took_before_it_went_silent_counts(queue, monkeypatch):
    rename = Path.rename

    def lost_reply(path, target):
        rename(path, target)
        return rename(path, target)  # the client asks again

    monkeypatch.setattr(Path, "rename", lost_reply)
    made = submitted(queue, "a")
    assert queue.find("a") == made
    with pytest.raises(BadInput, match="neither queued nor running"):
        submitted(queue, "a")


class Killed(BaseException):
    """The process is gone."""


CHANGING = [(os, name) for name in ("link", "unlink", "rename", "replace", "fsync", "open", "mkdir")]


def dying(call, left, is_done):
    """A call that is the process's last once so many others were made; whether it is done then, and none after it."""

    def made(*arguments, **keywords):
        left[0] -= 1
        if left[0] < (-1 if is_done else 0):
            raise Killed
        found = call(*arguments, **keywords)
        if left[0] < 0:
            raise Killed
        return found

    return made


@pytest.mark.parametrize("step", ["submit", "take", "end"])
@pytest.mark.parametrize("is_done", [False, True], ids=["before", "after"])
def test_wherever_a_process_dies_the_entry_is_there_once(queue, step, is_done, monkeypatch):
    """It dies at each call that changes a file, one after the other, until it makes all of them."""
    allowed = {"submit": {State.QUEUED}, "take": {State.QUEUED, State.RUNNING}, "end": {State.RUNNING, State.DONE}}
    points, is_over = 0, False
    while not is_over:
        run_id, is_over = f"run-{points}", True
        if step != "submit":
            entry = submitted(queue, run_id)
        if step == "end":
            entry = queue.move(entry, State.RUNNING, holder=OTHER_HOST)
        with monkeypatch.context() as patch:
            left = [points]
            for module, name in CHANGING:
                patch.setattr(module, name, dying(getattr(module, name), left, is_done))
            try:
                if step == "submit":
                    submitted(queue, run_id)
                elif step == "take":
                    queue.move(entry, State.RUNNING, holder=OTHER_HOST)
                else:
                    queue.move(entry, State.DONE)
            except Killed:
                is_over = False
        found = [each for each in (*queue.entries(), *queue.ended()) if each.run_id == run_id]
        assert len(found) <= 1
        assert {each.state for each in found} <= allowed[step]
        if not found:
            assert step == "submit"
            assert not is_over
            found = [submitted(queue, run_id)]  # nothing of it is in the way
        if not found[0].is_over:
            queue.move(found[0], State.FAILED)
        points += 1
    assert points > 5


def test_what_cannot_be_read_stops_nothing(queue):
    submitted(queue, "a")
    submitted(queue, "b")
    (queue.folder / "entries/a/000000.json").write_text("{")
    (queue.folder / "entries/lost+found").mkdir()
    (queue.folder / "entries/a-file").touch()
    assert ids(queue.entries()) == ["b"]
    assert list(queue.senseless) == ["a"]
    with pytest.raises(Senseless, match="format 9"):
        Change.from_json({"format": 9})


@pytest.mark.parametrize(
    "wrong", [{"priority": "high"}, {"order": None}, {"run_id": 5}, {"run_file": ["a"]}, {"run_id": "other"}]
)
def test_an_entry_that_cannot_be_compared_or_moved_stops_nothing(queue, wrong):
    submitted(queue, "a")
    submitted(queue, "b")
    path = queue.folder / "entries/a/000000.json"
    said = json.loads(path.read_text())
    path.write_text(json.dumps({**said, "submission": {**said["submission"], **wrong}}))
    assert ids(queue.entries()) == ["b"]
    assert list(queue.senseless) == ["a"]


def test_what_may_not_be_read_or_put_away_stops_nothing(queue, monkeypatch):
    submitted(queue, "a")
    submitted(queue, "b")
    queue.move(submitted(queue, "c"), State.CANCELLED)
    real = os.open

    def refused(path, *arguments, **keywords):
        if Path(path).name == "a":
            raise PermissionError(errno.EACCES, "Permission denied")
        return real(path, *arguments, **keywords)

    monkeypatch.setattr(os, "open", refused)
    assert ids(queue.entries()) == ["b"]
    assert "may not be read" in queue.senseless["a"]
    monkeypatch.undo()
    over = queue.find("b")

    def refuse(*_):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "rename", refuse)
    queue.move(over, State.CANCELLED)
    assert ids(queue.entries()) == ["a"]


def test_root_leaves_nothing_in_the_queue_of_somebody_else(queue, monkeypatch, capsys):
    """The workers could neither take it nor put it away."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "stat", owned_by(64000, queue.folder))
    assert slipway("node", "submit", "cartpole-ppo", "--queue", queue.folder) == 2
    said = capsys.readouterr().err
    assert "slipway: --queue: " in said
    assert "this one belongs to user 64000" in said
    assert "runuser -u 64000 --" in said
    assert slipway("node", "queue", "--queue", queue.folder) == 0
    entry = submitted(queue, "a")
    assert slipway("node", "cancel", "a", "--queue", queue.folder) == 2
    assert "this one belongs to user 64000" in capsys.readouterr().err
    assert queue.find("a") == entry


def test_who_may_not_change_an_entry_is_told_so(queue, monkeypatch):
    entry = submitted(queue, "a")

    def refuse(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "link", refuse)
    with pytest.raises(SlipwayError, match=f"refuses user {pwd.getpwuid(os.geteuid()).pw_name}: Permission denied"):
        queue.move(entry, State.CANCELLED)


def owned_by(user, folder):
    """A stat that says so of a folder."""
    real = os.stat

    def stat(path, *arguments, **keywords):
        found = real(path, *arguments, **keywords)
        values = list(found)
        if Path(path) == folder:
            values[4] = user
        return os.stat_result(values) if Path(path) == folder else found

    return stat


def test_a_host_is_drained_until_it_is_not(queue):
    assert queue.drained("here") is None
    queue.drain("here", is_now=True, by="me")
    assert queue.drained("here").is_now
    assert queue.drained("there") is None
    assert queue.drained_hosts() == ["here"]
    queue.undrain("here")
    queue.undrain("here")
    assert queue.drained("here") is None
    with pytest.raises(BadInput, match="--host"):
        queue.drain("../x", is_now=False, by="me")


def test_what_one_has_drained_another_does_not_undrain(queue, capsys):
    def drained(*command):
        assert slipway("node", *command, "--queue", queue.folder, "--host", "gpu-1", "--json") == 0
        return json.loads(capsys.readouterr().out)

    assert drained("undrain", "--by", "removal") == {"host": "gpu-1", "drained": False, "changed": False}
    drained("drain", "--now", "--by", "removal")
    assert queue.drained("gpu-1") == Drained(True, "removal")
    assert drained("undrain", "--by", "removal")["changed"]
    assert queue.drained("gpu-1") is None
    drained("drain")
    drained("drain", "--now", "--by", "removal")  # it was another's before: that one's it stays
    assert queue.drained("gpu-1") == Drained(True, getpass.getuser())
    assert drained("undrain", "--by", "removal") == {"host": "gpu-1", "drained": True, "changed": False}
    drained("drain", "--now", "--by", "removal")
    drained("undrain")
    drained("drain", "--by", "removal")
    drained("drain")
    assert queue.drained("gpu-1") == Drained(False, getpass.getuser())


def test_a_worker_is_dead_when_its_sign_has_not_changed_for_long():
    time = [0.0]
    watch = Watch(10, lambda: time[0])

    def looks(sign, until):
        """What it finds in looks two seconds apart."""
        found = []
        while time[0] <= until:
            found.append(watch.is_dead(OTHER_HOST, sign))
            time[0] += 2
        return found

    assert looks(b"1", 8) == [False] * 5
    assert looks(b"2", 18) == [False] * 5
    assert looks(b"2", 20) == [True]
    assert looks(b"3", 22) == [False]


def test_time_in_which_nobody_could_look_is_nobody_s_silence():
    """The NAS was away for an hour: an idle worker that is faster than the holder takes nothing from it."""
    time = [0.0]
    watch = Watch(120, lambda: time[0])
    others = [OTHER_HOST, dataclasses.replace(OTHER_HOST, slot=1, token="another")]
    assert not any(watch.is_dead(holder, b"1") for holder in others)
    time[0] = 3600
    assert not any(watch.is_dead(holder, b"1") for holder in others)
    for time[0] in range(3602, 3720, 2):
        assert not any(watch.is_dead(holder, b"1") for holder in others)
    time[0] = 3720
    assert all(watch.is_dead(holder, b"1") for holder in others)


def test_the_sign_of_life_is_of_that_very_process(queue):
    here = Holder.here(0)
    later = Holder.here(0)
    assert queue.sign_of_life(here) is None
    queue.beat(here, {"beats": 1})
    assert queue.sign_of_life(here)
    queue.beat(later, {"beats": 1})
    assert queue.sign_of_life(here) is None
    assert here.place == later.place


def test_starts_of_the_last_minutes_count():
    assert recent((0.0, 101.0, 3700.0), 3700.5, 60) == (101.0, 3700.0)


@pytest.mark.parametrize("state", State)
def test_nothing_follows_an_end_and_no_other_step_is_taken(state):
    assert bool(FOLLOWING[state]) == (state not in ENDS)
    entry = Entry(Submission("a", ""), 3, Change(state, "now"))
    for other in set(State) - FOLLOWING[state]:
        with pytest.raises(SlipwayError, match="cannot become"):
            entry.then(other, "now")


# -- commands ---


def slipway(*arguments):
    return application.run([str(argument) for argument in arguments])


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        (["slipway/CartPol-v1"], "env.id"),
        (["cartpole-ppo", "--set", "agent.learning_rate=2"], "agent.learning_rate"),
        (["cartpole-ppo", "--run-id", "../a"], "--run-id"),
        (["no.yaml"], "RUNFILE"),
        (["cartpole-ppo", "--priority", "high"], "--priority"),
        (["cartpole-ppo", "--seeds", "0"], "--seeds"),
    ],
)
def test_a_run_that_would_not_do_is_refused_when_it_is_submitted(queue, arguments, field, capsys):
    assert slipway("node", "submit", *arguments, "--queue", queue.folder) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"slipway: {field}: ")
    assert len(said.err.splitlines()) == 3
    assert queue.entries() == []


def test_a_queue_that_is_not_there_is_not_made(tmp_path, capsys):
    for command in (
        ["submit", "cartpole-ppo"],
        ["queue"],
        ["drain"],
        ["cancel", "x"],
        ["work", "--store", tmp_path / "r"],
    ):
        assert slipway("node", *command, "--queue", tmp_path / "no") == 2
        assert "slipway: --queue: " in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_metrics_in_clear_stay_on_the_machine(queue, tmp_path, capsys):
    command = ["node", "work", "--queue", queue.folder, "--store", tmp_path, "--metrics-host", "0.0.0.0"]
    assert slipway(*command) == 2
    assert "slipway: --metrics-host: '0.0.0.0' is not allowed" in capsys.readouterr().err
    assert slipway(*command, "--certificate", "a.pem") == 2
    assert "slipway: --key: a missing value" in capsys.readouterr().err


def test_the_commands_show_and_change_the_queue(queue, capsys):
    assert (
        slipway("node", "submit", "cartpole-ppo", "--queue", queue.folder, "--run-id", "a", "--seeds", 2, "--json") == 0
    )
    assert json.loads(capsys.readouterr().out)["state"] == "queued"
    assert slipway("node", "submit", "cartpole-ppo", "--queue", queue.folder, "--run-id", "a") == 2
    assert "neither queued nor running" in capsys.readouterr().err
    queue.beat(OTHER_HOST, {"host": "gpu-2"})
    assert slipway("node", "drain", "--queue", queue.folder, "--host", "gpu-1", "--json") == 0
    said = capsys.readouterr()
    assert json.loads(said.out) == {"host": "gpu-1", "drained": True, "running": []}
    assert "No worker of gpu-1 was ever here; those that were are of gpu-2." in said.err
    assert slipway("node", "cancel", "a", "--queue", queue.folder) == 0
    assert slipway("node", "cancel", "a", "--queue", queue.folder) == 2
    capsys.readouterr()
    assert slipway("node", "queue", "--queue", queue.folder, "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["entries"], shown["drained"], shown["senseless"]) == ([], ["gpu-1"], {})
    assert [(entry["run_id"], entry["state"], entry["seeds"]) for entry in shown["ended"]] == [("a", "cancelled", 2)]
    assert slipway("node", "undrain", "--queue", queue.folder, "--host", "gpu-1") == 0
    assert slipway("node", "queue", "--queue", queue.folder) == 0
    assert "cancelled" in capsys.readouterr().out


def test_a_user_without_a_name_submits_by_its_number(queue, monkeypatch):
    def unknown():
        raise KeyError("getpwuid(): uid not found: 1234")

    monkeypatch.setattr(getpass, "getuser", unknown)
    assert slipway("node", "submit", "cartpole-ppo", "--queue", queue.folder, "--run-id", "a") == 0
    assert queue.find("a").submission.submitted_by == f"{os.geteuid()}@{socket.gethostname()}"


def test_python_submits_and_lists(queue):
    run_file = load.validate({**RUN_FILE, "store": "elsewhere"})
    made = queues.submit(queue.folder, run_file, "a", priority=3)
    assert queues.entries(queue.folder) == [made]
    assert load.validate(__import__("yaml").safe_load(made.submission.run_file)) == run_file


# -- all that can happen, in any order ---


class Life(RuleBasedStateMachine):
    """Workers take entries, end them, put them back, are superseded; each knows what it saw last, which may be old."""

    entries = Bundle("entries")

    def __init__(self):
        super().__init__()
        import tempfile

        self.folder = tempfile.TemporaryDirectory()
        self.queue = Queue(Path(self.folder.name))
        self.queue.check(write=True)
        self.submissions, self.steps = {}, {}
        self.holders = [Holder.here(slot) for slot in range(3)]

    def teardown(self):
        self.folder.cleanup()

    @rule(target=entries, run_id=st.sampled_from("abc"), priority=st.integers(-1, 1))
    def submit(self, run_id, priority):
        there = {entry.run_id for entry in self.queue.entries()}
        try:
            entry = submitted(self.queue, run_id, priority=priority)
        except BadInput:
            assert run_id in there
            return multiple()
        assert run_id not in there
        self.submissions[entry.submission.token] = entry
        self.steps[entry.submission.token, 0] = entry.change
        return entry

    @rule(target=entries, entry=entries, state=st.sampled_from(list(State)), slot=st.integers(0, 2))
    def move(self, entry, state, slot):
        """With the entry as it was seen at some time."""
        token = entry.submission.token
        newest = self.submissions[token]
        try:
            moved = self.queue.move(entry, state, holder=self.holders[slot])
        except Lost:
            assert newest.number > entry.number
            return multiple()
        except SlipwayError:
            assert state not in FOLLOWING[entry.state]
            return multiple()
        assert newest.number == entry.number
        assert (token, moved.number) not in self.steps
        self.steps[token, moved.number] = moved.change
        self.submissions[token] = moved
        return moved

    @invariant()
    def nothing_is_lost(self):
        open_, ended = self.queue.entries(), self.queue.ended()
        found = {entry.submission.token: entry for entry in (*open_, *ended)}
        assert found == self.submissions
        assert len(found) == len(open_) + len(ended)
        assert not any(entry.is_over for entry in open_)
        assert all(entry.is_over for entry in ended)
        assert [entry.rank for entry in open_] == sorted(entry.rank for entry in open_)


TestLife = Life.TestCase
TestLife.settings = settings(
    max_examples=30, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
