"""The frozen lake by dynamic programming. All scores are probabilities to reach the goal, exact up to rounding."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.sparse import csgraph

from envs.navigation.frozen_lake.model import TURNS, Params, episode_steps, lake, turn_probabilities

Actions = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
SAME = 1e-12
"""Values nearer than this differ by rounding alone; the action with the lowest number is then taken."""


class Chances(NamedTuple):
    """Where each action leads from each of S cells; goal and holes lead nowhere, as an episode ends there."""

    goes_on: Floats  # [S, 4, S], probabilities of standing on a cell that does not end the episode
    arrives: Floats  # [S, 4], probabilities of reaching the goal with this step, which are the expected rewards


@functools.lru_cache
def chances(params: Params) -> Chances:
    """The task's transition probabilities."""
    found, cells = lake(params.map), np.arange(len(lake(params.map).ends))
    goes_on, arrives = np.zeros((len(cells), 4, len(cells))), np.zeros((len(cells), 4))
    for action in range(4):
        for turn, probability in zip(TURNS, turn_probabilities(params), strict=True):
            following = found.following[:, (action + turn) % 4]
            goes_on[cells, action, following] += probability * ~found.ends[following]
            arrives[:, action] += probability * (found.goal[following] & ~found.goal)
    return Chances(goes_on, arrives)


@functools.lru_cache
def optimum(params: Params) -> float:
    """The best probability of reaching the goal within an episode, by value iteration over the steps that are left.

    Only a policy that counts its steps can reach it.
    """
    table = chances(params)
    values = _iterate(lambda v: (table.arrives + table.goes_on @ v).max(1), len(table.arrives), episode_steps(params))
    return float(values[0])


def score(params: Params, actions: Actions) -> float:
    """The probability that a table of actions [S] reaches the goal within an episode."""
    table, cells = chances(params), np.arange(len(actions))
    moves, arrives = table.goes_on[cells, actions], table.arrives[cells, actions]
    return float(_iterate(lambda v: arrives + moves @ v, len(actions), episode_steps(params))[0])


def reached(params: Params, actions: Actions) -> int:
    """On how many cells, the goal and holes left out, a table of actions [S] can come to stand."""
    moves = chances(params).goes_on[np.arange(len(actions)), actions]
    return len(csgraph.breadth_first_order(moves, 0, return_predecessors=False))


@functools.lru_cache
def greedy(params: Params) -> Actions:
    """The actions [S] of value iteration with the discount 1 - 1 / H for episodes of H steps.

    Such a discount stands for episodes of H steps in the mean whose end nobody sees coming: a policy that does not
    count its steps is best off with nearly these actions.
    """
    table, steps = chances(params), episode_steps(params)
    discount = 1.0 - 1.0 / steps
    values = _iterate(
        lambda v: (table.arrives + discount * (table.goes_on @ v)).max(1), len(table.arrives), 100 * steps
    )
    return _first_best(table.arrives + discount * (table.goes_on @ values))


@functools.lru_cache
def shortest(params: Params) -> Actions:
    """The actions [S] along a shortest way to the goal round the holes, as if nothing slipped."""
    found = lake(params.map)
    distance = np.where(found.goal, 0.0, np.inf)
    for _ in distance:
        nearest = distance[found.following].min(1) + 1
        distance = np.where(found.ends, distance, np.minimum(distance, nearest))
    return np.argmin(distance[found.following], 1)


def _iterate(backup: Callable[[Floats], Floats], cells: int, sweeps: int) -> Floats:
    """The values [S] after some sweeps from 0, or the fixed point if that comes first."""
    values = np.zeros(cells)
    for _ in range(sweeps):
        following = backup(values)
        if np.array_equal(following, values):
            break
        values = following
    return values


def _first_best(values: Floats) -> Actions:
    return np.argmax(values >= values.max(1, keepdims=True) - SAME, 1)
