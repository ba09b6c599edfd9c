"""The mountain-car tasks in numbers. Lengths and times have no unit but the step. Imports no TensorFlow."""

import dataclasses

from envs.parameters import parameter

LEAST_POSITION = -1.2
GREATEST_POSITION = 0.6
SPEED_LIMIT = 0.07
GRAVITY = 0.0025
"""Velocity that the steepest slope adds in a step."""
START_LOW, START_HIGH = -0.6, -0.4

FORCE = 0.001
"""Velocity that the discrete task's engine adds in a step."""
GOAL_POSITION = 0.5

CONTINUOUS_FORCE = 0.0015
"""The same of the continuous task's engine at full force."""
CONTINUOUS_GOAL_POSITION = 0.45
GOAL_REWARD = 100.0
FORCE_COST = 0.1


@dataclasses.dataclass(frozen=True)
class Params:
    """Parameters of the task with discrete force."""

    goal_velocity_per_step: float = parameter(
        0.0, "Least velocity at the goal, in lengths per step; at a lower one the episode goes on.", 0.0, SPEED_LIMIT
    )
    episode_steps: int = parameter(200, "Steps after which an episode is cut.", 1, 10**6)


@dataclasses.dataclass(frozen=True)
class ContinuousParams(Params):
    """Parameters of the task with continuous force: the same, but for the length of an episode."""

    episode_steps: int = parameter(999, "Steps after which an episode is cut.", 1, 10**6)
