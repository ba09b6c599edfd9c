"""The best profit with all demand known beforehand: a bound that no policy passes, path by path.

The linear program of Perez et al. 2021 (https://doi.org/10.3390/pr9010102), where nothing is ordered that cannot be
shipped: who knows the demand need not. It is a min-cost flow of units through stages and periods, so with whole demands
it has a whole-numbered solution, which the dual simplex method finds.
"""

import functools
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import optimize, sparse

from envs.supply_chain import model
from envs.supply_chain.model import STAGES, Params

Floats = npt.NDArray[np.float64]


class Plan(NamedTuple):
    """The best profit on one demand path, and the orders that earn it."""

    profit: float
    orders: Floats  # [T, 3], units


class _Program(NamedTuple):
    """`min cost @ x` over x = (orders of each link, sales, stock of each stage, unmet demand), T numbers each."""

    cost: Floats
    equalities: "sparse.csr_array"
    equal_to: Floats  # zero in the last T entries, where demand goes
    inequalities: "sparse.csr_array"
    at_most: Floats
    bounds: Floats  # [8 T, 2]


def plan(params: Params, demand: npt.ArrayLike) -> Plan:
    """The best plan for a demand path.

    Args:
        params: the task.
        demand: units, [T].

    Raises:
        ValueError: if the path is not as long as the season.
    """
    periods = params.episode_periods
    demand = np.asarray(demand, np.float64)
    if demand.shape != (periods,):
        raise ValueError(f"demand has shape {demand.shape}; allowed: ({periods},), one number a period")
    program = _program(params)
    equal_to = program.equal_to.copy()
    equal_to[-periods:] = demand
    found = optimize.linprog(
        program.cost,
        A_ub=program.inequalities,
        b_ub=program.at_most,
        A_eq=program.equalities,
        b_eq=equal_to,
        bounds=program.bounds,
        method="highs-ds",
    )
    return Plan(-float(found.fun), found.x[: STAGES * periods].reshape(STAGES, periods).T)


def profits(params: Params, demands: npt.ArrayLike) -> Floats:
    """The best profit on each of N demand paths [N, T], float64 [N]."""
    return np.array([plan(params, demand).profit for demand in np.asarray(demands)])


SALES, STOCK, UNMET = STAGES, STAGES + 1, 2 * STAGES + 1
"""Where the blocks of T numbers stand in x; the orders of link i are block i."""
BLOCKS = UNMET + 1


@functools.lru_cache(maxsize=8)
def _program(params: Params) -> _Program:
    chain, periods = model.chain(params), params.episode_periods
    first = np.eye(1, periods)[0]  # 1 in the first period
    upper = np.full((BLOCKS, periods), np.inf)
    upper[:STAGES] = np.asarray(chain.capacity_units)[:, None]
    return _Program(
        _cost(params).ravel(),
        sparse.csr_array(sparse.block_array([*_balances(params), _demand_met(params)])),
        np.concatenate([*(units * first for units in chain.first_stock_units), np.zeros(periods)]),
        sparse.csr_array(sparse.block_array(_supplies(periods))),
        np.concatenate([units * first for units in chain.first_stock_units[1:]]),
        np.stack([np.zeros(upper.size), upper.ravel()], 1),
    )


def _cost(params: Params) -> Floats:
    """What a unit of each entry of x costs, discounted, float64 [8, T]."""
    chain, periods, worth = model.chain(params), params.episode_periods, model.discounts(params)
    until = np.concatenate([[0.0], np.cumsum(worth)])
    cost = np.zeros((BLOCKS, periods))
    for link, lead in enumerate(chain.lead_time_periods):
        in_transit = until[np.minimum(np.arange(periods) + lead, periods)] - until[:-1]
        cost[link] = worth * chain.outlay_per_unit[link] + in_transit * chain.transit_cost_per_unit[link]
        cost[STOCK + link] = worth * chain.holding_cost_per_unit[link]
    cost[SALES] = -worth * chain.price_per_unit
    cost[UNMET] = worth * chain.shortage_cost_per_unit[0]
    return cost


def _balances(params: Params) -> list[list[Any]]:
    """A row of blocks a stage: stock at the end of a period, less stock before and what arrives, plus what leaves."""
    periods = params.episode_periods
    now, before = sparse.eye_array(periods), _delay(periods, 1)
    rows = []
    for stage, lead in enumerate(model.chain(params).lead_time_periods):
        leaving = stage - 1 if stage else SALES
        rows.append(_row(periods, {STOCK + stage: now - before, stage: -_delay(periods, lead), leaving: now}))
    return rows


def _demand_met(params: Params) -> list[Any]:
    """Sales and unmet demand, less unmet demand that waited."""
    periods = params.episode_periods
    waiting = _delay(periods, 1 if params.unmet_demand == "backlog" else periods)
    return _row(periods, {UNMET: sparse.eye_array(periods) - waiting, SALES: sparse.eye_array(periods)})


def _supplies(periods: int) -> list[list[Any]]:
    """What a stage ships, less what it had at the start of the period: deliveries come after the orders."""
    now, before = sparse.eye_array(periods), _delay(periods, 1)
    return [_row(periods, {stage - 1: now, STOCK + stage: -before}) for stage in range(1, STAGES)]


def _delay(periods: int, lag: int) -> Any:
    """The matrix that takes numbers of each period to `lag` periods later, [T, T]."""
    return sparse.eye_array(periods, k=-lag) if lag < periods else sparse.csr_array((periods, periods))


def _row(periods: int, entries: dict[int, Any]) -> list[Any]:
    """Blocks [T, T] at the given places, zero elsewhere."""
    return [entries.get(block, sparse.csr_array((periods, periods))) for block in range(BLOCKS)]
