"""Twin delayed deep deterministic policy gradient on TF-Agents' TD3 agent, with randomness from keys."""

from typing import Any

import tensorflow as tf
from tf_agents.agents.ddpg import actor_network
from tf_agents.agents.td3 import td3_agent
from tf_agents.trajectories import time_step

from envs import seeding
from trainer.agents import networks
from trainer.agents.actions import NoisyAction
from trainer.agents.learner import Task
from trainer.agents.off_policy import OffPolicyLearner, experience
from trainer.agents.replay import Transitions
from trainer.config.off_policy import TD3


class KeyedTd3Agent(td3_agent.Td3Agent):
    """TF-Agents' TD3 agent whose critics' loss takes its noise from outside, and whose next actions stay in bounds."""

    noise: tf.Tensor
    values: tf.Tensor
    """What the first critic gave to the last minibatch, float32 [B]."""

    def critic_loss(
        self, time_steps: Any, actions: Any, next_time_steps: Any, weights: Any = None, training: bool = False
    ) -> tf.Tensor:
        """Mean over the batch of both critics' squared errors, scalar (Fujimoto et al. 2018, algorithm 1).

        `noise` holds standard normal numbers, float32 [B, ...]. The next action is clipped to [-1, 1], as in the
        authors' program; TF-Agents does not clip it.
        """
        del weights
        observation = next_time_steps.observation
        action, _ = self._target_actor_network(observation)
        limit = self._target_policy_noise_clip
        spread = tf.clip_by_value(self._target_policy_noise * self.noise, -limit, limit)
        following = (observation, tf.clip_by_value(action + spread, -1.0, 1.0))
        least = tf.minimum(self._target_critic_network_1(following)[0], self._target_critic_network_2(following)[0])
        target = tf.stop_gradient(next_time_steps.reward + next_time_steps.discount * least)
        present = (time_steps.observation, actions)
        found = [critic(present, training=training)[0] for critic in (self._critic_network_1, self._critic_network_2)]
        self.values = found[0]
        return tf.add_n([tf.reduce_mean(self._td_errors_loss_fn(target, each)) for each in found])


class TD3Learner(OffPolicyLearner):
    """The policy and two critics, each with its target."""

    name_ = "td3"
    own_signals = ("policy_loss", "value_loss", "q_value_mean", "exploration")

    def __init__(self, task: Task, settings: TD3, key: tf.Tensor) -> None:
        self.settings, self.exploration = settings, settings.exploration
        super().__init__(task, settings, key, NoisyAction(task.action_space))

    def _build(self) -> None:
        settings, action_spec = self.settings, self.head.spec
        spec = tf.TensorSpec(self.task.observation_shape, tf.float32, "observation")
        self.actor, self.target_actor = (
            actor_network.ActorNetwork(
                spec, action_spec, fc_layer_params=settings.networks.actor, activation_fn=settings.networks.activation
            )
            for _ in range(2)
        )
        for network in (self.actor, self.target_actor):
            network.create_variables()
        self.critics = networks.critics(spec, action_spec, settings.networks, 4)
        first, second, first_target, second_target = self.critics
        self.agent = KeyedTd3Agent(
            time_step.time_step_spec(spec),
            action_spec,
            actor_network=self.actor,
            target_actor_network=self.target_actor,
            critic_network=first,
            critic_network_2=second,
            target_critic_network=first_target,
            target_critic_network_2=second_target,
            actor_optimizer=None,
            critic_optimizer=None,
            td_errors_loss_fn=tf.math.squared_difference,
            gamma=1.0,
            target_policy_noise=settings.target_noise,
            target_policy_noise_clip=settings.target_noise_limit,
            train_step_counter=self._agent_step,
        )
        self._policy_loss = tf.Variable(0.0, trainable=False, name="policy_loss")
        self._parts = [list(self.actor.trainable_weights), [*first.trainable_weights, *second.trainable_weights]]
        self._steps = [self._optimiser(weights) for weights in self._parts]
        self._targets = networks.pairs((self.target_actor, self.actor), (first_target, first), (second_target, second))

    def _initialise(self, key: tf.Tensor) -> None:
        networks.set_orthogonal(self.actor, seeding.fold(key, 0), gain=networks.POLICY_GAIN)
        for number, critic in enumerate(self.critics[:2], start=1):
            networks.set_orthogonal(critic, seeding.fold(key, number), gain=networks.VALUE_GAIN)

    def state(self) -> dict[str, tf.Variable]:
        """Every variable that decides the future but for the replay's rows; the last policy loss is for reports."""
        return super().state() | {"policy_loss": self._policy_loss}

    def act(self, observation: tf.Tensor, mask: Any) -> tuple[tf.Tensor, ...]:
        """Actions float32 [B, ...] in [-1, 1], and the deviation of the noise that explores, float32 [B]."""
        del mask
        action, _ = self.actor(self.normaliser(observation))
        return action, tf.fill([tf.shape(action)[0]], self._explores.read_value())

    def gradient_step(self, batch: Transitions, key: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """One step of Adam of the critics; every `policy_delay` of them, one of the policy, and the targets move."""
        steps, agent = experience(batch, batch.observation, batch.next_observation), self.agent
        actor, critics = self._parts
        agent.noise = self.head.noise(key, [batch.reward.shape[0]])
        with tf.GradientTape() as tape:
            value_loss = agent.critic_loss(
                steps.time_step, steps.action_step.action, steps.next_time_step, training=True
            )
        mean = tf.reduce_mean(agent.values)
        norm = self._apply(self._steps[1], tape.gradient(value_loss, critics), critics)

        def improve() -> tf.Tensor:
            with tf.GradientTape() as tape:
                loss = agent.actor_loss(steps.time_step, training=True)
            self._apply(self._steps[0], tape.gradient(loss, actor), actor)
            self._move_targets()
            return loss

        due = self._made % self.settings.policy_delay == 0
        self._policy_loss.assign(tf.cond(due, improve, self._policy_loss.read_value))
        # Two critics' squared errors are summed in the loss; the metric is of one.
        return self._policy_loss.read_value(), value_loss / 2.0, mean, self._explores.read_value(), norm
