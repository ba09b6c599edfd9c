"""Acrobot swing-up: Gymnasium's `Acrobot-v1`, in float32 and batched."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import gymnasium
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from envs import seeding
from envs.classic import angle
from envs.classic.acrobot import render
from envs.classic.acrobot.model import (
    GOAL_HEIGHT_METRES,
    GRAVITY_METRES_PER_SECOND2,
    INERTIA_KILOGRAM_METRES2,
    INNER_CENTRE_METRES,
    INNER_LENGTH_METRES,
    INNER_MASS_KILOGRAMS,
    INNER_SPEED_LIMIT_RADIANS_PER_SECOND,
    OUTER_CENTRE_METRES,
    OUTER_LENGTH_METRES,
    OUTER_MASS_KILOGRAMS,
    OUTER_SPEED_LIMIT_RADIANS_PER_SECOND,
    START_RANGE,
    STEP_SECONDS,
    TORQUE_NEWTON_METRES,
    Params,
)
from envs.classic.filmstrip import filmstrip
from envs.core import Score, StatePolicy, TensorEnv, Transition

PICTURE_STRIDE = 8
"""Steps between two pictures of a filmstrip."""


class State(NamedTuple):
    """Angles and speeds of the two links."""

    inner_angle: tf.Tensor  # float32 [B], radians, of the upper link from hanging down
    outer_angle: tf.Tensor  # float32 [B], radians, of the lower link from the upper one's direction
    inner_speed: tf.Tensor  # float32 [B], radians per second
    outer_speed: tf.Tensor  # float32 [B], radians per second


class Acrobot(TensorEnv[Params]):
    """Swing the tip of two hanging links above a line with a motor between them (Sutton 1996).

    The equations (those of Sutton and Barto 1998, section 11.3), constants and Runge-Kutta step are those of
    Gymnasium's `Acrobot-v1` (https://gymnasium.farama.org/environments/classic_control/acrobot/). The reward is -1 a
    step, 0 for the one that reaches the line. -100 counts as solved.

    Observation: cosine and sine of the inner angle, the same of the outer one, both speeds, float32 [6].
    Action: torque -1, 0 or 1 N m, `Discrete(3)`.
    """

    params_type = Params
    score = Score("return", "per episode")
    frames_per_second = 5

    def __init__(self, params: Params) -> None:
        super().__init__(params)
        speeds = [INNER_SPEED_LIMIT_RADIANS_PER_SECOND, OUTER_SPEED_LIMIT_RADIANS_PER_SECOND]
        high = np.array([1.0, 1.0, 1.0, 1.0, *speeds], np.float32)
        self.observation_space = gymnasium.spaces.Box(-high, high, dtype=np.float32)
        self.action_space = gymnasium.spaces.Discrete(3)
        self.max_episode_steps = params.episode_steps

    def reset(self, key: tf.Tensor, batch: int) -> State:
        """Each entry uniform in +-.1."""
        return State(*tf.unstack(seeding.uniform(key, [4, batch], -START_RANGE, START_RANGE)))

    def noise(self, key: tf.Tensor, batch: int) -> tuple[()]:
        """None: the physics is deterministic."""
        del key, batch
        return ()

    def step(self, state: State, action: tf.Tensor, noise: tuple[()]) -> tuple[State, Transition]:
        """One Runge-Kutta step of fourth order over 200 ms; speeds are then cut at their limits."""
        del noise
        torque = TORQUE_NEWTON_METRES * (tf.cast(action, tf.float32) - 1.0)
        half = STEP_SECONDS / 2
        first = _rates(state, torque)
        second = _rates(_along(state, first, half), torque)
        third = _rates(_along(state, second, half), torque)
        fourth = _rates(_along(state, third, STEP_SECONDS), torque)
        slopes = State(*(a + 2.0 * b + 2.0 * c + d for a, b, c, d in zip(first, second, third, fourth, strict=True)))
        moved = _along(state, slopes, STEP_SECONDS / 6)
        following = State(
            angle.wrap(moved.inner_angle),
            angle.wrap(moved.outer_angle),
            _within(moved.inner_speed, INNER_SPEED_LIMIT_RADIANS_PER_SECOND),
            _within(moved.outer_speed, OUTER_SPEED_LIMIT_RADIANS_PER_SECOND),
        )
        reached = _tip_height(following) > GOAL_HEIGHT_METRES
        return following, Transition(tf.where(reached, 0.0, -1.0), reached)

    def observe(self, state: State) -> tf.Tensor:
        """Cosines and sines of the angles, and the speeds, float32 [B, 6]."""
        inner, outer = state.inner_angle, state.outer_angle
        circle = [tf.cos(inner), tf.sin(inner), tf.cos(outer), tf.sin(outer)]
        return tf.stack([*circle, state.inner_speed, state.outer_speed], -1)

    def nominal_observation(self) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Around 0; half the range of cosines and sines, and an eighth of the speeds', which are seldom high."""
        deviation = self.observation_space.high / np.array([2, 2, 2, 2, 8, 8])
        return np.zeros(6, np.float32), deviation.astype(np.float32)

    def baselines(self) -> Mapping[str, StatePolicy]:
        """Turn the motor the way that the joint turns."""

        def energy_pumping(state: State, key: tf.Tensor) -> tf.Tensor:
            """Torque times the joint's speed is the power that goes into the links (Spong 1995, section 3)."""
            del key
            return tf.where(state.outer_speed >= 0, 2, 0)

        return {"energy-pumping": energy_pumping}

    def policy_picture(self, policy: Callable[[npt.NDArray[np.float32]], npt.NDArray[np.int64]]) -> dict[str, Any]:
        """A filmstrip of one held-out episode's first seconds."""
        return filmstrip(self, policy, PICTURE_STRIDE, STEP_SECONDS)

    def render(self, state: State, row: int = 0) -> npt.NDArray[np.uint8]:
        """Both links and the line, RGB [180, 180, 3]."""
        return render.links(float(state.inner_angle[row]), float(state.outer_angle[row]))


