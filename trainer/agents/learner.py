"""What every learner offers to rollouts, training, evaluation and export, whatever its algorithm."""

import dataclasses
from typing import Any, Protocol

import gymnasium
import tensorflow as tf

from envs.core import Entities, TensorEnv
from trainer.agents.actions import ActionHead
from trainer.agents.replay import Replay
from trainer.policy import Policy
from trainer.rollout.base import Recording, Trajectories


@dataclasses.dataclass(frozen=True)
class Task:
    """What a learner is told of the task.

    Attributes:
        observation_shape: of one observation.
        action_space: what it may do.
        masked: whether some actions are sometimes not allowed.
        env: the task's own functions, for learning from its noise law; None where there are none.
    """

    observation_shape: tuple[int, ...]
    action_space: gymnasium.spaces.Space[Any]
    masked: bool = False
    env: TensorEnv[Any] | None = None

    @property
    def mask_width(self) -> int:
        """How many actions a mask has; 0 where every action is always allowed."""
        space = self.action_space
        return int(space.n) if self.masked and isinstance(space, gymnasium.spaces.Discrete) else 0

    @property
    def entities(self) -> Entities | None:
        """How observations are made up of entities; None if they are not, or it is not known."""
        return self.env.entities() if self.env is not None else None


class Learner(Protocol):
    """Networks, optimisers and whatever else decides the future of a policy.

    All methods but `restart` can be traced into a graph compiled with XLA; what `learn` changes is in variables.
    """

    task: Task
    head: ActionHead
    recording: Recording
    signals: tuple[str, ...]
    """The names of what `learn` reports (`trainer.metrics.learned`)."""
    replay: Replay | None
    """Past transitions, for off-policy algorithms; not part of `state`."""

    @property
    def mask_width(self) -> int:
        """How many actions a mask has; 0 where every action is always allowed."""
        ...

    def restart(self, key: tf.Tensor) -> None:
        """Forget everything: first weights from the key."""
        ...

    def state(self) -> dict[str, tf.Variable]:
        """Every variable that decides the future but for the replay's rows, by a lasting name."""
        ...

    def act(self, observation: tf.Tensor, mask: Any) -> tuple[tf.Tensor, ...]:
        """The parameters of the policy's distribution (`head`), for observations float32 [B, ...] and masks or `()`."""
        ...

    def policy(self, *, greedy: bool) -> Policy:
        """The current policy; it follows the weights as they change."""
        ...

    def learn(self, batch: Trajectories, key: tf.Tensor, fraction: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """Improve by T steps of N environments; float32 scalars in the order of `signals`.

        Args:
            batch: what was collected by `act`.
            key: int32 [2], for all randomness.
            fraction: how much of the training is done, float32 scalar.
        """
        ...


def policy(learner: Learner, *, greedy: bool) -> Policy:
    """A learner's policy, made of its `act` and its head."""

    def choose(observation: Any, mask: Any | None, key: Any) -> Any:
        head, parameters = learner.head, learner.act(observation, () if mask is None else mask)
        if greedy:
            return head.to_env(head.mode(parameters))
        rows = observation.shape[0] if observation.shape[0] is not None else tf.shape(observation)[0]
        return head.to_env(head.sample(parameters, head.noise(key, [rows])))

    return choose
