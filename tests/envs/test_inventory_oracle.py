"""The profit with all demand known: published figures, brute force, and that no policy passes it."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
from test_inventory_management import ID, baseline, make, play, published_demands

from envs import registry, seeding
from envs.supply_chain import model, oracle

PUBLISHED = {
    "backlog": (1032.1, 1044.2, 1023.7, 986.5, 977.7, 1019.8, 992.8, 1073.0, 1059.1, 1030.4),
    "lost-sales": (1032.1, 1042.7, 1023.7, 986.5, 977.7, 1019.8, 992.8, 1073.0, 1059.1, 1030.4),
}
"""Barati and Hu 2026, serial network, stationary demand, without goodwill: one figure a path."""


@pytest.mark.parametrize("unmet_demand", PUBLISHED)
def test_the_published_oracle_comes_out_on_every_published_path(unmet_demand):
    params = registry.check(ID, chain="gym-invmgmt", unmet_demand=unmet_demand)
    np.testing.assert_allclose(oracle.profits(params, published_demands()), PUBLISHED[unmet_demand], atol=0.0501)


@pytest.mark.parametrize("periods", [1, 7, 30])
@pytest.mark.parametrize("unmet_demand", PUBLISHED)
@pytest.mark.parametrize("chain", model.CHAINS)
def test_the_oracles_orders_earn_its_profit_in_the_task(chain, unmet_demand, periods):
    env = make(chain=chain, unmet_demand=unmet_demand, episode_periods=periods)
    demand = np.random.default_rng(3).poisson(20, periods)
    plan = oracle.plan(env.params, demand)
    np.testing.assert_allclose(plan.orders, plan.orders.round(), atol=1e-9)
    total, _ = play(env, demand[None], lambda state, period: plan.orders[None, period])
    assert total[0] == pytest.approx(plan.profit, abs=0.01)


@pytest.mark.parametrize("parameters", [{}, {"chain": "gym-invmgmt", "unmet_demand": "lost-sales"}], ids=str)
def test_no_policy_passes_the_oracle_on_any_path(parameters):
    env = make(**parameters)
    demands = np.random.default_rng(4).poisson(20, (20, 30))
    best = oracle.profits(env.params, demands)
    generator = np.random.default_rng(5)

    def by_chance(state, period):
        return generator.uniform(0, 40, (len(demands), 3))

    for policy in (by_chance, *(baseline(env, name) for name in env.baselines())):
        total, _ = play(env, demands, policy)
        assert (total <= best + 0.01).all()
    assert total.mean() > 0.9 * best.mean()


@pytest.mark.parametrize("unmet_demand", PUBLISHED)
def test_brute_force_over_whole_orders_finds_the_same_profit(unmet_demand, monkeypatch):
    """A chain so short that every plan of three periods can be tried: 4^6 of links 0 and 1, as link 2 is no use."""
    short = model.Chain(
        first_stock_units=(1, 2, 2),
        price_per_unit=2.0,
        outlay_per_unit=(0.0, 0.1, 0.5),
        holding_cost_per_unit=(0.15, 0.10, 0.05),
        transit_cost_per_unit=(0.01, 0.02, 0.03),
        capacity_units=(2, 3, 3),
        lead_time_periods=(1, 0, 2),
        shortage_cost_per_unit=(0.3, 0.0, 0.0, 0.0),
        orders_wait=False,
        discount=0.9,
    )
    monkeypatch.setitem(model.CHAINS, "or-gym", short)
    oracle._program.cache_clear()
    env = make(episode_periods=3, unmet_demand=unmet_demand)
    plans = np.array(list(itertools.product(range(4), repeat=6)), np.float32).reshape(-1, 3, 2)
    plans = np.concatenate([plans, np.zeros((len(plans), 3, 1), np.float32)], 2)
    for demand in ([2, 1, 3], [0, 4, 0], [1, 1, 1], [3, 3, 3]):
        state, total = env.reset(seeding.key_from_seed(0), len(plans)), np.zeros(len(plans))
        for period, units in enumerate(demand):
            state, transition = env.step(state, tf.constant(plans[:, period]), tf.fill([len(plans)], float(units)))
            total += transition.reward.numpy()
        assert oracle.plan(env.params, demand).profit == pytest.approx(total.max(), abs=1e-4)
    oracle._program.cache_clear()


def test_a_path_of_another_length_is_refused():
    with pytest.raises(ValueError, match=r"demand has shape \(29,\); allowed: \(30,\)"):
        oracle.plan(registry.check(ID), np.ones(29))
