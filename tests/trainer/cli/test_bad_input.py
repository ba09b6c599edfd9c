"""Whatever is wrong with the input: one message with field, value, allowed and fix, exit 2, nothing written."""

import json
import os
import socket
import subprocess
import sys

import pytest

from trainer.cli import application
from trainer.config import load
from trainer.run import group
from trainer.run.directory import RunDirectory
from trainer.run.status import State
from trainer.store import resolve

RUN_FILE = load.validate({"env": {"id": "slipway/CartPole-v1"}})

FILES = {
    "good.yaml": "env: {id: slipway/CartPole-v1}\n",
    "syntax.yaml": "env:\n  id: [slipway\n",
    "twice.yaml": "env: {id: slipway/CartPole-v1}\nseed: 1\nseed: 2\n",
    "word.yaml": "just a word\n",
    "empty.yaml": "",
    "binary.yaml": b"\xff\xfe\x00",
    "tab.yaml": "env:\n\tid: x\n",
    "alias.yaml": "env: &a {id: slipway/CartPole-v1}\nevaluation: *a\n",
    "tag.yaml": "env: !!python/object/apply:os.system [true]\n",
}

# Arguments; then what field, value, allowed and fix must contain.
WRONG = {
    "nothing to train": (["train"], "RUNFILE", "a missing value", "a YAML file", "lost-sales-ppo"),
    "an address with half a scheme": (["runs", "show", "s3:/bucket/x"], "store", "s3:/bucket/x", "s3:// and", "s3://bucket/x"),
    "an address of no scheme": (["resume", "s4://bucket/x"], "store", "s4://bucket/x", "s3://, gs://", "write s3://bucket/x"),
    "no such file": (["train", "no.yaml"], "RUNFILE", "no.yaml", "a YAML file", "give the path"),
    "no path": (["train", "a\0.yaml"], "RUNFILE", "a\\x00.yaml", "a YAML file", "give the path"),
    "path too long": (["train", "x" * 5000], "RUNFILE", "xxx...", "a YAML file", "presets list"),
    "path too long, YAML": (["train", "x" * 5000 + ".yaml"], "RUNFILE", "xxx...", "name too long", "give the path"),
    "a folder": (["train", "store.yaml"], "RUNFILE", "store.yaml", "a YAML file", "give the path"),
    "not YAML": (["train", "syntax.yaml"], "syntax.yaml, line 3, column 1", "", "YAML", "mend that line"),
    "tab": (["train", "tab.yaml"], "tab.yaml, line 2, column 1", "id: x", "YAML", "mend that line"),
    "not text": (["train", "binary.yaml"], "RUNFILE", "binary.yaml", "UTF-8", "save it"),
    "key twice": (["train", "twice.yaml"], "twice.yaml, line 3, column 1", "seed", "line 2 has it", "take one"),
    "alias": (["train", "alias.yaml"], "alias.yaml, line 2, column 13", "*a", "no aliases", "write the value itself"),
    "tag": (["train", "tag.yaml"], "tag.yaml, line 1, column 6", "tag:yaml.org", "without tags", "take the tag out"),
    "no mapping": (["train", "word.yaml"], "word.yaml", "just a word", "a mapping", "begin with `env:`"),
    "empty": (["train", "empty.yaml"], "empty.yaml", "a missing value", "a mapping", "begin with `env:`"),
    "preset": (["train", "lost-sale-ppo"], "RUNFILE", "lost-sale-ppo", "a preset", "write lost-sales-ppo"),
    "file name": (["train", "goood.yml"], "RUNFILE", "goood.yml", "a YAML file", "give the path"),
    "environment": (["train", "slipway/CartPol-v1"], "env.id", "slipway/CartPol-v1", "", "write slipway/CartPole-v1"),
    "no prefix": (["train", "LunarLander-v3"], "env.id", "LunarLander-v3", "gymnasium:", "gymnasium:LunarLander-v3"),
    "gymnasium": (["train", "gymnasium:CartPol-v1"], "env.id", "CartPol-v1", "", "gymnasium:CartPole-v1"),
    "environment by --set": (
        ["train", "good.yaml", "--set", "env.id=slipway/Nothing-v3"],
        *("env.id", "slipway/Nothing-v3", "slipway/CartPole-v1", ""),
    ),
    "algorithm": (["train", "good.yaml", "--set", "agent.algorithm=pppo"], "agent.algorithm", "pppo", "ppo", "ppo"),
    "actions of another kind": (
        ["train", "good.yaml", "--set", "agent.algorithm=sac"],
        *("agent.algorithm", "sac", "or self-labelling, as slipway/CartPole-v1 has", "set agent.algorithm to ppo"),
    ),
    "key of another algorithm": (
        ["train", "good.yaml", "--set", "agent.replay_size=500"],
        *("agent.replay_size", "replay_size", "with algorithm ppo", "set agent.algorithm to dqn or sac or td3"),
    ),
    "key": (["train", "good.yaml", "--set", "agent.learnin_rate=1"], "learnin_rate", "", "", "agent.learning_rate"),
    "type": (["train", "good.yaml", "--set", "agent.num_envs=many"], "agent.num_envs", "many", "whole number", "8"),
    "range": (["train", "good.yaml", "--set", "agent.discount=1.5"], "agent.discount", "1.5", "at most 1", "0.99"),
    "minibatch larger than the batch": (
        ["train", "good.yaml", "--set", "agent.minibatch_size=4096"],
        *("agent.minibatch_size", "4096", "a divisor of num_envs * rollout_steps", "set it to 1024"),
    ),
    "contradiction": (
        ["train", "good.yaml", "--set", "agent.objective=average-reward"],
        *("agent.discount", "0.99", "1, as objective is average-reward", "set discount to 1"),
    ),
    "money without a price": (
        ["train", "good.yaml", "--set", "budget.cost_usd=5"],
        *("budget.cost_usd", "5", "null", "price_usd_per_hour"),
    ),
    "--set without a value": (["train", "good.yaml", "--set", "seed"], "--set", "seed", "KEY=VALUE", "seed=VALUE"),
    "--set with broken YAML": (["train", "good.yaml", "--set", "seed=["], "--set seed", "[", "YAML", ""),
    "--set alone": (["train", "good.yaml", "--set"], "--set", "a missing value", "", "--set VALUE"),
    "parameter": (
        ["train", "lost-sales-ppo", "--set", "env.parameters.lead_time=4"],
        *("env.parameters.lead_time", "lead_time", "lead_time_periods", "write env.parameters.lead_time_periods"),
    ),
    "parameter's range": (
        ["train", "lost-sales-ppo", "--set", "env.parameters.lead_time_periods=99"],
        *("env.parameters.lead_time_periods", "99", "from 1 to 12", "envs describe"),
    ),
    "Gymnasium's parameter": (
        ["train", "gymnasium:FrozenLake-v1", "--set", "env.parameters.map_nme=8x8"],
        *("env.parameters.map_nme", "map_nme", "one of desc, map_name", "write env.parameters.map_name"),
    ),
    "value of Gymnasium's parameter": (
        ["train", "gymnasium:Pendulum-v1", "--set", "env.parameters.g=heavy"],
        *("env.parameters", "heavy", "failed in its step", "documentation"),
    ),
    "not offered": (
        ["train", "good.yaml", "--set", "agent.expectation_over_noise=true"],
        *("agent.expectation_over_noise", "True", "slipway/CartPole-v1", "set agent.expectation_over_noise to false"),
    ),
    "average reward of episodes": (
        ["train", "gymnasium:CartPole-v1", "--set", "agent={objective: average-reward, discount: 1}"],
        *("agent.objective", "average-reward", "discounted", "set agent.objective to discounted"),
    ),
    "actions": (
        ["train", "good.yaml", "--set", "env.id=gymnasium:slipway-test/Two-v0"],
        *("env.id", "slipway-test/Two-v0", "Discrete or a float Box", ""),
    ),
    "seed": (["train", "good.yaml", "--seed", "-1"], "--seed", "-1", "from 0 to 1073741823", "--seed N"),
    "seeds": (["train", "good.yaml", "--seeds", "0"], "--seeds", "0", "from 1 to 1000", "--seeds N"),
    "too many seeds": (
        ["train", "good.yaml", "--seed", str(2**30 - 1), "--seeds", "2"],
        *("--seeds", "2", "from 1 to 1", "fewer"),
    ),
    "run id": (["train", "good.yaml", "--run-id", "../x"], "--run-id", "../x", "letters, digits", "choose another"),
    "run id that exists": (["train", "good.yaml", "--run-id", "done"], "--run-id", "done", "", "choose another"),
    "store of a cloud": (["train", "good.yaml", "--store", "s3://bucket"], "store", "s3://bucket", "credentials", ""),
    "address of a cloud": (["resume", "s3://bucket/x"], "store", "s3://bucket", "credentials", ""),
    "address of no mount": (["runs", "show", "nas:///nowhere/x"], "store", "nas:///nowhere", "", ""),
    "store is a file": (["train", "good.yaml", "--store", "good.yaml"], "store", "good.yaml", "a folder", "--store"),
    "store cannot be made": (["train", "good.yaml", "--store", "/proc/x"], "store", "/proc/x", "a folder", "--store"),
    "resume nothing": (["resume", "zzz"], "RUN", "zzz", "the id of a run", "runs list"),
    "resume, misspelt": (["resume", "queud"], "RUN", "queud", "the id of a run", "write queued"),
    "resume what is finished": (["resume", "done"], "RUN", "done", "not finished", "train a new run"),
    "resume a finished group": (["resume", "group"], "RUN", "group", "not finished", "train a new group"),
    "resume another version": (["resume", "other"], "RUN", "other", "format 1", "the version of slipway"),
    "resume, too long": (["resume", "x" * 5000], "RUN", "xxx...", "the id of a run", "runs list"),
    "resume a file": (["resume", "good.yaml"], "RUN", "good.yaml", "a run directory", "runs list"),
    "evaluate nothing": (["evaluate", "zzz"], "RUN", "zzz", "the id of a run", "runs list"),
    "evaluate too few seeds": (["evaluate", "done", "--seeds", "1"], "--seeds", "1", "from 2", "--seeds N"),
    "evaluate another version": (["evaluate", "other"], "RUN", "other", "format 1", "the version of slipway"),
    "report another version": (["report", "other"], "RUN", "other", "format 1", "the version of slipway"),
    "report nothing": (["report", "zzz"], "RUN", "zzz", "the id of a run", "runs list"),
    "no run": (["evaluate"], "RUN", "a missing value", "needs RUN", "slipway evaluate --help"),
    "describe nothing": (["envs", "describe", "slipway/X"], "env.id", "slipway/X", "slipway/CartPole-v1", ""),
    "show no preset": (["presets", "show", "cartpol-ppo"], "PRESET", "cartpol-ppo", "", "write cartpole-ppo"),
    "shell": (["completion", "tcsh"], "SHELL", "tcsh", "bash or zsh or fish", "write"),
    "command": (["trian"], "command", "trian", "train, resume", "write `slipway train`"),
    "command of a group": (["runs", "lst"], "command", "lst", "list, logs, pull", "write `slipway runs list`"),
    "option": (["train", "good.yaml", "--sed", "3"], "option", "--sed", "--seed", "write --seed"),
    "argument too many": (["schema", "x"], "argument", "x", "no further argument", "take it out"),
    "flag with a value": (["runs", "list", "--json=3"], "--json", "", "alone", "write --json"),
    "store that is no folder": (["runs", "list", "--store", "good.yaml"], "store", "good.yaml", "a folder", "--store"),
}  # fmt: skip

