"""Folders as stores."""

import time

import pytest

from trainer.errors import BadInput
from trainer.store import resolve
from trainer.store.local import Here


@pytest.mark.parametrize("prefix", ["", "file://"])
def test_a_path_and_a_file_uri_are_the_same_store(tmp_path, prefix):
    store = resolve(f"{prefix}{tmp_path}/runs")
    store.check_writable()
    assert store.run_ids() == []
    assert store.folder("a") == tmp_path / "runs" / "a"
    assert list(tmp_path.iterdir()) == []
    assert store.free_bytes() > 0


def test_runs_and_groups_are_listed_and_nothing_else(tmp_path):
    for name, file in (("b", "run.yaml"), ("a", "group.json"), ("c", "other.txt"), (".creating-x", "run.yaml")):
        (tmp_path / name).mkdir()
        (tmp_path / name / file).touch()
    (tmp_path / "file").touch()
    assert resolve(str(tmp_path)).run_ids() == ["a", "b"]


def test_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert resolve("~/runs").folder("x") == tmp_path / "runs" / "x"


@pytest.mark.parametrize(
    "uri",
    [
        "s3:/bucket/runs",
        "s3://",
        "gcs://bucket",
        "nas://relative",
        "ftp://host/x",
        "file://relative",
        "",
        "a\0b",
        "~nobody-of-that-name/x",
    ],
)
def test_what_is_no_store(uri):
    with pytest.raises(BadInput) as caught:
        resolve(uri)
    assert caught.value.field == "store"
    assert caught.value.cure


@pytest.mark.parametrize("below", ["", "/runs", "/runs/deep"])
def test_a_file_in_the_way(tmp_path, below):
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="folder"):
        resolve(f"{tmp_path}/file{below}").check_writable()


def test_a_file_system_that_takes_no_folders():
    with pytest.raises(BadInput, match="can be written to"):
        resolve("/proc/runs").check_writable()


def test_a_store_that_cannot_be_read(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="can be read"):
        resolve(f"{tmp_path}/file").run_ids()


def test_what_is_kept_in_a_folder_is_safe_at_once():
    hold = Here()
    assert hold.safe_at() is None
    before = time.time()
    hold.snapshot(10)
    assert before <= hold.safe_at() <= time.time()
