"""Who is at work on a site, what is kept of it, and what Ctrl-C does: without Ansible, whose part other tests have."""

import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest
import yaml

from infra.onprem import bundle, lock, playbooks, runner
from infra.onprem import site as sites
from infra.onprem.artifacts import KEPT, Artifacts
from infra.onprem.display import Silent
from infra.onprem.events import Problem
from infra.onprem.inventory import Inventory
from infra.onprem.lock import Locked, Turn
from infra.onprem.passwords import Passwords
from infra.onprem.runner import First, Outcome, Result, Target
from infra.onprem.site import Interrupted, Site
from trainer.bundle import build
from trainer.errors import BadInput, SlipwayError

OLD = "bob on laptop (process 7) with slipway onprem up, since long ago"


class Shown(Silent):
    """Remembers what was said."""

    def __init__(self):
        self.said = []

    def say(self, text):
        self.said.append(text)


class Played:
    """In place of Ansible: answers one after the other, the last for good."""

    def __init__(self, monkeypatch, *answers):
        self.calls, self.answers = [], list(answers)
        monkeypatch.setattr(runner, "play", self)

    def __call__(self, playbooks, target, display, **more):
        names = [path.stem for path in playbooks]
        self.calls.append((names, more.get("variables") or {}, more.get("first", First.STOPS_AFTER_TASK)))
        if names == ["unlock"]:
            return Result()
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    @property
    def names(self):
        return [" ".join(names) for names, _, _ in self.calls]


@pytest.fixture
def site(tmp_path):
    found = Inventory(tmp_path / "hosts.yml", "lab", {"one": {bundle.VARIABLE: "none"}}, {"gpu": ["one"]}, ("one",), ())
    target = Target(found.path, None, Passwords(), Artifacts.of("lab", found.path, tmp_path / "kept"))
    return Site(found, target, Shown())


def locked(*holders):
    problems = [Problem(f"host-{number}", "", f"{lock.HELD}{words}") for number, words in enumerate(holders)]
    return Result(outcome=Outcome.FAILED, tasks=4, last="Insist on it", problems=problems)


# Turns ----------------------------------------------------------------------------------------------------------------


def test_a_turn_knows_who_had_it_before_and_no_two_have_it(tmp_path):
    with lock.on_this_machine(tmp_path, "first") as turn:
        assert turn == Turn("first")
        with pytest.raises(Locked, match="locked by first\n"), lock.on_this_machine(tmp_path, "other"):
            pass
    with lock.on_this_machine(tmp_path, "second") as turn:
        assert turn == Turn("second", frozenset({"first"}))
        with pytest.raises(Locked, match="locked by second\n"), lock.on_this_machine(tmp_path, "other"):
            pass
    for number in range(30):
        with lock.on_this_machine(tmp_path, str(number)) as turn:
            assert len(turn.gone) < lock.REMEMBERED
    assert turn.gone >= {"28", "12"}


def test_a_lock_left_by_a_process_of_this_machine_that_is_gone_is_taken(site, monkeypatch):
    played = Played(monkeypatch, locked(OLD, OLD), Result())
    assert sites.up(site, Turn("me", frozenset({OLD}))).outcome is Outcome.DONE
    assert played.names == ["lock site unlock", "unlock", "unlock", "lock site unlock"]
    assert [given["lock_holder"] for _, given, _ in played.calls] == ["me", "me", OLD, "me"]
    assert site.display.said == [f"host-0, host-1: still locked by {OLD}, which is over: taking the lock"]


@pytest.mark.parametrize("others", [["eve on desk"], [OLD, "eve on desk"]])
def test_a_lock_of_somebody_else_is_left_alone(site, monkeypatch, others):
    played = Played(monkeypatch, locked(*others))
    with pytest.raises(Locked, match="locked by eve on desk\n"):
        sites.up(site, Turn("me", frozenset({OLD})))
    assert {given["lock_holder"] for _, given, _ in played.calls} == {"me"}
    assert played.names == ["lock site unlock", "unlock"]


