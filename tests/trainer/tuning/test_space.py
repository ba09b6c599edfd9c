"""The space of a search: what is read, and what is refused."""

import re

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from tuning_study import SPACE, run_file

from trainer.config import presets
from trainer.errors import BadInput, BadInputs
from trainer.tuning import space
from trainer.tuning.space import Choice, Range


def test_a_file_and_single_keys_make_a_space(tmp_path):
    file = tmp_path / "space.yaml"
    file.write_text("agent.learning_rate: {low: 1e-5, high: 1e-2, log: true}\nagent.epochs: {low: 1, high: 8}\n")
    found = space.parse(
        [str(file), "agent.networks.actor=[[64, 64], [256]]", "agent.clip_ratio={low: 0.1, high: 0.3}"], run_file()
    )
    assert found == {
        "agent.learning_rate": Range(1e-5, 1e-2, log=True),
        "agent.epochs": Range(1, 8, whole=True),
        "agent.networks.actor": Choice(([64, 64], [256])),
        "agent.clip_ratio": Range(0.1, 0.3),
    }
    assert found["agent.learning_rate"].distribution() == FloatDistribution(1e-5, 1e-2, log=True)
    assert found["agent.epochs"].distribution() == IntDistribution(1, 8)
    assert found["agent.networks.actor"].distribution() == CategoricalDistribution(["[64, 64]", "[256]"])
    assert found["agent.networks.actor"].value("[256]") == [256]


def test_a_number_that_may_have_a_point_is_drawn_with_one_even_if_its_ends_are_whole():
    assert space.from_json({"agent.gae_lambda": {"low": 0, "high": 1}}, run_file())["agent.gae_lambda"].whole is False


def test_what_is_written_out_is_read_back():
    found = space.from_json({**SPACE, "agent.gae_lambda": {"low": 0.8, "high": 1.0, "step": 0.05}}, run_file())
    assert space.from_json(space.to_json(found), run_file()) == found


@pytest.mark.parametrize(
    ("item", "field", "allowed", "fix"),
    [
        ("agent.learnin_rate=[1, 2]", "agent.learnin_rate", "a key of agent", "write agent.learning_rate"),
        ("agent.networks.actr=[1, 2]", "agent.networks.actr", "a key of agent.networks", "write agent.networks.actor"),
        ("learning_rate={low: 1e-4, high: 1e-2}", "learning_rate", "a key of agent", "agent.learning_rate"),
        ("env.parameters.x=[1, 2]", "env.parameters.x", "a key of agent", "others with --set"),
        ("budget.env_steps={low: 1, high: 2}", "budget.env_steps", "a key of agent", "others with --set"),
        ("agent.algorithm=[ppo, dqn]", "agent.algorithm", "with algorithm ppo", "each algorithm by itself"),
        ("agent.replay_size=[1000, 2000]", "replay_size", "a key of agent with algorithm ppo", "take it out"),
        ("agent.epochs=3", "3", "a range such as", "write agent.epochs"),
        ("agent.epochs={low: 3}", "low", "a range such as", "write agent.epochs"),
        ("agent.epochs={low: 3, high: 5, base: 2}", "base", "low, high, log, step", "take it out"),
        ("agent.epochs={low: 5, high: 3}", "high", "more than low = 5", "exchange"),
        ("agent.epochs={low: 5, high: 5}", "high", "more than low = 5", "exchange"),
        ("agent.epochs={low: 1.5, high: 5}", "1.5", "whole number", ""),
        ("agent.epochs={low: 0, high: 5}", "0", "from 1 to 1000", "keep agent.epochs within that"),
        ("agent.gae_lambda={low: 0.5, high: 1.5}", "1.5", "from 0 to 1", "keep agent.gae_lambda within that"),
        ("agent.learning_rate={low: 0, high: 0.1, log: true}", "low", "more than 0, as log is true", "raise low"),
        ("agent.learning_rate={low: a, high: 0.1}", "low", "a number", "write a number"),
        ("agent.learning_rate={low: 0.01, high: 0.1, log: 1}", "log", "true or false", "write log: true"),
        ("agent.learning_rate={low: 0.01, high: 0.1, step: -1}", "step", "more than 0", "take step out"),
        ("agent.networks.activation=[tanh]", "tanh", "two values or more", "add a value"),
        ("agent.networks.activation=[tanh, tanh]", "tanh", "each value once", "take one"),
        ("agent.networks.activation=[tanh, swish]", "swish", "tanh or relu or elu", "keep"),
        ("space.yaml", "space.yaml", "a YAML file that is there", "give a file"),
        ("agent.epochs={low: 1", "", "", ""),
    ],
)  # fmt: skip
def test_bad_spaces(item, field, allowed, fix):
    with pytest.raises((BadInput, BadInputs)) as error:
        space.parse([item], run_file())
    said = str(error.value)
    assert len(said.splitlines()) == 3
    assert all(part in said for part in (field, allowed, fix)), said


def test_bad_files(tmp_path):
    file = tmp_path / "space.yaml"
    for text, words in (
        ("", "a missing value"),
        ("- 1\n", "a mapping of keys"),
        ("{}\n", "at least one key"),
        ("agent.epochs: [1, 2]\nagent.epochs: [1, 3]\n", "once"),
        ("agent: {epochs: [1, 2]}\n", "a key of agent"),
        ("a: [\n", "line 2"),
    ):
        file.write_text(text)
        with pytest.raises(BadInput, match=re.escape(words)):
            space.parse([str(file)], run_file())
    file.write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(BadInput, match="UTF-8"):
        space.parse([str(file)], run_file())


def test_a_key_is_given_once_and_not_beside_one_below_it(tmp_path):
    file = tmp_path / "space.yaml"
    file.write_text("agent.epochs: [1, 2]\n")
    with pytest.raises(BadInput, match="each key once"):
        space.parse([str(file), "agent.epochs=[1, 4]"], run_file())
    below = ["agent.learning_rate.start={low: 1e-4, high: 1e-3}", "agent.learning_rate={low: 1e-4, high: 1e-3}"]
    with pytest.raises(BadInput):
        space.parse(below, run_file())


def test_each_algorithm_has_a_space_that_fits_all_of_its_presets():
    from trainer.config import load

    seen = set()
    for name in presets.names():
        run = load.validate(presets.data(name))
        found = space.default(run)
        seen.add(run.agent.algorithm)
        assert found
        for key, dimension in found.items():
            first = dimension.samples()[0]
            dumped = space.applied(run, {key: first}).model_dump(mode="json")
            for part in key.split("."):
                dumped = dumped[part]
            assert dumped == first
    assert seen == {path.stem for path in space.DEFAULTS.glob("*.yaml")}
