"""Pendulum against Gymnasium's own `Pendulum-v1`."""

import beside_gymnasium as beside
import gymnasium
import numpy as np
import pytest
import tensorflow as tf

from envs import registry
from envs.classic.pendulum.dynamics import State

STEPS = 200


def make(gravity):
    ours = registry.make("slipway/Pendulum-v1", gravity_metres_per_second2=gravity)
    return ours, gymnasium.make("Pendulum-v1", g=gravity).unwrapped


def state_of(*rows):
    return State(*tf.unstack(tf.constant(rows, tf.float32), axis=1))


def spin_and_dither(observation, generator):
    """Pumps energy, with chance: passes upright and the speed limit, and asks for more torque than there is."""
    return np.array([np.sign(observation[2]) * 1.5 + generator.normal()], np.float32)


def test_the_spaces_are_gymnasiums():
    ours, real = make(10.0)
    registered = gymnasium.spec("Pendulum-v1")
    assert ours.observation_space == real.observation_space
    assert ours.action_space == real.action_space
    assert ours.max_episode_steps == registered.max_episode_steps
    assert registry.spec("slipway/Pendulum-v1").reward_threshold == registered.reward_threshold


@pytest.mark.parametrize("gravity", [10.0, 3.7])
def test_every_step_of_many_episodes_is_gymnasiums(gravity):
    """Gymnasium's angle counts turns and ours does not: the observations tell them apart from nothing else."""
    ours, real = make(gravity)
    walked = beside.steps(real, spin_and_dither, range(25), STEPS)
    after, transition = beside.stepped(ours, State, walked)
    assert (np.abs(walked.before[:, 0]) > 2 * np.pi).any()
    assert (np.abs(walked.after[:, 1]) == 8.0).any()
    assert (np.abs(walked.actions) > 2.0).any()
    # An angle of some turns has a coarser last bit.
    turns = 1 + np.abs(walked.before[:, 0]).max() / np.pi
    np.testing.assert_allclose(ours.observe(after), walked.observations, rtol=1e-6, atol=1e-6 * turns)
    np.testing.assert_allclose(transition.reward, walked.rewards, rtol=1e-5, atol=1e-5)
    assert not transition.terminated.numpy().any()
    assert not walked.terminated.any()
    assert np.abs(after.angle).max() <= np.float32(np.pi)
    apart = (after.angle.numpy() - walked.after[:, 0]) / (2 * np.pi)
    np.testing.assert_allclose(apart, np.round(apart), atol=1e-6 * turns)


def test_first_states_have_gymnasiums_law():
    assert beside.same_first_states(*make(10.0))


def test_the_reward_is_of_the_state_before_the_step_and_of_the_torque_that_the_motor_can_give():
    ours, _ = make(10.0)
    states = state_of([0.0, 0.0], [np.pi / 2, -2.0], [0.0, 0.0])
    _, transition = ours.step(states, tf.constant([[0.0], [1.0], [50.0]]), ())
    np.testing.assert_allclose(transition.reward, [0.0, -(np.pi**2 / 4 + 0.4 + 0.001), -0.004], rtol=1e-6)


def test_the_baseline_swings_up_from_everywhere_and_holds():
    ours, _ = make(10.0)
    policy = ours.baselines()["swing-up-and-hold"]
    step = tf.function(lambda state: ours.step(state, policy(state, None), ())[0], jit_compile=True, autograph=False)
    angles, speeds = np.meshgrid(np.linspace(-np.pi, np.pi, 21), np.linspace(-8, 8, 11))
    state = state_of(*np.stack([angles.ravel(), speeds.ravel()], 1))
    for _ in range(150):
        state = step(state)
    assert np.abs(state.angle).max() < 0.01
    assert np.abs(state.speed).max() < 0.01


def test_the_picture_follows_the_rod():
    ours, _ = make(10.0)
    tips = [
        (ours.render(state_of([angle, 0.0])) == (213, 94, 0)).all(-1).nonzero() for angle in (0.0, np.pi / 2, np.pi)
    ]
    (up_y, up_x), (left_y, left_x), (down_y, _) = [(rows.mean(), columns.mean()) for rows, columns in tips]
    assert up_y < 60
    assert up_x == pytest.approx(80, abs=1)
    assert left_x < 60
    assert left_y == pytest.approx(80, abs=1)
    assert down_y > 100


def test_a_filmstrip_shows_the_swing():
    ours, _ = make(10.0)
    strip = ours.policy_picture(lambda observations: 2 * np.sign(observations[:, 2:]))
    assert strip["kind"] == "filmstrip"
    assert len(set(strip["frames"])) == 12
    assert "every 0.3 s" in strip["note"]
