"""Permutation-equivariant networks: for tasks whose action chooses one of some alike entities (`envs.core.Entities`).

Every entity goes through the same layers, and sees the others only by what does not depend on their order: means and
greatest values over all of them (Zaheer et al. 2017, "Deep Sets", https://arxiv.org/abs/1703.06114). So numbering the
entities otherwise permutes the probabilities of actions and leaves the value, and no weight depends on how many there
are: a policy that was trained on some number of entities acts on any other.
"""

from typing import Any

import tensorflow as tf
from tf_agents.networks import network

from envs.core import Entities
from trainer.agents.actions import FORBIDDEN, PolicyHead

LOGIT_LIMIT = 10.0
"""No logit is further from 0, so that a policy that has become sure of an action can still unlearn it."""
ABSENT = -1e9
"""Less than any feature: what an absent entity puts into a greatest value."""


def parts(row: tf.Tensor, entities: Entities) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """What an observation is made up of.

    Args:
        row: float32 [B, count * width + common].
        entities: how it is made up.

    Returns:
        The entities' numbers float32 [B, count, width], the common ones float32 [B, common], and which entities are
        present, bool [B, count].
    """
    own = tf.reshape(row[:, : entities.count * entities.width], [-1, entities.count, entities.width])
    return own, row[:, entities.count * entities.width :], tf.reduce_any(tf.not_equal(own, 0.0), 2)


def pooled(features: tf.Tensor, among: tf.Tensor) -> tf.Tensor:
    """Mean and greatest value of some entities' features, 0 where there are none.

    Args:
        features: float32 [B, n, H].
        among: bool [B, n].

    Returns:
        float32 [B, 2 H].
    """
    weight = tf.cast(among, tf.float32)[..., None]
    count = tf.maximum(tf.reduce_sum(weight, 1), 1.0)
    greatest = tf.reduce_max(features + (weight - 1.0) * -ABSENT, 1)
    some = tf.reduce_any(among, 1, keepdims=True)
    return tf.concat([tf.reduce_sum(features * weight, 1) / count, tf.where(some, greatest, 0.0)], 1)


class WithContext(tf.keras.layers.Layer):
    """A linear layer on each entity's features together with what all entities share: `x W + c V + b`.

    Args:
        units: of the result.
    """

    def __init__(self, units: int) -> None:
        super().__init__()
        self._own = tf.keras.layers.Dense(units)
        self._context = tf.keras.layers.Dense(units, use_bias=False)

    def call(self, inputs: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        """float32 [B, n, units] of features [B, n, ...] and context [B, ...]."""
        own, context = inputs
        return self._own(own) + self._context(context)[:, None]


class Encoder(tf.keras.layers.Layer):
    """Features of each entity: hidden layers, then rounds in which each looks at all.

    A round adds `W relu(V [h, c])` to the features h, where the context c is a layer on their mean and greatest value.

    Args:
        entities: how an observation is made up.
        units: of the hidden layers; the last is the number of features, H.
        activation: of all layers.
        rounds: how often the entities exchange what they know.
    """

    def __init__(self, entities: Entities, units: tuple[int, ...], activation: str, rounds: int) -> None:
        super().__init__()
        self._entities, self.units = entities, units[-1]
        self._activate = tf.keras.activations.get(activation)
        self._first = WithContext(units[0])
        self._hidden = [tf.keras.layers.Dense(number, activation) for number in units[1:]]
        self._contexts = [tf.keras.layers.Dense(self.units, activation) for _ in range(rounds)]
        self._mixing = [WithContext(self.units) for _ in range(rounds)]
        self._adding = [tf.keras.layers.Dense(self.units) for _ in range(rounds)]

    def call(self, row: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Features float32 [B, n, H], the observation's common part float32 [B, ...], who is present bool [B, n]."""
        own, common, present = parts(row, self._entities)
        features = self._activate(self._first((own, common)))
        for layer in self._hidden:
            features = layer(features)
        for context, mixing, adding in zip(self._contexts, self._mixing, self._adding, strict=True):
            seen = context(pooled(features, present))
            features = features + adding(self._activate(mixing((features, seen))))
        return features, common, present


class EntityActor(network.DistributionNetwork):
    """Observations to a distribution over entities.

    Args:
        observation_spec: of what comes in.
        encoder: the entities' features.
        head: the action space's.
    """

    def __init__(self, observation_spec: Any, encoder: Encoder, head: PolicyHead) -> None:
        spec = head.projection().output_spec
        super().__init__(input_tensor_spec=observation_spec, state_spec=(), output_spec=spec, name="EntityActor")
        self.encoder = encoder
        self._compare = WithContext(encoder.units)
        self._logit = tf.keras.layers.Dense(1, name="logit")

    def call(
        self,
        observation: Any,
        step_type: Any = None,
        network_state: Any = (),
        training: bool = False,
        mask: Any = None,
    ) -> tuple[Any, Any]:
        """The distribution for observations float32 [B, ...]; actions where the mask [B, n] is false have none.

        Each entity is compared with those that are allowed.
        """
        del step_type, training
        features, _, present = self.encoder(observation)
        rivals = present if mask is None else tf.logical_and(present, mask)
        compared = tf.nn.relu(self._compare((features, pooled(features, rivals))))
        logits = LOGIT_LIMIT * tf.tanh(self._logit(compared)[..., 0] * (1.0 / LOGIT_LIMIT))
        if mask is not None:
            logits = tf.where(mask, logits, FORBIDDEN)
        return self.output_spec.build_distribution(logits=logits), network_state


class EntityCritic(network.Network):
    """Observations to values.

    Args:
        observation_spec: of what comes in.
        encoder: the entities' features, the actor's own if they are shared.
    """

    def __init__(self, observation_spec: Any, encoder: Encoder) -> None:
        super().__init__(input_tensor_spec=observation_spec, state_spec=(), name="EntityCritic")
        self._encoder = encoder
        self._hidden = tf.keras.layers.Dense(encoder.units, "relu")
        self._value = tf.keras.layers.Dense(1, name="value")

    def call(
        self, observation: Any, step_type: Any = None, network_state: Any = (), training: bool = False
    ) -> tuple[tf.Tensor, Any]:
        """Values float32 [B] of observations float32 [B, ...]."""
        del step_type, training
        features, common, present = self._encoder(observation)
        hidden = self._hidden(tf.concat([pooled(features, present), common], 1))
        return self._value(hidden)[..., 0], network_state
