"""Single-item inventory with lost sales and a lead time: state, costs and transitions as pure tensor functions."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import gymnasium
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from envs import seeding
from envs.core import ExactScore, NoiseLaw, Objective, Score, StatePolicy, TensorEnv, Transition
from envs.inventory import baselines, exact, render
from envs.inventory.model import LAW_TAIL, Params, demand_probabilities, maximum_order, period_costs

WARM_UP_PERIODS = 100
"""Periods at the start of an episode that an evaluation leaves out."""


class State(NamedTuple):
    """Stock at the start of a period, after the delivery and before the order.

    `units[:, 0]` is on hand; `units[:, i]` arrives i periods later.
    """

    units: tf.Tensor  # float32 [B, L], whole numbers


class LostSales(TensorEnv[Params]):
    """Order so that stock neither piles up nor runs out (Karlin and Scarf 1958; Zipkin 2008).

    Each period: the order placed L periods ago arrives, an order is placed, demand D comes, and
    `cost = h (y - D)+ + p (D - y)+` with y on hand. Unmet demand is lost. The reward is the negative cost.

    Observation: on hand and the L - 1 orders on the way, soonest first, in units, float32 [L].
    Action: units to order, `Discrete(maximum + 1)`. The maximum binds agents; `step` takes any order, as the baselines
    of the literature know no maximum.
    """

    params_type = Params
    objective = Objective.AVERAGE_REWARD
    score = Score("cost", "per period", sign=-1)

    def __init__(self, params: Params) -> None:
        super().__init__(params)
        self.maximum_order = maximum_order(params)
        lead = params.lead_time_periods
        self.observation_space = gymnasium.spaces.Box(0.0, np.inf, (lead,), np.float32)
        self.action_space = gymnasium.spaces.Discrete(self.maximum_order + 1)
        self.max_episode_steps = params.episode_periods
        self.warm_up_steps = min(WARM_UP_PERIODS, params.episode_periods // 2)
        probabilities = demand_probabilities(params)
        self._cumulative = np.cumsum(probabilities)[:-1].astype(np.float32)
        self._costs = period_costs(params, len(probabilities)).astype(np.float32)

    def reset(self, key: tf.Tensor, batch: int) -> State:
        """Whole numbers, uniform: on hand 0 to 3 times the mean demand, each order on the way 0 to the maximum."""
        lead = self.params.lead_time_periods
        outcomes = [np.floor(3.0 * self.params.demand_mean_units) + 1.0] + [self.maximum_order + 1.0] * (lead - 1)
        return State(tf.floor(seeding.uniform(key, [batch, lead]) * tf.constant(outcomes, tf.float32)))

    def noise(self, key: tf.Tensor, batch: int) -> tf.Tensor:
        """Demands, float32 [B], whole numbers, by inversion of the distribution function."""
        exceeded = seeding.uniform(key, [batch, 1]) >= self._cumulative
        return tf.reduce_sum(tf.cast(exceeded, tf.float32), -1)

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
        return NoiseLaw(tf.range(len(probabilities), dtype=tf.float32), tf.constant(probabilities, tf.float32))

    def expected_reward(self, state: State, action: tf.Tensor) -> tf.Tensor:
        """Minus the expected cost of this period, which the order placed now cannot change, float32 [B]."""
        del action
        on_hand = state.units[:, 0]
        within = tf.minimum(on_hand, len(self._costs) - 1.0)
        beyond = self.params.holding_cost_per_unit * (on_hand - within)  # no demand reaches it
        return -(tf.gather(self._costs, tf.cast(within, tf.int32)) + beyond)

    def nominal_observation(self) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Both the mean demand, for each entry."""
        mean = np.full(self.params.lead_time_periods, self.params.demand_mean_units, np.float32)
        return mean, mean

    def optimum(self) -> float | None:
        """The least cost per period, to `exact.TOLERANCE`; None if the task is too large for dynamic programming."""
        found = exact.optimum(self.params)
        return None if found is None else (found.lower + found.upper) / 2

    def baselines(self) -> Mapping[str, StatePolicy]:
        """Constant order, base-stock and capped base-stock, each with its best parameters.

        The parameters are searched for when a rule is first called, once per process.
        """

        def constant_order(state: State, key: tf.Tensor) -> tf.Tensor:
            del key
            return tf.zeros_like(state.units[:, 0], tf.int32) + baselines.best_constant_order(self.params)

        def ordering_up(find: Callable[[Params], baselines.BaseStock]) -> StatePolicy:
            def order(state: State, key: tf.Tensor) -> tf.Tensor:
                del key
                rule = find(self.params)
                position = tf.cast(tf.reduce_sum(state.units, -1), tf.int32)
                return tf.clip_by_value(rule.level - position, 0, rule.cap)

            return order

        return {
            "constant-order": constant_order,
            "base-stock": ordering_up(baselines.best_base_stock),
            "capped-base-stock": ordering_up(baselines.best_capped_base_stock),
        }

    def exact_score(self, policy: Callable[[npt.NDArray[np.float32]], npt.NDArray[np.int64]]) -> ExactScore | None:
        """The policy's cost per period from an empty system, by value iteration on the states that it reaches.

        None if the task is too large, or if the policy lets stock grow past twice what an optimal one may hold.
        """
        grid = exact.PolicyGrid.of(self.params, policy)
        found = None if grid is None else grid.cost()
        if found is None:
            return None
        method = "value iteration over all states that the policy reaches, with the exact law of demand"
        return ExactScore(found.middle, found.lower, found.upper, found.states, method)

    def policy_picture(
        self, policy: Callable[[npt.NDArray[np.float32]], npt.NDArray[np.int64]]
    ) -> dict[str, Any] | None:
        """Units ordered, as a heatmap over stock on hand and on the way; None if the task is too large."""
        grid = exact.PolicyGrid.of(self.params, policy)
        return None if grid is None else render.policy_picture(grid)

    def render(self, state: State, row: int = 0) -> npt.NDArray[np.uint8]:
        """Bars of stock on hand and of each order on the way, RGB [200, 300, 3]."""
        return render.bars(np.asarray(state.units[row]), self.params.demand_mean_units)
