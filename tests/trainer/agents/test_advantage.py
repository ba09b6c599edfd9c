"""Advantages against the recurrence, written out in float64."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.agents.advantage import generalised_advantages


def recurrence(reward, value, next_value, terminated, truncated, discount, gae_lambda):
    """Equation 16 of Schulman et al. 2016, backwards, one number at a time."""
    steps, count = reward.shape
    advantage = np.zeros((steps, count), np.float64)
    for n in range(count):
        following = 0.0
        for t in reversed(range(steps)):
            bootstrap = 0.0 if terminated[t, n] else float(next_value[t, n])
            delta = float(reward[t, n]) + discount * bootstrap - float(value[t, n])
            ended = terminated[t, n] or truncated[t, n]
            following = delta + (0.0 if ended else discount * gae_lambda * following)
            advantage[t, n] = following
    return advantage


@given(
    seed=st.integers(0, 2**31 - 1),
    steps=st.integers(1, 12),
    count=st.integers(1, 5),
    discount=st.floats(0, 1),
    gae_lambda=st.floats(0, 1),
)
@settings(max_examples=60, deadline=None)
def test_equals_the_recurrence_in_float64(seed, steps, count, discount, gae_lambda):
    rng = np.random.default_rng(seed)
    reward, value, next_value = (rng.normal(size=(steps, count)).astype(np.float32) for _ in range(3))
    terminated = rng.random((steps, count)) < 0.2
    truncated = (rng.random((steps, count)) < 0.2) & ~terminated
    arguments = (reward, value, next_value, terminated, truncated)
    got = generalised_advantages(*map(tf.constant, arguments), discount, gae_lambda)
    np.testing.assert_allclose(got, recurrence(*arguments, discount, gae_lambda), rtol=1e-4, atol=1e-4)


def test_a_time_limit_is_bootstrapped_and_an_end_is_not():
    one, zero = tf.ones([1, 1]), tf.zeros([1, 1])
    yes, no = tf.constant([[True]]), tf.constant([[False]])
    ended = generalised_advantages(one, zero, 10 * one, yes, no, 0.9, 0.95)
    cut = generalised_advantages(one, zero, 10 * one, no, yes, 0.9, 0.95)
    assert float(ended[0, 0]) == pytest.approx(1.0)
    assert float(cut[0, 0]) == pytest.approx(1.0 + 0.9 * 10)


def test_nothing_flows_across_the_cut_of_an_episode():
    shape = [3, 1]
    truncated = tf.constant([[False], [True], [False]])
    none = tf.zeros(shape, tf.bool)
    reward = tf.constant([[1.0], [2.0], [100.0]])
    advantage = generalised_advantages(reward, tf.zeros(shape), tf.zeros(shape), none, truncated, 1.0, 1.0)
    np.testing.assert_allclose(advantage[:, 0], [3.0, 2.0, 100.0])


def test_shapes_that_differ_are_refused():
    with pytest.raises(ValueError, match="incompatible"):
        generalised_advantages(
            tf.zeros([3, 2]),
            tf.zeros([3, 1]),
            tf.zeros([3, 2]),
            tf.zeros([3, 2], tf.bool),
            tf.zeros([3, 2], tf.bool),
            1,
            1,
        )
