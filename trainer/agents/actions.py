"""Discrete and continuous actions behind one set of functions.

A distribution travels as its **parameters**, a tuple of tensors: `(logits,)` or `(loc, scale)`. Randomness comes in as
`noise`, so that a rollout can draw all of it before its loop.
"""

import math
from typing import Any, Protocol

import gymnasium
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from tf_agents.networks import categorical_projection_network, normal_projection_network
from tf_agents.specs import tensor_spec

from envs import seeding
from trainer.policy import Memory

Parameters = tuple[tf.Tensor, ...]

FORBIDDEN = float(np.finfo(np.float32).min)
"""The value of a choice that a mask forbids."""


def deviation_bias(deviation: float) -> float:
    """What softplus turns into a deviation."""
    return math.log(math.expm1(deviation))


def best(values: tf.Tensor, mask: Any | None) -> tf.Tensor:
    """The allowed choices of the highest value, int32 [B], from values float32 [B, n] and a mask bool [B, n]."""
    return tf.argmax(values if mask is None else tf.where(mask, values, FORBIDDEN), -1, output_type=tf.int32)


class ActionHead(Protocol):
    """What a learner needs to know of an action space."""

    spec: Any
    """The TF-Agents spec of the actions as the learner has them."""
    packed_width: int
    """How many float32 columns a row's action takes when packed."""
    parameter_names: tuple[str, ...]
    """What the distribution's parameters are called."""
    is_discrete: bool
    """Whether actions are numbers of choices."""

    def noise(self, key: tf.Tensor, shape: list[int]) -> tf.Tensor:
        """Randomness for samples of the given leading shape."""
        ...

    def sample(self, parameters: Parameters, noise: tf.Tensor) -> tf.Tensor:
        """One action a row."""
        ...

    def mode(self, parameters: Parameters) -> tf.Tensor:
        """The most likely action of each row."""
        ...

    def uniform(self, key: tf.Tensor, rows: int, mask: Any | None) -> tf.Tensor:
        """Actions by chance alone, within what is allowed; [-1, 1] where nothing else bounds them."""
        ...

    def scores(self, parameters: Parameters, noise: tf.Tensor) -> tf.Tensor:
        """What `sample` chooses the largest of, float32 [B, n]; for discrete actions alone."""
        ...

    def to_env(self, action: tf.Tensor) -> tf.Tensor:
        """The action as the environment takes it."""
        ...

    def pack(self, action: tf.Tensor) -> tf.Tensor:
        """Actions as float32 [B, packed_width]."""
        ...

    def unpack(self, packed: tf.Tensor) -> tf.Tensor:
        """The inverse of `pack`."""
        ...


class PolicyHead(ActionHead, Protocol):
    """A head for learners whose network gives a distribution."""

    def projection(self) -> Any:
        """A new TF-Agents projection network from features to the distribution."""
        ...

    def parameters(self, distribution: Any) -> Parameters:
        """The distribution's parameters, each [B, ...]."""
        ...

    def log_probability(self, parameters: Parameters, action: tf.Tensor) -> tf.Tensor:
        """Log density of actions, float32 [B]."""
        ...


class _Choice:
    """A choice of one of n; the environment's numbering may start elsewhere than at 0.

    Args:
        space: the action space.
    """

    packed_width = 1
    is_discrete = True

    def __init__(self, space: gymnasium.spaces.Space[Any]) -> None:
        if not isinstance(space, gymnasium.spaces.Discrete):
            raise TypeError(f"{type(self).__name__} acts in a Discrete space, not in {space}")
        self.count, self._start = int(space.n), int(space.start)
        self.spec = tensor_spec.BoundedTensorSpec([], tf.int32, 0, self.count - 1, "action")

    def uniform(self, key: tf.Tensor, rows: int, mask: Any | None) -> tf.Tensor:
        """int32 [rows]."""
        chance = seeding.gumbel(key, [rows, self.count])
        return tf.argmax(chance if mask is None else tf.where(mask, chance, -np.inf), -1, output_type=tf.int32)

    def to_env(self, action: tf.Tensor) -> tf.Tensor:
        """int32 [B] from the space's start on."""
        return action + self._start

    def pack(self, action: tf.Tensor) -> tf.Tensor:
        """float32 [B, 1]; exact, as there are fewer than 2**24 actions."""
        return tf.cast(action, tf.float32)[..., None]

    def unpack(self, packed: tf.Tensor) -> tf.Tensor:
        """int32 [B]."""
        return tf.cast(packed[..., 0], tf.int32)


