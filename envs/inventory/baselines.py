"""Ordering rules for the lost-sales task, each with the parameters that make it cheapest.

The parameters are found by search: on exact costs where the rule's states are few enough, else on one long simulation
with the same demand for all candidates.
"""

import dataclasses
import functools
from collections.abc import Callable, Hashable
from typing import TypeVar

import numpy as np
from scipy import special

from envs.inventory import exact
from envs.inventory.model import Params, demand_law, stock_bounds

SEARCHED_MOVES = 1_000_000
"""Largest chain of states, in moves, on which a rule is tried exactly: under a second."""
SIMULATED_SYSTEMS = 512
SIMULATED_PERIODS = 1_000
SIMULATION_WARM_UP = 100
LEAST_DRIFT_UNITS = 1e-5
"""A constant order is at least this much below the mean demand: nearer, stock grows beyond all use."""

PointT = TypeVar("PointT", bound=Hashable)


@dataclasses.dataclass(frozen=True)
class BaseStock:
    """Order up to a level of stock on hand and on the way, at most a cap at a time (Xin 2021 for the cap).

    Without a useful cap this is the base-stock policy, with `level` units the most that an order can be.
    """

    level: int
    cap: int

    def __call__(self, states: exact.Integers) -> exact.Integers:
        """Units to order [N] in states [N, L]."""
        return np.clip(self.level - states.sum(1), 0, self.cap)


@functools.lru_cache(maxsize=1024)
def cost(params: Params, rule: BaseStock) -> float:
    """A base-stock rule's cost per period: exact where its states are few enough, else simulated."""
    found = exact.policy_cost(params, rule, rule.level + 1, rule.cap, SEARCHED_MOVES)
    return simulated_cost(params, rule) if found is None else found.middle


@functools.lru_cache(maxsize=2)
def _simulated_demands(params: Params) -> exact.Integers:
    """Demands of all periods and systems, int64 [periods, systems]."""
    generator = np.random.default_rng(0)
    return np.asarray(demand_law(params).rvs((SIMULATED_PERIODS, SIMULATED_SYSTEMS), random_state=generator), np.int64)


def simulated_cost(params: Params, rule: exact.Orders) -> float:
    """A rule's mean cost per period over many simulated systems. Every call meets the same demands."""
    states = np.zeros((SIMULATED_SYSTEMS, params.lead_time_periods), np.int64)
    total = 0.0
    for period, demand in enumerate(_simulated_demands(params)):
        orders, on_hand = rule(states), states[:, 0]
        left, short = np.maximum(on_hand - demand, 0), np.maximum(demand - on_hand, 0)
        if period >= SIMULATION_WARM_UP:
            total += params.holding_cost_per_unit * left.mean() + params.lost_sale_cost_per_unit * short.mean()
        states = np.concatenate([states[:, 1:], orders[:, None]], 1)
        states[:, 0] += left
    return float(total / (SIMULATED_PERIODS - SIMULATION_WARM_UP))


@functools.lru_cache(maxsize=64)
def best_base_stock(params: Params) -> BaseStock:
    """The best base-stock level. The cost is convex in it (Janakiraman and Roundy 2004), so descent finds it."""

    def price(level: int) -> float:
        return cost(params, BaseStock(level, level))

    def neighbours(level: int, stride: int) -> list[int]:
        return [other for other in (level - stride, level + stride) if other >= 0]

    level = _descend(price, stock_bounds(params)[0], neighbours, _strides(params))
    return BaseStock(level, level)


@functools.lru_cache(maxsize=64)
def best_capped_base_stock(params: Params) -> BaseStock:
    """The best level and cap together, from the newsvendor's stock as cap, to a point that no neighbour betters."""

    def neighbours(rule: BaseStock, stride: int) -> list[BaseStock]:
        steps = ((-1, 0), (1, 0), (0, -1), (0, 1), (1, -1), (-1, 1))
        near = [BaseStock(rule.level + stride * up, rule.cap + stride * wide) for up, wide in steps]
        return [other for other in near if other.level >= 0 and other.cap >= 1]

    start = BaseStock(best_base_stock(params).level, stock_bounds(params)[-1])
    return _descend(lambda rule: cost(params, rule), start, neighbours, _strides(params))


@functools.lru_cache(maxsize=64)
def best_constant_order(params: Params) -> int:
    """The best order to place every period whatever the state, in whole units below the mean demand."""
    candidates = range(int(np.ceil(params.demand_mean_units - LEAST_DRIFT_UNITS)))
    return min(candidates, key=lambda order: constant_order_cost(params, order))


def constant_order_cost(params: Params, order: int) -> float:
    """Cost per period of always ordering as much, which does not depend on the lead time.

    In the long run all that is ordered is sold, and `mean - order` is lost. What is left over is a random walk with
    steps `order - D`, held at 0. Its mean is the sum of `w / (1 - w)` over the `order` roots of `w^order = E w^D`
    inside the unit circle, by the Wiener-Hopf factors of the walk (Asmussen 2003, Applied Probability and Queues,
    chapter VIII). For Poisson demand these are values of Lambert's function; for geometric demand the sum is rational.

    Args:
        params: the task.
        order: units, below the mean demand.
    """
    mean = params.demand_mean_units
    if order == 0:
        left = 0.0
    elif params.demand == "geometric":
        left = order * (order + 1) / (2 * (mean - order))
    else:
        unity = np.exp(2j * np.pi * np.arange(order) / order)
        ratio = mean / order
        roots = -special.lambertw(-ratio * np.exp(-ratio) * unity) / ratio
        left = float((roots / (1 - roots)).sum().real)
    return params.holding_cost_per_unit * left + params.lost_sale_cost_per_unit * (mean - order)


def _strides(params: Params) -> list[int]:
    """Steps of a search, from coarse to 1: powers of 4 up to an eighth of the largest level."""
    most = stock_bounds(params)[0] // 8
    return [4**power for power in range(6, -1, -1) if 4**power <= max(1, most)]


def _descend(
    price: Callable[[PointT], float],
    point: PointT,
    neighbours: Callable[[PointT, int], list[PointT]],
    strides: list[int],
) -> PointT:
    """With each stride, steps to the first cheaper neighbour until there is none."""
    lowest = price(point)
    for stride in strides:
        moved = True
        while moved:
            moved = False
            for candidate in neighbours(point, stride):
                if price(candidate) < lowest:
                    point, lowest, moved = candidate, price(candidate), True
                    break
    return point
