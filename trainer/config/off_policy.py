"""The sections of algorithms that learn from a replay of past transitions: DQN, SAC and TD3."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from trainer.config.section import (
    REQUIRED_ALGORITHM,
    Contradiction,
    Layers,
    Schedule,
    Section,
    Within,
    constant,
    refuse,
)


class QNetwork(Section):
    """The action-value network: fully connected."""

    layers: Layers = Field(default=(64, 64), description="Units of the hidden layers.")
    dueling: bool = Field(
        default=False,
        description="A value and an advantage for each action from the same hidden layers, in place of one output.",
    )
    activation: Literal["tanh", "relu", "elu"] = Field(default="relu", description="Activation of the hidden layers.")


class ReturnDistribution(Section):
    """What DQN learns of each action's return where it learns the whole distribution (C51).

    Bellemare et al. 2017, https://arxiv.org/abs/1707.06887: probabilities of equally spaced values, the atoms.
    """

    atoms: int = Field(default=51, ge=2, le=1001, description="How many values have a probability.")
    least_value: float = Field(
        description="The least of them, as a discounted sum of rewards times `reward_scale`; less counts as this."
    )
    greatest_value: float = Field(description="The greatest of them; more counts as this.")

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.least_value >= self.greatest_value:
            cure = "set least_value and greatest_value to what a discounted sum of scaled rewards can be"
            allowed = f"less than greatest_value = {self.greatest_value:g}"
            refuse([Contradiction("least_value", self.least_value, allowed, cure)])
        return self


class ActorCritics(Section):
    """The policy's network and those of the two critics: fully connected."""

    actor: Layers = Field(default=(256, 256), description="Units of the policy network's hidden layers.")
    critic: Layers = Field(default=(256, 256), description="Units of each critic's hidden layers.")
    activation: Literal["tanh", "relu", "elu"] = Field(default="relu", description="Activation of the hidden layers.")


class OffPolicy(Section):
    """What all of them have: an iteration puts transitions into the replay, then makes gradient steps on samples."""

    num_envs: int = Field(default=8, ge=1, le=1 << 20, description="Environments stepped in parallel.")
    rollout_steps: int = Field(default=16, ge=1, le=1 << 20, description="Steps of each environment in one iteration.")
    gradient_steps: int = Field(default=16, ge=1, le=1 << 20, description="Gradient steps in one iteration.")
    minibatch_size: int = Field(
        default=256, ge=1, le=1 << 20, description="Transitions in one gradient step, drawn uniformly from the replay."
    )
    replay_size: int = Field(
        default=100_000,
        ge=1,
        le=1 << 30,
        description="Transitions kept; the oldest make room. Rounded down to a multiple of `num_envs`.",
    )
    learning_starts: int = Field(
        default=1000,
        ge=0,
        description="Transitions in the replay before the first gradient step; exploration until then is widest.",
    )
    n_step: int = Field(
        default=1, ge=1, le=20, description="Rewards summed before the value of a later state stands for the rest."
    )
    discount: float = Field(default=0.99, gt=0, le=1, description="Worth of a reward one step later.")
    learning_rate: Annotated[Schedule, Within(0, 1, positive_start=True)] = Field(
        default_factory=constant(3e-4), description="Adam's step size."
    )
    adam_epsilon: float = Field(default=1e-7, gt=0, le=1, description="Adam's epsilon.")
    max_gradient_norm: float | None = Field(
        default=None, gt=0, description="Gradients longer than this are shortened to it; null: never."
    )
    target_rate: float = Field(
        default=0.005,
        gt=0,
        le=1,
        description="How far the target networks move at each of their updates; 1: all the way.",
    )
    observation_normalisation: Literal["none", "running", "nominal"] = Field(
        default="none",
        description="`running`: by mean and deviation seen so far; `nominal`: by what the task states beforehand.",
    )
    reward_scale: float = Field(default=1.0, gt=0, description="Factor on each reward.")

    @property
    def batch_size(self) -> int:
        """Transitions of one iteration."""
        return self.num_envs * self.rollout_steps

    @property
    def replay_slots(self) -> int:
        """Steps of all environments that the replay holds."""
        return self.replay_size // self.num_envs

    @model_validator(mode="after")
    def _agree(self) -> Self:
        found = []
        least = self.num_envs * (self.rollout_steps + self.n_step)
        if self.replay_size < least:
            found.append(
                Contradiction(
                    "replay_size",
                    self.replay_size,
                    f"at least num_envs * (rollout_steps + n_step) = {least}",
                    f"set it to {max(least, 100_000)}, or lower num_envs or rollout_steps",
                )
            )
        elif self.learning_starts > self.replay_slots * self.num_envs:
            most = self.replay_slots * self.num_envs
            found.append(
                Contradiction(
                    "learning_starts",
                    self.learning_starts,
                    f"at most {most}, what the replay holds",
                    f"set it to {most} or less, or raise replay_size",
                )
            )
        refuse(found)
        return self


