"""The JSON Schema, its words, and the page made of it."""

import json
from pathlib import Path

import pytest

from trainer.config import load, presets, reference, schema, yaml_text

PAGE = Path(__file__).parents[3] / "docs/reference/run-file.md"


def test_the_page_is_up_to_date():
    assert PAGE.read_text() == reference.page(), "run `python -m trainer.config.reference > docs/reference/run-file.md`"


def test_every_key_is_explained():
    def walk(path):
        for key in schema.keys_at(path):
            node = schema.node_at((*path, key))
            assert node is not None
            assert node.get("description") or schema.keys_at((*path, key)), (*path, key)
            walk((*path, key))

    walk(())


@pytest.mark.parametrize(
    ("path", "words"),
    [
        (("agent", "num_envs"), "a whole number from 1 to 1048576"),
        (("agent", "max_gradient_norm"), "a number, more than 0, or null"),
        (("agent", "objective"), "discounted or average-reward"),
        (("sinks", "tensorboard"), "true or false"),
        (("agent", "networks", "actor"), "a list of 1 to 8 items, each a whole number from 1 to 4096"),
        (("agent", "networks", "actor", 3), "a whole number from 1 to 4096"),
        (("agent", "td3", "exploration"), "a number from 0 to 2, or a mapping with the keys start, end, until"),
        (("agent", "dqn", "networks", "dueling"), "true or false"),
        (("agent",), "a mapping with the keys of one algorithm (ppo, dqn, sac, td3, reinforce, self-labelling)"),
        (("agent", "learning_rate", "until"), "a number, more than 0 and at most 1"),
    ],
)
def test_words_for_what_is_allowed(path, words):
    node = schema.node_at(path)
    assert node is not None
    assert schema.allowed(node) == words


def test_bounds_of_schedules_are_in_the_schema():
    node = schema.node_at(("agent", "learning_rate"))
    assert node is not None
    assert (node["exclusiveMinimum"], node["maximum"]) == (0, 1)


def test_unknown_paths_have_no_schema():
    assert schema.node_at(("agent", "nothing")) is None
    assert schema.keys_at(("agent", "num_envs")) == []
    assert schema.node_at(("agent", "ppo", "exploration")) is None
    assert "exploration" in schema.keys_at(("agent",))


def test_the_text_is_json():
    assert json.loads(schema.text())["$schema"].endswith("2020-12/schema")


@pytest.mark.parametrize("name", presets.names())
def test_presets_are_valid_and_say_what_they_are_for(name):
    run_file = load.validate(presets.data(name))
    assert run_file.iterations * run_file.agent.batch_size - run_file.budget.env_steps < run_file.agent.batch_size
    assert presets.summary(name).endswith(".")
    assert load.validate(yaml_text.parse(load.dump(run_file), name)) == run_file


def test_every_preset_for_an_environment_is_there_and_of_its_algorithm():
    for (env_id, algorithm), name in presets.FOR_TASK.items():
        run_file = load.validate(presets.data(name))
        assert run_file.agent.algorithm == algorithm
        assert run_file.env.id.rpartition("/")[2].rpartition(":")[2] == env_id.rpartition("/")[2].rpartition(":")[2]
    for (_, algorithm), name in presets.FOR_ACTIONS.items():
        assert load.validate(presets.data(name)).agent.algorithm == algorithm


def test_every_preset_is_found_by_its_environment_and_algorithm():
    for name in presets.names():
        run_file = load.validate(presets.data(name))
        key = (run_file.env.id, run_file.agent.algorithm)
        assert key in presets.FOR_TASK or name in presets.FOR_ACTIONS.values()
    for name, needed in presets.NEEDED_PARAMETERS.items():
        assert needed.items() <= load.validate(presets.data(name)).env.parameters.items()


def test_the_main_preset_makes_eighty_iterations():
    run_file = load.validate(presets.data("lost-sales-ppo"))
    assert (run_file.iterations, run_file.agent.batch_size) == (80, 16384)
