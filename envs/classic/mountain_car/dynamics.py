"""Mountain car: Gymnasium's `MountainCar-v0` and `MountainCarContinuous-v0`, in float32 and batched."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

import gymnasium
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from envs import seeding
from envs.classic.mountain_car import render
from envs.classic.mountain_car.model import (
    CONTINUOUS_FORCE,
    CONTINUOUS_GOAL_POSITION,
    FORCE,
    FORCE_COST,
    GOAL_POSITION,
    GOAL_REWARD,
    GRAVITY,
    GREATEST_POSITION,
    LEAST_POSITION,
    SPEED_LIMIT,
    START_HIGH,
    START_LOW,
    ContinuousParams,
    Params,
)
from envs.core import Score, StatePolicy, TensorEnv, Transition

AnyParams = TypeVar("AnyParams", bound=Params)

GENTLE_FORCE = 0.3
"""Force of the gentle baseline: with less, the valley takes too many swings."""


class State(NamedTuple):
    """Where the car is and how fast it goes to the right."""

    position: tf.Tensor  # float32 [B]
    velocity: tf.Tensor  # float32 [B], per step


def _drive(state: State, push: tf.Tensor) -> State:
    """One step: engine and slope change the velocity, the velocity the position; the wall on the left stops the car.

    Args:
        state: [B].
        push: velocity that the engine adds, float32 [B].
    """
    velocity = state.velocity + push - GRAVITY * tf.cos(3.0 * state.position)
    velocity = tf.clip_by_value(velocity, -SPEED_LIMIT, SPEED_LIMIT)
    position = tf.clip_by_value(state.position + velocity, LEAST_POSITION, GREATEST_POSITION)
    at_the_wall = position <= LEAST_POSITION
    return State(position, tf.where(at_the_wall, tf.maximum(velocity, 0.0), velocity))


class _MountainCar(TensorEnv[AnyParams]):
    """What both tasks share: the valley, the first states, what is seen and drawn."""

    score = Score("return", "per episode")
    frames_per_second = 30
    goal_position: float

    def __init__(self, params: AnyParams) -> None:
        super().__init__(params)
        low = np.array([LEAST_POSITION, -SPEED_LIMIT], np.float32)
        high = np.array([GREATEST_POSITION, SPEED_LIMIT], np.float32)
        self.observation_space = gymnasium.spaces.Box(low, high, dtype=np.float32)
        self.max_episode_steps = params.episode_steps

    def reset(self, key: tf.Tensor, batch: int) -> State:
        """At rest, the position uniform from -.6 to -.4."""
        position = seeding.uniform(key, [batch], START_LOW, START_HIGH)
        return State(position, tf.zeros_like(position))

    def noise(self, key: tf.Tensor, batch: int) -> tuple[()]:
        """None: the physics is deterministic."""
        del key, batch
        return ()

    def observe(self, state: State) -> tf.Tensor:
        """The state itself, float32 [B, 2]."""
        return tf.stack(state, -1)

    def nominal_observation(self) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """The middle of the range and half its width."""
        low, high = self.observation_space.low, self.observation_space.high
        return ((low + high) / 2).astype(np.float32), ((high - low) / 2).astype(np.float32)

    def render(self, state: State, row: int = 0) -> npt.NDArray[np.uint8]:
        """The car in its valley and the flag, RGB [180, 240, 3]."""
        return render.car(float(state.position[row]), self.goal_position)

    def _arrived(self, state: State) -> tf.Tensor:
        fast_enough = state.velocity >= self.params.goal_velocity_per_step
        return tf.logical_and(state.position >= self.goal_position, fast_enough)


class MountainCar(_MountainCar[Params]):
    """Get a car out of a valley with an engine too weak for the slope, in as few steps as possible (Moore 1990).

    The equations, constants and order of the step are those of Gymnasium's `MountainCar-v0`
    (https://gymnasium.farama.org/environments/classic_control/mountain_car/). The reward is -1 a step. -110 counts as
    solved.

    Observation: position and velocity, float32 [2]. Action: to the left (0), none (1), to the right (2), `Discrete(3)`.
    """

    params_type = Params
    goal_position = GOAL_POSITION

    def __init__(self, params: Params) -> None:
        super().__init__(params)
        self.action_space = gymnasium.spaces.Discrete(3)

    def step(self, state: State, action: tf.Tensor, noise: tuple[()]) -> tuple[State, Transition]:
        """One step."""
        del noise
        following = _drive(state, FORCE * (tf.cast(action, tf.float32) - 1.0))
        return following, Transition(-tf.ones_like(state.position), self._arrived(following))

    def baselines(self) -> Mapping[str, StatePolicy]:
        """Push the way the car goes; and a rule on position and velocity that was found by hand."""

        def energy_pumping(state: State, key: tf.Tensor) -> tf.Tensor:
            del key
            return tf.where(state.velocity >= 0, 2, 0)

        def closed_form(state: State, key: tf.Tensor) -> tf.Tensor:
            """To the right between two curves (Xiao, https://github.com/ZhiqingXiao/rl-book, chapter 1)."""
            del key
            position, velocity = state
            low = tf.minimum(0.03 - 0.09 * (position + 0.25) ** 2, 0.3 * (position + 0.9) ** 4 - 0.008)
            high = 0.07 - 0.07 * (position + 0.38) ** 2
            return tf.where(tf.logical_and(low < velocity, velocity < high), 2, 0)

        return {"energy-pumping": energy_pumping, "closed-form": closed_form}

    def policy_picture(self, policy: Callable[[npt.NDArray[np.float32]], npt.NDArray[np.int64]]) -> dict[str, Any]:
        """The engine's direction, as a heatmap over position and velocity."""
        return render.policy_picture(lambda states: policy(states) - 1, self.goal_position)


class MountainCarContinuous(_MountainCar[ContinuousParams]):
    """Get a car out of a valley with an engine too weak for the slope, with little force (Moore 1990).

    The equations, constants and order of the step are those of Gymnasium's `MountainCarContinuous-v0`
    (https://gymnasium.farama.org/environments/classic_control/mountain_car_continuous/). The reward is 100 for
    arriving, less a tenth of the squared action in each step. 90 counts as solved.

    Observation: position and velocity, float32 [2]. Action: force to the right, `Box(-1, 1, (1,))`.
    """

    params_type = ContinuousParams
    goal_position = CONTINUOUS_GOAL_POSITION

    def __init__(self, params: ContinuousParams) -> None:
        super().__init__(params)
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (1,), np.float32)

    def step(self, state: State, action: tf.Tensor, noise: tuple[()]) -> tuple[State, Transition]:
        """One step; the engine gives at most its full force, but the cost is of what was asked for."""
        del noise
        asked = action[:, 0]
        following = _drive(state, CONTINUOUS_FORCE * tf.clip_by_value(asked, -1.0, 1.0))
        arrived = self._arrived(following)
        reward = tf.where(arrived, GOAL_REWARD, 0.0) - FORCE_COST * tf.square(asked)
        return following, Transition(reward, arrived)

    def baselines(self) -> Mapping[str, StatePolicy]:
        """Push the way the car goes, with full force; with little."""

        def pumping(force: float) -> StatePolicy:
            def push(state: State, key: tf.Tensor) -> tf.Tensor:
                del key
                return tf.where(state.velocity >= 0, force, -force)[:, None]

            return push

        return {"energy-pumping": pumping(1.0), "gentle-pumping": pumping(GENTLE_FORCE)}

    def policy_picture(self, policy: Callable[[npt.NDArray[np.float32]], npt.NDArray[Any]]) -> dict[str, Any]:
        """The force, as a heatmap over position and velocity."""
        return render.policy_picture(lambda states: np.clip(policy(states)[:, 0], -1.0, 1.0), self.goal_position)
