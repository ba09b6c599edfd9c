"""Exact costs of the lost-sales task by dynamic programming: the optimum, and any policy on its reachable states.

States are rows (on hand, due in 1, ..., due in L - 1 periods), as observations are. All bounds come from
`min (TV - V) <= gain <= max (TV - V)`, which holds for any V, converged or not (Puterman 1994, theorem 8.5.5).
"""

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt
from scipy import sparse

from envs.inventory.model import Params, leftover_probabilities, maximum_order, period_costs, stock_bounds

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Orders = Callable[[Integers], Integers]
"""A policy: states [N, L] -> units to order [N]."""

OPTIMUM_CELLS = 5_000_000
"""Largest table of states and orders that the optimum is computed on: up to some seconds and half a gigabyte."""
GRID_STATES = 500_000
"""Most states in which a policy is asked for its order."""
POLICY_STATES = 2_000_000
"""Largest table of states that a policy's cost is computed on."""
POLICY_MOVES = 10_000_000
"""Most moves from state to state that a policy's cost is computed on: up to some seconds and a gigabyte."""
TOLERANCE = 1e-6
"""Width of the interval at which iteration stops, in cost per period."""
SWEEPS = 20_000
"""Sweeps after which iteration stops with the interval it has."""
NEGLIGIBLE_SHARE = 1e-9
"""Share of periods at the stock limit up to which the limit is taken not to matter."""


class Optimum(NamedTuple):
    """The optimal policy's cost per period, between proved bounds, and its orders by state."""

    lower: float
    upper: float
    orders: Integers  # [Y, M + 1, ..., M + 1], one axis for each entry of a state


class Chain(NamedTuple):
    """The states that a policy reaches, its orders there, and the probabilities of moving between them."""

    states: Integers  # [S, L]
    orders: Integers  # [S]
    moves: "sparse.csr_array"  # float64 [S, S]


class PolicyCost(NamedTuple):
    """A policy's cost per period, between proved bounds, and how many states it reaches."""

    lower: float
    upper: float
    states: int

    @property
    def middle(self) -> float:
        """The middle of the bounds."""
        return (self.lower + self.upper) / 2


def optimum_cells(params: Params) -> int:
    """How large a table of states and orders the optimum needs."""
    bounds = stock_bounds(params)
    return (bounds[0] + 1) * (bounds[-1] + 1) ** params.lead_time_periods


@functools.lru_cache(maxsize=64)
def optimum(params: Params) -> Optimum | None:
    """The optimum by relative value iteration, None if the table is larger than `OPTIMUM_CELLS`.

    The search is over orders within `stock_bounds`, which hold an optimal policy; the states they reach are closed, so
    the table is complete. `maximum_order_units` and `episode_periods` are left aside.
    """
    if optimum_cells(params) > OPTIMUM_CELLS:
        return None
    bounds, lead = stock_bounds(params), params.lead_time_periods
    stock, most = bounds[0], bounds[-1]
    shape = (stock + 1,) + (most + 1,) * lead  # on hand, due in 1, ..., due in L - 1, order
    units = np.indices(shape, dtype=np.int16)
    later = np.cumsum(units[::-1], axis=0)[::-1]  # [l]: units that arrive in l periods or later, with the new order
    limits = np.reshape(bounds, (lead + 1,) + (1,) * (lead + 1))
    forbidden = np.where((later > limits).any(0) & (units[-1] > 0), np.inf, 0.0)
    # Within the bounds, or there because nothing was ordered since: what one can get to from an empty system.
    reachable = (later[:-1, ..., 0] <= limits[:-1, ..., 0]).all(0)
    costs = period_costs(params, stock).reshape((-1,) + (1,) * (lead - 1))
    leftover = leftover_probabilities(params, stock)
    delivered = np.minimum(np.arange(stock + 1)[:, None] + np.arange(most + 1), stock)
    values = np.zeros(shape[:-1])
    for _ in range(SWEEPS):
        following = (leftover @ values[delivered].reshape(stock + 1, -1)).reshape(shape) + forbidden
        updated = costs + following.min(-1)
        change = (updated - values)[reachable]
        values = updated - updated.flat[0]
        if change.max() - change.min() < TOLERANCE:
            break
    return Optimum(float(change.min()), float(change.max()), following.argmin(-1))


def chain(
    params: Params, orders: Orders, most_stock: int, most_order: int, most_moves: int = POLICY_MOVES
) -> Chain | None:
    """The states that a policy reaches from an empty system, and how it moves between them.

    Stock above `most_stock` is counted as `most_stock`.

    Args:
        params: the task.
        orders: the policy; never orders more than `most_order`.
        most_stock: stock that the policy should never reach.
        most_order: largest order.
        most_moves: moves up to which the chain is made.

    Returns:
        None if the table of states would be larger than `POLICY_STATES`, or if there are more moves than `most_moves`.
    """
    lead = params.lead_time_periods
    if (most_stock + 1) * (most_order + 1) ** (lead - 1) > POLICY_STATES:
        return None
    radix = (most_order + 1) ** np.arange(lead - 1, -1, -1, dtype=np.int64)  # what each entry weighs in a state's key
    reached = _reach(orders, most_stock, radix, most_moves)
    if reached is None:
        return None
    states, placed = reached
    keys = states @ radix
    by_key = np.argsort(keys)
    states, placed, keys = states[by_key], placed[by_key], keys[by_key]
    rows, left, successors = _successors(states, placed, most_stock)
    columns = np.searchsorted(keys, successors @ radix)
    chances = leftover_probabilities(params, most_stock)[states[rows, 0], left]
    moves = sparse.csr_array((chances, (rows, columns)), shape=(len(keys), len(keys)))
    return Chain(states, placed, moves)


