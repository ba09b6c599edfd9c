"""Ordering rules for the lost-sales task, each with the parameters that make it cheapest.

The parameters are found by search: on exact costs where the rule's states fit a table, else on one long simulation
with the same demand for all candidates.
"""

import dataclasses
import functools
from collections.abc import Callable, Hashable
from typing import TypeVar

import numpy as np

from envs.inventory import exact
from envs.inventory.model import Params, demand_law, leftover_probabilities, period_costs, stock_bounds

SIMULATED_SYSTEMS = 512
SIMULATED_PERIODS = 1_000
SIMULATION_WARM_UP = 100

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
    """A base-stock rule's cost per period: exact where its states fit a table, else simulated."""
    found = exact.policy_cost(params, rule, rule.level + 1, rule.cap)
    return simulated_cost(params, rule) if found is None else found.middle


def simulated_cost(params: Params, rule: exact.Orders) -> float:
    """A rule's mean cost per period over many simulated systems. Every call meets the same demands."""
    demands = demand_law(params).rvs((SIMULATED_PERIODS, SIMULATED_SYSTEMS), random_state=np.random.default_rng(0))
    states = np.zeros((SIMULATED_SYSTEMS, params.lead_time_periods), np.int64)
    total = 0.0
    for period, demand in enumerate(demands):
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

    level = _descend(price, stock_bounds(params)[0], lambda level: (level - 1, level + 1))
    return BaseStock(level, level)


@functools.lru_cache(maxsize=64)
def best_capped_base_stock(params: Params) -> BaseStock:
    """The best level and cap together, from the newsvendor's stock as cap, to a point that no neighbour betters."""

    def neighbours(rule: BaseStock) -> list[BaseStock]:
        steps = ((-1, 0), (1, 0), (0, -1), (0, 1), (1, -1), (-1, 1))
        return [BaseStock(rule.level + up, rule.cap + wide) for up, wide in steps if rule.cap + wide >= 1]

    start = BaseStock(best_base_stock(params).level, stock_bounds(params)[-1])
    return _descend(lambda rule: cost(params, rule), start, neighbours)


@functools.lru_cache(maxsize=64)
def best_constant_order(params: Params) -> int:
    """The best order to place every period whatever the state, in whole units below the mean demand."""
    candidates = range(int(np.ceil(params.demand_mean_units)))
    return min(candidates, key=lambda order: constant_order_cost(params, order))


def constant_order_cost(params: Params, order: int) -> float:
    """Cost per period of always ordering as much, which does not depend on the lead time.

    Stock is a random walk that demand holds down. It is cut where it hardly ever comes: the walk's excess over the
    drift's scale dies off exponentially, at 40 scales beyond double precision.
    """
    drift = params.demand_mean_units - order
    most = int(np.ceil(order + 40 * max(1.0, demand_law(params).var() / drift)))
    leftover = leftover_probabilities(params, most)
    chain = np.zeros_like(leftover)  # from stock y to stock left + order
    for left in range(most + 1):
        chain[:, min(left + order, most)] += leftover[:, left]
    balance = chain.T - np.eye(most + 1)
    balance[-1] = 1.0  # the shares sum to 1
    shares = np.linalg.solve(balance, np.append(np.zeros(most), 1.0))
    return float(shares @ period_costs(params, most))


def _descend(
    price: Callable[[PointT], float], point: PointT, neighbours: Callable[[PointT], "list[PointT] | tuple[PointT, ...]"]
) -> PointT:
    """Steps to the first cheaper neighbour until there is none."""
    lowest = price(point)
    moved = True
    while moved:
        moved = False
        for candidate in neighbours(point):
            if price(candidate) < lowest:
                point, lowest, moved = candidate, price(candidate), True
                break
    return point
