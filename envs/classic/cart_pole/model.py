"""The cart-pole task in numbers. Imports no TensorFlow."""

import dataclasses
import math

from envs.parameters import parameter

GRAVITY_METRES_PER_SECOND2 = 9.8
CART_MASS_KILOGRAMS = 1.0
POLE_MASS_KILOGRAMS = 0.1
POLE_HALF_LENGTH_METRES = 0.5
FORCE_NEWTONS = 10.0
STEP_SECONDS = 0.02
POSITION_LIMIT_METRES = 2.4
ANGLE_LIMIT_RADIANS = 12 * 2 * math.pi / 360
START_RANGE = 0.05
"""Each entry of the first state lies within this distance of 0."""


@dataclasses.dataclass(frozen=True)
class Params:
    """Parameters of the cart-pole task."""

    episode_steps: int = parameter(500, "Steps after which an episode is cut.", 1, 10**6)
