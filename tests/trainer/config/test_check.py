"""What depends on the environment."""

import builtins
import re
import subprocess
import sys

import gymnasium
import numpy as np
import pytest

from trainer.config import check, load, overrides, presets, source
from trainer.errors import BadInput, BadInputs

ASKED = {
    "expected_reward": True,
    "expectation_over_noise": True,
    "observation_normalisation": "nominal",
    "objective": "average-reward",
    "discount": 1,
    "common_random_numbers": 2,
}


def errors_of(env_id, parameters=None, agent=None):
    run_file = load.validate({"env": {"id": env_id, "parameters": parameters or {}}, "agent": agent or {}})
    with pytest.raises((BadInput, BadInputs)) as caught:
        check.check(run_file)
    return caught.value.errors if isinstance(caught.value, BadInputs) else [caught.value]


@pytest.mark.parametrize("name", presets.names())
def test_presets_fit_their_environments(name):
    check.check(load.validate(presets.data(name)))


@pytest.mark.parametrize("name", presets.names())
def test_the_iterations_that_presets_speak_of(name):
    said = re.findall(r"# (\d+) iterations", presets.text(name))
    run_file = load.validate(presets.data(name))
    assert said in ([], [str(run_file.iterations)])
    if said:
        assert run_file.iterations * run_file.agent.batch_size == run_file.budget.env_steps


def test_the_presets_of_lost_sales():
    told, plain = (load.validate(presets.data(f"lost-sales-ppo{end}")).agent for end in ("", "-plain"))
    assert (told.expected_reward, told.expectation_over_noise) == (True, True)
    assert (told.gae_lambda, told.advantage_normalisation) == (0.9, False)
    # What any environment can use: samples alone, settings that do not change.
    assert (plain.expected_reward, plain.expectation_over_noise, plain.common_random_numbers) == (False, False, None)
    assert plain.learning_rate.constant
    assert plain.entropy_coefficient.constant


@pytest.mark.parametrize(
    ("env_id", "cure"),
    [
        ("slipway/LostSale-v0", "write slipway/LostSales-v0"),
        ("LostSales-v0", "write slipway/LostSales-v0"),
        ("CartPole-v1", "write slipway/CartPole-v1"),
        ("LunarLander-v3", "write gymnasium:LunarLander-v3"),
        ("zzz", "see `slipway envs list`"),
        ("gymnasium:CartPol-v1", "gymnasium:CartPole-v1"),
        ("gymnasium:CartPole-v9", "v1"),
        ("gymnasium:no_such_module:Task-v0", "no_such_module"),
        ("gymnasium:", "Malformed"),
    ],
)
def test_unknown_environments_suggest_the_nearest(env_id, cure):
    (error,) = errors_of(env_id)
    assert error.field == "env.id"
    assert error.value == env_id
    assert cure in error.cure


@pytest.mark.parametrize(
    ("parameters", "field", "allowed", "cure"),
    [
        (
            {"lead_tim_periods": 3},
            "env.parameters.lead_tim_periods",
            "one of",
            "write env.parameters.lead_time_periods",
        ),
        ({"lead_time_periods": 300}, "env.parameters.lead_time_periods", "from 1 to 12", "slipway envs describe"),
        ({"lead_time_periods": "4"}, "env.parameters.lead_time_periods", "a whole number", "slipway envs describe"),
        ({"demand": "posson"}, "env.parameters.demand", "poisson or geometric", "slipway envs describe"),
    ],
)
def test_wrong_parameters_of_tasks_of_ours(parameters, field, allowed, cure):
    (error,) = errors_of("slipway/LostSales-v0", parameters)
    assert error.field == field
    assert allowed in error.allowed
    assert cure in error.cure


