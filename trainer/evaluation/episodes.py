"""Held-out episodes: every policy meets the same initial states and the same noise (common random numbers)."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from envs import core, seeding
from envs.core import Objective, TensorEnv
from envs.seeding import SEEDS_PER_SPLIT, Split
from trainer.errors import SlipwayError
from trainer.policy import AnyPolicy, RecurrentPolicy, ask, begin

RESET, NOISE, ACTION = range(3)

Floats = npt.NDArray[np.float64]
Act = Callable[[Any, Any, Any], Any]
"""(state, observation, key) -> actions: what policies of observations and baselines of states both fit."""
AnyAct = Act | RecurrentPolicy
"""An `Act`, or one with memory."""
Check = Callable[[], None]
"""Asked now and then whether to go on; raises if not."""
PARTS = 20
"""In so many calls the episodes are played if there is a check, which comes between them."""


def of_policy(env: TensorEnv[Any], policy: AnyPolicy) -> AnyAct:
    """A policy of observations, as an `Act`."""
    if isinstance(policy, RecurrentPolicy):
        step = policy.step
        return RecurrentPolicy(
            lambda state, observation, key, memory: step(observation, env.action_mask(state), key, memory),
            policy.memory_widths,
        )
    return lambda state, observation, key: policy(observation, env.action_mask(state), key)


def of_baseline(baseline: core.StatePolicy) -> Act:
    """A policy of states, as an `Act`."""
    return lambda state, _, key: baseline(state, key)


class TensorEpisodes:
    """Compiled evaluation of several policies on a task; compile once, measure often.

    Args:
        env: the task.
        policies: by name.
        seeds: S.
        episodes_per_seed: E.
        split: which seeds they are; held-out ones, if nothing is chosen by the result.
    """

    def __init__(
        self,
        env: TensorEnv[Any],
        policies: Mapping[str, AnyAct],
        seeds: int,
        episodes_per_seed: int,
        split: Split = Split.HELD_OUT,
    ) -> None:
        self._env, self._policies, self._split = env, dict(policies), split
        self._seeds, self._episodes = seeds, episodes_per_seed
        self._begin = tf.function(self._start, jit_compile=True, autograph=False)
        self._go_on = tf.function(self._play, jit_compile=True, autograph=False)

    def __call__(self, check: Check | None = None) -> dict[str, Floats]:
        """Scores by policy, float64 [S, E].

        Args:
            check: called between parts of the evaluation; what it raises ends it.

        Raises:
            SlipwayError: if one is not finite.
        """
        limit = self._env.max_episode_steps
        steps = tf.constant(limit if check is None else max(1, limit // PARTS))
        played, playing = self._begin(), True
        while playing:
            if check is not None:
                check()
            *played, playing = self._go_on(steps, *played)
        table = played[-1].numpy().astype(np.float64)
        scores = dict(zip(self._policies, table.reshape(-1, self._seeds, self._episodes), strict=True))
        return finite(scores)

    def _keys(self) -> tf.Tensor:
        """One key for each held-out seed; a seed's episodes do not depend on how many other seeds there are."""
        numbers = [numbered(seed, self._split) for seed in range(self._seeds)]
        return tf.stack([seeding.key_from_seed(number, self._split) for number in numbers])

    def _start(self) -> tuple[Any, ...]:
        """Time, and for each policy: state, memory, which rows are alive, and sums; then all scores so far."""
        env, keys, rows, count = self._env, self._keys(), self._seeds * self._episodes, len(self._policies)
        start = _merge(
            tf.map_fn(
                lambda key: _tensors(env.reset(seeding.fold(key, RESET), self._episodes)),
                keys,
                fn_output_signature=_signature(env.reset(keys[0], self._episodes)),
            )
        )
        memories = tuple(begin(act, rows) for act in self._policies.values())
        each = (start,) * count, memories, (tf.ones([rows], tf.bool),) * count, (tf.zeros([rows]),) * count
        return tf.constant(0), *each, tf.zeros([count, rows])

    def _play(self, steps: tf.Tensor, t: tf.Tensor, *played: Any) -> tuple[Any, ...]:
        """So many more steps of the episodes: what `_start` gives, and whether any goes on."""
        env, limit, keys = self._env, self._env.max_episode_steps, self._keys()
        until = tf.minimum(t + steps, limit)
        example = env.noise(keys[0], self._episodes)
        action_key = seeding.fold(keys[0], ACTION)
        averaged = env.objective is Objective.AVERAGE_REWARD
        counted_from = env.warm_up_steps if averaged else 0

        def noise_at(t: tf.Tensor) -> Any:
            if not tf.nest.flatten(example):
                return example
            draw = tf.map_fn(
                lambda key: _tensors(env.noise(seeding.fold(key, NOISE, t), self._episodes)),
                keys,
                fn_output_signature=_signature(example),
            )
            return _merge(draw)

        def body(t: tf.Tensor, states: Any, memories: Any, alive: Any, totals: Any) -> tuple[Any, ...]:
            noise, counts = noise_at(t), tf.cast(t >= counted_from, tf.float32)
            key, following, remembered, still, sums = seeding.fold(action_key, t), [], [], [], []
            each = zip(self._policies.values(), states, memories, alive, totals, strict=True)
            for act, state, memory, living, total in each:
                action, recalled = ask(act, memory, state, env.observe(state), key)
                remembered.append(recalled)
                after, transition = env.step(state, action, noise)
                sums.append(total + tf.where(living, core.gain(transition), 0.0) * counts)
                still.append(tf.logical_and(living, tf.logical_not(transition.terminated)))
                following.append(after)
            return t + 1, tuple(following), tuple(remembered), tuple(still), tuple(sums)

        def again(t: tf.Tensor, states: Any, memories: Any, alive: Any, totals: Any) -> tf.Tensor:
            del states, memories, totals
            return tf.logical_and(t < until, tf.reduce_any(tf.stack(alive)))

        t, *carried, alive, totals = tf.while_loop(again, body, (t, *played[:-1]), parallel_iterations=1)
        scale = env.score.sign / (limit - counted_from) if averaged else float(env.score.sign)
        goes_on = tf.logical_and(t < limit, tf.reduce_any(tf.stack(alive)))
        return t, *carried, alive, totals, tf.stack(totals) * scale, goes_on


def numbered(seed: int, split: Split) -> int:
    """The number within its split of an evaluation's seed: held-out ones from 0 up, others from the last one down.

    Trainings take theirs from 0 up.
    """
    return seed if split is Split.HELD_OUT else SEEDS_PER_SPLIT - 1 - seed


def finite(scores: dict[str, Floats]) -> dict[str, Floats]:
    """The scores, if all of them are numbers.

    Raises:
        SlipwayError: if one is not.
    """
    for name, values in scores.items():
        if not np.isfinite(values).all():
            raise SlipwayError(f"the policy {name} has scores that are not finite, so the evaluation says nothing")
    return scores


def _tensors(nest: Any) -> Any:
    return tf.nest.map_structure(tf.convert_to_tensor, nest)


def _signature(nest: Any) -> Any:
    return tf.nest.map_structure(lambda x: tf.TensorSpec(x.shape, x.dtype), nest)


def _merge(nest: Any) -> Any:
    """[S, E, ...] to [S * E, ...]."""
    return tf.nest.map_structure(lambda x: tf.reshape(x, [x.shape[0] * x.shape[1], *x.shape[2:]]), nest)
