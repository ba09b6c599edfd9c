"""Networks: initialisation, sharing, masks."""

import gymnasium
import numpy as np
import pytest
import tensorflow as tf

from trainer.agents import actions, networks
from trainer.config.models import Networks

KEY = tf.constant([3, 4], tf.int32)
DISCRETE = actions.head(gymnasium.spaces.Discrete(3))


def made(**settings):
    pair = networks.build(Networks(**settings), (4,), DISCRETE)
    networks.initialise(*pair, KEY)
    return pair


@pytest.mark.parametrize("shape", [(4, 64), (64, 64), (64, 3)])
def test_kernels_are_orthogonal(shape):
    matrix = networks.orthogonal(KEY, shape).numpy()
    small = matrix @ matrix.T if shape[0] < shape[1] else matrix.T @ matrix
    np.testing.assert_allclose(small, np.eye(min(shape)), atol=1e-5)


def test_the_first_policy_is_nearly_uniform_and_the_same_for_the_same_key():
    observation = tf.constant(np.random.default_rng(0).normal(size=(50, 4)), tf.float32)
    (actor, critic), (again, critic_again) = made(), made()
    logits = DISCRETE.parameters(actor(observation)[0])[0]
    assert float(tf.reduce_max(tf.abs(tf.nn.softmax(logits) - 1 / 3))) < 0.05
    np.testing.assert_array_equal(logits, DISCRETE.parameters(again(observation)[0])[0])
    np.testing.assert_array_equal(critic(observation)[0], critic_again(observation)[0])


def test_shared_networks_have_one_set_of_hidden_layers():
    shared, apart = networks.unique(*made(shared=True)), networks.unique(*made(shared=False))
    assert len(apart) - len(shared) == 4  # kernel and bias of both hidden layers


def test_a_continuous_policy_starts_with_deviation_one():
    head = actions.head(gymnasium.spaces.Box(-2, 2, (2,), np.float32))
    actor, critic = networks.build(Networks(), (4,), head)
    networks.initialise(actor, critic, KEY)
    _, deviation = head.parameters(actor(tf.zeros([5, 4]))[0])
    np.testing.assert_allclose(deviation, np.ones((5, 2)), rtol=1e-6)


def test_masked_actions_have_no_probability():
    actor, _ = made()
    mask = tf.constant([[True, False, True]])
    (logits,) = DISCRETE.parameters(actor(tf.zeros([1, 4]), mask=mask)[0])
    probabilities = tf.nn.softmax(logits).numpy()[0]
    assert probabilities[1] == 0.0
    np.testing.assert_allclose(probabilities[[0, 2]], [0.5, 0.5], atol=1e-3)
