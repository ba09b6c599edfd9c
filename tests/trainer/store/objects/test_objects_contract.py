"""What `Objects` promises, for each kind of place.

The folder is on this machine's file system: that of several machines over NFS differs in its caches, which the next
module cannot show either. Moto and fake-gcs-server keep what the real ones do of conditional writes, listings and
uploads in parts, and let everybody in.
"""

import hashlib
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from trainer.store.objects import gcs, s3
from trainer.store.objects.base import Corrupt, Described, Exists, Missing
from trainer.store.objects.places import place

LARGE = 20_000_000
"""Bytes of a file that goes in two parts."""

IN_ORDER = ["a-b/x", "a.b", "a/b", "a/c/d", "a/c/e", "a0", "b c", "b%20+?c", "z/é", "é", "\N{GRINNING FACE}"]
"""Keys sorted by code points, with characters below and above `/`."""


@pytest.fixture
def objects(uri, monkeypatch):
    monkeypatch.setattr(gcs, "PART_BYTES", s3.PART_BYTES)  # its own is larger than a test's file should be
    return place(uri)


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def file_of(path, data):
    path.write_bytes(data)
    return path


def everything(objects):
    return {found.key: found.bytes for found in objects.keys("")}


def overwrite(uri, key, data):
    """Put other bytes into the store behind our back."""
    scheme, rest = uri.split("://", 1)
    bucket, _, prefix = rest.partition("/")
    if scheme == "nas":
        Path(rest, key).write_bytes(data)
    elif scheme == "s3":
        import boto3

        boto3.client("s3").put_object(Bucket=bucket, Key=f"{prefix}/{key}", Body=data, Metadata={"sha256": "0" * 64})
    else:
        from google.cloud import storage

        client = storage.Client()
        client.bucket(bucket).blob(f"{prefix}/{key}").upload_from_string(data)
        client.close()


def test_a_new_place_is_empty_and_ours(objects, uri):
    for write in (False, True):
        objects.check(write=write)
    assert everything(objects) == {}
    assert objects.names() == []
    assert objects.uri == uri


def test_checking_leaves_nothing_behind(objects, uri, tmp_path):
    objects.check(write=True)
    objects.create("a", b"")
    objects.check(write=True)
    assert list(everything(objects)) == ["a"]
    assert not uri.startswith("nas") or [path.name for path in (tmp_path / "shared").iterdir()] == ["a"]


@pytest.mark.parametrize("data", [b"", b"x", bytes(range(256)) * 40])
def test_small_objects_are_read_as_they_were_made(objects, data):
    objects.create("made/1", data)
    objects.replace("replaced/1", data)
    assert objects.read("made/1") == objects.read("replaced/1") == data
    assert everything(objects) == {"made/1": len(data), "replaced/1": len(data)}


def test_there_is_no_second_creation(objects):
    objects.create("journal/1", b"first")
    with pytest.raises(Exists):
        objects.create("journal/1", b"second")
    assert objects.read("journal/1") == b"first"


def test_an_object_can_be_made_again_once_it_is_gone(objects):
    objects.create("journal/1", b"first")
    objects.delete(["journal/1"])
    objects.create("journal/1", b"second")
    assert objects.read("journal/1") == b"second"


def test_the_last_writer_wins(objects):
    for data in (b"a long one", b"b", b"cc"):
        objects.replace("heartbeat/1", data)
        assert objects.read("heartbeat/1") == data
    assert everything(objects) == {"heartbeat/1": 2}


def test_what_is_not_there(objects, tmp_path):
    objects.create("a/b", b"")
    for key in ("nothing", "no/folder/here", "a/c", "a", "a/b.c"):
        with pytest.raises(Missing, match=key):
            objects.read(key)
        with pytest.raises(Missing, match=key):
            objects.download(key, tmp_path / "down" / "file", sha256(b""))
    assert list((tmp_path / "down").iterdir()) == []
    assert list(objects.keys("none/")) == []
    assert objects.names("none/") == []


