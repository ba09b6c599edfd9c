"""The best profit with all demand known beforehand: a bound that no policy passes, path by path.

The season is a min-cost flow of units through stages and periods (Perez et al. 2021, Processes 9(1):102, section 3.1,
without its logic for over-ordering: who knows the demand never orders what cannot be shipped). With whole demands its
linear program has a whole-numbered solution, which the dual simplex method finds.
"""

import functools
from typing import NamedTuple

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


@functools.lru_cache(maxsize=8)
def _program(params: Params) -> _Program:
    chain, periods, worth = model.chain(params), params.episode_periods, model.discounts(params)
    now, before = sparse.eye_array(periods), sparse.eye_array(periods, k=-1)
    first = np.eye(1, periods)[0]  # 1 in the first period
    stages = range(STAGES)
    orders, sales, stock, unmet = slice(0, STAGES), STAGES, STAGES + 1, 2 * STAGES + 1

    def row(entries: dict[int, "sparse.sparray"]) -> list["sparse.sparray"]:
        empty = sparse.csr_array((periods, periods))
        return [entries.get(block, empty) for block in range(unmet + 1)]

    def leaving(stage: int) -> int:
        return stage - 1 if stage else sales

    balances = [
        row(
            {
                stock + stage: now - before,
                stage: -sparse.eye_array(periods, k=-chain.lead_time_periods[stage]),
                leaving(stage): now,
            }
        )
        for stage in stages
    ]
    waiting = before if params.unmet_demand == "backlog" else sparse.csr_array((periods, periods))
    demands = row({unmet: now - waiting, sales: now})
    # A stage ships out of what it had at the start of the period: deliveries come after the orders.
    on_hand = [row({stage - 1: now, stock + stage: -before}) for stage in stages[1:]]
    cost = np.zeros((unmet + 1, periods))
    for link in stages:
        ends = np.minimum(np.arange(periods) + chain.lead_time_periods[link], periods)
        until = np.concatenate([[0.0], np.cumsum(worth)])
        in_transit = until[ends] - until[:-1]
        cost[link] = worth * chain.outlay_per_unit[link] + in_transit * chain.transit_cost_per_unit[link]
        cost[stock + link] = worth * chain.holding_cost_per_unit[link]
    cost[sales] = -worth * chain.price_per_unit
    cost[unmet] = worth * chain.shortage_cost_per_unit[0]
    upper = np.full((unmet + 1, periods), np.inf)
    upper[orders] = np.asarray(chain.capacity_units)[:, None]
    return _Program(
        cost.ravel(),
        sparse.csr_array(sparse.block_array([*balances, demands])),
        np.concatenate([*(units * first for units in chain.first_stock_units), np.zeros(periods)]),
        sparse.csr_array(sparse.block_array(on_hand)),
        np.concatenate([units * first for units in chain.first_stock_units[1:]]),
        np.stack([np.zeros(upper.size), upper.ravel()], 1),
    )
