"""Geometry of many robots in many worlds, as tensors: LiDAR, collision, and values between the cells' corners.

Lengths here are in cells, from the outer corner of row 0 and column 0. N is any number of rays, poses or points for
each of the B rows.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from envs.navigation.lidar.model import CELL_METRES, COLUMNS, LENGTH_METRES, ROWS, WIDTH_METRES

PARALLEL = 1e-9
"""The least part of a direction along an axis, so that nothing is divided by nought."""
HALF_LENGTH, HALF_WIDTH = LENGTH_METRES / CELL_METRES / 2, WIDTH_METRES / CELL_METRES / 2
REACH = float(np.hypot(HALF_LENGTH, HALF_WIDTH))
"""From the robot's centre to its corner."""
NEARBY = int(np.floor(2 * REACH)) + 2
"""How many rows, or columns, of cells the footprint can touch."""


class Rays(NamedTuple):
    """Cells that rays pass: [B, N] each."""

    distance: tf.Tensor  # float32, from the origin to where the ray enters the cell
    column: tf.Tensor  # int32
    row: tf.Tensor  # int32
    going: tf.Tensor  # bool, whether the ray is still short of an obstacle and of the range


def cell(place: tf.Tensor, count: int) -> tf.Tensor:
    """The row or column that a place lies in, int32, the nearest one if it lies outside."""
    return tf.clip_by_value(tf.cast(tf.floor(place), tf.int32), 0, count - 1)


def cast(
    squares: tf.Tensor, world: tf.Tensor, x: tf.Tensor, y: tf.Tensor, cosine: tf.Tensor, sine: tf.Tensor, limit: float
) -> tf.Tensor:
    """Distances to the first filled cell along rays, at most `limit`, float32 [B, N].

    Traverses the grid exactly (Amanatides and Woo 1987, "A fast voxel traversal algorithm for ray tracing"), but from
    one free square's border to the next one's.

    Args:
        squares: uint8 [4 * W * rows * columns], `worlds.free_squares`, flat. The outermost cells are filled.
        world: int32 [B].
        x: float32 [B], of the origin.
        y: float32 [B].
        cosine: float32 [B, N], of the ray's direction.
        sine: float32 [B, N].
        limit: in cells.
    """
    x, y = x[:, None], y[:, None]
    cosine = tf.where(tf.abs(cosine) < PARALLEL, PARALLEL, cosine)
    sine = tf.where(tf.abs(sine) < PARALLEL, PARALLEL, sine)
    across, along = 1.0 / cosine, 1.0 / sine
    left, behind = cosine < 0, sine < 0
    worlds = tf.shape(squares)[0] // (4 * ROWS * COLUMNS)
    quadrant = tf.cast(left, tf.int32) + 2 * tf.cast(behind, tf.int32)
    base = (quadrant * worlds + world[:, None]) * (ROWS * COLUMNS)

    def advance(rays: Rays) -> tuple[Rays]:
        side = tf.cast(tf.gather(squares, base + rays.row * COLUMNS + rays.column), tf.int32)
        first_column = tf.where(left, rays.column - side + 1, rays.column)
        first_row = tf.where(behind, rays.row - side + 1, rays.row)
        border_x = tf.cast(tf.where(left, first_column, first_column + side), tf.float32)
        border_y = tf.cast(tf.where(behind, first_row, first_row + side), tf.float32)
        to_x, to_y = (border_x - x) * across, (border_y - y) * along
        sideways, distance = to_x < to_y, tf.minimum(to_x, to_y)
        column = tf.clip_by_value(
            tf.cast(tf.floor(x + distance * cosine), tf.int32), first_column, first_column + side - 1
        )
        row = tf.clip_by_value(tf.cast(tf.floor(y + distance * sine), tf.int32), first_row, first_row + side - 1)
        column = tf.where(sideways, tf.where(left, first_column - 1, first_column + side), column)
        row = tf.where(sideways, row, tf.where(behind, first_row - 1, first_row + side))
        going = tf.logical_and(rays.going, side > 0)
        distance = tf.where(going, distance, rays.distance)
        return (
            Rays(
                distance,
                tf.where(going, column, rays.column),
                tf.where(going, row, rays.row),
                tf.logical_and(going, distance < limit),
            ),
        )

    start = Rays(
        tf.zeros_like(cosine),
        tf.zeros_like(quadrant) + cell(x, COLUMNS),
        tf.zeros_like(quadrant) + cell(y, ROWS),
        tf.ones_like(left),
    )
    (rays,) = tf.while_loop(lambda rays: tf.reduce_any(rays.going), advance, (start,), parallel_iterations=1)
    return tf.minimum(rays.distance, limit)


