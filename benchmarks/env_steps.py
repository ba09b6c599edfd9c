"""Steps a second of a tensor environment: the product's compiled rollouts with actions by chance alone."""

import argparse
import importlib.metadata
from typing import Any

from benchmarks import timing
from benchmarks.settings import ENV_COUNTS, ENV_SECONDS
from trainer import backend

STEPS_A_CALL = 65_536
MOST_STEPS = 1024
"""Of each environment in one call."""


def rollout(env_id: str, count: int, steps: int, seed: int) -> Any:
    """A function that makes `steps` more steps of `count` environments and gives all that they yielded."""
    import tensorflow as tf

    from envs import registry, seeding
    from trainer.agents import actions
    from trainer.rollout.tensor import TensorRollout

    class Uniform(actions.Continuous):
        """Actions drawn uniformly from a box."""

        def noise(self, key: Any, shape: Any) -> Any:
            return seeding.uniform(key, [*shape, *self._shape], -1.0, 1.0)

        def sample(self, parameters: Any, noise: Any) -> Any:
            del parameters
            return noise

    env = registry.make(env_id)
    discrete = hasattr(env.action_space, "n")
    head = actions.Discrete(env.action_space) if discrete else Uniform(env.action_space)
    key = seeding.key_from_seed(seed)
    running = TensorRollout(env, count, head, key)
    calls = tf.Variable(0)

    def act(observation: Any, mask: Any) -> tuple[Any, ...]:
        del observation
        if not discrete:
            return (tf.zeros([count]),)  # what `Uniform` does not look at
        same = tf.zeros([count, head.count])
        return (tf.where(mask, same, actions.FORBIDDEN) if tf.is_tensor(mask) else same,)

    def collect() -> Any:
        batch, _ = running.collect(act, seeding.fold(key, calls.assign_add(1)), steps)
        # Given out, so that nothing of it is compiled away.
        return batch.observation, batch.final_observation, batch.reward, batch.terminated, batch.truncated

    return tf.function(collect, jit_compile=True, autograph=False)


def measure(
    env_id: str, seed: int, counts: tuple[int, ...] = ENV_COUNTS, seconds: float = ENV_SECONDS
) -> dict[str, Any]:
    """Steps a second at each number of environments."""
    found = {}
    for count in counts:
        steps = min(MOST_STEPS, max(1, STEPS_A_CALL // count))
        found[str(count)] = timing.rate(rollout(env_id, count, steps, seed), steps * count, seconds)
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("mode", choices=["env-steps"])
    parser.add_argument("setting")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    backend.prepare()
    figures = measure(arguments.setting, arguments.seed)
    versions = {name: importlib.metadata.version(name) for name in ("slipway", "tensorflow")}
    timing.report({"steps_per_second_at": figures, "versions": versions})


if __name__ == "__main__":
    main()
