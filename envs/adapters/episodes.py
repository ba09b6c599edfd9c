"""Episodes from keys: everything random about an episode, drawn beforehand.

An episode is a function of its key and of the actions: its first state, all its noise and the key of the episode after
it follow from the key. So an environment of n rows gives the same bits as n environments of one row.
"""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from envs import core, seeding
from envs.core import Noise, State, TensorEnv

FIRST_STATE, NOISE, NEXT_EPISODE = range(3)
"""What a key is folded with."""


class Drawn(NamedTuple):
    """The randomness of one episode of each of n rows, as NumPy arrays."""

    state: State  # [n, ...], first states
    noise: Noise  # [n, max_episode_steps, ...]
    next_keys: npt.NDArray[np.int32]  # [n, 2], of the episodes after these

    def noise_at(self, steps: npt.NDArray[np.int32]) -> Noise:
        """Each row's noise at its own step, [n, ...]."""
        rows = np.arange(len(steps))
        return tf.nest.map_structure(lambda array: array[rows, steps], self.noise)

    def replace(self, rows: npt.NDArray[np.intp], other: "Drawn") -> None:
        """Writes another draw into some rows."""
        for mine, its in zip(tf.nest.flatten(self), tf.nest.flatten(other), strict=True):
            mine[rows] = its


class CompiledStep:
    """`core.proceed` of a task, compiled. A row gives the same bits in a batch of any size.

    XLA makes another program, which may round otherwise, of a batch of one than of larger ones: a lone row is stepped
    together with a copy of itself.
    """

    def __init__(self, env: TensorEnv[Any]) -> None:
        self._proceed = tf.function(lambda *arguments: core.proceed(env, *arguments), jit_compile=True, autograph=False)

    def __call__(
        self, episode: core.Episode, action: npt.NDArray[Any], noise: Noise
    ) -> tuple[core.Episode, core.Outcome]:
        """One step of n rows."""
        if len(action) > 1:
            stepped: tuple[core.Episode, core.Outcome] = self._proceed(episode, action, noise)
            return stepped
        twice = tf.nest.map_structure(lambda array: np.repeat(array, 2, 0), (episode, action, noise))
        once: tuple[core.Episode, core.Outcome] = tf.nest.map_structure(lambda rows: rows[:1], self._proceed(*twice))
        return once


class Episodes:
    """Draws a task's episodes. One row's draw does not depend on the others'."""

    def __init__(self, env: TensorEnv[Any]) -> None:
        self._env = env
        self._draw = tf.function(self._draw_rows, input_signature=[tf.TensorSpec([None, 2], tf.int32)], autograph=False)

    def draw(self, keys: npt.NDArray[np.int32]) -> Drawn:
        """The episodes of keys, int32 [n, 2]."""
        drawn: Drawn = tf.nest.map_structure(lambda tensor: np.array(tensor), self._draw(keys))
        return drawn

    def _draw_rows(self, keys: tf.Tensor) -> Drawn:
        env = self._env

        def one(key: tf.Tensor) -> Drawn:
            state = env.reset(seeding.fold(key, FIRST_STATE), 1)
            noise = env.noise(seeding.fold(key, NOISE), env.max_episode_steps)
            return Drawn(tf.nest.map_structure(lambda tensor: tensor[0], state), noise, seeding.fold(key, NEXT_EPISODE))

        signature = tf.nest.map_structure(
            lambda tensor: tf.TensorSpec(tensor.shape, tensor.dtype), one(tf.zeros([2], tf.int32))
        )
        return tf.map_fn(one, keys, fn_output_signature=signature)


def functions(env: TensorEnv[Any]) -> tuple[Episodes, CompiledStep]:
    """A task's compiled functions, the same ones for all environments with the same type and parameters.

    Everything that a task holds follows from its parameters (`TensorEnv`), so nothing is shared but the compilation.
    """
    return _functions(type(env), env.params)


@functools.lru_cache(maxsize=32)
def _functions(env_type: type[TensorEnv[Any]], params: Any) -> tuple[Episodes, CompiledStep]:
    env = env_type(params)
    return Episodes(env), CompiledStep(env)


def keys_of(seeds: Sequence[int]) -> npt.NDArray[np.int32]:
    """The keys of integer seeds, int32 [n, 2] (`envs.seeding`: from 2**30 on, seeds are held out from training).

    Raises:
        ValueError: if a seed is out of range, or if the seeds are not all of one split.
    """
    for seed in seeds:
        if not 0 <= seed < 2 * seeding.SEEDS_PER_SPLIT:
            raise ValueError(f"seed is {seed}; allowed are 0 to {2 * seeding.SEEDS_PER_SPLIT - 1}")
    if len({seeding.split_of(seed) for seed in seeds}) > 1:
        raise ValueError(
            f"seeds {min(seeds)} to {max(seeds)} mix training (below {seeding.SEEDS_PER_SPLIT}) and held-out ones"
        )
    return np.array([[seed, 0] for seed in seeds], np.int32)
