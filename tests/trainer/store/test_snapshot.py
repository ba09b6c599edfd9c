"""A run directory at one moment, and what of it has to be sent."""

import hashlib
import os

import pytest
from stand_in_training import StandIn, content

from trainer.errors import SlipwayError
from trainer.store import contents, snapshot
from trainer.store.contents import MOST_PIECES, Contents
from trainer.store.journal import File, Piece


def kept(folder, staging):
    """What a snapshot holds: bytes by path."""
    taken = snapshot.keep(folder, staging, 1)
    return taken, {path: held.path.read_bytes()[: held.bytes] for path, held in taken.files.items()}


def test_a_snapshot_stays_as_it_was_while_the_training_goes_on(tmp_path):
    training = StandIn(tmp_path / "run").begin()
    for _ in range(3):
        training.train()
    expected = content(tmp_path / "run")
    taken, _ = kept(tmp_path / "run", tmp_path / "staging")
    for _ in range(4):  # all checkpoints that were there are removed, status.json replaced, what grows has grown
        training.train()
    training.finish()
    assert {path: held.path.read_bytes()[: held.bytes] for path, held in taken.files.items()} == expected
    assert {path for path, held in taken.files.items() if held.grows} == {"metrics.jsonl", "events/events.1"}
    taken.discard()
    assert list((tmp_path / "staging").iterdir()) == []


def test_what_is_locked_half_written_or_hidden_is_no_part_of_the_run(tmp_path):
    run = tmp_path / "run"
    for name in (
        ".lock",
        "run.yaml",
        ".status.json-x1",
        "checkpoints/.writing-2/tensors",
        "checkpoints/replay/.writing-a",
        "checkpoints/replay/a.safetensors",
        "model/.writing-x/saved_model.pb",
        "model/1/variables/variables.index",
        "seed-0/.lock",
        "seed-0/events/e.1",
    ):
        (run / name).parent.mkdir(parents=True, exist_ok=True)
        (run / name).write_text(name)
    (run / "link").symlink_to(run / "run.yaml")
    taken, found = kept(run, tmp_path / "staging")
    assert found == {
        name: name.encode()
        for name in (
            "run.yaml",
            "checkpoints/replay/a.safetensors",
            "model/1/variables/variables.index",
            "seed-0/events/e.1",
        )
    }
    assert taken.files["seed-0/events/e.1"].grows


def test_a_disk_that_takes_no_snapshot(tmp_path):
    StandIn(tmp_path / "run").begin()
    with pytest.raises(SlipwayError, match="cannot keep"):
        snapshot.keep(tmp_path / "run", tmp_path / "run" / "run.yaml", 1)


class Sent:
    """Plans snapshots of a folder one after the other, and keeps what would have been sent."""

    def __init__(self, tmp_path):
        self.tmp_path, self.folder = tmp_path, tmp_path / "run"
        self.folder.mkdir()
        self.contents, self.files, self.objects = Contents(), {}, {}

    def send(self):
        """What is new: bytes by the file's name."""
        taken = snapshot.keep(self.folder, self.tmp_path / "staging", 1)
        self.files, uploads = self.contents.plan(taken, self.files, lambda sha256, name: f"{sha256}/{name}")
        new = {}
        for upload in uploads:
            data = upload.path.read_bytes()
            assert len(data) == upload.bytes
            assert hashlib.sha256(data).hexdigest() == upload.sha256
            self.objects[upload.key] = new[upload.key.split("/")[1]] = data
        taken.discard()
        self.assert_same()
        return new

    def assert_same(self):
        """The objects make the folder."""
        made = {path: b"".join(self.objects[p.key] for p in file.pieces) for path, file in self.files.items()}
        assert made == content(self.folder)
        for path, file in self.files.items():
            assert (file.bytes, file.sha256) == (len(made[path]), hashlib.sha256(made[path]).hexdigest())


def test_only_what_is_new_is_sent(tmp_path):
    sent = Sent(tmp_path)
    (sent.folder / "run.yaml").write_text("a")
    (sent.folder / "metrics.jsonl").write_text("1\n")
    assert sent.send() == {"run.yaml": b"a", "metrics.jsonl": b"1\n"}
    assert sent.send() == {}
    (sent.folder / "metrics.jsonl").write_text("1\n2\n3\n")
    assert sent.send() == {"metrics.jsonl": b"2\n3\n"}
    assert len(sent.files["metrics.jsonl"].pieces) == 2
    (sent.folder / "run.yaml").unlink()
    (sent.folder / "run.yaml").write_text("b")
    assert sent.send() == {"run.yaml": b"b"}


