"""A supply chain of three stages in a row: state, profit and transitions as pure tensor functions."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import gymnasium
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from envs import seeding
from envs.core import NoiseLaw, Score, StatePolicy, TensorEnv, Transition
from envs.inventory.model import LAW_TAIL
from envs.supply_chain import baselines, model, render
from envs.supply_chain.model import STAGES, Params

PICTURE_EPISODES = 256


class State(NamedTuple):
    """The chain at the start of a period, before orders."""

    on_hand: tf.Tensor  # float32 [B, 3], whole units at each stage
    on_the_way: tf.Tensor  # float32 [B, sum of lead times], link by link, what arrives soonest first
    waiting: tf.Tensor  # float32 [B, 4], unmet demand of customers and unmet orders on each link
    period: tf.Tensor  # int32 [B], from 0


class Shipment(NamedTuple):
    """What a period's orders set in motion."""

    ordered: tf.Tensor  # float32 [B, 3], with what waited
    shipped: tf.Tensor  # float32 [B, 3]
    arrived: tf.Tensor  # float32 [B, 3]
    on_the_way: tf.Tensor  # float32 [B, sum of lead times], afterwards


class InventoryManagement(TensorEnv[Params]):
    """Order at each stage of a chain so that customers are served and little is left at the end of the season.

    One period (Hubbs et al. 2020, https://arxiv.org/abs/2008.06319):

    1. Each stage orders; a supplier ships at most its link's capacity and what it has on hand.
    2. What was shipped a lead time ago arrives.
    3. Demand comes to stage 0 and is met as far as stock goes.
    4. Profit: sales, less outlays, shortages, stock on hand and on the way at the end.

    The reward is the profit times the discount to the power of the period, so the return is the score. The season's
    end terminates: what is left has no value.

    Observation: on hand [3], on the way [sum of lead times], unmet demand and orders [4], periods left [1], float32.
    Action: units to order on each link, `Box` [3]; `step` rounds to whole units and takes more than the bounds too.
    """

    params_type = Params
    score = Score("profit", "per season")

    def __init__(self, params: Params) -> None:
        super().__init__(params)
        chain = self.chain = model.chain(params)
        self._links = sum(chain.lead_time_periods)
        width = STAGES + self._links + STAGES + 1 + 1
        self.observation_space = gymnasium.spaces.Box(0.0, np.inf, (width,), np.float32)
        self.action_space = gymnasium.spaces.Box(np.zeros(STAGES, np.float32), model.maximum_orders(params))
        self.max_episode_steps = params.episode_periods
        self._cumulative = np.cumsum(model.demand_probabilities(params))[:-1].astype(np.float32)
        self._expected_sales = model.expected_sales(params).astype(np.float32)
        self._worth = model.discounts(params).astype(np.float32)
        backlog = params.unmet_demand == "backlog"
        self._waits = np.array([backlog, *[backlog and chain.orders_wait] * STAGES], np.float32)

    def reset(self, key: tf.Tensor, batch: int) -> State:
        """Always the chain's first stock, nothing on the way and nothing owed."""
        del key
        return State(
            tf.tile(tf.constant([self.chain.first_stock_units], tf.float32), [batch, 1]),
            tf.zeros([batch, self._links]),
            tf.zeros([batch, STAGES + 1]),
            tf.zeros([batch], tf.int32),
        )

    def noise(self, key: tf.Tensor, batch: int) -> tf.Tensor:
        """Demands, float32 [B], whole numbers, by inversion of the distribution function."""
        exceeded = seeding.uniform(key, [batch, 1]) >= self._cumulative
        return tf.reduce_sum(tf.cast(exceeded, tf.float32), -1)

    def step(self, state: State, action: tf.Tensor, noise: tf.Tensor) -> tuple[State, Transition]:
        """One period: orders, deliveries, demand, profit."""
        shipment = self._ship(state, action)
        available = state.on_hand[:, 0] + shipment.arrived[:, 0]
        due = noise + state.waiting[:, 0]
        sold = tf.minimum(available, due)
        left = tf.concat([sold[:, None], shipment.shipped[:, :-1]], 1)
        on_hand = state.on_hand + shipment.arrived - left
        unmet = tf.concat([(due - sold)[:, None], shipment.ordered - shipment.shipped], 1)
        reward = self._profit(shipment, sold, on_hand, unmet) * tf.gather(self._worth, state.period)
        following = State(on_hand, shipment.on_the_way, unmet * self._waits, state.period + 1)
        return following, Transition(reward, following.period >= self.params.episode_periods)

    def observe(self, state: State) -> tf.Tensor:
        """The state, with the periods left in place of the period, float32 [B, 8 + sum of lead times]."""
        left = tf.cast(self.params.episode_periods - state.period, tf.float32)
        return tf.concat([state.on_hand, state.on_the_way, state.waiting, left[:, None]], 1)

    def noise_law(self) -> NoiseLaw:
        """Demand 0, 1, ..., K - 1, the last with the tail beyond, which has less than `LAW_TAIL` of the probability."""
        probabilities = model.demand_probabilities(self.params, LAW_TAIL)
        return NoiseLaw(tf.range(len(probabilities), dtype=tf.float32), tf.constant(probabilities, tf.float32))

    def expected_reward(self, state: State, action: tf.Tensor) -> tf.Tensor:
        """The reward at mean sales: stock left and demand unmet are linear in sales and demand, float32 [B]."""
        shipment = self._ship(state, action)
        available, waiting = state.on_hand[:, 0] + shipment.arrived[:, 0], state.waiting[:, 0]
        free = tf.clip_by_value(available - waiting, 0.0, len(self._expected_sales) - 1.0)
        sold = tf.minimum(available, waiting) + tf.gather(self._expected_sales, tf.cast(free, tf.int32))
        left = tf.concat([sold[:, None], shipment.shipped[:, :-1]], 1)
        on_hand = state.on_hand + shipment.arrived - left
        short = self.params.demand_mean_units + waiting - sold
        unmet = tf.concat([short[:, None], shipment.ordered - shipment.shipped], 1)
        return self._profit(shipment, sold, on_hand, unmet) * tf.gather(self._worth, state.period)

    def nominal_observation(self) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Half the first stock for stock on hand, the mean demand for what moves or is owed, the middle of the season.

        Each is its own deviation; what is owed has mean 0.
        """
        demand, middle = self.params.demand_mean_units, self.params.episode_periods / 2
        stock = [units / 2 for units in self.chain.first_stock_units]
        mean = np.array([*stock, *[demand] * self._links, *[0.0] * (STAGES + 1), middle], np.float32)
        deviation = np.array([*stock, *[demand] * self._links, *[demand] * (STAGES + 1), middle], np.float32)
        return mean, deviation

    def baselines(self) -> Mapping[str, StatePolicy]:
        """The mean demand on every link; base-stock with levels that hold to the end, or that heed the season's end.

        The levels are searched for when a rule is first called, once per process.
        """

        def mean_demand(state: State, key: tf.Tensor) -> tf.Tensor:
            del key
            return tf.zeros_like(state.on_hand) + round(self.params.demand_mean_units)

        def ordering_up(find: Callable[[Params], baselines.BaseStock]) -> StatePolicy:
            def order(state: State, key: tf.Tensor) -> tf.Tensor:
                del key
                targets = tf.constant(find(self.params).targets(self.params), tf.float32)
                stock = state.on_hand + self._units_on_links(state.on_the_way)
                position = tf.cumsum(stock, axis=1) - state.waiting[:, :1]
                return tf.clip_by_value(tf.gather(targets, state.period) - position, 0.0, self._limits(state))

            return order

        return {
            "mean-demand": mean_demand,
            "base-stock": ordering_up(baselines.best_base_stock),
            "horizon-base-stock": ordering_up(baselines.best_horizon_base_stock),
        }

    def policy_picture(self, policy: Callable[[npt.NDArray[np.float32]], npt.NDArray[Any]]) -> dict[str, Any]:
        """Units that stage 0 orders, as a heatmap over the period and the units that it has, awaits and owes."""
        key = seeding.key_from_seed(0, seeding.Split.HELD_OUT)
        state = self.reset(key, PICTURE_EPISODES)
        positions, orders = [], []
        for period in range(self.params.episode_periods):
            action = np.round(policy(self.observe(state).numpy()))
            units = state.on_hand + self._units_on_links(state.on_the_way)
            positions.append((units[:, 0] - state.waiting[:, 0]).numpy())
            orders.append(action[:, 0])
            demand = self.noise(seeding.fold(key, period), PICTURE_EPISODES)
            state, _ = self.step(state, tf.constant(action, tf.float32), demand)
        return render.policy_picture(np.stack(positions), np.stack(orders))

    def render(self, state: State, row: int = 0) -> npt.NDArray[np.uint8]:
        """Bars of stock on hand, on the way and owed at each stage, RGB [200, 300, 3]."""
        on_the_way = self._units_on_links(state.on_the_way)
        return render.bars(
            np.asarray(state.on_hand[row]),
            np.asarray(on_the_way[row]),
            np.asarray(state.waiting[row]),
            max(self.chain.first_stock_units),
        )

    def _limits(self, state: State) -> tf.Tensor:
        """What each link can ship now: its capacity, and what its supplier has on hand, float32 [B, 3]."""
        stock = state.on_hand[:, 1:]
        supply = tf.concat([stock, tf.fill([tf.shape(stock)[0], 1], np.float32(np.inf))], 1)
        return tf.minimum(supply, tf.constant(self.chain.capacity_units, tf.float32))

    def _ship(self, state: State, action: tf.Tensor) -> Shipment:
        """Steps 1 and 2 of a period."""
        ordered = tf.round(tf.maximum(action, 0.0)) + state.waiting[:, 1:]
        shipped = tf.minimum(ordered, self._limits(state))
        arrived, on_the_way = [], []
        for link, queue in enumerate(tf.split(state.on_the_way, self.chain.lead_time_periods, 1)):
            queue = tf.concat([queue, shipped[:, link : link + 1]], 1)
            arrived.append(queue[:, :1])
            on_the_way.append(queue[:, 1:])
        return Shipment(ordered, shipped, tf.concat(arrived, 1), tf.concat(on_the_way, 1))

    def _units_on_links(self, on_the_way: tf.Tensor) -> tf.Tensor:
        """Units on the way on each link, float32 [B, 3]."""
        queues = tf.split(on_the_way, self.chain.lead_time_periods, 1)
        return tf.stack([tf.reduce_sum(queue, 1) for queue in queues], 1)

    def _profit(self, shipment: Shipment, sold: tf.Tensor, on_hand: tf.Tensor, unmet: tf.Tensor) -> tf.Tensor:
        """One period's profit before discounting, float32 [B]; linear in `sold`, `on_hand` and `unmet`."""
        chain = self.chain
        costs = (
            shipment.shipped * chain.outlay_per_unit
            + on_hand * chain.holding_cost_per_unit
            + self._units_on_links(shipment.on_the_way) * chain.transit_cost_per_unit
        )
        shortages = unmet * chain.shortage_cost_per_unit
        return chain.price_per_unit * sold - tf.reduce_sum(costs, 1) - tf.reduce_sum(shortages, 1)
