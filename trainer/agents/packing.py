"""Transitions as rows of numbers, so that a shuffle is one gather."""

import dataclasses
from typing import Any, NamedTuple

import tensorflow as tf

from trainer.agents.actions import PolicyHead
from trainer.rollout.base import Trajectories, flat


class Rows(NamedTuple):
    """B transitions, as a gradient step takes them."""

    observation: tf.Tensor  # normalised, float32 [B, ...]
    mask: Any
    action: tf.Tensor
    log_probability: tf.Tensor
    value: tf.Tensor
    advantage: tf.Tensor
    target: tf.Tensor


@dataclasses.dataclass(frozen=True)
class Packing:
    """All that a gradient step needs of a transition in one float32 row, so that a shuffle is one gather."""

    head: PolicyHead
    observation_shape: tuple[int, ...]
    mask_width: int

    def pack(
        self, observation: tf.Tensor, batch: Trajectories, value: tf.Tensor, advantage: tf.Tensor, target: tf.Tensor
    ) -> tf.Tensor:
        """Rows float32 [T * N, width]."""
        action, behaviour = flat(batch.action), tuple(flat(x) for x in batch.behaviour)
        parts = [
            tf.reshape(observation, [observation.shape[0], -1]),
            self.head.pack(action),
            tf.stack([self.head.log_probability(behaviour, action), value, advantage, target], 1),
        ]
        if self.mask_width:
            parts.append(tf.cast(flat(batch.mask), tf.float32))
        return tf.concat(parts, 1)

    def unpack(self, rows: tf.Tensor) -> Rows:
        """The inverse."""
        size = 1
        for n in self.observation_shape:
            size *= n
        observation, action, scalars, mask = tf.split(rows, [size, self.head.packed_width, 4, self.mask_width], 1)
        return Rows(
            tf.reshape(observation, [-1, *self.observation_shape]),
            mask > 0.5,
            self.head.unpack(action),
            *tf.unstack(scalars, axis=1),
        )
