"""The pendulum task in numbers. Imports no TensorFlow."""

import dataclasses

from envs.parameters import parameter

MASS_KILOGRAMS = 1.0
LENGTH_METRES = 1.0
TORQUE_LIMIT_NEWTON_METRES = 2.0
SPEED_LIMIT_RADIANS_PER_SECOND = 8.0
STEP_SECONDS = 0.05
START_SPEED_RADIANS_PER_SECOND = 1.0
"""The first speed lies within this distance of 0; the first angle is any."""
SPEED_COST = 0.1
TORQUE_COST = 0.001


@dataclasses.dataclass(frozen=True)
class Params:
    """Parameters of the pendulum task."""

    gravity_metres_per_second2: float = parameter(10.0, "Acceleration of gravity.", 0.1, 100.0)
    episode_steps: int = parameter(200, "Steps after which an episode is cut; the task itself never ends.", 1, 10**6)