def test_a_lock_that_comes_back_is_not_taken_for_ever(site, monkeypatch):
    played = Played(monkeypatch, locked(OLD))
    with pytest.raises(SlipwayError, match="up lab: failed"):
        sites.up(site, Turn("me", frozenset({OLD})))
    assert played.names.count("lock site unlock") == 2


# Ctrl-C ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "said", "asks", "now"),
    [
        (First.STOPS_AFTER_TASK, First.STOPS_AFTER_TASK.value, True, [False, True]),
        (First.STOPS_NOW, None, False, [True, True]),
        (First.WAITS, First.WAITS.value, False, [False, True]),
    ],
)
def test_what_the_first_ctrl_c_does(tmp_path, monkeypatch, first, said, asks, now):
    monkeypatch.setattr("psutil.Process.children", lambda *_, **__: [])
    shown = Shown()
    stop = runner._Stop(tmp_path / "stop", shown, first)
    with stop.listening():
        assert not stop.now()
        for is_now in now:
            os.kill(os.getpid(), signal.SIGINT)
            assert shown.said in ([], [said])
            assert (stop.now(), stop.is_now) == (is_now, is_now)
    assert shown.said == ([said] if said else [])
    assert (tmp_path / "stop").exists() == asks


def test_nothing_is_said_inside_a_signal(tmp_path):
    """What was interrupted may be saying something: Python refuses to write in the middle of that."""
    shown = Shown()
    stop = runner._Stop(tmp_path / "stop", shown, First.STOPS_AFTER_TASK)
    with stop.listening():
        os.kill(os.getpid(), signal.SIGINT)
        assert shown.said == []
        stop.now()
        stop.now()
    assert len(shown.said) == 1


def test_locks_are_given_back_whole_although_somebody_is_impatient(site, monkeypatch):
    played = Played(monkeypatch, Result(outcome=Outcome.STOPPED, interrupted=True, tasks=3, last="Change"))
    with pytest.raises(Interrupted, match="stopped before task 3"):
        sites.up(site, Turn("me"))
    assert [first for names, _, first in played.calls if names == ["unlock"]] == [First.WAITS]


def test_a_check_that_was_to_stop_in_its_last_task_lets_nothing_begin(site, monkeypatch):
    Played(monkeypatch, Result(interrupted=True))
    with pytest.raises(Interrupted, match="nothing was changed"):
        sites.check(site)


def test_a_check_says_the_same_whichever_host_is_the_fastest(site, monkeypatch):
    said = [
        Problem("one", "", "Release: old.", number=9),
        Problem("one", "", "Disk: full.", number=9),
        Problem("two", "", "Release: old.", number=9),
        Problem("gone", "Look", "no route to host", unreachable=True, number=1),
    ]
    for problems in (said, said[::-1], [said[2], *said[:2], said[3]]):
        ordered = sorted(problems, key=lambda each: each.message == "Disk: full.")  # a host's own order is its role's
        Played(monkeypatch, Result(outcome=Outcome.FAILED, tasks=9, last=sites.SUMMARY, problems=ordered))
        with pytest.raises(sites.Unfit) as raised:
            sites.check(site)
        _, first, *others = str(raised.value).split("\n  ")
        assert first.startswith("gone: not reached"), first
        assert others == ["one, two: Release: old.", "one: Disk: full."]


def test_what_only_looks_ends_as_any_program_does(site, monkeypatch, tmp_path):
    (tmp_path / "said").mkdir()
    told = [("one", "Tell", {})]
    played = Played(monkeypatch, Result(interrupted=True, told=told, folder=tmp_path / "said"))
    with pytest.raises(KeyboardInterrupt):
        sites.tell(site, "status", title="looking")
    assert played.calls[0][2] is First.STOPS_NOW
    assert not (tmp_path / "said").exists()


