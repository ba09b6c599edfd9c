"""The run file: one immutable, validated description of a run.

Units are in the names. A value is refused here if it is wrong whatever the environment (type, range, contradiction with
another value); what depends on the environment is refused by `trainer.config.check`.
"""

import math
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, GetJsonSchemaHandler, JsonValue, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from trainer.config.networks import Networks
from trainer.config.off_policy import DQN, SAC, TD3
from trainer.config.preemption import Preemption
from trainer.config.section import (
    REQUIRED_ALGORITHM,
    Contradiction,
    Schedule,
    Section,
    Within,
    constant,
    refuse,
)
from trainer.config.self_labelling import SelfLabelling
from trainer.config.sinks import CloudMonitoring, CloudWatch, Logs
from trainer.retention import Retention

TRAINING_SEEDS = 1 << 30
"""How many training seeds there are (`envs.seeding.SEEDS_PER_SPLIT`, repeated here because that imports TensorFlow)."""

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"
"""What names a run, and so a folder or a prefix in a bucket."""


class Environment(Section):
    """Which task to learn; an id alone will do."""

    id: str = Field(
        min_length=1,
        description="`slipway/...` (see `slipway envs list`), `gymnasium:ID` for any id that Gymnasium knows, or "
        "`module:ID` for a task that a module of yours registers.",
    )
    parameters: dict[str, JsonValue] = Field(
        default_factory=dict,
        description="The task's parameters (`slipway envs describe ID`); others keep their default.",
    )

    @model_validator(mode="before")
    @classmethod
    def _from_id(cls, data: Any) -> Any:
        return {"id": data} if isinstance(data, str) else data

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """An id or the keys."""
        keys = handler.resolve_ref_schema(handler(schema))
        return {"anyOf": [{"type": "string", "minLength": 1}, keys]}


class Recurrent(Section):
    """A recurrent layer: what an episode has shown before counts too."""

    cell: Literal["lstm", "gru"] = Field(
        default="lstm",
        description="LSTM (Hochreiter and Schmidhuber 1997), or GRU (Cho et al. 2014).",
    )
    units: int = Field(default=64, ge=1, le=4096, description="Units of the layer.")


class RecurrentNetworks(Networks):
    """The policy's and the value function's networks: fully connected, and perhaps recurrent."""

    recurrent: Recurrent | None = Field(
        default=None,
        description="A recurrent layer behind the hidden layers, for tasks whose observation does not say all that"
        " counts; null: none.",
    )

    @model_validator(mode="after")
    def _one_or_the_other(self) -> Self:
        if self.recurrent is not None and self.kind != "fully-connected":
            cure = "set recurrent to null, or kind to fully-connected"
            refuse([Contradiction("kind", self.kind, "fully-connected, as recurrent is set", cure)])
        return self


