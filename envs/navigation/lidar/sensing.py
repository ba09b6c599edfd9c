"""What the robots observe: the LiDAR, where the goal is, and how fast they move."""

import functools

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from envs.navigation.lidar import geometry, motion, worlds
from envs.navigation.lidar.model import (
    CELL_METRES,
    FIELD_OF_VIEW_RADIANS,
    GOAL_METRES,
    REVERSE_METRES_PER_SECOND,
    TURN_RADIANS_PER_SECOND,
    Params,
)
from envs.navigation.lidar.motion import Pose

FARTHEST_METRES = 15.0
"""More than the distance of any place to the goal."""
NEAREST_METRES = 1e-6


def bearings(params: Params) -> npt.NDArray[np.float32]:
    """Directions of the beams from right to left, float32 [beams], radians from the heading."""
    half = FIELD_OF_VIEW_RADIANS / 2
    return np.linspace(-half, half, params.beams, dtype=np.float32)


def bounds(params: Params) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """The least and the greatest observation, each float32 [beams + 5]."""
    slow = -REVERSE_METRES_PER_SECOND / params.speed_metres_per_second
    low = np.array([0.0] * params.beams + [0.0, -1, -1, slow, -1], np.float32)
    return low, np.array([1.0] * params.beams + [FARTHEST_METRES / 10, 1, 1, 1, 1], np.float32)


def ranges(params: Params, pose: Pose) -> tf.Tensor:
    """What the LiDAR reads, from right to left, in metres, float32 [B, beams]."""
    angle = pose.heading[:, None] + bearings(params)
    column, row = motion.to_cells(pose.x, pose.y)
    limit = params.lidar_range_metres
    squares = motion.tables().squares
    cast = geometry.cast(squares, pose.world, column, row, tf.cos(angle), tf.sin(angle), limit / CELL_METRES)
    return tf.minimum(cast * CELL_METRES, limit)


def observation(params: Params, pose: Pose) -> tf.Tensor:
    """What a policy is given, float32 [B, beams + 5].

    Square roots of the ranges as shares of the LiDAR's, so that near obstacles stand apart; distance to the goal over
    10 m, cosine and sine of its bearing; speed over the highest; turn rate over the highest.
    """
    dx, dy = GOAL_METRES[0] - pose.x, GOAL_METRES[1] - pose.y
    distance = tf.maximum(tf.sqrt(dx * dx + dy * dy), NEAREST_METRES)
    cosine, sine = tf.cos(pose.heading), tf.sin(pose.heading)
    own = [
        distance / 10,
        (dx * cosine + dy * sine) / distance,
        (dy * cosine - dx * sine) / distance,
        pose.speed / params.speed_metres_per_second,
        pose.turn / TURN_RADIANS_PER_SECOND,
    ]
    seen = tf.concat([tf.sqrt(ranges(params, pose) / params.lidar_range_metres), tf.stack(own, -1)], -1)
    return tf.clip_by_value(seen, *bounds(params))


@functools.lru_cache(maxsize=16)
def first_observations(params: Params) -> tf.Tensor:
    """The observation at the start of each world, float32 [W, beams + 5]; made outside any graph being traced."""
    with tf.init_scope():
        count = worlds.TRAINING_WORLDS + worlds.HELD_OUT_WORLDS
        return observation(params, motion.at_start(tf.range(count)))
