"""`slipway envs new`: what it writes works at once, in a fresh folder and a process of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import processes
import pytest

from trainer import skeleton
from trainer.cli import application
from trainer.errors import BadInput

ENV_ID = "room_heater:room_heater/RoomHeater-v0"
ROOT = Path(__file__).parents[2]


def begin(*arguments, cwd):
    """A process as the installed command runs it: the current folder is not on the import path."""
    code = "import sys; sys.path = [p for p in sys.path if p]; from trainer.cli import main; main()"
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def slipway(*arguments, cwd):
    """The same, finished."""
    process = begin(*arguments, cwd=cwd)
    output, errors = process.communicate()
    return subprocess.CompletedProcess(arguments, process.returncode, output, errors)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("place")
    made = slipway("envs", "new", "room_heater", "--json", cwd=folder)
    assert made.returncode == 0, made.stderr
    said = json.loads(made.stdout)
    assert said["id"] == ENV_ID
    assert said["files"] == ["README.md", "__init__.py", "dynamics.py", "model.py", "test_room_heater.py"]
    return folder


@pytest.mark.slow
def test_its_own_tests_pass(place):
    """And can fail: with the heater broken, they do."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "room_heater"]
    ran = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False, env=environment)
    assert ran.returncode == 0, ran.stdout
    dynamics = place / "room_heater/dynamics.py"
    sound = dynamics.read_text()
    dynamics.write_text(sound.replace("tf.cast(action, tf.float32)", "tf.cast(1 - action, tf.float32)"))
    broken = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False, env=environment)
    dynamics.write_text(sound)
    assert broken.returncode == 1


@pytest.mark.slow
def test_it_trains_at_once_and_is_evaluated_and_simulated(place):
    small = ["--set", "budget.env_steps=64", "--set", "agent={num_envs: 4, rollout_steps: 8, minibatch_size: 16}"]
    small += ["--set", "evaluation={seeds: 2, episodes_per_seed: 1}", "--run-id", "warm"]
    trained = slipway("train", ENV_ID, *small, "--json", cwd=place)
    assert trained.returncode == 0, trained.stderr
    evaluation = json.loads((place / "runs/warm/evaluation.json").read_text())
    assert {"greedy", "sampled", "thermostat"} == set(evaluation["policies"])
    assert slipway("evaluate", "warm", "--quiet", cwd=place).returncode == 0
    simulated = slipway("simulate", ENV_ID, "--policy", "warm", "--episodes", "2", "--json", cwd=place)
    assert json.loads(simulated.stdout)["steps"] == 200
    elsewhere = slipway("evaluate", str(place / "runs/warm"), cwd=ROOT)
    assert elsewhere.returncode == 2
    assert "a module that can be imported, which room_heater cannot" in elsewhere.stderr


def kept(run):
    """Every file of a run but its lock, with its bits."""
    return {path: path.read_bytes() for path in run.rglob("*") if path.is_file() and path.name != ".lock"}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_killed_run_is_resumed_to_the_same_bits_where_its_module_lies_and_refused_elsewhere(place, tmp_path):
    settings = {
        "agent": {"num_envs": 8, "rollout_steps": 16, "minibatch_size": 32, "epochs": 8},
        "budget.env_steps": 8 * 16 * 60,
        "evaluation": {"seeds": 2, "episodes_per_seed": 1},
        "checkpoint.interval_iterations": 1,
    }
    store = tmp_path / "runs"
    pairs = [item for key, value in settings.items() for item in ("--set", f"{key}={json.dumps(value)}")]
    arguments = ["train", ENV_ID, *pairs, "--store", str(store), "--quiet", "--run-id"]
    straight = slipway(*arguments, "straight", cwd=place)
    assert straight.returncode == 0, straight.stderr

    run = store / "killed"
    with begin(*arguments, "killed", cwd=place) as process:
        arrived = processes.wait_for_checkpoint(process, run, 8 * 16, timeout=240)
        process.kill()
        process.communicate()
    assert arrived
    assert processes.status(run)["state"] == "running"  # it had no time to say anything else
    before = kept(run)

    elsewhere = slipway("resume", str(run), cwd=tmp_path)
    assert elsewhere.returncode == 2
    first, second, third = elsewhere.stderr.splitlines()
    assert first == f"slipway: env.id: '{ENV_ID}' is not allowed"
    assert "a module that can be imported, which room_heater cannot" in second
    assert "go to the folder that it lies in" in third
    assert kept(run) == before

    # The module is there, and no longer registers the task.
    (tmp_path / "room_heater.py").write_text("")
    other = slipway("resume", str(run), cwd=tmp_path)
    assert other.returncode == 2
    assert "an id that room_heater registers: it registers none" in other.stderr
    assert "Traceback" not in other.stderr
    assert kept(run) == before

    resumed = slipway("resume", str(run), "--quiet", cwd=place)
    assert resumed.returncode == 0, resumed.stderr
    assert processes.status(run)["resumes"] == 1
    processes.assert_same_training(run, store / "straight")