def policy_cost(
    params: Params, orders: Orders, most_stock: int, most_order: int, most_moves: int = POLICY_MOVES
) -> PolicyCost | None:
    """The cost per period of a policy from an empty system, by value iteration on the states it reaches.

    The arguments are those of `chain`.

    Returns:
        None if `chain` is None, or if the policy lets stock reach `most_stock` in more than `NEGLIGIBLE_SHARE` of the
        periods.
    """
    found = chain(params, orders, most_stock, most_order, most_moves)
    if found is None:
        return None
    on_hand = found.states[:, 0]
    if on_hand.max() == most_stock and shares(found)[on_hand == most_stock].sum() > NEGLIGIBLE_SHARE:
        return None
    costs = period_costs(params, most_stock)[on_hand]
    values = np.zeros(len(costs))
    for _ in range(SWEEPS):
        updated = costs + found.moves @ values
        change = updated - values
        values = updated - updated[0]
        if change.max() - change.min() < TOLERANCE:
            break
    return PolicyCost(float(change.min()), float(change.max()), len(costs))


def shares(found: Chain) -> Floats:
    """The share of periods that a policy spends in each of its states in the long run, float64 [S]."""
    share = np.full(len(found.states), 1.0 / len(found.states))
    backward = found.moves.T.tocsr()
    for _ in range(SWEEPS):
        following = backward @ share
        moved = float(np.abs(following - share).sum())
        share = following
        if moved < NEGLIGIBLE_SHARE / 10:
            break
    return np.asarray(share, np.float64)


@dataclasses.dataclass(frozen=True)
class PolicyGrid:
    """A policy's orders in every state of a grid that is twice as high as an optimal policy's stock.

    Attributes:
        params: the task.
        orders: int64 [X + 1, M + 1, ..., M + 1], one axis for each entry of a state.
    """

    params: Params
    orders: Integers

    @classmethod
    def of(cls, params: Params, policy: Callable[[npt.NDArray[np.float32]], npt.NDArray[np.int64]]) -> Self | None:
        """Asks a policy for all its orders at once.

        Args:
            params: the task.
            policy: observations float32 [N, L] -> actions [N].

        Returns:
            None if the grid has more than `GRID_STATES` states.
        """
        lead = params.lead_time_periods
        shape = (2 * stock_bounds(params)[0] + 1,) + (maximum_order(params) + 1,) * (lead - 1)
        if math.prod(shape) > GRID_STATES:
            return None
        states = np.indices(shape).reshape(lead, -1).T
        return cls(params, np.asarray(policy(states.astype(np.float32)), np.int64).reshape(shape))

    def __call__(self, states: Integers) -> Integers:
        """Units to order [N] in states [N, L]."""
        return np.asarray(self.orders[tuple(states.T)], np.int64)

    def chain(self) -> Chain | None:
        """`chain` of the policy."""
        return chain(self.params, self, self.orders.shape[0] - 1, maximum_order(self.params))

    def cost(self) -> PolicyCost | None:
        """`policy_cost` of the policy."""
        return policy_cost(self.params, self, self.orders.shape[0] - 1, maximum_order(self.params))


def _reach(orders: Orders, most_stock: int, radix: Integers, most_moves: int) -> tuple[Integers, Integers] | None:
    """The states that a policy reaches from an empty system, and its orders there, int64 [S, L] and [S].

    None if there are more than `most_moves` moves between them.
    """
    seen = np.zeros((most_stock + 1) * int(radix[0]), bool)
    seen[0] = True
    wave = np.zeros((1, len(radix)), np.int64)
    states, chosen, moves = [], [], 0
    while len(wave):
        moves += int((wave[:, 0] + 1).sum())
        if moves > most_moves:
            return None
        placed = orders(wave)
        states.append(wave)
        chosen.append(placed)
        keys = np.unique(_successors(wave, placed, most_stock)[2] @ radix)
        keys = keys[~seen[keys]]
        seen[keys] = True
        wave = keys[:, None] // radix
        wave[:, 1:] -= wave[:, :-1] * (radix[:-1] // radix[1:])
    return np.concatenate(states), np.concatenate(chosen)


def _successors(states: Integers, orders: Integers, most_stock: int) -> tuple[Integers, Integers, Integers]:
    """All next states, with 0, 1, ..., y units left of y: the row they come from [M], units left [M], states [M, L]."""
    counts = states[:, 0] + 1
    rows = np.repeat(np.arange(len(states)), counts)
    left = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    following = np.concatenate([states[:, 1:], orders[:, None]], 1)[rows]
    following[:, 0] = np.minimum(following[:, 0] + left, most_stock)
    return rows, left, following
