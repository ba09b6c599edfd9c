"""Run directories: made whole, opened, locked."""

import json
import re
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from trainer.config import load
from trainer.errors import BadInput, SlipwayError
from trainer.run import directory as directories
from trainer.run import group, ids, resumable
from trainer.run.directory import RunDirectory
from trainer.run.status import State
from trainer.store import resolve

RUN_FILE = load.validate({"env": {"id": "slipway/CartPole-v1"}, "seed": 3})

HOLDER = """
import sys
from pathlib import Path
from trainer.run.directory import RunDirectory
with RunDirectory.open(Path(sys.argv[1])).lock():
    print("locked", flush=True)
    sys.stdin.read()
"""

LIMITED = """
import resource, signal, sys
from trainer.config import load
from trainer.errors import SlipwayError
from trainer.run.directory import RunDirectory
from trainer.store import resolve
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (300, 300))
try:
    RunDirectory.create(resolve(sys.argv[1]), "a", load.validate({"env": {"id": "slipway/CartPole-v1"}}))
except SlipwayError as error:
    print(error)
    sys.exit(9)
"""


@pytest.fixture
def store(tmp_path):
    return resolve(str(tmp_path / "runs"))


def test_a_new_run_has_its_file_and_its_status(store, tmp_path):
    run = RunDirectory.create(store, "a", RUN_FILE)
    assert run.run_file() == RUN_FILE
    assert run.status().state is State.QUEUED
    assert run.run_id == run.status().run_id == "a"
    assert {path.name for path in run.folder.iterdir()} == {"run.yaml", "status.json"}
    assert store.run_ids() == ["a"]
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["a"]
    assert RunDirectory.open(run.folder).run_file() == RUN_FILE


@pytest.mark.parametrize("there", ["run", "empty", "file"])
def test_an_id_that_is_taken_is_refused_and_nothing_changes(store, tmp_path, there):
    folder = tmp_path / "runs" / "a"
    if there == "run":
        RunDirectory.create(store, "a", RUN_FILE)
    elif there == "empty":
        folder.mkdir(parents=True)
    else:
        folder.parent.mkdir()
        folder.touch()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(BadInput, match="does not have yet"):
        RunDirectory.create(store, "a", RUN_FILE)
    assert sorted(tmp_path.rglob("*")) == before


def test_of_many_who_make_the_same_run_one_does(store):
    def make(_):
        try:
            return RunDirectory.create(store, "a", RUN_FILE)
        except BadInput:
            return None

    with ThreadPoolExecutor(8) as pool:
        made = [run for run in pool.map(make, range(16)) if run]
    assert len(made) == 1
    assert [path.name for path in made[0].folder.parent.iterdir()] == ["a"]


