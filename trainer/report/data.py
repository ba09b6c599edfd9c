"""A run directory's files, read for people: what is missing or damaged becomes a remark, not an error."""

import dataclasses
import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml

from trainer.errors import BadInput, SlipwayError
from trainer.metrics.sinks import jsonl

T = TypeVar("T")
Curve = tuple[list[float], list[float]]
"""Environment steps, and a metric's finite values at them."""


@dataclasses.dataclass(frozen=True)
class PolicyResult:
    """One policy on the held-out seeds; every number is in the task's score units but the gap, which is a ratio."""

    name: str
    mean: float
    ci_low: float
    ci_high: float
    iqm: float | None
    iqm_ci_low: float | None
    iqm_ci_high: float | None
    gap: float | None
    per_training_seed: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class Exact:
    """The greedy policy's score computed without sampling, between two proved bounds."""

    score: float
    lower: float
    upper: float
    states: float | None
    method: str
    gap: float | None


@dataclasses.dataclass(frozen=True)
class Difference:
    """The greedy policy's score less a baseline's, on the same held-out seeds."""

    mean: float
    ci_low: float
    ci_high: float


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """`evaluation.json`."""

    confidence: float
    seeds: int
    episodes_per_seed: float | None
    policies: tuple[PolicyResult, ...]
    optimum: float | None
    exact: Exact | None
    differences: Mapping[str, Difference]
    policy_step: float | None
    training_seeds: tuple[int, ...]

    def policy(self, name: str) -> PolicyResult | None:
        """A policy by name."""
        return next((policy for policy in self.policies if policy.name == name), None)


AGENT_POLICIES = ("greedy", "sampled")
"""The names in `evaluation.json` that are the agent's own; the others are baselines."""


@dataclasses.dataclass(frozen=True)
class Score:
    """The task's words for its objective."""

    name: str
    unit: str
    sign: int


@dataclasses.dataclass(frozen=True)
class RunData:
    """What a run directory says; a member that its file does not give is empty.

    Attributes:
        folder: the run directory.
        run_file: `run.yaml`, parsed.
        run_file_text: `run.yaml`, as it is.
        provenance: `provenance.json`.
        simulation: `simulation.json`.
        status: `status.json`.
        rows: `metrics.jsonl`.
        evaluation: `evaluation.json`.
        picture: `policy.json`.
        members: the runs of a group, by folder name; empty for a single run.
        remarks: what was missing or damaged, in sentences.
    """

    folder: Path
    run_file: Mapping[str, Any]
    run_file_text: str
    provenance: Mapping[str, Any]
    simulation: Mapping[str, Any]
    status: Mapping[str, Any]
    rows: list[dict[str, Any]]
    evaluation: Evaluation | None
    picture: Mapping[str, Any] | None
    members: Mapping[str, "RunData"]
    remarks: tuple[str, ...]

    @property
    def is_group(self) -> bool:
        """Whether this is a group of runs that differ by seed alone."""
        return bool(self.members)

    @property
    def title(self) -> str:
        """The folder's name, which is the run's id; after the run's name where it does not say that by itself."""
        name = str(self.run_file.get("name") or "")
        return self.folder.name if self.folder.name.startswith(name) else f"{name} · {self.folder.name}"

    @property
    def score(self) -> Score:
        """The task's words for its objective; plain ones where the task's are not known."""
        said = mapping(self.simulation.get("score"))
        name, unit, sign = said.get("name", "return"), said.get("unit", ""), said.get("sign", 1)
        return Score(str(name), str(unit), -1 if sign == -1 else 1)

    @property
    def optimum(self) -> float | None:
        """The best possible score, if it is known."""
        value = self.evaluation.optimum if self.evaluation else None
        return value if value is not None else optional_number(self.simulation.get("optimum"))

    @property
    def runs(self) -> Mapping[str, "RunData"]:
        """The group's members, or the run itself, by name."""
        return self.members or {self.folder.name: self}

    def curve(self, metric: str) -> Curve:
        """Where a metric is a finite number: environment steps and values."""
        points = [
            (row["step"], row[metric]) for row in self.rows if _finite(row.get(metric)) and _finite(row.get("step"))
        ]
        return [float(step) for step, _ in points], [float(value) for _, value in points]

    def score_curve(self) -> Curve:
        """The score over the training; episode returns where the run has no score."""
        steps, values = self.curve("rl_score")
        if steps:
            return steps, values
        steps, values = self.curve("rl_episode_return_mean")
        return steps, [self.score.sign * value for value in values]


