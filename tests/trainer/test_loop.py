"""The loop's limits: budgets, schedules of saving and evaluating, numbers that stop being finite."""

import json
import time

import pytest
from processes import checkpoint_steps, finish, rows, slipway, status, train

from trainer import budget
from trainer.checkpoint import Checkpoints
from trainer.config.models import Budget, RunFile
from trainer.errors import SlipwayError
from trainer.loop import End, Goal, Loop
from trainer.metrics.sinks.fanout import open_sinks
from trainer.preemption import Notice, Preemption
from trainer.progress import NullProgress
from trainer.retention import Retention

ROW = {
    "reward_mean": -4.0, "episodes": 2.0, "returns": 10.0, "steps": 20.0, "scores": 10.0, "policy_loss": 0.1,
    "value_loss": 0.2, "policy_entropy": 0.3, "policy_kl": 0.01, "clip_fraction": 0.05, "gradient_norm": 1.0,
    "explained_variance": 0.5, "learning_rate": 1e-3,
}  # fmt: skip


class Counting:
    """A training whose state is how many iterations it has made, and which breaks when told to."""

    most_at_once = 4

    def __init__(self, breaks_at=None):
        self.made, self.breaks_at = 0, breaks_at

    def run(self, count):
        made = []
        for _ in range(count):
            self.made += 1
            broken = self.breaks_at is not None and self.made >= self.breaks_at
            made.append({**ROW, "policy_loss": float("nan")} if broken else ROW)
        return made

    def state(self):
        import numpy as np

        return {"made": np.array(self.made)}

    def window(self):
        return None


class TaskScore:
    name, unit, sign = "cost", "per period", -1


def made(folder, training, average=True, evaluate=dict, safe_at=lambda: None, **settings):
    run_file = RunFile.model_validate(
        {
            "env": {"id": "slipway/LostSales-v0"},
            "agent": {"num_envs": 2, "rollout_steps": 5, "minibatch_size": 10},
            "budget": {"env_steps": 200},
            **settings,
        }
    )
    sinks = open_sinks(folder, print, tensorboard=False)
    checkpoints = Checkpoints(folder / "checkpoints")
    goal = Goal(average, TaskScore(), 3.2)
    loop = Loop(
        run_file, training, goal, sinks, checkpoints, NullProgress(), evaluate, lambda counters: None, safe_at=safe_at
    )
    return loop, sinks


def run(loop, sinks):
    with Preemption() as preemption:
        try:
            return loop.run(preemption)
        finally:
            sinks.close()


def test_every_iteration_has_a_row_and_the_last_state_is_saved(tmp_path):
    loop, sinks = made(tmp_path, Counting())
    result = run(loop, sinks)
    assert result.end is End.FINISHED
    got = rows(tmp_path)
    assert [row["iteration"] for row in got] == list(range(1, 21))
    assert [row["step"] for row in got] == list(range(10, 201, 10))
    assert got[-1]["rl_score"] == 4.0
    assert got[-1]["rl_optimality_gap_ratio"] == pytest.approx(0.25)
    assert got[-1]["rl_episodes_total"] == 40
    assert got[-1]["rl_episode_return_mean"] == 5.0
    saved = Checkpoints(tmp_path / "checkpoints").latest(print)
    assert saved.step == 200
    assert int(saved.arrays["made"]) == 20
    assert saved.state["metrics_bytes"] == (tmp_path / "metrics.jsonl").stat().st_size


def test_checkpoints_and_evaluations_come_when_the_run_file_says(tmp_path):
    calls = []

    def evaluate():
        calls.append(1)
        return {"rl_eval_score_mean": 1.0, "rl_eval_score_ci_low": 0.5, "rl_eval_score_ci_high": 1.5}

    loop, sinks = made(
        tmp_path, Counting(), evaluate=evaluate,
        checkpoint={"interval_iterations": 3, "interval_seconds": None}, evaluation={"interval_iterations": 5},
    )  # fmt: skip
    run(loop, sinks)
    assert len(calls) == 4
    assert [row["iteration"] for row in rows(tmp_path) if "rl_eval_score_mean" in row] == [5, 10, 15, 20]
    assert checkpoint_steps(tmp_path) == [150, 180, 200]  # the last three


@pytest.mark.parametrize(("interval", "merits"), [(5, [None, -1.0, -1.0, -2.0]), (None, [-4.0] * 4)])
def test_a_checkpoint_says_how_good_its_policy_was_found(tmp_path, interval, merits):
    scores = iter([1.0, 2.0, 3.0])

    def evaluate():
        return {"rl_eval_score_mean": next(scores), "rl_eval_score_ci_low": 0.0, "rl_eval_score_ci_high": 9.0}

    loop, sinks = made(
        tmp_path, Counting(), evaluate=evaluate, budget={"env_steps": 120},
        checkpoint={"interval_iterations": 3, "interval_seconds": None}, evaluation={"interval_iterations": interval},
    )  # fmt: skip
    loop._checkpoints = Checkpoints(tmp_path / "checkpoints", Retention(9))
    run(loop, sinks)
    # A cost of 1 is better than one of 2.
    manifests = sorted((tmp_path / "checkpoints").glob("*/manifest.json"))
    assert [json.loads(path.read_text())["merit"] for path in manifests] == merits


