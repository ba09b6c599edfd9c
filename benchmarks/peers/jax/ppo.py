"""PPO on CartPole in plain JAX, whole training iterations compiled: written from the papers for this benchmark.

The algorithm is Slipway's: separate networks, advantages normalised by minibatch, an episode that the time limit cuts
bootstrapped from where it was cut, one limit on the whole gradient.
"""

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from benchmarks import worker
from benchmarks.settings import Setting

Layers = tuple[tuple[jax.Array, jax.Array], ...]
MAX_EPISODE_STEPS = 500


class Learner(NamedTuple):
    weights: tuple[Layers, Layers]  # policy, value
    mean: Any  # Adam's first moments
    square: Any  # and second
    count: jax.Array


class Carry(NamedTuple):
    learner: Learner
    state: jax.Array  # [N, 4]
    steps: jax.Array  # [N], of the running episodes
    key: jax.Array
    iteration: jax.Array


class Step(NamedTuple):
    observation: jax.Array
    action: jax.Array
    log_probability: jax.Array
    reward: jax.Array
    terminated: jax.Array
    truncated: jax.Array
    final_observation: jax.Array


class Rows(NamedTuple):
    observation: jax.Array
    action: jax.Array
    log_probability: jax.Array
    advantage: jax.Array
    target: jax.Array


def dense_layers(key: jax.Array, sizes: list[int], last_gain: float) -> Layers:
    keys = jax.random.split(key, len(sizes) - 1)
    gains = [math.sqrt(2)] * (len(sizes) - 2) + [last_gain]
    make = jax.nn.initializers.orthogonal
    return tuple(
        (make(gain)(k, (inputs, outputs)), jnp.zeros(outputs))
        for k, gain, inputs, outputs in zip(keys, gains, sizes[:-1], sizes[1:], strict=True)
    )


def forward(layers: Layers, x: jax.Array) -> jax.Array:
    for kernel, bias in layers[:-1]:
        x = jnp.tanh(x @ kernel + bias)
    kernel, bias = layers[-1]
    return x @ kernel + bias


def log_probability(logits: jax.Array, action: jax.Array) -> jax.Array:
    return jnp.take_along_axis(jax.nn.log_softmax(logits), action[:, None], axis=1)[:, 0]


def values(layers: Layers, observation: jax.Array) -> jax.Array:
    return forward(layers, observation)[..., 0]


