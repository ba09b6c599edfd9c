"""Checkpoints: whole or not there, verified, bounded in number."""

import json
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer import segments
from trainer.checkpoint import Checkpoints, Damaged
from trainer.errors import SlipwayError
from trainer.retention import Retention
from trainer.segments import Window

ARRAYS = {
    "weights": np.arange(6, dtype=np.float32).reshape(2, 3),
    "iteration": np.array(7, np.int32),
    "done": np.array([True, False]),
    "nothing": np.zeros((0, 3), np.float32),
}


def fill(folder, *steps, keep_last=10):
    checkpoints = Checkpoints(folder, Retention(keep_last))
    for step in steps:
        checkpoints.save(step, {**ARRAYS, "step": np.array(step)}, {"counters": {"env_steps": step}})
    return checkpoints


def test_what_is_saved_comes_back_with_its_shape_and_type(tmp_path):
    loaded = fill(tmp_path, 10).load(10)
    for name, value in ARRAYS.items():
        assert loaded.arrays[name].dtype == value.dtype
        assert loaded.arrays[name].shape == value.shape
        np.testing.assert_array_equal(loaded.arrays[name], value)
    assert loaded.state == {"counters": {"env_steps": 10}}


def test_only_the_last_are_kept(tmp_path):
    assert fill(tmp_path, 10, 20, 30, 40, keep_last=2).steps() == [30, 40]


def test_the_best_are_kept_too_and_survive_another_process(tmp_path):
    merits = {10: -1.0, 20: 5.0, 30: None, 40: 2.0, 50: 4.5, 60: 0.0}
    for step, merit in merits.items():
        Checkpoints(tmp_path, Retention(last=1, best=2)).save(step, ARRAYS, {}, merit=merit)
    assert Checkpoints(tmp_path).steps() == [20, 50, 60]


@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_any_damaged_byte_is_found(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("checkpoints")
    checkpoints = fill(folder, 10, 20)
    files = sorted((folder / f"{20:012d}").iterdir())
    file = data.draw(st.sampled_from([path for path in files if path.name != "manifest.json"]))
    content = bytearray(file.read_bytes())
    if data.draw(st.booleans()):
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    else:
        del content[data.draw(st.integers(0, len(content) - 1)) :]
    file.write_bytes(content)
    with pytest.raises(Damaged):
        checkpoints.load(20)
    said = []
    assert checkpoints.latest(said.append).step == 10
    assert len(said) == 1
    assert "step 20 is damaged" in said[0]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"format": 99}'])
def test_a_manifest_without_sense_is_damage(tmp_path, content):
    checkpoints = fill(tmp_path, 10, 20)
    (tmp_path / f"{20:012d}" / "manifest.json").write_text(content)
    assert checkpoints.latest(lambda text: None).step == 10


def test_all_damaged_is_none_at_all(tmp_path):
    checkpoints = fill(tmp_path, 10, 20)
    for step in (10, 20):
        os.truncate(tmp_path / f"{step:012d}" / "tensors.safetensors", 3)
    assert checkpoints.latest(lambda text: None) is None


def test_what_a_crash_left_half_written_is_not_a_checkpoint_and_goes(tmp_path):
    checkpoints = fill(tmp_path, 10)
    (tmp_path / ".writing-000000000020").mkdir()
    (tmp_path / ".writing-000000000020" / "manifest.json").write_text(json.dumps({"format": 1}))
    assert checkpoints.steps() == [10]
    fill(tmp_path, 30)
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{step:012d}" for step in (10, 30)]


def test_a_damaged_one_is_replaced_when_its_step_is_saved_again(tmp_path):
    checkpoints = fill(tmp_path, 10, 20)
    os.truncate(tmp_path / f"{20:012d}" / "tensors.safetensors", 3)
    fill(tmp_path, 20)
    assert checkpoints.load(20).step == 20


def test_a_folder_that_cannot_be_written_is_one_clear_error(tmp_path):
    fill(tmp_path / "checkpoints", 10)
    (tmp_path / "file").write_text("")
    with pytest.raises(SlipwayError, match="cannot write the checkpoint"):
        Checkpoints(tmp_path / "file").save(20, ARRAYS, {})


# A replay of 100 rows of which the last 40 count, as successive checkpoints see it.
ROWS = np.random.default_rng(0).random((100, 2, 3)).astype(np.float32)


def window(stop, start=None):
    return Window(max(0, stop - 40) if start is None else start, stop, lambda begin, end: ROWS[begin:end])


def save(checkpoints, *stops):
    for stop in stops:
        checkpoints.save(stop, ARRAYS, {"counters": {}}, window(stop))


