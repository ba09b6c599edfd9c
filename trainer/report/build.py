"""`report.html`: read a run directory, draw, fill in the template."""

import base64
import binascii
import dataclasses
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from trainer.metrics import catalogue, formatting
from trainer.report import data, words
from trainer.report.data import Curve, RunData

REPORT = "report.html"

DETAILS = (
    ("rl_policy_loss", "Policy loss"),
    ("rl_value_loss", "Value loss"),
    ("rl_value_explained_variance_ratio", "Explained variance, 1 is perfect"),
    ("rl_policy_entropy_nats", "Entropy, nats"),
    ("rl_policy_kl_nats", "KL from the last policy, nats"),
    ("rl_clip_fraction_ratio", "Clipped share of samples"),
    ("rl_gradient_norm", "Gradient norm"),
    ("rl_learning_rate", "Learning rate"),
    ("rl_env_steps_per_second", "Environment steps per second"),
)
"""What is drawn small under the learning curve, with its title."""


@dataclasses.dataclass(frozen=True)
class Drawn:
    """A figure: two cuts of one drawing, and what it says for those who do not see it."""

    wide: str
    narrow: str
    label: str
    caption: str


def build(folder: str | os.PathLike[str]) -> Path:
    """Write `report.html` into a run directory, or a group's; whole, or not at all.

    Returns:
        The page's path.

    Raises:
        BadInput: if the folder is no run directory.
        OSError: if the page cannot be written.
    """
    folder = Path(folder)
    page = render(folder)
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


def render(folder: Path) -> str:
    """The page of a run directory, as HTML.

    Raises:
        BadInput: if the folder is no run directory.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    run = data.read(folder)
    remarks = list(run.remarks)
    templates = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters.update(
        number=formatting.number, percent=formatting.percent, count=formatting.count, duration=formatting.duration
    )
    return templates.get_template("template.html.jinja").render(
        run=run,
        verdict=words.verdict(run),
        comparison=words.comparison(run),
        meaning=words.score_meaning(run),
        told=words.told(run),
        facts=_facts(run),
        members=_members(run),
        learning=_learning(run),
        evaluation=_evaluation(run),
        policies=words.best_first(run),
        baseline=words.is_baseline,
        policy=_or_remark(lambda: _policy_picture(run), "policy.json", remarks),
        frames=_or_remark(lambda: _frames(run), "policy.json", remarks) or [],
        details=_details(run),
        provenance={key: value for key, value in run.provenance.items() if not isinstance(value, Mapping | list)},
        packages=run.provenance.get("packages") or {},
        remarks=remarks,
    )


def _facts(run: RunData) -> list[tuple[str, str]]:
    """The line of short facts under the title."""
    env = run.run_file.get("env")
    agent = run.run_file.get("agent")
    statuses = [member.status for member in run.runs.values() if member.status]
    facts = [
        ("Environment", run.simulation.get("env_id") or (env.get("id") if isinstance(env, dict) else None)),
        ("Algorithm", str(agent["algorithm"]).upper() if isinstance(agent, dict) and "algorithm" in agent else None),
        ("State", ", ".join(sorted({str(status.get("state")) for status in statuses})) or None),
        ("Environment steps", _total(statuses, "env_steps", formatting.count)),
        ("Training time", _total(statuses, "wall_time_seconds", formatting.duration)),
        ("Resumes", _total(statuses, "resumes", formatting.count)),
        ("Cost", _cost(run)),
    ]
    return [(name, str(value)) for name, value in facts if value not in (None, "")]


def _total(statuses: Sequence[Mapping[str, Any]], key: str, text: Callable[[float], str]) -> str | None:
    values = [status[key] for status in statuses if isinstance(status.get(key), int | float)]
    if not values:
        return None
    return text(sum(values)) + (f" over {len(values)} runs" if len(values) > 1 else "")


def _cost(run: RunData) -> str | None:
    spent = [values[-1] for _, values in (member.curve("rl_cost_usd_total") for member in run.runs.values()) if values]
    return formatting.money(sum(spent)) if spent else None


def _members(run: RunData) -> list[dict[str, Any]]:
    """The rows of a group's table."""
    rows = []
    for name, member in run.members.items():
        greedy = member.evaluation.policy("greedy") if member.evaluation else None
        steps, values = member.score_curve()
        rows.append(
            {
                "name": name,
                "state": str(member.status.get("state", "unknown")),
                "steps": member.status.get("env_steps", steps[-1] if steps else None),
                "wall_time_seconds": member.status.get("wall_time_seconds"),
                "training_score": values[-1] if values else None,
                "greedy": greedy,
                "report": f"{name}/{REPORT}" if (member.folder / REPORT).is_file() else None,
            }
        )
    return rows


