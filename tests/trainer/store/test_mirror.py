"""Runs in a shared place: begun, gone on with, finished, read."""

import contextlib
import dataclasses
import json
import shutil

import pytest
from memory_objects import MemoryObjects
from stand_in_training import QUICK, StandIn, content, continued

from trainer.errors import BadInput, SlipwayError
from trainer.run.directory import lock_folder
from trainer.run.status import State
from trainer.store import mirror as mirrors
from trainer.store import shared
from trainer.store.journal import Entry, Holder, Journal, Kind, Superseded
from trainer.store.lease import Patience
from trainer.store.mirror import Mirror
from trainer.store.objects.base import Missing, Unreachable
from trainer.store.told import Told
from trainer.store.verify import verify


def begun(objects, folder, steps=2, pace=QUICK, **told):
    """A run with some committed steps, held."""
    training = StandIn(folder).begin()
    mirror = Mirror.create(objects, "run", folder, pace=pace, told=Told(**told))
    for _ in range(steps):
        mirror.snapshot(training.train())
        assert mirror.wait(20)
    return mirror, training


def test_what_one_machine_commits_another_restores(tmp_path):
    objects, heard = MemoryObjects(), []
    mirror, _training = begun(objects, tmp_path / "a", 5, committed=lambda step, number: heard.append((step, number)))
    assert heard == [(step, step + 1) for step in range(1, 6)]
    expected = content(tmp_path / "a")
    mirror.close(State.PREEMPTED)
    assert heard[-1] == (5, 7)
    other, states = continued(objects, tmp_path / "b", commits=0, take_over=False)
    assert states == [expected]
    assert not (tmp_path / "b" / ".lock").exists()
    assert verify(objects, "run").whole
    other.close(State.PREEMPTED)


def test_unchanged_files_are_sent_once_and_growing_ones_by_their_growth(tmp_path):
    objects = MemoryObjects()
    mirror, _training = begun(objects, tmp_path / "a", 3)
    uploads = [call.key for call in objects.calls if call.name == "upload"]
    names = [key.split("/")[-1] for key in uploads]
    assert len(set(uploads)) == len(uploads)
    assert {name: names.count(name) for name in names} == {
        "run.yaml": 1, "status.json": 4, "tensors": 3, "manifest.json": 3, "metrics.jsonl": 3, "events.1": 3,
    }  # fmt: skip
    lines = (tmp_path / "a" / "metrics.jsonl").read_bytes().splitlines(keepends=True)
    assert sorted(data for key, data in objects.data.items() if key.endswith("metrics.jsonl")) == sorted(lines)
    mirror.close(State.PREEMPTED)


def test_a_finished_run_lies_under_its_own_names_too_but_checkpoints(tmp_path):
    objects = MemoryObjects()
    mirror, training = begun(objects, tmp_path / "a")
    training.finish()
    mirror.close(State.FINISHED)
    laid_out = {
        key.removeprefix("run/"): data
        for key, data in objects.data.items()
        if key.split("/")[1] not in ("journal", "objects", "heartbeat")
    }
    expected = {path: data for path, data in content(tmp_path / "a").items() if "checkpoints" not in path}
    assert laid_out == expected
    assert "report.html" in expected
    _number, entry = Journal(objects, "run").newest()
    assert (entry.kind, entry.state) == (Kind.RELEASED, "finished")
    assert not [key for key in objects.data if "heartbeat" in key]
    assert list(tmp_path.iterdir()) == [tmp_path / "a"]
    assert verify(objects, "run").whole
    objects.data["run/report.html"] = b"another"
    del objects.data["run/metrics.jsonl"]
    found = verify(objects, "run")
    assert [line.split(":")[0] for line in (*found.wrong, *found.missing)] == ["report.html", "metrics.jsonl"]


def test_a_holder_that_sleeps_while_it_lays_files_out_writes_none_over_a_later_ones(tmp_path):
    objects = MemoryObjects()
    mirror, training = begun(objects, tmp_path / "a", pace=dataclasses.replace(QUICK, workers=1))
    training.finish()
    laid_out = []

    def meddle(call):
        if call.name == "upload" and not call.done and call.key.split("/")[1] not in ("journal", "objects"):
            laid_out.append(call.key)
            if len(laid_out) == 2:  # it sleeps before the second, and another takes the run
                Journal(objects, "run").append(Journal(objects, "run").last(), Entry(Kind.TAKEN, Holder("b", 1), 9, {}))

    objects.meddle = meddle
    with pytest.raises(Superseded, match="process 1 on b"):
        mirror.close(State.FINISHED)
    assert len(laid_out) == 2


