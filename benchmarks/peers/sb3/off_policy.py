"""DQN, SAC and TD3 with Stable-Baselines3, at the hyperparameters of its zoo."""

import argparse
import time
from typing import Any

import gymnasium
import numpy as np
import stable_baselines3
import torch
from stable_baselines3 import DQN, SAC, TD3
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.noise import NormalActionNoise

from benchmarks import timing
from benchmarks.settings import OFF_POLICY, OffPolicySetting


class Marks(BaseCallback):
    """Notes time and gradient steps at the start of each rollout: there the iteration before it is complete."""

    def __init__(self) -> None:
        super().__init__()
        self.marks: list[tuple[int, int, float]] = []

    def _on_rollout_start(self) -> None:
        self.marks.append((self.num_timesteps, self.model._n_updates, time.perf_counter()))

    def _on_training_end(self) -> None:
        self._on_rollout_start()

    def _on_step(self) -> bool:
        return True


def model(setting: OffPolicySetting, seed: int) -> Any:
    """The algorithm at its start."""
    common: dict[str, Any] = {
        "learning_rate": setting.learning_rate,
        "buffer_size": setting.replay_size,
        "learning_starts": setting.learning_starts,
        "batch_size": setting.minibatch_size,
        "gamma": setting.discount,
        "train_freq": setting.env_steps,
        "gradient_steps": setting.gradient_steps,
        "policy_kwargs": {"net_arch": list(setting.layers)},
        "seed": seed,
        "device": "cpu",
    }
    if setting.algorithm == "sac":
        return SAC("MlpPolicy", setting.task, **common)
    if setting.algorithm == "td3":
        return TD3("MlpPolicy", setting.task, **common, action_noise=NormalActionNoise(np.zeros(1), np.full(1, 0.1)))
    return DQN(
        "MlpPolicy",
        setting.task,
        **common,
        target_update_interval=10,
        exploration_fraction=setting.exploration_until,
        exploration_final_eps=setting.exploration_end,
    )


def measure(setting: OffPolicySetting, seed: int) -> dict[str, Any]:
    """Environment steps a second, learning included, from when learning has begun."""
    torch.set_num_threads(1)
    noted = Marks()
    begin = setting.learning_starts + 2 * setting.env_steps
    model(setting, seed).learn(begin + setting.speed_steps, callback=noted)
    first = next(mark for mark in noted.marks if mark[0] >= begin)
    last = noted.marks[-1]
    steps = last[0] - first[0]
    return {
        "steps_per_second": steps / (last[2] - first[2]),
        "gradient_steps_per_env_step": (last[1] - first[1]) / steps,
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("mode", choices=["off-policy"])
    parser.add_argument("setting", choices=OFF_POLICY)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    figures = measure(OFF_POLICY[arguments.setting], arguments.seed)
    versions = {
        "stable-baselines3": stable_baselines3.__version__,
        "torch": torch.__version__,
        "gymnasium": gymnasium.__version__,
    }
    timing.report({**figures, "versions": versions})


if __name__ == "__main__":
    main()
