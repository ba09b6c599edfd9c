"""Steps a second of Gymnasium's own vector environments, with actions by chance alone.

Every way of stepping that the task offers is tried, and the fastest one counts:

- `sync`: one environment after the other, in this process;
- `async`: each in a process of its own, at counts where so many processes can be started;
- `vector_entry_point`: Gymnasium's own NumPy batch of the task, where there is one.
"""

import argparse
from typing import Any

import gymnasium

from benchmarks import timing
from benchmarks.settings import ENV_COUNTS, ENV_SECONDS

PROCESSES = 64
"""The most environments that `async` is tried with."""


def modes(name: str, count: int) -> list[str]:
    """The ways to try."""
    found = ["sync"]
    if 1 < count <= PROCESSES:
        found.append("async")
    if gymnasium.spec(name).vector_entry_point is not None:
        found.append("vector_entry_point")
    return found


def speed(name: str, count: int, mode: str, seed: int, seconds: float) -> float:
    """Steps a second; drawing the actions is part of it, as it is on the other side."""
    envs = gymnasium.make_vec(name, num_envs=count, vectorization_mode=mode)
    try:
        envs.reset(seed=seed)
        envs.action_space.seed(seed)
        return timing.rate(lambda: envs.step(envs.action_space.sample()), count, seconds)
    finally:
        envs.close()


def measure(
    name: str, seed: int, counts: tuple[int, ...] = ENV_COUNTS, seconds: float = ENV_SECONDS
) -> dict[str, dict[str, float]]:
    """Steps a second by number of environments and way."""
    return {str(n): {mode: speed(name, n, mode, seed, seconds) for mode in modes(name, n)} for n in counts}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("mode", choices=["env-steps"])
    parser.add_argument("setting")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    ways = measure(arguments.setting.removeprefix("slipway/"), arguments.seed)
    figures: dict[str, Any] = {
        "steps_per_second_at": {count: max(found.values()) for count, found in ways.items()},
        "fastest_at": {count: max(found, key=found.__getitem__) for count, found in ways.items()},
        "ways": ways,
        "versions": {"gymnasium": gymnasium.__version__},
    }
    timing.report(figures)


if __name__ == "__main__":
    main()
