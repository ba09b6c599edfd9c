"""The acrobot task in numbers. Imports no TensorFlow."""

import dataclasses
import math

from envs.parameters import parameter

GRAVITY_METRES_PER_SECOND2 = 9.8
INNER_MASS_KILOGRAMS = 1.0
OUTER_MASS_KILOGRAMS = 1.0
INNER_LENGTH_METRES = 1.0
OUTER_LENGTH_METRES = 1.0
INNER_CENTRE_METRES = 0.5
OUTER_CENTRE_METRES = 0.5
"""From a link's joint to its centre of mass."""
INERTIA_KILOGRAM_METRES2 = 1.0
"""Of each link about its centre of mass."""
TORQUE_NEWTON_METRES = 1.0
INNER_SPEED_LIMIT_RADIANS_PER_SECOND = 4 * math.pi
OUTER_SPEED_LIMIT_RADIANS_PER_SECOND = 9 * math.pi
STEP_SECONDS = 0.2
GOAL_HEIGHT_METRES = 1.0
"""Of the tip above the upper joint."""
START_RANGE = 0.1
"""Each entry of the first state lies within this distance of 0."""


@dataclasses.dataclass(frozen=True)
class Params:
    """Parameters of the acrobot task."""

    episode_steps: int = parameter(500, "Steps after which an episode is cut.", 1, 10**6)
