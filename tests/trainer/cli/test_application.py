"""The commands as people and programs use them."""

import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import click
import pytest

from envs import registry
from trainer.cli import application, reference
from trainer.cli.command import Command, Group
from trainer.config import load, presets, yaml_text
from trainer.errors import SlipwayError
from trainer.run.directory import RunDirectory
from trainer.run.status import State
from trainer.store import resolve

PAGE = Path(__file__).parents[3] / "docs/reference/cli.md"
RUN_FILE = load.validate({"env": {"id": "slipway/CartPole-v1"}, "budget": {"env_steps": 1000}})
CONTEXTS = {
    context.command_path: context for context in reference.walk(click.Context(application.slipway, info_name="slipway"))
}

HEAVY = ("tensorflow", "tf_agents", "pydantic", "gymnasium", "numpy", "matplotlib", "scipy", "rich", "yaml")


def process(*arguments, **keywords):
    command = [sys.executable, "-c", "from trainer.cli import main; main()", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, **keywords)


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SLIPWAY_STORE", raising=False)
    return resolve("runs")


def test_the_page_is_up_to_date():
    assert PAGE.read_text() == reference.page(), "run `python -m trainer.cli.reference > docs/reference/cli.md`"


@pytest.mark.parametrize("path", CONTEXTS)
def test_every_help_has_examples_that_name_the_command(path, capsys):
    assert application.run([*path.split()[1:], "--help"]) == 0
    shown = capsys.readouterr().out
    command = CONTEXTS[path].command
    assert isinstance(command, Command | Group)
    assert command.examples
    assert all(example.startswith(path) and example in shown for example in command.examples)


@pytest.mark.parametrize("path", [path for path, context in CONTEXTS.items() if isinstance(context.command, Command)])
def test_options_in_examples_exist(path):
    context = CONTEXTS[path]
    known = {name for parameter in context.command.params for name in parameter.opts}
    for example in context.command.examples:
        assert {word for word in example.split() if word.startswith("--")} <= known


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"], ["--version"], ["nonsense"]])
def test_help_imports_nothing_heavy(arguments):
    script = (
        "import sys; from trainer.cli import application; application.run(sys.argv[1:]);"
        f"print([name for name in {HEAVY} if name in sys.modules], file=sys.stderr)"
    )
    result = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=True)
    assert result.stderr.splitlines()[-1] == "[]"


def test_without_a_command_the_help_is_printed(capsys):
    for arguments in ([], ["runs"]):
        assert application.run(arguments) == 0
        assert "Examples:" in capsys.readouterr().out