def row_words(filled: npt.NDArray[np.bool_]) -> npt.NDArray[np.int32]:
    """Each row of cells as the bits of one number, int32 [W, rows]."""
    return (filled.astype(np.int64) << np.arange(COLUMNS)).sum(-1).astype(np.int32)


def collides(
    words: tf.Tensor, world: tf.Tensor, x: tf.Tensor, y: tf.Tensor, cosine: tf.Tensor, sine: tf.Tensor
) -> tf.Tensor:
    """Whether the footprint overlaps a filled cell, bool [B, N]; exact, by the separating axes of two rectangles.

    Args:
        words: int32 [W * rows], `row_words`, flat.
        world: int32 [B].
        x: float32 [B, N], of the footprint's centre.
        y: float32 [B, N].
        cosine: float32 [B, N], of the heading.
        sine: float32 [B, N].
    """
    nearby = tf.range(NEARBY)
    first_row = tf.cast(tf.floor(y - REACH), tf.int32)
    first_column = tf.cast(tf.floor(x - REACH), tf.int32)
    rows = first_row[..., None] + nearby
    columns = first_column[..., None] + nearby
    inside = tf.clip_by_value(rows, 0, ROWS - 1)
    word = tf.gather(words, world[:, None, None] * ROWS + inside)
    bit = tf.bitwise.right_shift(word[..., :, None], tf.clip_by_value(columns, 0, COLUMNS - 1)[..., None, :])
    filled = tf.equal(tf.bitwise.bitwise_and(bit, 1), 1)
    right = tf.cast(columns, tf.float32)[..., None, :] + 0.5 - x[..., None, None]
    ahead = tf.cast(rows, tf.float32)[..., :, None] + 0.5 - y[..., None, None]
    cosine, sine = cosine[..., None, None], sine[..., None, None]
    spread = 0.5 * (tf.abs(cosine) + tf.abs(sine))
    box_right = HALF_LENGTH * tf.abs(cosine) + HALF_WIDTH * tf.abs(sine) + 0.5
    box_ahead = HALF_LENGTH * tf.abs(sine) + HALF_WIDTH * tf.abs(cosine) + 0.5
    overlap = (
        (tf.abs(right) < box_right)
        & (tf.abs(ahead) < box_ahead)
        & (tf.abs(right * cosine + ahead * sine) < HALF_LENGTH + spread)
        & (tf.abs(ahead * cosine - right * sine) < HALF_WIDTH + spread)
    )
    return tf.reduce_any(filled & overlap, [-2, -1])


def between(corners: tf.Tensor, world: tf.Tensor, x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """Values at places between the cells' corners, bilinear, float32 [B, N].

    Args:
        corners: float32 [W * (rows + 1) * (columns + 1)], flat.
        world: int32 [B].
        x: float32 [B, N].
        y: float32 [B, N].
    """
    column, row = cell(x, COLUMNS), cell(y, ROWS)
    right = tf.clip_by_value(x - tf.cast(column, tf.float32), 0.0, 1.0)
    ahead = tf.clip_by_value(y - tf.cast(row, tf.float32), 0.0, 1.0)
    pitch = COLUMNS + 1
    index = (world[:, None] * (ROWS + 1) + row) * pitch + column
    near = tf.gather(corners, index) * (1 - right) + tf.gather(corners, index + 1) * right
    far = tf.gather(corners, index + pitch) * (1 - right) + tf.gather(corners, index + pitch + 1) * right
    return near * (1 - ahead) + far * ahead
