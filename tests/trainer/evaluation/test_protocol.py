"""What `evaluation.json` says, on a real task and across training seeds."""

import json

import pytest

from trainer.config.models import Evaluation, RunFile
from trainer.evaluation import protocol
from trainer.target import Target

SETTINGS = Evaluation(seeds=3, episodes_per_seed=4)
SMALL = {
    "num_envs": 8,
    "rollout_steps": 8,
    "minibatch_size": 64,
    "epochs": 1,
    "networks": {"actor": [8], "critic": [8]},
}


def measured(env, seed=0, **agent):
    run_file = RunFile.model_validate({"env": env, "agent": {**SMALL, **agent}, "seed": seed})
    target = Target.of(run_file)
    training = target.training(run_file)
    try:
        goal = target.goal()
        result = protocol.evaluate(target, training.learner, SETTINGS, goal, training_seed=seed, policy_step=0)
        quick = protocol.Quick(target, training.learner, SETTINGS)
        return result, quick(), quick()
    finally:
        training.close()


@pytest.fixture(scope="module")
def lost_sales():
    env = {"id": "slipway/LostSales-v0", "parameters": {"lead_time_periods": 1, "episode_periods": 200}}
    return [measured(env, seed, observation_normalisation="nominal") for seed in (0, 1)]


def test_policies_baselines_optimum_and_exact_score_are_there_and_agree(lost_sales):
    result, quick, again = lost_sales[0]
    assert json.loads(json.dumps(result)) == result
    assert list(result["policies"])[:2] == ["greedy", "sampled"]
    assert set(result["differences"]) == set(result["policies"]) - {"greedy", "sampled"}
    assert {"base-stock", "capped-base-stock", "constant-order"} <= set(result["differences"])
    for policy in result["policies"].values():
        assert policy["ci_low"] <= policy["mean"] <= policy["ci_high"]
        assert len(policy["per_seed"]) == 3
        assert policy["optimality_gap_ratio"] == pytest.approx(policy["mean"] / result["optimum"] - 1)
    assert all(seed >= 1 << 30 for seed in result["seeds"])
    assert result["optimum"] == pytest.approx(4.0407, abs=1e-3)
    exact = result["exact"]["greedy"]
    assert exact["score"] >= result["optimum"] - 1e-6
    assert exact["lower"] <= exact["score"] <= exact["upper"]
    assert quick == again
    assert quick["rl_eval_score_mean"] == pytest.approx(result["policies"]["greedy"]["mean"])


def test_a_group_counts_every_run_and_compares_on_the_same_seeds(lost_sales):
    results = [result for result, _, _ in lost_sales]
    group = protocol.across(results)
    for name, policy in group["policies"].items():
        means = [result["policies"][name]["mean"] for result in results]
        assert policy["per_training_seed"] == pytest.approx(means)
        assert policy["mean"] == pytest.approx(sum(means) / 2)
        assert policy["ci_low"] <= policy["mean"] <= policy["ci_high"]
    assert group["training_seeds"] == [0, 1]
    exact = [result["exact"]["greedy"]["score"] for result in results]
    assert group["exact"]["greedy"]["score"] == pytest.approx(sum(exact) / 2)
    # A baseline does the same in every run.
    assert len(set(group["policies"]["base-stock"]["per_training_seed"])) == 1


@pytest.mark.parametrize("env_id", ["gymnasium:CartPole-v1", "gymnasium:Pendulum-v1"])
def test_any_gymnasium_environment_is_measured_against_chance(env_id):
    result, quick, _ = measured({"id": env_id})
    assert set(result["policies"]) == {"greedy", "sampled", "random"}
    assert result["optimum"] is None
    assert result["exact"] == {}
    assert quick["rl_eval_score_mean"] == pytest.approx(result["policies"]["greedy"]["mean"])
    again, _, _ = measured({"id": env_id})
    assert again["policies"] == result["policies"]
