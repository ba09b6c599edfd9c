"""What every source of experience yields."""

import dataclasses
from typing import Any, NamedTuple

import tensorflow as tf

from trainer.policy import Memory


@dataclasses.dataclass(frozen=True)
class Recording:
    """What trajectories hold beyond what all do.

    Attributes:
        states: the task's own states.
        final_masks: the masks of the states that steps led to, where the task has masks.
        noise_group: environments in a group that meets the same noise; None: each has its own.
        best_of: episodes in a group that begins in the same state, of which only the best is recorded, whole; None:
            all environments are recorded, and go on from one iteration to the next.
    """

    states: bool = False
    final_masks: bool = False
    noise_group: int | None = None
    best_of: int | None = None


class Trajectories(NamedTuple):
    """T steps of N environments, time first.

    `final_observation[t]` is the observation that step t led to, before any reset. `behaviour` are the parameters of
    the distribution that each action was drawn from. `mask` is `()` where every action is always allowed. `state` is
    the task's own state before each step, and `final_mask[t]` the mask of the state that step t led to, before any
    reset; `()` where the learner has no use for them. `memory` is what the policy remembered before the first step
    (`trainer.policy`), empty if it does not.
    """

    observation: tf.Tensor  # float32 [T, N, ...]
    mask: Any  # bool [T, N, n] or ()
    action: tf.Tensor  # int32 [T, N], or float32 [T, N, ...] as the policy drew it
    behaviour: tuple[tf.Tensor, ...]  # [T, N, ...] each
    reward: tf.Tensor  # float32 [T, N]
    terminated: tf.Tensor  # bool [T, N]
    truncated: tf.Tensor  # bool [T, N]
    final_observation: tf.Tensor  # float32 [T, N, ...]
    state: Any  # a nest of [T, N, ...], or ()
    final_mask: Any = ()  # bool [T, N, n], or ()
    memory: Memory = ()  # float32 [N, width] each


class EpisodeSums(NamedTuple):
    """Sums over the episodes that ended in a rollout."""

    count: tf.Tensor  # float32 scalar
    returns: tf.Tensor  # float32 scalar
    steps: tf.Tensor  # float32 scalar
    scores: tf.Tensor  # float32 scalar, before the score's sign; the returns, unless the task counts otherwise


def flat(nest: Any) -> Any:
    """[T, N, ...] to [T * N, ...]."""
    return tf.nest.map_structure(lambda x: tf.reshape(x, [x.shape[0] * x.shape[1], *x.shape[2:]]), nest)
