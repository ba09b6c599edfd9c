"""Checkpoints: whole or not there, verified, bounded in number."""

import json
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.checkpoint import Checkpoints, Damaged
from trainer.errors import SlipwayError

ARRAYS = {
    "weights": np.arange(6, dtype=np.float32).reshape(2, 3),
    "iteration": np.array(7, np.int32),
    "done": np.array([True, False]),
    "nothing": np.zeros((0, 3), np.float32),
}


def fill(folder, *steps, keep_last=10):
    checkpoints = Checkpoints(folder, keep_last)
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
