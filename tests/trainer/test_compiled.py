"""Functions called from NumPy arrays to NumPy arrays."""

from typing import NamedTuple

import numpy as np
import pytest
import tensorflow as tf

from trainer.compiled import Compiled


class Pair(NamedTuple):
    one: tf.Tensor
    other: tf.Tensor


@pytest.mark.parametrize("reads_only", [False, True])
def test_nests_of_arrays_go_in_and_come_out(reads_only):
    weight = tf.Variable(2.0)
    called = Compiled(
        lambda pair, nothing, step: (Pair(pair.one * weight, pair.other), step + 1, nothing), reads_only=reads_only
    )
    for rows in (3, 4):  # another shape is another compilation
        given = Pair(np.arange(rows, dtype=np.float32), np.ones([rows], bool))
        (one, other), step, nothing = called(given, (), np.int32(6))
        np.testing.assert_array_equal(one, 2 * given.one)
        assert isinstance(one, np.ndarray)
        assert other.dtype == bool
        assert int(step) == 7
        assert nothing == ()
    weight.assign(5.0)  # read anew at each call
    assert called(given, (), np.int32(0))[0].one[1] == 5.0


def test_what_a_function_changes_stays_changed():
    total = tf.Variable(0)
    called = Compiled(lambda x: total.assign_add(x))
    assert [int(called(np.int32(2))) for _ in range(3)] == [2, 4, 6]
    assert int(total.numpy()) == 6
