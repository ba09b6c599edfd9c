import re
import subprocess
import sys
from pathlib import Path

import gymnasium
import pytest

from envs import parameters, registry


def test_the_names_are_those_of_the_guide():
    guide = (Path(__file__).parents[2] / "docs" / "environments.md").read_text(encoding="utf-8")
    assert registry.names() == sorted(re.findall(r"^\| \[`(slipway/\S+)`\]", guide, re.MULTILINE))


def test_an_unknown_id_is_refused_with_the_nearest():
    with pytest.raises(registry.UnknownEnvironment) as caught:
        registry.make("slipway/LostSale-v0")
    assert caught.value.nearest == "slipway/LostSales-v0"
    assert "slipway/CartPole-v1" in str(caught.value)


def test_a_taken_id_is_refused():
    with pytest.raises(ValueError, match="is taken"):
        registry.register(registry.spec("slipway/CartPole-v1"))


def test_whole_numbers_are_taken_for_numbers():
    assert registry.check("slipway/LostSales-v0", demand_mean_units=3).demand_mean_units == 3.0


def test_what_is_allowed_is_said_in_words():
    words = {field.name: parameters.allowed(field) for field in registry.parameters("slipway/LostSales-v0")}
    assert words["demand"] == "poisson or geometric"
    assert words["lead_time_periods"] == "a whole number from 1 to 12"


def test_a_text_has_its_own_words_and_a_greatest_length():
    words = {field.name: parameters.allowed(field) for field in registry.parameters("slipway/JobShop-v0")}
    assert words["instance"].startswith("empty, one of ft06, ft10")
    with pytest.raises(parameters.ParameterOutOfRange, match="allowed: empty, one of ft06"):
        registry.check("slipway/JobShop-v0", instance="a" * (parameters.LONGEST_TEXT + 1))


def test_listing_and_checking_import_no_tensorflow():
    code = (
        "import sys; from envs import registry;"
        "[(registry.spec(n), registry.parameters(n), registry.check(n)) for n in registry.names()];"
        "sys.exit('tensorflow' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_gymnasium_knows_the_tasks():
    assert gymnasium.spec("slipway/CartPole-v1").reward_threshold == 475.0
    env = gymnasium.make("slipway/LostSales-v0", lead_time_periods=2)
    assert env.observation_space.shape == (2,)
