"""Deep Q-learning on TF-Agents' DQN agents: double, dueling, distributional (C51), n-step, with masks."""

from typing import Any

import tensorflow as tf
from tf_agents.agents.dqn import dqn_agent
from tf_agents.trajectories import time_step
from tf_agents.utils import common

from trainer.agents import networks
from trainer.agents.actions import FORBIDDEN, EpsilonGreedy, best
from trainer.agents.c51 import KeyedCategoricalDqnAgent, as_trajectory
from trainer.agents.learner import Task
from trainer.agents.off_policy import OffPolicyLearner, experience
from trainer.agents.replay import Transitions
from trainer.config.off_policy import DQN


class KeyedDqnAgent(dqn_agent.DqnAgent):
    """TF-Agents' DQN agent whose next actions are plain maxima, so that no random number is drawn.

    Args:
        double: the online network chooses the next action (van Hasselt et al. 2016), not the target network.
        **arguments: TF-Agents' own.
    """

    def __init__(self, *given: Any, double: bool, **arguments: Any) -> None:
        super().__init__(*given, **arguments)
        self._double = double

    values: tf.Tensor
    """What the online network gave to the last minibatch, float32 [B, n]."""

    def _compute_q_values(self, time_steps: Any, actions: Any, training: bool = False) -> tf.Tensor:
        """The online network's values of the stored actions, float32 [B]."""
        observation = time_steps.observation
        if self._observation_and_action_constraint_splitter is not None:
            observation, _ = self._observation_and_action_constraint_splitter(observation)
        self.values, _ = self._q_network(observation, training=training)
        return tf.gather(self.values, actions, axis=1, batch_dims=1)

    def _compute_next_q_values(self, next_time_steps: Any, info: Any) -> tf.Tensor:
        """The target network's value of the best allowed next action, float32 [B]."""
        del info
        observation, mask = next_time_steps.observation, None
        if self._observation_and_action_constraint_splitter is not None:
            observation, mask = self._observation_and_action_constraint_splitter(observation)
        values, _ = self._target_q_network(observation)
        judged = self._q_network(observation)[0] if self._double else values
        return tf.gather(values, best(judged, mask), axis=1, batch_dims=1)


class DQNLearner(OffPolicyLearner):
    """The online and the target network, and how minibatches change them."""

    name_ = "dqn"
    own_signals = ("value_loss", "q_value_mean", "exploration")

    def __init__(self, task: Task, settings: DQN, key: tf.Tensor) -> None:
        self.settings, self.exploration = settings, settings.exploration
        super().__init__(task, settings, key, EpsilonGreedy(task.action_space))

    def _build(self) -> None:
        task = self.task
        spec: Any = tf.TensorSpec(task.observation_shape, tf.float32, "observation")
        self.network, self.target = (self._network(spec, name) for name in ("QValues", "TargetQValues"))
        for network in (self.network, self.target):
            network.create_variables()
        self._weights = list(self.network.trainable_weights)
        self._optimise = self._optimiser(self._weights)
        self._targets = list(zip(self.target.trainable_weights, self._weights, strict=True))
        if task.masked:
            spec = (spec, tf.TensorSpec([task.mask_width], tf.bool, "mask"))
        self.agent = self._agent(time_step.time_step_spec(spec))

    def _network(self, spec: Any, name: str) -> networks.QValues:
        settings, distributional = self.settings.networks, self.settings.distributional
        if distributional is None:
            return networks.QValues(spec, self.head.spec, settings, name)
        return networks.QDistributions(spec, self.head.spec, settings, name, distributional.atoms)

    def _agent(self, spec: Any) -> KeyedDqnAgent | KeyedCategoricalDqnAgent:
        shared: dict[str, Any] = {
            "double": self.settings.double,
            "optimizer": None,
            "observation_and_action_constraint_splitter": _split if self.task.masked else None,
            "epsilon_greedy": None,
            "boltzmann_temperature": 1.0,  # one of the two must be given; the agent's own policies are never asked
            "gamma": 1.0,
            "train_step_counter": self._agent_step,
        }
        distributional = self.settings.distributional
        if distributional is None:
            return KeyedDqnAgent(
                spec,
                self.head.spec,
                q_network=self.network,
                target_q_network=self.target,
                td_errors_loss_fn=common.element_wise_huber_loss,
                **shared,
            )
        return KeyedCategoricalDqnAgent(
            spec,
            self.head.spec,
            categorical_q_network=self.network,
            target_categorical_q_network=self.target,
            min_q_value=distributional.least_value,
            max_q_value=distributional.greatest_value,
            **shared,
        )

    def _initialise(self, key: tf.Tensor) -> None:
        networks.set_orthogonal(self.network, key, gain=1.0, heads=2 if self.settings.networks.dueling else 1)

    def act(self, observation: tf.Tensor, mask: Any) -> tuple[tf.Tensor, ...]:
        """Values float32 [B, n], `FORBIDDEN` where the mask is false, and the chance of exploring, float32 [B]."""
        values = self.values(self.normaliser(observation))
        if self.task.masked:
            values = tf.where(tf.convert_to_tensor(mask), values, FORBIDDEN)
        return values, tf.fill([tf.shape(values)[0]], self._explores.read_value())

    def values(self, observation: tf.Tensor) -> tf.Tensor:
        """The online network's values of all actions, float32 [B, n], of normalised observations."""
        given, _ = self.network(observation)
        return self.agent.expected(given) if isinstance(self.agent, KeyedCategoricalDqnAgent) else given

    def gradient_step(self, batch: Transitions, key: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """One step of Adam on the temporal difference: its Huber loss, or the cross entropy of distributions."""
        del key
        seen = (batch.observation, batch.next_observation)
        if self.task.masked:
            seen = ((batch.observation, batch.mask), (batch.next_observation, batch.next_mask))
        steps = experience(batch, *seen)
        if self.settings.distributional is not None:
            steps = as_trajectory(steps)
        with tf.GradientTape() as tape:
            loss = self.agent._loss(steps, common.element_wise_huber_loss, training=True)
        norm = self._apply(self._optimise, tape.gradient(loss.loss, self._weights), self._weights)
        self._move_targets(every=self.settings.target_update_gradient_steps)
        values = self.agent.values if isinstance(self.agent, KeyedDqnAgent) else self.values(batch.observation)
        mean = tf.reduce_mean(tf.reduce_max(values, -1))
        return loss.loss, mean, self._explores.read_value(), norm


def _split(pair: Any) -> tuple[Any, Any]:
    return pair[0], pair[1]