def test_deletion(objects):
    for key in ("a/b/1", "a/b/2", "a/c"):
        objects.create(key, b"x")
    objects.delete(["a/b/1", "nothing", "no/folder", "a/b"])
    assert list(everything(objects)) == ["a/b/2", "a/c"]
    objects.delete(iter(["a/b/1", "a/b/2", "a/c"]))
    assert everything(objects) == {}
    assert objects.names() == []
    objects.delete([])


def test_keys_are_sorted_by_code_points_and_go_on_after_any(objects):
    for key in reversed(IN_ORDER):
        objects.create(key, b"xy")
    assert list(objects.keys()) == [Described(key, 2) for key in IN_ORDER]
    for number, key in enumerate(IN_ORDER):
        assert [found.key for found in objects.keys(after=key)] == IN_ORDER[number + 1 :]
    assert [found.key for found in objects.keys(after="a/c")] == IN_ORDER[3:]
    assert [found.key for found in objects.keys("a/", after="a/b")] == ["a/c/d", "a/c/e"]
    assert [found.key for found in objects.keys("a/c")] == ["a/c/d", "a/c/e"]
    assert [found.key for found in objects.keys("a", after="a/c/d")] == ["a/c/e", "a0"]
    assert [found.key for found in objects.keys("b")] == ["b c", "b%20+?c"]


def test_names_are_what_comes_next_up_to_a_slash(objects):
    for key in ("run-b/x", "run-a/journal/1", "run-a/objects/2/3", "file"):
        objects.create(key, b"")
    assert objects.names() == ["run-a", "run-b"]
    assert objects.names("run-a/") == ["journal", "objects"]
    assert objects.names("run-a/objects/") == ["2"]
    assert objects.names("run-") == ["a", "b"]
    assert objects.names("run-b/") == []


def test_a_prefix_does_not_see_what_is_beside_it(uri):
    if uri.startswith("nas"):
        Path(f"{uri.removeprefix('nas://')}-other").mkdir()
    place(f"{uri}-other").create("x", b"")
    place(uri).create("y", b"")
    assert list(everything(place(uri))) == ["y"]
    above, _, name = uri.rpartition("/")
    assert place(above).names() == [name, f"{name}-other"]


@pytest.mark.slow
def test_listings_of_more_than_one_page(objects):
    made = [f"a/{number:05d}" for number in range(1100)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda key: objects.create(key, b"x"), made))
    assert [found.key for found in objects.keys("")] == made
    assert [found.key for found in objects.keys("a/", after=made[49])] == made[50:]
    objects.delete(made)
    assert everything(objects) == {}


@pytest.mark.slow
def test_more_folders_than_a_page(objects):
    made = [f"{number:05d}" for number in range(1100)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda name: objects.replace(f"{name}/run.yaml", b"x"), made))
    assert objects.names() == made


