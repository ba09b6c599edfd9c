"""The table of algorithms, the page made of it, and what it refuses."""

from pathlib import Path
from typing import get_args

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from trainer.config import algorithms, check, load, presets, schema
from trainer.config.models import Agent
from trainer.errors import BadInput

PAGE = Path(__file__).parents[3] / "docs/algorithms.md"


def test_the_page_is_up_to_date():
    assert PAGE.read_text() == algorithms.page(), "run `python -m trainer.config.algorithms > docs/algorithms.md`"


def test_the_table_has_every_algorithm_and_no_other():
    union = get_args(get_args(Agent)[0])
    assert [row.settings for row in algorithms.TABLE.values()] == list(union)
    assert list(algorithms.TABLE) == schema.forms_at(("agent",))
    assert all(name == row.settings().algorithm for name, row in algorithms.TABLE.items())


def test_in_the_schema_a_section_is_one_algorithm_alone():
    definitions = schema.json_schema()["$defs"]
    for name, row in algorithms.TABLE.items():
        required = definitions[row.settings.__name__].get("required", [])
        assert ("algorithm" in required) == (name != "ppo")


def test_recurrence_is_where_the_table_says():
    for row in algorithms.TABLE.values():
        networks = row.settings.model_fields["networks"].annotation
        assert ("recurrent" in networks.model_fields) == row.recurrence


class Masked(gymnasium.Env):
    """Says at its reset which of two actions are allowed."""

    observation_space = spaces.Box(0, 1, (1,))
    action_space = spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        return np.zeros(1, np.float32), {"action_mask": np.array([1, 0], np.int8)}

    def step(self, action):
        return np.zeros(1, np.float32), 0.0, False, False, {"action_mask": np.array([1, 0], np.int8)}


class Unbounded(Masked):
    """Acts in a box without bounds."""

    action_space = spaces.Box(-np.inf, np.inf, (1,))


@pytest.fixture
def registered():
    gymnasium.register("Masked-v0", entry_point=Masked, max_episode_steps=5)
    gymnasium.register("Unbounded-v0", entry_point=Unbounded, max_episode_steps=5, disable_env_checker=True)
    yield
    del gymnasium.registry["Masked-v0"], gymnasium.registry["Unbounded-v0"]


@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize(
    ("algorithm", "env_id", "reason"),
    [
        ("dqn", "gymnasium:Pendulum-v1", "has continuous actions"),
        ("sac", "gymnasium:CartPole-v1", "has a choice of 2 actions"),
        ("td3", "slipway/CartPole-v1", "has a choice of 2 actions"),
        ("sac", "gymnasium:Unbounded-v0", "has actions without bounds"),
    ],
)
def test_actions_that_an_algorithm_cannot_do_are_refused(algorithm, env_id, reason):
    run_file = load.validate({"env": env_id, "agent": {"algorithm": algorithm}})
    with pytest.raises(BadInput) as caught:
        check.check(run_file)
    error = caught.value
    assert (error.field, error.value) == ("agent.algorithm", algorithm)
    assert f"{env_id} {reason}" in error.allowed
    assert error.allowed.startswith("ppo or ")
    assert "set agent.algorithm to ppo" in error.cure


@pytest.mark.parametrize("env_id", ["gymnasium:CartPole-v1", "slipway/CartPole-v1"])
@pytest.mark.parametrize("algorithm", ["ppo", "reinforce"])
def test_a_choice_has_no_deviation(env_id, algorithm):
    agent = {"algorithm": algorithm, "networks": {"initial_deviation": 0.5}}
    with pytest.raises(BadInput, match=r"agent\.networks\.initial_deviation") as caught:
        check.check(load.validate({"env": env_id, "agent": agent}))
    assert caught.value.value == 0.5
    check.check(load.validate({"env": "slipway/Pendulum-v1", "agent": agent}))


@pytest.mark.usefixtures("registered")
def test_masks_are_refused_by_an_algorithm_without_them(monkeypatch):
    run_file = load.validate({"env": "gymnasium:Masked-v0", "agent": {"algorithm": "dqn"}})
    check.check(run_file)  # DQN heeds masks
    import dataclasses

    monkeypatch.setitem(algorithms.TABLE, "dqn", dataclasses.replace(algorithms.TABLE["dqn"], masks=False))
    with pytest.raises(BadInput, match="masks its actions"):
        check.check(run_file)


@pytest.mark.parametrize("name", [name for name in presets.names() if not name.endswith(("ppo", "plain"))])
def test_presets_of_other_algorithms_can_be_trained(name):
    check.check(load.validate(presets.data(name)))
