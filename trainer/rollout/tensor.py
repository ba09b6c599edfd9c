"""Rollouts of a `TensorEnv` inside a compiled graph: no Python per step, no random number drawn inside the loop."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from envs import core, seeding
from envs.core import TensorEnv
from trainer.agents.actions import ActionHead, answer
from trainer.policy import Memory, forget, nothing
from trainer.rollout.base import EpisodeSums, Recording, Trajectories

RESET, NOISE, ACTION, START = range(4)
"""What a rollout's key is folded with."""

Act = Callable[..., tuple[tf.Tensor, ...]]
"""(observations, mask or (), *memory) -> (*parameters of the policy's distribution, *memory)."""


class TensorRollout(tf.Module):
    """N running episodes of a task, and T steps of them at a time.

    Args:
        env: the task.
        num_envs: N.
        head: the action space's.
        key: int32 [2], for the first initial states.
        recording: what the trajectories hold beyond what all do.
        memory_widths: of the policy's memory (`trainer.policy`).
    """

    def __init__(
        self,
        env: TensorEnv[Any],
        num_envs: int,
        head: ActionHead,
        key: tf.Tensor,
        recording: Recording | None = None,
        memory_widths: tuple[int, ...] = (),
    ) -> None:
        super().__init__(name="rollout")
        self.env, self.num_envs, self.head = env, num_envs, head
        recording = recording or Recording()
        self._keep_states, self._noise_group = recording.states, recording.noise_group or 1
        self._keep_final_masks = recording.final_masks
        self._episode = tf.nest.map_structure(
            lambda value: tf.Variable(value, trainable=False, name="episode"), self._begin(key)
        )
        # Of the running episodes: return and score so far.
        self._totals = tf.Variable(tf.zeros([2, num_envs]), trainable=False, name="running_totals")
        self._memory = [tf.Variable(x, trainable=False, name="memory") for x in nothing(memory_widths, num_envs)]

    def restart(self, key: tf.Tensor) -> None:
        """Begin all episodes anew."""
        tf.nest.map_structure(lambda variable, value: variable.assign(value), self._episode, self._begin(key))
        for variable in (self._totals, *self._memory):
            variable.assign(tf.zeros_like(variable))

    def _begin(self, key: tf.Tensor) -> core.Episode:
        """Episodes at their start.

        Those of a task that never ends are cut only for convenience. They begin at different distances from their cut,
        or else all would start anew at once, and each time the mean reward would say so.
        """
        episode = core.begin(self.env, key, self.num_envs)
        if self.env.objective is core.Objective.EPISODIC:
            return episode
        spread = seeding.uniform(seeding.fold(key, START), [self.num_envs]) * float(self.env.max_episode_steps)
        return episode._replace(steps=tf.cast(spread, tf.int32))

    def state(self) -> dict[str, tf.Variable]:
        """Every variable that decides the future."""
        episode = tf.nest.flatten(self._episode)
        named = {f"episode/{i}": variable for i, variable in enumerate(episode)} | {"running_totals": self._totals}
        return named | {f"memory/{i}": variable for i, variable in enumerate(self._memory)}

    def collect(self, act: Act, key: tf.Tensor, steps: int) -> tuple[Trajectories, EpisodeSums]:
        """Go on for some steps.

        Args:
            act: the policy.
            key: int32 [2], for all randomness of these steps.
            steps: T.
        """
        env, count = self.env, self.num_envs
        fresh = self._many(env.reset(seeding.fold(key, RESET), steps * count), steps)
        groups = count // self._noise_group
        noise = self._many(env.noise(seeding.fold(key, NOISE), steps * groups), steps)
        if self._noise_group > 1:
            noise = tf.nest.map_structure(lambda x: tf.repeat(x, self._noise_group, axis=1), noise)
        chance = self.head.noise(seeding.fold(key, ACTION), [steps, count])

        def at(nest: Any, t: tf.Tensor) -> Any:
            return tf.nest.map_structure(lambda x: x[t], nest)

        def step(
            t: tf.Tensor, episode: core.Episode, running: tf.Tensor, sums: EpisodeSums, memory: Memory
        ) -> tuple[Any, ...]:
            observation = env.observe(episode.state)
            mask = env.action_mask(episode.state)
            mask = () if mask is None else mask
            behaviour, memory = answer(self.head, act(observation, mask, *memory))
            action = self.head.sample(behaviour, chance[t])
            reached, outcome = core.proceed(env, episode, self.head.to_env(action), at(noise, t))
            following = core.restart(reached, outcome, at(fresh, t))
            done = tf.logical_or(outcome.terminated, outcome.truncated)
            running = running + tf.stack([outcome.reward, outcome.score])
            ended = tf.reduce_sum(tf.where(done, running, 0.0), 1)
            sums = EpisodeSums(
                sums.count + tf.reduce_sum(tf.cast(done, tf.float32)),
                sums.returns + ended[0],
                sums.steps + tf.reduce_sum(tf.where(done, tf.cast(episode.steps + 1, tf.float32), 0.0)),
                sums.scores + ended[1],
            )
            record = Trajectories(
                observation,
                mask,
                action,
                behaviour,
                outcome.reward,
                outcome.terminated,
                outcome.truncated,
                outcome.final_observation,
                episode.state if self._keep_states else (),
                env.action_mask(reached.state) if self._keep_final_masks else (),
            )
            return following, tf.where(done, 0.0, running), sums, forget(memory, done), record

        zero = tf.constant(0.0)
        start = (
            tf.nest.map_structure(lambda variable: variable.read_value(), self._episode),
            self._totals.read_value(),
            EpisodeSums(zero, zero, zero, zero),
            tuple(variable.read_value() for variable in self._memory),
        )
        # One step outside the loop tells the shapes of what is recorded; being unused, it is compiled away.
        example = step(tf.constant(0), *start)[-1]
        arrays = tuple(tf.TensorArray(x.dtype, steps, element_shape=x.shape) for x in tf.nest.flatten(example))

        def body(t: tf.Tensor, episode: Any, running: Any, sums: Any, memory: Any, arrays: Any) -> tuple[Any, ...]:
            episode, running, sums, memory, record = step(t, episode, running, sums, memory)
            written = (array.write(t, x) for array, x in zip(arrays, tf.nest.flatten(record), strict=True))
            return t + 1, episode, running, sums, memory, tuple(written)

        _, episode, running, sums, memory, arrays = tf.while_loop(
            lambda t, *_: t < steps,
            body,
            (tf.constant(0), *start, arrays),
            maximum_iterations=steps,
            parallel_iterations=1,
        )
        tf.nest.map_structure(lambda variable, value: variable.assign(value), self._episode, episode)
        self._totals.assign(running)
        for variable, part in zip(self._memory, memory, strict=True):
            variable.assign(part)
        batch: Trajectories = tf.nest.pack_sequence_as(example, [array.stack() for array in arrays])
        return batch._replace(memory=start[-1]), sums

    def _many(self, nest: Any, steps: int) -> Any:
        """[T * n, ...] to [T, n, ...]."""
        return tf.nest.map_structure(lambda x: tf.reshape(x, [steps, x.shape[0] // steps, *x.shape[1:]]), nest)
