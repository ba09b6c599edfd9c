"""DQN, SAC and TD3 by Slipway: on a tensor environment, or on Gymnasium's own through the product's Gymnasium loop."""

import argparse
import importlib.metadata
from typing import Any

from benchmarks import timing
from benchmarks.settings import OFF_POLICY, OffPolicySetting
from trainer import backend
from trainer.config.off_policy import DQN, SAC, TD3
from trainer.config.section import Schedule

WAYS = ("tensor", "gymnasium")
ADAM_EPSILON = 1e-8
TENSOR_ENVS = 16
"""Tensor environments run side by side where an iteration's steps allow it; the work for each step is the same."""


def constant(value: float) -> Schedule:
    return Schedule(start=value, end=value)


def hyperparameters(setting: OffPolicySetting, num_envs: int = 1) -> DQN | SAC | TD3:
    """The setting as a run file's `agent` section.

    Args:
        setting: one of `OFF_POLICY`.
        num_envs: how many environments share an iteration's steps; where there are fewer steps, the iteration has as
            many more gradient steps.
    """
    rounds = -(-num_envs // setting.env_steps)
    common: dict[str, Any] = {
        "num_envs": num_envs,
        "rollout_steps": rounds * setting.env_steps // num_envs,
        "gradient_steps": rounds * setting.gradient_steps,
        "minibatch_size": setting.minibatch_size,
        "replay_size": setting.replay_size,
        "learning_starts": setting.learning_starts,
        "discount": setting.discount,
        "learning_rate": constant(setting.learning_rate),
        "adam_epsilon": ADAM_EPSILON,
    }
    networks = {"actor": setting.layers, "critic": setting.layers}
    if setting.algorithm == "sac":
        return SAC(algorithm="sac", **common, networks=networks)
    if setting.algorithm == "td3":
        return TD3(algorithm="td3", **common, networks=networks, exploration=constant(0.1))
    return DQN(
        algorithm="dqn",
        **common,
        networks={"layers": setting.layers},
        double=False,
        exploration=Schedule(start=1.0, end=setting.exploration_end, until=setting.exploration_until),
        target_update_gradient_steps=rounds * setting.gradient_steps,
        target_rate=1.0,
    )


def training(setting: OffPolicySetting, way: str, seed: int) -> Any:
    """The product's training, at its start."""
    from envs import registry
    from trainer.iteration import GymTraining, TensorTraining
    from trainer.rollout.gym import GymSource

    if way == "tensor":
        settings = hyperparameters(setting, TENSOR_ENVS)
        return TensorTraining(registry.make(f"slipway/{setting.task}"), settings, 10**6, seed)
    settings = hyperparameters(setting)
    return GymTraining(GymSource(f"gymnasium:{setting.task}", {}, settings.num_envs, seed, 0), settings, 10**6, seed)


def measure(setting: OffPolicySetting, way: str, seed: int) -> dict[str, Any]:
    """Environment steps a second, learning included, from when learning has begun."""
    made = training(setting, way, seed)
    size = made.settings.batch_size

    def run(steps: int) -> list[dict[str, float]]:
        rows, left = [], -(-steps // size)
        while left:
            count = min(left, made.most_at_once)
            rows += made.run(count)
            left -= count
        return rows

    try:
        run(setting.learning_starts + size)
        spent, rows = timing.timed(lambda: run(setting.speed_steps))
    finally:
        made.close()
    return {
        "steps_per_second": len(rows) * size / spent,
        "gradient_steps_per_env_step": sum(row["gradient_steps"] for row in rows) / (len(rows) * size),
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("mode", choices=["off-policy"])
    parser.add_argument("setting", choices=OFF_POLICY)
    parser.add_argument("--way", choices=WAYS, default="tensor")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    backend.prepare()
    setting = OFF_POLICY[arguments.setting]
    figures = measure(setting, arguments.way, arguments.seed)
    names = ("slipway", "tensorflow", "tf-agents", "gymnasium")
    timing.report(
        {**figures, "source": setting.source, "versions": {name: importlib.metadata.version(name) for name in names}}
    )


if __name__ == "__main__":
    main()
