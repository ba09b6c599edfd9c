"""Single-item inventory with lost sales and a lead time: state, costs and transitions as pure tensor functions."""

import dataclasses
import functools
from typing import Any, Literal, NamedTuple

import gymnasium
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from scipy import stats

from envs import seeding
from envs.core import NoiseLaw, Objective, Score, TensorEnv, Transition
from envs.parameters import parameter

NEGLIGIBLE = 1e-7
"""Demand beyond the quantile of this tail probability is counted as that quantile."""
LAW_TAIL = 3e-4
"""Likewise, for the law that a learner may take expectations over: fewer outcomes cost less time."""
WARM_UP_PERIODS = 100
"""Periods at the start of an episode that an evaluation leaves out."""


@dataclasses.dataclass(frozen=True)
class Params:
    """Parameters of the lost-sales task."""

    lead_time_periods: int = parameter(4, "Periods from an order to its arrival.", 1, 12)
    demand: Literal["poisson", "geometric"] = parameter(
        "poisson", "Law of a period's demand; geometric counts from 0.", choices=("poisson", "geometric")
    )
    demand_mean_units: float = parameter(5.0, "Mean demand of a period.", 0.1, 50.0)
    holding_cost_per_unit: float = parameter(1.0, "Cost of a unit left over at the end of a period.", 0.0, 1e6)
    lost_sale_cost_per_unit: float = parameter(4.0, "Cost of a unit of demand that is not met.", 0.0, 1e6)
    maximum_order_units: int = parameter(
        0, "Largest order; 0: what a period's demand exceeds with a 14th of the newsvendor's chance.", 0, 1000
    )
    episode_periods: int = parameter(1000, "Periods after which an episode is cut; the task itself never ends.", 1, 10**6)


class State(NamedTuple):
    """Stock at the start of a period, after the delivery and before the order.

    `units[:, 0]` is on hand; `units[:, i]` arrives i periods later.
    """

    units: tf.Tensor  # float32 [B, L], whole numbers


def demand_law(params: Params) -> Any:
    """The law of a period's demand on 0, 1, 2, ..."""
    if params.demand == "poisson":
        return stats.poisson(params.demand_mean_units)
    return stats.geom(1.0 / (1.0 + params.demand_mean_units), loc=-1)


@functools.cache
def demand_probabilities(params: Params, tail: float = NEGLIGIBLE) -> npt.NDArray[np.float64]:
    """Probabilities of demand 0, 1, ..., K - 1, float64 [K]; the last holds the tail, so that they sum to 1."""
    law = demand_law(params)
    most = int(law.isf(tail))
    probabilities = law.pmf(np.arange(most + 1))
    probabilities[-1] += law.sf(most)
    return np.asarray(probabilities / probabilities.sum(), np.float64)


def maximum_order(params: Params) -> int:
    """The largest order that the action space holds.

    Ordering more than a period's demand can reach is never useful. The default is the quantile that demand exceeds
    with a 14th of h / (p + h), the chance that the newsvendor runs short by choice; dynamic programming finds no use
    for more at any of Zipkin's settings (tests/envs/test_lost_sales_optimum.py).
    """
    if params.maximum_order_units:
        return params.maximum_order_units
    h, p = params.holding_cost_per_unit, params.lost_sale_cost_per_unit
    return max(1, int(demand_law(params).isf(h / (p + h) / 14.0))) if p + h > 0 else 1


def period_costs(params: Params, most_on_hand: int) -> npt.NDArray[np.float64]:
    """Expected cost of a period that starts with 0, 1, ..., `most_on_hand` units on hand, float64 [X + 1].

    `h E(y - D)+ + p E(D - y)+`, with the exact demand law: `E(D - y)+ = E D - y + E(y - D)+`.
    """
    on_hand = np.arange(most_on_hand + 1)
    probabilities = demand_law(params).pmf(on_hand)
    left = np.maximum(on_hand[:, None] - on_hand[None], 0) @ probabilities
    short = params.demand_mean_units - on_hand + left
    return params.holding_cost_per_unit * left + params.lost_sale_cost_per_unit * short