def test_version(capsys):
    assert application.run(["--version"]) == 0
    assert capsys.readouterr().out == f"slipway {version('slipway')}\n"


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (SlipwayError("the disk is full"), 1, "slipway: the disk is full\n"),
        (ZeroDivisionError("by\nzero"), 1, "slipway: slipway failed unexpectedly: ZeroDivisionError: by zero\n"),
        (KeyboardInterrupt(), 130, "slipway: interrupted\n"),
    ],
)
def test_faults_are_one_message(store, monkeypatch, capsys, error, code, said):
    def broken():
        raise error

    monkeypatch.delenv("SLIPWAY_DEBUG", raising=False)
    monkeypatch.setattr("trainer.config.schema.text", broken)
    assert application.run(["schema"]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.lstrip().startswith(said)  # click ends the line of ^C first
    assert "Traceback" not in captured.err
    assert ("SLIPWAY_DEBUG=1" in captured.err) == isinstance(error, ZeroDivisionError)


def test_a_traceback_on_request(monkeypatch):
    def broken():
        raise ZeroDivisionError("by zero")

    monkeypatch.setenv("SLIPWAY_DEBUG", "1")
    monkeypatch.setattr("trainer.config.schema.text", broken)
    with pytest.raises(ZeroDivisionError):
        application.run(["schema"])


def test_a_reader_that_goes_away():
    script = "from trainer.cli import main; import sys; sys.argv = ['slipway', 'schema']; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    process.stdout.close()
    assert process.stderr.read() == ""
    process.stderr.close()
    assert process.wait() == 1


def test_dry_run_prints_the_resolved_run_file_and_writes_nothing(store, tmp_path, capsys):
    arguments = ["train", "lost-sales-ppo", "--dry-run", "--set", "agent.epochs=2", "--seed", "7", "--store", "x"]
    assert application.run(arguments) == 0
    run_file = load.validate(yaml_text.parse(capsys.readouterr().out, "stdout"))
    assert (run_file.agent.epochs, run_file.seed, run_file.store) == (2, 7, "x")
    assert application.run([*arguments, "--json"]) == 0
    assert load.validate(json.loads(capsys.readouterr().out)) == run_file
    assert list(tmp_path.iterdir()) == []


def test_the_store_of_the_environment_variable(store, monkeypatch, capsys):
    monkeypatch.setenv("SLIPWAY_STORE", "elsewhere")
    assert application.run(["train", "slipway/CartPole-v1", "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["store"] == "elsewhere"
    RunDirectory.create(resolve("elsewhere"), "a", RUN_FILE)
    assert application.run(["runs", "show", "a", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["run_id"] == "a"


def test_runs(store, capsys):
    assert application.run(["runs", "list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []
    assert application.run(["runs", "list"]) == 0
    assert "No runs" in capsys.readouterr().err
    RunDirectory.create(store, "first", RUN_FILE)
    second = RunDirectory.create(store, "second", RUN_FILE)
    second.write_status(second.status().moved(State.PREEMPTED, env_steps=250))
    assert application.run(["runs", "list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert {item["run_id"]: item["state"] for item in listed} == {"first": "queued", "second": "preempted"}
    assert application.run(["runs", "list"]) == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("second"))
    assert line.split()[1:5] == ["preempted", "slipway/CartPole-v1", "25", "%"]
    for run in ("second", "runs/second", str(second.folder.absolute())):
        assert application.run(["runs", "show", run, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["env_steps"] == 250
    assert application.run(["runs", "show", "second"]) == 0
    assert "preempted" in capsys.readouterr().out


@pytest.mark.parametrize("state", [State.QUEUED, State.RUNNING, State.PREEMPTED, State.FAILED])
def test_a_report_is_done_however_far_the_run_has_come(store, capsys, state):
    run = RunDirectory.create(store, "a", RUN_FILE)
    if state is not State.QUEUED:
        run.move(State.RUNNING)
        run.move(state)
    assert application.run(["report", "a", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["state"] == state
    assert run.report.is_file()


def test_environments_are_listed_without_tensorflow():
    result = process("envs", "list", "--json")
    found = {item["id"]: item for item in json.loads(result.stdout)}
    assert found["slipway/LostSales-v0"]["preset"] == "lost-sales-ppo"
    script = (
        "import sys; from trainer.cli import application; application.run(['envs', 'list', '--gymnasium']);"
        "sys.exit('tensorflow' in sys.modules)"
    )
    listed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "gymnasium:Pendulum-v1" in listed.stdout


def test_a_task_of_ours_is_described(capsys):
    assert application.run(["envs", "describe", "slipway/LostSales-v0", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["optimum"] == pytest.approx(4.7285, abs=5e-4)
    assert {"expected_reward", "expectation_over_noise"} <= set(found["offers"])
    assert all(item["help"] and item["allowed"] for item in found["parameters"])
    assert application.run(["envs", "describe", "slipway/LostSales-v0"]) == 0
    assert "lead_time_periods" in capsys.readouterr().out


def test_a_gymnasium_environment_is_described(capsys):
    assert application.run(["envs", "describe", "gymnasium:MountainCarContinuous-v0", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["preset"], found["max_episode_steps"]) == ("gymnasium-ppo-continuous", 999)


def test_presets(capsys):
    assert application.run(["presets", "list", "--json"]) == 0
    assert [item["name"] for item in json.loads(capsys.readouterr().out)] == presets.names()
    assert application.run(["presets", "list"]) == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in presets.names())
    for name in presets.names():
        assert application.run(["presets", "show", name]) == 0
        assert capsys.readouterr().out == presets.text(name)
    assert application.run(["presets", "show", "cartpole-ppo", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["env"]["id"] == "slipway/CartPole-v1"


def test_schema(capsys):
    assert application.run(["schema"]) == 0
    assert json.loads(capsys.readouterr().out)["properties"].keys() >= {"env", "agent", "budget"}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(capsys, shell):
    assert application.run(["completion", shell]) == 0
    assert "_SLIPWAY_COMPLETE" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("slipway tr", {"train"}),
        (
            "slipway train lost",
            {"lost-sales-dqn", "lost-sales-ppo", "lost-sales-ppo-plain", "lost-sales-ppo-recurrent"},
        ),
        ("slipway train slipway/", set(registry.names())),
        ("slipway envs describe slipway/Lost", {"slipway/LostSales-v0"}),
        ("slipway envs describe gym", {"gymnasium:"}),
        ("slipway presets show lunar", {"lunarlander-dqn", "lunarlander-ppo"}),
        ("slipway resume fi", {"first"}),
        ("slipway resume --store other se", {"second"}),
        ("slipway completion z", {"zsh"}),
        ("slipway train --see", {"--seed", "--seeds"}),
    ],
)
def test_completion_of_words(store, words, expected):
    RunDirectory.create(store, "first", RUN_FILE)
    RunDirectory.create(resolve("other"), "second", RUN_FILE)
    environment = {
        **os.environ,
        "_SLIPWAY_COMPLETE": "zsh_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split()) - 1),
        "PYTHONPROFILEIMPORTTIME": "1",
    }
    result = process(env=environment)
    lines = result.stdout.splitlines()
    assert {lines[i + 1].replace("\\:", ":") for i in range(0, len(lines), 3)} == expected
    assert not {"tensorflow", "pydantic"} & {line.rsplit("|", 1)[-1].strip() for line in result.stderr.splitlines()}


@pytest.mark.slow
def test_a_run_from_the_command_line(store, tmp_path):
    small = ["--set", "budget.env_steps=64", "--set", "agent={num_envs: 4, rollout_steps: 8, minibatch_size: 16}"]
    small += ["--set", "evaluation={seeds: 2, episodes_per_seed: 1}", "--run-id", "small"]
    trained = process("train", "slipway/CartPole-v1", *small, "--json", cwd=tmp_path)
    assert (trained.returncode, trained.stderr) == (0, "")
    assert json.loads(trained.stdout)
    run = RunDirectory.open(tmp_path / "runs/small")
    assert (run.status().state, run.status().env_steps) == (State.FINISHED, 64)
    shown = json.loads(process("runs", "show", "small", "--json", cwd=tmp_path).stdout)
    assert (shown["state"], shown["done_ratio"]) == ("finished", 1.0)
    assert shown["score"] is not None
    page = run.report.read_bytes()
    run.report.unlink()
    reported = process("report", "small", cwd=tmp_path)
    assert reported.returncode == 0
    assert "report.html" in reported.stdout
    assert run.report.read_bytes() == page  # the training wrote it before it said that it was finished
    evaluated = process("evaluate", "small", "--seeds", "3", "--episodes", "1", "--quiet", cwd=tmp_path)
    assert (evaluated.returncode, evaluated.stderr) == (0, "")
    assert len(json.loads(run.evaluation.read_text())["seeds"]) == 3
    again = process("resume", "small", cwd=tmp_path)
    assert again.returncode == 2
