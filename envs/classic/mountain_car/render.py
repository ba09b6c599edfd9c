"""Pictures of the mountain car: one state in its valley, a policy as a heatmap."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from envs import drawing
from envs.classic.mountain_car.model import GREATEST_POSITION, LEAST_POSITION, SPEED_LIMIT

HEIGHT, WIDTH = 180, 240
FLOOR = 165
"""Where height 0 lies, in pixels from the top."""
SCALE = WIDTH / (GREATEST_POSITION - LEAST_POSITION)
POSITION_STEP, VELOCITY_STEP = 0.05, 0.005
"""Of a heatmap's cells."""


def car(position: float, goal_position: float) -> drawing.Picture:
    """The car on the slope, the flag on the right, RGB [180, 240, 3]."""
    picture = drawing.blank(HEIGHT, WIDTH)
    ground = FLOOR - SCALE * _height(LEAST_POSITION + (np.arange(WIDTH) + 0.5) / SCALE)
    picture[np.arange(HEIGHT)[:, None] >= ground] = drawing.GREY
    flag_x, flag_y = _place(goal_position)
    drawing.rectangle(picture, flag_x, flag_y - 25, 2, 25, drawing.INK)
    drawing.rectangle(picture, flag_x + 2, flag_y - 25, 10, 8, drawing.BLUE)
    x, y = _place(position)
    slope = math.atan(3 * 0.45 * math.cos(3 * position))
    along, up = (8 * math.cos(slope), -8 * math.sin(slope)), (-6 * math.sin(slope), -6 * math.cos(slope))
    middle = (x + up[0], y + up[1])
    ends = [(middle[0] + side * along[0], middle[1] + side * along[1]) for side in (-1, 1)]
    drawing.bar(picture, ends[0], ends[1], 10, drawing.ORANGE)
    return picture


def policy_picture(push: Callable[[npt.NDArray[np.float32]], npt.NDArray[Any]], goal_position: float) -> dict[str, Any]:
    """A policy's push by velocity (rows) and position (columns).

    Args:
        push: maps states float32 [N, 2] to pushes [N], from -1, to the left, to 1.
        goal_position: where the positions end.
    """
    positions = np.arange(LEAST_POSITION, goal_position - POSITION_STEP / 2, POSITION_STEP)
    velocities = np.arange(-SPEED_LIMIT, SPEED_LIMIT + VELOCITY_STEP / 2, VELOCITY_STEP)
    columns, rows = np.meshgrid(positions, velocities)
    states = np.stack([columns.ravel(), rows.ravel()], -1).astype(np.float32)
    values = np.round(np.asarray(push(states), np.float64), 2).reshape(rows.shape)
    return {
        "kind": "heatmap",
        "title": "Where the policy pushes",
        "x_label": "position",
        "y_label": "velocity",
        "value_label": "push, -1 to the left, 1 to the right",
        "x": [round(float(x), 2) for x in positions],
        "y": [round(float(y), 3) for y in velocities],
        "values": values.tolist(),
        "note": "The valley's lowest point is at -0.52; the flag stands where the positions end.",
    }


def _height(position: Any) -> Any:
    """The valley's shape, of which the slope is the derivative up to a factor."""
    return 0.55 + 0.45 * np.sin(3 * position)


def _place(position: float) -> tuple[float, float]:
    """Pixels of a point on the ground."""
    return SCALE * (position - LEAST_POSITION), FLOOR - SCALE * float(_height(position))
