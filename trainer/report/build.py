"""`report.html`: read a run directory, draw, fill in the template."""

import dataclasses
import os
import shlex
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from trainer.metrics import formatting
from trainer.report import data, figures, templates, words
from trainer.report.data import RunData
from trainer.run.status import Status

REPORT = "report.html"
_NOT_SHOWN = ("format", "packages")
"""Keys of `provenance.json` that have no row of their own."""


def build(folder: str | os.PathLike[str], status: Status | None = None) -> Path:
    """Write `report.html` into a run directory, or a group's; whole, or not at all.

    Args:
        folder: the run directory.
        status: a run's, in place of what `status.json` says: what it will be once the page is there.

    Returns:
        The page's path.

    Raises:
        BadInput: if the folder is no run directory.
        OSError: if the page cannot be written.
    """
    folder = Path(folder)
    page = render(folder, status)
    handle, aside = tempfile.mkstemp(prefix=f".{REPORT}-", dir=folder)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(page)
            file.flush()
            os.fsync(file.fileno())
        Path(aside).chmod(0o644)
        Path(aside).replace(folder / REPORT)
    except BaseException:
        Path(aside).unlink(missing_ok=True)
        raise
    return folder / REPORT


def render(folder: Path, status: Status | None = None) -> str:
    """The page of a run directory, as HTML.

    Args:
        folder: the run directory.
        status: a run's, in place of what `status.json` says.

    Raises:
        BadInput: if the folder is no run directory.
    """
    run = data.read(folder)
    if status is not None:
        run = dataclasses.replace(run, status=status.to_json())
    remarks = list(run.remarks)
    environment = templates.environment()
    environment.tests["baseline"] = words.is_baseline
    policies = words.best_first(run)
    return environment.get_template("template.html.jinja").render(
        run=run,
        verdict=words.verdict(run),
        comparison=words.comparison(run),
        meaning=words.score_meaning(run),
        told=words.told(run),
        score_title=words.score_title(run.score),
        interval=_interval,
        facts=_facts(run),
        members=_members(run),
        learning=figures.learning(run),
        evaluation=figures.evaluation(run),
        policies=policies,
        exact=_exact(run),
        has_iqm=any(policy.iqm is not None for policy in policies),
        has_gap=any(policy.gap is not None for policy in policies),
        policy=_or_remark(lambda: figures.policy_heatmap(run), "policy.json", remarks),
        frames=_or_remark(lambda: figures.policy_frames(run), "policy.json", remarks) or [],
        details=figures.details(run),
        provenance=_provenance(run.provenance),
        packages=data.mapping(run.provenance.get("packages")),
        remarks=remarks,
    )


def _facts(run: RunData) -> list[tuple[str, str]]:
    """The line of short facts under the title."""
    env, agent = data.mapping(run.run_file.get("env")), data.mapping(run.run_file.get("agent"))
    statuses = [member.status for member in run.runs.values() if member.status]
    resumes = _total(statuses, "resumes", formatting.count)
    of_all = " in all" if run.is_group else ""
    facts = [
        ("Environment", run.simulation.get("env_id") or env.get("id")),
        ("Algorithm", str(agent["algorithm"]).upper() if "algorithm" in agent else None),
        ("State", ", ".join(sorted({str(status.get("state")) for status in statuses}))),
        ("Runs", len(run.members) or None),
        (f"Environment steps{of_all}", _total(statuses, "env_steps", formatting.count)),
        (f"Training time{of_all}", _total(statuses, "wall_time_seconds", formatting.duration)),
        (f"Resumes{of_all}", resumes if resumes != "0" else None),
        (f"Cost{of_all}", _cost(run)),
    ]
    return [(name, str(value)) for name, value in facts if value not in (None, "")]


def _total(statuses: Sequence[Mapping[str, Any]], key: str, text: Callable[[float], str]) -> str | None:
    values = [value for status in statuses if (value := data.optional_number(status.get(key))) is not None]
    return text(sum(values)) if values else None


def _cost(run: RunData) -> str | None:
    spent = [values[-1] for _, values in (member.curve("rl_cost_usd_total") for member in run.runs.values()) if values]
    return formatting.money(sum(spent)) if spent else None


def _members(run: RunData) -> list[dict[str, Any]]:
    """The rows of a group's table."""
    rows = []
    for name, member in run.members.items():
        steps, values = member.score_curve()
        evaluation = member.evaluation
        rows.append(
            {
                "name": name,
                "state": str(member.status.get("state", "unknown")),
                "steps": data.optional_number(member.status.get("env_steps", steps[-1] if steps else None)),
                "wall_time_seconds": data.optional_number(member.status.get("wall_time_seconds")),
                "training_score": values[-1] if values else None,
                "greedy": evaluation.policy("greedy") if evaluation else None,
                "exact": evaluation.exact if evaluation else None,
                "report": f"{name}/{REPORT}" if (member.folder / REPORT).is_file() else None,
            }
        )
    return rows


def _exact(run: RunData) -> dict[str, str] | None:
    """The table's row for the greedy policy's exact result."""
    found = words.exact_results(run)
    if not found:
        return None
    scores = [score for score, _ in found]
    own = run.evaluation.exact if run.evaluation else None
    ends = "no sampling"
    if len(scores) > 1:
        ends = f"{_interval(min(scores), max(scores))} (range)"
    elif own and formatting.number(own.lower) != formatting.number(own.upper):
        ends = f"{_interval(own.lower, own.upper)} (bounds)"
    return {
        "score": formatting.number(sum(scores) / len(scores)),
        "ends": ends,
        "gap": formatting.percent(sum(gap for _, gap in found) / len(found)),
    }


def _interval(low: float | None, high: float | None) -> str:
    return "-" if low is None or high is None else " to ".join(formatting.apart(low, high))


def _provenance(said: Mapping[str, Any], above: str = "") -> list[tuple[str, str]]:
    """`provenance.json` as rows: what is nested stands by itself, the command as one would type it."""
    rows = []
    for key, value in said.items():
        name = f"{above} {key.replace('_', ' ')}".strip()
        if not above and key in _NOT_SHOWN:
            continue
        if isinstance(value, Mapping):
            rows += _provenance(value, name)
        elif key == "command" and isinstance(value, list):
            rows.append((name, shlex.join(map(str, value))))
        elif key.endswith("_bytes") and (size := data.optional_number(value)) is not None:
            rows.append((name.removesuffix(" bytes"), f"{size / 2**30:.1f} GiB"))
        else:
            rows.append((name, templates.plain(value)))
    return rows


def _or_remark(make: Callable[[], Any], file: str, remarks: list[str]) -> Any:
    """What `make` gives, or None with a remark: a picture that cannot be drawn costs the picture, not the page."""
    try:
        return make()
    except (KeyError, TypeError, ValueError) as error:
        remarks.append(f"{file} cannot be drawn ({error}), so the report leaves it out.")
        return None
