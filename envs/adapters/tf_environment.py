"""A task as a TF-Agents `TFEnvironment`."""

import os
from typing import Any

import gymnasium
import numpy as np
import tensorflow as tf

from envs import core, seeding
from envs.adapters import gym_stand_in

os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")  # TF-Agents 0.19 builds on Keras 2
gym_stand_in.install()

from tf_agents.environments import tf_environment  # noqa: E402
from tf_agents.specs import tensor_spec  # noqa: E402
from tf_agents.trajectories import time_step as ts  # noqa: E402

FIRST_STATES, NOISE = range(2)
"""What a key is folded with."""


class TensorTFEnvironment(tf_environment.TFEnvironment):
    """B rows of a task behind TF-Agents' interface, for its drivers, replay buffers and metrics.

    An episode's last time step has type LAST; the step after it ignores its action and starts the next episode with
    type FIRST. The discount tells the two ends of an episode apart: 0 on termination, 1 on truncation, so that values
    are bootstrapped past a time limit. TF-Agents has no place for an action mask: none is passed on.

    Args:
        env: the task.
        batch_size: B.
        key: int32 [2] (`envs.seeding`); decides all randomness.
    """

    def __init__(self, env: core.TensorEnv[Any], batch_size: int, key: tf.Tensor) -> None:
        self.task = env
        self._key = key
        observation_spec = _spec(env.observation_space, "observation")
        super().__init__(ts.time_step_spec(observation_spec), _spec(env.action_space, "action"), batch_size)
        first = core.begin(env, seeding.fold(key, 0, FIRST_STATES), batch_size)
        self._draws = tf.Variable(0, trainable=False)
        self._episode = tf.nest.map_structure(lambda tensor: tf.Variable(tensor, trainable=False), first)
        self._step_type = tf.Variable(tf.fill([batch_size], ts.StepType.FIRST), trainable=False)
        self._reward = tf.Variable(tf.zeros([batch_size]), trainable=False)
        self._discount = tf.Variable(tf.ones([batch_size]), trainable=False)

    def _current_time_step(self) -> ts.TimeStep:
        state = tf.nest.map_structure(lambda variable: variable.read_value(), self._episode.state)
        return ts.TimeStep(
            self._step_type.read_value(),
            self._reward.read_value(),
            self._discount.read_value(),
            self.task.observe(state),
        )

    def _reset(self) -> ts.TimeStep:
        draw = self._draws.assign_add(1)
        fresh = core.begin(self.task, seeding.fold(self._key, draw, FIRST_STATES), self.batch_size)
        tf.nest.map_structure(lambda variable, tensor: variable.assign(tensor), self._episode, fresh)
        self._step_type.assign(tf.fill([self.batch_size], ts.StepType.FIRST))
        self._reward.assign(tf.zeros([self.batch_size]))
        self._discount.assign(tf.ones([self.batch_size]))
        return self._current_time_step()

    def _step(self, action: tf.Tensor) -> ts.TimeStep:
        draw = self._draws.assign_add(1)
        fresh = core.begin(self.task, seeding.fold(self._key, draw, FIRST_STATES), self.batch_size)
        noise = self.task.noise(seeding.fold(self._key, draw, NOISE), self.batch_size)
        running = tf.nest.map_structure(lambda variable: variable.read_value(), self._episode)
        first = tf.equal(self._step_type, ts.StepType.LAST)
        following, outcome = core.proceed(self.task, running, action, noise)
        last = tf.logical_or(outcome.terminated, outcome.truncated)
        episode = core.where(first, fresh, following)
        tf.nest.map_structure(lambda variable, tensor: variable.assign(tensor), self._episode, episode)
        went_on = tf.where(last, ts.StepType.LAST, ts.StepType.MID)
        self._step_type.assign(tf.where(first, ts.StepType.FIRST, went_on))
        self._reward.assign(tf.where(first, 0.0, outcome.reward))
        self._discount.assign(tf.where(tf.logical_and(outcome.terminated, tf.logical_not(first)), 0.0, 1.0))
        return self._current_time_step()


def _spec(space: "gymnasium.spaces.Discrete | gymnasium.spaces.Box", name: str) -> tensor_spec.BoundedTensorSpec:
    """A Gymnasium space as TF-Agents says it."""
    if isinstance(space, gymnasium.spaces.Discrete):
        return tensor_spec.BoundedTensorSpec([], tf.int32, 0, int(space.n) - 1, name)
    low, high = np.maximum(space.low, np.finfo(np.float32).min), np.minimum(space.high, np.finfo(np.float32).max)
    return tensor_spec.BoundedTensorSpec(space.shape, tf.float32, low, high, name)
