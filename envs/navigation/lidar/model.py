"""The LiDAR navigation task in numbers. Imports no TensorFlow.

Positions are in metres in BARN's frame: x to the right, y ahead; headings in radians, pi / 2 is ahead. Worlds are grids
of cells; row 0 is the nearest, column 0 the leftmost.
"""

import dataclasses
import math

import numpy as np
import numpy.typing as npt

from envs.parameters import parameter

CELL_METRES = 0.15
COLUMNS = 30
"""Cells from the left wall to the right one, both included."""
LEAD_ROWS, FIELD_ROWS, BEYOND_ROWS = 24, 30, 26
"""Rows of a walled lane, of the field of obstacles, and of a walled lane again; the outermost rows are wall."""
ROWS = LEAD_ROWS + FIELD_ROWS + BEYOND_ROWS
LEFT_METRES = -4.5
NEAR_METRES = 5.0 - LEAD_ROWS * CELL_METRES
"""Where column 0 and row 0 begin: BARN's field lies between -4.5 and 0 across and begins at 5 m ahead."""

START_METRES = (-2.25, 3.0)
START_HEADING_RADIANS = math.pi / 2
GOAL_METRES = (-2.25, 13.0)
GOAL_RADIUS_METRES = 1.0

LENGTH_METRES, WIDTH_METRES = 0.51, 0.43
"""Footprint of the robot, a Clearpath Jackal, with its centre in the middle."""
REVERSE_METRES_PER_SECOND = 0.5
TURN_RADIANS_PER_SECOND = math.pi
STEP_SECONDS = 0.1
FIELD_OF_VIEW_RADIANS = math.radians(270)

OPTIMAL_METRES_PER_SECOND = 2.0
"""Speed at which the shortest path is driven in the optimal time of BARN's metric."""
FASTEST, SLOWEST = 2.0, 8.0
"""Multiples of the optimal time between which the actual time counts."""


@dataclasses.dataclass(frozen=True)
class Params:
    """Parameters of the LiDAR navigation task."""

    actions: str = parameter(
        "discrete",
        "What an action is: a number of the table of commands, or a speed and a turn rate.",
        choices=("discrete", "continuous"),
    )
    beams: int = parameter(64, "Beams of the LiDAR over 270 degrees.", 2, 1081)
    lidar_range_metres: float = parameter(5.0, "Farthest distance that the LiDAR tells.", 0.5, 30.0)
    speed_metres_per_second: float = parameter(2.0, "Highest speed ahead.", 0.1, 2.0)
    acceleration_metres_per_second2: float = parameter(10.0, "Largest change of speed in a second.", 0.5, 100.0)
    turn_acceleration_radians_per_second2: float = parameter(
        20.0, "Largest change of the turn rate in a second.", 1.0, 100.0
    )
    progress_reward: float = parameter(
        1.0, "Reward for the whole way to the goal, paid along the path; not part of the score.", 0.0, 100.0
    )
    collision_cost: float = parameter(
        0.1, "Taken off the reward of a step that ends in a collision; not part of the score.", 0.0, 100.0
    )
    episode_steps: int = parameter(1000, "Steps of 0.1 s after which an episode is cut.", 1, 10**6)


def commands(params: Params) -> npt.NDArray[np.float32]:
    """The commands of discrete actions, float32 [35, 2]: speed (m/s), turn rate (rad/s, positive to the left).

    Five speeds from slow reverse to the highest, each with seven turn rates, which lie closer near straight ahead.
    """
    speeds = np.array([-REVERSE_METRES_PER_SECOND, 0, *(params.speed_metres_per_second * np.array([0.25, 0.5, 1]))])
    turns = TURN_RADIANS_PER_SECOND * np.array([-1, -0.5, -0.2, 0, 0.2, 0.5, 1])
    return np.stack(np.meshgrid(speeds, turns, indexing="ij"), -1).reshape(-1, 2).astype(np.float32)
