"""Permutation-equivariant networks: the numbering and the number of entities do not matter."""

import gymnasium
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from envs import registry, seeding
from envs.core import Entities
from trainer.agents import actions, equivariant, make, networks
from trainer.agents.learner import Task
from trainer.config import check, load
from trainer.config.networks import Networks
from trainer.errors import BadInput, BadInputs

KEY = seeding.key_from_seed(5)
WIDTH, COMMON = 3, 2
few = settings(max_examples=8, deadline=None, derandomize=True)


def made(count, **given):
    entities = Entities(count, WIDTH, COMMON)
    head = actions.head(gymnasium.spaces.Discrete(count))
    kind = Networks(kind="permutation-equivariant", actor=(16, 16), critic=(16,), **given)
    actor, critic = networks.build(kind, (count * WIDTH + COMMON,), head, entities)
    networks.initialise(actor, critic, KEY, deviation=1.0)
    # Larger than at the start of training, where all choices are nearly alike.
    actor.trainable_weights[-2].assign(actor.trainable_weights[-2] * 100)
    return actor, critic


def observations(random, rows, count):
    own = random.normal(size=(rows, count, WIDTH)).astype(np.float32)
    common = random.normal(size=(rows, COMMON)).astype(np.float32)
    return own, common


def row(own, common):
    return tf.constant(np.concatenate([own.reshape(len(own), -1), common], 1))


def logits(actor, observation, mask=None):
    return actor(observation, mask=mask)[0].logits_parameter().numpy()


@few
@given(st.integers(0, 2**32 - 1), st.integers(2, 6), st.integers(0, 2), st.booleans())
def test_numbering_the_entities_otherwise_permutes_the_probabilities_and_leaves_the_value(seed, count, rounds, shared):
    random = np.random.default_rng(seed)
    actor, critic = made(count, rounds=rounds) if not shared else made_shared(count, rounds)
    own, common = observations(random, 4, count)
    own[0, 0] = 0  # absent
    mask, order = random.random((4, count)) < 0.7, random.permutation(count)
    mask[:, 0] = True
    one, other = (logits(actor, row(own[:, at], common), tf.constant(mask[:, at])) for at in (np.arange(count), order))
    np.testing.assert_allclose(one[:, order], other, rtol=1e-4, atol=1e-5)
    assert np.ptp(one[1][mask[1]]) > 0 or mask[1].sum() == 1  # they differ, so that the order says something
    values = [critic(row(own[:, at], common))[0].numpy() for at in (np.arange(count), order)]
    np.testing.assert_allclose(*values, rtol=1e-4, atol=1e-5)


def made_shared(count, rounds):
    entities = Entities(count, WIDTH, COMMON)
    kind = Networks(kind="permutation-equivariant", actor=(16,), critic=(16,), shared=True, rounds=rounds)
    head = actions.head(gymnasium.spaces.Discrete(count))
    actor, critic = networks.build(kind, (count * WIDTH + COMMON,), head, entities)
    networks.initialise(actor, critic, KEY, deviation=1.0)
    assert len(networks.unique(actor, critic)) == len(actor.trainable_weights) + 4
    actor.trainable_weights[-2].assign(actor.trainable_weights[-2] * 100)
    return actor, critic


def test_the_same_weights_run_on_any_number_and_absent_entities_count_for_nothing():
    small, large = made(3), made(7)
    for one, other in zip(small, large, strict=True):
        for weight, copy in zip(one.trainable_weights, other.trainable_weights, strict=True):
            copy.assign(weight)
    own, common = observations(np.random.default_rng(0), 5, 3)
    padded = np.concatenate([own, np.zeros((5, 4, WIDTH), np.float32)], 1)
    np.testing.assert_allclose(
        logits(small[0], row(own, common)), logits(large[0], row(padded, common))[:, :3], rtol=1e-4, atol=1e-5
    )
    np.testing.assert_allclose(small[1](row(own, common))[0], large[1](row(padded, common))[0], rtol=1e-4, atol=1e-5)


def test_what_is_not_allowed_has_no_probability_and_logits_are_bounded():
    actor, _ = made(4)
    own, common = observations(np.random.default_rng(1), 6, 4)
    mask = tf.constant([[True, False, True, True]] * 6)
    found = logits(actor, row(own * 1000, common), mask)
    assert (found[:, 1] == actions.FORBIDDEN).all()
    assert np.abs(found[:, [0, 2, 3]]).max() <= equivariant.LOGIT_LIMIT
    own[:] = 0  # all absent: no division by nothing
    assert np.isfinite(logits(actor, row(own, common))).all()


def test_a_rival_changes_the_probabilities_and_one_that_is_not_allowed_can_too():
    """Through the features of all, which is what the rounds are for; without rounds, only rivals matter."""
    own, common = observations(np.random.default_rng(2), 1, 3)
    other = own.copy()
    other[0, 2] += 1.0
    mask = tf.constant([[True, True, False]])
    for rounds, matters in ((0, False), (1, True)):
        actor, _ = made(3, rounds=rounds)
        one, two = (logits(actor, row(each, common), mask)[0, :2] for each in (own, other))
        assert (not np.allclose(one - one[0], two - two[0])) == matters


@pytest.mark.parametrize("algorithm", ["ppo", "self-labelling"])
def test_the_job_shop_numbers_its_jobs_as_the_networks_expect(algorithm):
    env = registry.make("slipway/JobShop-v0", jobs=5, machines=4)
    agent = {"algorithm": algorithm, "networks": {"kind": "permutation-equivariant", "actor": [8], "critic": [8]}}
    run_file = load.validate({"env": "slipway/JobShop-v0", "agent": agent})
    learner = make.learner(Task(tuple(env.observation_space.shape), env.action_space, True, env), run_file.agent, KEY)
    state = env.reset(KEY, 6)
    order = [3, 0, 4, 1, 2]
    of_jobs = ("durations", "positions", "heads", "starts", "dispatched", "job_ready")
    swapped = state._replace(**{name: tf.gather(getattr(state, name), order, axis=1) for name in of_jobs})
    one, other = (learner.act(env.observe(each), env.action_mask(each))[0].numpy() for each in (state, swapped))
    np.testing.assert_allclose(one[:, order], other, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("env_id", ["slipway/CartPole-v1", "gymnasium:CartPole-v1"])
def test_tasks_without_entities_are_refused(env_id):
    agent = {"networks": {"kind": "permutation-equivariant"}}
    with pytest.raises((BadInput, BadInputs)) as caught:
        check.check(load.validate({"env": env_id, "agent": agent}))
    assert "agent.networks.kind: 'permutation-equivariant' is not allowed" in str(caught.value)
    assert f"fully-connected, as {env_id} is no choice among alike entities" in str(caught.value)
    assert "set agent.networks.kind to fully-connected" in str(caught.value)
