"""A folder that several machines mount: what goes wrong with such folders.

A mount over NFS cannot be had here. What its client does is done by hand: replies that were lost, handles that went
stale, files that it keeps because they are open. Full and read-only file systems are real ones, in a mount namespace.
"""

import errno
import hashlib
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import time

import pytest

from trainer.errors import BadInput, SlipwayError
from trainer.store.objects import patience
from trainer.store.objects.base import Corrupt, Exists, Missing, Unreachable
from trainer.store.objects.folder import ASIDE
from trainer.store.objects.places import place


@pytest.fixture
def root(tmp_path):
    (tmp_path / "shared").mkdir()
    return tmp_path / "shared"


@pytest.fixture
def objects(root):
    return place(f"nas://{root}")


def asides(root):
    return sorted(path.name for path in (root / ASIDE).iterdir())


def once(monkeypatch, owner, name, before):
    """Let a function fail, the first time, as `before` says; it is given the real one and its arguments."""
    real, calls = getattr(owner, name), []

    def stand_in(*arguments, **keywords):
        calls.append(arguments)
        if len(calls) == 1:
            before(real, *arguments, **keywords)
        return real(*arguments, **keywords)

    monkeypatch.setattr(owner, name, stand_in)
    return calls


def failing(number):
    def fail(*_, **__):
        raise OSError(number, os.strerror(number))

    return fail


def doing_and_failing(number):
    """The request is done, and its reply is lost."""

    def fail(real, *arguments, **keywords):
        real(*arguments, **keywords)
        raise OSError(number, os.strerror(number))

    return fail


@pytest.mark.parametrize("number", [errno.EEXIST, errno.EIO, errno.ETIMEDOUT])
def test_a_link_whose_reply_was_lost_was_made(objects, root, monkeypatch, number):
    once(monkeypatch, os, "link", doing_and_failing(number))
    objects.create("journal/1", b"ours")
    assert objects.read("journal/1") == b"ours"
    with pytest.raises(Exists):
        objects.create("journal/1", b"theirs")
    assert asides(root) == []


def test_a_rename_whose_reply_was_lost_was_done(objects, monkeypatch):
    once(monkeypatch, pathlib.Path, "rename", doing_and_failing(errno.ENOENT))
    objects.replace("heartbeat/1", b"new")
    assert objects.read("heartbeat/1") == b"new"


def test_a_file_that_was_replaced_while_it_was_read_is_opened_anew(objects, monkeypatch, tmp_path):
    objects.create("a", b"data")
    calls = once(monkeypatch, pathlib.Path, "read_bytes", failing(errno.ESTALE))
    assert objects.read("a") == b"data"
    assert len(calls) == 2
    calls = once(monkeypatch, pathlib.Path, "open", failing(errno.ESTALE))
    objects.download("a", tmp_path / "a", hashlib.sha256(b"data").hexdigest())
    assert (tmp_path / "a").read_bytes() == b"data"


def test_what_seems_missing_is_looked_for_again_after_its_folders_were_opened(objects, root, monkeypatch):
    objects.create("a/b/c", b"data")
    opened = []
    monkeypatch.setattr(os, "open", lambda path, *rest, real=os.open: opened.append(str(path)) or real(path, *rest))
    once(monkeypatch, pathlib.Path, "read_bytes", failing(errno.ENOENT))
    assert objects.read("a/b/c") == b"data"
    assert opened[:3] == [str(root), str(root / "a"), str(root / "a" / "b")]
    with pytest.raises(Missing):
        objects.read("a/b/d")


def test_a_server_that_stays_away_is_unreachable(objects, monkeypatch):
    monkeypatch.setattr(patience, "DEADLINE_SECONDS", 0.5)
    monkeypatch.setattr(pathlib.Path, "read_bytes", failing(errno.ETIMEDOUT))
    start = time.monotonic()
    with pytest.raises(Unreachable, match="timed out"):
        objects.read("a")
    assert time.monotonic() - start < 5


