"""The one list of metrics: every name that a run writes, with its unit, kind, meaning and place.

Sinks, dashboards, alarms and the docs table (`python -m trainer.metrics.reference`) are made from it. Names follow
Prometheus' rules (https://prometheus.io/docs/practices/naming/): one prefix, base units, the unit as a suffix,
`_total` for what only grows, `_info` for metadata, ratios where 1 is the whole. A step is never a label.

A **row** is what the training loop hands to the sinks after each iteration: a mapping from sample keys to numbers. A
sample key is a metric's name, or `name{label="value"}` where the metric has labels (`sample_key`).
"""

import dataclasses
import enum
import functools
import re
from collections.abc import Iterable, Mapping

PREFIX = "rl_"
ITERATION = "iteration"
"""The one key of a row that is no metric: the number of the training iteration, counted from 1."""


class Kind(enum.StrEnum):
    """How a metric behaves over time, in Prometheus' words."""

    GAUGE = "gauge"
    COUNTER = "counter"
    HISTOGRAM = "histogram"
    INFO = "info"


class Group(enum.StrEnum):
    """The panel that a metric belongs to."""

    OUTCOME = "outcome"
    EVALUATION = "evaluation"
    LEARNING = "learning"
    SPEED = "speed"
    RUN = "run"
    HOST = "host"
    WORKER = "worker"


class Better(enum.StrEnum):
    """Which way is good."""

    HIGHER = "higher"
    LOWER = "lower"
    TASK = "task"
    """As the task's score says (`simulation.json`, `score.sign`)."""


class Format(enum.StrEnum):
    """How people like to read the number."""

    NUMBER = "number"
    COUNT = "count"
    PERCENT = "percent"
    SECONDS = "seconds"
    TIMESTAMP = "timestamp"
    MONEY = "money"
    BYTES = "bytes"


@dataclasses.dataclass(frozen=True)
class Metric:
    """One metric.

    Attributes:
        name: as every sink writes it.
        unit: a base unit, which the name then carries as a suffix; `score` and `reward` are the task's own units and
            stand in no name; empty for plain numbers.
        help: one sentence; what is measured, over what.
        kind: gauge, counter, histogram or info.
        group: the panel it belongs to.
        labels: the names of its labels.
        better: which way is good; None if neither.
        format: how to print it.
    """

    name: str
    unit: str
    help: str
    kind: Kind
    group: Group
    labels: tuple[str, ...] = ()
    better: Better | None = None
    format: Format = Format.NUMBER

    @property
    def tag(self) -> str:
        """The TensorBoard tag: `group/name`, so that panels come grouped."""
        return f"{self.group}/{self.name}"


