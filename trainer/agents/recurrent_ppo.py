"""Proximal policy optimisation with recurrent networks: it remembers, and learns from whole sequences."""

from typing import Any

import tensorflow as tf
from tf_agents.networks import encoding_network

from envs import seeding
from trainer.agents import networks
from trainer.agents.learner import Task
from trainer.agents.packing import Packing, Rows
from trainer.agents.ppo import PPOLearner, Signals
from trainer.agents.recurrence import SequencePacking, Torso, of_part
from trainer.config.models import PPO
from trainer.policy import Memory, forget, nothing
from trainer.rollout.base import Trajectories, flat

POLICY_TORSO, VALUE_TORSO = 1003, 1004
"""What the key of the first weights is folded with."""


class RecurrentPPOLearner(PPOLearner):
    """PPO whose policy and values are functions of all that an episode has shown so far.

    A rollout carries the policy's memory; that of the values goes on here, from one iteration to the next, since acting
    does not need it. Each iteration replays every environment's steps from the memory before the first of them, and
    gradients flow back to there (truncated backpropagation through time, Williams and Peng 1990,
    https://doi.org/10.1162/neco.1990.2.4.490). A minibatch holds whole environments.

    Args:
        task: what the learner is told of the task.
        settings: the run file's hyperparameters, with `networks.recurrent`.
        key: int32 [2], for the first weights.
    """

    def __init__(self, task: Task, settings: PPO, key: tf.Tensor) -> None:
        if settings.networks.recurrent is None:
            raise ValueError("the settings have no recurrent layer")
        self._recurrent = settings.networks.recurrent
        super().__init__(task, settings, key)

    def _build(self) -> None:
        """Policy and values, each made of a torso and a linear layer; the torso may be one for both."""
        chosen, shape = self.settings.networks, self.task.observation_shape

        def torso(layers: tuple[int, ...]) -> Torso:
            return Torso(layers, chosen.activation, self._recurrent, shape)

        self._policy_torso = torso(chosen.actor)
        self._value_torso = self._policy_torso if chosen.shared else torso(chosen.critic)
        self.memory_widths = self._policy_torso.memory_widths
        widths = () if chosen.shared else self._value_torso.memory_widths
        self._memory = [
            tf.Variable(part, trainable=False, name="memory") for part in nothing(widths, self.settings.num_envs)
        ]
        """Of the values, before the next rollout; empty if they share the policy's."""
        self._features = tf.TensorSpec([self._recurrent.units], tf.float32, "features")
        flat_features = encoding_network.EncodingNetwork(self._features)
        self.actor = networks.Actor(self._features, flat_features, self.head.projection())
        self.critic = networks.Critic(self._features, flat_features)
        self.actor.create_variables()
        self.critic.create_variables()
        policy = [*self._policy_torso.weights, *self.actor.trainable_weights]
        values = [*([] if chosen.shared else self._value_torso.weights), *self.critic.trainable_weights]
        self._weights, self._policy_weights = [*policy, *values], len(policy)

    def _initialise(self, key: tf.Tensor) -> None:
        super()._initialise(key)
        self._policy_torso.initialise(seeding.fold(key, POLICY_TORSO))
        if self._value_torso is not self._policy_torso:
            self._value_torso.initialise(seeding.fold(key, VALUE_TORSO))

    def state(self) -> dict[str, tf.Variable]:
        """Every variable that decides the future, by a name that does not depend on how TensorFlow names things."""
        return super().state() | {f"memory/{i}": variable for i, variable in enumerate(self._memory)}

    def _agent_networks(self) -> tuple[Any, Any, Any]:
        """TF-Agents' agent sees (the policy's features, the values' features[, mask]): the torsos come before it."""
        specs: tuple[Any, ...] = (self._features, self._features)
        if self.task.masked:
            specs = (*specs, tf.TensorSpec([self.mask_width], tf.bool, "mask"))
        return specs, of_part(self.actor, specs, 0), of_part(self.critic, specs, 1)

    def act(self, observation: tf.Tensor, mask: Any, *memory: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """The parameters of the policy's distribution, and then its memory after these observations.

        Args:
            observation: float32 [B, ...], as the environment gives it.
            mask: bool [B, n], or `()`.
            memory: float32 [B, width] each, before these observations.
        """
        after = self._policy_torso.step(self.normaliser(observation), memory)
        return (*self._act(after[0], mask), *after)

    def value(self, observation: tf.Tensor, *memory: tf.Tensor) -> tf.Tensor:
        """Values float32 [B] of observations float32 [B, ...], with the values' memory before them."""
        return self.critic(self._value_torso.step(self.normaliser(observation), memory)[0])[0]

    def learn(self, batch: Trajectories, key: tf.Tensor, fraction: tf.Tensor) -> Signals:
        """Improve policy and values by one batch, from the memory before its first step.

        Args:
            batch: T steps of N environments, with the policy's memory before them.
            key: int32 [2], for the order of the environments.
            fraction: how much of the training is done, float32 scalar.
        """
        values = tuple(variable.read_value() for variable in self._memory)
        return super().learn(batch._replace(memory=(*batch.memory, *values)), key, fraction)

    def _memories(self, memory: Memory) -> tuple[Memory, Memory]:
        """The policy's and the values' memory, of both in one tuple."""
        own = memory[: len(self.memory_widths)]
        return own, memory[len(own) :] if self._memory else own

    def _values(self, batch: Trajectories) -> tuple[tf.Tensor, Memory]:
        done = tf.logical_or(batch.terminated, batch.truncated)
        observation = self.normaliser(batch.observation)
        after = self._value_torso.unroll(observation, done, self._memories(batch.memory)[1])
        if self._memory:
            for variable, last in zip(self._memory, forget(tuple(part[-1] for part in after), done[-1]), strict=True):
                variable.assign(last)
        return tf.reshape(self.critic(flat(after[0]))[0], done.shape), after

    def _packing(self) -> SequencePacking:
        steps = Packing(self.head, self.task.observation_shape, self.mask_width)
        widths = (*self.memory_widths, *(variable.shape[1] for variable in self._memory))
        return SequencePacking(steps, self.settings.rollout_steps, widths)

    def _seen(self, data: Rows) -> Any:
        """Features of all steps, [T * n, units] of policy and values, which gradients flow through."""
        observation, done, memory = data.observation
        policy, values = self._memories(memory)
        features = flat(self._policy_torso.unroll(observation, done, policy)[0])
        of_values = flat(self._value_torso.unroll(observation, done, values)[0]) if self._memory else features
        return (features, of_values, data.mask) if self.task.masked else (features, of_values)
