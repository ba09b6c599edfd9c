"""Pendulum swing-up: Gymnasium's `Pendulum-v1`, in float32 and batched."""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import gymnasium
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from envs import seeding
from envs.classic import angle
from envs.classic.filmstrip import filmstrip
from envs.classic.pendulum import control, render
from envs.classic.pendulum.model import (
    LENGTH_METRES,
    MASS_KILOGRAMS,
    SPEED_COST,
    SPEED_LIMIT_RADIANS_PER_SECOND,
    START_SPEED_RADIANS_PER_SECOND,
    STEP_SECONDS,
    TORQUE_COST,
    TORQUE_LIMIT_NEWTON_METRES,
    Params,
)
from envs.core import Score, StatePolicy, TensorEnv, Transition

PICTURE_STRIDE = 6
"""Steps between two pictures of a filmstrip."""


class State(NamedTuple):
    """Where the rod is and how fast it turns.

    The angle is kept within half a turn of upright, so that it stays exact however often the rod goes round.
    """

    angle: tf.Tensor  # float32 [B], radians from upright, anticlockwise
    speed: tf.Tensor  # float32 [B], radians per second


class Pendulum(TensorEnv[Params]):
    """Swing a rod up and keep it upright with a motor that is too weak to lift it at once.

    The equations, constants and order of the step are those of Gymnasium's `Pendulum-v1`
    (https://gymnasium.farama.org/environments/classic_control/pendulum/). The reward is minus the cost
    `angle^2 + .1 speed^2 + .001 torque^2`, at the state before the step.

    Observation: cosine and sine of the angle, angular velocity, float32 [3].
    Action: torque in newton metres, `Box(-2, 2, (1,))`.
    """

    params_type = Params
    score = Score("return", "per episode")
    frames_per_second = 20

    def __init__(self, params: Params) -> None:
        super().__init__(params)
        high = np.array([1.0, 1.0, SPEED_LIMIT_RADIANS_PER_SECOND], np.float32)
        self.observation_space = gymnasium.spaces.Box(-high, high, dtype=np.float32)
        self.action_space = gymnasium.spaces.Box(
            -TORQUE_LIMIT_NEWTON_METRES, TORQUE_LIMIT_NEWTON_METRES, (1,), np.float32
        )
        self.max_episode_steps = params.episode_steps

    def reset(self, key: tf.Tensor, batch: int) -> State:
        """Any angle, speed within +-1, both uniform."""
        angles, speeds = tf.unstack(seeding.uniform(key, [2, batch], -1.0, 1.0))
        return State(math.pi * angles, START_SPEED_RADIANS_PER_SECOND * speeds)

    def noise(self, key: tf.Tensor, batch: int) -> tuple[()]:
        """None: the physics is deterministic."""
        del key, batch
        return ()

    def step(self, state: State, action: tf.Tensor, noise: tuple[()]) -> tuple[State, Transition]:
        """One step of 50 ms: the speed first, then the angle by the new speed."""
        del noise
        torque = tf.clip_by_value(action[:, 0], -TORQUE_LIMIT_NEWTON_METRES, TORQUE_LIMIT_NEWTON_METRES)
        tilt = angle.wrap(state.angle)
        cost = tf.square(tilt) + SPEED_COST * tf.square(state.speed) + TORQUE_COST * tf.square(torque)
        fall = 1.5 * self.params.gravity_metres_per_second2 / LENGTH_METRES
        push = 3.0 / (MASS_KILOGRAMS * LENGTH_METRES**2)
        speed = state.speed + STEP_SECONDS * (fall * tf.sin(state.angle) + push * torque)
        speed = tf.clip_by_value(speed, -SPEED_LIMIT_RADIANS_PER_SECOND, SPEED_LIMIT_RADIANS_PER_SECOND)
        following = State(angle.wrap(tilt + STEP_SECONDS * speed), speed)
        return following, Transition(-cost, tf.zeros_like(cost, tf.bool))

    def observe(self, state: State) -> tf.Tensor:
        """Cosine, sine, speed, float32 [B, 3]."""
        return tf.stack([tf.cos(state.angle), tf.sin(state.angle), state.speed], -1)

    def nominal_observation(self) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Around 0, half the range of each entry."""
        return np.zeros(3, np.float32), (self.observation_space.high / 2).astype(np.float32)

    def baselines(self) -> Mapping[str, StatePolicy]:
        """Swing up by energy alone; the same, and hold the rod when it is up."""
        rule = control.SwingUp.of(self.params)

        def swing_up(state: State, key: tf.Tensor) -> tf.Tensor:
            del key
            return rule.pump(state.angle, state.speed)[:, None]

        def swing_up_and_hold(state: State, key: tf.Tensor) -> tf.Tensor:
            del key
            near = tf.abs(state.angle) < control.HOLD_WITHIN_RADIANS
            pump, hold = rule.pump(state.angle, state.speed), rule.hold(state.angle, state.speed)
            return tf.where(near, hold, pump)[:, None]

        return {"swing-up": swing_up, "swing-up-and-hold": swing_up_and_hold}

    def policy_picture(self, policy: Callable[[npt.NDArray[np.float32]], npt.NDArray[Any]]) -> dict[str, Any]:
        """A filmstrip of one held-out episode's first seconds."""
        return filmstrip(self, policy, PICTURE_STRIDE, STEP_SECONDS)

    def render(self, state: State, row: int = 0) -> npt.NDArray[np.uint8]:
        """The rod on its pivot, RGB [160, 160, 3]."""
        return render.rod(float(state.angle[row]))
