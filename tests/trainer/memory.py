"""Tasks whose observation does not say all that counts: only who remembers does well."""

import dataclasses
from typing import NamedTuple

import gymnasium
import numpy as np
import tensorflow as tf
from gymnasium import spaces
from tasks import Params

from envs import seeding
from envs.core import NoiseLaw, TensorEnv, Transition

STEPS = 5
"""From the first observation to the junction."""


class Walk(NamedTuple):
    cue: tf.Tensor  # float32 [B], -1 or 1
    step: tf.Tensor  # float32 [B]


@dataclasses.dataclass(frozen=True)
class CueParams:
    masked: bool = False


class Cue(TensorEnv[CueParams]):
    """A T-maze (Bakker 2001): the first observation shows a sign; at the junction, steps later, it pays to follow it.

    Actions go on (0), left (1) or right (2). At the junction the sign's side pays 1, all else -1, and the episode ends;
    before it actions do nothing. Whoever forgets gets 0 on average at most. With masks, sides are allowed at the
    junction alone, and there nothing else.
    """

    params_type = CueParams

    def __init__(self, params: CueParams | None = None, *, masked: bool = False) -> None:
        super().__init__(params or CueParams(masked))
        self.masked = self.params.masked
        self.observation_space = spaces.Box(-1.0, 1.0, (2,), np.float32)
        self.action_space = spaces.Discrete(3)
        self.max_episode_steps = 2 * STEPS

    def reset(self, key, batch):
        return Walk(tf.sign(seeding.uniform(key, [batch]) - 0.5), tf.zeros([batch]))

    def noise(self, key, batch):
        return ()

    def step(self, state, action, noise):
        there = state.step >= STEPS - 1
        right = tf.equal(action, tf.where(state.cue < 0, 1, 2))
        reward = tf.where(there, tf.where(right, 1.0, -1.0), 0.0)
        return Walk(state.cue, state.step + 1), Transition(reward, there)

    def observe(self, state):
        shown = tf.where(state.step > 0, 0.0, state.cue)
        return tf.stack([shown, tf.cast(state.step >= STEPS - 1, tf.float32)], 1)

    def action_mask(self, state):
        if not self.masked:
            return None
        there = state.step >= STEPS - 1
        return tf.stack([~there, there, there], 1)


class Blinking(NamedTuple):
    place: tf.Tensor  # float32 [B]
    shown: tf.Tensor  # float32 [B], 0 or 1


class Blinds(TensorEnv[Params]):
    """Three places, and noise that either helps a step to the right or hides the place; place 2 ends the episode."""

    params_type = Params

    def __init__(self) -> None:
        super().__init__(Params())
        self.observation_space = spaces.Box(0.0, 2.0, (2,), np.float32)
        self.action_space = spaces.Discrete(2)
        self.max_episode_steps = 4

    def reset(self, key, batch):
        return Blinking(tf.zeros([batch]), tf.ones([batch]))

    def noise(self, key, batch):
        return tf.round(seeding.uniform(key, [batch]))

    def step(self, state, action, noise):
        place = tf.minimum(state.place + tf.cast(action, tf.float32) * noise, 2.0)
        return Blinking(place, noise), Transition(place, place >= 2)

    def observe(self, state):
        return tf.stack([state.place * state.shown, state.shown], 1)

    def noise_law(self):
        return NoiseLaw(tf.constant([0.0, 1.0]), tf.constant([0.5, 0.5]))


class GymCue(gymnasium.Env):
    """The same as `Cue`, as a Gymnasium environment, with masks if it is told to."""

    observation_space = spaces.Box(-1.0, 1.0, (2,), np.float32)
    action_space = spaces.Discrete(3)

    def __init__(self, masked: bool = False) -> None:
        self.masked = masked

    def _seen(self):
        there = self._step == STEPS - 1
        mask = np.array([not there, there, there], np.int8)
        return np.array([0 if self._step else self._cue, there], np.float32), {
            "action_mask": mask
        } if self.masked else {}

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._cue, self._step = int(self.np_random.integers(2)) * 2 - 1, 0
        return self._seen()

    def step(self, action):
        there = self._step == STEPS - 1
        reward = (1.0 if action == (1 if self._cue < 0 else 2) else -1.0) if there else 0.0
        self._step = min(self._step + 1, STEPS - 1)
        seen, info = self._seen()
        return seen, reward, there, False, info
