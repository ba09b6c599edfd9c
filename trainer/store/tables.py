"""Finished runs as tables: which tables there are, and a run's rows in them, for whoever asks in SQL.

Each table is a folder of gzipped files, one for each run, with a JSON object a line: what Athena, BigQuery, Spark and
DuckDB read as they are. Nothing in a row is nested, keys are small letters, digits and underscores, and each row names
its run, so a folder may hold the runs of years.
"""

import contextlib
import dataclasses
import enum
import gzip
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from trainer.errors import SlipwayError
from trainer.metrics import catalogue
from trainer.metrics.catalogue import Kind

FOLDER, SUFFIX = "tables", ".jsonl.gz"
"""Tables lie in this folder of a store; no run's file does, whatever the run is called."""
GREEDY = "greedy"

Row = dict[str, Any]
Read = Callable[[str], bytes]
"""A file of a run directory, by its name; empty if it is missing."""


class Type(enum.StrEnum):
    """What a column holds; any may be null."""

    STRING = "string"
    INTEGER = "integer"
    NUMBER = "number"


class NoRows(SlipwayError):
    """A run whose files do not say what rows need."""


@dataclasses.dataclass(frozen=True)
class Column:
    """A column.

    Attributes:
        name: as the rows' keys.
        type: of its values.
        help: what it holds, for people.
    """

    name: str
    type: Type
    help: str


@dataclasses.dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        name: its folder's.
        help: what a row is.
        columns: in order.
    """

    name: str
    help: str
    columns: tuple[Column, ...]


_RUN_ID = Column("run_id", Type.STRING, "The run.")
_STEP = Column("step", Type.INTEGER, "Environment steps so far.")

RUNS = Table(
    "runs",
    "A finished run.",
    (
        _RUN_ID,
        Column("group_id", Type.STRING, "The group that it belongs to; null if to none."),
        Column("env_id", Type.STRING, "The environment."),
        Column("algorithm", Type.STRING, "How it learned."),
        Column("agent", Type.STRING, "All of the agent's settings, as JSON."),
        Column("training_seed", Type.INTEGER, "The run's seed."),
        Column("score_name", Type.STRING, "What the task counts."),
        Column("score_unit", Type.STRING, "In which unit."),
        Column("score_sign", Type.INTEGER, "1 where a high score is good, -1 where a low one is."),
        Column("score", Type.NUMBER, "Mean score of the greedy policy over the held-out seeds."),
        Column("score_ci_low", Type.NUMBER, "Lower end of its 95 % confidence interval."),
        Column("score_ci_high", Type.NUMBER, "Upper end of its 95 % confidence interval."),
        Column("score_iqm", Type.NUMBER, "Interquartile mean of the greedy policy's scores."),
        Column("exact_score", Type.NUMBER, "The greedy policy's expected score, where the task computes it."),
        Column("optimum", Type.NUMBER, "The best that any policy can score, where that is known."),
        Column(
            "optimality_gap_ratio",
            Type.NUMBER,
            "How much worse than the optimum the policy is, relative to it; of the exact score where there is one.",
        ),
        Column("env_steps", Type.INTEGER, "Environment steps of the training."),
        Column("iterations", Type.INTEGER, "Iterations of the training."),
        Column("wall_time_seconds", Type.NUMBER, "Time of the training, over all resumes."),
        Column("resumes", Type.INTEGER, "How often it was resumed."),
        Column("price_usd_per_hour", Type.NUMBER, "The machine's price, where the run file names one."),
        Column("cost_usd", Type.NUMBER, "The training's time times that price."),
        Column("started_at", Type.STRING, "When it began: UTC, ISO 8601."),
        Column("finished_at", Type.STRING, "When it was finished: UTC, ISO 8601."),
        Column("host", Type.STRING, "The machine that finished it."),
        Column("cpu_model", Type.STRING, "That machine's processor."),
        Column("accelerator", Type.STRING, "Its first GPU; null if it had none."),
        Column("slipway_version", Type.STRING, "The version that trained it."),
        Column("git_revision", Type.STRING, "The revision of the code, where that was a clone."),
    ),
)
SCORES = Table(
    "scores",
    "What a policy of a run, or a baseline, scored on a held-out seed.",
    (
        _RUN_ID,
        Column("policy", Type.STRING, "`greedy` and `sampled` are the run's own; the others are baselines."),
        Column("held_out_seed", Type.INTEGER, "The seed; runs of one environment share them."),
        Column("score", Type.NUMBER, "Mean score of the seed's episodes."),
    ),
)
METRICS = Table(
    "metrics",
    "An iteration of a run.",
    (
        _RUN_ID,
        _STEP,
        Column("iteration", Type.INTEGER, "Iterations so far."),
        Column("wall_time_seconds", Type.NUMBER, "Time of the training so far, over all resumes."),
        *(
            Column(metric.name, Type.NUMBER, metric.help)
            for metric in catalogue.METRICS
            if metric.kind is not Kind.INFO and not metric.labels
        ),
    ),
)
PARTS = Table(
    "metric_parts",
    "A value of a metric with labels, such as the time that a phase took, in an iteration of a run.",
    (
        _RUN_ID,
        _STEP,
        Column("metric", Type.STRING, "The metric's name."),
        Column("label", Type.STRING, "The label's name, such as `phase`."),
        Column("part", Type.STRING, "The label's value, such as `rollout`."),
        Column("value", Type.NUMBER, "The metric's value."),
    ),
)
TABLES: tuple[Table, ...] = (RUNS, SCORES, METRICS, PARTS)
"""All tables."""


def key(table: Table, run_id: str) -> str:
    """Where a run's rows of a table lie in a store: `tables/runs/RUN.jsonl.gz`."""
    return f"{FOLDER}/{table.name}/{run_id}{SUFFIX}"


