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

SETTINGS: dict[str, Setting] = {setting.name: setting for setting in (SB3, *JAX)}


ENV_COUNTS = (1, 64, 4096)
"""Numbers of environments whose steps a second are measured."""
ENV_SECONDS = 0.4
"""How long each is stepped."""
GYMNASIUM = (
    "slipway/CartPole-v1",
    "slipway/Pendulum-v1",
    "slipway/Acrobot-v1",
    "slipway/MountainCar-v0",
    "slipway/MountainCarContinuous-v0",
    "slipway/FrozenLake-v1",
)
"""The tasks that Gymnasium has too, under the same name."""


@dataclasses.dataclass(frozen=True)
class OffPolicySetting:
    """An off-policy algorithm on one of Gymnasium's tasks, at rl-baselines3-zoo's hyperparameters.

    An iteration collects `env_steps` steps and makes `gradient_steps` gradient steps. What a field does not say is the
    same default on both sides (Adam with epsilon 1e-8, ReLU, uniform samples).

    Attributes:
        name: how tables call it.
        algorithm: `dqn`, `sac` or `td3`.
        task: Gymnasium's id; Slipway's is the same after `slipway/`.
        layers: units of the hidden layers, of every network.
        env_steps: of one iteration.
        gradient_steps: of one iteration.
        minibatch_size: transitions of a gradient step.
        replay_size: transitions kept.
        learning_starts: transitions before the first gradient step.
        discount: worth of a reward one step later.
        learning_rate: Adam's, constant.
        speed_steps: environment steps, learning included, whose time is taken.
        source: where the values are from.
    """

    name: str
    algorithm: str
    task: str
    layers: tuple[int, ...]
    env_steps: int
    gradient_steps: int
    minibatch_size: int
    replay_size: int
    learning_starts: int
    discount: float
    learning_rate: float
    speed_steps: int
    source: str
    exploration_until: float = 0.0
    exploration_end: float = 0.0


OFF_POLICY = {
    setting.name: setting
    for setting in (
        # learning_rate 2.3e-3, batch_size 64, buffer_size 100000, learning_starts 1000, gamma 0.99, train_freq 256,
        # gradient_steps 128, exploration_fraction 0.16, exploration_final_eps 0.04, net_arch [256, 256].
        # target_update_interval 10 is shorter than train_freq: the target network is renewed once an iteration.
        OffPolicySetting(
            name="dqn-CartPole-v1",
            algorithm="dqn",
            task="CartPole-v1",
            layers=(256, 256),
            env_steps=256,
            gradient_steps=128,
            minibatch_size=64,
            replay_size=100_000,
            learning_starts=1000,
            discount=0.99,
            learning_rate=2.3e-3,
            speed_steps=10_240,
            source="rl-baselines3-zoo, hyperparams/dqn.yml, CartPole-v1",
            exploration_until=0.16,
            exploration_end=0.04,
        ),
        # learning_rate 1e-3; the rest is Stable-Baselines3's default: buffer_size 1000000, learning_starts 100,
        # batch_size 256, tau 0.005, gamma 0.99, train_freq 1, gradient_steps 1, net_arch [256, 256], ent_coef auto.
        OffPolicySetting(
            name="sac-Pendulum-v1",
            algorithm="sac",
            task="Pendulum-v1",
            layers=(256, 256),
            env_steps=1,
            gradient_steps=1,
            minibatch_size=256,
            replay_size=1_000_000,
            learning_starts=100,
            discount=0.99,
            learning_rate=1e-3,
            speed_steps=640,
            source="rl-baselines3-zoo, hyperparams/sac.yml, Pendulum-v1",
        ),
        # gamma 0.98, buffer_size 200000, noise normal 0.1, learning_rate 1e-3, net_arch [400, 300]; as many gradient
        # steps as environment steps; batch_size 256 by default. learning_starts 10000 is cut to 1000, which no steady
        # speed depends on.
        OffPolicySetting(
            name="td3-Pendulum-v1",
            algorithm="td3",
            task="Pendulum-v1",
            layers=(400, 300),
            env_steps=1,
            gradient_steps=1,
            minibatch_size=256,
            replay_size=200_000,
            learning_starts=1000,
            discount=0.98,
            learning_rate=1e-3,
            speed_steps=640,
            source="rl-baselines3-zoo, hyperparams/td3.yml, Pendulum-v1",
        ),
    )
}

LIDAR = "lidar-navigation-ppo"
"""The preset whose training is compared with the same environment stepped singly."""