class PPO(Section):
    """Proximal policy optimisation (Schulman et al. 2017, https://arxiv.org/abs/1707.06347)."""

    algorithm: Literal["ppo"] = Field(default="ppo", description="The learning algorithm.")
    num_envs: int = Field(default=8, ge=1, le=1 << 20, description="Environments stepped in parallel.")
    rollout_steps: int = Field(default=128, ge=1, le=1 << 20, description="Steps of each environment in one iteration.")
    epochs: int = Field(default=4, ge=1, le=1000, description="Passes over an iteration's data.")
    minibatch_size: int = Field(
        default=256,
        ge=1,
        description="Transitions in one gradient step; divides `num_envs * rollout_steps`. With `networks.recurrent`"
        " also a multiple of `rollout_steps`.",
    )
    objective: Literal["discounted", "average-reward"] = Field(
        default="discounted",
        description="`average-reward` takes the mean reward off each reward, for tasks that never end; needs"
        " discount 1.",
    )
    discount: float = Field(default=0.99, gt=0, le=1, description="Worth of a reward one step later.")
    gae_lambda: float = Field(
        default=0.95,
        ge=0,
        le=1,
        description="Generalised advantage estimation: 0 trusts the value function, 1 the sampled rewards.",
    )
    learning_rate: Annotated[Schedule, Within(0, 1, positive_start=True)] = Field(
        default_factory=constant(3e-4), description="Adam's step size."
    )
    clip_ratio: Annotated[Schedule, Within(0, 1, positive_start=True)] = Field(
        default_factory=constant(0.2), description="How far the probability ratio may leave 1 before it is clipped."
    )
    entropy_coefficient: Annotated[Schedule, Within(0, 1)] = Field(
        default_factory=constant(0.0), description="Weight of the policy's entropy in the loss."
    )
    value_coefficient: float = Field(default=0.5, ge=0, le=100, description="Weight of the value loss.")
    value_clip_ratio: float | None = Field(
        default=None,
        gt=0,
        description="How far a value may move from its old prediction in an iteration; null: any distance.",
    )
    max_gradient_norm: float | None = Field(
        default=0.5, gt=0, description="Gradients longer than this are shortened to it; null: never."
    )
    separate_gradient_norms: bool = Field(
        default=False, description="Limit the policy's and the value function's gradient each by itself, not together."
    )
    adam_epsilon: float = Field(default=1e-5, gt=0, le=1, description="Adam's epsilon.")
    target_kl_nats: float | None = Field(
        default=None,
        gt=0,
        description="End an iteration's epochs when the mean divergence from the old policy exceeds this; null: never.",
    )
    networks: RecurrentNetworks = Field(default_factory=RecurrentNetworks, description="Hidden layers.")
    observation_normalisation: Literal["none", "running", "nominal"] = Field(
        default="none",
        description="`running`: by mean and deviation seen so far; `nominal`: by what the task states beforehand.",
    )
    return_normalisation: bool = Field(
        default=False, description="Divide rewards by the running standard deviation of the discounted return."
    )
    reward_scale: float = Field(default=1.0, gt=0, description="Factor on each reward.")
    advantage_normalisation: bool = Field(
        default=True,
        description="Bring advantages to mean 0 and deviation 1 in each minibatch; false: over the whole batch.",
    )
    expected_reward: bool = Field(
        default=False, description="Learn from the reward averaged over the task's noise, where the task knows it."
    )
    expectation_over_noise: bool = Field(
        default=False,
        description="Average the next value over all outcomes of the noise, where the task knows their law.",
    )
    common_random_numbers: int | None = Field(
        default=None,
        ge=2,
        description="Environments in a group that meets the same noise; the group's mean advantage is the baseline."
        " Divides `num_envs`; null: each environment has its own noise.",
    )

    @property
    def batch_size(self) -> int:
        """Transitions of one iteration."""
        return self.num_envs * self.rollout_steps

    @model_validator(mode="after")
    def _agree(self) -> Self:
        found = []
        if self.networks.recurrent is not None and (
            self.minibatch_size % self.rollout_steps or self.batch_size % self.minibatch_size
        ):
            near = _nearest_divisor(self.num_envs, max(1, round(self.minibatch_size / self.rollout_steps)))
            found.append(
                Contradiction(
                    "minibatch_size",
                    self.minibatch_size,
                    f"rollout_steps = {self.rollout_steps} times a divisor of num_envs = {self.num_envs}, as"
                    " networks.recurrent learns from whole sequences",
                    f"set it to {near * self.rollout_steps}, or change rollout_steps or num_envs",
                )
            )
        elif self.batch_size % self.minibatch_size:
            batch = f"num_envs * rollout_steps = {self.num_envs} * {self.rollout_steps} = {self.batch_size}"
            found.append(
                Contradiction(
                    "minibatch_size",
                    self.minibatch_size,
                    f"a divisor of {batch}",
                    f"set it to {_nearest_divisor(self.batch_size, self.minibatch_size)}, or change the batch",
                )
            )
        if self.common_random_numbers and self.num_envs % self.common_random_numbers:
            near = _nearest_divisor(self.num_envs, self.common_random_numbers)
            found.append(
                Contradiction(
                    "common_random_numbers",
                    self.common_random_numbers,
                    f"a divisor of num_envs = {self.num_envs}, at least 2",
                    f"set it to {near if near > 1 else 'null'}, or change num_envs",
                )
            )
        if self.objective == "average-reward" and self.discount != 1:
            found.append(
                Contradiction(
                    "discount",
                    self.discount,
                    "1, as objective is average-reward",
                    "set discount to 1, or objective to discounted",
                )
            )
        if self.return_normalisation and self.discount == 1:
            found.append(
                Contradiction(
                    "return_normalisation",
                    True,
                    "false, as discount is 1 and the undiscounted return has no steady deviation",
                    "set return_normalisation to false and use reward_scale, or set discount below 1",
                )
            )
        if self.networks.shared and self.separate_gradient_norms:
            found.append(
                Contradiction(
                    "separate_gradient_norms",
                    True,
                    "false, as networks.shared is true and shared layers have one gradient",
                    "set separate_gradient_norms or networks.shared to false",
                )
            )
        refuse(found)
        return self