def test_a_run_that_is_not_finished_is_not_laid_out(tmp_path):
    objects = MemoryObjects()
    mirror, _ = begun(objects, tmp_path / "a")
    mirror.close(State.PREEMPTED)
    assert not {key.split("/")[1] for key in objects.data} - {"journal", "objects"}


def test_an_id_is_given_once(tmp_path):
    objects = MemoryObjects()
    mirror, _ = begun(objects, tmp_path / "a")
    before = dict(objects.data)
    StandIn(tmp_path / "b").begin()
    with pytest.raises(BadInput, match="--run-id"):
        Mirror.create(objects, "run", tmp_path / "b", pace=QUICK)
    with pytest.raises(BadInput, match="--run-id"):
        Mirror.create(objects, "../run", tmp_path / "b", pace=QUICK)
    assert objects.data == before
    mirror.close(State.PREEMPTED)


def test_two_machines_that_begin_the_same_run_at_once(tmp_path):
    objects, made = MemoryObjects(), []

    def meddle(call):
        if call.name == "create" and not call.done and not made:
            made.append(None)
            made[0] = begun(objects, tmp_path / "b", 5)[0]

    StandIn(tmp_path / "a").begin()
    with pytest.raises(BadInput, match="--run-id"):
        Mirror.create(objects.client(meddle), "run", tmp_path / "a", pace=QUICK)
    made[0].close(State.PREEMPTED)
    assert verify(objects, "run").whole
    shared.pull(objects, "run", tmp_path / "c")
    assert content(tmp_path / "c") == content(tmp_path / "b")


def test_restoring_fetches_only_what_differs_and_removes_what_is_not_named(tmp_path):
    objects = MemoryObjects()
    mirror, _training = begun(objects, tmp_path / "a", 3)
    mirror.close(State.PREEMPTED)
    expected = content(tmp_path / "a")
    StandIn(tmp_path / "a").train()  # what was never committed
    (tmp_path / "a" / "run.yaml").write_bytes(b"agent: []\n")
    (tmp_path / "a" / "model" / "1").mkdir(parents=True)
    (tmp_path / "a" / "latest").symlink_to(tmp_path / "a" / "checkpoints")
    for left in (".run.yaml-x1", "checkpoints/.writing-4/tensors", ".restoring-x/piece"):
        (tmp_path / "a" / left).parent.mkdir(exist_ok=True)
        (tmp_path / "a" / left).write_text("by a process that was killed")
    client = objects.client()
    mirror = Mirror.take(client, "run", tmp_path / "a", pace=QUICK)
    mirror.restore()
    assert content(tmp_path / "a") == expected
    assert {path.name for path in (tmp_path / "a").rglob("*")} == {
        ".lock", ".holder", "run.yaml", "status.json", "metrics.jsonl", "events", "events.1",
        "checkpoints", "0001", "0002", "0003", "tensors", "manifest.json",
    }  # fmt: skip
    fetched = sorted({call.key.split("/")[-1] for call in client.calls if call.name == "download"})
    # The oldest checkpoint had gone for the fourth; of what only grows all pieces are fetched.
    assert fetched == ["events.1", "manifest.json", "metrics.jsonl", "run.yaml", "status.json", "tensors"]
    downloads = [call for call in client.calls if call.name == "download"]
    assert len(downloads) == 3 + 3 + 2 + 1 + 1
    mirror.close(State.PREEMPTED)


def test_who_died_in_the_folder_that_is_gone_on_in_is_not_waited_for(tmp_path):
    """The folder's lock is free, so no machine's clock is needed: in another folder it is waited for."""
    objects = MemoryObjects()

    class Slept(Exception):
        pass

    def sleep(seconds):
        raise Slept

    pace = dataclasses.replace(QUICK, patience=Patience(sleep=sleep))
    begun(objects, tmp_path / "a")[0].abandon()
    for _ in range(2):
        with pytest.raises(Slept):
            Mirror.take(objects, "run", tmp_path / "b", pace=pace)
        mirror = Mirror.take(objects, "run", tmp_path / "a", pace=pace)
        mirror.restore()
        mirror.abandon()
    Mirror.take(objects, "run", tmp_path / "c", take_over=True, pace=pace).abandon()
    with pytest.raises(Slept):
        Mirror.take(objects, "run", tmp_path / "a", pace=pace)


