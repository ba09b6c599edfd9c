"""What is trained in each comparison. Imported by every program, so it needs nothing but the standard library."""

import dataclasses
from typing import Self


@dataclasses.dataclass(frozen=True)
class Setting:
    """PPO on CartPole-v1 with 64x64 tanh networks for policy and value, the same for every program.

    Attributes:
        name: how tables call it.
        num_envs: environments stepped in parallel.
        rollout_steps: steps of each in an iteration.
        epochs: passes over an iteration's data.
        minibatches: gradient steps of a pass.
        discount: worth of a reward one step later.
        gae_lambda: generalised advantage estimation.
        learning_rate: Adam's step size at the start; it falls to 0 over `env_steps`.
        clip_ratio: of the probability ratio, at the start.
        clip_decays: whether the clip ratio falls to 0 as the learning rate does.
        entropy_coefficient: weight of the entropy.
        env_steps: the whole training.
        evaluate_every: environment steps between two evaluations on the way to a solved task.
        speed_steps: environment steps whose time is taken for the speed.
    """

    name: str
    num_envs: int
    rollout_steps: int
    epochs: int
    minibatches: int
    discount: float
    gae_lambda: float
    learning_rate: float
    clip_ratio: float
    clip_decays: bool
    entropy_coefficient: float
    env_steps: int
    evaluate_every: int
    speed_steps: int
    value_coefficient: float = 0.5
    max_gradient_norm: float = 0.5
    adam_epsilon: float = 1e-5

    @property
    def batch_size(self) -> int:
        """Transitions of an iteration."""
        return self.num_envs * self.rollout_steps

    @property
    def minibatch_size(self) -> int:
        """Transitions of a gradient step."""
        return self.batch_size // self.minibatches

    @property
    def iterations(self) -> int:
        """Iterations of the whole training."""
        return -(-self.env_steps // self.batch_size)

    def long_enough_for_speed(self) -> Self:
        """The same setting, as long as a measurement of its speed takes."""
        return dataclasses.replace(self, env_steps=self.speed_steps)


# rl-baselines3-zoo, hyperparams/ppo.yml, CartPole-v1.
SB3 = Setting(
    name="zoo-8x32",
    num_envs=8,
    rollout_steps=32,
    epochs=20,
    minibatches=1,
    discount=0.98,
    gae_lambda=0.8,
    learning_rate=1e-3,
    clip_ratio=0.2,
    clip_decays=True,
    entropy_coefficient=0.0,
    env_steps=100_000,
    evaluate_every=5_120,
    speed_steps=100_000,
)


def purejaxrl(num_envs: int, env_steps: int, speed_steps: int) -> Setting:
    """PureJaxRL's hyperparameters for CartPole-v1 at a number of environments."""
    batch = num_envs * 128
    return Setting(
        name=f"purejaxrl-{num_envs}x128",
        num_envs=num_envs,
        rollout_steps=128,
        epochs=4,
        minibatches=4,
        discount=0.99,
        gae_lambda=0.95,
        learning_rate=2.5e-4,
        clip_ratio=0.2,
        clip_decays=False,
        entropy_coefficient=0.01,
        env_steps=env_steps,
        evaluate_every=max(batch, env_steps // 40),
        speed_steps=speed_steps,
    )


JAX = (
    purejaxrl(4, 500_000, 500_000),
    purejaxrl(64, 1_500_000, 2_000_000),
    purejaxrl(256, 4_000_000, 4_000_000),
    purejaxrl(1024, 12_000_000, 6_000_000),
)

SETTINGS = {setting.name: setting for setting in (SB3, *JAX)}
