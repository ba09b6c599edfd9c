"""Runs in a few figures."""

import json

import pytest

from trainer.config import load
from trainer.run import group, summary
from trainer.run.directory import RunDirectory
from trainer.run.status import State
from trainer.store import resolve

RUN_FILE = load.validate({"env": {"id": "slipway/CartPole-v1"}, "seed": 3, "budget": {"env_steps": 1000}})
EVALUATION = {"policies": {"greedy": {"mean": 4.8, "optimality_gap_ratio": 0.02}}}


@pytest.fixture
def store(tmp_path):
    return resolve(str(tmp_path))


def test_a_run_as_it_goes_on(store):
    run = RunDirectory.create(store, "a", RUN_FILE)
    assert summary.of(run.folder)["state"] == "queued"
    with run.lock():
        run.move(State.RUNNING, env_steps=250)
        found = summary.of(run.folder)
        assert (found["state"], found["done_ratio"], found["score"]) == ("running", 0.25, None)
    assert summary.of(run.folder)["state"] == "interrupted"
    run.move(State.FINISHED, env_steps=1024)
    run.evaluation.write_text(json.dumps(EVALUATION))
    found = summary.of(run.folder)
    assert (found["state"], found["done_ratio"], found["score"]) == ("finished", 1.0, 4.8)
    assert found["optimality_gap_ratio"] == 0.02


def test_the_exact_score_comes_before_the_sampled_one(store):
    run = RunDirectory.create(store, "a", RUN_FILE)
    exact = {"exact": {"greedy": {"score": 4.73, "optimality_gap_ratio": 0.001}}}
    run.evaluation.write_text(json.dumps({**EVALUATION, **exact}))
    found = summary.of(run.folder)
    assert (found["score"], found["optimality_gap_ratio"]) == (4.73, 0.001)


def test_details(store):
    run = RunDirectory.create(store, "a", RUN_FILE)
    for step in ("000000000512", ".writing-000000001024"):
        (run.checkpoints / step).mkdir(parents=True)
    found = summary.of(run.folder, detailed=True)
    assert found["checkpoint_steps"] == [512]
    assert found["files"] == ["run.yaml"]
    assert found["folder"] == str(run.folder)


@pytest.mark.parametrize("file", ["status.json", "run.yaml"])
def test_damage_is_shown(store, file):
    run = RunDirectory.create(store, "a", RUN_FILE)
    (run.folder / file).write_text("{")
    found = summary.of(run.folder, detailed=True)
    assert found["state"] == "damaged"
    assert file in found["message"]


def test_a_damaged_evaluation_is_no_result(store):
    run = RunDirectory.create(store, "a", RUN_FILE)
    for text in ("{", "{}", '{"policies": []}', '{"policies": {"greedy": 3}}'):
        run.evaluation.write_text(text)
        assert summary.of(run.folder)["score"] is None


def test_a_group(store):
    folder = group.create(store, "g", group.with_seeds(RUN_FILE, 2))
    assert summary.of(folder)["state"] == "queued"
    first, second = group.members(folder)
    first.move(State.RUNNING, env_steps=1000)
    first.move(State.FINISHED)
    with second.lock():
        second.move(State.RUNNING, env_steps=500)
        found = summary.of(folder, detailed=True)
    assert (found["run_id"], found["state"], found["done_ratio"]) == ("g", "running", 0.75)
    assert (found["env_steps"], found["seed"]) == (1500, [3, 4])
    assert found["members"] == ["g/seed-3 (finished)", "g/seed-4 (running)"]
    (folder / "group.json").write_text("{")
    assert summary.of(folder)["state"] == "damaged"