class DQN(OffPolicy):
    """Deep Q-learning (Mnih et al. 2015, https://doi.org/10.1038/nature14236): double, dueling, distributional."""

    model_config = REQUIRED_ALGORITHM

    algorithm: Literal["dqn"] = Field(default="dqn", description="The learning algorithm.")
    double: bool = Field(
        default=True, description="The online network chooses the next action, the target network values it."
    )
    distributional: ReturnDistribution | None = Field(
        default=None, description="Learn the distribution of returns (C51) by these settings; null: their mean alone."
    )
    exploration: Annotated[Schedule, Within(0, 1)] = Field(
        default_factory=lambda: Schedule(start=1.0, end=0.05, until=0.2),
        description="Chance of an action drawn uniformly from the allowed ones; 1 until learning starts.",
    )
    target_update_gradient_steps: int = Field(
        default=1, ge=1, description="Gradient steps between updates of the target network."
    )
    max_gradient_norm: float | None = Field(
        default=10.0, gt=0, description="Gradients longer than this are shortened to it; null: never."
    )
    networks: QNetwork = Field(default_factory=QNetwork, description="Hidden layers.")


class SAC(OffPolicy):
    """Soft actor-critic with a learned temperature (Haarnoja et al. 2018, https://arxiv.org/abs/1812.05905)."""

    model_config = REQUIRED_ALGORITHM

    algorithm: Literal["sac"] = Field(default="sac", description="The learning algorithm.")
    initial_temperature: float = Field(
        default=1.0, gt=0, le=1000, description="Weight of the policy's entropy in the objective, at the start."
    )
    target_entropy_nats: float | None = Field(
        default=None,
        description="Entropy that the temperature is learned to keep; null: minus the number of action dimensions.",
    )
    networks: ActorCritics = Field(default_factory=ActorCritics, description="Hidden layers.")


class TD3(OffPolicy):
    """Twin delayed deep deterministic policy gradient (Fujimoto et al. 2018, https://arxiv.org/abs/1802.09477)."""

    model_config = REQUIRED_ALGORITHM

    algorithm: Literal["td3"] = Field(default="td3", description="The learning algorithm.")
    exploration: Annotated[Schedule, Within(0, 2)] = Field(
        default_factory=constant(0.1),
        description="Deviation of the noise on actions, in halves of their range; 1 until learning starts.",
    )
    target_noise: float = Field(
        default=0.2, ge=0, le=2, description="Deviation of the noise on the next action, in halves of the range."
    )
    target_noise_limit: float = Field(default=0.5, ge=0, le=2, description="That noise stays within this.")
    policy_delay: int = Field(
        default=2, ge=1, description="Gradient steps of the critics for one of the policy and the target networks."
    )
    networks: ActorCritics = Field(default_factory=ActorCritics, description="Hidden layers.")
