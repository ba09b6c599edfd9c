"""Cart and pole against Gymnasium's own `CartPole-v1`."""

import base64
import io

import gymnasium
import matplotlib.image
import numpy as np
import pytest
import tensorflow as tf

from envs import core, registry, seeding
from envs.classic.cart_pole.dynamics import State

EPISODES = 60


@pytest.fixture(scope="module")
def env():
    return registry.make("slipway/CartPole-v1")


@pytest.fixture(scope="module")
def step(env):
    return tf.function(env.step, jit_compile=True, autograph=False)


@pytest.fixture(scope="module")
def real():
    return gymnasium.make("CartPole-v1").unwrapped


def state_of(rows):
    return State(*tf.unstack(tf.constant(np.array(rows), tf.float32), axis=1))


def controller(observation):
    """Balances for hundreds of steps, then often fails: long episodes of both ends."""
    return int(observation[2] + observation[3] + 0.05 * observation[0] > 0)


def test_the_spaces_are_gymnasiums(env, real):
    assert env.observation_space == real.observation_space
    assert env.action_space == real.action_space
    assert env.max_episode_steps == gymnasium.spec("CartPole-v1").max_episode_steps
    assert registry.spec("slipway/CartPole-v1").reward_threshold == gymnasium.spec("CartPole-v1").reward_threshold


def test_every_step_of_many_episodes_is_gymnasiums(real, step):
    """One step at a time from Gymnasium's float64 state: the same to float32, and the same end."""
    generator = np.random.default_rng(0)
    states, actions, following, ends = [], [], [], []
    for seed in range(EPISODES):
        observation, _ = real.reset(seed=seed)
        random_actions = seed % 2
        for _ in range(500):
            action = int(generator.integers(2)) if random_actions else controller(observation)
            states.append(real.state)
            observation, reward, terminated, _, _ = real.step(action)
            actions.append(action)
            following.append(real.state)
            ends.append(terminated)
            assert reward == 1.0
            if terminated:
                break
    assert sum(ends) >= EPISODES / 2
    after, transition = step(state_of(states), tf.constant(actions), ())
    following, ends = np.array(following), np.array(ends)
    np.testing.assert_allclose(tf.stack(after, -1), following, rtol=1e-6, atol=1e-6)
    limits = np.array([2.4, 12 * 2 * np.pi / 360])
    on_the_edge = (np.abs(np.abs(following[:, [0, 2]]) - limits) < 1e-6).any(1)
    assert on_the_edge.sum() <= 1
    np.testing.assert_array_equal(transition.terminated.numpy()[~on_the_edge], ends[~on_the_edge])
    np.testing.assert_array_equal(transition.reward, np.ones(len(ends)))


def test_whole_episodes_last_as_long_as_gymnasiums(env, step, real):
    """From the same first states by the same actions, all rows at once: float32 may cost a step at the very edge."""
    starts = [np.array(real.reset(seed=seed)[0], np.float64) for seed in range(EPISODES)]
    plans = np.random.default_rng(1).integers(0, 2, (200, EPISODES))
    lengths = []
    for row, start in enumerate(starts):
        real.reset(seed=0)
        real.state = start
        lengths.append(next(count for count in range(1, 201) if real.step(int(plans[count - 1, row]))[2]))
    state = state_of(starts)
    ours = np.zeros(EPISODES, int)
    for count in range(1, 201):
        state, transition = step(state, tf.constant(plans[count - 1], tf.int32), ())
        ours[(ours == 0) & transition.terminated.numpy()] = count
    assert np.abs(ours - lengths).max() <= 1
    assert (ours == lengths).mean() >= 0.98


def test_the_limits_end_an_episode_only_when_passed(env):
    angle = 12 * 2 * np.pi / 360
    values = [[2.4, 0, 0, 0], [2.41, 0, 0, 0], [-2.41, 0, 0, 0], [0, 0, angle - 1e-4, 0], [0, 0, -angle - 1e-4, 0]]
    _, transition = env.step(state_of(values), tf.zeros([5], tf.int32), ())
    np.testing.assert_array_equal(transition.terminated, [False, True, True, False, True])


def test_baselines_are_ordered_and_below_the_optimum(env):
    advance = tf.function(lambda *arguments: core.advance(env, *arguments), jit_compile=True, autograph=False)
    means = []
    for policy in env.baselines().values():
        key = seeding.key_from_seed(0, seeding.Split.HELD_OUT)
        episode, fresh = core.begin(env, key, 256), env.reset(seeding.fold(key, 1), 256)
        alive = np.ones(256, bool)
        total = np.zeros(256)
        for _ in range(500):
            episode, outcome = advance(episode, policy(episode.state, key), (), fresh)
            total += alive * outcome.reward.numpy()
            alive &= ~(outcome.terminated.numpy() | outcome.truncated.numpy())
        assert not alive.any()
        means.append(total.mean())
    assert means == pytest.approx([42, 485], rel=0.03)
    assert means[1] < env.optimum() == 500.0


def test_a_filmstrip_shows_png_pictures_that_change(env):
    strip = env.policy_picture(lambda observations: (observations[:, 2] + observations[:, 3] > 0).astype(np.int64))
    assert strip["kind"] == "filmstrip"
    frames = [matplotlib.image.imread(io.BytesIO(base64.b64decode(frame))) for frame in strip["frames"]]
    assert len(frames) >= 5
    assert {frame.shape for frame in frames} == {(160, 240, 3)}
    assert any((frame != frames[0]).any() for frame in frames[1:])
    short = env.policy_picture(lambda observations: np.zeros(len(observations), np.int64))
    assert len(short["frames"]) == 2


def test_the_picture_follows_cart_and_pole(env):
    upright, leaning, aside = (
        env.render(state_of([values])) for values in ([0, 0, 0, 0], [0, 0, 0.2, 0], [1.2, 0, 0, 0])
    )
    orange = [(picture == (213, 94, 0)).all(-1).nonzero()[1].mean() for picture in (upright, leaning, aside)]
    assert orange[0] == pytest.approx(120, abs=1)
    assert orange[1] > orange[0] + 2
    assert orange[2] == pytest.approx(180, abs=1)