@pytest.mark.parametrize(("gets", "plateau"), [("better", 0.0), ("worse", 0.5)])
def test_a_score_that_does_not_get_better_is_a_plateau(tmp_path, gets, plateau):
    class Changing(Counting):
        def run(self, count):
            first = self.made
            rows = super().run(count)
            towards = 1 if gets == "better" else -1  # the score is a cost: the negative of the reward
            return [{**row, "reward_mean": -4.0 + towards * (first + i)} for i, row in enumerate(rows)]

    loop, sinks = made(tmp_path, Changing(), budget={"env_steps": 1000})
    run(loop, sinks)
    got = rows(tmp_path)
    assert not any("rl_plateau_ratio" in row for row in got[:49])
    assert got[-1]["rl_plateau_ratio"] == pytest.approx(plateau, abs=0.05)


def test_a_row_says_how_old_the_newest_checkpoint_is_that_the_store_holds(tmp_path):
    began = time.time() - 500
    safe = iter([None, began - 1000, began + 100])  # none; one of an earlier process; one of this
    loop, sinks = made(tmp_path, Counting(), safe_at=lambda: next(safe), budget={"env_steps": 30})
    loop._began_at = began
    run(loop, sinks)
    got = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [row.get("rl_checkpoint_timestamp_seconds") for row in got] == [None, None, began + 100]
    assert [row["rl_checkpoint_age_seconds"] for row in got] == pytest.approx([500, 500, 400], abs=60)


def test_a_number_that_is_not_finite_stops_the_run_and_is_never_saved(tmp_path):
    loop, sinks = made(tmp_path, Counting(breaks_at=8), checkpoint={"interval_iterations": 1})
    with pytest.raises(SlipwayError, match="policy_loss stopped being finite") as error:
        run(loop, sinks)
    assert "agent.learning_rate" in str(error.value)
    assert checkpoint_steps(tmp_path)[-1] == 70
    assert len(rows(tmp_path)) == 7


def test_a_signal_before_the_first_iteration_is_met(tmp_path):
    loop, sinks = made(tmp_path, Counting())
    with Preemption() as preemption:
        import os
        import signal

        os.kill(os.getpid(), signal.SIGTERM)
        result = loop.run(preemption)
    sinks.close()
    assert result.end is End.PREEMPTED
    assert "SIGTERM" in result.reason


def test_a_wish_to_save_is_met_after_the_call_in_which_it_came_and_the_training_goes_on(tmp_path):
    class Recommended(Counting):
        def run(self, count):
            rows = super().run(count)
            if self.made == 2:
                preemption.heed(Notice("the machine may go", stops=False))
            return rows

    rarely = {"interval_iterations": None, "interval_seconds": None}
    loop, sinks = made(tmp_path, Recommended(), checkpoint=rarely)
    loop._how_many = lambda: 1
    with Preemption() as preemption:
        result = loop.run(preemption)
    sinks.close()
    assert result.end is End.FINISHED
    assert checkpoint_steps(tmp_path) == [20, 200]


def test_limits_of_time_and_money():
    assert budget.reached(Budget(), 1e9) is None
    assert "wall_time_seconds = 10" in budget.reached(Budget(wall_time_seconds=10), 10)
    money = Budget(cost_usd=1, price_usd_per_hour=2)
    assert budget.seconds_left(money, 600) == pytest.approx(1200)
    assert budget.cost_usd(money, 600) == pytest.approx(1 / 3)
    assert budget.reached(money, 1799) is None
    assert "cost_usd = 1" in budget.reached(money, 1800)
    assert budget.cost_usd(Budget(), 600) is None


@pytest.mark.slow
def test_a_budget_stops_a_real_run_with_exit_code_3_and_more_budget_goes_on(tmp_path):
    settings = {
        "agent.num_envs": 8, "agent.rollout_steps": 8, "agent.minibatch_size": 64, "agent.epochs": 1,
        "budget.env_steps": 64 * 20, "budget.price_usd_per_hour": 3600.0, "budget.cost_usd": 0.001,
        "evaluation.seeds": 2, "evaluation.episodes_per_seed": 1,
    }  # fmt: skip
    code, output = finish(train(tmp_path, "run", settings))
    run = tmp_path / "run"
    assert code == 3, output
    assert "budget.cost_usd = 0.001" in output
    assert status(run)["state"] == "stopped-by-budget"
    done = status(run)["iteration"]
    assert 1 <= done < 20
    assert all(json.loads(line)["rl_cost_usd_total"] > 0 for line in (run / "metrics.jsonl").read_text().splitlines())
    file = run / "run.yaml"
    file.write_text(file.read_text().replace("cost_usd: 0.001", "cost_usd: 1000.0"))
    code, output = finish(slipway("resume", run, cwd=tmp_path))
    assert code == 0, output
    assert [row["iteration"] for row in rows(run)] == list(range(1, 21))
