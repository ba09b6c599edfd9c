"""The supply chain in numbers: the two published chains, parameters and demand. Imports no TensorFlow.

Stages are numbered from the retailer (0) up; link i brings what stage i ordered, from stage i + 1 or, at the top, from
a source that never runs out.
"""

import dataclasses
import functools
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy import stats

from envs.inventory.model import NEGLIGIBLE, with_tail
from envs.parameters import parameter

STAGES = 3
"""Stages that hold stock, and links between them and to the source."""
UNLIMITED_ORDER_UNITS = 100
"""Largest order that an agent may place on a link whose capacity has no limit."""

PerStage = tuple[float, float, float]


@dataclasses.dataclass(frozen=True)
class Chain:
    """One published chain. What the stages pay each other is left out, as it cancels in the profit of the whole.

    Attributes:
        first_stock_units: on hand at the start, of each stage; nothing is on the way.
        price_per_unit: what customers pay.
        outlay_per_unit: what leaves the chain for a unit that a link ships: production, operation.
        holding_cost_per_unit: for a unit on hand at the end of a period, of each stage.
        transit_cost_per_unit: for a unit on the way at the end of a period, of each link.
        capacity_units: most that a link ships in a period.
        lead_time_periods: of each link; 0: arrives in the period of the order, before demand.
        shortage_cost_per_unit: for each unit of customers' demand (first) and of each link's orders that is not met.
        orders_wait: whether unmet orders of the stages are kept, as customers' demand is, or forgotten.
        discount: worth of a profit one period later.
    """

    first_stock_units: PerStage
    price_per_unit: float
    outlay_per_unit: PerStage
    holding_cost_per_unit: PerStage
    transit_cost_per_unit: PerStage
    capacity_units: PerStage
    lead_time_periods: tuple[int, int, int]
    shortage_cost_per_unit: tuple[float, float, float, float]
    orders_wait: bool
    discount: float


CHAINS = {
    # Hubbs et al. 2020, https://arxiv.org/abs/2008.06319: InvManagement-v0 and -v1.
    "or-gym": Chain(
        first_stock_units=(100, 100, 200),
        price_per_unit=2.0,
        outlay_per_unit=(0.0, 0.0, 0.5),
        holding_cost_per_unit=(0.15, 0.10, 0.05),
        transit_cost_per_unit=(0.0, 0.0, 0.0),
        capacity_units=(100, 90, 80),
        lead_time_periods=(3, 5, 10),
        shortage_cost_per_unit=(0.10, 0.075, 0.05, 0.025),
        orders_wait=True,
        discount=0.97,
    ),
    # Barati and Hu 2026, https://arxiv.org/abs/2605.11355: the serial network.
    "gym-invmgmt": Chain(
        first_stock_units=(100, 100, 200),
        price_per_unit=2.0,
        outlay_per_unit=(0.0, 0.01, 0.5),
        holding_cost_per_unit=(0.03, 0.02, 0.01),
        transit_cost_per_unit=(0.010, 0.005, 0.0),
        capacity_units=(np.inf, 100, np.inf),
        lead_time_periods=(4, 4, 0),
        shortage_cost_per_unit=(0.10, 0.0, 0.0, 0.0),
        orders_wait=False,
        discount=1.0,
    ),
}


@dataclasses.dataclass(frozen=True)
class Params:
    """Parameters of the supply chain."""

    chain: Literal["or-gym", "gym-invmgmt"] = parameter(
        "or-gym", "Which published chain: its costs, capacities, lead times and first stock.", choices=tuple(CHAINS)
    )
    demand_mean_units: float = parameter(20.0, "Mean of the Poisson demand of a period.", 0.1, 100.0)
    unmet_demand: Literal["backlog", "lost-sales"] = parameter(
        "backlog", "Whether unmet demand waits for the next period or is lost.", choices=("backlog", "lost-sales")
    )
    discount: float = parameter(0.0, "Worth of a profit one period later; 0: the chain's own.", 0.0, 1.0)
    maximum_order_units: int = parameter(
        0, "Largest order an agent may place; 0: each link's capacity, 100 where it has no limit.", 0, 1000
    )
    episode_periods: int = parameter(30, "Periods of the season; what is left after it is worth nothing.", 1, 365)


def chain(params: Params) -> Chain:
    """The chain that the parameters name."""
    return CHAINS[params.chain]


def discounts(params: Params) -> npt.NDArray[np.float64]:
    """What a profit of each period counts, float64 [T]."""
    discount = params.discount or chain(params).discount
    return np.asarray(discount ** np.arange(params.episode_periods), np.float64)


def maximum_orders(params: Params) -> npt.NDArray[np.float32]:
    """The largest order on each link in the action space, in units, float32 [3]."""
    if params.maximum_order_units:
        return np.full(STAGES, params.maximum_order_units, np.float32)
    capacity = np.asarray(chain(params).capacity_units, np.float32)
    return np.where(np.isinf(capacity), np.float32(UNLIMITED_ORDER_UNITS), capacity)


def demand_law(params: Params, periods: int = 1) -> Any:
    """The law of the demand of some periods together (a frozen `scipy.stats` distribution)."""
    return stats.poisson(params.demand_mean_units * periods)


@functools.lru_cache
def demand_probabilities(params: Params, tail: float = NEGLIGIBLE) -> npt.NDArray[np.float64]:
    """Probabilities of demand 0, 1, ..., K - 1, float64 [K]; the last holds the tail, so that they sum to 1."""
    return with_tail(demand_law(params), tail)


@functools.lru_cache
def expected_sales(params: Params) -> npt.NDArray[np.float64]:
    """E min(x, D) for x = 0, 1, ..., K - 1 units, float64 [K]; beyond, it is the mean demand to `NEGLIGIBLE`."""
    units = np.arange(len(demand_probabilities(params)))
    return np.concatenate([[0.0], np.cumsum(demand_law(params).sf(units[:-1]))])
