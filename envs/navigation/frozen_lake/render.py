"""Pictures of the frozen lake: where one stands, and a policy as arrows."""

import base64
from typing import Any

import numpy as np
import numpy.typing as npt

from envs import drawing
from envs.navigation.frozen_lake.model import DIRECTIONS, Lake

CELL = 40
"""Pixels of a cell's side."""
ICE: drawing.Colour = (225, 240, 250)
ARROW = 0.3 * CELL
"""Half an arrow's length."""


def lake(found: Lake, cell: int) -> drawing.Picture:
    """Ice, holes, the goal (blue) and who stands on a cell (orange), RGB [40 rows, 40 columns, 3]."""
    picture = _empty(found)
    middle = _middle(found, cell)
    drawing.bar(picture, middle, middle, 0.5 * CELL, drawing.ORANGE)
    return picture


def policy_picture(found: Lake, actions: npt.NDArray[np.int64]) -> dict[str, Any]:
    """A table of actions [S] as one picture with an arrow on each cell that does not end an episode."""
    picture = _empty(found)
    arrows = [_arrow(*direction) for direction in DIRECTIONS]
    for cell in np.flatnonzero(~found.ends):
        row, column = divmod(int(cell), found.shape[1])
        tile = picture[row * CELL : (row + 1) * CELL, column * CELL : (column + 1) * CELL]
        tile[arrows[actions[cell]]] = drawing.INK
    return {
        "kind": "filmstrip",
        "title": "Where the policy steps",
        "frames": [base64.b64encode(drawing.png(picture)).decode("ascii")],
        "note": "An arrow on each cell; the start is at the top left, the goal is blue, holes are dark.",
    }


def _empty(found: Lake) -> drawing.Picture:
    """The lake without anyone on it."""
    rows, columns = found.shape
    picture = drawing.blank(rows * CELL, columns * CELL)
    for cell, (ends, goal) in enumerate(zip(found.ends, found.goal, strict=True)):
        row, column = divmod(cell, columns)
        colour = drawing.BLUE if goal else drawing.INK if ends else ICE
        drawing.rectangle(picture, column * CELL + 1, row * CELL + 1, CELL - 2, CELL - 2, colour)
    return picture


def _middle(found: Lake, cell: int) -> tuple[float, float]:
    row, column = divmod(cell, found.shape[1])
    return (column + 0.5) * CELL, (row + 0.5) * CELL


def _arrow(down: int, right: int) -> npt.NDArray[np.bool_]:
    """Which pixels of a cell an arrow covers, bool [40, 40]."""
    tile = drawing.blank(CELL, CELL)
    middle = CELL / 2
    tip = (middle + ARROW * right, middle + ARROW * down)
    drawing.bar(tile, (middle - ARROW * right, middle - ARROW * down), tip, 4, drawing.INK)
    for side in (-1, 1):
        barb = (tip[0] - 8 * right + 8 * side * down, tip[1] - 8 * down + 8 * side * right)
        drawing.bar(tile, tip, barb, 4, drawing.INK)
    return np.asarray((tile != 255).any(-1))
