"""The dynamic window approach, without and with the map (Fox, Burgard and Thrun 1997; Brock and Khatib 1999).

Commands that the accelerations allow are followed for a while along their arcs; those from which the robot could not
stop before an obstacle are left out; of the rest the one with the greatest objective is chosen. Both planners know the
obstacles around exactly, also where the LiDAR has no beam.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from envs.core import StatePolicy
from envs.navigation.lidar import geometry, motion
from envs.navigation.lidar.model import (
    GOAL_METRES,
    LENGTH_METRES,
    WIDTH_METRES,
    Params,
    commands,
)
from envs.navigation.lidar.motion import Pose

BARN_METRES_PER_SECOND = 0.5
"""The highest speed that BARN's own dynamic window planner is set to."""
HORIZON_SECONDS = 1.5
SAMPLES = 12
"""Places along an arc at which obstacles are looked for."""
INADMISSIBLE = -1e6
DISC_METRES = float(np.hypot(LENGTH_METRES / 4, WIDTH_METRES / 2))
"""Radius of two discs, half a length apart, that cover the footprint."""


@dataclasses.dataclass(frozen=True)
class DynamicWindow:
    """A planner; called with states and a key, it gives actions.

    Attributes:
        params: the task's.
        fastest_metres_per_second: commands with a higher speed are not considered.
        heading: weight of how far the robot points to the goal after the horizon, from 0 to 1.
        progress: weight of the way that it has then made along the shortest path, in metres; needs the map.
        distance: weight of the share of the horizon that is free of obstacles.
        velocity: weight of the speed over the highest.
    """

    params: Params
    fastest_metres_per_second: float
    heading: float = 0.0
    progress: float = 0.0
    distance: float = 0.0
    velocity: float = 0.0

    def __call__(self, state: Any, key: tf.Tensor) -> tf.Tensor:
        """Actions of the task, int32 [B] or float32 [B, 2], from its states or anything else with a `pose`."""
        del key
        table = commands(self.params)
        table = table[table[:, 0] <= self.fastest_metres_per_second]
        chosen = tf.argmax(self.objective(state.pose, table), -1, output_type=tf.int32)
        # The table is ordered by speed, so numbers within it are numbers of actions.
        return chosen if self.params.actions == "discrete" else tf.gather(table, chosen)

    def objective(self, pose: Pose, table: npt.NDArray[np.float32]) -> tf.Tensor:
        """The objective of each command of a table [A, 2], float32 [B, A]; far below 0 where it is not admissible."""
        count = len(table)
        each = tf.nest.map_structure(lambda part: tf.repeat(part, count), pose)
        rows = tf.shape(pose.world)[0]
        speed, turn = motion.reachable(
            self.params, each, tf.tile(table[:, 0], rows[None]), tf.tile(table[:, 1], rows[None])
        )
        seconds = tf.range(1, SAMPLES + 1, dtype=tf.float32) * (HORIZON_SECONDS / SAMPLES)
        x, y, heading = motion.arc(each, speed[:, None], turn[:, None], seconds)
        free = tf.math.cumprod(tf.cast(self._room(each, x, y, heading) > DISC_METRES, tf.float32), 1)
        share = tf.reduce_mean(free, 1)
        stopping = tf.square(speed) / (2 * self.params.acceleration_metres_per_second2)
        admissible = tf.logical_and(free[:, 0] > 0, stopping <= tf.abs(speed) * share * HORIZON_SECONDS)
        last = tf.maximum(tf.cast(tf.reduce_sum(free, 1), tf.int32) - 1, 0)
        x, y, heading = (tf.gather(part, last, batch_dims=1) for part in (x, y, heading))
        total = self.distance * share + self.velocity * speed / self.params.speed_metres_per_second
        if self.heading:
            bearing = tf.atan2(GOAL_METRES[1] - y, GOAL_METRES[0] - x) - heading
            total += self.heading * 0.5 * (1.0 + tf.cos(bearing))
        if self.progress:
            end = Pose(each.world, x, y, heading, speed, turn, each.steps)
            total += self.progress * (motion.path_to_goal(each) - motion.path_to_goal(end))
        return tf.reshape(tf.where(admissible, total, INADMISSIBLE), [-1, count])

    def _room(self, pose: Pose, x: tf.Tensor, y: tf.Tensor, heading: tf.Tensor) -> tf.Tensor:
        """Distance from the nearer disc's centre to the nearest obstacle in metres, float32 [B, N]."""
        shift = LENGTH_METRES / 4
        rooms = [
            geometry.between(
                motion.tables().clearance,
                pose.world,
                *motion.to_cells(x + side * tf.cos(heading), y + side * tf.sin(heading)),
            )
            for side in (-shift, shift)
        ]
        return tf.minimum(*rooms)


def policies(params: Params) -> Mapping[str, StatePolicy]:
    """The planners by name, the strongest last.

    The weights had the best score among ten sets or so on training worlds.
    """
    fastest = params.speed_metres_per_second
    slow = max(BARN_METRES_PER_SECOND, fastest / 4)  # the table's lowest speed ahead
    planned = DynamicWindow(params, fastest, progress=1.0, distance=0.2)
    return {
        "dynamic-window": DynamicWindow(params, fastest, heading=0.5, distance=1.0, velocity=0.5),
        "slow-global-dynamic-window": dataclasses.replace(planned, fastest_metres_per_second=slow),
        "global-dynamic-window": planned,
    }
