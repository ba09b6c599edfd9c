"""docs/environments.md and its pages: their tables are true and the worked example is a task."""

import re
import sys
import warnings
from pathlib import Path

import contract
import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from envs import registry, seeding
from envs.inventory import baselines, exact
from envs.jobshop import baselines as rules
from envs.jobshop import features, library
from envs.parameters import ParameterOutOfRange

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


def test_the_tables_of_the_job_shop_name_its_instances_rules_and_features():
    makespans = dict(library.optimal_makespans())
    for name, size, makespan, _ in rows("| instance | size |"):
        shape = library.named(name).durations.shape
        assert (size, int(makespan)) == ("{} x {}".format(*shape), makespans.pop(name))
    assert makespans == {}
    assert [cells[0] for cells in rows("| baseline | which job goes first |")] == list(rules.RULES)
    assert tuple(cells[0] for cells in rows("| of a job |")) == features.JOB
    assert tuple(cells[0] for cells in rows("| of the shop |")) == features.SHOP
