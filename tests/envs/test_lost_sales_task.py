import numpy as np
import pytest
import tensorflow as tf

from envs import registry, seeding
from envs.inventory import model
from envs.inventory.dynamics import State


@pytest.fixture(scope="module")
def env():
    return registry.make("slipway/LostSales-v0", lead_time_periods=3)


def test_one_period_by_hand(env):
    state = State(tf.constant([[4.0, 2.0, 3.0], [4.0, 2.0, 3.0]]))
    following, transition = env.step(state, tf.constant([6, 0]), tf.constant([1.0, 9.0]))
    np.testing.assert_array_equal(following.units, [[5, 3, 6], [2, 3, 0]])
    np.testing.assert_array_equal(transition.reward, [-3.0, -20.0])
    assert not transition.terminated.numpy().any()


def test_an_order_arrives_after_the_lead_time(env):
    state = State(tf.zeros([1, 3]))
    for period, order in enumerate([7, 0, 0]):
        assert state.units[0, 0] == 0, period
        state, _ = env.step(state, tf.constant([order]), tf.constant([0.0]))
    assert state.units[0, 0] == 7


@pytest.mark.parametrize(("penalty", "newsvendor"), [(4.0, 7), (9.0, 8), (19.0, 9)])
def test_the_largest_order_is_the_newsvendors_stock(penalty, newsvendor):
    env = registry.make("slipway/LostSales-v0", lost_sale_cost_per_unit=penalty)
    assert env.action_space.n == newsvendor + 1
    assert registry.make("slipway/LostSales-v0", maximum_order_units=12).action_space.n == 13


@pytest.mark.parametrize(("demand", "variance"), [("poisson", 5.0), ("geometric", 30.0)])
def test_demand_has_the_mean_and_variance_of_its_law(demand, variance):
    env = registry.make("slipway/LostSales-v0", demand=demand)
    drawn = env.noise(seeding.key_from_seed(0), 200_000).numpy().astype(np.float64)
    assert drawn.mean() == pytest.approx(5.0, abs=5 * np.sqrt(variance / 200_000))
    assert drawn.var() == pytest.approx(variance, rel=0.03)
    np.testing.assert_array_equal(drawn, drawn.round())


def test_the_law_has_fifteen_outcomes_for_the_usual_demand(env):
    law = env.noise_law()
    np.testing.assert_array_equal(law.outcomes, np.arange(15))
    assert float(law.probabilities[-1]) == pytest.approx(model.demand_law(env.params).sf(13), abs=1e-7)


def test_costs_of_stock_that_no_demand_reaches_grow_by_the_holding_cost(env):
    units = tf.constant([[30.0, 0, 0], [31.0, 0, 0], [100.0, 0, 0]])
    np.testing.assert_allclose(env.expected_reward(State(units), None), [-25.0, -26.0, -95.0], rtol=1e-5)


def test_first_states_cover_their_range(env):
    units = env.reset(seeding.key_from_seed(5), 4000).units.numpy()
    np.testing.assert_array_equal(units.min(0), [0, 0, 0])
    np.testing.assert_array_equal(units.max(0), [15, 7, 7])


def test_the_policy_picture_shows_orders_where_the_policy_goes(env):
    picture = env.policy_picture(lambda observations: np.clip(20 - observations.sum(1), 0, 5).astype(np.int64))
    assert picture["kind"] == "heatmap"
    values = picture["values"]
    assert len(values) == len(picture["y"])
    assert {len(line) for line in values} == {len(picture["x"])}
    cells = [
        (on_hand, on_the_way, cell)
        for on_hand, line in zip(picture["y"], values, strict=True)
        for on_the_way, cell in zip(picture["x"], line, strict=True)
        if cell is not None
    ]
    assert len(cells) > 20
    assert all(cell == min(5, max(0, 20 - on_hand - on_the_way)) for on_hand, on_the_way, cell in cells)


def test_a_picture_of_a_state_has_a_bar_for_each_entry(env):
    empty = env.render(State(tf.zeros([2, 3])), 1)
    full = env.render(State(tf.constant([[0.0, 0, 0], [10.0, 4.0, 400.0]])), 1)
    assert empty.shape == full.shape == (200, 300, 3)
    assert empty.dtype == np.uint8
    assert (full != empty).any()