def read(folder: Path) -> RunData:
    """Read a run directory, or a group's.

    Raises:
        BadInput: if the folder is no run directory.
    """
    if not any((folder / name).is_file() for name in ("run.yaml", "status.json", "metrics.jsonl", "group.json")):
        cure = "Give a run's directory; `slipway runs list` shows them."
        raise BadInput("RUN", str(folder), "a directory with run.yaml, status.json or metrics.jsonl", cure)
    remarks: list[str] = []
    group = _parsed(folder / "group.json", _json_object, remarks, needed=False) or {}
    members: dict[str, RunData] = {}
    for name in said if isinstance(said := group.get("members"), list) else []:
        try:
            members[str(name)] = read(folder / str(name))
        except BadInput:
            remarks.append(f"The group's member {name} has no run directory yet.")
    first = next(iter(members.values()), None)
    own = first is None  # a group may leave to its members what is the same for all of them
    run_file_text = _parsed(folder / "run.yaml", _text, remarks, needed=own) or (first.run_file_text if first else "")
    run_file = _parsed(folder / "run.yaml", _yaml_object, remarks, needed=False) or (first.run_file if first else {})
    provenance = _parsed(folder / "provenance.json", _json_object, remarks, needed=own)
    simulation = _parsed(folder / "simulation.json", _json_object, remarks, needed=own)
    status = _parsed(folder / "status.json", _json_object, remarks, needed=own)
    return RunData(
        folder=folder,
        run_file=run_file,
        run_file_text=run_file_text,
        provenance=provenance or (first.provenance if first else {}),
        simulation=simulation or (first.simulation if first else {}),
        status=status or {},
        rows=_parsed(folder / "metrics.jsonl", jsonl.read, remarks, needed=own) or [],
        evaluation=_parsed(folder / "evaluation.json", _evaluation, remarks, needed=True),
        picture=_parsed(folder / "policy.json", _json_object, remarks, needed=False)
        or (first.picture if first else None),
        members=members,
        remarks=tuple(remarks),
    )


def _parsed(path: Path, parse: Callable[[Path], T], remarks: list[str], needed: bool) -> T | None:
    """A file's content, or None with a remark why not."""
    if not path.is_file():
        if needed:
            remarks.append(_MISSING.get(path.name, f"{path.name} is not there."))
        return None
    try:
        return parse(path)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError, SlipwayError) as error:
        reason = str(error).replace("\n", " ") or type(error).__name__
        remarks.append(f"{path.name} cannot be read ({reason}), so the report leaves it out.")
        return None


_MISSING = {
    "evaluation.json": "This run has not been evaluated yet: `slipway evaluate` does it.",
    "metrics.jsonl": "The run has written no metrics yet, so there are no curves.",
}


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _json_object(path: Path) -> dict[str, Any]:
    return _object(json.loads(_text(path)))


def _yaml_object(path: Path) -> dict[str, Any]:
    return _object(yaml.safe_load(_text(path)))


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError("it holds no mapping")
    return value


def _evaluation(path: Path) -> Evaluation:
    said = _json_object(path)
    exact = mapping(mapping(said.get("exact")).get("greedy"))
    return Evaluation(
        confidence=float(said["confidence"]),
        seeds=len(said["seeds"]),
        episodes_per_seed=optional_number(said.get("episodes_per_seed")),
        policies=tuple(_policy(str(name), result) for name, result in said["policies"].items()),
        optimum=optional_number(said.get("optimum")),
        exact=_exact(exact) if exact else None,
        differences={
            str(name): Difference(*(float(result[key]) for key in ("mean", "ci_low", "ci_high")))
            for name, result in mapping(said.get("differences")).items()
        },
        policy_step=optional_number(said.get("policy_step")),
        training_seeds=tuple(said.get("training_seeds") or ()),
    )


def _exact(said: Mapping[str, Any]) -> Exact:
    score = float(said["score"])
    return Exact(
        score=score,
        lower=float(said.get("lower", score)),
        upper=float(said.get("upper", score)),
        states=optional_number(said.get("states")),
        method=str(said.get("method") or ""),
        gap=optional_number(said.get("optimality_gap_ratio")),
    )


def _policy(name: str, result: Mapping[str, Any]) -> PolicyResult:
    return PolicyResult(
        name=name,
        mean=float(result["mean"]),
        ci_low=float(result["ci_low"]),
        ci_high=float(result["ci_high"]),
        iqm=optional_number(result.get("iqm")),
        iqm_ci_low=optional_number(result.get("iqm_ci_low")),
        iqm_ci_high=optional_number(result.get("iqm_ci_high")),
        gap=optional_number(result.get("optimality_gap_ratio")),
        per_training_seed=tuple(_mean_of(item) for item in result.get("per_training_seed") or ()),
    )


def _mean_of(item: Any) -> float:
    """One training seed's score; a list of held-out scores, or a result, stands for its mean."""
    if isinstance(item, Mapping):
        return float(item["mean"])
    if isinstance(item, list):
        return math.fsum(item) / len(item)
    return float(item)


def mapping(value: Any) -> Mapping[str, Any]:
    """The value, if it is a mapping; else an empty one."""
    return value if isinstance(value, Mapping) else {}


def optional_number(value: Any) -> float | None:
    """The value, if it is a finite number; else None."""
    return float(value) if _finite(value) else None


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