def test_a_host_that_does_not_say_what_goes_is_not_taken_down(site, monkeypatch):
    told = [("one", sites.ANNOUNCE, {"removed": []})]
    expected = Problem("one", sites.ASK, "teardown_confirmed: no.", number=5)
    Played(monkeypatch, Result(outcome=Outcome.FAILED, tasks=5, last=sites.ASK, problems=[expected], told=told))
    assert sites.foresee(site) == {"one": {"removed": []}}
    problems = [expected, Problem("two", "site: Read", "sudo refuses its password")]
    Played(monkeypatch, Result(outcome=Outcome.FAILED, tasks=5, last=sites.ASK, problems=problems, told=told))
    with pytest.raises(SlipwayError, match="two: sudo refuses its password") as raised:
        sites.foresee(site)
    assert "teardown_confirmed" not in str(raised.value)
    lost = Problem("one", "Ask", "Connection reset", unreachable=True, reached=True)
    Played(monkeypatch, Result(outcome=Outcome.FAILED, tasks=5, last=sites.ASK, problems=[lost], told=told))
    with pytest.raises(SlipwayError, match="one: its connection was lost"):
        sites.foresee(site)


def test_a_lock_that_somebody_else_has_broken_and_taken_meanwhile_is_not_broken(tmp_path):
    (play,) = yaml.safe_load((playbooks.FOLDER / "lock.yml").read_text())
    (argv,) = (task["ansible.builtin.command"]["argv"] for task in play["tasks"] if task["name"] == "Break it")
    path = tmp_path / "site.lock"
    values = {
        "{{ lock_path | dirname }}": tmp_path,
        "{{ lock_path }}": path,
        "{{ lock_broken.stdout }}": "the dead one",
    }
    for holder, is_there in (("another", True), ("the dead one", False)):
        path.unlink(missing_ok=True)
        path.symlink_to(holder)
        subprocess.run([str(values.get(word, word)) for word in argv], check=True)
        assert path.is_symlink() == is_there


# What is kept ---------------------------------------------------------------------------------------------------------


def test_looking_often_does_not_push_out_what_was_changed(tmp_path):
    kept = Artifacts.of("lab-2", tmp_path / "hosts.yml", tmp_path / "kept")
    changed = kept.make("up lab-2") / "said"
    changed.touch()
    for _ in range(KEPT + 5):
        kept.make("looking at lab-2")
    names = [path.name for path in (tmp_path / "kept/runs").iterdir()]
    assert changed.is_file()
    assert sum("looking-at-lab-2" in name for name in names) == KEPT
    for _ in range(KEPT):
        kept.make("up lab-2")
    assert not changed.exists()


def test_two_that_remember_at_once_lose_nothing_of_theirs(tmp_path):
    kept = Artifacts.of("lab", tmp_path / "hosts.yml", tmp_path)
    threads = [threading.Thread(target=lambda: [kept.remember("up", 7) for _ in range(50)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert kept.total("up") == 7
    assert {path.name for path in tmp_path.iterdir()} == {"lock", "tasks.json"}


@pytest.mark.parametrize("place", ["file", "file/below", "/proc/no"])
def test_a_folder_that_cannot_be_written_is_bad_input(tmp_path, place):
    (tmp_path / "file").touch()
    with pytest.raises(BadInput, match="--artifacts"):
        Artifacts.of("lab", tmp_path / "hosts.yml", tmp_path / place)


def test_a_bundle_is_not_changed_under_who_reads_it(tmp_path, monkeypatch):
    content = {"manifest.json": b"{}"}

    def write(run_file, out, **_):
        from trainer.bundle import archive

        with out.open("wb") as file:
            archive.pack(content, file)

    monkeypatch.setattr(build, "build", write)
    inventory = Inventory(Path(), "lab", {"one": {}}, {"gpu": ["one"]}, ("one",), ())
    first = Path(bundle.variables(inventory, tmp_path)[bundle.VARIABLE])
    before = (first / "manifest.json").stat()
    assert Path(bundle.variables(inventory, tmp_path)[bundle.VARIABLE]) == first
    assert (first / "manifest.json").stat() == before
    for number in range(bundle.KEPT):
        content["manifest.json"] = f"[{number}]".encode()
        time.sleep(0.01)
        newest = Path(bundle.variables(inventory, tmp_path)[bundle.VARIABLE])
        assert first.exists() == (number < bundle.KEPT - 1)
    assert (newest / "manifest.json").read_bytes() == b"[2]"
    assert len(list((tmp_path / "bundles").iterdir())) == bundle.KEPT
