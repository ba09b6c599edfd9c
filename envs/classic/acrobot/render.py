"""Pictures of the acrobot."""

import math

from envs import drawing
from envs.classic.acrobot.model import GOAL_HEIGHT_METRES, INNER_LENGTH_METRES, OUTER_LENGTH_METRES

SIZE = 180
SCALE = 0.45 * SIZE / (INNER_LENGTH_METRES + OUTER_LENGTH_METRES)
"""Pixels a metre: the links fit in whichever way they hang."""


def links(inner_angle: float, outer_angle: float) -> drawing.Picture:
    """The links at their angles (radians; 0 hangs down, then goes straight on), RGB [180, 180, 3]."""
    picture = drawing.blank(SIZE, SIZE)
    pivot = (SIZE / 2, SIZE / 2)
    joint = _end(pivot, inner_angle, INNER_LENGTH_METRES)
    tip = _end(joint, inner_angle + outer_angle, OUTER_LENGTH_METRES)
    drawing.rectangle(picture, 0, pivot[1] - SCALE * GOAL_HEIGHT_METRES, SIZE, 2, drawing.GREY)
    drawing.bar(picture, pivot, joint, 8, drawing.BLUE)
    drawing.bar(picture, joint, tip, 8, drawing.ORANGE)
    drawing.bar(picture, pivot, pivot, 6, drawing.INK)
    return picture


def _end(start: tuple[float, float], angle: float, length_metres: float) -> tuple[float, float]:
    return start[0] + SCALE * length_metres * math.sin(angle), start[1] + SCALE * length_metres * math.cos(angle)
