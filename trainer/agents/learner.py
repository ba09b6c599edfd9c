"""What every learner offers to rollouts, training, evaluation and export, whatever its algorithm."""

import dataclasses
from collections.abc import Callable
from typing import Any, Protocol

import gymnasium
import tensorflow as tf

from envs.core import Entities, TensorEnv
from trainer.agents.actions import ActionHead, answer
from trainer.agents.replay import Replay
from trainer.policy import AnyPolicy, Memory, RecurrentPolicy
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
    memory_widths: tuple[int, ...]
    """Widths of what the policy remembers of an episode (`trainer.policy`); empty if it does not."""

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

    @property
    def act(self) -> Callable[..., tuple[tf.Tensor, ...]]:
        """(observations float32 [B, ...], masks or `()`, *memory) -> (*parameters of the distribution, *memory).

        The parameters are the `head`'s. Learners whose policy remembers nothing take and give no memory;
        `trainer.agents.actions.answer` takes the two apart.
        """
        ...

    def policy(self, *, greedy: bool) -> AnyPolicy:
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


def policy(learner: Learner, *, greedy: bool) -> AnyPolicy:
    """A learner's policy, made of its `act` and its head."""

    def step(observation: Any, mask: Any | None, key: Any, memory: Memory) -> tuple[Any, Memory]:
        head = learner.head
        parameters, after = answer(head, learner.act(observation, () if mask is None else mask, *memory))
        if greedy:
            return head.to_env(head.mode(parameters)), after
        rows = observation.shape[0] if observation.shape[0] is not None else tf.shape(observation)[0]
        return head.to_env(head.sample(parameters, head.noise(key, [rows]))), after

    def choose(observation: Any, mask: Any | None, key: Any) -> Any:
        return step(observation, mask, key, ())[0]

    return RecurrentPolicy(step, learner.memory_widths) if learner.memory_widths else choose
