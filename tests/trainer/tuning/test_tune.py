"""`slipway tune` with real processes: workers that train, that are killed, and a study that goes on."""

import contextlib
import json
import os
import re
import signal
import time

import psutil
import pytest
from processes import finish, slipway

from trainer.cli import application
from trainer.tuning import tuner
from trainer.tuning.outcome import Outcome
from trainer.tuning.study import Study

SMALL = (
    "slipway/CartPole-v1",
    "--set", "agent.num_envs=16", "--set", "agent.rollout_steps=32", "--set", "agent.minibatch_size=128",
    "--set", "agent.networks.actor=[8]", "--set", "agent.networks.critic=[8]", "--set", "agent.epochs=1",
    "--set", "evaluation.seeds=4", "--set", "evaluation.episodes_per_seed=1",
    "--set", "checkpoint.interval_iterations=10", "--space", "agent.learning_rate={low: 1e-4, high: 1e-2, log: true}",
    "--parts", "4", "--store", "runs",
)  # fmt: skip
SHORT, LONG = ("--set", "budget.env_steps=20_480"), ("--set", "budget.env_steps=20_480_000")
ENDLESS = 300


def records(folder):
    with Study.open(folder) as study:
        return study.records()


def wait_for(condition, process, seconds=ENDLESS):
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None:
        if found := condition():
            return found
        time.sleep(0.05)
    raise AssertionError(f"it never came to that:\n{process.communicate(timeout=5)[0] if process.poll() else ''}")


def trained(folder):
    """Run directories of trials that have a checkpoint."""
    return [path.parent.parent for path in folder.glob("trials/*/checkpoints/0*")]


def workers(process):
    """The worker processes of a `slipway tune`; Python's own helper is none."""
    with contextlib.suppress(psutil.NoSuchProcess):
        children = psutil.Process(process.pid).children()
        return [child for child in children if "spawn_main" in " ".join(child.cmdline())]
    return []


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("place")


@pytest.fixture(scope="module")
def finished(place):
    """A study of three trials by two workers, and what the command printed."""
    code, output = finish(
        slipway("tune", *SMALL, *SHORT, "--study", "whole", "--trials", 3, "--workers", 2, cwd=place, cold=True)
    )
    assert code == 0, output
    return place / "runs/whole", output


def test_a_study_from_start_to_end(finished):
    folder, output = finished
    found = records(folder)
    assert [record.outcome for record in found] == [Outcome.COMPLETE] * 3
    assert all(set(record.parts) == {1, 2, 3, 4} for record in found)
    best = max(found, key=lambda record: record.score)
    assert len(re.findall(r"^trial \d: return ", output, re.M)) == 3
    assert "Trials: 3 complete." in output
    assert f"Best return {best.score:.4g}"[:14] in output
    assert output.splitlines()[-1].endswith("slipway train runs/whole/best.yaml --seeds 5")
    assert not list(folder.glob("trials/*/checkpoints"))
    status = [json.loads(path.read_text()) for path in folder.glob("trials/*/status.json")]
    assert [each["state"] for each in status] == ["finished"] * 3
    assert (folder / "report.html").read_text().count("<figure") >= 4


