"""Swing-up by energy and a linear law that holds the pendulum upright."""

import dataclasses
from typing import Self

import numpy as np
import tensorflow as tf
from scipy import linalg

from envs.classic.pendulum.model import (
    LENGTH_METRES,
    MASS_KILOGRAMS,
    SPEED_COST,
    STEP_SECONDS,
    TORQUE_COST,
    TORQUE_LIMIT_NEWTON_METRES,
    Params,
)

ENERGY_GAIN_PER_SECOND = 5.0
"""Torque for each joule that is missing, in newton metres: the motor gives all it has but close to the aim."""
HOLD_WITHIN_RADIANS = 0.5
"""Angle from which the linear law takes over."""


@dataclasses.dataclass(frozen=True)
class SwingUp:
    """A controller of the pendulum.

    Attributes:
        gravity_metres_per_second2: as the task's.
        angle_gain: torque for each radian, in newton metres.
        speed_gain: torque for each radian per second.
    """

    gravity_metres_per_second2: float
    angle_gain: float
    speed_gain: float

    @classmethod
    def of(cls, params: Params) -> Self:
        """With the gains that are optimal for the task's cost near upright: the discrete-time linear regulator."""
        fall = 1.5 * params.gravity_metres_per_second2 / LENGTH_METRES
        push = 3.0 / (MASS_KILOGRAMS * LENGTH_METRES**2)
        h = STEP_SECONDS
        moves = np.array([[1 + fall * h**2, h], [fall * h, 1.0]])
        pushes = np.array([[push * h**2], [push * h]])
        weight = linalg.solve_discrete_are(moves, pushes, np.diag([1.0, SPEED_COST]), np.array([[TORQUE_COST]]))
        gains = np.linalg.solve(pushes.T @ weight @ pushes + TORQUE_COST, pushes.T @ weight @ moves)[0]
        return cls(params.gravity_metres_per_second2, float(gains[0]), float(gains[1]))

    def pump(self, angle: tf.Tensor, speed: tf.Tensor) -> tf.Tensor:
        """Torques float32 [B] that bring the energy to that of resting upright.

        Torque times speed is the power, so the torque goes with the speed while energy is missing and against it when
        there is too much (Astrom and Furuta, "Swinging up a pendulum by energy control", Automatica 36, 2000, eq. 8).
        """
        inertia = MASS_KILOGRAMS * LENGTH_METRES**2 / 3
        weight = MASS_KILOGRAMS * self.gravity_metres_per_second2 * LENGTH_METRES / 2
        energy = inertia * tf.square(speed) / 2 + weight * (tf.cos(angle) - 1.0)
        return _limited(-ENERGY_GAIN_PER_SECOND * energy * tf.where(speed >= 0, 1.0, -1.0))

    def hold(self, angle: tf.Tensor, speed: tf.Tensor) -> tf.Tensor:
        """Torques float32 [B] that bring angle and speed to 0 from nearby."""
        return _limited(-self.angle_gain * angle - self.speed_gain * speed)


def _limited(torque: tf.Tensor) -> tf.Tensor:
    return tf.clip_by_value(torque, -TORQUE_LIMIT_NEWTON_METRES, TORQUE_LIMIT_NEWTON_METRES)
