"""What is compared: runs, or groups of runs, with their scores on the same held-out seeds. Imports no TensorFlow."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from trainer.config import check
from trainer.errors import MISSING, BadInput, SlipwayError
from trainer.evaluation.statistics import Floats
from trainer.run import files, group
from trainer.run.directory import RunDirectory

GREEDY = "greedy"
"""The policy that is compared."""


@dataclasses.dataclass(frozen=True)
class Contender:
    """One training run, or several that differ by their seed alone.

    Attributes:
        name: as people know it.
        scores: float64 [training runs, held-out seeds], in the task's units; a seed's episodes are averaged.
        training_seeds: of each run.
        policy_steps: environment steps that each run's policy was trained for.
    """

    name: str
    scores: Floats
    training_seeds: tuple[int, ...]
    policy_steps: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Match:
    """Contenders on one task with the same held-out seeds; the first is what the others are compared with.

    Attributes:
        env_id: the task's.
        parameters: of the task.
        score: its name, unit and sign.
        seeds: the held-out seeds.
        episodes_per_seed: how many episodes of each.
        optimum: the best possible score, if it is known.
        contenders: two or more.
    """

    env_id: str
    parameters: Mapping[str, Any]
    score: Mapping[str, Any]
    seeds: tuple[int, ...]
    episodes_per_seed: int
    optimum: float | None
    contenders: tuple[Contender, ...]


def read(folders: Sequence[Path]) -> Match:
    """The runs, checked for whether they can be compared.

    Args:
        folders: run directories, or groups'.

    Raises:
        BadInput: if there is one only, one is given twice, has not been evaluated, or differs in task, parameters,
            held-out seeds or episodes.
    """
    if len(folders) < 2:
        value = str(folders[0]) if folders else MISSING
        raise BadInput("RUN", value, "two runs or more", "name the run to compare with first, then the others")
    runs = [group.runs_of(folder) for folder in folders]
    _check_apart(runs)
    names = _names(folders)
    first: tuple[str, dict[str, Any]] | None = None
    contenders = []
    for name, members in zip(names, runs, strict=True):
        evaluations = []
        for member in members:
            evaluation, told = _evaluation(member)
            if first is None:
                first = member.run_id, told
            _check_alike(*first, member.run_id, told)
            evaluations.append(evaluation)
        contenders.append(
            Contender(
                name,
                np.array([each["policies"][GREEDY]["per_seed"] for each in evaluations], np.float64),
                tuple(int(each["training_seed"]) for each in evaluations),
                tuple(int(each["policy_step"]) for each in evaluations),
            )
        )
    told = first[1] if first else {}
    return Match(
        env_id=told["env.id"],
        parameters=told["env.parameters"],
        score=evaluations[0]["score"],
        seeds=tuple(told["evaluation.seeds"]),
        episodes_per_seed=told["evaluation.episodes_per_seed"],
        optimum=evaluations[0]["optimum"],
        contenders=tuple(contenders),
    )


def _check_apart(runs: Sequence[Sequence[RunDirectory]]) -> None:
    """Refuse a run that is named twice, be it as a member of its group."""
    seen: set[Path] = set()
    for member in (member for members in runs for member in members):
        place = member.folder.resolve()
        if place in seen:
            raise BadInput("RUN", member.run_id, "each run once", "take out one of the two; a group holds its members")
        seen.add(place)


def _names(folders: Sequence[Path]) -> list[str]:
    """The runs' ids; their paths where two are called the same."""
    ids = [folder.name if group.is_group(folder) else RunDirectory(folder).run_id for folder in folders]
    return [name if ids.count(name) == 1 else str(folder) for name, folder in zip(ids, folders, strict=True)]


def _evaluation(run: RunDirectory) -> tuple[dict[str, Any], dict[str, Any]]:
    """A run's `evaluation.json`, and what must be the same of all runs, by the run file's key."""
    cure = f"run `slipway evaluate {run.folder}`"
    if not files.is_file(run.evaluation):
        raise BadInput("RUN", run.run_id, "a run that has been evaluated", cure)
    said, env = files.read_json(run.evaluation), run.run_file().env
    try:
        scores = said["policies"][GREEDY]["per_seed"]
        told = {
            "env.id": env.id,
            "env.parameters": _parameters(env.id, dict(env.parameters)),
            "evaluation.seeds": said["seeds"],
            "evaluation.episodes_per_seed": said["episodes_per_seed"],
        }
        whole = len(scores) == len(said["seeds"]) >= 2 and bool(np.isfinite(np.array(scores, np.float64)).all())
        whole = whole and {"score", "optimum", "training_seed", "policy_step"} <= said.keys()
    except (KeyError, TypeError, ValueError):
        whole = False
    if not whole:
        raise SlipwayError(f"{run.evaluation} is damaged; {cure}")
    return said, told


def _parameters(env_id: str, given: dict[str, Any]) -> dict[str, Any]:
    """The task's parameters with their defaults; those of a Gymnasium environment as they were given."""
    if env_id.startswith(check.GYMNASIUM):
        return given
    from envs import registry

    check.find_task(env_id)
    return dataclasses.asdict(registry.check(env_id, **given))


def _check_alike(first: str, told: Mapping[str, Any], other: str, others: Mapping[str, Any]) -> None:
    """Refuse a run that differs from the first in what would make the comparison say nothing."""
    for key, value in told.items():
        if others[key] == value:
            continue
        of = f"of {other}: {key}"
        if key == "env.id":
            raise BadInput(
                "RUN", other, f"a run on {value}, as {first} is; it is on {others[key]}", "compare like runs"
            )
        if key == "env.parameters":
            name = next(n for n in [*value, *others[key]] if value.get(n) != others[key].get(n))
            allowed = f"{value.get(name)!r}, as {first} has"
            raise BadInput(f"{of}.{name}", others[key].get(name), allowed, "compare runs of the same parameters")
        here, there = ((len(v), v[0]) if isinstance(v, list) else v for v in (others[key], value))
        shown = here if not isinstance(here, tuple) else f"{here[0]} seeds from {here[1]}"
        allowed = there if not isinstance(there, tuple) else f"the same {there[0]} seeds from {there[1]}"
        cure = f"run `slipway evaluate --seeds {len(told['evaluation.seeds'])}"
        cure += f" --episodes {told['evaluation.episodes_per_seed']}` on {other}"
        raise BadInput(of, shown, f"{allowed}, as {first} has", cure)