def physics(state: jax.Array, action: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Gymnasium's CartPole-v1: cart 1 kg, pole .1 kg and half a metre to its middle, Euler steps of .02 s."""
    x, speed, angle, turn = state.T
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    push = jnp.where(action == 1, 10.0, -10.0)
    common = (push + 0.05 * turn**2 * sin) / 1.1
    turn_rate = (9.8 * sin - cos * common) / (0.5 * (4.0 / 3.0 - 0.1 * cos**2 / 1.1))
    acceleration = common - 0.05 * turn_rate * cos / 1.1
    state = jnp.stack(
        [x + 0.02 * speed, speed + 0.02 * acceleration, angle + 0.02 * turn, turn + 0.02 * turn_rate], axis=1
    )
    fallen = (jnp.abs(state[:, 0]) > 2.4) | (jnp.abs(state[:, 2]) > 12 * 2 * math.pi / 360)
    return state, fallen


def fresh(key: jax.Array, count: int) -> jax.Array:
    return jax.random.uniform(key, (count, 4), minval=-0.05, maxval=0.05)


def rollout(setting: Setting, carry: Carry) -> tuple[Carry, Step]:
    policy = carry.learner.weights[0]

    def step(running: tuple[jax.Array, jax.Array, jax.Array], _: None) -> tuple[Any, Step]:
        state, steps, key = running
        key, action_key, reset_key = jax.random.split(key, 3)
        logits = forward(policy, state)
        action = jax.random.categorical(action_key, logits)
        following, terminated = physics(state, action)
        truncated = (steps + 1 >= MAX_EPISODE_STEPS) & ~terminated
        done = terminated | truncated
        record = Step(
            state,
            action,
            log_probability(logits, action),
            jnp.ones(setting.num_envs),
            terminated,
            truncated,
            following,
        )
        state = jnp.where(done[:, None], fresh(reset_key, setting.num_envs), following)
        return (state, jnp.where(done, 0, steps + 1), key), record

    start = (carry.state, carry.steps, carry.key)
    (state, steps, key), record = jax.lax.scan(step, start, None, setting.rollout_steps)
    return carry._replace(state=state, steps=steps, key=key), record


def targets(setting: Setting, critic: Layers, batch: Step) -> tuple[jax.Array, jax.Array]:
    """Advantages and value targets [T, N] by generalised advantage estimation."""
    value = values(critic, batch.observation)
    next_value = values(critic, batch.final_observation)
    delta = batch.reward + setting.discount * jnp.where(batch.terminated, 0.0, next_value) - value
    decay = setting.discount * setting.gae_lambda * jnp.where(batch.terminated | batch.truncated, 0.0, 1.0)

    def backwards(later: jax.Array, step: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        advantage = step[0] + step[1] * later
        return advantage, advantage

    _, advantage = jax.lax.scan(backwards, jnp.zeros(setting.num_envs), (delta, decay), reverse=True)
    return advantage, advantage + value


def loss(setting: Setting, clip_ratio: jax.Array, weights: tuple[Layers, Layers], rows: Rows) -> jax.Array:
    logits = forward(weights[0], rows.observation)
    advantage = (rows.advantage - rows.advantage.mean()) / (rows.advantage.std() + 1e-8)
    ratio = jnp.exp(log_probability(logits, rows.action) - rows.log_probability)
    clipped = jnp.clip(ratio, 1 - clip_ratio, 1 + clip_ratio)
    surrogate = jnp.minimum(ratio * advantage, clipped * advantage).mean()
    entropy = -(jax.nn.softmax(logits) * jax.nn.log_softmax(logits)).sum(-1).mean()
    value_loss = ((values(weights[1], rows.observation) - rows.target) ** 2).mean()
    return -surrogate + setting.value_coefficient * value_loss - setting.entropy_coefficient * entropy


def adam(setting: Setting, learner: Learner, gradient: Any, rate: jax.Array) -> Learner:
    norm = jnp.sqrt(sum(jnp.sum(g**2) for g in jax.tree.leaves(gradient)))
    scale = jnp.minimum(1.0, setting.max_gradient_norm / norm)
    gradient = jax.tree.map(lambda g: g * scale, gradient)
    count = learner.count + 1
    mean = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, learner.mean, gradient)
    square = jax.tree.map(lambda s, g: 0.999 * s + 0.001 * g**2, learner.square, gradient)
    mean_part, square_part = 1 - 0.9**count, 1 - 0.999**count
    weights = jax.tree.map(
        lambda w, m, s: w - rate * (m / mean_part) / (jnp.sqrt(s / square_part) + setting.adam_epsilon),
        learner.weights,
        mean,
        square,
    )
    return Learner(weights, mean, square, count)


def improve(setting: Setting, learner: Learner, rows: Rows, key: jax.Array, left: jax.Array) -> Learner:
    """All epochs on one batch; `left` is the part of the training that is still to come."""
    clip_ratio = setting.clip_ratio * (left if setting.clip_decays else 1.0)
    gradient_of = jax.grad(functools.partial(loss, setting, clip_ratio))

    def minibatch(learner: Learner, part: Rows) -> tuple[Learner, None]:
        return adam(setting, learner, gradient_of(learner.weights, part), setting.learning_rate * left), None

    def epoch(learner: Learner, key: jax.Array) -> tuple[Learner, None]:
        shuffled = rows
        if setting.minibatches > 1:
            order = jax.random.permutation(key, setting.batch_size)
            shuffled = jax.tree.map(lambda x: x[order], rows)
        parts = jax.tree.map(lambda x: x.reshape(setting.minibatches, -1, *x.shape[1:]), shuffled)
        return jax.lax.scan(minibatch, learner, parts)

    return jax.lax.scan(epoch, learner, jax.random.split(key, setting.epochs))[0]


def iterate(setting: Setting, carry: Carry) -> Carry:
    left = 1.0 - carry.iteration / setting.iterations
    carry, batch = rollout(setting, carry)
    advantage, target = targets(setting, carry.learner.weights[1], batch)
    rows = Rows(batch.observation, batch.action, batch.log_probability, advantage, target)
    rows = jax.tree.map(lambda x: x.reshape(setting.batch_size, *x.shape[2:]), rows)
    key, shuffle = jax.random.split(carry.key)
    learner = improve(setting, carry.learner, rows, shuffle, left)
    return carry._replace(learner=learner, key=key, iteration=carry.iteration + 1)


class JaxProgram:
    def __init__(self, setting: Setting, seed: int) -> None:
        self.setting = setting
        key, policy, critic, state = jax.random.split(jax.random.key(seed), 4)
        weights = dense_layers(policy, [4, 64, 64, 2], 0.01), dense_layers(critic, [4, 64, 64, 1], 1.0)
        zeros = jax.tree.map(jnp.zeros_like, weights)
        learner = Learner(weights, zeros, jax.tree.map(jnp.copy, zeros), jnp.array(0))
        steps = jnp.zeros(setting.num_envs, jnp.int32)
        self._carry = Carry(learner, fresh(state, setting.num_envs), steps, key, jnp.array(0))
        self._iterate = jax.jit(
            lambda carry, count: jax.lax.fori_loop(0, count, lambda _, c: iterate(setting, c), carry),
            donate_argnums=0,
        )
        self._logits = jax.jit(forward)

    def train(self, every: int, after: Callable[[int], bool]) -> None:
        done, total = 0, self.setting.iterations
        while done < total:
            count = min(total, (done // every + 1) * every) - done if done else 1
            self._carry = jax.block_until_ready(self._iterate(self._carry, count))
            done += count
            if not after(done):
                return

    def act(self, observation: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
        return np.asarray(self._logits(self._carry.learner.weights[0], observation)).argmax(1)

    def versions(self) -> dict[str, str]:
        return {"jax": jax.__version__, "numpy": np.__version__}


if __name__ == "__main__":
    worker.main(JaxProgram)