class Discrete(_Choice):
    """Choices drawn from a categorical distribution."""

    parameter_names: tuple[str, ...] = ("logits",)

    def projection(self) -> Any:
        """Logits of a linear layer."""
        return categorical_projection_network.CategoricalProjectionNetwork(self.spec)

    def parameters(self, distribution: Any) -> Parameters:
        """(logits float32 [B, n],)."""
        return (distribution.logits_parameter(),)

    def noise(self, key: tf.Tensor, shape: list[int]) -> tf.Tensor:
        """Gumbel numbers [*shape, n]."""
        return seeding.gumbel(key, [*shape, self.count])

    def sample(self, parameters: Parameters, noise: tf.Tensor) -> tf.Tensor:
        """int32 [B], by the Gumbel-max trick (Maddison et al. 2014, https://arxiv.org/abs/1411.0030)."""
        return tf.argmax(self.scores(parameters, noise), -1, output_type=tf.int32)

    def mode(self, parameters: Parameters) -> tf.Tensor:
        """int32 [B]; the lowest number among equals."""
        return tf.argmax(parameters[0], -1, output_type=tf.int32)

    def scores(self, parameters: Parameters, noise: tf.Tensor) -> tf.Tensor:
        """What `sample` chooses the largest of, float32 [B, n]."""
        return parameters[0] + noise

    def log_probability(self, parameters: Parameters, action: tf.Tensor) -> tf.Tensor:
        """Log softmax at the action."""
        return -tf.nn.sparse_softmax_cross_entropy_with_logits(labels=action, logits=parameters[0])


class EpsilonGreedy(_Choice):
    """The choice of the highest value, or with some chance any that is allowed.

    Its parameters are the values, `FORBIDDEN` where a mask forbids the choice, and the chance of exploring.
    """

    parameter_names: tuple[str, ...] = ("values", "exploration")

    def noise(self, key: tf.Tensor, shape: list[int]) -> tf.Tensor:
        """Uniform numbers [*shape, n + 1]: one for each choice, and one for whether to explore."""
        return seeding.uniform(key, [*shape, self.count + 1])

    def scores(self, parameters: Parameters, noise: tf.Tensor) -> tf.Tensor:
        """What `sample` chooses the largest of, float32 [B, n]."""
        values, exploration = parameters
        chance = tf.where(values > FORBIDDEN, noise[..., :-1], FORBIDDEN)
        return tf.where((noise[..., -1] < exploration)[..., None], chance, values)

    def sample(self, parameters: Parameters, noise: tf.Tensor) -> tf.Tensor:
        """int32 [B]."""
        return tf.argmax(self.scores(parameters, noise), -1, output_type=tf.int32)

    def mode(self, parameters: Parameters) -> tf.Tensor:
        """int32 [B]; the lowest number among equals."""
        return tf.argmax(parameters[0], -1, output_type=tf.int32)


class _Box:
    """Actions of real numbers.

    Where the space is bounded, the learner works in [-1, 1] and the environment gets that stretched to its bounds; what
    lies outside is clipped on the way to the environment only.

    Args:
        space: the action space.
    """

    is_discrete = False

    def __init__(self, space: gymnasium.spaces.Space[Any]) -> None:
        if not isinstance(space, gymnasium.spaces.Box):
            raise TypeError(f"{type(self).__name__} acts in a Box, not in {space}")
        self._shape = [int(n) for n in space.shape]
        self.packed_width = math.prod(self._shape)
        self._bounded = bool(space.is_bounded())
        self._low, self._high = tf.constant(space.low, tf.float32), tf.constant(space.high, tf.float32)
        bound = 1.0 if self._bounded else 1e6
        self.spec = tensor_spec.BoundedTensorSpec(self._shape, tf.float32, -bound, bound, "action")

    def noise(self, key: tf.Tensor, shape: list[int]) -> tf.Tensor:
        """Standard normal numbers [*shape, ...]."""
        return seeding.normal(key, [*shape, *self._shape])

    def scores(self, parameters: Parameters, noise: tf.Tensor) -> tf.Tensor:
        """There are none."""
        del parameters, noise
        raise TypeError("continuous actions are not chosen by scores")

    def uniform(self, key: tf.Tensor, rows: int, mask: Any | None) -> tf.Tensor:
        """float32 [rows, ...] in [-1, 1]."""
        del mask
        return seeding.uniform(key, [rows, *self._shape], -1.0, 1.0)

    def _sum(self, each: tf.Tensor) -> tf.Tensor:
        """The sum over all parts of an action, float32 [B]."""
        return tf.reduce_sum(tf.reshape(each, [-1, self.packed_width]), -1)

    def to_env(self, action: tf.Tensor) -> tf.Tensor:
        """float32 [B, ...] within the space's bounds."""
        if not self._bounded:
            return tf.clip_by_value(action, self._low, self._high)
        return self._low + (tf.clip_by_value(action, -1.0, 1.0) + 1.0) * (0.5 * (self._high - self._low))

    def pack(self, action: tf.Tensor) -> tf.Tensor:
        """float32 [B, size]."""
        return tf.reshape(action, [-1, self.packed_width])

    def unpack(self, packed: tf.Tensor) -> tf.Tensor:
        """float32 [B, ...]."""
        return tf.reshape(packed, [-1, *self._shape])


