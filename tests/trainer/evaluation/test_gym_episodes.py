"""Held-out episodes of Gymnasium environments, against single environments stepped by hand."""

import gymnasium
import numpy as np
import pytest
import tensorflow as tf
from gymnasium import spaces

from envs.seeding import Split, split_of
from trainer.errors import SlipwayError
from trainer.evaluation import gym_episodes
from trainer.evaluation.gym_episodes import GymEpisodes, episode_seed
from trainer.rollout.gym_vector import GymVector


class Countdown(gymnasium.Env):
    """Lasts as long as its seed says, pays 1 a step; never ends if `forever`. Action 1 pays nothing."""

    observation_space = spaces.Box(0, 100, (1,), np.float32)
    action_space = spaces.Discrete(2)

    def __init__(self, forever: bool = False, reward: float = 1.0) -> None:
        self.forever, self.reward = forever, reward

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.left = int(self.np_random.integers(1, 40))
        return np.array([self.left], np.float32), {}

    def step(self, action):
        self.left -= 1
        ended = self.left == 0 and not self.forever
        return np.array([max(self.left, 0)], np.float32), self.reward * (1 - action), ended, False, {}


@pytest.fixture(scope="module", autouse=True)
def registered():
    gymnasium.register("test/Countdown-v0", entry_point=Countdown, disable_env_checker=True)
    yield
    gymnasium.registry.pop("test/Countdown-v0")


def of(env_id, **parameters):
    return lambda rows: GymVector(env_id, parameters, rows)


def always(action):
    return lambda observation, mask, key: tf.fill([observation.shape[0]], action)


def by_hand(env_id, seed, action):
    env = gymnasium.make(env_id)
    env.reset(seed=seed)
    total, ended = 0.0, False
    while not ended:
        _, reward, terminated, truncated, _ = env.step(action)
        total, ended = total + float(reward), terminated or truncated
    env.close()
    return total


@pytest.mark.parametrize("env_id", ["test/Countdown-v0", "CartPole-v1"])
def test_every_score_is_that_of_a_single_environment(env_id):
    """More episodes than rows, of very different lengths: none may be lost, cut or counted twice."""
    scores = GymEpisodes(of(env_id), {"always": always(0)}, 5, 8)()["always"]
    expected = [[by_hand(env_id, episode_seed(seed, episode), 0) for episode in range(8)] for seed in range(5)]
    np.testing.assert_array_equal(scores, expected)


def test_policies_meet_the_same_episodes_and_repeat():
    measure = GymEpisodes(of("test/Countdown-v0"), {"one": always(0), "same": always(0), "none": always(1)}, 3, 7)
    scores = measure()
    np.testing.assert_array_equal(scores["one"], scores["same"])
    assert not scores["none"].any()
    np.testing.assert_array_equal(measure()["one"], scores["one"])


def test_a_check_can_end_it():
    calls = []

    def check():
        calls.append(1)
        if len(calls) == 3:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        GymEpisodes(of("test/Countdown-v0"), {"always": always(0)}, 3, 7)(check)
    assert len(calls) == 3


def test_a_seed_means_the_same_however_many_there_are():
    many = GymEpisodes(of("test/Countdown-v0"), {"always": always(0)}, 4, 6)()["always"]
    few = GymEpisodes(of("test/Countdown-v0"), {"always": always(0)}, 2, 3)()["always"]
    np.testing.assert_array_equal(few, many[:2, :3])


def test_seeds_are_held_out_and_differ():
    seeds = [episode_seed(*pair) for pair in np.ndindex(20, 64)]
    assert len(set(seeds)) == len(seeds)
    assert all(split_of(seed) is Split.HELD_OUT and 1 << 30 <= seed < 1 << 31 for seed in seeds)


def test_an_environment_without_a_time_limit_is_cut(monkeypatch):
    monkeypatch.setattr(gym_episodes, "MOST_STEPS", 9)
    scores = GymEpisodes(of("test/Countdown-v0", forever=True), {"always": always(0)}, 2, 10)()["always"]
    assert (scores == 9).all()


def test_faults_come_with_their_names():
    failing = GymEpisodes(of("test/Countdown-v0", reward=float("nan")), {"always": always(0)}, 2, 2)
    with pytest.raises(SlipwayError, match="test/Countdown-v0 gave a reward that is no finite number"):
        failing()
