"""What every trained agent offers: functions from observations to actions, with or without memory.

A **memory** is a tuple of tensors, float32 [B, width] each: what a recurrent policy knows of each row's episode so far.
It is zero at an episode's start, and empty for policies that act on the present observation alone.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import tensorflow as tf

Memory = tuple[tf.Tensor, ...]


class Policy(Protocol):
    """A policy without memory that can be traced into a graph: pure but for the weights that it reads."""

    def __call__(self, observation: Any, mask: Any | None, key: Any) -> Any:
        """Choose actions.

        Args:
            observation: float32 [B, ...], as the environment gives it (any normalisation is the policy's own).
            mask: bool [B, n], the allowed actions; None if all are.
            key: int32 [2] (`envs.seeding`); a greedy policy ignores it.

        Returns:
            int32 [B] for discrete actions, float32 [B, ...] inside the action space for continuous ones.
        """
        ...


@dataclasses.dataclass(frozen=True)
class RecurrentPolicy:
    """A policy with memory, in place of a function without; `ask` serves both.

    Attributes:
        step: takes what the function takes, and then the memory; gives the actions and the memory for the next step.
        memory_widths: of the memory's tensors.
    """

    step: Callable[..., tuple[Any, Memory]]
    memory_widths: tuple[int, ...]


AnyPolicy = Policy | RecurrentPolicy


def nothing(widths: Sequence[int], rows: int) -> Memory:
    """The memory at the start of episodes: zeros, float32 [rows, width] each."""
    return tuple(tf.zeros([rows, width]) for width in widths)


def begin(policy: Any, rows: int) -> Memory:
    """The memory of a policy, of whichever kind, at the start of episodes."""
    return nothing(policy.memory_widths, rows) if isinstance(policy, RecurrentPolicy) else ()


def ask(policy: Any, memory: Memory, *given: Any) -> tuple[Any, Memory]:
    """The actions of a policy, of whichever kind, and its memory for the next step.

    Args:
        policy: a function, or a `RecurrentPolicy` in its place.
        memory: as `begin` or `ask` gave it.
        given: what the function takes.
    """
    return policy.step(*given, memory) if isinstance(policy, RecurrentPolicy) else (policy(*given), ())


def forget(memory: Memory, done: Any) -> Memory:
    """The memory with zeros on the rows whose episode has ended.

    Args:
        memory: [B, width] each.
        done: bool [B].
    """
    return tuple(tf.where(done[:, None], 0.0, part) for part in memory)
