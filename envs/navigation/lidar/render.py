"""Pictures of the LiDAR navigation task from above."""

import base64
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from envs import drawing
from envs.navigation.lidar.model import (
    CELL_METRES,
    COLUMNS,
    GOAL_METRES,
    GOAL_RADIUS_METRES,
    LEFT_METRES,
    LENGTH_METRES,
    NEAR_METRES,
    ROWS,
    WIDTH_METRES,
)

CELL_PIXELS = 6
SCALE = CELL_PIXELS / CELL_METRES
"""Pixels a metre."""
BEAM: drawing.Colour = (173, 216, 240)
GOAL: drawing.Colour = (200, 230, 201)


def pixel(x: float, y: float) -> tuple[float, float]:
    """A place in metres as pixels to the right and down."""
    return (x - LEFT_METRES) * SCALE, ROWS * CELL_PIXELS - (y - NEAR_METRES) * SCALE


def world(filled: npt.NDArray[np.bool_]) -> drawing.Picture:
    """Obstacles bool [80, 30] and the goal, RGB [480, 180, 3]."""
    picture = drawing.blank(ROWS * CELL_PIXELS, COLUMNS * CELL_PIXELS)
    drawing.bar(picture, pixel(*GOAL_METRES), pixel(*GOAL_METRES), 2 * GOAL_RADIUS_METRES * SCALE, GOAL)
    cells = np.kron(filled[::-1], np.ones((CELL_PIXELS, CELL_PIXELS), np.bool_)).astype(np.bool_)
    picture[cells] = drawing.INK
    return picture


def robot(picture: drawing.Picture, x: float, y: float, heading: float, colour: drawing.Colour) -> None:
    """Draws the footprint, with a dark bar at its front."""
    ahead = np.array([np.cos(heading), np.sin(heading)])
    left = np.array([-ahead[1], ahead[0]])
    v, u = np.indices(picture.shape[:2]) + 0.5
    place = np.stack([u / SCALE + LEFT_METRES - x, (ROWS * CELL_PIXELS - v) / SCALE + NEAR_METRES - y], -1)
    along, across = place @ ahead, np.abs(place @ left)
    inside = (np.abs(along) <= LENGTH_METRES / 2) & (across <= WIDTH_METRES / 2)
    picture[inside] = colour
    picture[inside & (along > LENGTH_METRES / 2 - 0.1)] = drawing.INK


def scene(
    filled: npt.NDArray[np.bool_],
    pose: tuple[float, float, float],
    beams: npt.NDArray[np.float32],
    bearings: npt.NDArray[np.float32],
) -> drawing.Picture:
    """One robot with its beams.

    Args:
        filled: bool [80, 30].
        pose: x and y in metres, heading in radians.
        beams: what the LiDAR reads, float32 [N], metres.
        bearings: of the beams, float32 [N], radians from the heading.
    """
    picture = world(filled)
    x, y, heading = pose
    for length, bearing in zip(beams, bearings, strict=True):
        end = (x + length * np.cos(heading + bearing), y + length * np.sin(heading + bearing))
        drawing.bar(picture, pixel(x, y), pixel(*end), 1, BEAM)
    robot(picture, x, y, heading, drawing.BLUE)
    return picture


def journey(filled: npt.NDArray[np.bool_], poses: Sequence[tuple[float, float, float]], note: str) -> dict[str, Any]:
    """The way of one episode, as a filmstrip of one picture.

    Args:
        filled: bool [80, 30].
        poses: of each step.
        note: what is to be seen.
    """
    picture = world(filled)
    for pose in poses[::10]:
        robot(picture, *pose, drawing.GREY)
    for (x, y, _), (next_x, next_y, _) in itertools.pairwise(poses):
        drawing.bar(picture, pixel(x, y), pixel(next_x, next_y), 2, drawing.ORANGE)
    robot(picture, *poses[-1], drawing.BLUE)
    return {
        "kind": "filmstrip",
        "title": "One episode",
        "frames": [base64.b64encode(drawing.png(picture)).decode("ascii")],
        "note": note,
    }
