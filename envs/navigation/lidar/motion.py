"""How robots move, and where they are in their worlds."""

import functools
from typing import NamedTuple

import tensorflow as tf

from envs.navigation.lidar import geometry, worlds
from envs.navigation.lidar.model import (
    CELL_METRES,
    GOAL_METRES,
    LEFT_METRES,
    NEAR_METRES,
    REVERSE_METRES_PER_SECOND,
    START_HEADING_RADIANS,
    START_METRES,
    STEP_SECONDS,
    TURN_RADIANS_PER_SECOND,
    Params,
)

SMALL_RADIANS = 1e-3
"""Turns smaller than this are integrated by a series."""


class Pose(NamedTuple):
    """Where the robots are and how they move."""

    world: tf.Tensor  # int32 [B], number in `worlds.library`
    x: tf.Tensor  # float32 [B], metres
    y: tf.Tensor  # float32 [B], metres
    heading: tf.Tensor  # float32 [B], radians from the x axis, not wrapped
    speed: tf.Tensor  # float32 [B], metres per second
    turn: tf.Tensor  # float32 [B], radians per second
    steps: tf.Tensor  # int32 [B], since the start


class Tables(NamedTuple):
    """The worlds as flat tensors on the device."""

    squares: tf.Tensor
    words: tf.Tensor
    clearance: tf.Tensor
    to_goal: tf.Tensor
    path_metres: tf.Tensor


@functools.cache
def tables() -> Tables:
    """The worlds of `worlds.library`, once per process; made outside any graph that is being traced."""
    with tf.init_scope():
        library = worlds.library()
        words = geometry.row_words(library.filled)
        parts = (library.squares, words, library.clearance, library.to_goal, library.path_metres)
        return Tables(*(tf.constant(part.reshape(-1)) for part in parts))


def at_start(world: tf.Tensor) -> Pose:
    """At rest at the start of worlds int32 [B]."""
    still = tf.zeros_like(world, tf.float32)
    x, y = (still + place for place in START_METRES)
    return Pose(world, x, y, still + START_HEADING_RADIANS, still, still, tf.zeros_like(world))


def reachable(params: Params, pose: Pose, speed: tf.Tensor, turn: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Speed and turn rate after a step, towards those commanded, within the accelerations and the limits.

    Args:
        params: with the limits.
        pose: [B].
        speed: float32 [B].
        turn: float32, as `speed`.
    """
    now_speed, now_turn = pose.speed, pose.turn
    most = params.acceleration_metres_per_second2 * STEP_SECONDS
    most_turn = params.turn_acceleration_radians_per_second2 * STEP_SECONDS
    speed = tf.clip_by_value(speed, -REVERSE_METRES_PER_SECOND, params.speed_metres_per_second)
    turn = tf.clip_by_value(turn, -TURN_RADIANS_PER_SECOND, TURN_RADIANS_PER_SECOND)
    return (
        now_speed + tf.clip_by_value(speed - now_speed, -most, most),
        now_turn + tf.clip_by_value(turn - now_turn, -most_turn, most_turn),
    )


def to_cells(x: tf.Tensor, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Positions in metres as columns and rows, not rounded."""
    return (x - LEFT_METRES) / CELL_METRES, (y - NEAR_METRES) / CELL_METRES


def arc(pose: Pose, speed: tf.Tensor, turn: tf.Tensor, seconds: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """x, y and heading after some time at constant speed and turn rate, exactly; the shapes are broadcast.

    Args:
        pose: [B].
        speed: float32 [B, ...].
        turn: float32 [B, ...].
        seconds: float32.
    """
    shape = [-1] + [1] * (len(speed.shape) - 1)
    x, y, heading = (tf.reshape(part, shape) for part in (pose.x, pose.y, pose.heading))
    half = 0.5 * turn * seconds
    small = tf.abs(half) < SMALL_RADIANS
    safe = tf.where(small, 1.0, half)
    chord = speed * seconds * tf.where(small, 1.0 - half * half / 6.0, tf.sin(safe) / safe)
    return x + chord * tf.cos(heading + half), y + chord * tf.sin(heading + half), heading + 2.0 * half


def goal_distance(pose: Pose) -> tf.Tensor:
    """Straight distance to the goal in metres, float32 [B]."""
    return tf.sqrt(tf.square(GOAL_METRES[0] - pose.x) + tf.square(GOAL_METRES[1] - pose.y))


def path_to_goal(pose: Pose) -> tf.Tensor:
    """Length of the shortest path to the goal in metres, float32 [B]."""
    column, row = to_cells(pose.x[:, None], pose.y[:, None])
    return geometry.between(tables().to_goal, pose.world, column, row)[:, 0]