TWO = """
import gymnasium
class Two(gymnasium.Env):
    observation_space = gymnasium.spaces.Box(0, 1, (1,))
    action_space = gymnasium.spaces.MultiDiscrete([2, 3])
gymnasium.register("slipway-test/Two-v0", entry_point=Two)
"""


@pytest.fixture(scope="module", autouse=True)
def two_choices():
    import gymnasium

    exec(TWO, {})
    yield
    del gymnasium.registry["slipway-test/Two-v0"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with run files and a store with runs of all kinds."""
    folder = tmp_path_factory.mktemp("place")
    for name, text in FILES.items():
        (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    (folder / "store.yaml").mkdir()
    store = resolve(str(folder / "runs"))
    RunDirectory.create(store, "queued", RUN_FILE)
    finished = RunDirectory.create(store, "done", RUN_FILE)
    members = group.members(group.create(store, "group", group.with_seeds(RUN_FILE, 2)))
    for run in (finished, *members):
        run.move(State.RUNNING)
        run.move(State.FINISHED)
    (folder / "runs/group/evaluation.json").write_text("{}")
    other = RunDirectory.create(store, "other", RUN_FILE)
    other.status_path.write_text(json.dumps({**other.status().to_json(), "format": 99}))
    return folder


def contents(folder):
    return {
        str(path): path.read_bytes() if path.is_file() else None for path in folder.rglob("*") if path.name != ".lock"
    }


def assert_one_message(message, field, value, allowed, fix):
    first, *rest = message.splitlines()
    assert first.startswith("slipway: ")
    assert first.endswith(" is not allowed")
    told_field, told_value = first.removeprefix("slipway: ").removesuffix(" is not allowed").split(": ", 1)
    assert field in told_field
    assert value in told_value
    assert len(rest) == 2, message
    assert rest[0].startswith("  allowed: ")
    assert allowed in rest[0]
    assert rest[1].startswith("  fix:     ")
    assert len(rest[1]) > len("  fix:     ")
    assert fix in rest[1]


@pytest.mark.parametrize("case", WRONG)
def test_in_this_process(place, monkeypatch, capfd, case):
    arguments, *told = WRONG[case]
    monkeypatch.chdir(place)
    before = contents(place)
    assert application.run(arguments) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert_one_message(err, *told)
    assert contents(place) == before


@pytest.mark.slow
@pytest.mark.parametrize(
    "case",
    ["not YAML", "key", "not offered", "parameter", "gymnasium", "store cannot be made", "resume what is finished"],
)
def test_as_a_real_process(place, case):
    arguments, *told = WRONG[case]
    before = contents(place)
    command = [sys.executable, "-c", "from trainer.cli import main; main()", *arguments]
    result = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert result.stdout == ""
    assert_one_message(result.stderr, *told)
    assert contents(place) == before


def test_a_port_that_is_taken(place, monkeypatch, capfd):
    monkeypatch.chdir(place)
    before = contents(place)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        setting = f"sinks.prometheus={{enabled: true, port: {port}}}"
        assert application.run(["train", "good.yaml", "--set", setting]) == 2
    assert_one_message(capfd.readouterr().err, "sinks.prometheus.port", str(port), "nothing listens on", "another port")
    assert contents(place) == before
    assert application.run(["train", "good.yaml", "--set", setting, "--dry-run", "--json"]) == 0
    assert contents(place) == before


def test_several_mistakes_are_told_together(place, monkeypatch, capfd):
    monkeypatch.chdir(place)
    wrong = ["--set", "agent.num_envs=0", "--set", "agent.discount=2", "--set", "seed=x"]
    assert application.run(["train", "good.yaml", *wrong]) == 2
    message = capfd.readouterr().err
    assert message.count("is not allowed") == message.count("  fix:") == 3


def test_a_run_that_another_process_writes_to(place, capfd):
    run = RunDirectory.open(place / "runs/queued")
    with run.lock():
        assert application.run(["resume", str(run.folder)]) == 2
    assert_one_message(capfd.readouterr().err, "RUN", "queued", f"process {os.getpid()}", "wait")
