"""Pictures of the cart and its pole."""

import numpy as np
import numpy.typing as npt

from envs import drawing
from envs.classic.cart_pole.model import POLE_HALF_LENGTH_METRES, POSITION_LIMIT_METRES

HEIGHT, WIDTH = 160, 240
RAIL = 120
"""Height of the rail from the top, in pixels."""
SCALE = WIDTH / (2 * POSITION_LIMIT_METRES)
"""Pixels a metre: the rail ends where the episode does."""


def cart_and_pole(values: npt.NDArray[np.float32]) -> drawing.Picture:
    """One state: position (m), velocity, angle (rad, clockwise from upright), angular velocity; RGB [160, 240, 3]."""
    picture = drawing.blank(HEIGHT, WIDTH)
    position, angle = float(values[0]), float(values[2])
    x = WIDTH / 2 + SCALE * position
    drawing.rectangle(picture, 0, RAIL, WIDTH, 2, drawing.GREY)
    drawing.rectangle(picture, x - 15, RAIL - 8, 30, 16, drawing.INK)
    length = 2 * POLE_HALF_LENGTH_METRES * SCALE
    foot = (x, RAIL - 8.0)
    drawing.bar(picture, foot, (x + length * np.sin(angle), foot[1] - length * np.cos(angle)), 6, drawing.ORANGE)
    drawing.bar(picture, foot, foot, 6, drawing.BLUE)
    return picture
