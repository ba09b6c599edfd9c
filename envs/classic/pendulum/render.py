"""Pictures of the pendulum."""

import math

from envs import drawing

SIZE = 160
LENGTH = 62
"""The rod's length in pixels."""


def rod(angle: float) -> drawing.Picture:
    """The rod at an angle (radians, anticlockwise from upright), RGB [160, 160, 3]."""
    picture = drawing.blank(SIZE, SIZE)
    pivot = (SIZE / 2, SIZE / 2)
    tip = (pivot[0] - LENGTH * math.sin(angle), pivot[1] - LENGTH * math.cos(angle))
    drawing.bar(picture, pivot, tip, 14, drawing.ORANGE)
    drawing.bar(picture, pivot, pivot, 8, drawing.INK)
    return picture
