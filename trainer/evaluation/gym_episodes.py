"""Held-out episodes of a Gymnasium environment: every policy meets the same integer seeds."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from envs import seeding
from envs.seeding import SEEDS_PER_SPLIT, Split
from trainer.evaluation.episodes import Check, finite, numbered
from trainer.evaluation.statistics import Floats
from trainer.policy import AnyPolicy, Memory, ask, begin, forget
from trainer.rollout.gym_vector import GymVector

MOST_ROWS = 16
"""How many episodes are played side by side: enough to share the cost of asking the policy, few enough that the last
of them do not keep many idle copies waiting."""
MOST_STEPS = 100_000
"""Where an episode of an environment without a time limit is cut."""


def episode_seed(seed: int, episode: int, split: Split = Split.HELD_OUT) -> int:
    """The integer seed of an evaluation seed's episode; it follows from these numbers alone.

    Args:
        seed: number of the seed, from 0 on.
        episode: number of the episode on it, from 0 on.
        split: which seeds they are.
    """
    mixed = np.random.SeedSequence([numbered(seed, split), episode]).generate_state(1)[0]
    return seeding.seed_in_split(int(mixed) % SEEDS_PER_SPLIT, split)


class GymEpisodes:
    """Evaluation of several policies on a Gymnasium environment; traced once, to be called often.

    Args:
        make: gives N copies of the environment.
        policies: by name.
        seeds: S.
        episodes_per_seed: E.
        split: which seeds they are; held-out ones, if nothing is chosen by the result.
    """

    def __init__(
        self,
        make: Callable[[int], GymVector],
        policies: Mapping[str, AnyPolicy],
        seeds: int,
        episodes_per_seed: int,
        split: Split = Split.HELD_OUT,
    ) -> None:
        self._make, self._shape = make, (seeds, episodes_per_seed)
        self._policies = dict(policies)
        self._acts = {name: tf.function(_keyed(policy), autograph=False) for name, policy in policies.items()}
        self._seeds = [episode_seed(seed, episode, split) for seed, episode in np.ndindex(self._shape)]

    def __call__(self, check: Check | None = None) -> dict[str, Floats]:
        """Scores by policy, float64 [S, E]: the return of each episode.

        Args:
            check: called at each step; what it raises ends the evaluation.

        Raises:
            SlipwayError: if the environment fails, or a score is not finite.
        """
        vector = self._make(min(MOST_ROWS, len(self._seeds)))
        try:
            scores = {
                name: _returns(vector, act, begin(self._policies[name], vector.num_envs), self._seeds, check)
                for name, act in self._acts.items()
            }
        finally:
            vector.close()
        return finite({name: values.reshape(self._shape) for name, values in scores.items()})


def _keyed(policy: AnyPolicy) -> Callable[..., tuple[Any, Memory]]:
    """(observation, mask, number of the step, memory) -> actions and memory."""
    key = functools.partial(seeding.fold, seeding.key_from_seed(0, Split.HELD_OUT))
    return lambda observation, mask, step, memory: ask(policy, memory, observation, mask, key(step))


def _returns(
    vector: GymVector, act: Callable[..., tuple[Any, Memory]], memory: Memory, seeds: list[int], check: Check | None
) -> Floats:
    """The return of each seed's episode, float64 [len(seeds)].

    A row that has ended its episode takes the next one of the list, and all that are begun count: short episodes are
    not preferred. Rows for which none is left play on uncounted until the last has ended.
    """
    rows, limit = vector.num_envs, vector.max_episode_steps or MOST_STEPS
    totals, steps = np.zeros(len(seeds)), np.zeros(rows, np.int64)
    playing, counted, begun = np.arange(rows), np.ones(rows, np.bool_), rows
    vector.reset(counted, seeds[:rows])
    step = 0
    while counted.any():
        if check is not None:
            check()
        action, memory = act(*_tensors(vector), tf.constant(step), memory)
        outcome = vector.step(vector.legal(action.numpy()))
        totals[playing[counted]] += outcome.reward[counted]
        steps, step = steps + 1, step + 1
        ended = outcome.terminated | outcome.truncated | (steps >= limit)
        for row in np.flatnonzero(ended & counted):
            counted[row] = begun < len(seeds)
            playing[row], begun = (begun, begun + 1) if counted[row] else (playing[row], begun)
        if ended.any():
            steps[ended] = 0
            memory = forget(memory, ended)
            vector.reset(ended, [seeds[playing[row]] for row in np.flatnonzero(ended)])
    return totals


def _tensors(vector: GymVector) -> tuple[Any, Any | None]:
    mask: npt.NDArray[np.bool_] | None = vector.action_mask
    return tf.constant(vector.observation), None if mask is None else tf.constant(mask)