def _rates(state: State, torque: tf.Tensor) -> State:
    """How fast each entry of the state changes; the names are those of Sutton and Barto's equations."""
    inner_angle, outer_angle, inner_speed, outer_speed = state
    sine, cosine = tf.sin(outer_angle), tf.cos(outer_angle)
    m1, m2 = INNER_MASS_KILOGRAMS, OUTER_MASS_KILOGRAMS
    l1, lc1, lc2 = INNER_LENGTH_METRES, INNER_CENTRE_METRES, OUTER_CENTRE_METRES
    g, inertia, arm = GRAVITY_METRES_PER_SECOND2, INERTIA_KILOGRAM_METRES2, m2 * l1 * lc2
    d1 = m1 * lc1**2 + m2 * (l1**2 + lc2**2) + 2 * inertia + 2 * arm * cosine
    d2 = m2 * lc2**2 + inertia + arm * cosine
    phi2 = m2 * lc2 * g * tf.sin(inner_angle + outer_angle)
    phi1 = (m1 * lc1 + m2 * l1) * g * tf.sin(inner_angle) + phi2
    phi1 -= arm * sine * outer_speed * (outer_speed + 2.0 * inner_speed)
    ratio = d2 / d1
    outer_rate = torque + ratio * phi1 - arm * sine * tf.square(inner_speed) - phi2
    outer_rate /= m2 * lc2**2 + inertia - d2 * ratio
    inner_rate = -(d2 * outer_rate + phi1) / d1
    return State(inner_speed, outer_speed, inner_rate, outer_rate)


def _along(state: State, rates: State, seconds: float) -> State:
    return State(*(value + seconds * rate for value, rate in zip(state, rates, strict=True)))


def _within(speed: tf.Tensor, limit: float) -> tf.Tensor:
    return tf.clip_by_value(speed, -limit, limit)


def _tip_height(state: State) -> tf.Tensor:
    """Metres above the upper joint, float32 [B]."""
    inner = INNER_LENGTH_METRES * tf.cos(state.inner_angle)
    return -inner - OUTER_LENGTH_METRES * tf.cos(state.inner_angle + state.outer_angle)