def _learning(run: RunData) -> Drawn | None:
    curves = {name: curve for name, member in run.runs.items() if (curve := member.score_curve())[0]}
    if not curves:
        return None
    from trainer.report import plots

    references = _references(run)
    points = [point for member in run.runs.values() for point in _evaluations(member)] if not run.is_group else []
    label = _axis_label(run)
    wide, narrow = (plots.learning_curve(cut, curves, references, points, label) for cut in plots.Cut)
    last = sum(values[-1] for _, values in curves.values()) / len(curves)
    ends = max(steps[-1] for steps, _ in curves.values())
    several = len(curves) > 1
    said = f"Learning curve: the {run.score.name} of the training rollouts ends at {formatting.number(last)} after "
    said += f"{formatting.count(ends)} environment steps" + (
        f", on average over {len(curves)} runs. " if several else ". "
    )
    said += " ".join(f"{reference.label}." for reference in references)
    caption = f"The exploring policy's {run.score.name} in each training iteration; {words.direction(run.score)}."
    if several:
        caption += (
            f" Thin lines: the {len(curves)} runs. Strong line and band: their mean and its 95 % t interval, at the"
            " steps that all have reached."
        )
    if points:
        caption += " Dots: evaluations on held-out seeds during the training, with their intervals."
    return Drawn(wide, narrow, said, caption + " The first iterations may lie outside the frame.")


def _references(run: RunData) -> list[Any]:
    from trainer.report.plots import Reference

    references = [Reference("optimum", run.optimum, is_optimum=True)] if run.optimum is not None else []
    baselines = [policy for policy in (run.evaluation.policies if run.evaluation else ()) if words.is_baseline(policy)]
    return [*references, *(Reference(policy.name, policy.mean) for policy in baselines)]


def _evaluations(run: RunData) -> list[tuple[float, float, float, float]]:
    """Evaluations during the training: step, mean, ends of the interval."""
    keys = ("rl_eval_score_mean", "rl_eval_score_ci_low", "rl_eval_score_ci_high")
    curves = [dict(zip(*run.curve(key), strict=True)) for key in keys]
    return [
        (step, mean, curves[1][step], curves[2][step])
        for step, mean in curves[0].items()
        if step in curves[1] and step in curves[2]
    ]


def _axis_label(run: RunData) -> str:
    return f"{run.score.name}, {run.score.unit}" if run.score.unit else run.score.name


def _evaluation(run: RunData) -> Drawn | None:
    evaluation = run.evaluation
    if evaluation is None or not evaluation.policies:
        return None
    from trainer.report import plots

    dots = [
        plots.Dot(
            policy.name,
            policy.mean,
            policy.ci_low,
            policy.ci_high,
            not words.is_baseline(policy),
            policy.per_training_seed,
        )
        for policy in words.best_first(run)
    ]
    wide, narrow = (plots.evaluation_dots(cut, dots, evaluation.optimum, _axis_label(run)) for cut in plots.Cut)
    label = f"Evaluation, best first: {', '.join(f'{dot.name} {formatting.number(dot.mean)}' for dot in dots)}."
    caption = (
        f"Mean {run.score.name} on the held-out seeds with {100 * evaluation.confidence:g} % intervals, best first; "
        f"{words.direction(run.score)}."
    )
    if any(dot.singles for dot in dots):
        caption += " Small marks: the agents of each training seed."
    return Drawn(wide, narrow, label, caption)


def _details(run: RunData) -> Drawn | None:
    panels: list[tuple[str, list[Curve]]] = []
    for metric, title in DETAILS:
        curves = [curve for member in run.runs.values() if (curve := member.curve(catalogue.BY_NAME[metric].name))[0]]
        if curves:
            panels.append((title, curves))
    if not panels:
        return None
    from trainer.report import plots

    wide, narrow = (plots.small_multiples(cut, panels) for cut in plots.Cut)
    ends = [f"{title} {formatting.number(sum(c[1][-1] for c in curves) / len(curves))}" for title, curves in panels]
    caption = "Each over environment steps." + (" Strong lines: means over the runs." if run.is_group else "")
    return Drawn(wide, narrow, f"How the learning went; last values: {'; '.join(ends)}.", caption)


def _policy_picture(run: RunData) -> Drawn | None:
    picture = run.picture
    if not picture or picture.get("kind") != "heatmap":
        return None
    from trainer.report import plots

    wide, narrow = (plots.heatmap(cut, picture) for cut in plots.Cut)
    title = str(picture.get("title") or "The policy")
    axes = f"{title}: {picture.get('y_label', '')} against {picture.get('x_label', '')}, as a table of colours."
    return Drawn(wide, narrow, axes, str(picture.get("note") or ""))


def _frames(run: RunData) -> list[str]:
    """The PNG pictures of a film strip, base64, checked."""
    picture = run.picture
    if not picture or picture.get("kind") != "filmstrip":
        return []
    frames = [str(frame) for frame in picture["frames"]]
    for frame in frames:
        if not base64.b64decode(frame, validate=True).startswith(b"\x89PNG\r\n\x1a\n"):
            raise ValueError("a frame is no PNG picture")
    return frames


def _or_remark(make: Callable[[], Any], file: str, remarks: list[str]) -> Any:
    """What `make` gives, or None with a remark: a picture that cannot be drawn costs the picture, not the page."""
    try:
        return make()
    except (KeyError, TypeError, ValueError, binascii.Error) as error:
        remarks.append(f"{file} cannot be drawn ({error}), so the report leaves it out.")
        return None
