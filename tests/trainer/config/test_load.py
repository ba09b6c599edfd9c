"""Run files: read, overridden, validated, written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.config import load, overrides, yaml_text
from trainer.config.models import PPO, Budget, Environment, RunFile
from trainer.config.section import Schedule
from trainer.errors import BadInput, BadInputs

LEAST = {"env": {"id": "slipway/CartPole-v1"}}


def errors_of(data):
    with pytest.raises((BadInput, BadInputs)) as caught:
        load.validate(data)
    return caught.value.errors if isinstance(caught.value, BadInputs) else [caught.value]


schedules = st.builds(
    Schedule, start=st.floats(1e-6, 1), end=st.floats(0, 1), until=st.floats(0, 1, exclude_min=True)
) | st.floats(1e-6, 1).map(lambda value: Schedule(start=value, end=value))
agents = st.builds(
    lambda envs, steps, share, **others: PPO(num_envs=envs, rollout_steps=steps, minibatch_size=envs * share, **others),
    envs=st.integers(1, 64),
    steps=st.just(24),
    share=st.sampled_from([1, 2, 3, 4, 6, 8, 12, 24]),
    learning_rate=schedules,
    clip_ratio=schedules,
    max_gradient_norm=st.none() | st.floats(0.01, 10),
    reward_scale=st.floats(0.001, 1000),
)
run_files = st.builds(
    RunFile,
    name=st.none() | st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True),
    env=st.builds(
        Environment,
        id=st.text(min_size=1, max_size=20),
        parameters=st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=8) | st.booleans()),
    ),
    agent=agents,
    seed=st.integers(0, (1 << 30) - 1),
    budget=st.builds(Budget, env_steps=st.integers(1, 10**12), wall_time_seconds=st.none() | st.floats(0.1, 1e6)),
)


@given(run_files)
def test_what_is_saved_is_loaded_as_the_same(run_file):
    assert load.validate(yaml_text.parse(load.dump(run_file), "run.yaml")) == run_file


def test_a_file_is_loaded_with_overrides_over_it(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text("env: {id: slipway/CartPole-v1}\nagent: {gae_lambda: 0.9, learning_rate: {start: 1e-3, end: 0}}\n")
    run_file = load.load(path, ["agent.gae_lambda=0.8", "agent.learning_rate.end=1e-4", "agent.networks.actor=[32]"])
    assert run_file.agent.gae_lambda == 0.8
    assert run_file.agent.learning_rate == Schedule(start=1e-3, end=1e-4)
    assert run_file.agent.networks.actor == (32,)
    assert run_file.agent.num_envs == PPO().num_envs


def test_an_id_alone_is_an_environment():
    run_file = load.validate({"env": "gymnasium:Pendulum-v1"})
    assert run_file.env == Environment(id="gymnasium:Pendulum-v1")
    changed = overrides.apply({"env": "gymnasium:Pendulum-v1"}, ["env.parameters.g=5.0"])
    assert load.validate(changed).env == Environment(id="gymnasium:Pendulum-v1", parameters={"g": 5.0})


def test_overrides_leave_what_they_are_given():
    data = {"env": {"id": "a"}}
    assert overrides.apply(data, ["env.id=b", "env.parameters.x.y=3"]) == {
        "env": {"id": "b", "parameters": {"x": {"y": 3}}}
    }
    assert data == {"env": {"id": "a"}}


@pytest.mark.parametrize(
    ("override", "field", "cure"),
    [
        ("agent.learnin_rate=3", "--set agent.learnin_rate", "write agent.learning_rate"),
        ("agnt.learning_rate=3", "--set agnt.learning_rate", "write agent"),
        ("agent.num_envs.x=3", "--set agent.num_envs.x", "agent.num_envs=VALUE"),
        ("agent.num_envs", "--set", "agent.num_envs=VALUE"),
        ("=3", "--set", "KEY=VALUE"),
        ("a..b=3", "--set", "=VALUE"),
        ("env.id=[", "--set env.id", "mend"),
        ("agent.learning_rate.end=0", "--set agent.learning_rate.end", "whole"),
    ],
)
def test_wrong_overrides(override, field, cure):
    with pytest.raises(BadInput) as caught:
        overrides.apply({"agent": {"learning_rate": 3e-4}}, [override])
    assert caught.value.field.startswith(field)
    assert cure in caught.value.cure


@pytest.mark.parametrize(
    ("change", "field", "value", "allowed", "cure"),
    [
        ("agent.num_envs='8'", "agent.num_envs", "8", "a whole number from 1 to 1048576", "agent.num_envs"),
        ("agent.num_envs=8.0", "agent.num_envs", 8.0, "a whole number", "get 8"),
        ("agent.num_envs=true", "agent.num_envs", True, "a whole number", "get 8"),
        ("agent.discount=2", "agent.discount", 2, "more than 0 and at most 1", "get 0.99"),
        ("agent.discount=.nan", "agent.discount", ".nan", "a number", "get 0.99"),
        ("agent.algorithm=pppo", "agent.algorithm", "pppo", "ppo", "ppo"),
        ("agent.algorithm=dqnn", "agent.algorithm", "dqnn", "ppo or dqn or sac", "set agent.algorithm to dqn"),
        ("agent.algorithm=5", "agent.algorithm", 5, "ppo or dqn or sac", "or leave it out"),
        ("agent={algorithm: dqn, explortion: 1}", "agent.explortion", "explortion", "a key of agent", "exploration"),
        ("agent={algorithm: sac, gae_lambda: 1}", "agent.gae_lambda", "gae_lambda", "with algorithm sac", "to ppo"),
        ("agent={algorithm: dqn, networks: {layers: [0]}}", "agent.networks.layers[0]", 0, "from 1 to 4096", "layers"),
        ("agent={algorithm: dqn, replay_size: 50}", "agent.replay_size", 50, "at least num_envs", "set it to 100000"),
        ("agent={algorithm: td3, replay_size: 1001, learning_starts: 1001}",
         "agent.learning_starts", 1001, "at most 1000", "set it to 1000"),
        ("agent={algorithm: td3, exploration: 3}", "agent.exploration", 3, "from 0 to 2", "agent.exploration"),
        ("agent.objective=averge-reward", "agent.objective", "averge-reward", "discounted or", "average-reward"),
        ("agent.learning_rate=0", "agent.learning_rate", 0, "more than 0 at the start", "agent.learning_rate"),
        ("agent.learning_rate=fast", "agent.learning_rate", "fast", "a number", "agent.learning_rate"),
        ("agent.clip_ratio={start: 1, end: x}", "agent.clip_ratio.end", "x", "a number", "agent.clip_ratio.end"),
        ("agent.networks.actor=[0]", "agent.networks.actor[0]", 0, "from 1 to 4096", "agent.networks.actor"),
        ("agent.networks.actor=[]", "agent.networks.actor", [], "1 to 8 items", "agent.networks.actor"),
        ("agent.minibatch_size=300", "agent.minibatch_size", 300, "= 1024", "set it to 256"),
        ("agent={num_envs: 1000000, rollout_steps: 1000000, minibatch_size: 999999999998}",
         "agent.minibatch_size", 999999999998, "= 1000000000000", "set it to 1000000000000"),
        ("agent={networks: {recurrent: {}}, minibatch_size: 64}",
         "agent.minibatch_size", 64, "rollout_steps = 128 times a divisor of num_envs = 8", "set it to 128"),
        ("agent={networks: {recurrent: {}}, minibatch_size: 384}",
         "agent.minibatch_size", 384, "networks.recurrent learns from whole sequences", "set it to 256"),
        ("agent={networks: {recurrent: {}}, minibatch_size: 4096}",
         "agent.minibatch_size", 4096, "rollout_steps = 128 times a divisor", "set it to 1024"),
        ("agent={networks: {recurrent: {}, kind: permutation-equivariant}}",
         "agent.networks.kind", "permutation-equivariant", "as recurrent is set", "set recurrent to null"),
        ("agent={networks: {recurrent: {cell: rnn}}}", "agent.networks.recurrent.cell", "rnn", "lstm or gru", "lstm"),
        ("agent={algorithm: reinforce, networks: {recurrent: {}}}",
         "agent.networks.recurrent", "recurrent", "with algorithm reinforce", "to ppo"),
        ("agent={algorithm: dqn, networks: {recurrent: {}}}",
         "agent.networks.recurrent", "recurrent", "with algorithm dqn", "to ppo"),
        ("agent={num_envs: 3, rollout_steps: 1, minibatch_size: 3, common_random_numbers: 2}",
         "agent.common_random_numbers", 2, "a divisor of num_envs = 3", "set it to 3"),
        ("agent={num_envs: 1, common_random_numbers: 2, minibatch_size: 1}",
         "agent.common_random_numbers", 2, "a divisor of num_envs = 1", "set it to null"),
        ("env=", "env", None, "a word that is not empty, or a mapping", "set env"),
        ("env=''", "env.id", "", "a word that is not empty", "set env.id"),
        ("env=5", "env", 5, "a word that is not empty, or a mapping", "set env"),
        ("agent.objective=average-reward", "agent.discount", 0.99, "1, as objective", "set discount to 1"),
        ("agent.common_random_numbers=3", "agent.common_random_numbers", 3, "a divisor of num_envs", "set it to 2"),
        ("agent.networks={shared: true, actor: [3]}", "agent.networks.critic", [64, 64], "[3]", "the same layers"),
        ("budget.cost_usd=3", "budget.cost_usd", 3.0, "null", "price_usd_per_hour"),
        ("seed=-1", "seed", -1, "at least 0", "seed"),
        ("seed=1073741824", "seed", 1 << 30, "less than 1073741824", "seed"),
        ("name=a b", "name", "a b", "letters", "name"),
        ("sinks.tensorboard=yes", "sinks.tensorboard", "yes", "true or false", "get true"),
        ("agent=5", "agent", 5, "a mapping with the keys", "agent"),
        ("evaluation.seeds=null", "evaluation.seeds", None, "a whole number from 2", "get 20"),
    ],
)  # fmt: skip
def test_each_wrong_value_is_named_with_what_is_allowed_and_the_cure(change, field, value, allowed, cure):
    (error,) = errors_of(overrides.apply(LEAST, [change]))
    assert error.field == field
    assert error.value == value
    assert type(error.value) is type(value)
    assert allowed in error.allowed
    assert cure in error.cure


def test_unknown_keys_suggest_the_nearest_or_the_place_where_they_belong():
    errors = {error.field: error for error in errors_of({**LEAST, "agent": {"learnin_rate": 1}, "minibatch_size": 3})}
    assert errors["agent.learnin_rate"].cure == "write agent.learning_rate"
    assert "agent.minibatch_size" in errors["minibatch_size"].cure


def test_all_mistakes_are_told_at_once():
    errors = errors_of({"agent": {"num_envs": 0, "discount": 3}, "seed": "x"})
    assert {error.field for error in errors} == {"env", "agent.num_envs", "agent.discount", "seed"}
    assert "a missing value" in str(next(error for error in errors if error.field == "env"))


@pytest.mark.parametrize("text", ["5", "", "- 1", "just words"])
def test_a_file_that_holds_no_mapping(tmp_path, text):
    path = tmp_path / "run.yaml"
    path.write_text(text)
    with pytest.raises(BadInput, match="a mapping of keys"):
        load.load(path)


def test_files_that_cannot_be_read(tmp_path):
    wrong = tmp_path / "wrong.yaml"
    wrong.write_bytes(b"env: \xff\xfe")
    long = tmp_path / "long.yaml"
    long.write_bytes(b"#" * (load.MAXIMUM_BYTES + 1))
    for path, said in ((wrong, "UTF-8"), (long, "at most"), (tmp_path, "directory"), (tmp_path / "no.yaml", "No such")):
        with pytest.raises(BadInput, match=said):
            load.load(path)


def test_a_run_file_cannot_be_changed():
    run_file = load.validate(LEAST)
    with pytest.raises(ValueError, match="frozen"):
        run_file.seed = 3
