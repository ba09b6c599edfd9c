"""docs/environments.md and its pages: their tables are true and the worked example is a task."""

import re
import sys
import warnings
from pathlib import Path

import beside_gymnasium
import contract
import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from envs import registry, seeding
from envs.inventory import baselines, exact
from envs.jobshop import baselines as rules
from envs.jobshop import features, library
from envs.navigation.frozen_lake import exact as lake_exact
from envs.navigation.frozen_lake import model as lake_model
from envs.parameters import ParameterOutOfRange
from envs.supply_chain import baselines as chain_rules
from envs.supply_chain import oracle

DOCS = Path(__file__).parents[2] / "docs"
PAGES = [DOCS / "environments.md", *sorted(DOCS.glob("environments/*.md"))]
GUIDE = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)


def rows(heading, below=""):
    """The cells of the first table with a heading, below a line."""
    lines = GUIDE[GUIDE.index(heading, GUIDE.index(below)) :].splitlines()[2:]
    return [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in lines[: lines.index("")]]


@pytest.fixture(scope="module")
def walk(tmp_path_factory):
    (code,) = re.findall(r"```python\n(# walk\.py\n.*?)```", GUIDE, re.DOTALL)
    folder = tmp_path_factory.mktemp("example")
    (folder / "walk.py").write_text(code, encoding="utf-8")
    sys.path.insert(0, str(folder))
    import walk

    yield walk
    sys.path.remove(str(folder))
    del sys.modules["walk"], registry.SPECS["example/Walk-v0"], gymnasium.registry["example/Walk-v0"]


def test_the_example_holds_the_contract(walk):
    key, generator = seeding.key_from_seed(5), np.random.default_rng(0)
    subject = contract.Subject(registry.make("example/Walk-v0", episode_steps=6))
    contract.check_batch_equals_singles(subject, key, 3, generator)
    contract.check_seeds_reproduce(subject, key, seeding.fold(key, 1))
    contract.check_ends_are_apart_and_reset(subject, key, generator)
    contract.check_spaces(subject, key, generator)
    contract.check_noise_law(subject, key)
    with pytest.raises(ParameterOutOfRange, match=r"width_metres is 0; allowed: a number from 1 to 100"):
        registry.make("example/Walk-v0", width_metres=0)


def test_the_example_works_in_gymnasium(walk):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*Box observation space m(ax|in)imum value is -?infinity.*")
        check_env(gymnasium.make("example/Walk-v0").unwrapped, skip_render_check=True)
    vector = gymnasium.make_vec("example/Walk-v0", num_envs=3, width_metres=4)
    observations, _ = vector.reset(seed=0)
    assert observations.shape == (3, 1)


@pytest.mark.parametrize("name", registry.names())
def test_parameter_tables_name_every_parameter_and_its_default(name):
    written = {cells[0]: cells[1] for cells in rows("| parameter | default |", below=f": `{name}`")}
    assert written == {
        field.name: field.default if isinstance(field.default, str) else f"{field.default:g}"
        for field in registry.parameters(name)
    }


@pytest.mark.parametrize("name", [name for name in registry.names() if registry.spec(name).family == "classic"])
def test_the_returns_of_baselines_are_measured(name):
    """Within five standard errors of what fewer episodes, with another seed, show."""
    table = {cells[0]: float(cells[2]) for cells in rows("| baseline | rule | mean return |", below=f": `{name}`")}
    measured = beside_gymnasium.returns(registry.make(name), 2000, seed=1)
    assert list(table) == list(measured)
    means = [values.mean() for values in measured.values()]
    assert means == sorted(means)
    for written, values in zip(table.values(), measured.values(), strict=True):
        digits = 0.5 * 10.0 ** -len(f"{written:g}".partition(".")[2])
        assert written == pytest.approx(values.mean(), abs=5 * values.std() / np.sqrt(len(values)) + digits)


def test_the_table_of_success_rates_is_computed():
    table = rows("| map | steps | optimum |")
    assert [cells[0] for cells in table] == ["4x4", "8x8"]
    for name, *cells in table:
        params = registry.check("slipway/FrozenLake-v1", map=name)
        found = [lake_exact.optimum(params)]
        found += [lake_exact.score(params, actions(params)) for actions in (lake_exact.greedy, lake_exact.shortest)]
        assert cells == [str(lake_model.episode_steps(params)), *(f"{value:.4f}" for value in found)]


@pytest.mark.slow
def test_the_table_of_costs_is_computed():
    table = rows("| demand | p | L |")
    assert len(table) == 16
    for demand, penalty, lead, optimum, capped, base_stock, constant in table:
        params = registry.check(
            "slipway/LostSales-v0", demand=demand, lost_sale_cost_per_unit=int(penalty), lead_time_periods=int(lead)
        )
        found = exact.optimum(params)
        assert optimum == f"{(found.lower + found.upper) / 2:.4f}"
        rule = baselines.best_capped_base_stock(params)
        assert capped == f"{baselines.cost(params, rule):.4f} ({rule.level}, {rule.cap})"
        rule = baselines.best_base_stock(params)
        assert base_stock == f"{baselines.cost(params, rule):.4f} ({rule.level})"
        order = baselines.best_constant_order(params)
        assert constant == f"{baselines.constant_order_cost(params, order):.4f} ({order})"


@pytest.mark.slow
def test_the_table_of_profits_is_computed():
    demands = np.random.default_rng(2026).poisson(20, (500, 30))
    table = rows("| chain | unmet demand |")
    assert len(table) == 4
    for chain, unmet_demand, bound, horizon, base_stock in table:
        params = registry.check("slipway/InventoryManagement-v0", chain=chain, unmet_demand=unmet_demand)
        assert bound == f"{oracle.profits(params, demands).mean():.1f}"
        rule = chain_rules.best_horizon_base_stock(params)
        levels = ", ".join(map(str, rule.levels))
        assert horizon == f"{chain_rules.profits(params, rule, demands).mean():.1f} ({levels}; {rule.reserve})"
        rule = chain_rules.best_base_stock(params)
        levels = ", ".join(map(str, rule.levels))
        assert base_stock == f"{chain_rules.profits(params, rule, demands).mean():.1f} ({levels})"


def test_the_tables_of_the_job_shop_name_its_instances_rules_and_features():
    makespans = dict(library.optimal_makespans())
    for name, size, makespan, _ in rows("| instance | size |"):
        shape = library.named(name).durations.shape
        assert (size, int(makespan)) == ("{} x {}".format(*shape), makespans.pop(name))
    assert makespans == {}
    assert [cells[0] for cells in rows("| baseline | which job goes first |")] == list(rules.RULES)
    assert tuple(cells[0] for cells in rows("| of a job |")) == features.JOB
    assert tuple(cells[0] for cells in rows("| of the shop |")) == features.SHOP
