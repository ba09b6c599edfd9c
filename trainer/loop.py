"""The training loop: iterate, report, save, until the budget is used, or a signal or a cloud's notice asks to stop."""

import dataclasses
import enum
import math
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Self

from trainer import budget
from trainer.checkpoint import Checkpoints
from trainer.config.models import RunFile
from trainer.errors import SlipwayError
from trainer.metrics.catalogue import ALWAYS, ITERATION, LEARNED, sample_key
from trainer.metrics.sinks.fanout import SinkSet
from trainer.plateau import Plateau
from trainer.preemption import Preemption
from trainer.progress import Progress

if TYPE_CHECKING:
    from envs.core import Score
    from trainer.iteration import Row, Training

CALL_SECONDS = 0.2
"""How long a call of the compiled graph should take: short enough for signals and displays."""


class End(enum.StrEnum):
    """Why the loop ended."""

    FINISHED = "finished"
    PREEMPTED = "preempted"
    STOPPED_BY_BUDGET = "stopped-by-budget"


@dataclasses.dataclass
class Counters:
    """How far a run is, over all its resumes; part of every checkpoint.

    Attributes:
        iteration: training iterations made.
        env_steps: environment steps made.
        episodes: episodes that ended.
        wall_time_seconds: training time.
        merit: how good the policy was found last, more being better; None if it was not yet.
        plateau: how long the score has not got better.
    """

    iteration: int = 0
    env_steps: int = 0
    episodes: int = 0
    wall_time_seconds: float = 0.0
    merit: float | None = None
    plateau: Plateau = dataclasses.field(default_factory=Plateau)

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> Self:
        """What a checkpoint holds, as `dataclasses.asdict` gave it; what older ones lack begins anew."""
        return cls(**{**state, "plateau": Plateau(**state.get("plateau", {}))})


@dataclasses.dataclass(frozen=True)
class Result:
    """How the loop ended.

    Attributes:
        end: why.
        reason: the same for people; empty if the training is complete.
        counters: how far it came.
    """

    end: End
    reason: str
    counters: Counters


@dataclasses.dataclass(frozen=True)
class Goal:
    """How the task reads its rewards.

    Attributes:
        average_reward: whether the score is the mean reward of a step, and not an episode's return.
        score: the task's words, and the direction.
        optimum: the best possible score, if it is known.
    """

    average_reward: bool
    score: "Score"
    optimum: float | None

    def gap(self, score: float) -> float | None:
        """How much worse than the optimum, relative to it; None if the optimum is not known or 0."""
        if not self.optimum:
            return None
        return (score - self.optimum) * -self.score.sign / abs(self.optimum)


