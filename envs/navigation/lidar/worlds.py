"""Worlds: fields of obstacles grown by a cellular automaton, as in the BARN data set, and what is known of them.

Perille et al. 2020, "Benchmarking Metric Ground Navigation" (https://arxiv.org/abs/2008.13315), section III; the
numbers are those of its generator (https://github.com/dperille/jackal-map-creation): 30 x 30 cells of .15 m, filled at
random and smoothed, in twelve combinations of fill and smoothing.
"""

import functools
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from envs.navigation.lidar import paths
from envs.navigation.lidar.model import (
    CELL_METRES,
    COLUMNS,
    FIELD_ROWS,
    GOAL_METRES,
    LEAD_ROWS,
    LEFT_METRES,
    NEAR_METRES,
    ROWS,
    START_METRES,
)
from envs.navigation.lidar.paths import Booleans, Floats

FILLS = (0.15, 0.20, 0.25, 0.30)
SMOOTHINGS = (2, 3, 4)
KINDS = tuple((fill, smoothing) for fill in FILLS for smoothing in SMOOTHINGS)
FILLED_FROM, EMPTIED_BELOW = 5, 2
"""A cell with at least, or with less than, so many filled neighbours of eight becomes filled, or empty."""
CLEARANCE_METRES = 0.3
"""A path's distance from obstacles: lanes are at least four cells wide."""
TOLERANCE_METRES = 1e-6
TRAINING_WORLDS, HELD_OUT_WORLDS = 1200, 300
SEED = 2020
CANDIDATES = 512


class Library(NamedTuple):
    """All worlds, the training worlds first; W of them, each with as many of the twelve kinds in turn.

    Attributes:
        filled: bool [W, rows, columns].
        squares: uint8 [4, W, rows, columns], `free_squares`.
        clearance: float32 [W, rows + 1, columns + 1], metres from a cell's corner to the nearest filled cell.
        to_goal: float32 [W, rows + 1, columns + 1], metres from a cell's corner to the goal along the shortest path.
        path_metres: float32 [W], the length of the shortest path from start to goal.
    """

    filled: Booleans
    squares: npt.NDArray[np.uint8]
    clearance: Floats
    to_goal: Floats
    path_metres: Floats


@functools.cache
def library() -> Library:
    """The worlds; made once per process, in some seconds."""
    held_out = _fields(np.random.default_rng([SEED, 1]), HELD_OUT_WORLDS)
    training = _fields(np.random.default_rng([SEED, 0]), TRAINING_WORLDS)
    return survey(embedded(np.concatenate([training, held_out])))


def survey(filled: Booleans) -> Library:
    """What is known of worlds bool [W, rows, columns]."""
    clearance = clearances(filled)
    strict, everywhere = paths.lengths(clearance >= CLEARANCE_METRES - TOLERANCE_METRES)
    row, column = (START_METRES[1] - NEAR_METRES) / CELL_METRES, (START_METRES[0] - LEFT_METRES) / CELL_METRES
    below, left = int(row), round(column)
    share = row - below
    start = (1 - share) * strict[:, below, left] + share * strict[:, below + 1, left]
    return Library(filled, free_squares(filled), clearance, everywhere, start.astype(np.float32))


def automaton(generator: np.random.Generator, count: int, fill: float, smoothing: int) -> Booleans:
    """Fields of obstacles, bool [count, 30, 30]; the outer columns are walls, beyond them all is filled.

    Args:
        generator: of random numbers.
        count: how many.
        fill: share of cells filled at first.
        smoothing: how often the automaton's rule is applied.
    """
    cells = generator.random((count, FIELD_ROWS, COLUMNS)) < fill
    cells[:, :, [0, -1]] = True
    for _ in range(smoothing):
        padded = np.pad(cells.astype(np.int8), ((0, 0), (1, 1), (0, 0)))
        padded = np.pad(padded, ((0, 0), (0, 0), (1, 1)), constant_values=1)
        triples = padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]
        around = triples[:, :, :-2] + triples[:, :, 1:-1] + triples[:, :, 2:] - cells
        cells = (around >= FILLED_FROM) | (cells & (around >= EMPTIED_BELOW))
    return cells


def embedded(fields: Booleans) -> Booleans:
    """Whole worlds, bool [W, 80, 30], from fields [W, 30, 30]: a lane before and behind, closed all around."""
    filled = np.zeros((len(fields), ROWS, COLUMNS), np.bool_)
    filled[:, LEAD_ROWS : LEAD_ROWS + FIELD_ROWS] = fields
    filled[:, [0, -1]] = True
    filled[:, :, [0, -1]] = True
    return filled


