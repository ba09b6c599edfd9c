"""What is measured of a trained policy, and what `evaluation.json` says of it."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from envs import seeding
from envs.core import ExactScore, GreedyPolicy, StatePolicy
from envs.seeding import Split
from trainer.agents.learner import Learner
from trainer.config.models import Evaluation
from trainer.errors import SlipwayError
from trainer.evaluation import episodes, statistics
from trainer.evaluation.episodes import Check, TensorEpisodes
from trainer.evaluation.gym_episodes import GymEpisodes
from trainer.evaluation.statistics import CONFIDENCE, Estimate, Floats
from trainer.loop import Goal
from trainer.policy import AnyPolicy, Policy, ask
from trainer.rollout.gym_vector import GymVector
from trainer.target import Target

FORMAT = 1
GREEDY, SAMPLED, RANDOM = "greedy", "sampled", "random"


def evaluate(
    target: Target,
    learner: Learner,
    settings: Evaluation,
    goal: Goal,
    *,
    training_seed: int,
    policy_step: int,
    check: Check | None = None,
) -> dict[str, Any]:
    """The content of `evaluation.json`.

    Args:
        target: the task.
        learner: with the policy to measure.
        settings: how many seeds and episodes.
        goal: how the task reads its rewards, with the optimum.
        training_seed: the run's.
        policy_step: environment steps that the policy was trained for.
        check: called every few seconds; what it raises ends the evaluation.

    Raises:
        SlipwayError: if a weight or a score is not finite.
    """
    broken = [name for name, variable in learner.state().items() if not _finite(variable)]
    if broken:
        raise SlipwayError(f"the policy cannot be evaluated: {', '.join(broken[:3])} hold numbers that are not finite")
    policies: dict[str, AnyPolicy] = {GREEDY: learner.policy(greedy=True)}
    if settings.stochastic:
        policies[SAMPLED] = learner.policy(greedy=False)
    scores = _scores(target, learner, policies, settings)(check)
    differences = {
        name: _named(statistics.mean(scores[GREEDY] - values), "mean")
        for name, values in scores.items()
        if name not in policies
    }
    exact = exact_score(target, learner)
    return {
        "format": FORMAT,
        "env_id": target.env_id,
        "objective": str(target.objective),
        "score": dataclasses.asdict(target.score),
        "confidence": CONFIDENCE,
        "seeds": [seeding.seed_in_split(seed, Split.HELD_OUT) for seed in range(settings.seeds)],
        "episodes_per_seed": settings.episodes_per_seed,
        "policies": {name: _summary(values, goal) for name, values in scores.items()},
        "differences": differences,
        "optimum": goal.optimum,
        "exact": {GREEDY: {**dataclasses.asdict(exact), "optimality_gap_ratio": goal.gap(exact.score)}}
        if exact
        else {},
        "training_seed": training_seed,
        "policy_step": policy_step,
    }


def across(evaluations: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The `evaluation.json` of a group: over training seeds, on the same held-out seeds.

    Intervals draw both anew: training runs, and held-out seeds, which all runs share.

    Args:
        evaluations: its members', in order.
    """
    first = evaluations[0]
    optimum, score = first["optimum"], first["score"]

    def gap(value: float) -> float | None:
        return (value - optimum) * -score["sign"] / abs(optimum) if optimum else None

    policies = {}
    for name in first["policies"]:
        table = np.array([evaluation["policies"][name]["per_seed"] for evaluation in evaluations])
        mean, middle = statistics.crossed_mean(table), statistics.crossed_interquartile_mean(table)
        policies[name] = {
            **_named(mean, "mean"),
            **_named(middle, "iqm"),
            "per_seed": table.mean(0).tolist(),
            "per_training_seed": table.mean(1).tolist(),
            "optimality_gap_ratio": gap(mean.value),
        }
    differences = {}
    for name in first["differences"]:
        pair = [
            np.subtract(evaluation["policies"][GREEDY]["per_seed"], evaluation["policies"][name]["per_seed"])
            for evaluation in evaluations
        ]
        differences[name] = _named(statistics.crossed_mean(np.array(pair)), "mean")
    exact = [evaluation["exact"][GREEDY] for evaluation in evaluations if evaluation["exact"]]
    merged = {}
    if len(exact) == len(evaluations):
        values = {key: float(np.mean([each[key] for each in exact])) for key in ("score", "lower", "upper")}
        merged = {
            GREEDY: {
                **values,
                "states": max(each["states"] for each in exact),
                "method": exact[0]["method"],
                "optimality_gap_ratio": gap(values["score"]),
                "per_training_seed": [each["score"] for each in exact],
            }
        }
    return {
        **{key: first[key] for key in ("format", "env_id", "objective", "score", "confidence", "seeds")},
        "episodes_per_seed": first["episodes_per_seed"],
        "policies": policies,
        "differences": differences,
        "optimum": optimum,
        "exact": merged,
        "training_seeds": [evaluation["training_seed"] for evaluation in evaluations],
        "policy_step": first["policy_step"],
    }


