"""Costs by dynamic programming, against the literature, against a wider search and against simulation."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from envs import registry, seeding
from envs.inventory import baselines, exact, model
from envs.inventory.dynamics import LostSales, State

# Zipkin, "Old and new methods for lost-sales inventory systems", Operations Research 56(5), 2008: demand of mean 5,
# holding cost 1, lead times 1 to 4.
OPTIMUM = {
    ("poisson", 4): (4.041, 4.395, 4.599, 4.729),
    ("poisson", 9): (5.438, 6.094, 6.531, 6.836),
    ("poisson", 19): (6.676, 7.664, 8.363, 8.887),
    ("geometric", 4): (9.817, 10.240, 10.467, 10.606),
}
BASE_STOCK = (4.162, 4.637, 4.973, 5.199)
BASE_STOCK_EXACT = (4.1628, 4.6386, 4.9750, 5.1978)


def params(lead=4, penalty=4, demand="poisson", **others):
    return registry.check(
        "slipway/LostSales-v0", lead_time_periods=lead, lost_sale_cost_per_unit=penalty, demand=demand, **others
    )


@pytest.mark.parametrize(("demand", "penalty"), OPTIMUM)
@pytest.mark.parametrize("lead", [1, 2, 3, 4])
def test_the_optimum_is_zipkins_to_three_decimals(demand, penalty, lead):
    found = exact.optimum(params(lead, penalty, demand))
    assert found.upper - found.lower < exact.TOLERANCE
    assert (found.lower + found.upper) / 2 == pytest.approx(OPTIMUM[demand, penalty][lead - 1], abs=5.1e-4)


@pytest.mark.parametrize(("demand", "penalty"), OPTIMUM)
def test_no_optimal_order_reaches_beyond_the_bounds(demand, penalty, monkeypatch):
    """The bounds are a theorem; doubling them all must change neither the cost nor the orders that are placed."""
    given = params(2, penalty, demand)
    narrow = exact.optimum(given)
    bounds = model.stock_bounds(given)
    monkeypatch.setattr(exact, "stock_bounds", lambda _: tuple(2 * bound for bound in bounds))
    wide = exact.optimum.__wrapped__(given)
    assert wide.lower == pytest.approx(narrow.lower, abs=2e-6)
    assert narrow.orders.max() <= bounds[-1]


@pytest.mark.parametrize("lead", [1, 2, 3, 4])
def test_the_best_base_stock_costs_what_zipkin_says_to_two_thousandths(lead):
    cost = baselines.cost(params(lead), baselines.best_base_stock(params(lead)))
    assert cost == pytest.approx(BASE_STOCK[lead - 1], abs=2e-3)
    assert cost == pytest.approx(BASE_STOCK_EXACT[lead - 1], abs=5.1e-5)


@pytest.mark.parametrize("lead", [1, 2, 3])
def test_the_differences_come_from_orders_of_at_most_10(lead):
    """With orders limited to 10, as a table of states needs some limit, three of the four figures come out."""
    given = params(lead)
    level = baselines.best_base_stock(given).level
    limited = baselines.BaseStock(level, 10)
    assert baselines.cost(given, limited) == pytest.approx(BASE_STOCK[lead - 1], abs=5.1e-4)


def test_the_search_finds_the_best_parameters_of_all():
    given = params(2)
    levels = {level: baselines.cost(given, baselines.BaseStock(level, level)) for level in range(8, 25)}
    assert baselines.best_base_stock(given).level == min(levels, key=levels.get)
    rules = [baselines.BaseStock(level, cap) for level, cap in itertools.product(range(10, 25), range(3, 10))]
    assert baselines.best_capped_base_stock(given) == min(rules, key=lambda rule: baselines.cost(given, rule))


def test_the_capped_base_stock_is_one_and_a_half_per_cent_off_the_optimum():
    env = LostSales(params())
    rule = baselines.best_capped_base_stock(env.params)
    assert baselines.cost(env.params, rule) / env.optimum() - 1 == pytest.approx(0.015, abs=1e-3)


@pytest.mark.parametrize(
    ("demand", "mean", "order"),
    [("poisson", 5, 4), ("poisson", 5, 1), ("poisson", 2.5, 2), ("geometric", 5, 3), ("geometric", 2.5, 2)],
)
def test_a_constant_orders_formula_agrees_with_value_iteration(demand, mean, order):
    given = params(1, demand=demand, demand_mean_units=mean)
    swept = exact.policy_cost(given, lambda states: np.full(len(states), order), 600, order)
    assert swept.lower - 1e-9 < baselines.constant_order_cost(given, order) < swept.upper + 1e-9


def test_the_best_constant_order_does_not_depend_on_the_lead_time():
    assert baselines.best_constant_order(params(1)) == baselines.best_constant_order(params(12)) == 4
    assert baselines.constant_order_cost(params(12), 4) == pytest.approx(5.27, abs=6e-3)


@pytest.mark.parametrize(
    ("demand", "mean", "penalty", "order"),
    [
        ("poisson", 5.01, 4, 4),
        ("poisson", 5.00002, 1e6, 5),  # a drift so small is worth it only where a lost sale costs a fortune
        ("poisson", 5.000001, 1e6, 4),
        ("poisson", 0.1, 4, 0),
        ("geometric", 50, 4, 33),
    ],
)
def test_constant_orders_near_the_mean_demand_are_priced_too(demand, mean, penalty, order):
    given = params(2, penalty, demand, demand_mean_units=mean)
    assert baselines.best_constant_order(given) == order
    assert 0 < baselines.constant_order_cost(given, order) <= penalty * mean


def test_where_ordering_never_pays_no_rule_orders():
    given = params(2, 1e-3, holding_cost_per_unit=1e6)
    assert baselines.best_base_stock(given).level == baselines.best_capped_base_stock(given).level == 0
    assert baselines.best_constant_order(given) == 0
    found = exact.optimum(given)
    assert found.orders.max() == 0
    assert (found.lower + found.upper) / 2 == pytest.approx(5e-3, abs=1e-6)


def test_a_coarse_search_ends_where_a_fine_one_does(monkeypatch):
    given = params(2, demand_mean_units=20)
    assert len(baselines._strides(given)) > 1
    coarse = baselines.best_base_stock(given), baselines.best_capped_base_stock(given)
    monkeypatch.setattr(baselines, "_strides", lambda _: [1])
    assert (baselines.best_base_stock.__wrapped__(given), baselines.best_capped_base_stock.__wrapped__(given)) == coarse


def test_a_chain_with_too_many_moves_is_not_made():
    given, rule = params(3), baselines.BaseStock(20, 5)
    moves = exact.chain(given, rule, 21, 5).moves.nnz
    assert exact.chain(given, rule, 21, 5, moves) is not None
    assert exact.chain(given, rule, 21, 5, moves - 1) is None
    assert exact.policy_cost(given, rule, 21, 5, moves - 1) is None


def test_the_optimal_policys_exact_score_is_the_optimum():
    env = LostSales(params(3))
    orders = exact.optimum(env.params).orders

    def policy(observations):
        states = np.minimum(observations.astype(int), np.array(orders.shape) - 1)
        return orders[tuple(states.T)]

    score = env.exact_score(policy)
    assert score.lower <= score.score <= score.upper < score.lower + 2 * exact.TOLERANCE
    assert score.score == pytest.approx(env.optimum(), abs=3e-6)


def test_the_transitions_of_the_chain_are_those_of_the_tensors():
    """Every state that a policy reaches, every demand: both models must give the same next states and the same cost."""
    env = LostSales(params(3, demand_mean_units=3.0))
    rule = baselines.BaseStock(14, 4)
    chain = exact.chain(env.params, rule, 15, 4)
    probabilities = model.demand_probabilities(env.params)
    number = {tuple(state): index for index, state in enumerate(chain.states)}
    moves = np.zeros(chain.moves.shape)
    costs = np.zeros(len(chain.states))
    state = State(tf.constant(chain.states, tf.float32))
    for demand, probability in enumerate(probabilities):
        noise = tf.fill([len(chain.states)], float(demand))
        following, transition = env.step(state, tf.constant(chain.orders, tf.int32), noise)
        for index, units in enumerate(following.units.numpy().astype(int)):
            moves[index, number[tuple(units)]] += probability
        costs -= probability * transition.reward.numpy()
    np.testing.assert_allclose(chain.moves.toarray(), moves, atol=1e-6)
    np.testing.assert_allclose(model.period_costs(env.params, 15)[chain.states[:, 0]], costs, atol=1e-5)
    np.testing.assert_allclose(-env.expected_reward(state, None), costs, atol=1e-5)


@pytest.mark.parametrize("demand", ["poisson", "geometric"])
def test_a_simulation_agrees_with_the_exact_score(demand):
    env = LostSales(params(4, demand=demand))
    rule = baselines.BaseStock(24, 5)
    score = env.exact_score(lambda observations: rule(observations.astype(np.int64)))
    batch, steps, warm_up = 2048, 700, 100

    @tf.function(jit_compile=True, autograph=False)
    def mean_costs():
        key = seeding.key_from_seed(3)
        start = env.reset(key, batch)

        def one(step, state, total):
            orders = tf.clip_by_value(rule.level - tf.cast(tf.reduce_sum(state.units, 1), tf.int32), 0, rule.cap)
            state, transition = env.step(state, orders, env.noise(seeding.fold(key, 1, step), batch))
            return step + 1, state, total - tf.where(step >= warm_up, transition.reward, 0.0)

        loop = (0, start, tf.zeros([batch]))
        return tf.while_loop(lambda step, *_: step < steps, one, loop, maximum_iterations=steps)[2] / (steps - warm_up)

    costs = mean_costs().numpy().astype(np.float64)
    error = costs.std() / np.sqrt(batch)
    assert abs(costs.mean() - score.score) < 4 * error
    assert error < 0.02


def test_a_policy_that_lets_stock_pile_up_has_no_exact_score():
    env = LostSales(params(2))
    assert env.exact_score(lambda observations: np.full(len(observations), env.maximum_order)) is None
    assert env.exact_score(lambda observations: np.zeros(len(observations), np.int64)).score == pytest.approx(20.0)


def test_tasks_too_large_for_dynamic_programming_say_so():
    env = LostSales(params(8))
    assert env.optimum() is None
    assert env.exact_score(lambda observations: np.zeros(len(observations), np.int64)) is None
    assert env.policy_picture(lambda observations: np.zeros(len(observations), np.int64)) is None


def test_baselines_of_large_tasks_are_searched_by_simulation(monkeypatch):
    given = params(2, demand_mean_units=4.0)
    found = baselines.best_capped_base_stock(given)
    monkeypatch.setattr(exact, "POLICY_STATES", 0)
    simulated = baselines.simulated_cost(given, found)
    assert simulated == pytest.approx(baselines.cost(given, found), rel=0.01)
    large = params(7)
    rule = baselines.best_capped_base_stock(large)
    assert baselines.cost(large, rule) < baselines.cost(large, baselines.best_base_stock(large))
    assert baselines.cost(large, rule) < baselines.constant_order_cost(large, baselines.best_constant_order(large))