class LostSales(TensorEnv[Params]):
    """Order so that stock neither piles up nor runs out (Karlin and Scarf 1958; Zipkin 2008).

    Each period: the order placed L periods ago arrives, an order is placed, demand D comes, and
    `cost = h (y - D)+ + p (D - y)+` with y on hand. Unmet demand is lost. The reward is the negative cost.

    Observation: on hand and the L - 1 orders on the way, soonest first, in units, float32 [L].
    Action: units to order, `Discrete(maximum + 1)`.
    """

    params_type = Params
    objective = Objective.AVERAGE_REWARD
    score = Score("cost", "per period", sign=-1)
    def __init__(self, params: Params) -> None:
        super().__init__(params)
        self.maximum_order = maximum_order(params)
        lead = params.lead_time_periods
        highs = np.array([np.inf] + [self.maximum_order] * (lead - 1), np.float32)
        self.observation_space = gymnasium.spaces.Box(np.zeros(lead, np.float32), highs, dtype=np.float32)
        self.action_space = gymnasium.spaces.Discrete(self.maximum_order + 1)
        self.max_episode_steps = params.episode_periods
        self.warm_up_steps = min(WARM_UP_PERIODS, params.episode_periods // 2)
        probabilities = demand_probabilities(params)
        self._cumulative = tf.constant(np.cumsum(probabilities)[:-1], tf.float32)
        self._costs = tf.constant(period_costs(params, len(probabilities)), tf.float32)

    def reset(self, key: tf.Tensor, batch: int) -> State:
        """Whole numbers, uniform: on hand 0 to 3 times the mean demand, each order on the way 0 to 1.5 times."""
        mean = self.params.demand_mean_units
        limits = tf.constant([3.0 * mean] + [1.5 * mean] * (self.params.lead_time_periods - 1), tf.float32)
        units = tf.floor(seeding.uniform(key, [batch, self.params.lead_time_periods]) * (tf.floor(limits) + 1.0))
        highs = tf.constant(self.observation_space.high, tf.float32)
        return State(tf.minimum(units, highs))

    def noise(self, key: tf.Tensor, batch: int) -> tf.Tensor:
        """Demands, float32 [B], whole numbers, by inversion of the distribution function."""
        below = seeding.uniform(key, [batch, 1]) > self._cumulative
        return tf.reduce_sum(tf.cast(below, tf.float32), -1)

    def step(self, state: State, action: tf.Tensor, noise: tf.Tensor) -> tuple[State, Transition]:
        """One period: order placed, demand met as far as stock goes, next delivery taken in."""
        on_hand = state.units[:, 0]
        left = tf.maximum(on_hand - noise, 0.0)
        short = tf.maximum(noise - on_hand, 0.0)
        pipeline = tf.concat([state.units[:, 1:], tf.cast(action, tf.float32)[:, None]], 1)
        following = tf.concat([left[:, None] + pipeline[:, :1], pipeline[:, 1:]], 1)
        cost = self.params.holding_cost_per_unit * left + self.params.lost_sale_cost_per_unit * short
        return State(following), Transition(-cost, tf.zeros_like(on_hand, tf.bool))

    def observe(self, state: State) -> tf.Tensor:
        """The state itself, float32 [B, L]."""
        return state.units

    def noise_law(self) -> NoiseLaw:
        """Demand 0, 1, ..., K - 1, the last with the tail beyond, which has less than `LAW_TAIL` of the probability."""
        probabilities = demand_probabilities(self.params, LAW_TAIL)
        return NoiseLaw(
            tf.range(len(probabilities), dtype=tf.float32), tf.constant(probabilities, tf.float32)
        )

    def expected_reward(self, state: State, action: tf.Tensor) -> tf.Tensor:
        """Minus the expected cost of this period, which the order placed now cannot change, float32 [B]."""
        del action
        on_hand, known = state.units[:, 0], float(self._costs.shape[0] - 1)
        within = tf.minimum(on_hand, known)
        beyond = self.params.holding_cost_per_unit * (on_hand - within)  # no demand reaches it
        return -(tf.gather(self._costs, tf.cast(within, tf.int32)) + beyond)

    def nominal_observation(self) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Both the mean demand, for each entry."""
        mean = np.full(self.params.lead_time_periods, self.params.demand_mean_units, np.float32)
        return mean, mean