def clearances(filled: Booleans) -> Floats:
    """Metres from each cell's corner to the nearest filled cell, float32 [W, rows + 1, columns + 1].

    The nearest point of a square cell to a corner of the lattice is a corner itself, so this is exact.
    """
    padded = np.pad(filled, ((0, 0), (1, 1), (1, 1)), constant_values=True)
    touched = padded[:, 1:, 1:] | padded[:, 1:, :-1] | padded[:, :-1, 1:] | padded[:, :-1, :-1]
    return np.stack([CELL_METRES * ndimage.distance_transform_edt(~world) for world in touched]).astype(np.float32)


def free_squares(filled: Booleans) -> npt.NDArray[np.uint8]:
    """Side of the largest free square that has each cell as its nearest corner, uint8 [4, W, rows, columns].

    The first axis says where the square lies: 0 right and ahead, 1 left and ahead, 2 right and behind, 3 left and
    behind. A filled cell has 0. A ray may be followed to the square's border without looking at the cells between.
    """
    count, rows, columns = filled.shape
    found = np.zeros((4, count, rows, columns), np.uint8)
    for quadrant in range(4):
        turn = (slice(None), slice(None, None, -1 if quadrant & 2 else 1), slice(None, None, -1 if quadrant & 1 else 1))
        empty = np.ascontiguousarray(~filled[turn].transpose(1, 2, 0))
        side = np.zeros((rows + 1, columns + 1, count), np.uint8)
        for r in reversed(range(rows)):
            for c in reversed(range(columns)):
                least = np.minimum(np.minimum(side[r + 1, c], side[r, c + 1]), side[r + 1, c + 1])
                side[r, c] = (least + 1) * empty[r, c]
        found[quadrant] = side[:-1, :-1].transpose(2, 0, 1)[turn]
    return found


def difficulty(worlds: Library) -> dict[str, Floats]:
    """Two of BARN's measures of how hard a world is, each float32 [W] (section IV of the paper).

    `closest_obstacle_metres`: distance to the closest obstacle, averaged along the shortest path through the field;
    less is harder. `tortuosity`: length of the shortest path over the straight distance; more is harder.
    """
    passable = worlds.clearance >= CLEARANCE_METRES - TOLERANCE_METRES
    row, column = np.moveaxis(paths.traced(np.where(passable, worlds.to_goal, paths.FAR_METRES)), -1, 0)
    room = worlds.clearance[np.arange(len(passable)), row, column]
    inside = (row >= LEAD_ROWS) & (row <= LEAD_ROWS + FIELD_ROWS)
    straight = np.hypot(GOAL_METRES[0] - START_METRES[0], GOAL_METRES[1] - START_METRES[1])
    return {
        "closest_obstacle_metres": ((room * inside).sum(0) / inside.sum(0)).astype(np.float32),
        "tortuosity": (worlds.path_metres / straight).astype(np.float32),
    }


def _fields(generator: np.random.Generator, count: int) -> Booleans:
    """Passable fields, bool [count, 30, 30], of the twelve kinds in turn. Fields without a path are thrown away."""
    each = -(-count // len(KINDS))
    found = np.stack([_passable(generator, each, *kind) for kind in KINDS], 1)
    return found.reshape(-1, FIELD_ROWS, COLUMNS)[:count]


def _passable(generator: np.random.Generator, count: int, fill: float, smoothing: int) -> Booleans:
    kept: list[Booleans] = []
    while sum(map(len, kept)) < count:
        candidates = automaton(generator, CANDIDATES, fill, smoothing)
        kept.append(candidates[crossable(candidates)])
    return np.concatenate(kept)[:count]


def crossable(fields: Booleans) -> Booleans:
    """Whether a square of four by four cells can be pushed through each field from near to far, bool [W]."""
    pairs = fields[:, :-1] | fields[:, 1:]
    fours = pairs[:, :-2] | pairs[:, 2:]
    pairs = fours[:, :, :-1] | fours[:, :, 1:]
    free = ~(pairs[:, :, :-2] | pairs[:, :, 2:])
    plane = np.zeros((3, 3, 3), np.bool_)
    plane[1] = ndimage.generate_binary_structure(2, 1)
    regions, _ = ndimage.label(free, plane)
    near, far = regions[:, 0], regions[:, -1]
    return ((near[:, :, None] == far[:, None, :]) & (near[:, :, None] > 0)).any((1, 2))