METRICS: tuple[Metric, ...] = (
    Metric(
        "rl_score",
        "score",
        "Score of the training rollouts of this iteration, in the task's own words and units (exploring policy).",
        Kind.GAUGE,
        Group.OUTCOME,
        better=Better.TASK,
    ),
    Metric(
        "rl_score_optimum",
        "score",
        "The best possible score of the task, the same in the whole run. Absent if no optimum is known.",
        Kind.GAUGE,
        Group.OUTCOME,
    ),
    Metric(
        "rl_optimality_gap_ratio",
        "ratio",
        "How much worse rl_score is than the known optimum, relative to it. Absent if no optimum is known.",
        Kind.GAUGE,
        Group.OUTCOME,
        better=Better.LOWER,
        format=Format.PERCENT,
    ),
    Metric(
        "rl_step_reward_mean",
        "reward",
        "Mean reward per environment step of this iteration.",
        Kind.GAUGE,
        Group.OUTCOME,
        better=Better.HIGHER,
    ),
    Metric(
        "rl_episode_return_mean",
        "reward",
        "Mean sum of rewards of the episodes that ended in this iteration. Absent if none ended.",
        Kind.GAUGE,
        Group.OUTCOME,
        better=Better.HIGHER,
    ),
    Metric(
        "rl_episode_length_steps",
        "steps",
        "Mean length of the episodes that ended in this iteration. Absent if none ended.",
        Kind.GAUGE,
        Group.OUTCOME,
    ),
    Metric(
        "rl_plateau_ratio",
        "ratio",
        "Share of the run's environment steps that have passed since rl_score got better: since its mean over about"
        " the newest twentieth of the run was last above the best such mean before it by more than two standard errors."
        " Over all resumes; absent before the 50th score.",
        Kind.GAUGE,
        Group.OUTCOME,
        better=Better.LOWER,
        format=Format.PERCENT,
    ),
    Metric(
        "rl_eval_score_mean",
        "score",
        "Mean score of the greedy policy over the held-out seeds.",
        Kind.GAUGE,
        Group.EVALUATION,
        better=Better.TASK,
    ),
    Metric(
        "rl_eval_score_ci_low",
        "score",
        "Lower end of the 95 % confidence interval of rl_eval_score_mean.",
        Kind.GAUGE,
        Group.EVALUATION,
        better=Better.TASK,
    ),
    Metric(
        "rl_eval_score_ci_high",
        "score",
        "Upper end of the 95 % confidence interval of rl_eval_score_mean.",
        Kind.GAUGE,
        Group.EVALUATION,
        better=Better.TASK,
    ),
    Metric(
        "rl_policy_loss",
        "",
        "Policy loss, averaged over the iteration's minibatches: the objective, for PPO the clipped one, sign turned.",
        Kind.GAUGE,
        Group.LEARNING,
    ),
    Metric(
        "rl_value_loss",
        "",
        "Error of the value network or the critics, squared (DQN: Huber, or with `distributional` cross entropy),"
        " averaged over the iteration's minibatches.",
        Kind.GAUGE,
        Group.LEARNING,
        better=Better.LOWER,
    ),
    Metric(
        "rl_policy_entropy_nats",
        "nats",
        "Mean entropy of the policy's action distribution.",
        Kind.GAUGE,
        Group.LEARNING,
    ),
    Metric(
        "rl_policy_kl_nats",
        "nats",
        "Mean Kullback-Leibler divergence of the updated policy from the one that collected the rollouts.",
        Kind.GAUGE,
        Group.LEARNING,
    ),
    Metric(
        "rl_clip_fraction_ratio",
        "ratio",
        "Share of the samples whose probability ratio was clipped.",
        Kind.GAUGE,
        Group.LEARNING,
        format=Format.PERCENT,
    ),
    Metric(
        "rl_value_explained_variance_ratio",
        "ratio",
        "Share of the returns' variance that the value network explains: 1 is perfect, 0 no better than a constant.",
        Kind.GAUGE,
        Group.LEARNING,
        better=Better.HIGHER,
        format=Format.PERCENT,
    ),
    Metric(
        "rl_gradient_norm",
        "",
        "Euclidean norm of the gradient before clipping, averaged over the iteration's minibatches.",
        Kind.GAUGE,
        Group.LEARNING,
    ),
    Metric(
        "rl_learning_rate",
        "",
        "The optimiser's step size in this iteration.",
        Kind.GAUGE,
        Group.LEARNING,
    ),
    Metric(
        "rl_q_value_mean",
        "",
        "Mean value that the critic gives to minibatches: of the best action for DQN, else of the stored one.",
        Kind.GAUGE,
        Group.LEARNING,
    ),
    Metric(
        "rl_exploration",
        "",
        "DQN's chance of a random action; TD3's deviation of the noise on actions, in halves of their range.",
        Kind.GAUGE,
        Group.LEARNING,
    ),
    Metric(
        "rl_entropy_temperature",
        "",
        "SAC's weight of the policy's entropy in its objective.",
        Kind.GAUGE,
        Group.LEARNING,
    ),
    Metric(
        "rl_gradient_steps",
        "steps",
        "Gradient steps of this iteration on samples of the replay; 0 until learning starts.",
        Kind.GAUGE,
        Group.LEARNING,
        format=Format.COUNT,
    ),
    Metric(
        "rl_label_return_mean",
        "reward",
        "Self-labelling: mean sum of rewards of this iteration's best episodes, one of each start, which are imitated.",
        Kind.GAUGE,
        Group.LEARNING,
        better=Better.HIGHER,
    ),
    Metric(
        "rl_replay_transitions",
        "transitions",
        "Transitions in the replay.",
        Kind.GAUGE,
        Group.LEARNING,
        format=Format.COUNT,
    ),
    Metric(
        "rl_env_steps_total",
        "steps",
        "Environment steps since the start of the run, over all parallel environments and resumes.",
        Kind.COUNTER,
        Group.SPEED,
        format=Format.COUNT,
    ),
    Metric(
        "rl_episodes_total",
        "episodes",
        "Training episodes that have ended since the start of the run.",
        Kind.COUNTER,
        Group.SPEED,
        format=Format.COUNT,
    ),
    Metric(
        "rl_env_steps_per_second",
        "steps_per_second",
        "Environment steps per second of wall time in this iteration, learning included.",
        Kind.GAUGE,
        Group.SPEED,
        better=Better.HIGHER,
        format=Format.COUNT,
    ),
    Metric(
        "rl_phase_duration_seconds",
        "seconds",
        "Wall time that the last pass of each phase of the run took.",
        Kind.GAUGE,
        Group.SPEED,
        labels=("phase",),
        format=Format.SECONDS,
    ),
    Metric(
        "rl_checkpoint_timestamp_seconds",
        "seconds",
        "Unix time of the newest complete checkpoint of this process that the run's store holds.",
        Kind.GAUGE,
        Group.RUN,
        format=Format.TIMESTAMP,
    ),
    Metric(
        "rl_checkpoint_age_seconds",
        "seconds",
        "Seconds since rl_checkpoint_timestamp_seconds, at the time of the row; before there is one, since this process"
        " began to train. So much work is lost with the machine.",
        Kind.GAUGE,
        Group.RUN,
        better=Better.LOWER,
        format=Format.SECONDS,
    ),
    Metric(
        "rl_cost_usd_total",
        "usd",
        "Money spent since the start of the run: wall time times the machine's price. Absent if no price is known.",
        Kind.COUNTER,
        Group.RUN,
        format=Format.MONEY,
    ),
    Metric(
        "rl_sink_dropped_records_total",
        "records",
        "What a sink has lost since the process started: rows, or points on the way to a cloud. Absent if nothing.",
        Kind.COUNTER,
        Group.RUN,
        labels=("sink",),
        better=Better.LOWER,
        format=Format.COUNT,
    ),
    Metric(
        "rl_run_info",
        "",
        "Which run this is; the value is always 1.",
        Kind.INFO,
        Group.RUN,
        labels=("run_id", "env_id", "algorithm"),
    ),
    Metric(
        "rl_cpu_utilization_ratio",
        "ratio",
        "Share of all processors' time that was not idle since the sample before.",
        Kind.GAUGE,
        Group.HOST,
        format=Format.PERCENT,
    ),
    Metric(
        "rl_memory_used_ratio",
        "ratio",
        "Share of the machine's memory that no program could be given any more.",
        Kind.GAUGE,
        Group.HOST,
        better=Better.LOWER,
        format=Format.PERCENT,
    ),
    Metric(
        "rl_disk_free_bytes",
        "bytes",
        "Space that is left for the run's user on the disk of its folder.",
        Kind.GAUGE,
        Group.HOST,
        better=Better.HIGHER,
        format=Format.BYTES,
    ),
    Metric(
        "rl_gpu_busiest_utilization_ratio",
        "ratio",
        "The greatest rl_gpu_utilization_ratio of the GPUs that the run may use. Absent if there are none.",
        Kind.GAUGE,
        Group.HOST,
        better=Better.HIGHER,
        format=Format.PERCENT,
    ),
    Metric(
        "rl_gpu_utilization_ratio",
        "ratio",
        "Share of the driver's last sampling period in which the GPU was at work.",
        Kind.GAUGE,
        Group.HOST,
        labels=("gpu",),
        better=Better.HIGHER,
        format=Format.PERCENT,
    ),
    Metric(
        "rl_gpu_memory_used_bytes",
        "bytes",
        "Memory of the GPU that is taken, by any process.",
        Kind.GAUGE,
        Group.HOST,
        labels=("gpu",),
        format=Format.BYTES,
    ),
    Metric(
        "rl_gpu_power_watts",
        "watts",
        "Power that the GPU and its board draw.",
        Kind.GAUGE,
        Group.HOST,
        labels=("gpu",),
    ),
)

