"""A replay of past transitions: a ring of variables, written and sampled inside a compiled graph."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from envs import seeding
from trainer.agents.actions import ActionHead
from trainer.rollout.base import Trajectories

SLOT, ROW = range(2)
"""What a sample's key is folded with."""


class Transitions(NamedTuple):
    """B transitions of n steps, or fewer where an episode ended before.

    `reward` is the discounted sum of the steps' rewards. `discount` is the worth of the value of `next_observation`:
    `discount ** steps`, and 0 where the episode terminated. A time limit does not make it 0.
    """

    observation: tf.Tensor  # float32 [B, ...], as the environment gave it
    mask: Any  # bool [B, n], or ()
    action: tf.Tensor
    reward: tf.Tensor  # float32 [B]
    discount: tf.Tensor  # float32 [B]
    next_observation: tf.Tensor  # float32 [B, ...]
    next_mask: Any  # bool [B, n], or ()


class _Step(NamedTuple):
    """One step of B rows, unpacked."""

    observation: tf.Tensor
    next_observation: tf.Tensor
    action: tf.Tensor
    reward: tf.Tensor
    terminated: tf.Tensor
    done: tf.Tensor
    mask: tf.Tensor
    next_mask: tf.Tensor


class Replay(tf.Module):
    """The last S steps of N environments.

    A **slot** holds one step of all environments, so that successive slots are successive steps, and returns of n steps
    are summed when a sample is drawn. Slots are numbered from the start of the training: number k lies at k mod S.

    Args:
        slots: S.
        num_envs: N.
        head: the action space's.
        observation_shape: of one observation.
        mask_width: how many actions a mask has; 0 without masks.
        n_step: the most steps of a transition.
    """

    def __init__(
        self,
        slots: int,
        num_envs: int,
        head: ActionHead,
        observation_shape: tuple[int, ...],
        mask_width: int,
        n_step: int,
    ) -> None:
        super().__init__(name="replay")
        self.slots, self.num_envs = slots, num_envs
        self._head, self._shape, self._mask_width, self._n_step = head, observation_shape, mask_width, n_step
        size = int(np.prod(observation_shape, dtype=np.int64))
        self._widths = [size, size, head.packed_width, 3, mask_width, mask_width]
        self.rows = tf.Variable(tf.zeros([slots, num_envs, sum(self._widths)]), trainable=False, name="rows")
        self.written = tf.Variable(0, trainable=False, dtype=tf.int32, name="written")
        """Slots that were ever written."""

    def restart(self) -> None:
        """Forget everything."""
        self.rows.assign(tf.zeros_like(self.rows))
        self.written.assign(0)

    def add(self, batch: Trajectories) -> None:
        """Append T steps, T <= S; the oldest make room. Masked tasks' batches have masks and final masks."""
        steps = batch.reward.shape[0]
        done = tf.logical_or(batch.terminated, batch.truncated)
        scalars = [batch.reward, tf.cast(batch.terminated, tf.float32), tf.cast(done, tf.float32)]
        parts = [batch.observation, batch.final_observation, batch.action, tf.stack(scalars, -1)]
        parts += [batch.mask, batch.final_mask] if self._mask_width else []
        packed = tf.concat([tf.reshape(tf.cast(x, tf.float32), [steps, self.num_envs, -1]) for x in parts], -1)
        places = (self.written + tf.range(steps)) % self.slots
        self.rows.scatter_nd_update(places[:, None], packed)
        self.written.assign_add(steps)

    def transitions(self) -> tf.Tensor:
        """How many transitions it holds, int32 scalar."""
        return tf.minimum(self.written, self.slots) * self.num_envs

    def can_sample(self) -> tf.Tensor:
        """Whether it holds enough steps for one transition, bool scalar."""
        return self.written >= self._n_step

    def sample(self, key: tf.Tensor, count: int, discount: float) -> Transitions:
        """Transitions drawn uniformly, with replacement, from all whose n steps are there.

        Args:
            key: int32 [2].
            count: B.
            discount: worth of a reward one step later.
        """
        oldest = tf.maximum(self.written - self.slots, 0)
        first = oldest + _below(key, SLOT, count, self.written - oldest - (self._n_step - 1))
        row = _below(key, ROW, count, tf.constant(self.num_envs))
        begin = self._step(first, row)
        reward, worth, terminated = begin.reward, tf.fill([count], discount), begin.terminated
        next_observation, next_mask = begin.next_observation, begin.next_mask
        goes_on = tf.logical_not(begin.done)
        for number in range(1, self._n_step):
            step = self._step(first + number, row)
            reward += tf.where(goes_on, worth * step.reward, 0.0)
            worth = tf.where(goes_on, worth * discount, worth)
            terminated = tf.logical_or(terminated, tf.logical_and(goes_on, step.terminated))
            next_observation = _where(goes_on, step.next_observation, next_observation)
            next_mask = _where(goes_on, step.next_mask, next_mask)
            goes_on = tf.logical_and(goes_on, tf.logical_not(step.done))
        masked = self._mask_width > 0
        return Transitions(
            begin.observation,
            begin.mask if masked else (),
            begin.action,
            reward,
            tf.where(terminated, 0.0, worth),
            next_observation,
            next_mask if masked else (),
        )

    def _step(self, slot: tf.Tensor, row: tf.Tensor) -> _Step:
        every = tf.reshape(self.rows.read_value(), [self.slots * self.num_envs, sum(self._widths)])
        rows = tf.gather(every, slot % self.slots * self.num_envs + row)
        observation, following, action, scalars, mask, next_mask = tf.split(rows, self._widths, 1)
        shape = [-1, *self._shape]
        return _Step(
            tf.reshape(observation, shape),
            tf.reshape(following, shape),
            self._head.unpack(action),
            scalars[:, 0],
            scalars[:, 1] > 0.5,
            scalars[:, 2] > 0.5,
            mask > 0.5,
            next_mask > 0.5,
        )

    def held(self) -> tuple[int, int]:
        """The numbers of the first slot that is there and of the one after the last."""
        written = int(self.written.numpy())
        return max(written - self.slots, 0), written

    def read(self) -> Callable[[int, int], npt.NDArray[np.float32]]:
        """A function from slot numbers [start, stop) to their rows, float32 [stop - start, N, width]."""
        rows = self.rows.numpy()
        return lambda start, stop: rows[np.arange(start, stop) % self.slots]

    def put(self, start: int, rows: npt.NDArray[np.float32]) -> None:
        """Put back what `read` gave for the slots from `start` on; others become empty."""
        whole = np.zeros(self.rows.shape, np.float32)
        whole[np.arange(start, start + len(rows)) % self.slots] = rows
        self.rows.assign(whole)


def _below(key: tf.Tensor, purpose: int, count: int, limit: tf.Tensor) -> tf.Tensor:
    """Uniform int32 [count] from 0 to limit - 1; the bias of the division is below limit / 2**32."""
    return tf.random.stateless_uniform([count], seeding.fold(key, purpose), 0, limit, tf.int32, alg="philox")


def _where(condition: tf.Tensor, one: tf.Tensor, other: tf.Tensor) -> tf.Tensor:
    return tf.where(tf.reshape(condition, [-1] + [1] * (len(one.shape) - 1)), one, other)