def test_a_file_that_a_task_of_ours_cannot_read_is_refused_at_its_place(tmp_path):
    file = tmp_path / "instance"
    file.write_text("2 2\n0 3 1 x\n0 1 1 1\n", encoding="utf-8")
    (error,) = errors_of("slipway/JobShop-v0", {"instance": str(file)})
    assert error.field == "env.parameters.instance"
    assert error.value == f"{file}, line 2, column 7: x"
    assert error.allowed.startswith("how long the operation takes")


@pytest.mark.parametrize(
    ("env_id", "parameters", "field", "allowed", "cure"),
    [
        ("Pendulum-v1", {"gravity": 3}, "env.parameters.gravity", "one of g, max_episode_steps", "take it out"),
        ("FrozenLake-v1", {"map_nme": "8x8"}, "env.parameters.map_nme", "map_name", "write env.parameters.map_name"),
        ("FrozenLake-v1", {"map_name": "9x9"}, "env.parameters", "9x9", "documentation"),
        ("Pendulum-v1", {"g": "heavy"}, "env.parameters", "failed in its step", "documentation"),
    ],
)
def test_wrong_parameters_of_gymnasium(env_id, parameters, field, allowed, cure):
    (error,) = errors_of(f"gymnasium:{env_id}", parameters)
    assert error.field == field
    assert allowed in error.allowed
    assert cure in error.cure


def test_all_unknown_parameters_of_gymnasium_are_told():
    errors = errors_of("gymnasium:Pendulum-v1", {"gravity": 3, "g": 1.0, "mass": 2})
    assert [error.field for error in errors] == ["env.parameters.gravity", "env.parameters.mass"]


def test_an_environment_that_takes_anything_tells_what_it_said(anything):
    (error,) = errors_of(anything, {"size": 3})
    assert error.field == "env.parameters"
    assert "no size is good" in error.allowed
    check.check(load.validate({"env": {"id": anything, "parameters": {"colour": "red"}}}))


@pytest.mark.parametrize("parameters", [{"max_episode_steps": 3}, {"vectorization_mode": "async"}, {"colour": "red"}])
def test_good_parameters_of_gymnasium(anything, parameters):
    check.check(load.validate({"env": {"id": anything, "parameters": parameters}}))


class Anything(gymnasium.Env):
    """Takes any parameter, allows the second of three actions alone, and numbers them from 5."""

    observation_space = gymnasium.spaces.Box(0, 1, (1,))
    action_space = gymnasium.spaces.Discrete(3, start=5)

    def __init__(self, render_mode=None, **parameters):
        if "size" in parameters:
            raise ValueError("no size is good")

    def reset(self, *, seed=None, options=None):
        return np.zeros(1, np.float32), {"action_mask": np.array([0, 1, 0], np.int8)}

    def step(self, action):
        assert action == 6
        return np.zeros(1, np.float32), 0.0, False, False, {"action_mask": np.array([0, 1, 0], np.int8)}


@pytest.fixture
def anything():
    gymnasium.register("Anything-v0", entry_point=Anything, max_episode_steps=5)
    yield "gymnasium:Anything-v0"
    del gymnasium.registry["Anything-v0"]


@pytest.mark.parametrize("env_id", ["slipway/CartPole-v1", "gymnasium:CartPole-v1"])
def test_what_an_environment_does_not_offer_is_refused(env_id):
    errors = errors_of(env_id, agent=ASKED)
    assert {error.field for error in errors} == {f"agent.{key}" for key in ASKED if key != "discount"}
    assert all(env_id in error.allowed and error.cure.startswith("set agent.") for error in errors)


def test_what_an_environment_offers_is_allowed():
    check.check(load.validate({"env": {"id": "slipway/LostSales-v0"}, "agent": ASKED}))


class Choices(gymnasium.Env):
    """Two choices at once, which the algorithm cannot make."""

    observation_space = gymnasium.spaces.Box(0, 1, (1,))
    action_space = gymnasium.spaces.MultiDiscrete([2, 3])

    def reset(self, *, seed=None, options=None):
        return self.observation_space.low, {}


