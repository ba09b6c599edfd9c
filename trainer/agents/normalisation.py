"""Running means and variances, kept in variables so that a checkpoint holds them."""

from typing import Any, Literal

import tensorflow as tf

from envs.core import TensorEnv

CLIP = 10.0
"""Normalised observations and rewards stay within this many deviations."""
EPSILON = 1e-8


class RunningMoments(tf.Module):
    """Mean and variance of everything seen so far, merged batch by batch.

    Chan, Golub and LeVeque 1979: with counts n_a, n_b, means m_a, m_b and sums of squares M_a, M_b,
    `M = M_a + M_b + (m_b - m_a)^2 * n_a * n_b / (n_a + n_b)`.

    Args:
        shape: of one sample.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__(name="running_moments")
        self.count = tf.Variable(0.0, trainable=False, name="count")
        self.mean = tf.Variable(tf.zeros(shape), trainable=False, name="mean")
        self.squares = tf.Variable(tf.zeros(shape), trainable=False, name="squares")

    def update(self, samples: tf.Tensor) -> None:
        """Merge a batch, float32 [B, *shape]."""
        added = float(samples.shape[0])
        mean = tf.reduce_mean(samples, 0)
        squares = tf.reduce_sum(tf.math.squared_difference(samples, mean), 0)
        count = self.count.read_value()
        total = count + added
        apart = mean - self.mean
        self.squares.assign_add(squares + tf.square(apart) * (count * added / total))
        self.mean.assign_add(apart * (added / total))
        self.count.assign(total)

    @property
    def deviation(self) -> tf.Tensor:
        """The standard deviation, 1 before anything was seen."""
        variance = self.squares / tf.maximum(self.count, 1.0)
        return tf.where(self.count > 0, tf.sqrt(variance + EPSILON), tf.ones_like(self.squares))


class Identity(tf.Module):
    """Observations as they are."""

    def __call__(self, observation: tf.Tensor) -> tf.Tensor:
        """The same."""
        return observation

    def update(self, observation: tf.Tensor) -> None:
        """Nothing to learn."""


class Nominal(Identity):
    """(observation - mean) / deviation, by what the task states beforehand.

    Args:
        mean: of one observation's shape.
        deviation: likewise, positive.
    """

    def __init__(self, mean: tf.Tensor, deviation: tf.Tensor) -> None:
        super().__init__(name="nominal")
        self._mean = tf.constant(mean, tf.float32)
        self._factor = 1.0 / tf.constant(deviation, tf.float32)

    def __call__(self, observation: tf.Tensor) -> tf.Tensor:
        """Observations float32 [B, ...] of the order of one."""
        return (observation - self._mean) * self._factor


class Running(Identity):
    """(observation - mean) / deviation of all training observations so far, within +-10.

    Args:
        shape: of one observation.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__(name="running")
        self.moments = RunningMoments(shape)

    def __call__(self, observation: tf.Tensor) -> tf.Tensor:
        """Observations float32 [B, ...] of the order of one."""
        return tf.clip_by_value((observation - self.moments.mean) / self.moments.deviation, -CLIP, CLIP)

    def update(self, observation: tf.Tensor) -> None:
        """Take a batch of raw observations, float32 [B, ...], into account."""
        self.moments.update(observation)


def chosen(kind: Literal["none", "running", "nominal"], shape: tuple[int, ...], env: TensorEnv[Any] | None) -> Identity:
    """What a run file's `observation_normalisation` asks for.

    Args:
        kind: the setting.
        shape: of one observation.
        env: the task's own functions, if it is one of ours.
    """
    if kind == "running":
        return Running(shape)
    if kind == "nominal":
        known = env.nominal_observation() if env is not None else None
        if known is None:
            raise ValueError("the task states no nominal observation")
        return Nominal(*known)
    return Identity()


class ReturnScale(tf.Module):
    """Divides rewards by the running deviation of the discounted return (Engstrom et al. 2020, 'reward scaling').

    https://arxiv.org/abs/2005.12729, section 3.

    Args:
        num_envs: N.
        discount: of the return.
    """

    def __init__(self, num_envs: int, discount: float) -> None:
        super().__init__(name="return_scale")
        self.moments = RunningMoments(())
        self.running_return = tf.Variable(tf.zeros([num_envs]), trainable=False, name="running_return")
        self._discount = discount

    def __call__(self, reward: tf.Tensor, done: tf.Tensor) -> tf.Tensor:
        """Scaled rewards.

        Args:
            reward: float32 [T, N].
            done: bool [T, N], where an episode ended.

        Returns:
            float32 [T, N], within +-10.
        """
        steps = reward.shape[0]

        def body(t: tf.Tensor, total: tf.Tensor, out: tf.TensorArray) -> tuple[tf.Tensor, tf.Tensor, tf.TensorArray]:
            total = total * self._discount + reward[t]
            return t + 1, tf.where(done[t], 0.0, total), out.write(t, total)

        out = tf.TensorArray(tf.float32, steps, element_shape=reward.shape[1:])
        _, total, out = tf.while_loop(
            lambda t, *_: t < steps,
            body,
            (tf.constant(0), self.running_return.read_value(), out),
            maximum_iterations=steps,
            parallel_iterations=1,
        )
        self.running_return.assign(total)
        self.moments.update(tf.reshape(out.stack(), [-1]))
        return tf.clip_by_value(reward / self.moments.deviation, -CLIP, CLIP)