@pytest.mark.parametrize("size", [0, 1, LARGE])
def test_files_arrive_as_they_were_sent(objects, tmp_path, size):
    data = bytes(range(251)) * (size // 251 + 1)
    source, sent, received = file_of(tmp_path / "source", data[:size]), [], []
    objects.upload("objects/1/file", source, sha256(data[:size]), sent.append)
    target = tmp_path / "new" / "folder" / "file"
    objects.download("objects/1/file", target, sha256(data[:size]), received.append)
    assert target.read_bytes() == data[:size]
    assert sum(sent) == sum(received) == size
    assert len(received) <= 1 + size // 200_000  # hashed and written by large pieces, whatever the library hands out
    assert [path.name for path in target.parent.iterdir()] == ["file"]
    assert everything(objects) == {"objects/1/file": size}


def test_an_upload_and_a_download_replace(objects, tmp_path):
    objects.create("file", b"old")
    objects.upload("file", file_of(tmp_path / "source", b"new"), sha256(b"new"))
    target = file_of(tmp_path / "target", b"older")
    objects.download("file", target, sha256(b"new"))
    assert target.read_bytes() == b"new"


@pytest.mark.parametrize("size", [10, LARGE])
def test_a_file_of_other_bytes_is_not_sent(objects, tmp_path, size):
    source = file_of(tmp_path / "source", b"x" * size)
    with pytest.raises(Corrupt, match="source"):
        objects.upload("file", source, sha256(b"other"))
    assert everything(objects) == {}


@pytest.mark.parametrize("size", [0, 10, LARGE])
def test_an_object_that_was_damaged_in_the_store_makes_no_file(objects, uri, tmp_path, size):
    data = b"x" * LARGE
    objects.upload("file", file_of(tmp_path / "source", data), sha256(data))
    overwrite(uri, "file", b"y" * size)
    with pytest.raises(Corrupt, match="file"):
        objects.download("file", tmp_path / "down" / "file", sha256(data))
    kept = file_of(tmp_path / "down" / "kept", b"as before")
    with pytest.raises(Corrupt):
        objects.download("file", kept, sha256(data))
    assert kept.read_bytes() == b"as before"
    assert [path.name for path in (tmp_path / "down").iterdir()] == ["kept"]


RACER = """
import sys
from trainer.store.objects.base import Exists
from trainer.store.objects.places import place
objects = place(sys.argv[1])
objects.check(write=False)
print("ready", flush=True)
for line in sys.stdin:
    try:
        objects.create(line.strip(), sys.argv[2].encode())
        print("won", flush=True)
    except Exists:
        print("lost", flush=True)
"""


@pytest.mark.slow
def test_of_many_processes_exactly_one_makes_an_object(objects, uri):
    names = [f"machine-{number}" for number in range(8)]
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACER, uri, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for name in names
    ]
    assert [racer.stdout.readline() for racer in racers] == ["ready\n"] * 8
    for number in range(10):
        for racer in racers:
            racer.stdin.write(f"journal/{number}\n")
            racer.stdin.flush()
        said = [racer.stdout.readline() for racer in racers]
        assert sorted(said) == ["lost\n"] * 7 + ["won\n"], number
        assert objects.read(f"journal/{number}").decode() == names[said.index("won\n")]
    for racer in racers:
        racer.communicate(timeout=60)
        assert racer.returncode == 0
    assert len(everything(objects)) == 10


def test_of_many_threads_exactly_one_makes_an_object(objects):
    together = threading.Barrier(8)

    def attempt(number):
        together.wait()
        try:
            objects.create("journal/1", b"%d" % number)
        except Exists:
            return None
        return number

    with ThreadPoolExecutor(8) as threads:
        won = [number for number in threads.map(attempt, range(8)) if number is not None]
    assert len(won) == 1
    assert objects.read("journal/1") == b"%d" % won[0]


BROKEN_OFF = """
import hashlib, os, pathlib, signal, sys
from trainer.store.objects.places import place
path = pathlib.Path(sys.argv[2])
total = 0
def sent(count):
    global total
    total += count
    if total > 6_000_000:
        os.kill(os.getpid(), signal.SIGKILL)
place(sys.argv[1]).upload("objects/file", path, hashlib.sha256(path.read_bytes()).hexdigest(), sent)
"""


def test_an_upload_that_was_broken_off_leaves_no_object(objects, uri, tmp_path):
    source = file_of(tmp_path / "source", b"x" * LARGE)
    killed = subprocess.run([sys.executable, "-c", BROKEN_OFF, uri, str(source)])
    assert killed.returncode == -9
    assert everything(objects) == {}
    with pytest.raises(Missing):
        objects.read("objects/file")
    objects.upload("objects/file", source, sha256(source.read_bytes()))
    assert everything(objects) == {"objects/file": LARGE}


def test_an_upload_that_fails_here_leaves_no_object(objects, tmp_path):
    source = file_of(tmp_path / "source", b"x" * LARGE)

    def sent(count):
        raise KeyError("the progress bar broke")

    with pytest.raises(KeyError):
        objects.upload("objects/file", source, sha256(source.read_bytes()), sent)
    assert everything(objects) == {}