def segment_files(folder):
    return sorted(path.name for path in (folder / "replay").iterdir())


def assert_whole(checkpoints, step):
    held = checkpoints.load(step).window
    assert (held.start, held.stop) == (max(0, step - 40), step)
    np.testing.assert_array_equal(held.read(held.start, held.stop), ROWS[held.start : held.stop])


def test_a_checkpoint_writes_only_the_rows_that_are_new(tmp_path):
    checkpoints = Checkpoints(tmp_path, Retention(3))
    written = []
    for stop in (10, 25, 30, 60, 75, 90):
        before = set(segment_files(tmp_path)) if (tmp_path / "replay").is_dir() else set()
        save(checkpoints, stop)
        written.append([name[:25] for name in segment_files(tmp_path) if name not in before])
    assert written == [
        [f"{begin:012d}-{end:012d}"] for begin, end in [(0, 10), (10, 25), (25, 30), (30, 60), (60, 75), (75, 90)]
    ]
    for step in (60, 75, 90):
        assert_whole(Checkpoints(tmp_path), step)
    # What only older checkpoints needed is gone: 60 needs rows from 20 on.
    assert segment_files(tmp_path)[0].startswith(f"{10:012d}-{25:012d}")


def test_a_new_process_goes_on_from_the_segments_of_what_it_loaded(tmp_path):
    save(Checkpoints(tmp_path), 10, 25)
    again = Checkpoints(tmp_path)
    assert again.latest(print).step == 25
    save(again, 30)
    assert [name[:25] for name in segment_files(tmp_path)] == [
        f"{begin:012d}-{end:012d}" for begin, end in [(0, 10), (10, 25), (25, 30)]
    ]
    assert_whole(again, 30)


@pytest.mark.parametrize("harm", [lambda path: os.truncate(path, 30), os.unlink, lambda path: path.write_bytes(b"x")])
def test_a_damaged_segment_damages_those_that_name_it_and_no_other(tmp_path, harm):
    save(Checkpoints(tmp_path), 10, 25, 30)
    harm(next((tmp_path / "replay").glob(f"{10:012d}-*")))
    checkpoints, said = Checkpoints(tmp_path), []
    assert checkpoints.latest(said.append).step == 10
    assert len(said) == 2
    # Going on from there makes the same rows again, whatever lies in their place.
    save(checkpoints, 25, 30)
    for step in (10, 25, 30):
        assert_whole(Checkpoints(tmp_path), step)


@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_no_segment_that_is_needed_is_ever_removed(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("checkpoints")
    keep = data.draw(st.integers(1, 3))
    checkpoints, stop = Checkpoints(folder, Retention(keep)), 0
    while stop < 90:
        stop += data.draw(st.integers(1, 30))
        if data.draw(st.booleans()):
            checkpoints = Checkpoints(folder, Retention(keep))
            checkpoints.latest(print)
        save(checkpoints, min(stop, 100))
        for step in checkpoints.steps():
            assert_whole(Checkpoints(folder), step)
    needed = {
        segment["name"]
        for step in checkpoints.steps()
        for segment in json.loads((folder / f"{step:012d}" / "manifest.json").read_text())["replay"]["segments"]
    }
    assert set(segment_files(folder)) == needed


def test_many_small_segments_are_gathered_in_one(tmp_path, monkeypatch):
    monkeypatch.setattr(segments, "MOST", 4)
    checkpoints = Checkpoints(tmp_path, Retention(1))
    save(checkpoints, *range(1, 5))
    assert len(segment_files(tmp_path)) == 4
    save(checkpoints, 5)
    assert len(segment_files(tmp_path)) == 1
    assert_whole(checkpoints, 5)


def test_a_manifest_that_cannot_be_read_keeps_all_segments(tmp_path):
    checkpoints = Checkpoints(tmp_path, Retention(2))
    save(checkpoints, 10, 60)
    (tmp_path / f"{60:012d}" / "manifest.json").write_text("{")
    save(checkpoints, 90)
    assert len(segment_files(tmp_path)) == 3
    assert_whole(Checkpoints(tmp_path), 90)


@pytest.mark.parametrize("replay", [{}, {"start": 0, "stop": 5, "segments": [{"name": "../x"}]}, 5])
def test_a_manifest_with_a_senseless_replay_is_damage(tmp_path, replay):
    save(Checkpoints(tmp_path), 10, 20)
    path = tmp_path / f"{20:012d}" / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "replay": replay}))
    assert Checkpoints(tmp_path).latest(lambda text: None).step == 10