def _nearest_divisor(number: int, wished: int) -> int:
    """The divisor of `number` nearest to the wished one, the smaller of two; 1 only if that was wished, or no other."""
    small = [d for d in range(1, math.isqrt(number) + 1) if number % d == 0]
    divisors = {*small, *(number // d for d in small)}
    if wished > 1 and number > 1:
        divisors.remove(1)
    return min(divisors, key=lambda d: (abs(d - wished), d))


class Reinforce(Section):
    """REINFORCE with a learned baseline (Williams 1992, https://doi.org/10.1007/BF00992696)."""

    model_config = REQUIRED_ALGORITHM

    algorithm: Literal["reinforce"] = Field(default="reinforce", description="The learning algorithm.")
    num_envs: int = Field(default=64, ge=1, le=1 << 20, description="Environments stepped in parallel.")
    rollout_steps: int = Field(
        default=128,
        ge=1,
        le=1 << 20,
        description="Steps of each environment in one iteration, which makes one gradient step. Returns that are cut"
        " there are completed by the baseline's value.",
    )
    discount: float = Field(default=0.99, gt=0, le=1, description="Worth of a reward one step later.")
    learning_rate: Annotated[Schedule, Within(0, 1, positive_start=True)] = Field(
        default_factory=constant(1e-3), description="Adam's step size."
    )
    entropy_coefficient: Annotated[Schedule, Within(0, 1)] = Field(
        default_factory=constant(0.0), description="Weight of the policy's entropy in the loss."
    )
    value_coefficient: float = Field(default=0.5, ge=0, le=100, description="Weight of the baseline's loss.")
    max_gradient_norm: float | None = Field(
        default=0.5, gt=0, description="Gradients longer than this are shortened to it; null: never."
    )
    adam_epsilon: float = Field(default=1e-5, gt=0, le=1, description="Adam's epsilon.")
    advantage_normalisation: bool = Field(
        default=True, description="Bring an iteration's advantages to mean 0 and deviation 1."
    )
    networks: Networks = Field(default_factory=Networks, description="Hidden layers.")
    observation_normalisation: Literal["none", "running", "nominal"] = Field(
        default="none",
        description="`running`: by mean and deviation seen so far; `nominal`: by what the task states beforehand.",
    )
    reward_scale: float = Field(default=1.0, gt=0, description="Factor on each reward.")

    @property
    def batch_size(self) -> int:
        """Transitions of one iteration."""
        return self.num_envs * self.rollout_steps


def _with_algorithm(data: Any) -> Any:
    """PPO where no algorithm is named."""
    return {"algorithm": "ppo", **data} if isinstance(data, dict) else data


Agent = Annotated[
    PPO | DQN | SAC | TD3 | Reinforce | SelfLabelling,
    Field(discriminator="algorithm"),
    BeforeValidator(_with_algorithm),
]
"""The agents, told apart by `algorithm`."""


class Budget(Section):
    """When to stop. The first limit that is reached counts."""

    env_steps: int = Field(
        default=1_000_000, ge=1, description="Environment steps to train for; schedules run over them."
    )
    wall_time_seconds: float | None = Field(
        default=None, gt=0, description="Stop after this training time; null: no limit."
    )
    cost_usd: float | None = Field(
        default=None, gt=0, description="Stop when the run has cost this much; null: no limit."
    )
    price_usd_per_hour: float | None = Field(default=None, ge=0, description="Price of this machine; null: not known.")

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.cost_usd is not None and not self.price_usd_per_hour:
            cure = "set budget.price_usd_per_hour to the machine's price, or cost_usd to null"
            refuse([Contradiction("cost_usd", self.cost_usd, "null, as price_usd_per_hour is not known", cure)])
        return self


class Evaluation(Section):
    """How the policy is measured, on seeds that training never meets."""

    seeds: int = Field(default=20, ge=2, le=10_000, description="Held-out seeds.")
    episodes_per_seed: int = Field(default=64, ge=1, le=100_000, description="Episodes on each seed.")
    interval_iterations: int | None = Field(
        default=None, ge=1, description="Also evaluate every so many iterations while training; null: only at the end."
    )
    stochastic: bool = Field(default=True, description="Evaluate the sampling policy too, beside the greedy one.")


class Checkpoint(Section):
    """When checkpoints are written. One is always written at the end and on a signal."""

    interval_seconds: float | None = Field(
        default=60, gt=0, description="Seconds between checkpoints; null: not by time."
    )
    interval_iterations: int | None = Field(
        default=None, ge=1, description="Iterations between checkpoints; null: not by iterations."
    )
    keep_last: int = Field(default=3, ge=1, le=1000, description="How many of the newest checkpoints are kept.")
    keep_best: int = Field(
        default=0,
        ge=0,
        le=1000,
        description="How many are kept besides because their policy was the best: by the newest evaluation before them"
        " if `evaluation.interval_iterations` is set, else by the score in training.",
    )
    keep_every_env_steps: int | None = Field(
        default=None,
        ge=1,
        description="Of each stretch of so many environment steps, also keep the first checkpoint; null: none.",
    )

    @property
    def retention(self) -> Retention:
        """Which checkpoints are kept."""
        return Retention(self.keep_last, self.keep_best, self.keep_every_env_steps)


class Prometheus(Section):
    """Metrics for Prometheus to collect, served while the run lasts."""

    enabled: bool = Field(default=False, description="Serve them.")
    host: str = Field(default="127.0.0.1", min_length=1, description="Address to listen on. There is no password.")
    port: int = Field(default=9464, ge=0, le=65535, description="TCP port; 0: any free one.")


class Sinks(Section):
    """Where metrics go besides `metrics.jsonl`, and what the run says."""

    tensorboard: bool = Field(default=True, description="Write TensorBoard files into the run's `events/`.")
    prometheus: Prometheus = Field(default_factory=Prometheus, description="Prometheus exporter.")
    cloudwatch: CloudWatch = Field(default_factory=CloudWatch, description="Amazon CloudWatch.")
    cloud_monitoring: CloudMonitoring = Field(default_factory=CloudMonitoring, description="Google Cloud Monitoring.")
    logs: Logs = Field(default_factory=Logs, description="Structured logs.")


class RunFile(Section):
    """Everything that decides a run."""

    name: str | None = Field(
        default=None,
        pattern=NAME_PATTERN,
        description="Start of the run's id; null: made of environment and algorithm.",
    )
    env: Environment = Field(description="The task; its id alone will do.")
    agent: Agent = Field(default_factory=PPO, description="The learner.")
    seed: int = Field(default=0, ge=0, lt=TRAINING_SEEDS, description="Decides all randomness of training.")
    budget: Budget = Field(default_factory=Budget, description="When to stop.")
    evaluation: Evaluation = Field(default_factory=Evaluation, description="How the result is measured.")
    checkpoint: Checkpoint = Field(default_factory=Checkpoint, description="What a lost machine can cost.")
    store: str = Field(
        default="runs",
        min_length=1,
        description="Where the run is kept: a folder, `s3://BUCKET/PREFIX`, `gs://BUCKET/PREFIX`, or `nas://` with the"
        " absolute path of a folder that several machines mount.",
    )
    store_encryption_key: str | None = Field(
        default=None,
        min_length=1,
        description="What a bucket encrypts the run with: the id or ARN of a KMS key, or a Cloud KMS key's resource"
        " name; null: the bucket's own default.",
    )
    preemption: Preemption = Field(default_factory=Preemption, description="Who may say that this machine goes.")
    sinks: Sinks = Field(default_factory=Sinks, description="Where metrics go.")

    @property
    def iterations(self) -> int:
        """Training iterations that the budget of environment steps pays for: the last one may go past it."""
        return -(-self.budget.env_steps // self.agent.batch_size)