def test_a_growing_file_that_was_cut_keeps_the_pieces_that_are_still_its_own(tmp_path):
    sent = Sent(tmp_path)
    metrics = sent.folder / "metrics.jsonl"
    for text in ("1\n", "1\n2\n", "1\n2\n3\n"):
        metrics.write_text(text)
        sent.send()
    pieces = sent.files["metrics.jsonl"].pieces
    metrics.write_text("1\n2\nthree\n4\n")  # cut to the second checkpoint, and gone on with
    assert sent.send() == {"metrics.jsonl": b"three\n4\n"}
    assert sent.files["metrics.jsonl"].pieces[:2] == pieces[:2]
    metrics.write_text("1\n")
    assert sent.send() == {}
    metrics.write_text("one\n")
    assert sent.send() == {"metrics.jsonl": b"one\n"}


def test_of_a_growing_file_only_the_last_piece_and_the_rest_are_read(tmp_path, monkeypatch):
    sent, read = Sent(tmp_path), []
    chunks = contents._chunks
    monkeypatch.setattr(contents, "_chunks", lambda *asked: read.append(asked[1:]) or chunks(*asked))
    metrics = sent.folder / "metrics.jsonl"
    metrics.touch()
    for length in (1000, 1010, 1030):
        with metrics.open("a") as file:
            file.write("x" * (length - metrics.stat().st_size))
        read.clear()
        sent.send()
    assert read == [(1000, 1010), (1010, 1030)]
    read.clear()
    assert sent.send() == {}
    assert read == [(1010, 1030)]
    read.clear()
    copy = sent.folder / "copy"
    copy.write_bytes(metrics.read_bytes())
    copy.replace(metrics)  # another file of that name is compared from its beginning
    assert sent.send() == {}
    assert read == [(0, 1000), (1000, 1010), (1010, 1030)]


def test_many_pieces_are_gathered(tmp_path):
    sent = Sent(tmp_path)
    counts = []
    for number in range(2 * MOST_PIECES + 3):
        with (sent.folder / "metrics.jsonl").open("a") as file:
            file.write(f"{number}\n")
        new = sent.send()
        counts.append(len(sent.files["metrics.jsonl"].pieces))
        if counts[-1] == 1:
            assert new == {"metrics.jsonl": (sent.folder / "metrics.jsonl").read_bytes()}
    assert counts == [*range(1, MOST_PIECES + 1), *range(1, MOST_PIECES + 1), 1, 2, 3]


def test_empty_files_and_files_that_are_the_same(tmp_path):
    sent = Sent(tmp_path)
    for member in ("seed-0", "seed-1"):
        (sent.folder / member).mkdir()
        (sent.folder / member / "simulation.json").write_text("{}")
        (sent.folder / member / "metrics.jsonl").touch()
        (sent.folder / member / "empty").touch()
    assert sent.send() == {"simulation.json": b"{}"}
    assert sent.files["seed-0/empty"].pieces == sent.files["seed-0/metrics.jsonl"].pieces == ()


def test_what_never_changes_is_read_once(tmp_path, monkeypatch):
    read, digest = [], contents.digest
    monkeypatch.setattr(contents, "digest", lambda path: read.append(path.name) or digest(path))
    sent = Sent(tmp_path)
    for name in ("a", "b", "just-written"):
        (sent.folder / name).write_text(name)
    for name in ("a", "b"):
        os.utime(sent.folder / name, (1e9, 1e9))
    for _ in range(3):
        sent.send()
    assert sorted(read) == ["a", "b", *["just-written"] * 3]
    (sent.folder / "b").unlink()
    (sent.folder / "b").write_text("o")
    assert sent.send() == {"b": b"o"}


def test_a_file_that_is_given_the_inode_of_another(tmp_path):
    """Within one tick of the file system's clock, a new file can look like the one before it in all but its bytes."""
    sent = Sent(tmp_path)
    for number in range(100, 200):
        path = sent.folder / "status.json"
        path.unlink(missing_ok=True)
        path.write_text(str(number))
        assert sent.send() == {"status.json": str(number).encode()}


def test_a_folder_that_cannot_be_read_does_not_count_as_gone(tmp_path, monkeypatch):
    StandIn(tmp_path / "run").begin().train()
    scandir = os.scandir

    def refusing(path):
        if str(path).endswith("checkpoints"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    with pytest.raises(SlipwayError, match="Permission denied"):
        snapshot.keep(tmp_path / "run", tmp_path / "staging", 1)
    assert list((tmp_path / "staging").iterdir()) == []


def test_a_growing_file_that_becomes_shorter_while_it_is_sent(tmp_path):
    (tmp_path / "run").mkdir()
    path = tmp_path / "run" / "metrics.jsonl"
    path.write_text("1\n2\n")
    taken = snapshot.keep(tmp_path / "run", tmp_path / "staging", 1)
    path.write_text("1\n")
    with pytest.raises(SlipwayError, match="shorter"):
        Contents().plan(taken, {"metrics.jsonl": File(2, "0" * 64, (Piece("k", 2, "0" * 64),))}, "{}/{}".format)