WORKER_METRICS: tuple[Metric, ...] = (
    Metric(
        "rl_worker_state",
        "",
        "What the worker of the slot does: 1 for the one state that it is in (idle: nothing is queued for it; running;"
        " drained: it takes nothing; stopping), 0 for the others.",
        Kind.GAUGE,
        Group.WORKER,
        labels=("state",),
    ),
    Metric(
        "rl_worker_ended_runs_total",
        "runs",
        "Entries of the queue that this worker has brought to an end since it started, by the state they ended in.",
        Kind.COUNTER,
        Group.WORKER,
        labels=("state",),
        format=Format.COUNT,
    ),
    Metric(
        "rl_worker_look_timestamp_seconds",
        "seconds",
        "Unix time at which the worker last read the queue. It stands still while the queue's folder does not answer.",
        Kind.GAUGE,
        Group.WORKER,
        format=Format.TIMESTAMP,
    ),
    Metric(
        "rl_queue_runs",
        "runs",
        "Entries of the whole queue that are not over, by state: queued or running. All workers of a queue say the"
        " same.",
        Kind.GAUGE,
        Group.WORKER,
        labels=("state",),
        format=Format.COUNT,
    ),
)
"""What the worker of a site's queue serves beside the metrics of its run. No row of a run has them, and no cloud."""

