"""Files on their way."""

import hashlib

import pytest

from trainer.store.objects import transfer
from trainer.store.objects.base import Corrupt

GOOD = hashlib.sha256(b"good").hexdigest()


def test_what_came_damaged_is_fetched_once_more(tmp_path):
    coming, told = [b"evil", b"good"], []
    transfer.download("key", tmp_path / "file", GOOD, lambda arriving: arriving.write(coming.pop(0)), told.append)
    assert (tmp_path / "file").read_bytes() == b"good"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert told == [4, 4]


def test_what_came_damaged_twice_is_not_fetched_again(tmp_path):
    coming = [b"evil", b"evil", b"good"]
    with pytest.raises(Corrupt, match="key is not what was sent"):
        transfer.download("key", tmp_path / "file", GOOD, lambda arriving: arriving.write(coming.pop(0)))
    assert coming == [b"good"]
    assert list(tmp_path.iterdir()) == []


def test_a_fault_on_the_way_leaves_nothing(tmp_path):
    def fetch(arriving):
        arriving.write(b"go")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        transfer.download("key", tmp_path / "file", GOOD, fetch)
    assert list(tmp_path.iterdir()) == []


def test_other_hashes_see_the_same_bytes(tmp_path):
    (tmp_path / "file").write_bytes(b"good" * 1_000_000)
    other = hashlib.md5(usedforsecurity=False)
    transfer.check(tmp_path / "file", hashlib.sha256(b"good" * 1_000_000).hexdigest(), other)
    assert other.hexdigest() == hashlib.md5(b"good" * 1_000_000, usedforsecurity=False).hexdigest()
