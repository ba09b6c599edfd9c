"""Acrobot against Gymnasium's own `Acrobot-v1`."""

import beside_gymnasium as beside
import gymnasium
import numpy as np
import pytest
import tensorflow as tf

from envs import registry
from envs.classic.acrobot.dynamics import State

TOLERANCE = 2e-6
"""A Runge-Kutta step of .2 s at up to 28 radians a second makes some rounding errors of float32 grow."""


@pytest.fixture(scope="module")
def env():
    return registry.make("slipway/Acrobot-v1")


@pytest.fixture(scope="module")
def real():
    return gymnasium.make("Acrobot-v1").unwrapped


def state_of(*rows):
    return State(*tf.unstack(tf.constant(rows, tf.float32), axis=1))


def pump_with_mistakes(observation, generator):
    """Reaches the line after some hundred steps."""
    return int(generator.integers(3)) if generator.random() < 0.4 else 2 * int(observation[5] > 0)


def test_the_spaces_are_gymnasiums(env, real):
    registered = gymnasium.spec("Acrobot-v1")
    assert env.observation_space == real.observation_space
    assert env.action_space == real.action_space
    assert env.max_episode_steps == registered.max_episode_steps
    assert registry.spec("slipway/Acrobot-v1").reward_threshold == registered.reward_threshold


def test_every_step_of_many_episodes_is_gymnasiums(env, real):
    walked = beside.steps(real, pump_with_mistakes, range(40), 500)
    assert walked.terminated.sum() >= 30
    compare(env, walked)


def test_steps_from_anywhere_are_gymnasiums(env, real):
    """Also at speeds that episodes hardly meet: links that go round several times in a step, both limits."""
    limits = env.observation_space.high[4:]
    rows = []
    for generator in map(np.random.default_rng, range(1500)):
        real.reset(seed=0)
        angles, speeds = generator.uniform(-np.pi, np.pi, 2), generator.uniform(-limits, limits)
        real.state = np.concatenate([angles, speeds]).astype(np.float32).astype(np.float64)
        before, action = real.state.astype(np.float32), int(generator.integers(3))
        observation, reward, terminated, *_ = real.step(action)
        rows.append((before, action, np.array(real.state), observation, reward, terminated))
    walked = beside.Steps(*(np.array(column) for column in zip(*rows, strict=True)))
    for entry, limit in zip((2, 3), limits, strict=True):
        assert np.isclose(np.abs(walked.after[:, entry]), limit).any()
    compare(env, walked, tolerance=1e-4)


def compare(env, walked, tolerance=TOLERANCE):
    after, transition = beside.stepped(env, State, walked)
    np.testing.assert_allclose(env.observe(after), walked.observations, rtol=tolerance, atol=tolerance)
    assert np.abs(np.stack(after[:2])).max() <= np.float32(np.pi)
    height = -np.cos(walked.after[:, 0]) - np.cos(walked.after[:, 0] + walked.after[:, 1])
    on_the_line = np.abs(height - 1.0) < 2 * tolerance
    assert on_the_line.sum() <= 2
    np.testing.assert_array_equal(transition.terminated.numpy()[~on_the_line], walked.terminated[~on_the_line])
    np.testing.assert_array_equal(transition.reward.numpy()[~on_the_line], walked.rewards[~on_the_line])


def test_first_states_have_gymnasiums_law(env, real):
    assert beside.same_first_states(env, real)


def test_the_step_that_reaches_the_line_costs_nothing(env):
    still = state_of([np.pi, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0])
    _, transition = env.step(still, tf.constant([1, 1]), ())
    np.testing.assert_array_equal(transition.terminated, [True, False])
    np.testing.assert_array_equal(transition.reward, [0.0, -1.0])


def test_the_picture_follows_the_links(env):
    hanging, up, aside = (
        (env.render(state_of(row)) == (213, 94, 0)).all(-1).nonzero()
        for row in ([0, 0, 0, 0], [np.pi, 0, 0, 0], [np.pi / 2, 0, 0, 0])
    )
    assert hanging[0].mean() > 130
    assert up[0].mean() < 50
    assert aside[1].mean() > 130
    assert aside[0].mean() == pytest.approx(90, abs=1)


def test_a_filmstrip_ends_with_the_episode(env):
    strip = env.policy_picture(lambda observations: np.where(observations[:, 5] >= 0, 2, 0))
    assert strip["kind"] == "filmstrip"
    assert 5 <= len(set(strip["frames"])) <= 12