def test_the_id_is_known_where_it_lies(place):
    described = slipway("envs", "describe", ENV_ID, "--json", cwd=place)
    assert described.returncode == 0, described.stderr
    said = json.loads(described.stdout)
    assert said["baselines"] == ["thermostat"]
    assert [p["name"] for p in said["parameters"]][:2] == ["target_celsius", "outside_celsius"]
    assert slipway("train", ENV_ID, "--dry-run", cwd=place).returncode == 0
    wrong = slipway("train", ENV_ID, "--set", "env.parameters.target=3", "--dry-run", cwd=place)
    assert wrong.returncode == 2
    assert "write env.parameters.target_celsius" in wrong.stderr


@pytest.mark.parametrize(
    ("env_id", "allowed", "fix"),
    [
        ("room_heater:room_heater/RoomHeatr-v0", "an id that room_heater registers", "room_heater/RoomHeater-v0"),
        ("no_such_module:a/B-v0", "a module that can be imported, which no_such_module cannot", "mend it"),
        ("broken:a/B-v0", "a module that can be imported, which broken cannot (ZeroDivisionError", "mend it"),
    ],
)
def test_a_wrong_id_is_refused(place, env_id, allowed, fix):
    (place / "broken.py").write_text("1 / 0\n")
    refused = slipway("train", env_id, cwd=place)
    (place / "broken.py").unlink()
    assert refused.returncode == 2
    first, second, third = refused.stderr.splitlines()
    assert first == f"slipway: env.id: '{env_id}' is not allowed"
    assert allowed in second
    assert fix in third
    assert not (place / "runs").exists() or {path.name for path in (place / "runs").iterdir()} <= {"warm"}


WRONG = {
    "upper case": ("RoomHeater", "lower-case", "write roomheater"),
    "dash": ("room-heater", "lower-case", "write room_heater"),
    "digit": ("2rooms", "lower-case", "write rooms"),
    "keyword": ("class", "lower-case", "write class_task"),
    "empty": ("", "lower-case", "write my"),
    "path": ("../x", "lower-case", "write x"),
    "too long": ("x" * 51, "at most 50", "write xxx"),
    "a module": ("random", "a name that no module here has", "write random_task"),
    "ours": ("envs", "a name that no module here has", "write envs_task"),
    "there": ("there", "does not have yet", "choose another"),
}


@pytest.mark.parametrize("case", WRONG)
def test_bad_names(tmp_path, monkeypatch, capsys, case):
    name, allowed, fix = WRONG[case]
    (tmp_path / "there").mkdir()
    monkeypatch.chdir(tmp_path)
    assert application.run(["envs", "new", name]) == 2
    first, second, third = capsys.readouterr().err.splitlines()
    assert first.startswith(f"slipway: NAME: '{name}")
    assert allowed in second
    assert fix in third
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


def test_a_folder_that_is_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="--folder"):
        skeleton.write("room_heater", tmp_path / "file" / "below")


def test_another_folder_is_made(tmp_path, capsys):
    assert application.run(["envs", "new", "cold_store", "--folder", str(tmp_path / "tasks")]) == 0
    assert f"cd {tmp_path}/tasks; slipway train cold_store:cold_store/ColdStore-v0" in capsys.readouterr().out
    text = "".join(path.read_text() for path in (tmp_path / "tasks/cold_store").iterdir())
    assert "class ColdStore(TensorEnv[Params])" in text
    assert "$" not in text
