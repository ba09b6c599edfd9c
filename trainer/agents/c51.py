"""C51, deep Q-learning of whole distributions of returns, on TF-Agents' categorical DQN agent.

Bellemare, Dabney and Munos 2017, "A Distributional Perspective on Reinforcement Learning",
https://arxiv.org/abs/1707.06887.
"""

from typing import Any

import tensorflow as tf
from tf_agents.agents.categorical_dqn import categorical_dqn_agent
from tf_agents.trajectories import time_step, trajectory

from trainer.agents.actions import best


class KeyedCategoricalDqnAgent(categorical_dqn_agent.CategoricalDqnAgent):
    """TF-Agents' agent whose next actions are plain maxima of expected values, so that no random number is drawn.

    Its networks give logits float32 [B, n, atoms]; `_loss` is the cross entropy of the projected target (algorithm 1).

    Args:
        double: the online network chooses the next action, as in Rainbow (Hessel et al. 2018, section 3).
        **arguments: TF-Agents' own.
    """

    def __init__(self, *given: Any, double: bool, **arguments: Any) -> None:
        super().__init__(*given, **arguments)
        self._double = double

    def expected(self, logits: tf.Tensor) -> tf.Tensor:
        """The means of distributions, float32 [B, n], from logits float32 [B, n, atoms]."""
        return tf.reduce_sum(tf.nn.softmax(logits) * self._support, -1)

    def _next_q_distribution(self, next_time_steps: Any) -> tf.Tensor:
        """The target network's probabilities of the best allowed next action's returns, float32 [B, atoms]."""
        observation, mask = next_time_steps.observation, None
        if self._observation_and_action_constraint_splitter is not None:
            observation, mask = self._observation_and_action_constraint_splitter(observation)
        logits, _ = self._target_q_network(observation)
        judged = self.expected(self._q_network(observation)[0] if self._double else logits)
        return tf.gather(tf.nn.softmax(logits), best(judged, mask), axis=1, batch_dims=1)


def as_trajectory(transition: Any) -> Any:
    """A minibatch of transitions in the form that this agent's loss takes: two frames of a trajectory, [B, 2, ...].

    Args:
        transition: (time step, action step, next time step), each [B, ...].
    """
    present, action, following = transition

    def frames(one: Any, other: Any) -> Any:
        return tf.nest.map_structure(lambda *pair: tf.stack(pair, 1), one, other)

    kind = tf.fill(following.step_type.shape, time_step.StepType.MID)
    return trajectory.Trajectory(
        frames(kind, kind),
        frames(present.observation, following.observation),
        frames(action.action, action.action),
        (),
        frames(kind, kind),
        frames(following.reward, following.reward),
        frames(following.discount, following.discount),
    )