class Quick:
    """The greedy policy's score for evaluations during training; compiled at the first call.

    Args:
        target: the task.
        learner: whose policy is measured, as it is at each call.
        settings: how many seeds and episodes.
        split: which seeds; training ones where something is chosen by the result, so that held-out ones stay so.
    """

    def __init__(self, target: Target, learner: Learner, settings: Evaluation, split: Split = Split.HELD_OUT) -> None:
        self._measure = _episodes(target, {GREEDY: learner.policy(greedy=True)}, {}, settings, split)

    def scores(self, check: Check | None = None) -> Floats:
        """The score of each held-out episode, float64 [seeds, episodes].

        Args:
            check: called every few seconds; what it raises ends the evaluation.

        Raises:
            SlipwayError: if one is not finite.
        """
        return self._measure(check)[GREEDY]

    def __call__(self, check: Check | None = None) -> dict[str, float]:
        """The `rl_eval_score_` metrics; `check` as for `scores`."""
        value, low, high = statistics.mean(self.scores(check))
        return {"rl_eval_score_mean": value, "rl_eval_score_ci_low": low, "rl_eval_score_ci_high": high}


def picture(target: Target, learner: Learner) -> dict[str, Any] | None:
    """The content of `policy.json`: a picture of the greedy policy, if the task draws one of what it observes alone."""
    if target.env is None or learner.memory_widths:
        return None
    return target.env.policy_picture(_on_arrays(learner))


def _finite(variable: tf.Variable) -> bool:
    values = variable.numpy()
    return not np.issubdtype(values.dtype, np.floating) or bool(np.isfinite(values).all())


def _scores(
    target: Target, learner: Learner, policies: Mapping[str, AnyPolicy], settings: Evaluation
) -> Callable[[Check | None], dict[str, Floats]]:
    if target.env is None:
        return _episodes(target, {**policies, RANDOM: _uniform(learner)}, {}, settings)
    return _episodes(target, policies, target.env.baselines(), settings)


def _episodes(
    target: Target,
    policies: Mapping[str, AnyPolicy],
    baselines: Mapping[str, StatePolicy],
    settings: Evaluation,
    split: Split = Split.HELD_OUT,
) -> Callable[[Check | None], dict[str, Floats]]:
    """What plays the episodes; baselines of states only where the task is one of ours."""
    env, size = target.env, (settings.seeds, settings.episodes_per_seed, split)
    if env is None:
        return GymEpisodes(lambda rows: GymVector(target.env_id, target.parameters, rows), policies, *size)
    acts: dict[str, episodes.AnyAct] = {name: episodes.of_policy(env, policy) for name, policy in policies.items()}
    acts |= {name: episodes.of_baseline(baseline) for name, baseline in baselines.items()}
    return TensorEpisodes(env, acts, *size)


def _uniform(learner: Learner) -> Policy:
    """Actions by chance, uniform over what is allowed; the baseline where a task brings none."""
    head = learner.head

    def choose(observation: Any, mask: Any | None, key: Any) -> Any:
        return head.to_env(head.uniform(key, observation.shape[0], mask))

    return choose


def exact_score(target: Target, learner: Learner) -> ExactScore | None:
    """The greedy policy's exact score, if the task computes it; a policy with memory is no function of states."""
    if target.env is None or learner.memory_widths:
        return None
    return target.env.exact_score(_on_arrays(learner))


def _on_arrays(learner: Learner) -> GreedyPolicy:
    """The greedy policy, which remembers nothing, on numpy arrays, thousands of rows at a time."""
    spec = [tf.TensorSpec([None, *learner.task.observation_shape], tf.float32)]
    if learner.mask_width:
        spec.append(tf.TensorSpec([None, learner.mask_width], tf.bool))
    policy = learner.policy(greedy=True)
    greedy = tf.function(lambda x, mask=None: ask(policy, (), x, mask, None)[0], autograph=False, input_signature=spec)

    def act(*arrays: npt.NDArray[Any]) -> npt.NDArray[Any]:
        parts = [[array[i : i + 65536] for array in arrays] for i in range(0, len(arrays[0]), 65536)]
        return np.concatenate([greedy(*map(tf.constant, part)).numpy() for part in parts])

    return act


def _summary(scores: Floats, goal: Goal) -> dict[str, Any]:
    mean, middle = statistics.mean(scores), statistics.interquartile_mean(scores)
    return {
        **_named(mean, "mean"),
        **_named(middle, "iqm"),
        "per_seed": scores.mean(1).tolist(),
        "optimality_gap_ratio": goal.gap(mean.value),
    }


def _named(estimate: Estimate, name: str) -> dict[str, float]:
    prefix = "" if name == "mean" else f"{name}_"
    return {name: estimate.value, f"{prefix}ci_low": estimate.low, f"{prefix}ci_high": estimate.high}
