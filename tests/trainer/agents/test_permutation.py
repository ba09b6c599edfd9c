"""Permutations: each number once, other keys other orders, near every number every place."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from envs import seeding
from trainer.agents.permutation import permutation

KEY = seeding.key_from_seed(5)


@pytest.mark.parametrize("count", [1, 2, 3, 5, 64, 500, 8192, 10_000])
def test_holds_each_number_once_the_same_compiled_or_not(count):
    order = permutation(KEY, count).numpy()
    assert sorted(order) == list(range(count))
    compiled = tf.function(lambda: permutation(KEY, count), jit_compile=True, autograph=False)()
    np.testing.assert_array_equal(order, compiled)


def test_keys_give_their_own_orders():
    draws = [tuple(permutation(seeding.fold(KEY, number), 64).numpy()) for number in range(50)]
    assert len(set(draws)) == 50
    assert draws[0] == tuple(permutation(seeding.fold(KEY, 0), 64).numpy())


def test_each_number_comes_to_each_place_equally_often():
    count, draws = 8, 4000
    compiled = tf.function(lambda n: permutation(seeding.fold(KEY, n), count), jit_compile=True, autograph=False)
    places = np.zeros((count, count))
    for number in range(draws):
        places[np.arange(count), compiled(tf.constant(number)).numpy()] += 1
    assert stats.chisquare(places.ravel(), np.full(count * count, draws / count)).statistic < 200
    # 49 degrees of freedom; a shift or a reflection in place of a shuffle would have some 10,000
