"""Cart and pole: Gymnasium's `CartPole-v1`, in float32 and batched."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import gymnasium
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from envs import seeding
from envs.classic.cart_pole import render
from envs.classic.cart_pole.model import (
    ANGLE_LIMIT_RADIANS,
    CART_MASS_KILOGRAMS,
    FORCE_NEWTONS,
    GRAVITY_METRES_PER_SECOND2,
    POLE_HALF_LENGTH_METRES,
    POLE_MASS_KILOGRAMS,
    POSITION_LIMIT_METRES,
    START_RANGE,
    STEP_SECONDS,
    Params,
)
from envs.classic.filmstrip import filmstrip
from envs.core import Score, StatePolicy, TensorEnv, Transition

PICTURE_STRIDE = 25
"""Steps between two pictures of a filmstrip."""


class State(NamedTuple):
    """Four arrays, so that XLA works on contiguous memory: a fifth more steps a second than as one [B, 4]."""

    position: tf.Tensor  # float32 [B], metres
    velocity: tf.Tensor  # float32 [B], metres per second
    angle: tf.Tensor  # float32 [B], radians from upright
    spin: tf.Tensor  # float32 [B], radians per second


class CartPole(TensorEnv[Params]):
    """Keep a pole upright by pushing its cart left (0) or right (1) (Barto, Sutton and Anderson 1983).

    The equations, constants and order of the Euler step are those of Gymnasium's `CartPole-v1`
    (https://gymnasium.farama.org/environments/classic_control/cart_pole/). Reward 1 a step. 475 counts as solved.

    Observation: position, velocity, angle, angular velocity, float32 [4]. Action: `Discrete(2)`.
    """

    params_type = Params
    score = Score("return", "per episode")
    frames_per_second = 50

    def __init__(self, params: Params) -> None:
        super().__init__(params)
        high = np.array([2 * POSITION_LIMIT_METRES, np.inf, 2 * ANGLE_LIMIT_RADIANS, np.inf], np.float32)
        self.observation_space = gymnasium.spaces.Box(-high, high, dtype=np.float32)
        self.action_space = gymnasium.spaces.Discrete(2)
        self.max_episode_steps = params.episode_steps

    def reset(self, key: tf.Tensor, batch: int) -> State:
        """Each entry uniform in +-.05."""
        return State(*tf.unstack(seeding.uniform(key, [4, batch], -START_RANGE, START_RANGE)))

    def noise(self, key: tf.Tensor, batch: int) -> tuple[()]:
        """None: the physics is deterministic."""
        del key, batch
        return ()

    def step(self, state: State, action: tf.Tensor, noise: tuple[()]) -> tuple[State, Transition]:
        """One Euler step of 20 ms (Florian 2007, https://coneural.org/florian/papers/05_cart_pole.pdf, eq. 23-24)."""
        del noise
        position, velocity, angle, spin = state
        force = tf.where(action == 1, FORCE_NEWTONS, -FORCE_NEWTONS)
        cosine, sine = tf.cos(angle), tf.sin(angle)
        mass = CART_MASS_KILOGRAMS + POLE_MASS_KILOGRAMS
        moment = POLE_MASS_KILOGRAMS * POLE_HALF_LENGTH_METRES
        push = (force + moment * tf.square(spin) * sine) / mass
        spin_rate = (GRAVITY_METRES_PER_SECOND2 * sine - cosine * push) / (
            POLE_HALF_LENGTH_METRES * (4.0 / 3.0 - POLE_MASS_KILOGRAMS * tf.square(cosine) / mass)
        )
        acceleration = push - moment * spin_rate * cosine / mass
        following = State(
            position + STEP_SECONDS * velocity,
            velocity + STEP_SECONDS * acceleration,
            angle + STEP_SECONDS * spin,
            spin + STEP_SECONDS * spin_rate,
        )
        fallen = tf.logical_or(
            tf.abs(following.position) > POSITION_LIMIT_METRES, tf.abs(following.angle) > ANGLE_LIMIT_RADIANS
        )
        return following, Transition(tf.ones_like(position), fallen)

    def observe(self, state: State) -> tf.Tensor:
        """The state itself, float32 [B, 4]."""
        return tf.stack(state, -1)

    def optimum(self) -> float:
        """One reward a step: no episode can yield more, and balancing for ever reaches it."""
        return float(self.params.episode_steps)

    def baselines(self) -> Mapping[str, StatePolicy]:
        """Push to the side the pole leans to; the same, looking at its angular velocity too."""

        def lean(state: State, key: tf.Tensor) -> tf.Tensor:
            del key
            return tf.cast(state.angle > 0, tf.int32)

        def lean_and_spin(state: State, key: tf.Tensor) -> tf.Tensor:
            del key
            return tf.cast(state.angle + state.spin > 0, tf.int32)

        return {"lean": lean, "lean-and-spin": lean_and_spin}

    def policy_picture(self, policy: Callable[[npt.NDArray[np.float32]], npt.NDArray[np.int64]]) -> dict[str, Any]:
        """A filmstrip of one held-out episode's first seconds."""
        return filmstrip(self, policy, PICTURE_STRIDE, STEP_SECONDS)

    def render(self, state: State, row: int = 0) -> npt.NDArray[np.uint8]:
        """The cart on its rail and the pole, RGB [160, 240, 3]."""
        return render.cart_and_pole(np.asarray(self.observe(state))[row])