@pytest.fixture
def choices():
    gymnasium.register("Choices-v0", entry_point=Choices, max_episode_steps=5)
    yield "gymnasium:Choices-v0"
    del gymnasium.registry["Choices-v0"]


def test_actions_that_the_algorithm_cannot_do(choices):
    (error,) = errors_of(choices)
    assert error.field == "env.id"
    assert "Discrete" in error.allowed


def test_a_missing_extra_is_told_with_the_command_that_installs_it(monkeypatch):
    real = builtins.__import__

    def without_box2d(name, *rest):
        if name == "Box2D" or name.startswith("Box2D."):
            raise ModuleNotFoundError("No module named 'Box2D'", name="Box2D")
        return real(name, *rest)

    for module in [m for m in sys.modules if m.startswith(("Box2D", "gymnasium.envs.box2d"))]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setattr(builtins, "__import__", without_box2d)
    (error,) = errors_of("gymnasium:LunarLander-v3")
    assert error.cure == "run `uv sync --extra box2d`"


def test_gymnasium_and_parameters_are_checked_without_tensorflow():
    script = (
        "import sys; from trainer.config import check, load\n"
        "check.check(load.validate({'env': {'id': 'gymnasium:CartPole-v1'}}))\n"
        "check.check(load.validate({'env': {'id': 'slipway/LostSales-v0', 'parameters': {'lead_time_periods': 2}}}))\n"
        "sys.exit('tensorflow' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-W", "ignore", "-c", script], check=False).returncode == 0


@pytest.mark.parametrize(
    ("given", "env_id", "num_envs"),
    [
        ("lost-sales-ppo", "slipway/LostSales-v0", 512),
        ("slipway/CartPole-v1", "slipway/CartPole-v1", 256),
        ("gymnasium:Pendulum-v1", "gymnasium:Pendulum-v1", 16),
        ("gymnasium:MountainCar-v0", "gymnasium:MountainCar-v0", 8),
        ("gymnasium:MountainCarContinuous-v0", "gymnasium:MountainCarContinuous-v0", 8),
    ],
)
def test_presets_and_environments_as_sources(given, env_id, num_envs):
    run_file = source.run_file(given, ["budget.env_steps=10"], seed=5, store="elsewhere")
    assert (run_file.env.id, run_file.agent.num_envs) == (env_id, num_envs)
    assert (run_file.seed, run_file.store, run_file.budget.env_steps) == (5, "elsewhere", 10)
    check.check(run_file)


@pytest.mark.parametrize(
    ("env_id", "algorithm", "preset"),
    [
        ("slipway/Pendulum-v1", "td3", "pendulum-td3"),
        ("slipway/CartPole-v1", "dqn", "cartpole-dqn"),
        ("slipway/CartPole-v1", "ppo", "cartpole-ppo"),
        ("gymnasium:MountainCar-v0", "dqn", "gymnasium-dqn"),
        ("gymnasium:MountainCarContinuous-v0", "sac", "gymnasium-sac"),
    ],
)
def test_an_environment_gets_the_preset_of_the_algorithm_that_is_asked_for(env_id, algorithm, preset):
    run_file = source.run_file(env_id, [f"agent.algorithm={algorithm}", "agent.discount=0.5"])
    expected = load.validate(overrides.apply(presets.data(preset), [f"env={env_id}", "agent.discount=0.5"]))
    assert run_file == expected
    check.check(run_file)


def test_an_environment_keeps_the_parameters_without_which_the_algorithm_could_not_act():
    run_file = source.run_file("slipway/LidarNavigation-v0", ["agent.algorithm=sac"])
    assert run_file.env.parameters == {"actions": "continuous"}
    assert run_file.agent == load.validate(presets.data("lidar-navigation-sac")).agent
    # Others are the user's to choose: the preset's chain is not the task's default.
    assert source.run_file("slipway/InventoryManagement-v0", ["agent.algorithm=sac"]).env.parameters == {}