def test_its_best_run_file_trains(finished, capsys, monkeypatch):
    folder, _ = finished
    monkeypatch.chdir(folder.parent.parent)
    assert application.run(["train", "runs/whole/best.yaml", "--dry-run", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    best = max(records(folder), key=lambda record: record.score)
    assert said["agent"]["learning_rate"] == best.values["agent.learning_rate"]
    assert said["evaluation"]["interval_iterations"] is None
    assert said["budget"]["env_steps"] == 20_480


def test_it_goes_on_where_it_is_and_refuses_to_become_another(finished, capsys, monkeypatch):
    folder, _ = finished
    monkeypatch.chdir(folder.parent.parent)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != "report.html"}
    assert application.run(["tune", "runs/whole", "--trials", "3", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["state"] == "finished"
    assert said["trials"] == {"complete": 3}
    assert said["best"]["score"] == max(record.score for record in records(folder))
    for arguments, words in (
        ((*SMALL, *SHORT, "--study", "whole", "--set", "agent.discount=0.9"), "--study: agent.discount: 0.9"),
        ((*SMALL, *SHORT, "--study", "whole", "--seed", "7"), "--study: seed: 7"),
        (("runs/whole", "--space", "agent.epochs=[1, 2]"), "--space: 'agent.epochs=[1, 2]'"),
        (("runs/whole", "--pruner", "none"), "--pruner: 'none'"),
        (("runs/other", "--trials", "3"), "RUNFILE: 'runs/other'"),
        ((*SMALL, *SHORT, "--trials", "0"), "--trials: '0'"),
        ((*SMALL, *SHORT, "--workers", "none"), "--workers: 'none'"),
        ((*SMALL, *SHORT, "--pruner", "best"), "--pruner: 'best'"),
        ((*SMALL, *SHORT, "--study", "a/b"), "'a/b'"),
        ((*SMALL, "--set", "budget.env_steps=1000"), "--parts: 4"),
        ((*SMALL, *SHORT, "--set", "env.id=slipway/CartPool-v1"), "slipway/CartPole-v1"),
    ):
        assert application.run(["tune", *arguments]) == 2, arguments
        message = capsys.readouterr().err
        assert words in message
        assert "Traceback" not in message
        assert message.count("is not allowed") == 1
    after = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != "report.html"}
    assert after == before
    assert [path.name for path in folder.parent.iterdir()] == ["whole"]


def test_a_worker_that_is_killed_costs_no_trial(place):
    """Its trial goes on from its checkpoint, in another worker; and a signal stops the study in good order."""
    process = slipway("tune", *SMALL, *LONG, "--study", "killed", "--workers", 1, "--trials", 2, cwd=place, cold=True)
    folder = place / "runs/killed"
    run = wait_for(lambda: trained(folder), process)[0]
    first = wait_for(lambda: workers(process), process)[0]
    first.kill()
    wait_for(lambda: [each for each in workers(process) if each.pid != first.pid], process)
    wait_for(lambda: json.loads((run / "status.json").read_text())["resumes"] == 1, process)
    process.send_signal(signal.SIGTERM)
    code, output = finish(process)
    assert code == 75, output
    assert "Go on with: slipway tune runs/killed --trials 2" in output
    assert [path.name for path in (folder / "trials").iterdir()] == [run.name]
    assert json.loads((run / "status.json").read_text())["state"] == "preempted"
    assert records(folder) == []


def test_a_study_whose_process_is_killed_goes_on_with_what_was_being_trained(place):
    """kill -9 of the process that holds the study: its workers end too, and nothing that was finished is lost."""
    command = ("tune", *SMALL, "--set", "budget.env_steps=512_000", "--study", "dead", "--trials", 2)
    process = slipway(*command, cwd=place, cold=True)
    folder = place / "runs/dead"
    wait_for(lambda: trained(folder), process)
    children = psutil.Process(process.pid).children()
    os.kill(process.pid, signal.SIGKILL)
    _, alive = psutil.wait_procs(children, timeout=60)
    assert not alive
    process.communicate()
    was = records(folder)
    code, output = finish(slipway(*command, cwd=place, cold=True))
    assert code == 0, output
    found = records(folder)
    assert len([record for record in found if record.outcome in (Outcome.COMPLETE, Outcome.PRUNED)]) == 2
    finished_before = [record for record in was if record.outcome is not None]
    assert [record for record in found if record.number in {each.number for each in finished_before}] == finished_before
    assert len(list((folder / "trials").iterdir())) == 2
    resumed = [json.loads(path.read_text())["resumes"] for path in folder.glob("trials/*/status.json")]
    assert sorted(resumed) == [0, 1]


def test_a_worker_gives_way_to_a_new_one_after_some_trials(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tuner, "TRIALS_OF_A_WORKER", 1)
    begun, process = [], tuner.multiprocessing.context.SpawnProcess
    monkeypatch.setattr(process, "start", lambda self, start=process.start: begun.append(self) or start(self))
    assert application.run(["tune", *SMALL, *SHORT, "--study", "new", "--trials", "2", "--quiet"]) == 0
    assert len(begun) == 2
    assert [record.outcome for record in records(tmp_path / "runs/new")] == [Outcome.COMPLETE] * 2


def test_nothing_is_written_when_no_worker_can_start(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)  # a new process begins with the path of the one that starts it
    (tmp_path / "tensorflow.py").write_text("raise SystemExit(9)\n")
    assert application.run(["tune", *SMALL, *SHORT]) == 1
    assert "3 worker processes ended before they trained anything" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()
