"""What every task must hold to, checked on one task at a time."""

import functools
import math

import gymnasium
import numpy as np
import tensorflow as tf

from envs import core, registry, seeding


class Subject:
    """A task with its functions compiled once."""

    def __init__(self, env):
        self.env = env
        self.advance = tf.function(functools.partial(core.advance, env), jit_compile=True, autograph=False)
        self.draw = tf.function(self._draw, autograph=False)
        self.step = tf.function(env.step, autograph=False)
        self.observe = tf.function(env.observe, autograph=False)

    def _draw(self, key, step, batch):
        """A step's noise and initial states."""
        fold = seeding.fold
        return self.env.noise(fold(key, 1, step), batch), self.env.reset(fold(key, 2, step), batch)

    def episode(self, key, batch):
        return core.begin(self.env, seeding.fold(key, 0), batch)

    def actions(self, generator, batch):
        space = self.env.action_space
        if isinstance(space, gymnasium.spaces.Discrete):
            return tf.constant(generator.integers(0, int(space.n), batch), tf.int32)
        return tf.constant(generator.uniform(space.low, space.high, (batch, *space.shape)), tf.float32)

    def walk(self, key, batch, steps, generator):
        """Yields (before, action, noise, fresh, after, outcome) along random actions."""
        episode = self.episode(key, batch)
        for step in range(steps):
            action = self.actions(generator, batch)
            noise, fresh = self.draw(key, tf.constant(step), batch)
            after, outcome = self.advance(episode, action, noise, fresh)
            yield episode, action, noise, fresh, after, outcome
            episode = after


def same(one, other):
    """Whether two nests of tensors are equal bit for bit."""
    pairs = zip(tf.nest.flatten(one), tf.nest.flatten(other), strict=True)
    return all(np.asarray(a).tobytes() == np.asarray(b).tobytes() for a, b in pairs)


def arrays(nest):
    """The same nest of NumPy's arrays: to cut and repeat those is far faster than to do it with tensors."""
    return tf.nest.map_structure(np.asarray, nest)


def row(nest, index):
    return tf.nest.map_structure(lambda each: each[index : index + 1], nest)


def numbered_action(space, number):
    """A discrete action by its number, counted round; of a box the lowest (even) or the highest (odd)."""
    if isinstance(space, gymnasium.spaces.Discrete):
        return number % int(space.n)
    return space.high if number % 2 else space.low


def parameter_of_episode_length(env_id):
    (name,) = [field.name for field in registry.parameters(env_id) if field.name.startswith("episode_")]
    return name


def check_batch_equals_singles(subject, key, batch, generator):
    """Bit for bit; a lone row next to a copy of itself, as XLA makes a program that rounds otherwise of one row."""
    for step in subject.walk(key, batch, 4, generator):
        given, expected = arrays(step[:4]), arrays(step[4:])
        for index in range(batch):
            alone, one = row(given, index), row(expected, index)
            pair = tf.nest.map_structure(lambda array: np.repeat(array, 2, 0), alone)
            assert same(row(arrays(subject.advance(*pair)), 0), one)
            for got, wanted in zip(tf.nest.flatten(subject.advance(*alone)), tf.nest.flatten(one), strict=True):
                np.testing.assert_allclose(got, wanted, rtol=1e-6, atol=1e-6)


def check_seeds_reproduce(subject, key, other_key):
    env = subject.env
    assert same(env.reset(key, 7), env.reset(key, 7))
    assert same(env.noise(key, 7), env.noise(key, 7))
    assert not same((env.reset(key, 7), env.noise(key, 7)), (env.reset(other_key, 7), env.noise(other_key, 7)))
    first, second = ([step[-2:] for step in subject.walk(key, 2, 5, np.random.default_rng(0))] for _ in range(2))
    assert same(first, second)


def check_ends_are_apart_and_reset(subject, key, generator):
    """On a task with a short time limit."""
    env, ended = subject.env, 0
    for before, action, noise, fresh, after, outcome in subject.walk(key, 5, 3 * env.max_episode_steps, generator):
        state, transition = subject.step(before.state, action, noise)
        terminated, truncated = outcome.terminated.numpy(), outcome.truncated.numpy()
        np.testing.assert_array_equal(terminated, transition.terminated)
        assert not (terminated & truncated).any()
        np.testing.assert_array_equal(truncated, (before.steps.numpy() + 1 >= env.max_episode_steps) & ~terminated)
        np.testing.assert_allclose(outcome.final_observation, subject.observe(state), rtol=1e-5, atol=1e-6)
        observations, final = subject.observe(after.state).numpy(), outcome.final_observation.numpy()
        before, after, fresh = arrays(before), arrays(after), arrays(fresh)
        for index, done in enumerate(terminated | truncated):
            ended += done
            if done:
                assert same(row(after.state, index), row(fresh, index))
                assert after.steps[index] == 0
            else:
                assert after.steps[index] == before.steps[index] + 1
                # Compiled by itself, so sines may round otherwise.
                np.testing.assert_allclose(observations[index], final[index], rtol=1e-6, atol=1e-6)
    assert ended >= 5


def check_spaces(subject, key, generator):
    env = subject.env
    for before, action, _, _, after, outcome in subject.walk(key, 17, 60, generator):
        mask = env.action_mask(before.state)
        if mask is not None:
            assert mask.shape == (17, env.action_space.n)
            assert mask.numpy().any(-1).all()
        for observation in np.concatenate([outcome.final_observation, subject.observe(after.state)]):
            assert env.observation_space.contains(observation)
        assert outcome.reward.dtype == tf.float32
        assert np.isfinite(outcome.reward).all()
        assert len(action) == 17


def check_noise_law(subject, key):
    env = subject.env
    law = env.noise_law()
    if law is None:
        return
    probabilities = law.probabilities.numpy().astype(np.float64)
    assert math.isclose(probabilities.sum(), 1.0, abs_tol=1e-5)
    assert probabilities.min() >= 0
    draws = 20_000
    outcomes = np.stack([np.asarray(part).reshape(len(probabilities), -1) for part in tf.nest.flatten(law.outcomes)])
    drawn = np.stack([np.asarray(part).reshape(draws, -1) for part in tf.nest.flatten(env.noise(key, draws))])
    counts = [(drawn == outcomes[:, None, k]).all((0, 2)).mean() for k in range(len(probabilities) - 1)]
    counts.append(1.0 - sum(counts))  # the last outcome stands for all beyond it
    deviation = np.sqrt(probabilities * (1 - probabilities) / draws) + 1e-4
    assert (np.abs(counts - probabilities) < 5.5 * deviation).all()


def check_expected_reward(subject, key, generator, tolerance):
    env, law, batch = subject.env, subject.env.noise_law(), 8
    state = env.reset(key, batch)
    action = subject.actions(generator, batch)
    expected = env.expected_reward(state, action)
    if law is None or expected is None:
        return
    average = np.zeros(batch)
    for k, probability in enumerate(law.probabilities.numpy()):
        noise = tf.nest.map_structure(lambda part, k=k: tf.repeat(part[k : k + 1], batch, 0), law.outcomes)
        average += probability * env.step(state, action, noise)[1].reward.numpy()
    np.testing.assert_allclose(expected, average, atol=tolerance * np.abs(average).max())