def test_parameters_may_make_an_environment_fit_the_algorithm():
    settings = ["agent.algorithm=sac", "env.parameters.continuous=true"]
    run_file = source.run_file("gymnasium:LunarLander-v3", settings)
    assert run_file.agent == load.validate(presets.data("gymnasium-sac")).agent
    check.check(run_file)
    with pytest.raises(BadInput, match="has a choice of 4 actions"):
        check.check(source.run_file("gymnasium:LunarLander-v3", settings[:1]))


def test_without_a_preset_an_environment_gets_the_algorithms_defaults():
    run_file = source.run_file("gymnasium:CartPole-v1", ["agent={algorithm: reinforce, num_envs: 3}"])
    assert run_file == load.validate(
        {"env": "gymnasium:CartPole-v1", "agent": {"algorithm": "reinforce", "num_envs": 3}}
    )


def test_an_algorithm_that_cannot_act_in_an_environment_is_told_once():
    run_file = source.run_file("slipway/CartPole-v1", ["agent.algorithm=td3"])
    with pytest.raises(BadInput, match="has a choice of 2 actions"):
        check.check(run_file)
    with pytest.raises(BadInput, match=r"set agent\.algorithm to td3"):
        source.run_file("slipway/Pendulum-v1", ["agent.algorithm=tdd3"])


def test_a_preset_of_another_algorithm_is_refused_with_those_that_fit():
    with pytest.raises(BadInput) as caught:
        source.run_file("pendulum-ppo", ["agent.algorithm=td3"])
    error = caught.value
    assert (error.field, error.value) == ("agent.algorithm", "td3")
    assert error.allowed.startswith("ppo, as pendulum-ppo has settings that td3 does not know: ")
    assert "agent.epochs" in error.allowed
    assert "agent.num_envs" not in error.allowed
    assert error.cure == "train pendulum-td3, or train gymnasium:Pendulum-v1 with --set agent.algorithm=td3"
    with pytest.raises(BadInput) as caught:
        source.run_file("job-shop-ppo", ["agent.algorithm=dqn", "seed=3"])
    assert caught.value.cure.startswith("train slipway/JobShop-v0 with --set agent.algorithm=dqn")
    # What fits both, or is replaced as a whole, is the user's to ask for.
    assert source.run_file("pendulum-sac", ["agent.algorithm=td3"]).agent.num_envs == 4
    assert source.run_file("pendulum-ppo", ["agent={algorithm: td3}"]).agent.algorithm == "td3"


def test_a_file_of_another_algorithm_is_refused_once_and_layers_too(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text(
        "env: slipway/Pendulum-v1\nagent: {num_envs: 4, epochs: 3, networks: {shared: true}}\n"
    )
    with pytest.raises(BadInput) as caught:
        source.run_file("mine.yaml", ["agent.algorithm=sac"])
    assert caught.value.allowed.endswith(": agent.epochs, agent.networks.shared")
    assert "--set 'agent={algorithm: sac}'" in caught.value.cure
    (tmp_path / "mine.yaml").write_text("env: slipway/CartPole-v1\nagent: {num_envs: 4}\n")
    assert source.run_file("mine.yaml", ["agent.algorithm=dqn"]).agent.algorithm == "dqn"
    # A key that the override itself has wrong is told as ever.
    with pytest.raises(BadInput, match=r"agent\.epochs"):
        source.run_file("mine.yaml", ["agent.algorithm=dqn", "agent.epochs=3"])


def test_files_as_sources(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text("env: {id: slipway/CartPole-v1}\nseed: 4\n")
    assert source.run_file("mine.yaml", []).seed == 4
    with pytest.raises(BadInput, match=r"write mine\.yaml"):
        source.run_file("mine.ya", [])


def test_overrides_alone_are_a_source():
    assert source.run_file(None, ["env.id=slipway/CartPole-v1"]).env.id == "slipway/CartPole-v1"
    with pytest.raises(BadInput, match="a missing value"):
        source.run_file(None, [])
