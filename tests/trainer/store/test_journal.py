"""Entries, and who may append them."""

import dataclasses
import json

import pytest
from memory_objects import MemoryObjects

from trainer.errors import BadInput, ExitCode, SlipwayError
from trainer.store.journal import Entry, File, Holder, Journal, Kind, Piece, Superseded
from trainer.store.objects.base import Unreachable

SHA = "a" * 64
FILES = {"run.yaml": File(3, SHA, (Piece(f"objects/000000000001/{SHA}/run.yaml", 3, SHA),)), "empty": File(0, SHA, ())}


def entry(holder, **changes):
    return Entry(**{"kind": Kind.COMMIT, "holder": holder, "taken": 1, "files": FILES, "step": 7, **changes})


def test_an_entry_comes_back_as_it_was():
    made = entry(Holder(), state="finished")
    assert Entry.decode(made.encode(), "run") == made
    assert made.object_keys() == {f"objects/000000000001/{SHA}/run.yaml"}
    assert Holder() != Holder()
    assert entry(made.holder).nonce != made.nonce


def changed(**values):
    return json.dumps({**json.loads(entry(Holder()).encode()), **values}).encode()


PIECE = {"key": "objects/1/a/b", "bytes": 3, "sha256": SHA}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        changed(kind="other"),
        changed(taken="first"),
        changed(holder={}),
        changed(files={"../run.yaml": {"bytes": 0, "sha256": SHA, "pieces": []}}),
        changed(files={"/etc/passwd": {"bytes": 0, "sha256": SHA, "pieces": []}}),
        changed(files={"a//b": {"bytes": 0, "sha256": SHA, "pieces": []}}),
        changed(files={"": {"bytes": 0, "sha256": SHA, "pieces": []}}),
        changed(files={"a": {"bytes": 4, "sha256": SHA, "pieces": [PIECE]}}),
        changed(files={"a": {"bytes": 0, "sha256": "b", "pieces": []}}),
        changed(files={"a": {"bytes": 3, "sha256": SHA, "pieces": [{**PIECE, "key": "../other/journal"}]}}),
    ],
)
def test_what_is_no_entry(data):
    with pytest.raises(SlipwayError, match="journal"):
        Entry.decode(data, "run")


def test_a_journal_of_another_format_is_bad_input():
    objects = MemoryObjects({"run/journal/000000000001.json": changed(format=2)})
    with pytest.raises(BadInput, match="this one has format 2") as caught:
        Journal(objects, "run").newest()
    assert (caught.value.field, caught.value.value) == ("RUN", "memory://runs/run")
    assert "the version of slipway that wrote it" in caught.value.cure


@pytest.mark.parametrize("saw_it", [True, False])
def test_an_entry_that_is_taken_over_at_once_counts_if_the_other_saw_it(saw_it):
    objects, me, other = MemoryObjects(), Holder(), Holder("host-b", 7)
    Journal(objects, "run").append(0, entry(me))

    def meddle(call):
        if call.name == "create" and call.done:
            files = FILES if saw_it else {}
            Journal(objects, "run").append(2, Entry(Kind.TAKEN, other, 3, files, before=me.id))

    journal = Journal(objects.client(meddle), "run")
    if saw_it:
        assert journal.append(1, entry(me, kind=Kind.RELEASED)) == 2
    else:
        with pytest.raises(Superseded, match="process 7 on host-b"):
            journal.append(1, entry(me, kind=Kind.RELEASED))


def test_who_holds_the_run():
    objects, me = MemoryObjects(), Holder()
    journal = Journal(objects, "run")
    journal.append(0, entry(me))
    assert journal.check_held(me, 1) == 1
    journal.append(1, entry(me))
    assert journal.check_held(me, 1) == 2
    journal.append(2, entry(Holder("host-b", 7)))
    with pytest.raises(Superseded, match="process 7 on host-b"):
        journal.check_held(me, 2)


def test_entries_follow_one_another():
    objects, me = MemoryObjects(), Holder()
    journal = Journal(objects, "run")
    assert journal.last() is None
    assert journal.newest() is None
    first, second = entry(me), entry(me)
    assert journal.append(0, first) == 1
    assert journal.append(1, second) == 2
    assert journal.newest() == (2, second)
    assert journal.numbers() == [1, 2]
    objects.data["run/journal/notes.txt"] = b""
    objects.data["run2/journal/000000000009.json"] = b""
    assert journal.last() == 2
    assert sorted(objects.data)[0] == "run/journal/000000000001.json"


def test_the_number_is_the_fence():
    journal = Journal(MemoryObjects(), "run")
    winner = entry(Holder("host-b", 12), time="2026-01-02T03:04:05+00:00")
    journal.append(0, winner)
    with pytest.raises(Superseded, match="process 12 on host-b took the run over, and wrote at 2026-01-02") as caught:
        journal.append(0, entry(Holder()))
    assert caught.value.winner == winner
    assert caught.value.exit_code == ExitCode.BAD_INPUT
    assert "nothing was mixed up" in str(caught.value)


def failing(name, done, error=Unreachable):
    """Fails the first such call."""
    failed = []

    def meddle(call):
        if call.name == name and call.done == done and not failed:
            failed.append(call)
            raise error("no answer")

    return meddle


def test_a_retry_whose_first_reply_was_lost_is_a_success():
    objects, me = MemoryObjects(), Holder()
    mine = entry(me)
    with pytest.raises(Unreachable):
        Journal(objects.client(failing("create", done=True)), "run").append(0, mine)
    assert Journal(objects, "run").append(0, mine) == 1
    assert len(objects.data) == 1


def test_an_earlier_attempt_of_the_same_holder_is_gone_after():
    objects, me = MemoryObjects(), Holder()
    with pytest.raises(Unreachable):
        Journal(objects.client(failing("create", done=True)), "run").append(0, entry(me))
    newer = entry(me)
    assert Journal(objects, "run").append(0, newer) == 2
    assert Journal(objects, "run").newest() == (2, newer)


def test_same_host_and_process_number_are_not_the_same_holder():
    journal, me = Journal(MemoryObjects(), "run"), Holder()
    journal.append(0, entry(me))
    with pytest.raises(Superseded):
        journal.append(0, entry(dataclasses.replace(me, id="another")))


def test_a_number_that_is_free_again_is_not_a_commit():
    objects, other = MemoryObjects(), Holder("host-b", 12)
    journal = Journal(objects, "run")
    for number in range(5):
        journal.append(number, entry(other))
    for number in (1, 2):
        del objects.data[journal.key(number)]
    with pytest.raises(Superseded, match="host-b"):
        journal.append(1, entry(Holder()))
    assert journal.newest()[1].holder == other


def test_an_entry_that_is_removed_before_it_is_read():
    objects = MemoryObjects()
    journal = Journal(objects, "run")
    journal.append(0, entry(Holder()))
    newer = entry(Holder("host-b", 12))

    def meddle(call):
        if call.name == "read" and not call.done and len(objects.data) == 1:
            objects.data.clear()
            journal.append(4, newer)

    assert Journal(objects.client(meddle), "run").newest() == (5, newer)


def test_a_journal_that_lists_what_it_does_not_have():
    objects = MemoryObjects()
    Journal(objects, "run").append(0, entry(Holder()))

    def meddle(call):
        if call.name == "keys":
            objects.data.setdefault("run/journal/000000000001.json", b"")
        elif not call.done:
            objects.data.pop(call.key)

    with pytest.raises(Unreachable, match="cannot be read"):
        Journal(objects.client(meddle), "run").newest()