def test_what_the_client_keeps_and_what_lies_aside_are_no_objects(objects, root):
    objects.create("a/b", b"")
    (root / "a" / ".nfs000000000012d68700000001").write_bytes(b"removed while open")
    (root / ASIDE).mkdir(exist_ok=True)
    (root / ASIDE / "other-host-12-ab").write_bytes(b"half")
    assert [found.key for found in objects.keys("")] == ["a/b"]
    assert objects.names() == ["a"]
    objects.create("a/.hidden", b"")
    assert [found.key for found in objects.keys("")] == ["a/.hidden", "a/b"]


def test_what_vanished_machines_left_aside_is_swept_after_a_day(objects, root):
    (root / ASIDE).mkdir()
    for name, age in (("old", 25 * 3600), ("young", 23 * 3600)):
        (root / ASIDE / name).write_bytes(b"half")
        os.utime(root / ASIDE / name, (time.time() - age,) * 2)
    objects.replace("a", b"")
    assert asides(root) == ["young"]


def test_objects_are_on_the_disk_before_they_have_a_name_and_the_name_before_we_return(objects, root, monkeypatch):
    steps = []

    def recorded(owner, name, what):
        real = getattr(owner, name)
        monkeypatch.setattr(owner, name, lambda *given: steps.append(what(*given)) or real(*given))

    def name(descriptor):
        return os.path.relpath(pathlib.Path(f"/proc/self/fd/{descriptor}").readlink(), root)

    recorded(os, "fsync", name)
    recorded(os, "link", lambda *_: "link")
    objects.create("a/b", b"data")
    aside = steps.pop(0)
    assert aside.startswith(f"{ASIDE}/")
    assert steps == [".", "link", "a"]


def test_empty_folders_are_removed_while_others_make_objects_there(root):
    """One machine removes the last object of a folder, and the folder, while another makes the next one there."""
    failed = []

    def work(name):
        objects = place(f"nas://{root}")
        try:
            for number in range(300):
                objects.create(f"a/b/{name}-{number}", b"x")
                objects.delete([f"a/b/{name}-{number}"])
        except SlipwayError as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert [path.name for path in root.iterdir()] == [ASIDE]


def test_a_folder_that_has_not_been_mounted_is_not_made(tmp_path):
    objects = place(f"nas://{tmp_path}/missing/runs")
    for write in (False, True):
        with pytest.raises(BadInput, match="mkdir -p") as caught:
            objects.check(write=write)
        assert caught.value.field == "store"
    for call in (lambda: objects.create("a/b", b""), lambda: objects.replace("a", b""), lambda: objects.read("a")):
        with pytest.raises(Unreachable, match="is it mounted"):
            call()
    assert list(tmp_path.iterdir()) == []


def test_listing_a_folder_that_has_gone_does_not_say_that_it_is_empty(objects, root):
    root.rmdir()
    for call in (lambda: list(objects.keys()), objects.names):
        with pytest.raises(Unreachable, match="is it mounted"):
            call()