class Loop:
    """Trains one run.

    Args:
        run_file: the run's settings.
        training: what to iterate.
        goal: how the task reads its rewards.
        sinks: where rows go.
        checkpoints: where states go.
        progress: what people see.
        evaluate: gives the `rl_eval_` metrics of the current policy; called every `evaluation.interval_iterations`.
        saved: called after each checkpoint.
        counters: how far the training is, which has been restored; None: at its start.
        enough: asked between calls; words other than none end the training, as a used budget does.
        safe_at: Unix time at which the newest checkpoint was made that the run's store holds; None if there is none.
        host: what the machine is doing, as samples of the catalogue; asked after each call, and may give nothing.
    """

    def __init__(
        self,
        run_file: RunFile,
        training: "Training",
        goal: Goal,
        sinks: SinkSet,
        checkpoints: Checkpoints,
        progress: Progress,
        evaluate: Callable[[], Mapping[str, float]],
        saved: Callable[[Counters], None],
        counters: Counters | None = None,
        enough: Callable[[], str] = lambda: "",
        safe_at: Callable[[], float | None] = lambda: None,
        host: Callable[[], Mapping[str, float]] = dict,
    ) -> None:
        self._run_file, self._training, self._goal = run_file, training, goal
        self._sinks, self._checkpoints, self._progress = sinks, checkpoints, progress
        self._evaluate, self._saved, self._enough = evaluate, saved, enough
        self._safe_at, self._host = safe_at, host
        self.counters = counters or Counters()
        self._seconds_per_iteration: float | None = None
        self._last_saved_iteration = self.counters.iteration
        self._last_saved_seconds = self.counters.wall_time_seconds
        self._save_seconds: float | None = None
        self._began_at = time.time()

    def run(self, preemption: Preemption) -> Result:
        """Iterate until something ends it; the state is then in a checkpoint.

        Raises:
            SlipwayError: if a number stops being finite, or a checkpoint or the record cannot be written.
        """
        end, reason = self._iterate(preemption)
        if self.counters.iteration > self._last_saved_iteration:
            self._save()
        return Result(end, reason, self.counters)

    def _iterate(self, preemption: Preemption) -> tuple[End, str]:
        limits, counters = self._run_file.budget, self.counters
        while counters.iteration < self._run_file.iterations:
            if preemption.received is not None:
                return End.PREEMPTED, preemption.received.reason
            if reason := self._enough() or budget.reached(limits, counters.wall_time_seconds):
                return End.STOPPED_BY_BUDGET, reason
            self._call()
            if preemption.save_requested() or self._due():
                self._save()
        return End.FINISHED, ""

    def _call(self) -> None:
        """One call of the training: some iterations, and a row for each."""
        began = time.monotonic()
        count = self._how_many()
        rows = self._training.run(count)
        seconds = time.monotonic() - began
        counters, size = self.counters, self._run_file.agent.batch_size
        first = self._seconds_per_iteration is None  # holds the compilation
        self._seconds_per_iteration = seconds / count if not first else math.inf
        for number, row in enumerate(rows, 1):
            counters.iteration += 1
            counters.env_steps += size
            counters.episodes += int(row["episodes"])
            counters.wall_time_seconds += seconds / count
            metrics = self._metrics(row, size * count / seconds)
            if self._evaluation_due():
                evaluation_began = time.monotonic()
                metrics |= self._evaluate()
                took = time.monotonic() - evaluation_began
                metrics[sample_key("rl_phase_duration_seconds", phase="evaluation")] = took
                counters.wall_time_seconds += took
            self._judge(metrics)
            metrics[sample_key("rl_phase_duration_seconds", phase="iteration")] = seconds / count
            if number == len(rows):
                metrics |= self._host()
                if self._save_seconds is not None:
                    metrics[sample_key("rl_phase_duration_seconds", phase="checkpoint")] = self._save_seconds
                    self._save_seconds = None
            self._sinks.write(
                {ITERATION: counters.iteration, **metrics}, counters.env_steps, counters.wall_time_seconds
            )
        self._progress.update(counters.env_steps, metrics)

    def _judge(self, metrics: Mapping[str, float]) -> None:
        """Keep how good the policy is, more being better, for the choice of the best checkpoints."""
        evaluated = self._run_file.evaluation.interval_iterations is not None
        score = metrics.get("rl_eval_score_mean" if evaluated else "rl_score")
        if score is not None:
            self.counters.merit = self._goal.score.sign * score

    def _how_many(self) -> int:
        """How many iterations to make in one call: about `CALL_SECONDS`, none past what is due."""
        done, each = self.counters.iteration, self._seconds_per_iteration
        if each is None or math.isinf(each):
            return 1
        wish = min(CALL_SECONDS, budget.seconds_left(self._run_file.budget, self.counters.wall_time_seconds)) / each
        count = min(max(1, int(wish)), self._training.most_at_once, self._run_file.iterations - done)
        for interval in (self._run_file.checkpoint.interval_iterations, self._run_file.evaluation.interval_iterations):
            if interval is not None:
                count = min(count, interval - done % interval)
        return count

    def _metrics(self, row: "Row", steps_per_second: float) -> dict[str, float]:
        lost = [name for name, value in row.items() if not math.isfinite(value)]
        if lost:
            step = self.counters.env_steps
            raise SlipwayError(
                f"{' and '.join(lost)} stopped being finite at environment step {step}\n"
                "  earlier checkpoints are intact\n"
                "  fix: lower agent.learning_rate, set agent.max_gradient_norm, or normalise observations"
            )
        idle = row.get("gradient_steps") == 0  # then means over gradient steps are means of nothing
        learned = {LEARNED[name]: row[name] for name in row if name in LEARNED and (name in ALWAYS or not idle)}
        metrics = {
            "rl_step_reward_mean": row["reward_mean"],
            "rl_episodes_total": self.counters.episodes,
            "rl_env_steps_total": self.counters.env_steps,
            **learned,
            "rl_env_steps_per_second": steps_per_second,
        }
        score = self._goal.score.sign * row["reward_mean"] if self._goal.average_reward else None
        if row["episodes"]:
            metrics["rl_episode_return_mean"] = row["returns"] / row["episodes"]
            metrics["rl_episode_length_steps"] = row["steps"] / row["episodes"]
            if score is None:
                score = self._goal.score.sign * row["scores"] / row["episodes"]
        if score is not None:
            metrics["rl_score"] = score
            self.counters.plateau.add(self._goal.score.sign * score, self.counters.env_steps)
            gap = self._goal.gap(score)
            if gap is not None:
                metrics["rl_optimality_gap_ratio"] = gap
        if self._goal.optimum is not None:
            metrics["rl_score_optimum"] = self._goal.optimum
        plateau = self.counters.plateau.ratio(self.counters.env_steps)
        if plateau is not None:
            metrics["rl_plateau_ratio"] = plateau
        cost = budget.cost_usd(self._run_file.budget, self.counters.wall_time_seconds)
        if cost is not None:
            metrics["rl_cost_usd_total"] = cost
        safe_at = self._safe_at()
        if safe_at is not None and safe_at >= self._began_at:
            metrics["rl_checkpoint_timestamp_seconds"] = safe_at
        since = max(self._began_at, safe_at or 0.0)
        metrics["rl_checkpoint_age_seconds"] = max(0.0, time.time() - since)
        return metrics

    def _evaluation_due(self) -> bool:
        interval = self._run_file.evaluation.interval_iterations
        return interval is not None and self.counters.iteration % interval == 0

    def _due(self) -> bool:
        settings, counters = self._run_file.checkpoint, self.counters
        if settings.interval_iterations is not None and counters.iteration % settings.interval_iterations == 0:
            return True
        since = counters.wall_time_seconds - self._last_saved_seconds
        return settings.interval_seconds is not None and since >= settings.interval_seconds

    def _save(self) -> None:
        """A checkpoint, with the record brought to the disk before it."""
        began = time.monotonic()
        counters = self.counters
        state: dict[str, Any] = {"counters": dataclasses.asdict(counters), "metrics_bytes": self._sinks.flush()}
        training = self._training
        self._checkpoints.save(counters.env_steps, training.state(), state, training.window(), counters.merit)
        self._save_seconds = time.monotonic() - began
        self._last_saved_iteration, self._last_saved_seconds = counters.iteration, counters.wall_time_seconds
        self._saved(counters)
