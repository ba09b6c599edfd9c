"""PPO on LidarNavigation: compiled, hundreds of robots at once, or one robot stepped through Gymnasium.

`single` is what a user gets who steps `gymnasium.make("slipway/LidarNavigation-v0")` in Python: the product's own
Gymnasium loop (compiled policy and gradient steps) over one environment behind Slipway's Gymnasium adapter. Networks,
minibatch size and passes over the data are the same, so each environment step costs the same learning.
"""

import argparse
import importlib.metadata
from typing import Any

from benchmarks import timing
from benchmarks.settings import LIDAR
from trainer import backend
from trainer.config.models import PPO, RunFile

WAYS = ("compiled", "single")
ITERATIONS = {"compiled": 8, "single": 1}
"""Whose time is taken, after one that is not."""
SINGLE_STEPS = 2048
"""Of an iteration of the single robot, as is usual with PPO."""


def hyperparameters(way: str) -> PPO:
    """The preset's; those of a single robot differ in what makes an iteration, and in how observations are normalised.

    The Gymnasium interface states no nominal observation, so that the running one is used there.
    """
    from trainer.config import presets

    preset = RunFile.model_validate(presets.data(LIDAR)).agent
    assert isinstance(preset, PPO)
    if way == "compiled":
        return preset
    changes = {"num_envs": 1, "rollout_steps": SINGLE_STEPS, "observation_normalisation": "running"}
    return PPO.model_validate({**preset.model_dump(), **changes})


def training(settings: PPO, way: str, seed: int) -> Any:
    """The product's training, at its start."""
    from envs import registry
    from trainer.iteration import GymTraining, TensorTraining
    from trainer.rollout.gym import GymSource

    task = "slipway/LidarNavigation-v0"
    if way == "compiled":
        return TensorTraining(registry.make(task), settings, 1000, seed)
    # `sync` steps `gymnasium.make(task)`; the task's own vector environment would be another measurement.
    source = GymSource(f"gymnasium:{task}", {"vectorization_mode": "sync"}, settings.num_envs, seed, 0)
    return GymTraining(source, settings, 1000, seed)


def measure(settings: PPO, way: str, seed: int, iterations: int) -> dict[str, Any]:
    """Environment steps a second, learning included, after one iteration."""
    made = training(settings, way, seed)
    try:
        made.run(1)
        spent, _ = timing.timed(lambda: [made.run(1) for _ in range(iterations)])
    finally:
        made.close()
    return {"steps_per_second": iterations * settings.batch_size / spent}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("mode", choices=["lidar"])
    parser.add_argument("setting", choices=[LIDAR])
    parser.add_argument("--way", choices=WAYS, default="compiled")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    backend.prepare()
    way = arguments.way
    figures = measure(hyperparameters(way), way, arguments.seed, ITERATIONS[way])
    names = ("slipway", "tensorflow", "tf-agents", "gymnasium")
    timing.report({**figures, "versions": {name: importlib.metadata.version(name) for name in names}})


if __name__ == "__main__":
    main()