def test_a_lock_that_was_removed_while_it_was_waited_for_is_none(tmp_path, monkeypatch):
    objects = MemoryObjects()
    begun(objects, tmp_path / "a")[0].close(State.PREEMPTED)

    @contextlib.contextmanager
    def late(folder, shown):
        with lock_folder(folder, shown):
            shutil.rmtree(folder)
            folder.mkdir()
            (folder / ".lock").write_text("process 1 on another")
            yield

    monkeypatch.setattr(mirrors, "lock_folder", late)
    with pytest.raises(BadInput, match="another process does"):
        Mirror.take(objects, "run", tmp_path / "a", pace=QUICK)
    assert Journal(objects, "run").newest()[1].kind is Kind.RELEASED


@pytest.mark.parametrize("end", ["died", "closed"])
def test_the_machine_that_wrote_last_may_go_on_with_what_it_has(tmp_path, end):
    objects = MemoryObjects()
    mirror, training = begun(objects, tmp_path / "a", 3)
    mirror.close(State.PREEMPTED) if end == "closed" else mirror.abandon()
    training.train()
    newer, said = content(tmp_path / "a"), []
    client = objects.client()
    mirror = Mirror.take(client, "run", tmp_path / "a", pace=QUICK, told=Told(said.append))
    mirror.restore(keep_newer=True)
    assert content(tmp_path / "a") == newer
    assert "going on with" in said[-1]
    assert not [call for call in client.calls if call.name == "download"]
    mirror.close(State.PREEMPTED, step=4)
    shared.pull(objects, "run", tmp_path / "b")
    assert content(tmp_path / "b") == newer


@pytest.mark.parametrize("meanwhile", ["commits", "only took it", "broke off its restore"])
def test_a_machine_that_did_not_write_last_begins_from_what_is_committed(tmp_path, meanwhile):
    objects = MemoryObjects()
    mirror, training = begun(objects, tmp_path / "a", 3)
    mirror.abandon()
    expected = content(tmp_path / "a")
    training.train()
    if meanwhile == "commits":
        other, states = continued(objects, tmp_path / "b")
        other.abandon()
        expected = states[-1]
    elif meanwhile == "only took it":
        Mirror.take(objects, "run", tmp_path / "b", pace=QUICK).abandon()
    else:

        def meddle(call):
            if call.name == "download":
                raise Unreachable("no answer")

        other = Mirror.take(objects.client(meddle), "run", tmp_path / "a", pace=QUICK)
        with pytest.raises(Unreachable):
            other.restore()
        other.abandon()
    mirror = Mirror.take(objects, "run", tmp_path / "a", pace=QUICK)
    mirror.restore(keep_newer=True)
    assert content(tmp_path / "a") == expected
    mirror.abandon()


def test_what_the_store_has_damaged_is_found(tmp_path):
    objects = MemoryObjects()
    mirror, _ = begun(objects, tmp_path / "a")
    mirror.close(State.PREEMPTED)
    tensors = [key for key in objects.data if key.endswith("tensors")]
    objects.data[tensors[0]] += b"!"
    del objects.data[tensors[1]]
    objects.data["run/objects/000000000001/" + "0" * 64 + "/left"] = b"by a holder that died"
    found = verify(objects, "run")
    assert len(found.wrong) == len(found.missing) == len(found.orphaned) == 1
    assert "tensors" in found.wrong[0]
    assert "tensors" in found.missing[0]
    assert not found.whole
    with pytest.raises(SlipwayError):
        shared.pull(objects, "run", tmp_path / "b")
    assert not (tmp_path / "b").exists()


def test_snapshots_need_a_restored_folder(tmp_path):
    objects = MemoryObjects()
    begun(objects, tmp_path / "a")[0].close(State.PREEMPTED)
    mirror = Mirror.take(objects, "run", tmp_path / "b", pace=QUICK)
    with pytest.raises(SlipwayError, match="not been restored"):
        mirror.snapshot(1)
    with pytest.raises(SlipwayError, match="not been restored"):
        mirror.close(State.FINISHED)
    assert verify(objects, "run").files > 3


def test_one_process_of_a_machine_at_a_time_works_in_a_folder(tmp_path):
    objects = MemoryObjects()
    mirror, _ = begun(objects, tmp_path / "a")
    with pytest.raises(BadInput, match="no process writes to"):
        Mirror.take(objects, "run", tmp_path / "a", take_over=True, pace=QUICK)
    mirror.abandon()
    Mirror.take(objects, "run", tmp_path / "a", take_over=True, pace=QUICK).abandon()


def test_what_a_killed_process_left_beside_the_folder_goes(tmp_path):
    objects = MemoryObjects()
    begun(objects, tmp_path / "a")[0].close(State.PREEMPTED)
    left = tmp_path / ".a-mirror" / "snapshot" / "files"
    left.mkdir(parents=True)
    mirror = Mirror.take(objects, "run", tmp_path / "a", pace=QUICK)
    assert not left.exists()
    mirror.abandon()
    assert list(tmp_path.iterdir()) == [tmp_path / "a"]


