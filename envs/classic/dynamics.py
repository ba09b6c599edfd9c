"""Cart and pole: Gymnasium's `CartPole-v1`, in float32 and batched."""

import dataclasses
import math
from typing import NamedTuple

import gymnasium
import numpy as np
import tensorflow as tf

from envs import seeding
from envs.core import Score, TensorEnv, Transition
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


@dataclasses.dataclass(frozen=True)
class Params:
    """Parameters of the cart-pole task."""

    episode_steps: int = parameter(500, "Steps after which an episode is cut.", 1, 10**6)


class State(NamedTuple):
    """Position (m), velocity (m/s), angle (rad) and angular velocity (rad/s)."""

    values: tf.Tensor  # float32 [B, 4]


class CartPole(TensorEnv[Params]):
    """Keep a pole upright by pushing its cart left (0) or right (1) (Barto, Sutton and Anderson 1983).

    The equations, constants and order of the Euler step are those of Gymnasium's `CartPole-v1`
    (https://gymnasium.farama.org/environments/classic_control/cart_pole/). Reward 1 a step. 475 counts as solved.

    Observation: position, velocity, angle, angular velocity, float32 [4]. Action: `Discrete(2)`.
    """

    params_type = Params
    score = Score("return", "per episode")
    reward_threshold = 475.0

    def __init__(self, params: Params) -> None:
        super().__init__(params)
        high = np.array([2 * POSITION_LIMIT_METRES, np.inf, 2 * ANGLE_LIMIT_RADIANS, np.inf], np.float32)
        self.observation_space = gymnasium.spaces.Box(-high, high, dtype=np.float32)
        self.action_space = gymnasium.spaces.Discrete(2)
        self.max_episode_steps = params.episode_steps

    def reset(self, key: tf.Tensor, batch: int) -> State:
        """Each entry uniform in +-.05."""
        return State(seeding.uniform(key, [batch, 4], -START_RANGE, START_RANGE))

    def noise(self, key: tf.Tensor, batch: int) -> tuple[()]:
        """None: the physics is deterministic."""
        del key, batch
        return ()

    def step(self, state: State, action: tf.Tensor, noise: tuple[()]) -> tuple[State, Transition]:
        """One Euler step of 20 ms (Florian 2007, https://coneural.org/florian/papers/05_cart_pole.pdf, eq. 23-24)."""
        del noise
        x, velocity, angle, spin = tf.unstack(state.values, axis=-1)
        force = tf.where(action == 1, FORCE_NEWTONS, -FORCE_NEWTONS)
        cosine, sine = tf.cos(angle), tf.sin(angle)
        mass = CART_MASS_KILOGRAMS + POLE_MASS_KILOGRAMS
        moment = POLE_MASS_KILOGRAMS * POLE_HALF_LENGTH_METRES
        push = (force + moment * tf.square(spin) * sine) / mass
        spin_rate = (GRAVITY_METRES_PER_SECOND2 * sine - cosine * push) / (
            POLE_HALF_LENGTH_METRES * (4.0 / 3.0 - POLE_MASS_KILOGRAMS * tf.square(cosine) / mass)
        )
        acceleration = push - moment * spin_rate * cosine / mass
        values = state.values + STEP_SECONDS * tf.stack([velocity, acceleration, spin, spin_rate], -1)
        fallen = tf.logical_or(
            tf.abs(values[:, 0]) > POSITION_LIMIT_METRES, tf.abs(values[:, 2]) > ANGLE_LIMIT_RADIANS
        )
        return State(values), Transition(tf.ones_like(x), fallen)

    def observe(self, state: State) -> tf.Tensor:
        """The state itself, float32 [B, 4]."""
        return state.values

    def optimum(self) -> float:
        """An episode that is never lost yields one reward a step."""
        return float(self.params.episode_steps)