@pytest.mark.parametrize("run_id", ["", "a/b", "..", ".a", "-a", "a b", "a" * 101, "ä", "a\n"])
def test_ids_that_could_name_no_folder(store, tmp_path, run_id):
    with pytest.raises(BadInput) as caught:
        RunDirectory.create(store, run_id, RUN_FILE)
    assert caught.value.field == "--run-id"
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_nothing_behind(tmp_path):
    result = subprocess.run([sys.executable, "-c", LIMITED, str(tmp_path)], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (9, "")
    assert "cannot write" in result.stdout
    assert list(tmp_path.iterdir()) == []


def test_one_writer_at_a_time_across_processes(store):
    run = RunDirectory.create(store, "a", RUN_FILE)
    assert not run.is_locked()
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(run.folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout.readline() == "locked\n"
        assert run.is_locked()
        with pytest.raises(BadInput, match=f"process {holder.pid} on") as caught, run.lock():
            raise AssertionError("two writers")
        assert caught.value.field == "RUN"
        with pytest.raises(BadInput, match=f"process {holder.pid} on"):
            resumable.check(run.folder)
        holder.kill()
        holder.wait()
        # The lock went with the process, although nothing cleaned up.
        with run.lock():
            assert run.is_locked()
    finally:
        holder.kill()
        holder.communicate()
    assert not run.is_locked()


def test_whoever_only_looks_is_in_nobodys_way(store):
    run = RunDirectory.create(store, "run", RUN_FILE)
    with run.lock():
        pass
    done = threading.Event()

    def look():
        while not done.is_set():
            run.is_locked()

    with ThreadPoolExecutor(2) as pool:
        looking = [pool.submit(look) for _ in range(2)]
        try:
            for _ in range(200):
                with run.lock():
                    assert run.is_locked()
        finally:
            done.set()
    assert [each.result() for each in looking] == [None, None]


def test_moves_are_written(store):
    run = RunDirectory.create(store, "a", RUN_FILE)
    run.move(State.RUNNING)
    run.move(State.PREEMPTED, env_steps=7, message="SIGTERM")
    assert (run.status().state, run.status().env_steps) == (State.PREEMPTED, 7)
    run.move(State.RUNNING)
    run.move(State.FINISHED)
    with pytest.raises(SlipwayError, match="cannot become"):
        run.move(State.RUNNING)


def test_a_finished_run_does_not_go_on(store):
    run = RunDirectory.create(store, "a", RUN_FILE)
    resumable.check(run.folder)
    run.move(State.RUNNING)
    run.move(State.FINISHED)
    with pytest.raises(BadInput, match="not finished"):
        resumable.check(run.folder)


def test_what_is_no_run_or_another_versions(store, tmp_path):
    with pytest.raises(BadInput, match="run directory"):
        RunDirectory.open(tmp_path)
    run = RunDirectory.create(store, "a", RUN_FILE)
    run.status_path.write_text(json.dumps({**run.status().to_json(), "format": 99}))
    with pytest.raises(BadInput, match="this one has format 99"):
        RunDirectory.open(run.folder)
    run.status_path.write_text("{")
    with pytest.raises(SlipwayError, match="no JSON"):
        RunDirectory.open(run.folder)


def test_a_group_and_its_members(store, tmp_path):
    folder = group.create(store, "g", group.with_seeds(RUN_FILE, 3))
    said = json.loads((folder / "group.json").read_text())
    assert said == {"format": 1, "members": ["seed-3", "seed-4", "seed-5"], "training_seeds": [3, 4, 5]}
    members = group.members(folder)
    assert [member.run_file().seed for member in members] == [3, 4, 5]
    assert [member.run_id for member in members] == ["g/seed-3", "g/seed-4", "g/seed-5"]
    assert store.run_ids() == ["g"]
    for member in members:
        resumable.check(folder)
        member.move(State.RUNNING)
        member.move(State.FINISHED)
    resumable.check(folder)  # the evaluation across them is still to be made
    (folder / "evaluation.json").write_text("{}")
    with pytest.raises(BadInput, match="not finished"):
        resumable.check(folder)
    with pytest.raises(BadInput, match="does not have yet"):
        group.create(store, "g", group.with_seeds(RUN_FILE, 2))


def test_groups_that_are_damaged_or_another_versions(store):
    folder = group.create(store, "g", group.with_seeds(RUN_FILE, 2))
    for text, kind in (('{"format": 9}', BadInput), ('{"format": 1}', SlipwayError), ("", SlipwayError)):
        (folder / "group.json").write_text(text)
        with pytest.raises(kind):
            group.members(folder)


def test_more_seeds_than_there_are():
    last = RUN_FILE.model_copy(update={"seed": (1 << 30) - 2})
    assert len(group.with_seeds(last, 2)) == 2
    with pytest.raises(BadInput, match="from 1 to 2"):
        group.with_seeds(last, 3)


@pytest.mark.parametrize(
    ("env_id", "name", "start"),
    [
        ("slipway/LostSales-v0", None, "lostsales-ppo"),
        ("gymnasium:ALE/Pong-v5", None, "pong-ppo"),
        ("gymnasium:module:Some_Task-v12", None, "some-task-ppo"),
        ("gymnasium:ä", None, "run-ppo"),
        ("slipway/CartPole-v1", "my.name", "my.name"),
        ("slipway/CartPole-v1", "n" * 100, "n" * 75),
    ],
)
def test_fresh_ids_are_allowed_and_never_the_same(env_id, name, start):
    run_file = load.validate({"env": {"id": env_id}, "name": name})
    made = {ids.new(run_file) for _ in range(20)}
    assert len(made) == 20
    assert all(re.fullmatch(re.escape(start) + r"-\d{8}-\d{6}-[0-9a-f]{6}", ids.check(one)) for one in made)


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(SlipwayError, match="cannot make"):
        directories.make_folder(tmp_path / "file" / "a", {})
