"""REINFORCE with a learned baseline on TF-Agents' agent: one gradient step on each iteration's transitions."""

from typing import Any

import tensorflow as tf
from tf_agents.agents.reinforce import reinforce_agent
from tf_agents.trajectories import time_step

from envs import seeding
from trainer.agents import actions, learner, networks, normalisation
from trainer.agents.advantage import generalised_advantages
from trainer.agents.learner import Task
from trainer.agents.schedule import value_at
from trainer.config.models import Reinforce
from trainer.policy import AnyPolicy
from trainer.rollout.base import Recording, Trajectories, flat

WEIGHTS = 1201
"""What the learner's key is folded with."""


class ReinforceLearner(tf.Module):
    """Policy and baseline, and how an iteration's transitions change them.

    A return is the discounted sum of the rewards to the episode's end. Where the rollout or a time limit cuts it, the
    baseline's value of the state that was reached completes it (Sutton and Barto 2018, section 13.5, has the one-step
    form), so that every transition counts, and counts alike.

    Args:
        task: what the learner is told of the task.
        settings: the run file's hyperparameters.
        key: int32 [2], for the first weights.
    """

    signals = (
        "policy_loss",
        "value_loss",
        "policy_entropy",
        "gradient_norm",
        "explained_variance",
        "learning_rate",
    )
    replay = None
    memory_widths: tuple[int, ...] = ()

    def __init__(self, task: Task, settings: Reinforce, key: tf.Tensor) -> None:
        super().__init__(name="reinforce")
        self.task, self.settings, self.recording = task, settings, Recording()
        self.head = actions.head(task.action_space)
        self.actor, self.critic = networks.build(settings.networks, task.observation_shape, self.head, task.entities)
        self.normaliser = normalisation.chosen(settings.observation_normalisation, task.observation_shape, task.env)
        self.optimiser = tf.keras.optimizers.Adam(settings.learning_rate.start, epsilon=settings.adam_epsilon)
        self._weights = networks.unique(self.actor, self.critic)
        self.optimiser.build(self._weights)
        spec: Any = tf.TensorSpec(task.observation_shape, tf.float32, "observation")
        self.agent = reinforce_agent.ReinforceAgent(
            time_step.time_step_spec(spec),
            self.head.spec,
            actor_network=self.actor,
            value_network=self.critic,
            optimizer=None,
            value_estimation_loss_coef=settings.value_coefficient,
            train_step_counter=tf.Variable(0, dtype=tf.int64, trainable=False, name="agent_step"),
        )
        self.restart(key)

    @property
    def mask_width(self) -> int:
        """How many actions a mask has; 0 where every action is always allowed."""
        return self.task.mask_width

    def restart(self, key: tf.Tensor) -> None:
        """Forget everything: first weights from the key, empty optimiser and normaliser."""
        for variable in self.state().values():
            variable.assign(tf.zeros_like(variable))
        deviation = self.settings.networks.initial_deviation
        networks.initialise(self.actor, self.critic, seeding.fold(key, WEIGHTS), deviation=deviation)

    def state(self) -> dict[str, tf.Variable]:
        """Every variable that decides the future."""
        named = {f"weights/{i:02d}": variable for i, variable in enumerate(self._weights)}
        named |= {f"optimiser/{i:02d}": variable for i, variable in enumerate(self.optimiser.variables)}
        return named | {f"normaliser/{i}": variable for i, variable in enumerate(self.normaliser.variables)}

    def act(self, observation: tf.Tensor, mask: Any) -> tuple[tf.Tensor, ...]:
        """The parameters of the policy's distribution."""
        return self.head.parameters(self._distribution(self.normaliser(observation), mask))

    def _distribution(self, normalised: tf.Tensor, mask: Any) -> Any:
        keywords = {"mask": tf.convert_to_tensor(mask)} if self.task.masked else {}
        return self.actor(normalised, **keywords)[0]

    def policy(self, *, greedy: bool) -> AnyPolicy:
        """The current policy; it follows the weights as they change."""
        return learner.policy(self, greedy=greedy)

    def learn(self, batch: Trajectories, key: tf.Tensor, fraction: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """One step of Adam on all transitions of an iteration.

        Args:
            batch: T steps of N environments.
            key: not needed.
            fraction: how much of the training is done, float32 scalar.
        """
        del key
        settings = self.settings
        observation, mask = self.normaliser(flat(batch.observation)), flat(batch.mask)
        returns, before = self._returns(batch, observation)
        advantage = returns - before
        explained = 1.0 - tf.math.reduce_variance(advantage) / (tf.math.reduce_variance(returns) + 1e-12)
        if settings.advantage_normalisation:
            advantage = (advantage - tf.reduce_mean(advantage)) / (tf.math.reduce_std(advantage) + 1e-8)
        rate = value_at(settings.learning_rate, fraction)
        self.optimiser.learning_rate.assign(rate)
        count = tf.constant(float(settings.batch_size))
        # TF-Agents divides by the number of episodes; here each transition counts alike, whatever its episode's length.
        with tf.GradientTape() as tape:
            distribution = self._distribution(observation, mask)
            policy_loss = self.agent.policy_gradient_loss(
                distribution, flat(batch.action), tf.zeros_like(returns, tf.bool), advantage, count
            )
            value_loss = self.agent.value_estimation_loss(self.critic(observation)[0], returns, count)
            entropy = tf.reduce_mean(distribution.entropy())
            loss = policy_loss + value_loss - value_at(settings.entropy_coefficient, fraction) * entropy
        gradients = tape.gradient(loss, self._weights)
        norm = tf.linalg.global_norm(gradients)
        if settings.max_gradient_norm is not None:
            gradients, _ = tf.clip_by_global_norm(gradients, settings.max_gradient_norm, norm)
        self.optimiser.apply_gradients(zip(gradients, self._weights, strict=True))
        self.normaliser.update(flat(batch.observation))
        return policy_loss, value_loss / max(settings.value_coefficient, 1e-12), entropy, norm, explained, rate

    def _returns(self, batch: Trajectories, observation: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns, and the baseline's values before learning, float32 [T * N] each."""
        shape = batch.reward.shape
        value = tf.reshape(self.critic(observation)[0], shape)
        following = tf.reshape(self.critic(self.normaliser(flat(batch.final_observation)))[0], shape)
        ended = tf.logical_or(batch.terminated, batch.truncated)
        reward, discount = batch.reward * self.settings.reward_scale, self.settings.discount
        advantage = generalised_advantages(reward, value, following, batch.terminated, ended, discount, 1.0)
        return flat(advantage + value), flat(value)
