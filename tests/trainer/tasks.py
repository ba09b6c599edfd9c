"""Small tasks for tests, with answers that can be worked out by hand."""

import dataclasses
from typing import NamedTuple

import gymnasium
import numpy as np
import tensorflow as tf

from envs import seeding
from envs.core import NoiseLaw, TensorEnv, Transition


@dataclasses.dataclass(frozen=True)
class Params:
    pass


class Position(NamedTuple):
    place: tf.Tensor  # float32 [B]


class Corridor(TensorEnv[Params]):
    """Places 0 to 4 in a row; a step left (0), stay (1) or right (2), then the noise pushes by -1, 0 or 1.

    The reward is the place. Stepping out is not allowed: the mask says so. Place 4 ends the episode if `ends`.
    """

    params_type = Params

    def __init__(self, *, masked: bool = False, ends: bool = False, shift: float = 0.0) -> None:
        super().__init__(Params())
        self.masked, self.ends, self.shift = masked, ends, shift
        self.observation_space = gymnasium.spaces.Box(0.0, 4.0, (1,), np.float32)
        self.action_space = gymnasium.spaces.Discrete(3)
        self.max_episode_steps = 10

    def reset(self, key, batch):
        return Position(tf.floor(seeding.uniform(key, [batch]) * 4))

    def noise(self, key, batch):
        return tf.floor(seeding.uniform(key, [batch]) * 3) - 1

    def step(self, state, action, noise):
        place = tf.clip_by_value(state.place + tf.cast(action, tf.float32) - 1 + noise, 0, 4)
        ended = place >= 4 if self.ends else tf.zeros_like(place, tf.bool)
        return Position(place), Transition(place + self.shift, ended)

    def observe(self, state):
        return state.place[:, None]

    def action_mask(self, state):
        if not self.masked:
            return None
        return tf.stack([state.place > 0, tf.ones_like(state.place, tf.bool), state.place < 4], 1)

    def noise_law(self):
        return NoiseLaw(tf.constant([-1.0, 0.0, 1.0]), tf.fill([3], 1 / 3))

    def expected_reward(self, state, action):
        middle = state.place + tf.cast(action, tf.float32) - 1
        return tf.reduce_mean(tf.clip_by_value(middle[:, None] + tf.constant([[-1.0, 0.0, 1.0]]), 0, 4), 1) + self.shift

    def nominal_observation(self):
        return np.array([2.0], np.float32), np.array([1.5], np.float32)


class Counted(Corridor):
    """A corridor whose score counts the steps, whatever the reward is."""

    def step(self, state, action, noise):
        state, transition = super().step(state, action, noise)
        return state, transition._replace(score=tf.ones_like(transition.reward))


class Puck(TensorEnv[Params]):
    """A puck on a line, pushed by an action in [-2, 2]; the reward is highest at 0. Only the time limit ends it."""

    params_type = Params

    def __init__(self) -> None:
        super().__init__(Params())
        self.observation_space = gymnasium.spaces.Box(-1.0, 1.0, (1,), np.float32)
        self.action_space = gymnasium.spaces.Box(-2.0, 2.0, (1,), np.float32)
        self.max_episode_steps = 6

    def reset(self, key, batch):
        return Position(seeding.uniform(key, [batch], -1.0, 1.0))

    def noise(self, key, batch):
        return seeding.normal(key, [batch]) * 0.05

    def step(self, state, action, noise):
        place = tf.clip_by_value(state.place + 0.2 * action[:, 0] + noise, -1.0, 1.0)
        return Position(place), Transition(-tf.square(place), tf.zeros_like(place, tf.bool))

    def observe(self, state):
        return state.place[:, None]


class Wager(TensorEnv[Params]):
    """Two steps. The first pays nothing; in the second, waiting (0) pays .5, betting (1) pays 2 or -1, 1 time to 3."""

    params_type = Params

    def __init__(self) -> None:
        super().__init__(Params())
        self.observation_space = gymnasium.spaces.Box(0.0, 1.0, (1,), np.float32)
        self.action_space = gymnasium.spaces.Discrete(2)
        self.max_episode_steps = 2

    def reset(self, key, batch):
        return Position(tf.zeros([batch]))

    def noise(self, key, batch):
        return seeding.uniform(key, [batch])

    def step(self, state, action, noise):
        last = state.place > 0
        pay = tf.where(action == 0, 0.5, tf.where(noise < 0.25, 2.0, -1.0))
        return Position(tf.ones_like(state.place)), Transition(tf.where(last, pay, 0.0), last)

    def observe(self, state):
        return state.place[:, None]