def test_a_file_is_no_place(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(BadInput, match="give a folder"):
        place(f"nas://{tmp_path}/file").check(write=False)


AS_NOBODY = """
import os, sys
from trainer.errors import BadInput
from trainer.store.objects.places import place
objects = place(f"nas://{sys.argv[1]}")
os.geteuid() or os.seteuid(65534)
objects.check(write=False)
try:
    objects.check(write=True)
except BadInput as error:
    print(error)
"""


def test_a_folder_that_may_not_be_written_to():
    """As somebody else, since root may do everything."""
    with tempfile.TemporaryDirectory() as shared:
        os.chmod(shared, 0o555)  # noqa: PTH101
        done = subprocess.run([sys.executable, "-c", AS_NOBODY, shared], capture_output=True, text=True)
    assert "a folder that takes files and hard links (Permission denied)" in done.stdout, done.stderr
    assert "fix:     let user" in done.stdout


def test_a_file_system_without_hard_links(objects, root, monkeypatch):
    monkeypatch.setattr(os, "link", failing(errno.EPERM))
    with pytest.raises(BadInput, match="hard links") as caught:
        objects.check(write=True)
    assert "NFS" in caught.value.cure
    assert list(root.iterdir()) == []


def test_a_file_system_that_lets_two_make_the_same_file(objects, root, monkeypatch):
    def replacing(source, target):
        pathlib.Path(target).write_bytes(pathlib.Path(source).read_bytes())

    monkeypatch.setattr(os, "link", replacing)
    with pytest.raises(BadInput, match="made twice"):
        objects.check(write=True)
    assert list(root.iterdir()) == []


@pytest.mark.parametrize("key", ["../x", "a/../x", "/etc/passwd", "a//b", "a/", "", ".", "a\0b", f"{ASIDE}/x"])
def test_keys_do_not_lead_out_of_the_folder(objects, key, tmp_path):
    calls = (
        lambda: objects.read(key),
        lambda: objects.create(key, b""),
        lambda: objects.upload(key, tmp_path / "x", ""),
        lambda: objects.download(key, tmp_path / "x", ""),
        lambda: objects.delete([key]),
    )
    for call in calls:
        with pytest.raises(ValueError, match="is no key"):
            call()


def test_a_disk_of_this_machine_that_is_full_is_not_taken_for_the_place(objects, tmp_path, monkeypatch):
    objects.create("a", b"x")
    (tmp_path / "file").touch()
    with pytest.raises(SlipwayError, match="cannot write") as caught:
        objects.download("a", tmp_path / "file" / "below", hashlib.sha256(b"x").hexdigest())
    assert not isinstance(caught.value, Unreachable | Missing | Corrupt)
    with pytest.raises(SlipwayError, match="cannot read") as caught:
        objects.upload("a", tmp_path / "none", "")
    assert not isinstance(caught.value, Unreachable | Missing | Corrupt)
    assert objects.read("a") == b"x"


IN_A_NAMESPACE = """
import pathlib, subprocess, sys
from trainer.errors import SlipwayError
from trainer.store.objects.places import place
mount = pathlib.Path(sys.argv[1])
objects = place(f"nas://{mount}")
def attempt(call):
    try:
        call()
        print("done")
    except SlipwayError as error:
        print(type(error).__name__, str(error).replace("\\n", " "))
objects.check(write=True)
objects.replace("a", b"before")
large = mount.parent / "large"
large.write_bytes(b"x" * 200_000)
import hashlib
digest = hashlib.sha256(large.read_bytes()).hexdigest()
attempt(lambda: objects.create("b", b"x" * 200_000))
attempt(lambda: objects.replace("a", b"x" * 200_000))
attempt(lambda: objects.upload("a", large, digest))
print([(found.key, found.bytes) for found in objects.keys("")], objects.read("a"))
print(sum(1 for path in (mount / ".slipway-aside").iterdir()))
subprocess.run(["mount", "-o", "remount,ro", str(mount)], check=True)
attempt(lambda: objects.check(write=False))
attempt(lambda: objects.check(write=True))
"""


def test_full_and_read_only_file_systems(tmp_path):
    if subprocess.run(["unshare", "-Urm", "true"], capture_output=True).returncode:
        pytest.skip("this machine lets nobody mount file systems of their own")
    (tmp_path / "mount").mkdir()
    shell = f'mount -t tmpfs -o size=64k tmpfs "$1" && exec "{sys.executable}" -c "$2" "$1"'
    done = subprocess.run(
        ["unshare", "-Urm", "sh", "-c", shell, "sh", str(tmp_path / "mount"), IN_A_NAMESPACE],
        capture_output=True,
        text=True,
    )
    uri = f"nas://{tmp_path}/mount"
    assert done.stdout.splitlines()[:6] == [
        *[f"Unreachable {uri}: the disk is full"] * 3,
        "[('a', 6)] b'before'",
        "0",
        "done",
    ], done.stderr
    assert "BadInput store:" in done.stdout.splitlines()[6]
    assert "(Read-only file system)" in done.stdout.splitlines()[6]