class Continuous(_Box):
    """A normal distribution with a deviation that does not depend on the state, as is usual with PPO."""

    parameter_names: tuple[str, ...] = ("mean", "deviation")

    def projection(self) -> Any:
        """A linear mean, and a learned deviation; `trainer.agents.networks.initialise` says where it starts."""
        return normal_projection_network.NormalProjectionNetwork(
            self.spec, mean_transform=None, std_bias_initializer_value=deviation_bias(1.0)
        )

    def parameters(self, distribution: Any) -> Parameters:
        """(mean, deviation), float32 [B, ...]."""
        return distribution.mean(), distribution.stddev()

    def sample(self, parameters: Parameters, noise: tf.Tensor) -> tf.Tensor:
        """float32 [B, ...]."""
        return parameters[0] + parameters[1] * noise

    def mode(self, parameters: Parameters) -> tf.Tensor:
        """The mean."""
        return parameters[0]

    def log_probability(self, parameters: Parameters, action: tf.Tensor) -> tf.Tensor:
        """Log density of independent normals."""
        return self._sum(tfp.distributions.Normal(*parameters).log_prob(action))


class SquashedNormal(_Box):
    """A normal distribution through tanh, so that all actions lie within their bounds (Haarnoja et al. 2018, app. C).

    Its parameters are the mean and the deviation before tanh.
    """

    parameter_names: tuple[str, ...] = ("mean", "deviation")

    def sample(self, parameters: Parameters, noise: tf.Tensor) -> tf.Tensor:
        """float32 [B, ...] in (-1, 1)."""
        return tf.tanh(parameters[0] + parameters[1] * noise)

    def sample_with_log_probability(self, parameters: Parameters, noise: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The same, and its log density, float32 [B].

        `log(1 - tanh(u)^2) = 2 (log 2 - u - softplus(-2 u))`, which does not lose digits where tanh is near 1.
        """
        before = parameters[0] + parameters[1] * noise
        density = -0.5 * tf.square(noise) - tf.math.log(parameters[1]) - 0.5 * math.log(2 * math.pi)
        stretch = 2.0 * (math.log(2.0) - before - tf.nn.softplus(-2.0 * before))
        return tf.tanh(before), self._sum(density - stretch)

    def mode(self, parameters: Parameters) -> tf.Tensor:
        """Tanh of the mean, the median; float32 [B, ...]."""
        return tf.tanh(parameters[0])


class NoisyAction(_Box):
    """A deterministic action; normal noise is added to explore, and the sum clipped to the bounds.

    Its parameters are the action in [-1, 1], and the noise's deviation [B].
    """

    parameter_names: tuple[str, ...] = ("action", "exploration")

    def sample(self, parameters: Parameters, noise: tf.Tensor) -> tf.Tensor:
        """float32 [B, ...] in [-1, 1]."""
        action, deviation = parameters
        spread = tf.reshape(deviation, [-1] + [1] * len(self._shape))
        return tf.clip_by_value(action + spread * noise, -1.0, 1.0)

    def mode(self, parameters: Parameters) -> tf.Tensor:
        """The action."""
        return parameters[0]


def answer(head: ActionHead, given: tuple[tf.Tensor, ...]) -> tuple[Parameters, Memory]:
    """What a learner's `act` gave, as the parameters of the distribution and the policy's memory (`trainer.policy`)."""
    count = len(head.parameter_names)
    return tuple(given[:count]), tuple(given[count:])


def head(space: gymnasium.spaces.Space[Any]) -> PolicyHead:
    """The head for an action space.

    Raises:
        TypeError: for spaces other than `Discrete` and `Box`.
    """
    if isinstance(space, gymnasium.spaces.Discrete):
        return Discrete(space)
    if isinstance(space, gymnasium.spaces.Box):
        return Continuous(space)
    raise TypeError(f"no action head for {space}")
