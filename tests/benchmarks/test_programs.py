"""The programs of the kinds that are not PPO on CartPole start, do what they say and report; none is timed."""

import dataclasses
import importlib.util
import json

import pytest

from benchmarks import env_steps, lidar, off_policy, timing
from benchmarks.run import FOLDER, PROGRAMS, merged, plan, program
from benchmarks.settings import GYMNASIUM, OFF_POLICY, SETTINGS
from envs import registry


def small(name):
    setting = OFF_POLICY[name]
    sizes = {"layers": (8,), "minibatch_size": 16, "replay_size": 2000, "learning_starts": 40, "speed_steps": 64}
    if setting.algorithm == "dqn":
        sizes |= {"env_steps": 32, "gradient_steps": 16}
    return dataclasses.replace(setting, **sizes)


@pytest.fixture(scope="module")
def gymnasium_steps():
    spec = importlib.util.spec_from_file_location("gymnasium_steps", FOLDER / "peers/gymnasium/env_steps.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# With masks, with a box of actions, and with neither.
@pytest.mark.parametrize("env_id", ["slipway/JobShop-v0", "slipway/Pendulum-v1", "slipway/CartPole-v1"])
def test_tensor_environments_are_stepped_by_chance(env_id):
    observation, final, reward, terminated, truncated = env_steps.rollout(env_id, 3, 70, seed=1)()
    shape = registry.make(env_id).observation_space.shape
    assert observation.shape == final.shape == (70, 3, *shape)
    assert reward.shape == terminated.shape == truncated.shape == (70, 3)
    assert len({row.tobytes() for row in observation.numpy().reshape(210, -1)}) > 100
    if env_id != "slipway/Pendulum-v1":
        assert terminated.numpy().any()


def test_two_calls_go_on_where_the_first_ended():
    call = env_steps.rollout("slipway/Pendulum-v1", 2, 3, seed=1)
    (_, final, *_), (observation, *_) = call(), call()
    assert (final[-1].numpy() == observation[0].numpy()).all()


def test_speeds_are_given_for_each_number_of_environments():
    found = env_steps.measure("slipway/CartPole-v1", 0, counts=(1, 2), seconds=0.0)
    assert list(found) == ["1", "2"]
    assert all(value > 0 for value in found.values())


@pytest.mark.parametrize("task", GYMNASIUM)
def test_gymnasium_has_the_same_tasks_and_is_stepped_in_every_way(gymnasium_steps, task):
    name = task.removeprefix("slipway/")
    found = gymnasium_steps.measure(name, 0, counts=(1, 2), seconds=0.0)
    ways = {"vector_entry_point"} if name == "CartPole-v1" else set()
    assert {count: set(by_way) for count, by_way in found.items()} == {
        "1": {"sync"} | ways,
        "2": {"sync", "async"} | ways,
    }
    assert gymnasium_steps.modes(name, 4096)[0] == "sync"
    assert "async" not in gymnasium_steps.modes(name, 4096)


@pytest.mark.parametrize(
    ("name", "way"),
    [
        ("dqn-CartPole-v1", "tensor"),
        ("dqn-CartPole-v1", "gymnasium"),
        ("sac-Pendulum-v1", "tensor"),
        ("td3-Pendulum-v1", "gymnasium"),
    ],
)
def test_off_policy_settings_make_the_same_gradient_steps_for_each_environment_step(name, way):
    setting = small(name)
    figures = off_policy.measure(setting, way, seed=1)
    assert figures["steps_per_second"] > 0
    assert figures["gradient_steps_per_env_step"] == setting.gradient_steps / setting.env_steps


@pytest.mark.parametrize("setting", OFF_POLICY.values(), ids=OFF_POLICY)
def test_a_setting_means_the_same_whatever_the_number_of_environments(setting):
    one, many = off_policy.hyperparameters(setting), off_policy.hyperparameters(setting, off_policy.TENSOR_ENVS)
    for each in (one, many):
        assert each.gradient_steps * setting.env_steps == each.batch_size * setting.gradient_steps
        assert each.replay_slots * each.num_envs == setting.replay_size
    assert one.batch_size == setting.env_steps
    assert many.num_envs == off_policy.TENSOR_ENVS
    same = {"num_envs", "rollout_steps", "gradient_steps", "target_update_gradient_steps"}
    assert one.model_dump(exclude=same) == many.model_dump(exclude=same)


@pytest.mark.parametrize("way", lidar.WAYS)
def test_lidar_is_trained_compiled_and_stepped_singly(way):
    settings = lidar.hyperparameters(way)
    sizes = {"num_envs": 4 if way == "compiled" else 1, "rollout_steps": 8, "minibatch_size": 8}
    tiny = settings.model_copy(update={**sizes, "networks": settings.networks.model_copy(update={"actor": (8,)})})
    assert lidar.measure(tiny, way, 0, iterations=1)["steps_per_second"] > 0


def test_a_single_robot_learns_as_much_from_each_step():
    compiled, single = (lidar.hyperparameters(way) for way in lidar.WAYS)
    differing = {"num_envs", "rollout_steps", "observation_normalisation"}
    assert compiled.model_dump(exclude=differing) == single.model_dump(exclude=differing)
    assert single.batch_size % single.minibatch_size == 0


def test_a_call_is_timed_after_one_that_is_not_counted():
    calls = []
    assert timing.rate(lambda: calls.append(1), 10, seconds=0.0) > 0
    assert len(calls) == 2
    assert timing.timed(lambda: 3)[1] == 3


def test_a_report_is_one_line_of_json(capsys):
    timing.report({"steps_per_second": 2.0})
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line]
    assert json.loads(line.removeprefix(timing.RESULT)) == {"steps_per_second": 2.0}


@pytest.mark.parametrize("quick", [False, True])
def test_every_measurement_has_a_program(quick):
    for what in plan(quick):
        if what.kind in ("train", "help"):
            continue
        peer, script, _ = program(what)
        assert (FOLDER / script).is_file()
        assert peer is None or (FOLDER / "peers" / peer / "uv.lock").is_file()


def test_all_tasks_are_stepped_and_all_settings_learned():
    measured = {(what.kind, what.setting, what.program) for what in plan(quick=False)}
    assert {setting for kind, setting, name in measured if (kind, name) == ("env-steps", "slipway")} == set(
        registry.names()
    )
    assert {setting for kind, setting, name in measured if (kind, name) == ("env-steps", "gymnasium")} == set(GYMNASIUM)
    of_programs = {kind for kind, _ in PROGRAMS}
    assert {(kind, name) for kind, _, name in measured if kind in of_programs} == set(PROGRAMS)
    assert {setting for kind, setting, _ in measured if kind == "off-policy"} == set(OFF_POLICY)
    assert {setting for kind, setting, _ in measured if kind == "speed"} == set(SETTINGS)


def test_what_is_measured_again_replaces_its_kind_alone():
    row = {"setting": "s", "program": "slipway", "round": 0}
    before = {
        "measured": {"speed": {"cpu": "old"}, "lidar": {"cpu": "old"}},
        "rows": [{**row, "kind": "speed"}, {**row, "kind": "lidar", "steps_per_second": 1.0}],
    }
    after = merged(before, {"cpu": "new"}, [{**row, "kind": "lidar", "steps_per_second": 2.0}])
    assert after["measured"] == {"speed": {"cpu": "old"}, "lidar": {"cpu": "new"}}
    assert [each["kind"] for each in after["rows"]] == ["speed", "lidar"]
    assert after["rows"][1]["steps_per_second"] == 2.0