def write(run_id: str, read: Read, folder: Path) -> dict[Table, Path]:
    """Files with a run's rows, a file for each table; the same run makes the same bytes.

    Args:
        run_id: the run's name in its store.
        read: gives the run directory's files.
        folder: where to write; it must be there.

    Raises:
        NoRows: if the run's files do not say what rows need.
        OSError: if the disk is full or fails.
    """
    paths = {}
    try:
        for table, rows in _rows(run_id, read).items():
            paths[table] = folder / f"{table.name}{SUFFIX}"
            with paths[table].open("wb") as file, gzip.GzipFile("", "wb", fileobj=file, mtime=0) as zipped:
                zipped.writelines(_encoded(table, {"run_id": run_id, **row}) for row in rows)
    except (ValueError, LookupError, TypeError, AttributeError, yaml.YAMLError) as error:
        raise NoRows(f"{run_id} has no rows: {type(error).__name__}: {error}") from error
    return paths


def _encoded(table: Table, row: Row) -> bytes:
    """A line with all columns; what is no column of this version is left out."""
    values = {column.name: row.get(column.name) for column in table.columns}
    return json.dumps(values, allow_nan=False, separators=(",", ":")).encode() + b"\n"


def _rows(run_id: str, read: Read) -> dict[Table, Iterator[Row]]:
    evaluation, metrics = json.loads(read("evaluation.json")), read("metrics.jsonl")
    return {
        RUNS: iter([_run(run_id, read, evaluation, metrics)]),
        SCORES: _scores(evaluation),
        METRICS: _lines(metrics),
        PARTS: _parts(metrics),
    }


def _run(run_id: str, read: Read, evaluation: Mapping[str, Any], metrics: bytes) -> Row:
    status, run_file = json.loads(read("status.json")), yaml.safe_load(read("run.yaml"))
    made = json.loads(read("provenance.json") or b"{}")
    policy, exact = evaluation["policies"][GREEDY], (evaluation.get("exact") or {}).get(GREEDY) or {}
    gap = exact.get("optimality_gap_ratio", policy["optimality_gap_ratio"])
    accelerators = made.get("accelerators") or [{}]
    last = json.loads(metrics.splitlines()[-1])
    return {
        "group_id": run_id.rpartition("/")[0] or None,
        "env_id": evaluation["env_id"],
        "algorithm": run_file["agent"]["algorithm"],
        "agent": json.dumps(run_file["agent"], sort_keys=True),
        "training_seed": evaluation["training_seed"],
        "score_name": evaluation["score"]["name"],
        "score_unit": evaluation["score"]["unit"],
        "score_sign": evaluation["score"]["sign"],
        "score": policy["mean"],
        "score_ci_low": policy["ci_low"],
        "score_ci_high": policy["ci_high"],
        "score_iqm": policy["iqm"],
        "exact_score": exact.get("score"),
        "optimum": evaluation["optimum"],
        "optimality_gap_ratio": gap,
        "env_steps": status["env_steps"],
        "iterations": status["iteration"],
        "wall_time_seconds": status["wall_time_seconds"],
        "resumes": status["resumes"],
        "price_usd_per_hour": run_file["budget"]["price_usd_per_hour"],
        "cost_usd": last.get("rl_cost_usd_total"),
        "started_at": status["started_at"],
        "finished_at": status["updated_at"],
        "host": status["host"],
        "cpu_model": (made.get("host") or {}).get("cpu_model"),
        "accelerator": accelerators[0].get("name"),
        "slipway_version": (made.get("packages") or {}).get("slipway"),
        "git_revision": (made.get("git") or {}).get("revision"),
    }


def _scores(evaluation: Mapping[str, Any]) -> Iterator[Row]:
    for policy, said in evaluation["policies"].items():
        for seed, score in zip(evaluation["seeds"], said["per_seed"], strict=True):
            yield {"policy": policy, "held_out_seed": seed, "score": score}


def _parts(metrics: bytes) -> Iterator[Row]:
    for row in _lines(metrics):
        for name, value in row.items():
            with contextlib.suppress(catalogue.UnknownMetricError):
                yield from ({"step": row["step"], "value": value, **part} for part in _labelled(name))


def _labelled(name: str) -> list[Row]:
    """A sample key's metric and labels; none if it has no labels.

    Raises:
        UnknownMetricError: if it is no sample key of this version.
    """
    sample = catalogue.parse(name)
    pairs = zip(sample.metric.labels, sample.label_values, strict=True)
    return [{"metric": sample.metric.name, "label": label, "part": part} for label, part in pairs]


def _lines(metrics: bytes) -> Iterator[Row]:
    return (json.loads(line) for line in metrics.splitlines())
