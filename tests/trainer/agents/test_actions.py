"""Both action heads: densities, samples, bounds, packing."""

import gymnasium
import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from envs import seeding
from trainer.agents import actions

KEY = tf.constant([3, 4], tf.int32)


def test_discrete_samples_follow_the_probabilities():
    head = actions.Discrete(gymnasium.spaces.Discrete(3))
    logits = tf.math.log(tf.constant([[0.2, 0.3, 0.5]]))
    drawn = head.sample((tf.repeat(logits, 20_000, axis=0),), head.noise(KEY, [20_000])).numpy()
    counts = np.bincount(drawn, minlength=3)
    assert stats.chisquare(counts, 20_000 * np.array([0.2, 0.3, 0.5])).pvalue > 1e-3


def test_discrete_log_probability_is_the_log_softmax():
    head = actions.Discrete(gymnasium.spaces.Discrete(3))
    logits = tf.constant([[0.1, 2.0, -1.0], [5.0, 0.0, 0.0]])
    got = head.log_probability((logits,), tf.constant([1, 2]))
    np.testing.assert_allclose(got, [tf.nn.log_softmax(logits)[0, 1], tf.nn.log_softmax(logits)[1, 2]], rtol=1e-6)


def test_discrete_numbering_starts_where_the_space_does():
    head = actions.Discrete(gymnasium.spaces.Discrete(3, start=-1))
    np.testing.assert_array_equal(head.to_env(tf.constant([0, 2])), [-1, 1])


def test_continuous_log_probability_is_the_normal_density():
    head = actions.Continuous(gymnasium.spaces.Box(-2, 2, (2,), np.float32))
    mean, deviation, action = tf.constant([[0.5, -1.0]]), tf.constant([[0.7, 1.5]]), tf.constant([[0.2, 0.4]])
    expected = stats.norm.logpdf(action, mean, deviation).sum()
    np.testing.assert_allclose(head.log_probability((mean, deviation), action), [expected], rtol=1e-5)


def test_bounded_actions_are_stretched_to_the_bounds_and_never_leave_them():
    space = gymnasium.spaces.Box(np.array([0.0, -2.0], np.float32), np.array([10.0, 2.0], np.float32))
    head = actions.Continuous(space)
    np.testing.assert_allclose(
        head.to_env(tf.constant([[0.0, 0.0], [-1.0, 1.0], [-9.0, 9.0]])), [[5, 0], [0, 2], [0, 2]]
    )
    drawn = head.sample((tf.zeros([1000, 2]), 5 * tf.ones([1000, 2])), head.noise(KEY, [1000]))
    assert all(space.contains(action) for action in head.to_env(drawn).numpy())


@pytest.mark.parametrize(
    ("space", "action"),
    [
        (gymnasium.spaces.Discrete(5), tf.constant([0, 4, 2])),
        (gymnasium.spaces.Box(-1, 1, (2, 2), np.float32), seeding.normal(KEY, [3, 2, 2])),
    ],
)
def test_packing_loses_nothing(space, action):
    head = actions.head(space)
    packed = head.pack(action)
    assert packed.shape == (3, head.packed_width)
    np.testing.assert_array_equal(head.unpack(packed), action)


def test_other_spaces_are_refused():
    with pytest.raises(TypeError, match="MultiBinary"):
        actions.head(gymnasium.spaces.MultiBinary(3))
