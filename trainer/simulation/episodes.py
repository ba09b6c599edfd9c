"""Whole episodes of a tensor environment, compiled: the same bits that the task's Gymnasium environment gives."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from envs import core, seeding
from envs.adapters.episodes import functions, keys_of
from envs.core import TensorEnv
from trainer.evaluation.episodes import AnyAct
from trainer.policy import ask
from trainer.policy import begin as begin_memory

MOST_NUMBERS = 1 << 23
"""How many recorded numbers are held at once; decides how many episodes run side by side."""
MOST_ROWS = 1024


class Chunk(NamedTuple):
    """Some whole episodes, in the order of their seeds; E of them, with T steps at most.

    Steps after an episode's end hold nothing of meaning.
    """

    seeds: Sequence[int]  # E
    lengths: npt.NDArray[np.int64]  # [E], steps of each episode
    observation: npt.NDArray[np.float32]  # [E, T, ...], what the policy saw
    action: npt.NDArray[Any]  # [E, T, ...], as the environment took it
    reward: npt.NDArray[np.float32]  # [E, T]
    score: npt.NDArray[np.float32]  # [E, T], what each step adds to the score, before its sign (`core.gain`)
    terminated: npt.NDArray[np.bool_]  # [E, T]
    truncated: npt.NDArray[np.bool_]  # [E, T]
    final_observation: npt.NDArray[np.float32]  # [E, ...], after the last step
    mask: npt.NDArray[np.bool_] | None  # [E, T, n]; None if every action is always allowed


class Recorder:
    """Plays episodes of a policy on a task and records them.

    An episode with seed s is that of `gymnasium.make(id).reset(seed=s)`: replaying its actions there gives the same
    observations and rewards, bit for bit.

    Args:
        env: the task.
        act: the policy; compiled with the task's dynamics.
    """

    def __init__(self, env: TensorEnv[Any], act: AnyAct) -> None:
        self.env, self._act = env, act
        self._draw = functions(env)[0].draw
        self._play = tf.function(self._rollout, jit_compile=True, autograph=False)

    def __call__(self, seeds: Sequence[int]) -> Iterator[Chunk]:
        """Record an episode for each integer seed, all of one split, some at a time."""
        size = self._rows()
        for start in range(0, len(seeds), size):
            part = list(seeds[start : start + size])
            # The last chunk is filled up, so that nothing is compiled twice; two rows are the fewest that XLA makes the
            # same program of.
            filled = part + [part[-1]] * (max(2, min(size, len(seeds))) - len(part))
            yield self._record(part, filled)

    def _rows(self) -> int:
        env = self.env
        width = math.prod(env.observation_space.shape) + math.prod(env.action_space.shape or ()) + 4
        return int(np.clip(MOST_NUMBERS // (width * env.max_episode_steps), 2, MOST_ROWS))

    def _record(self, part: list[int], filled: list[int]) -> Chunk:
        drawn, count = self._draw(keys_of(filled)), len(part)
        # As in the Gymnasium environment, the first observation is computed outside the compiled step.
        first = self.env.observe(drawn.state)
        key = seeding.fold(seeding.key_from_seed(0, seeding.split_of(part[0])), part[0] % seeding.SEEDS_PER_SPLIT)
        *steps, final, lengths = self._play(drawn.state, drawn.noise, first, key)
        recorded: list[Any] = [None if isinstance(x, tuple) else np.moveaxis(x.numpy(), 0, 1)[:count] for x in steps]
        observation, action, mask, reward, score, terminated, truncated = recorded
        lengths = lengths.numpy()[:count].astype(np.int64)
        last = final.numpy()[:count]
        return Chunk(part, lengths, observation, action, reward, score, terminated, truncated, last, mask)

    def _rollout(self, state: Any, noise: Any, observation: tf.Tensor, key: tf.Tensor) -> tuple[Any, ...]:
        env, limit = self.env, self.env.max_episode_steps
        rows = observation.shape[0]

        def step(t: tf.Tensor, episode: core.Episode, seen: tf.Tensor, memory: Any) -> tuple[Any, ...]:
            mask = env.action_mask(episode.state)
            action, memory = ask(self._act, memory, episode.state, seen, seeding.fold(key, t))
            following, outcome = core.proceed(
                env, episode, action, tf.nest.map_structure(lambda x: tf.gather(x, t, axis=1), noise)
            )
            record = (
                seen,
                action,
                () if mask is None else mask,
                outcome.reward,
                outcome.score,
                outcome.terminated,
                outcome.truncated,
            )
            return following, outcome.final_observation, memory, record

        begin = core.Episode(state, tf.zeros([rows], tf.int32))
        memory = begin_memory(self._act, rows)
        example = step(tf.constant(0), begin, observation, memory)[-1]
        arrays = tuple(tf.TensorArray(x.dtype, limit, element_shape=x.shape) for x in tf.nest.flatten(example))
        lengths = tf.zeros([rows], tf.int32)

        def body(
            t: tf.Tensor, episode: Any, seen: Any, memory: Any, final: Any, lengths: Any, arrays: Any
        ) -> tuple[Any, ...]:
            alive = tf.equal(lengths, 0)
            episode, following, memory, record = step(t, episode, seen, memory)
            done = tf.logical_and(alive, tf.logical_or(record[-2], record[-1]))
            final = core.where(done, following, final)
            written = tuple(array.write(t, x) for array, x in zip(arrays, tf.nest.flatten(record), strict=True))
            return t + 1, episode, following, memory, final, tf.where(done, t + 1, lengths), written

        def again(
            t: tf.Tensor, episode: Any, seen: Any, memory: Any, final: Any, lengths: Any, arrays: Any
        ) -> tf.Tensor:
            del episode, seen, memory, final, arrays
            return tf.logical_and(t < limit, tf.reduce_any(tf.equal(lengths, 0)))

        *_, final, lengths, arrays = tf.while_loop(
            again,
            body,
            (tf.constant(0), begin, observation, memory, observation, lengths, arrays),
            maximum_iterations=limit,
            parallel_iterations=1,
        )
        return (*tf.nest.pack_sequence_as(example, [array.stack() for array in arrays]), final, lengths)


def frames(env: TensorEnv[Any], seed: int, actions: npt.NDArray[Any]) -> Iterator[npt.NDArray[np.uint8]]:
    """Pictures of an episode, RGB [height, width, 3]: of its first state, and after each action.

    Args:
        env: the task.
        seed: the episode's integer seed.
        actions: [T, ...], as recorded.
    """
    episodes, proceed = functions(env)
    drawn = episodes.draw(keys_of([seed]))
    episode = core.Episode(drawn.state, np.zeros(1, np.int32))
    yield picture(env, episode)
    for action in actions:
        episode, _ = proceed(episode, action[None], drawn.noise_at(np.asarray(episode.steps)))
        yield picture(env, episode)


def picture(env: TensorEnv[Any], episode: core.Episode) -> npt.NDArray[np.uint8]:
    """A picture of the first row."""
    return env.render(tf.nest.map_structure(tf.convert_to_tensor, episode.state))


Frames = Callable[[int, npt.NDArray[Any]], Iterator[npt.NDArray[np.uint8]]]
"""(seed, actions) -> pictures."""
