"""Networks: initialisation, sharing, masks."""

import math

import gymnasium
import numpy as np
import pytest
import tensorflow as tf

from trainer.agents import actions, make, networks
from trainer.agents.learner import Task
from trainer.config.models import PPO, Networks, Reinforce

KEY = tf.constant([3, 4], tf.int32)
DISCRETE = actions.head(gymnasium.spaces.Discrete(3))


def made(**settings):
    pair = networks.build(Networks(**settings), (4,), DISCRETE)
    networks.initialise(*pair, KEY, deviation=1.0)
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


@pytest.mark.parametrize("wished", [0.05, 1.0, 3.0, 100.0])
def test_a_continuous_policy_starts_with_the_deviation_that_is_asked_for(wished):
    head = actions.head(gymnasium.spaces.Box(-2, 2, (2,), np.float32))
    actor, critic = networks.build(Networks(), (4,), head)
    networks.initialise(actor, critic, KEY, deviation=wished)
    _, deviation = head.parameters(actor(tf.zeros([5, 4]))[0])
    np.testing.assert_allclose(deviation, np.full((5, 2), wished), rtol=1e-5)


def test_a_deviation_of_one_starts_at_the_bits_of_its_closed_form():
    assert np.float32(actions.deviation_bias(1.0)) == np.float32(math.log(math.e - 1))


@pytest.mark.parametrize("settings", [PPO, Reinforce])
def test_learners_start_with_the_deviation_of_their_settings(settings):
    chosen = settings(
        num_envs=2,
        rollout_steps=4,
        networks={"initial_deviation": 0.3},
        **({"minibatch_size": 8} if settings is PPO else {}),
    )
    task = Task((1,), gymnasium.spaces.Box(-2.0, 2.0, (1,), np.float32))
    _, deviation = make.learner(task, chosen, KEY).act(tf.zeros([3, 1]), ())
    np.testing.assert_allclose(deviation, np.full((3, 1), 0.3), rtol=1e-5)


def test_masked_actions_have_no_probability():
    actor, _ = made()
    mask = tf.constant([[True, False, True]])
    (logits,) = DISCRETE.parameters(actor(tf.zeros([1, 4]), mask=mask)[0])
    probabilities = tf.nn.softmax(logits).numpy()[0]
    assert probabilities[1] == 0.0
    np.testing.assert_allclose(probabilities[[0, 2]], [0.5, 0.5], atol=1e-3)
