"""The section of self-labelling: imitating the best of several episodes from the same start."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from trainer.config.networks import Networks
from trainer.config.section import REQUIRED_ALGORITHM, Contradiction, Schedule, Section, Within, constant, refuse


class SelfLabelling(Section):
    """Self-labelling (Corsini et al. 2024, https://arxiv.org/abs/2401.11849): imitate the best of several episodes.

    An iteration draws new starts, plays some whole episodes from each, keeps the best of each start, and makes its
    choices more likely.
    """

    model_config = REQUIRED_ALGORITHM

    algorithm: Literal["self-labelling"] = Field(default="self-labelling", description="The learning algorithm.")
    num_envs: int = Field(default=256, ge=2, le=1 << 20, description="Episodes of one iteration.")
    episodes_per_start: int = Field(
        default=32,
        ge=2,
        le=1 << 16,
        description="Episodes from the same initial state with the same noise, of which the best is imitated; divides"
        " `num_envs`.",
    )
    rollout_steps: int = Field(
        default=128, ge=1, le=1 << 20, description="Steps of an episode at most; longer ones count as far as they came."
    )
    epochs: int = Field(default=1, ge=1, le=1000, description="Passes over an iteration's choices.")
    minibatch_size: int = Field(default=256, ge=1, le=1 << 20, description="Choices in one gradient step.")
    learning_rate: Annotated[Schedule, Within(0, 1, positive_start=True)] = Field(
        default_factory=constant(3e-4), description="Adam's step size."
    )
    entropy_coefficient: Annotated[Schedule, Within(0, 1)] = Field(
        default_factory=constant(0.0), description="Weight of the policy's entropy in the loss."
    )
    max_gradient_norm: float | None = Field(
        default=1.0, gt=0, description="Gradients longer than this are shortened to it; null: never."
    )
    adam_epsilon: float = Field(default=1e-7, gt=0, le=1, description="Adam's epsilon.")
    networks: Networks = Field(default_factory=Networks, description="Hidden layers; there is no value network.")
    observation_normalisation: Literal["none", "running", "nominal"] = Field(
        default="none",
        description="`running`: by mean and deviation seen so far; `nominal`: by what the task states beforehand.",
    )

    @property
    def batch_size(self) -> int:
        """Environment steps of one iteration, those after an episode's end included."""
        return self.num_envs * self.rollout_steps

    @property
    def starts(self) -> int:
        """Initial states of one iteration."""
        return self.num_envs // self.episodes_per_start

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.num_envs % self.episodes_per_start:
            near = max(1, self.num_envs // self.episodes_per_start) * self.episodes_per_start
            refuse(
                [
                    Contradiction(
                        "num_envs",
                        self.num_envs,
                        f"a multiple of episodes_per_start = {self.episodes_per_start}",
                        f"set it to {near}, or change episodes_per_start",
                    )
                ]
            )
        return self
