"""Tasks beside Gymnasium's own environments: the same steps, the same first states, the scores of baselines."""

from typing import NamedTuple

import numpy as np
import tensorflow as tf
from scipy import stats

from envs import seeding


class Steps(NamedTuple):
    """Steps that Gymnasium's environment made, N of them, each from a state that float32 can hold."""

    before: np.ndarray  # float32 [N, ...]
    actions: np.ndarray  # [N, ...]
    after: np.ndarray  # float64 [N, ...]
    observations: np.ndarray  # float32 [N, ...], after the step
    rewards: np.ndarray  # float64 [N]
    terminated: np.ndarray  # bool [N]


def steps(real, act, seeds, most):
    """Episodes of Gymnasium's environment, its own state rounded to float32 before each step, so that both start alike.

    Args:
        real: the environment, unwrapped.
        act: (observation, generator) -> action.
        seeds: one episode each.
        most: steps of an episode.
    """
    rows = []
    for seed in seeds:
        generator = np.random.default_rng(seed)
        observation, _ = real.reset(seed=seed)
        for _ in range(most):
            before = np.array(real.state, np.float32)
            real.state = before.astype(np.float64)
            action = act(observation, generator)
            observation, reward, terminated, _, _ = real.step(action)
            rows.append((before, action, np.array(real.state, np.float64), observation, reward, terminated))
            if terminated:
                break
    return Steps(*(np.array(column) for column in zip(*rows, strict=True)))


def stepped(env, state_type, walked):
    """What the task makes of the same states and actions: its states and transition."""
    step = tf.function(env.step, jit_compile=True, autograph=False)
    state = state_type(*tf.unstack(tf.constant(walked.before), axis=1))
    kind = tf.int32 if walked.actions.ndim == 1 else tf.float32
    return step(state, tf.constant(walked.actions, kind), ())


def same_first_states(env, real, count=2000):
    """Whether each entry of the first observations has the law that Gymnasium's have (Kolmogorov and Smirnov)."""
    ours = env.observe(env.reset(seeding.key_from_seed(0), count)).numpy()
    theirs = np.array([real.reset(seed=seed)[0] for seed in range(count)])
    return all(stats.ks_2samp(*columns).pvalue > 1e-3 for columns in zip(ours.T, theirs.T, strict=True))


def returns(env, episodes, seed=0):
    """The baselines' returns, float64 [episodes] by name, all on the same held-out episodes."""
    key = seeding.key_from_seed(seed, seeding.Split.HELD_OUT)

    def play(policy):
        def body(t, state, alive, total):
            noise = env.noise(seeding.fold(key, 1, t), episodes)
            state, transition = env.step(state, policy(state, key), noise)
            total += tf.where(alive, transition.reward, 0.0)
            return t + 1, state, alive & ~transition.terminated, total

        start = (tf.constant(0), env.reset(seeding.fold(key, 0), episodes), tf.fill([episodes], True))
        limit = env.max_episode_steps
        return tf.while_loop(lambda t, *_: t < limit, body, (*start, tf.zeros([episodes])), parallel_iterations=1)[-1]

    compiled = tf.function(
        lambda: {name: play(policy) for name, policy in env.baselines().items()}, jit_compile=True, autograph=False
    )
    return {name: values.numpy().astype(np.float64) for name, values in compiled().items()}
