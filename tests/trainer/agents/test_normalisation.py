"""Running moments and return scaling against numpy over everything seen."""

import numpy as np
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.agents.normalisation import Nominal, ReturnScale, Running, RunningMoments


@given(sizes=st.lists(st.integers(1, 40), min_size=1, max_size=6), seed=st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_batches_merge_to_the_moments_of_all(sizes, seed):
    rng = np.random.default_rng(seed)
    batches = [rng.normal(3, 2, (size, 2)).astype(np.float32) for size in sizes]
    moments = RunningMoments((2,))
    for batch in batches:
        moments.update(tf.constant(batch))
    everything = np.concatenate(batches).astype(np.float64)
    np.testing.assert_allclose(moments.mean, everything.mean(0), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(moments.deviation, np.sqrt(everything.var(0) + 1e-8), rtol=1e-3, atol=1e-4)


def test_before_anything_is_seen_observations_stay_as_they_are():
    observation = tf.constant([[1.0, -2.0]])
    np.testing.assert_array_equal(Running((2,))(observation), observation)


def test_running_observations_are_of_the_order_of_one_and_bounded():
    running = Running((1,))
    running.update(tf.constant(np.random.default_rng(0).normal(100, 5, (1000, 1)), tf.float32))
    assert abs(float(running(tf.constant([[100.0]]))[0, 0])) < 0.1
    assert float(running(tf.constant([[1e6]]))[0, 0]) == 10.0


def test_nominal_uses_what_the_task_states():
    normaliser = Nominal(np.array([5.0], np.float32), np.array([2.0], np.float32))
    np.testing.assert_allclose(normaliser(tf.constant([[9.0]])), [[2.0]])


def test_rewards_are_divided_by_the_deviation_of_the_discounted_return():
    rng = np.random.default_rng(1)
    reward = rng.normal(size=(50, 3)).astype(np.float32)
    done = rng.random((50, 3)) < 0.1
    scale = ReturnScale(3, 0.9)
    got = scale(tf.constant(reward[:20]), tf.constant(done[:20]))
    got = scale(tf.constant(reward[20:]), tf.constant(done[20:]))
    total, seen = np.zeros(3), []
    for t in range(50):
        total = total * 0.9 + reward[t]
        seen.append(total.copy())
        total[done[t]] = 0
    np.testing.assert_allclose(got, np.clip(reward[20:] / np.std(seen), -10, 10), rtol=1e-3)