LEARNED: Mapping[str, str] = {
    "policy_loss": "rl_policy_loss",
    "value_loss": "rl_value_loss",
    "policy_entropy": "rl_policy_entropy_nats",
    "policy_kl": "rl_policy_kl_nats",
    "clip_fraction": "rl_clip_fraction_ratio",
    "explained_variance": "rl_value_explained_variance_ratio",
    "gradient_norm": "rl_gradient_norm",
    "learning_rate": "rl_learning_rate",
    "q_value_mean": "rl_q_value_mean",
    "exploration": "rl_exploration",
    "temperature": "rl_entropy_temperature",
    "gradient_steps": "rl_gradient_steps",
    "label_return": "rl_label_return_mean",
    "replay_transitions": "rl_replay_transitions",
}
"""What learners report, by the names of their signals; each algorithm reports some of them."""
ALWAYS = ("learning_rate", "gradient_steps", "replay_transitions")
"""Signals that mean something in an iteration without a gradient step."""

ESSENTIAL = (
    "rl_score",
    "rl_optimality_gap_ratio",
    "rl_episode_return_mean",
    "rl_plateau_ratio",
    "rl_eval_score_mean",
    "rl_env_steps_total",
    "rl_env_steps_per_second",
    "rl_checkpoint_age_seconds",
    "rl_cost_usd_total",
    "rl_sink_dropped_records_total",
    "rl_disk_free_bytes",
    "rl_gpu_busiest_utilization_ratio",
)
"""What alerts and a glance need, where each metric costs money."""
CHOICES: Mapping[str, tuple[str, ...]] = {
    "essential": ESSENTIAL,
    "all": tuple(metric.name for metric in METRICS if metric.kind is not Kind.INFO),
}
"""Words that stand for many metrics."""

BY_NAME: Mapping[str, Metric] = {metric.name: metric for metric in METRICS}
"""What rows may have."""
_ORDER: Mapping[str, int] = {metric.name: index for index, metric in enumerate(METRICS)}
_KEY = re.compile(r"(?P<name>[a-z0-9_]+)(?:\{(?P<labels>.*)\})?")
_LABEL = re.compile(r'([a-z_]+)="([^"\\{},\n]*)"')


class UnknownMetricError(KeyError):
    """A key that the catalogue does not have, or one with other labels than it says."""

    def __init__(self, key: str) -> None:
        super().__init__(f"{key!r} is no sample of a metric in trainer/metrics/catalogue.py")


@dataclasses.dataclass(frozen=True)
class Sample:
    """What a sample key names: a metric, and a value for each of its labels."""

    metric: Metric
    label_values: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """The sample key, as rows and `metrics.jsonl` have it."""
        if not self.label_values:
            return self.metric.name
        pairs = zip(self.metric.labels, self.label_values, strict=True)
        return self.metric.name + "{" + ",".join(f'{label}="{value}"' for label, value in pairs) + "}"

    @property
    def tag(self) -> str:
        """The TensorBoard tag."""
        return "/".join((self.metric.tag, *self.label_values))


def sample_key(name: str, **labels: str) -> str:
    """The key of a row for a metric with labels: `sample_key("rl_phase_duration_seconds", phase="rollout")`.

    Raises:
        UnknownMetricError: if the catalogue has no such metric, it has other labels, or a label's value has a quote, a
            backslash, a brace, a comma or a line's end.
    """
    metric = BY_NAME.get(name)
    if metric is None or set(metric.labels) != set(labels):
        raise UnknownMetricError(f"{name}{labels or ''}")
    return parse(Sample(metric, tuple(labels[label] for label in metric.labels)).key).key


@functools.lru_cache(maxsize=1024)
def parse(key: str) -> Sample:
    """What a sample key names.

    Raises:
        UnknownMetricError: if the catalogue has no such metric, or it has other labels.
    """
    match = _KEY.fullmatch(key)
    metric = BY_NAME.get(match["name"]) if match else None
    if match is None or metric is None:
        raise UnknownMetricError(key)
    sample = Sample(metric, tuple(value for _, value in _LABEL.findall(match["labels"] or "")))
    if len(sample.label_values) != len(metric.labels) or sample.key != key:
        raise UnknownMetricError(key)
    return sample


def chosen(words: Iterable[str]) -> tuple[str, ...]:
    """The names of metrics that names, and words of `CHOICES`, stand for, in the catalogue's order.

    Raises:
        UnknownMetricError: if one is neither, or names what is no number.
    """
    names: set[str] = set()
    for word in words:
        if word not in CHOICES and word not in CHOICES["all"]:
            raise UnknownMetricError(word)
        names.update(CHOICES.get(word, (word,)))
    return tuple(sorted(names, key=_ORDER.__getitem__))


def in_order(keys: Iterable[str]) -> list[str]:
    """Sample keys in the catalogue's order, those of one metric by label; `iteration` is left out.

    Raises:
        UnknownMetricError: if one is in no catalogue.
    """
    samples = [parse(key) for key in keys if key != ITERATION]
    return [sample.key for sample in sorted(samples, key=lambda s: (_ORDER[s.metric.name], s.label_values))]
