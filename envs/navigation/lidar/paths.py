"""Lengths of shortest paths to the goal, for many worlds at once.

They solve the eikonal equation `|grad u| = cost` on the lattice of the cells' corners by the fast sweeping method
(Zhao 2005, "A fast sweeping method for eikonal equations", Mathematics of Computation 74(250), eq. 2.4), so that the
length does not depend on the lattice's directions as it does on a graph.
"""

import numpy as np
import numpy.typing as npt

from envs.navigation.lidar.model import CELL_METRES, GOAL_METRES, LEFT_METRES, NEAR_METRES, START_METRES

Floats = npt.NDArray[np.float32]
Booleans = npt.NDArray[np.bool_]

FAR_METRES = 1e4
"""The length where there is no path."""
EXACT_METRES = 1.0
"""Lengths within this distance of the goal, where nothing stands in the way, are the distance itself."""
TIGHT_COST = 3.0
"""How much longer a metre counts where the robot's centre has less room than a path needs."""
TOLERANCE_METRES = 1e-3
MOST_ROUNDS = 50


def corner_positions(rows: int, columns: int) -> tuple[Floats, Floats]:
    """Places of the cells' corners, x and y in metres, each float32 [rows + 1, columns + 1]."""
    y, x = np.indices((rows + 1, columns + 1), np.float32)
    return LEFT_METRES + CELL_METRES * x, NEAR_METRES + CELL_METRES * y


def lengths(passable: Booleans) -> tuple[Floats, Floats]:
    """Path lengths from the cells' corners to the goal, in metres, each float32 [W, rows + 1, columns + 1].

    Args:
        passable: [W, rows + 1, columns + 1], the corners that a path may touch.

    Returns:
        Lengths over passable corners, `FAR_METRES` elsewhere; and the same continued to all corners, at
        `TIGHT_COST` for each metre outside.
    """
    x, y = corner_positions(passable.shape[1] - 1, passable.shape[2] - 1)
    straight = np.hypot(x - GOAL_METRES[0], y - GOAL_METRES[1])
    inside = np.where((straight <= EXACT_METRES) & passable, straight, FAR_METRES).astype(np.float32)
    strict = _sweep(inside, passable & (straight > EXACT_METRES), CELL_METRES)
    return strict, _sweep(strict, strict >= FAR_METRES, TIGHT_COST * CELL_METRES)


def traced(lengths: Floats) -> npt.NDArray[np.int64]:
    """Corners on the shortest paths from start to goal, int64 [T, W, 2], row and column, by steepest descent.

    Paths that have come within a cell of the goal stay there.

    Args:
        lengths: float32 [W, rows + 1, columns + 1], over passable corners.
    """
    place = np.array([START_METRES[1] - NEAR_METRES, START_METRES[0] - LEFT_METRES]) / CELL_METRES
    row, column = np.repeat(np.round(place).astype(int)[:, None], len(lengths), 1)
    padded = np.pad(lengths, ((0, 0), (1, 1), (1, 1)), constant_values=FAR_METRES)
    down, right = (np.delete(part.ravel() - 1, 4) for part in np.indices((3, 3)))
    world, places = np.arange(len(lengths)), [(row, column)]
    here = lengths[world, row, column]
    while here.max() > CELL_METRES:
        around = padded[world[:, None], row[:, None] + down + 1, column[:, None] + right + 1]
        best = ((around - here[:, None]) / np.hypot(down, right)).argmin(1)
        on = (here > CELL_METRES).astype(np.int64)
        row, column = row + on * down[best], column + on * right[best]
        places.append((row, column))
        here = lengths[world, row, column]
    return np.moveaxis(np.array(places), 1, 2)


def _sweep(start: Floats, free: Booleans, step: float) -> Floats:
    """Gauss-Seidel sweeps in four orders over the corners that are free to change, until no length does."""
    known = np.ascontiguousarray(np.pad(start, ((0, 0), (1, 1), (1, 1)), constant_values=FAR_METRES).transpose(1, 2, 0))
    free = np.ascontiguousarray(free.transpose(1, 2, 0))
    rows, columns, _ = free.shape
    used = np.asarray(free.any(-1))
    for _ in range(MOST_ROUNDS):
        before = known.copy()
        for down in (1, -1):
            for right in (1, -1):
                for r in range(rows)[::down]:
                    for c in range(columns)[::right]:
                        if used[r, c]:
                            _relax(known, free[r, c], r + 1, c + 1, step)
        if np.abs(known - before).max() < TOLERANCE_METRES:
            break
    return known[1:-1, 1:-1].transpose(2, 0, 1).copy()


def _relax(known: Floats, free: Booleans, r: int, c: int, step: float) -> None:
    """Godunov's upwind difference at one corner of all worlds."""
    a = np.minimum(known[r, c - 1], known[r, c + 1])
    b = np.minimum(known[r - 1, c], known[r + 1, c])
    difference = np.minimum(np.abs(a - b), step)
    through = np.where(
        difference < step, (a + b + np.sqrt(2 * step * step - difference * difference)) / 2, np.minimum(a, b) + step
    )
    np.minimum(known[r, c], through, out=known[r, c], where=free)
