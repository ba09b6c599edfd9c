"""`slipway train --or-resume`: one command that begins a run, goes on with it, and leaves a finished one alone."""

import json

import pytest
from processes import finish, slipway, status

from trainer.cli import application

TINY = {
    "budget.env_steps": 1024,
    "agent.num_envs": 8,
    "agent.rollout_steps": 32,
    "agent.minibatch_size": 256,
    "evaluation.seeds": 2,
    "evaluation.episodes_per_seed": 1,
}


def command(store, *more, **settings):
    pairs = [item for key, value in {**TINY, **settings}.items() for item in ("--set", f"{key}={json.dumps(value)}")]
    return ["train", "cartpole-ppo", *pairs, "--store", str(store), "--or-resume", *more]


@pytest.mark.slow
def test_it_begins_goes_on_and_then_has_nothing_to_do(tmp_path):
    stopped = {"budget.wall_time_seconds": 0.001}
    begin = command(tmp_path, "--run-id", "mine", **stopped)
    assert finish(slipway(*begin, cwd=tmp_path))[0] == 3
    assert status(tmp_path / "mine")["state"] == "stopped-by-budget"
    # The budget is raised where the run keeps it, and in the run file.
    kept = tmp_path / "mine" / "run.yaml"
    kept.write_text(kept.read_text().replace("wall_time_seconds: 0.001", "wall_time_seconds: null"))
    again = command(tmp_path, "--run-id", "mine")
    assert finish(slipway(*again, cwd=tmp_path))[0] == 0
    assert (status(tmp_path / "mine")["state"], status(tmp_path / "mine")["resumes"]) == ("finished", 1)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "mine").rglob("*") if path.is_file()}
    assert finish(slipway(*again, cwd=tmp_path)) == (0, "mine is finished already.\n")
    code, said = finish(slipway(*again, "--json", cwd=tmp_path))
    assert (code, json.loads(said)["state"]) == (0, "finished")
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "mine").rglob("*") if path.is_file()} == before


def test_it_needs_an_id(tmp_path, capsys):
    assert application.run(command(tmp_path)) == 2
    assert "write --run-id ID" in capsys.readouterr().err


def test_a_run_of_another_run_file_is_refused(tmp_path, capsys):
    from trainer.config import load
    from trainer.run.directory import RunDirectory
    from trainer.store import resolve

    RunDirectory.create(resolve(str(tmp_path)), "mine", load.validate({"env": {"id": "slipway/CartPole-v1"}}))
    assert application.run(command(tmp_path, "--run-id", "mine")) == 2
    assert "a run of the same run file; agent, budget, evaluation differ" in capsys.readouterr().err


def test_a_group_of_more_or_fewer_runs_is_refused(tmp_path, capsys):
    from trainer.config import source
    from trainer.run import group
    from trainer.store import resolve

    run_file = source.run_file("cartpole-ppo", [f"{key}={json.dumps(value)}" for key, value in TINY.items()])
    group.create(resolve(str(tmp_path)), "mine", group.with_seeds(run_file, 2))
    for seeds in (1, 3):
        assert application.run(command(tmp_path, "--run-id", "mine", "--seeds", str(seeds))) == 2
        assert f"--seeds: {seeds} is not allowed\n  allowed: 2, as " in capsys.readouterr().err


def test_a_run_that_a_living_machine_holds_is_to_be_tried_again(tmp_path, capsys, monkeypatch):
    """A service that replaces a machine which has not gone yet must not end for good. What `session.resume` says of a
    living holder is shown by tests of the lease."""
    from trainer import session
    from trainer.store.lease import Held

    def resume(*_, **__):
        raise Held("RUN", "mine", "a run that no machine writes to", "wait until that process ends")

    first = command(tmp_path, "--run-id", "mine", **{"budget.wall_time_seconds": 0.001})
    assert finish(slipway(*first, cwd=tmp_path))[0] == 3
    monkeypatch.setattr(session, "resume", resume)
    capsys.readouterr()
    assert application.run(first) == 75
    assert "wait until that process ends" in capsys.readouterr().err


def test_a_run_that_another_process_of_this_machine_writes_to_is_to_be_tried_again(tmp_path, capsys):
    from trainer.config import source
    from trainer.run.directory import RunDirectory
    from trainer.store import resolve

    settings = [f"{key}={json.dumps(value)}" for key, value in TINY.items()]
    run = RunDirectory.create(resolve(str(tmp_path)), "mine", source.run_file("cartpole-ppo", settings))
    with run.lock():
        assert application.run(command(tmp_path, "--run-id", "mine")) == 75
    assert "a run that no process writes to" in capsys.readouterr().err
