"""Ordering rules for the supply chain: echelon base-stock with levels found by search on common demand.

A link's **echelon position** is all stock on hand and on the way below its order: at stages 0 to i and on links 0 to i,
less the demand that waits (Clark and Scarf 1960, https://doi.org/10.1287/mnsc.6.4.475). The rules never order more than
the supplier can ship now, so none of their orders stays unmet.
"""

import dataclasses
import functools
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from envs.supply_chain import model
from envs.supply_chain.model import STAGES, Params

SIMULATED_UNITS_OF_TIME = 8_000
"""Episodes times periods of the simulation that levels are searched on."""
LEAST_SIMULATED_EPISODES = 64
FIRST_QUANTILE = 0.95
"""The search starts from this quantile of the demand that a level has to last for."""
STRIDES = (16, 8, 4, 2, 1)
"""Steps of the search, in units."""

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Vector = tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class BaseStock:
    """Order each echelon up to its level.

    Attributes:
        levels: of links 0, 1, 2, in units.
        reserve: None: the levels hold to the end. Else no level passes the mean demand of the periods left plus these
            units, and nothing is ordered that cannot reach a customer before the end.
    """

    levels: Vector
    reserve: int | None = None

    def targets(self, params: Params) -> Floats:
        """The position to order up to in each period, whole numbers, -inf where nothing is ordered, float64 [T, 3]."""
        table = np.tile(np.asarray(self.levels, np.float64), (params.episode_periods, 1))
        if self.reserve is None:
            return table
        period = np.arange(params.episode_periods)[:, None]
        left = np.floor(params.demand_mean_units * (params.episode_periods - period)) + self.reserve
        in_time = period + _delays(params) < params.episode_periods
        return np.where(in_time, np.minimum(table, left), -np.inf)


def _delays(params: Params) -> Integers:
    """Periods from an order on each link to the first sale of what it brings, int64 [3].

    A stage ships what it had at the start of a period, so each stage on the way costs one period more.
    """
    return np.cumsum(model.chain(params).lead_time_periods) + np.arange(STAGES)


def profits(params: Params, rule: BaseStock, demands: npt.ArrayLike) -> Floats:
    """A rule's discounted profit on each of N demand paths [N, T], float64 [N].

    Written apart from the tensor dynamics, in numpy, as the search asks for it hundreds of times.
    """
    chain, demands = model.chain(params), np.asarray(demands, np.float64)
    rows, targets, worth = len(demands), rule.targets(params), model.discounts(params)
    waits = params.unmet_demand == "backlog"
    on_hand = np.tile(np.asarray(chain.first_stock_units, np.float64), (rows, 1))
    on_the_way = np.zeros((rows, STAGES))
    shipped = np.zeros((params.episode_periods, rows, STAGES))
    waiting, total = np.zeros(rows), np.zeros(rows)
    for t, demand in enumerate(demands.T):
        position = np.cumsum(on_hand + on_the_way, 1) - waiting[:, None]
        limit = np.minimum(
            np.asarray(chain.capacity_units), np.pad(on_hand[:, 1:], ((0, 0), (0, 1)), constant_values=np.inf)
        )
        shipped[t] = np.clip(targets[t] - position, 0.0, limit)
        for link, lead in enumerate(chain.lead_time_periods):
            arrived = shipped[t - lead, :, link] if t >= lead else 0.0
            on_the_way[:, link] += shipped[t, :, link] - arrived
            on_hand[:, link] += arrived
        on_hand[:, 1:] -= shipped[t, :, :-1]
        sold = np.minimum(on_hand[:, 0], demand + waiting)
        on_hand[:, 0] -= sold
        short = demand + waiting - sold
        waiting = short * waits
        costs = shipped[t] @ chain.outlay_per_unit + on_hand @ chain.holding_cost_per_unit
        costs += on_the_way @ chain.transit_cost_per_unit + chain.shortage_cost_per_unit[0] * short
        total += worth[t] * (chain.price_per_unit * sold - costs)
    return total


@functools.lru_cache(maxsize=64)
def best_base_stock(params: Params) -> BaseStock:
    """Levels that hold to the end, from a quantile of the demand until an order's use to a set that no step betters."""
    start = [int(model.demand_law(params, int(delay) + 1).ppf(FIRST_QUANTILE)) for delay in _delays(params)]
    demands = _simulated_demands(params)
    return BaseStock(_climb(lambda levels: float(profits(params, BaseStock(levels), demands).mean()), tuple(start)))


@functools.lru_cache(maxsize=64)
def best_horizon_base_stock(params: Params) -> BaseStock:
    """Levels and reserve together, from the levels that hold to the end."""
    demands = _simulated_demands(params)

    def rule(point: Vector) -> BaseStock:
        return BaseStock(point[:-1], point[-1])

    start = (*best_base_stock(params).levels, int(2 * params.demand_mean_units**0.5))
    return rule(_climb(lambda point: float(profits(params, rule(point), demands).mean()), start))


def _simulated_demands(params: Params) -> Integers:
    """Demand of all episodes and periods, int64 [N, T]; the same at every call."""
    episodes = max(LEAST_SIMULATED_EPISODES, SIMULATED_UNITS_OF_TIME // params.episode_periods)
    size = (episodes, params.episode_periods)
    return np.asarray(model.demand_law(params).rvs(size, random_state=np.random.default_rng(0)), np.int64)


def _climb(worth: Callable[[Vector], float], point: Vector) -> Vector:
    """With each stride, steps along one axis to the first better neighbour until there is none."""
    highest = worth(point)
    for stride in STRIDES:
        moved = True
        while moved:
            moved = False
            for axis in range(len(point)):
                for step in (stride, -stride):
                    candidate = (*point[:axis], point[axis] + step, *point[axis + 1 :])
                    value = worth(candidate)
                    if value > highest:
                        point, highest, moved = candidate, value, True
    return point