def test_groups_are_one_unit(tmp_path):
    objects = MemoryObjects()
    folder = tmp_path / "g"
    folder.mkdir()
    (folder / "group.json").write_text(json.dumps({"members": ["seed-0", "seed-1"]}))
    members = [StandIn(folder / f"seed-{number}", f"m{number}").begin() for number in range(2)]
    mirror = Mirror.create(objects, "g", folder, pace=QUICK)
    for member in members:
        for _ in range(4):
            mirror.snapshot(member.train())
            assert mirror.wait(20)
        member.finish()
    mirror.close(State.FINISHED)
    assert shared.runs(objects) == ["g"]
    shared.pull(objects, "g", tmp_path / "pulled")
    assert content(tmp_path / "pulled") == content(folder)
    assert len(Journal(objects, "g").newest()[1].files["seed-1/metrics.jsonl"].pieces) == 4
    assert not [key for key in objects.data if key.startswith("g/seed-0/checkpoints")]
    assert "g/seed-0/report.html" in objects.data
    assert verify(objects, "g").whole


def test_a_local_run_is_pushed_and_pulled(tmp_path):
    objects = MemoryObjects()
    training = StandIn(tmp_path / "a").begin()
    training.train()
    training.finish()
    shared.push(tmp_path / "a", objects, "run", State.FINISHED)
    with pytest.raises(BadInput, match="--run-id"):
        shared.push(tmp_path / "a", objects, "run", State.FINISHED)
    assert "run/report.html" in objects.data
    heard = []
    shared.pull(objects, "run", tmp_path / "b", received=heard.append)
    assert content(tmp_path / "b") == content(tmp_path / "a")
    assert sum(heard) == sum(len(data) for data in content(tmp_path / "a").values())
    with pytest.raises(BadInput, match="not there yet"):
        shared.pull(objects, "run", tmp_path / "b")
    with pytest.raises(BadInput, match="a run in memory://runs"):
        shared.pull(objects, "other", tmp_path / "c")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def test_a_pull_that_was_broken_off_is_gone_on_with(tmp_path):
    objects = MemoryObjects()
    begun(objects, tmp_path / "a")[0].close(State.PREEMPTED)

    def meddle(call):
        if call.name == "download" and call.number > 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        shared.pull(objects.client(meddle), "run", tmp_path / "b")
    assert not (tmp_path / "b").exists()
    client = objects.client()
    shared.pull(client, "run", tmp_path / "b")
    assert content(tmp_path / "b") == content(tmp_path / "a")
    assert len([call for call in client.calls if call.name == "download"]) < len(content(tmp_path / "a"))


def test_a_reader_whose_entry_is_removed_takes_a_newer_one(tmp_path):
    objects, more = MemoryObjects(), []
    mirror, training = begun(objects, tmp_path / "a")

    def meddle(call):
        if call.name == "download" and not more:
            more.append(True)
            for _ in range(6):
                mirror.snapshot(training.train())
                assert mirror.wait(20)

    number = shared.pull(objects.client(meddle), "run", tmp_path / "b")
    assert number == Journal(objects, "run").last()
    assert content(tmp_path / "b") == content(tmp_path / "a")
    mirror.close(State.PREEMPTED)


def test_small_files_are_read_without_the_rest(tmp_path):
    objects = MemoryObjects()
    begun(objects, tmp_path / "a")[0].close(State.PREEMPTED)
    client = objects.client()
    assert json.loads(shared.read_file(client, "run", "status.json")) == {"state": "running", "step": 2}
    assert len(client.calls) == 3
    found = shared.read_files(client, "run", ["run.yaml", "metrics.jsonl", "evaluation.json"])
    assert found == {path: (tmp_path / "a" / path).read_bytes() for path in ("run.yaml", "metrics.jsonl")}
    with pytest.raises(Missing, match=r"evaluation\.json"):
        shared.read_file(client, "run", "evaluation.json")
    with pytest.raises(Missing, match="no run other"):
        shared.read_file(client, "other", "status.json")
    key = next(key for key in objects.data if key.endswith("run.yaml"))
    objects.data[key] = b"agent: []\n"
    with pytest.raises(SlipwayError, match="sha256"):
        shared.read_file(client, "run", "run.yaml")


def test_only_folders_with_a_journal_are_runs(tmp_path):
    objects = MemoryObjects({"exports/data.parquet": b"", ".hidden/journal/000000000001.json": b"", "file": b""})
    begun(objects, tmp_path / "a")[0].close(State.PREEMPTED)
    assert shared.runs(objects) == ["run"]
