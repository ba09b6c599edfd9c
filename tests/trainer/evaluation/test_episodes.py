"""Held-out episodes against a plain simulation, step by step in Python."""

import functools

import numpy as np
import pytest
import tensorflow as tf
from tasks import Corridor, Counted

from envs import registry, seeding
from envs.core import Objective
from envs.seeding import Split
from trainer.errors import SlipwayError
from trainer.evaluation import episodes
from trainer.evaluation.episodes import NOISE, RESET, TensorEpisodes


def always(action):
    return lambda state, observation, key: tf.fill([observation.shape[0]], action)


def baselines(env):
    return {name: episodes.of_baseline(baseline) for name, baseline in env.baselines().items()}


def by_hand(env, action, seed, count):
    """Scores of one held-out seed's episodes; drawn by XLA, whose generators lay numbers out in their own way."""
    key = seeding.key_from_seed(seed, Split.HELD_OUT)
    compiled = functools.partial(tf.function, jit_compile=True, autograph=False)
    state = compiled(lambda: env.reset(seeding.fold(key, RESET), count))()
    draw = compiled(lambda t: env.noise(seeding.fold(key, NOISE, t), count))
    totals, alive = np.zeros(count), np.ones(count, bool)
    counted = env.warm_up_steps if env.objective is Objective.AVERAGE_REWARD else 0
    for t in range(env.max_episode_steps):
        noise = draw(tf.constant(t))
        state, transition = env.step(state, tf.fill([count], action), noise)
        if t >= counted:
            totals += np.where(alive, transition.reward, 0)
        alive &= ~transition.terminated.numpy()
    if env.objective is Objective.AVERAGE_REWARD:
        totals /= env.max_episode_steps - counted
    return env.score.sign * totals


@pytest.mark.parametrize(
    ("env", "action"),
    [
        (Corridor(ends=True), 1),
        (registry.make("slipway/CartPole-v1", episode_steps=30), 0),
        (registry.make("slipway/LostSales-v0", episode_periods=40), 5),
    ],
    ids=["ends", "cart-pole", "lost sales"],
)
def test_scores_equal_a_simulation_by_hand(env, action):
    scores = TensorEpisodes(env, {"always": always(action)}, 2, 3)()["always"]
    assert scores.shape == (2, 3)
    for seed in range(2):
        np.testing.assert_allclose(scores[seed], by_hand(env, action, seed, 3), rtol=1e-5)


class Enough(Exception):
    pass


@pytest.mark.parametrize("name", ["slipway/CartPole-v1", "slipway/LostSales-v0", "slipway/FrozenLake-v1"])
def test_in_parts_the_scores_are_the_same_bits_and_a_check_can_end_it(name):
    env, calls = registry.make(name), []
    measure = TensorEpisodes(env, {"always": always(1), **baselines(env)}, 3, 4)
    at_once, in_parts = measure(), measure(lambda: calls.append(1))
    for each in at_once:
        np.testing.assert_array_equal(at_once[each], in_parts[each])
    assert 2 < len(calls) <= episodes.PARTS + 1

    def check():
        calls.pop()
        if len(calls) == 1:
            raise Enough

    with pytest.raises(Enough):
        measure(check)


def test_all_policies_meet_the_same_states_and_noise():
    twice = {"one": always(1), "other": always(1), "left": always(0)}
    scores = TensorEpisodes(Corridor(), twice, 3, 4)()
    np.testing.assert_array_equal(scores["one"], scores["other"])
    assert (scores["one"] != scores["left"]).any()


def test_a_seed_means_the_same_however_many_others_there_are():
    few, many = (TensorEpisodes(Corridor(), {"stay": always(1)}, seeds, 4)()["stay"] for seeds in (2, 5))
    np.testing.assert_array_equal(few, many[:2])


def test_held_out_keys_are_never_training_keys():
    held_out = {tuple(seeding.key_from_seed(seed, Split.HELD_OUT).numpy()) for seed in range(50)}
    training = {tuple(seeding.key_from_seed(seed).numpy()) for seed in range(50)}
    assert not held_out & training
    for key in held_out:
        assert seeding.split_of(int(seeding.fold(tf.constant(key), 1, 2, 3)[0])) is Split.HELD_OUT


def test_scores_that_are_not_finite_are_an_error():
    class Broken(Corridor):
        def step(self, state, action, noise):
            state, transition = super().step(state, action, noise)
            return state, transition._replace(reward=transition.reward * float("nan"))

    with pytest.raises(SlipwayError, match="not finite"):
        TensorEpisodes(Broken(), {"stay": always(1)}, 2, 2)()


def test_where_a_task_counts_a_score_that_is_reported_and_not_the_reward():
    scores = TensorEpisodes(Counted(), {"stay": always(1)}, 2, 3)()["stay"]
    np.testing.assert_array_equal(scores, 10.0)
    assert (TensorEpisodes(Corridor(), {"stay": always(1)}, 2, 3)()["stay"] != 10.0).any()


def test_baselines_see_the_state():
    act = episodes.of_baseline(lambda state, key: tf.cast(state.place < 2, tf.int32) + 1)
    scores = TensorEpisodes(Corridor(), {"to the middle": act, "left": always(0)}, 4, 8)()
    assert scores["to the middle"].mean() > scores["left"].mean() + 5
