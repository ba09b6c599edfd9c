"""The networks of algorithms that learn a policy and, most of them, a value function."""

from typing import Literal, Self

from pydantic import Field, model_validator

from trainer.config.section import Contradiction, Layers, Section, refuse


class Networks(Section):
    """The policy's and the value function's networks."""

    kind: Literal["fully-connected", "permutation-equivariant"] = Field(
        default="fully-connected",
        description="`permutation-equivariant`: the same layers for each of the entities that an action chooses among,"
        " whatever their number and order; for tasks that offer `entities`.",
    )
    actor: Layers = Field(default=(64, 64), description="Units of the policy network's hidden layers.")
    critic: Layers = Field(default=(64, 64), description="Units of the value network's hidden layers.")
    shared: bool = Field(default=False, description="Policy and value share their hidden layers.")
    activation: Literal["tanh", "relu", "elu"] = Field(default="tanh", description="Activation of the hidden layers.")
    initial_deviation: float = Field(
        default=1.0,
        ge=0.001,
        le=100,
        description="Deviation of the first policy's actions, in halves of their range, or in their own unit where they"
        " have no bounds; learned from there on. For continuous actions alone.",
    )
    rounds: int = Field(
        default=1,
        ge=0,
        le=8,
        description="How often the entities exchange what they know; only `permutation-equivariant` has rounds.",
    )

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.shared and self.actor != self.critic:
            cure = "give actor and critic the same layers, or set shared to false"
            refuse([Contradiction("critic", list(self.critic), f"{list(self.actor)}, as shared is true", cure)])
        return self
