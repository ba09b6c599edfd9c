"""Trains a case on its seeds, by the product's own parts, and measures each policy.

A tensor environment's training is compiled once and restarted for each seed; Gymnasium's environments are made anew.
"""

import math
import os
import time
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks import machine, tables
from benchmarks.learning import instruments, record
from benchmarks.learning.cases import Case
from benchmarks.learning.record import Entry
from trainer import target as targets
from trainer.config.models import RunFile
from trainer.errors import SlipwayError
from trainer.iteration import Row, TensorTraining, Training
from trainer.loop import Goal
from trainer.target import Target

CALL = 16
"""Iterations of one call, at most."""
CURVE_POINTS = 60
"""Points that are kept of a learning curve."""


def train(case: Case, seeds: Sequence[int], kept: Entry | None, save: Callable[[Entry], None]) -> None:
    """Train and measure some seeds.

    Args:
        case: what to train.
        seeds: on which seeds.
        kept: the case's entry in learning.json, if there is one; the seeds it has stay if the settings are the same.
        save: called with the entry after each seed.
    """
    run_file = case.run_file()
    target = Target.of(run_file)
    entry = kept if kept is not None and record.same(kept["settings"], case) else _fresh(case, run_file, target)
    training: Training | None = None
    measures: list[instruments.Instrument] = []
    for seed in seeds:
        if training is None or not isinstance(training, TensorTraining):
            if training is not None:
                training.close()
            training = target.training(run_file.model_copy(update={"seed": seed}))
            measures = [instruments.make(name, target, training.learner, run_file) for name in case.instruments]
            if isinstance(training, TensorTraining):
                training.run(1)  # compiles
        if isinstance(training, TensorTraining):
            training.restart(seed)
        try:
            found = _one(case, seed, run_file, target, training, measures)
        except SlipwayError as error:
            found = {"failed": str(error).splitlines()[0]}
        entry["seeds"][str(seed)] = found
        entry["machine"] = machine.about()
        save(entry)
        tables.say(f"{case.name} seed {seed}: {found.get('failed') or _said(found)}")
    if training is not None:
        training.close()


def _fresh(case: Case, run_file: RunFile, target: Target) -> Entry:
    return {
        "settings": record.settings(case),
        "env_steps": run_file.iterations * run_file.agent.batch_size,
        "optimum": target.goal().optimum,
        "told": targets.told(run_file.agent, target.env),
        **instruments.baselines(target),
        "seeds": {},
    }


def _one(
    case: Case,
    seed: int,
    run_file: RunFile,
    target: Target,
    training: Training,
    measures: Sequence[instruments.Instrument],
) -> dict[str, Any]:
    goal = Goal(target.objective == "average-reward", target.score, None)
    size, done, points = run_file.agent.batch_size, 0, []
    load = os.getloadavg()[0]
    began, cpu_began = time.perf_counter(), time.process_time()
    while done < run_file.iterations:
        rows = training.run(min(CALL, training.most_at_once, run_file.iterations - done))
        points += _points(rows, goal, done, size)
        done += len(rows)
        tables.progress(f"{case.name} seed {seed}: {done / run_file.iterations:.0%}")
    seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - cpu_began
    found: dict[str, Any] = {"values": {}}
    for measure in measures:
        one = measure()
        found["values"] |= one.pop("values")
        found |= one
    return {
        **found,
        "curve": thinned(points, CURVE_POINTS),
        "wall_seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "load_average": round(load, 2),
    }


def _points(rows: Sequence[Row], goal: Goal, done: int, size: int) -> list[tuple[int, float, float]]:
    """(environment steps, score, weight) of iterations; those in which no episode ended weigh nothing.

    Raises:
        SlipwayError: if a number is not finite.
    """
    points = []
    for number, row in enumerate(rows, done + 1):
        lost = [name for name, value in row.items() if not math.isfinite(value)]
        if lost:
            raise SlipwayError(f"{' and '.join(lost)} stopped being finite at environment step {number * size}")
        weight = 1.0 if goal.average_reward else row["episodes"]
        total = row["reward_mean"] if goal.average_reward else row["scores"]
        points.append((number * size, goal.score.sign * total, weight))
    return points


def thinned(points: Sequence[tuple[int, float, float]], most: int) -> tuple[list[int], list[float]]:
    """Steps and scores of a curve with at most `most` points: means over runs of neighbours, at the last one's steps.

    Args:
        points: (environment steps, sum of scores, how many they are).
        most: the limit.
    """
    stride = math.ceil(len(points) / most)
    steps, scores = [], []
    for start in range(0, len(points), stride):
        run = points[start : start + stride]
        weight = sum(point[2] for point in run)
        if weight:
            steps.append(run[-1][0])
            scores.append(float(f"{sum(point[1] for point in run) / weight:.6g}"))
    return steps, scores


def _said(found: dict[str, Any]) -> str:
    values = ", ".join(f"{name} {value:.5g}" for name, value in found["values"].items() if value is not None)
    return f"{values or 'nothing finite'}; {found['wall_seconds']:.0f} s, {found['cpu_seconds']:.0f} s of processor"
