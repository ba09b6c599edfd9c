"""The lost-sales task in numbers: parameters, demand, costs and bounds on useful orders. Imports no TensorFlow."""

import dataclasses
import functools
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy import stats

from envs.parameters import parameter

NEGLIGIBLE = 1e-7
"""Demand beyond the quantile of this tail probability is counted as that quantile."""
LAW_TAIL = 3e-4
"""Likewise, for the law that a learner may take expectations over: fewer outcomes cost less time."""


@dataclasses.dataclass(frozen=True)
class Params:
    """Parameters of the lost-sales task."""

    lead_time_periods: int = parameter(4, "Periods from an order to its arrival.", 1, 12)
    demand: Literal["poisson", "geometric"] = parameter(
        "poisson", "Law of a period's demand; geometric counts from 0.", choices=("poisson", "geometric")
    )
    demand_mean_units: float = parameter(5.0, "Mean demand of a period.", 0.1, 50.0)
    holding_cost_per_unit: float = parameter(1.0, "Cost of a unit left over at the end of a period.", 1e-3, 1e6)
    lost_sale_cost_per_unit: float = parameter(4.0, "Cost of a unit of demand that is not met.", 1e-3, 1e6)
    maximum_order_units: int = parameter(
        0, "Largest order an agent may place; 0: the newsvendor's stock, which no optimal order exceeds.", 0, 1000
    )
    episode_periods: int = parameter(
        1000, "Periods after which an episode is cut; the task itself never ends.", 1, 10**6
    )


def demand_law(params: Params, periods: int = 1) -> Any:
    """The law of the demand of some periods together, on 0, 1, 2, ... (a frozen `scipy.stats` distribution)."""
    if params.demand == "poisson":
        return stats.poisson(params.demand_mean_units * periods)
    return stats.nbinom(periods, 1.0 / (1.0 + params.demand_mean_units))


@functools.lru_cache
def demand_probabilities(params: Params, tail: float = NEGLIGIBLE) -> npt.NDArray[np.float64]:
    """Probabilities of demand 0, 1, ..., K - 1, float64 [K]; the last holds the tail, so that they sum to 1."""
    return with_tail(demand_law(params), tail)


def with_tail(law: Any, tail: float) -> npt.NDArray[np.float64]:
    """Probabilities of 0, 1, ..., K - 1 under a law on whole numbers, float64 [K].

    Args:
        law: a frozen `scipy.stats` distribution.
        tail: what lies beyond K - 1 has at most this probability, and is counted as K - 1.
    """
    most = int(law.isf(tail))
    probabilities = law.pmf(np.arange(most + 1))
    probabilities[-1] += law.sf(most)
    return np.asarray(probabilities / probabilities.sum(), np.float64)


@functools.lru_cache
def stock_bounds(params: Params) -> tuple[int, ...]:
    """What an optimal policy never orders beyond, in units (Morton 1969; Zipkin 2008, section 3).

    Entry l, 0 <= l <= L, bounds the units that arrive in l periods or later, the new order included, and for l = 0 the
    stock on hand too: it is the p / (p + h) quantile of the demand of the L - l + 1 periods that they have to last.
    Entry L, a single period's, is the newsvendor's stock: no optimal order is larger.
    """
    h, p = params.holding_cost_per_unit, params.lost_sale_cost_per_unit
    lead = params.lead_time_periods
    return tuple(max(1, int(demand_law(params, lead - l + 1).ppf(p / (p + h)))) for l in range(lead + 1))  # noqa: E741


def maximum_order(params: Params) -> int:
    """The largest order in the action space, in units."""
    return params.maximum_order_units or stock_bounds(params)[-1]


def period_costs(params: Params, most_on_hand: int) -> npt.NDArray[np.float64]:
    """Expected cost of a period that starts with 0, 1, ..., X = `most_on_hand` units on hand, float64 [X + 1].

    `h E(y - D)+ + p E(D - y)+`, with the exact demand law: `E(D - y)+ = E D - y + E(y - D)+`.
    """
    on_hand = np.arange(most_on_hand + 1)
    left = np.maximum(on_hand[:, None] - on_hand[None], 0) @ demand_law(params).pmf(on_hand)
    short = params.demand_mean_units - on_hand + left
    return np.asarray(params.holding_cost_per_unit * left + params.lost_sale_cost_per_unit * short, np.float64)


def leftover_probabilities(params: Params, most_on_hand: int) -> npt.NDArray[np.float64]:
    """Row y: the probabilities that 0, 1, ... units are left of y after a period's demand, float64 [X + 1, X + 1]."""
    on_hand = np.arange(most_on_hand + 1)
    sold = on_hand[:, None] - on_hand[None]
    law = demand_law(params)
    table = np.where(sold >= 0, law.pmf(sold), 0.0)
    table[:, 0] = law.sf(on_hand - 1)
    return table
