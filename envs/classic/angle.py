"""Angles on the circle."""

import math

import tensorflow as tf

TURN_RADIANS = 2 * math.pi


def wrap(angle: tf.Tensor) -> tf.Tensor:
    """The same angles, float32 [...], within half a turn of 0; those that already are keep their bits."""
    return angle - TURN_RADIANS * tf.floor(angle / TURN_RADIANS + 0.5)
