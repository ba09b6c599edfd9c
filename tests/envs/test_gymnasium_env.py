import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from envs import core, registry, seeding
from envs.adapters.gymnasium_env import GymnasiumEnv

LENGTH = {
    "slipway/LostSales-v0": "episode_periods",
    "slipway/LidarNavigation-v0": "episode_steps",
    "slipway/CartPole-v1": "episode_steps",
}


def rollout(env, seed, actions):
    """Observations, rewards and ends until an episode is over or the actions are."""
    observation, _ = env.reset(seed=seed)
    rows = [observation.tobytes()]
    for action in actions:
        observation, reward, terminated, truncated, _ = env.step(action)
        rows.append((observation.tobytes(), reward, terminated, truncated))
        if terminated or truncated:
            break
    return rows


@pytest.fixture(scope="module", params=registry.names())
def name(request):
    return request.param


@pytest.fixture(scope="module")
def env(name):
    return gymnasium.make(name, **{LENGTH[name]: 30})


def test_gymnasiums_checker_finds_nothing_wrong(name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # Stock and velocities have no limit, as in Gymnasium's own CartPole-v1.
        warnings.filterwarnings("ignore", message=".*Box observation space m(ax|in)imum value is -?infinity.*")
        check_env(gymnasium.make(name, render_mode="rgb_array").unwrapped)


def test_a_seed_decides_the_episode(env):
    actions = [1, 0, 1, 1, 0] * 6
    assert rollout(env, 7, actions) == rollout(env, 7, actions)
    assert rollout(env, 7, actions) != rollout(env, 8, actions)


def test_training_and_held_out_seeds_give_different_episodes(env):
    actions = [1, 0] * 15
    held_out = seeding.seed_in_split(7, seeding.Split.HELD_OUT)
    assert rollout(env, 7, actions) != rollout(env, held_out, actions)


def test_episodes_without_a_seed_follow_from_the_one_before(env):
    env.reset(seed=3)
    first = [env.reset()[0].tobytes() for _ in range(3)]
    env.reset(seed=3)
    assert [env.reset()[0].tobytes() for _ in range(3)] == first
    assert len(set(first)) == 3


def test_without_any_seed_two_environments_differ(name):
    starts = {gymnasium.make(name).reset()[0].tobytes() for _ in range(4)}
    assert len(starts) >= 3


def test_the_time_limit_truncates_and_does_not_terminate():
    env = gymnasium.make("slipway/LostSales-v0", episode_periods=5)
    ends = [row[2:] for row in rollout(env, 0, [3] * 9)[1:]]
    assert ends == [(False, False)] * 4 + [(False, True)]


def test_a_fall_terminates_and_is_not_truncated():
    env = gymnasium.make("slipway/CartPole-v1")
    rows = rollout(env, 0, [1] * 500)
    assert rows[-1][2:] == (True, False)
    assert len(rows) < 15


@pytest.mark.parametrize("seed", [1 << 31, (1 << 40)])
def test_a_seed_out_of_range_is_refused(env, seed):
    with pytest.raises(ValueError, match=f"seed is {seed}; allowed are 0 to 2147483647"):
        env.reset(seed=seed)


def test_wrong_calls_are_refused(name):
    env = GymnasiumEnv(name)
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step(0)
    env.reset(seed=0)
    for action in (-1, env.action_space.n, 0.5, None, "left"):
        with pytest.raises(gymnasium.error.InvalidAction, match="allowed: Discrete"):
            env.step(action)
    assert env.render() is None
    with pytest.raises(ValueError, match="render_mode is 'human'"):
        GymnasiumEnv(name, render_mode="human")


def test_an_episode_that_is_over_needs_a_reset():
    env = GymnasiumEnv("slipway/LostSales-v0", episode_periods=2)
    env.reset(seed=0)
    env.step(0)
    assert env.step(0)[3]
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step(0)


def test_pictures_show_the_state_that_was_reached(name):
    env = GymnasiumEnv(name, render_mode="rgb_array")
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.render()
    env.reset(seed=1)
    before = env.render()
    for _ in range(8):
        env.step(1)
    assert before.shape == env.render().shape
    assert (before != env.render()).any()


def test_environments_of_the_same_task_share_the_compilation_and_nothing_else():
    one, other, longer = (GymnasiumEnv("slipway/CartPole-v1", episode_steps=steps) for steps in (40, 40, 41))
    assert one._proceed is other._proceed
    assert one._proceed is not longer._proceed
    actions = [1, 0, 1, 1, 0] * 8
    alone = rollout(one, 5, actions)
    one.reset(seed=5)
    other.reset(seed=6)
    together = []
    for action in actions:
        observation, reward, terminated, truncated, _ = one.step(action)
        together.append((observation.tobytes(), reward, terminated, truncated))
        if terminated or truncated:
            break
        other.step(action)
    assert alone[1:] == together


def test_rewards_are_the_tasks_own():
    """The adapter against the bare functions, on the episode of one seed."""
    task = registry.make("slipway/LostSales-v0", lead_time_periods=2)
    env = GymnasiumEnv(task)
    observation, _ = env.reset(seed=11)
    noise = env._drawn.noise
    state = task.reset(seeding.fold(seeding.key_from_seed(11), 0), 1)
    np.testing.assert_array_equal(task.observe(state)[0], observation)
    for step, action in enumerate([4, 0, 7, 5]):
        state, transition = task.step(state, np.array([action], np.int32), noise[:, step])
        observation, reward, *_ = env.step(action)
        np.testing.assert_array_equal(task.observe(state)[0], observation)
        assert reward == transition.reward[0]
    assert isinstance(env.task, core.TensorEnv)
