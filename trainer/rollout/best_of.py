"""Whole episodes in groups that begin alike, inside a compiled graph; the best of each group is what is recorded."""

from typing import Any

import tensorflow as tf

from envs import core, seeding
from envs.core import TensorEnv
from trainer.agents.actions import ActionHead
from trainer.rollout.base import EpisodeSums, Recording, Trajectories
from trainer.rollout.tensor import ACTION, NOISE, RESET, Act


class BestOfEpisodes(tf.Module):
    """N episodes at a time from N / K new initial states; nothing is carried from one time to the next.

    The K episodes of a group begin in the same state and meet the same noise, so that nothing but the actions tells
    them apart. Playing all of them keeps their actions alone; the best of each group is then played again and recorded,
    which takes a K-th of the time, and a K-th of the memory that recording all would.

    Args:
        env: the task.
        num_envs: N.
        head: the action space's.
        key: not needed.
        recording: K is its `best_of`.
    """

    def __init__(
        self, env: TensorEnv[Any], num_envs: int, head: ActionHead, key: tf.Tensor, recording: Recording
    ) -> None:
        super().__init__(name="best_of_episodes")
        del key
        self.env, self.num_envs, self.head = env, num_envs, head
        self.group = recording.best_of or 1

    def restart(self, key: tf.Tensor) -> None:
        """Nothing is carried over."""

    def state(self) -> dict[str, tf.Variable]:
        """No variable decides the future."""
        return {}

    def collect(self, act: Act, key: tf.Tensor, steps: int) -> tuple[Trajectories, EpisodeSums]:
        """Play whole episodes, of T steps at most.

        Args:
            act: the policy.
            key: int32 [2], for all randomness.
            steps: T.

        Returns:
            The best episode of each group, [T, N / K], by its return, the first of equals; all after its end is 0. And
            the sums over all N episodes, those cut after T steps included.
        """
        env, groups = self.env, self.num_envs // self.group
        start = core.begin(env, seeding.fold(key, RESET), groups)
        many = tf.nest.map_structure(lambda x: tf.repeat(x, self.group, axis=0), start)
        chance_key, noise_key = seeding.fold(key, ACTION), seeding.fold(key, NOISE)

        def noise_at(t: tf.Tensor, repeats: int) -> Any:
            drawn = env.noise(seeding.fold(noise_key, t), groups)
            return tf.nest.map_structure(lambda x: tf.repeat(x, repeats, axis=0), drawn) if repeats > 1 else drawn

        def play(t: tf.Tensor, episode: core.Episode, alive: Any, totals: Any, chosen: Any) -> tuple[Any, ...]:
            mask = env.action_mask(episode.state)
            behaviour = act(env.observe(episode.state), () if mask is None else mask)
            action = self.head.sample(behaviour, self.head.noise(seeding.fold(chance_key, t), [self.num_envs]))
            following, outcome = core.proceed(env, episode, self.head.to_env(action), noise_at(t, self.group))
            gained = tf.stack([outcome.reward, outcome.score, tf.ones_like(outcome.reward)])
            still = tf.logical_and(alive, tf.logical_not(tf.logical_or(outcome.terminated, outcome.truncated)))
            return t + 1, following, still, totals + tf.where(alive, gained, 0.0), chosen.write(t, action)

        begin = (
            tf.constant(0),
            many,
            tf.ones([self.num_envs], tf.bool),
            tf.zeros([3, self.num_envs]),
            tf.TensorArray(tf.int32, steps, element_shape=[self.num_envs]),
        )
        _, _, _, totals, chosen = tf.while_loop(
            lambda t, _, alive, *__: tf.logical_and(t < steps, tf.reduce_any(alive)),
            play,
            begin,
            maximum_iterations=steps,
            parallel_iterations=1,
        )
        best = tf.argmax(tf.reshape(totals[0], [groups, self.group]), 1, output_type=tf.int32)
        rows = tf.range(groups) * self.group + best
        recorded = self._again(start, tf.gather(chosen.stack(), rows, axis=1), noise_at)
        count = tf.constant(float(self.num_envs))
        returns, scores, lengths = tf.unstack(tf.reduce_sum(totals, 1))
        return recorded, EpisodeSums(count, returns, lengths, scores)

    def _again(self, start: core.Episode, actions: tf.Tensor, noise_at: Any) -> Trajectories:
        """Play given actions int32 [T, groups] again, and record all."""
        env, (steps, groups) = self.env, actions.shape

        def step(t: tf.Tensor, episode: core.Episode, alive: tf.Tensor) -> tuple[Any, ...]:
            observation, mask = env.observe(episode.state), env.action_mask(episode.state)
            following, outcome = core.proceed(env, episode, self.head.to_env(actions[t]), noise_at(t, 1))
            record = Trajectories(
                observation,
                () if mask is None else mask,
                actions[t],
                (),
                outcome.reward,
                outcome.terminated,
                outcome.truncated,
                (),
                (),
            )
            here = tf.nest.map_structure(lambda x: core.where(alive, x, tf.zeros_like(x)), record)
            still = tf.logical_and(alive, tf.logical_not(tf.logical_or(outcome.terminated, outcome.truncated)))
            return following, still, here

        alive = tf.ones([groups], tf.bool)
        example = step(tf.constant(0), start, alive)[-1]
        arrays = tuple(tf.TensorArray(x.dtype, steps, element_shape=x.shape) for x in tf.nest.flatten(example))

        def body(t: tf.Tensor, episode: Any, alive: Any, arrays: Any) -> tuple[Any, ...]:
            episode, alive, record = step(t, episode, alive)
            written = (array.write(t, x) for array, x in zip(arrays, tf.nest.flatten(record), strict=True))
            return t + 1, episode, alive, tuple(written)

        *_, arrays = tf.while_loop(  # what is never written is 0
            lambda t, _, alive, __: tf.logical_and(t < steps, tf.reduce_any(alive)),
            body,
            (tf.constant(0), start, alive, arrays),
            maximum_iterations=steps,
            parallel_iterations=1,
        )
        return tf.nest.pack_sequence_as(example, [array.stack() for array in arrays])
