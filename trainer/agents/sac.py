"""Soft actor-critic on TF-Agents' SAC agent, with randomness from keys."""

import math
from typing import Any

import tensorflow as tf
from tf_agents.agents.sac import sac_agent, tanh_normal_projection_network
from tf_agents.trajectories import time_step

from envs import seeding
from trainer.agents import networks
from trainer.agents.actions import SquashedNormal
from trainer.agents.learner import Task
from trainer.agents.off_policy import OffPolicyLearner, experience
from trainer.agents.replay import Transitions
from trainer.config.off_policy import SAC

NEXT, PRESENT = range(2)
"""What a gradient step's key is folded with."""


class KeyedSacAgent(sac_agent.SacAgent):
    """TF-Agents' SAC agent; its actions are made of the `noise` that is set before each of its losses.

    Where that is None, the actions are those of the loss before: the temperature's loss takes the policy's, so that
    the policy is not computed a third time.
    """

    head: SquashedNormal
    noise: tf.Tensor | None
    drawn: tuple[tf.Tensor, tf.Tensor]

    def _actions_and_log_probs(self, time_steps: Any, training: bool = False) -> tuple[tf.Tensor, tf.Tensor]:
        """Actions in (-1, 1) and their log densities, float32 [B]."""
        if self.noise is not None:
            parameters = self.parameters(time_steps.observation, training=training)
            self.drawn = self.head.sample_with_log_probability(parameters, self.noise)
        return self.drawn

    def parameters(self, observation: tf.Tensor, *, training: bool = False) -> tuple[tf.Tensor, tf.Tensor]:
        """Mean and deviation before tanh, float32 [B, ...], of normalised observations."""
        distribution = self._actor_network(observation, training=training)[0].input_distribution
        return distribution.mean(), distribution.stddev()


class SACLearner(OffPolicyLearner):
    """The policy, two critics with their targets, and the temperature."""

    name_ = "sac"
    own_signals = ("policy_loss", "value_loss", "q_value_mean", "policy_entropy", "temperature")

    def __init__(self, task: Task, settings: SAC, key: tf.Tensor) -> None:
        self.settings = settings
        self._squashed = SquashedNormal(task.action_space)
        super().__init__(task, settings, key, self._squashed)

    def _build(self) -> None:
        settings, action_spec = self.settings, self.head.spec
        spec = tf.TensorSpec(self.task.observation_shape, tf.float32, "observation")
        projection = tanh_normal_projection_network.TanhNormalProjectionNetwork(
            action_spec, std_transform=sac_agent.std_clip_transform
        )
        self.actor = networks.actor(spec, settings.networks.actor, settings.networks.activation, projection)
        self.critics = networks.critics(spec, action_spec, settings.networks, 4)
        first, second, first_target, second_target = self.critics
        wished = settings.target_entropy_nats
        self.agent = KeyedSacAgent(
            time_step.time_step_spec(spec),
            action_spec,
            critic_network=first,
            critic_network_2=second,
            target_critic_network=first_target,
            target_critic_network_2=second_target,
            actor_network=self.actor,
            actor_optimizer=None,
            critic_optimizer=None,
            alpha_optimizer=None,
            gamma=1.0,
            initial_log_alpha=math.log(settings.initial_temperature),
            target_entropy=-float(self.head.packed_width) if wished is None else wished,
            train_step_counter=self._agent_step,
        )
        self.agent.head = self._squashed
        self._log_temperature = self.agent._log_alpha
        self._parts = [
            list(self.actor.trainable_weights),
            [*first.trainable_weights, *second.trainable_weights],
            [self._log_temperature],
        ]
        self._steps = [self._optimiser(weights) for weights in self._parts]
        self._targets = networks.pairs((first_target, first), (second_target, second))

    def _initialise(self, key: tf.Tensor) -> None:
        networks.set_orthogonal(self.actor, seeding.fold(key, 0), gain=networks.POLICY_GAIN)
        for number, critic in enumerate(self.critics[:2], start=1):
            networks.set_orthogonal(critic, seeding.fold(key, number), gain=networks.VALUE_GAIN)
        self._log_temperature.assign(math.log(self.settings.initial_temperature))

    def act(self, observation: tf.Tensor, mask: Any) -> tuple[tf.Tensor, ...]:
        """Mean and deviation before tanh, float32 [B, ...] each."""
        del mask
        return self.agent.parameters(self.normaliser(observation))

    def gradient_step(self, batch: Transitions, key: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """One step of Adam of the critics, then of the policy, then of the temperature; then the targets move."""
        steps, agent = experience(batch, batch.observation, batch.next_observation), self.agent
        actor, critics, temperature = self._parts

        def draw(purpose: int) -> None:
            agent.noise = self.head.noise(seeding.fold(key, purpose), [batch.reward.shape[0]])

        found: list[tf.Tensor] = []

        def errors(target: tf.Tensor, value: tf.Tensor) -> tf.Tensor:
            found.append(value)
            return tf.math.squared_difference(target, value)

        draw(NEXT)
        with tf.GradientTape() as tape:
            value_loss = agent.critic_loss(
                steps.time_step,
                steps.action_step.action,
                steps.next_time_step,
                td_errors_loss_fn=errors,
                training=True,
            )
        norm = self._apply(self._steps[1], tape.gradient(value_loss, critics), critics)
        draw(PRESENT)
        with tf.GradientTape() as tape:
            policy_loss = agent.actor_loss(steps.time_step, training=True)
        entropy = -tf.reduce_mean(agent.drawn[1])
        self._apply(self._steps[0], tape.gradient(policy_loss, actor), actor)
        agent.noise = None
        with tf.GradientTape() as tape:
            loss = agent.alpha_loss(steps.time_step, training=True)
        self._apply(self._steps[2], tape.gradient(loss, temperature), temperature)
        self._move_targets()
        # Two critics' squared errors are summed in the loss; the metric is of one.
        return policy_loss, value_loss / 2.0, tf.reduce_mean(found[0]), entropy, tf.exp(self._log_temperature), norm
