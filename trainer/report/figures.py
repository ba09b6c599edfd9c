"""Which figures a run gets, and what they say for those who do not see them."""

import base64
import dataclasses
from collections.abc import Callable, Sequence

from trainer.metrics import formatting
from trainer.report import words
from trainer.report.canvas import Cut
from trainer.report.data import Curve, PolicyResult, RunData
from trainer.report.plots import Dot, Reference

DETAILS = (
    ("rl_policy_loss", "Policy loss"),
    ("rl_value_loss", "Value loss"),
    ("rl_value_explained_variance_ratio", "Explained variance"),
    ("rl_policy_entropy_nats", "Entropy, nats"),
    ("rl_policy_kl_nats", "KL, nats"),
    ("rl_clip_fraction_ratio", "Clipped share"),
    ("rl_gradient_norm", "Gradient norm"),
    ("rl_learning_rate", "Learning rate"),
    ("rl_env_steps_per_second", "Steps per second"),
)
"""What is drawn small under the learning curve, with its title."""


@dataclasses.dataclass(frozen=True)
class Drawn:
    """A figure: two cuts of one drawing, and what it says for those who do not see it."""

    wide: str
    narrow: str
    label: str
    caption: str


def learning(run: RunData) -> Drawn | None:
    """The learning curve, with the optimum and the baselines; None without training figures."""
    curves = {name: curve for name, member in run.runs.items() if (curve := member.score_curve())[0]}
    if not curves:
        return None
    from trainer.report import plots

    references = _references(run)
    points = _evaluations(run)
    several = len(curves) > 1
    wide, narrow = _cuts(
        lambda cut: plots.learning_curve(cut, curves, references, points, words.score_title(run.score))
    )
    last = sum(values[-1] for _, values in curves.values()) / len(curves)
    ends = max(steps[-1] for steps, _ in curves.values())
    label = (
        f"Learning curve: the {run.score.name} of the training rollouts ends at {formatting.number(last)} after "
        f"{formatting.count(ends)} environment steps{f', on average over {len(curves)} runs' if several else ''}. "
        + " ".join(f"{reference.label}." for reference in references)
    )
    caption = f"The exploring policy's {run.score.name} in each training iteration; {words.direction(run.score)}."
    if several:
        caption += (
            f" Thin lines: the {len(curves)} runs. Strong line and band: their mean and its 95 % t interval, at the"
            " steps that all have reached."
        )
    if points:
        caption += " Dots: the greedy policy on held-out seeds, with its interval."
    return Drawn(wide, narrow, label, caption + " The first iterations may lie outside the frame.")


def evaluation(run: RunData) -> Drawn | None:
    """The evaluated policies, best first; None without an evaluation."""
    found = run.evaluation
    if found is None or not found.policies:
        return None
    from trainer.report import plots

    policies = words.best_first(run)
    dots = [_dot(policy, lambda score: score) for policy in policies]
    exact = words.exact_results(run)
    if exact:
        dots.append(_exact_dot([score for score, _ in exact]))
        dots.sort(key=lambda dot: run.score.sign * dot.mean, reverse=True)
    gaps: list[Dot] = []
    optimum, sign = found.optimum, run.score.sign
    if optimum:
        gaps = [_dot(policy, lambda score: (score - optimum) * -sign / abs(optimum)) for policy in policies]
        if exact:
            gaps.append(_exact_dot([gap for _, gap in exact]))
        gaps.sort(key=lambda gap: gap.mean)
        if not any(gap.mean > 0 for gap in gaps):
            gaps = []
    wide, narrow = _cuts(
        lambda cut: plots.evaluation_dots(cut, dots, gaps, found.optimum, words.score_title(run.score))
    )
    label = f"Evaluation, best first: {', '.join(f'{dot.name} {formatting.number(dot.mean)}' for dot in dots)}."
    caption = (
        f"Mean {run.score.name} on the held-out seeds with {100 * found.confidence:g} % intervals, best first; "
        f"{words.direction(run.score)}."
    )
    if any(gap.mean <= 0 for gap in gaps):
        caption += " An arrow: at or beyond the optimum, by chance of the sample."
    if any(dot.singles for dot in dots):
        caption += " Small marks: the agents of each training seed."
    return Drawn(wide, narrow, label, caption)


def details(run: RunData) -> Drawn | None:
    """Losses, entropy, speed and the like, small; None without training figures."""
    panels: list[tuple[str, Sequence[Curve]]] = []
    for metric, title in DETAILS:
        curves = [curve for member in run.runs.values() if (curve := member.curve(metric))[0]]
        if curves:
            panels.append((title, curves))
    if not panels:
        return None
    from trainer.report import plots

    wide, narrow = _cuts(lambda cut: plots.small_multiples(cut, panels))
    ends = [f"{title} {formatting.number(sum(c[1][-1] for c in curves) / len(curves))}" for title, curves in panels]
    caption = "Each over environment steps."
    if any("Explained" in title for title, _ in panels):
        caption += " Explained variance: 1 is a perfect value network, 0 no better than a constant."
    caption += " Strong lines: means over the runs." if run.is_group else ""
    return Drawn(wide, narrow, f"How the learning went; last values: {'; '.join(ends)}.", caption)


def policy_heatmap(run: RunData) -> Drawn | None:
    """The policy as a table of colours; None if the task has no such picture.

    Raises:
        KeyError, TypeError, ValueError: if `policy.json` is not as it should be.
    """
    picture = run.picture
    if not picture or picture.get("kind") != "heatmap":
        return None
    from trainer.report import plots

    wide, narrow = _cuts(lambda cut: plots.heatmap(cut, picture))
    title = str(picture.get("title") or "The policy")
    label = f"{title}: {picture.get('y_label', '')} against {picture.get('x_label', '')}, as a table of colours."
    whose = f"The policy of {next(iter(run.members))}. " if run.is_group else ""
    return Drawn(wide, narrow, label, whose + str(picture.get("note") or ""))


def policy_frames(run: RunData) -> list[str]:
    """The PNG pictures of a film strip, base64; empty if the task has none.

    Raises:
        KeyError, TypeError, ValueError: if `policy.json` is not as it should be.
    """
    picture = run.picture
    if not picture or picture.get("kind") != "filmstrip":
        return []
    frames = [str(frame) for frame in picture["frames"]]
    for frame in frames:
        if not base64.b64decode(frame, validate=True).startswith(b"\x89PNG\r\n\x1a\n"):
            raise ValueError("a frame is no PNG picture")
    return frames


def _cuts(draw: Callable[[Cut], str]) -> tuple[str, str]:
    return draw(Cut.WIDE), draw(Cut.NARROW)


def _references(run: RunData) -> list[Reference]:
    references = [Reference("optimum", run.optimum, is_optimum=True)] if run.optimum is not None else []
    return [
        *references,
        *(Reference(policy.name, policy.mean) for policy in words.best_first(run) if words.is_baseline(policy)),
    ]


def _evaluations(run: RunData) -> list[tuple[float, float, float, float]]:
    """Evaluations of the greedy policy during and after the training: step, mean, ends of the interval."""
    keys = ("rl_eval_score_mean", "rl_eval_score_ci_low", "rl_eval_score_ci_high")
    means, lows, highs = (dict(zip(*run.curve(key), strict=True)) for key in keys)
    points = {
        step: (step, mean, lows[step], highs[step]) for step, mean in means.items() if step in lows and step in highs
    }
    greedy = run.evaluation.policy("greedy") if run.evaluation else None
    if run.evaluation and greedy and run.evaluation.policy_step is not None:
        step = run.evaluation.policy_step
        points[step] = (step, greedy.mean, greedy.ci_low, greedy.ci_high)
    return [points[step] for step in sorted(points)]


def _exact_dot(values: Sequence[float]) -> Dot:
    """A row for the greedy policy's exact result: of a group, the mean from the least to the greatest."""
    mean = sum(values) / len(values)
    return Dot("greedy, exact", mean, min(values), max(values), True, tuple(values) if len(values) > 1 else ())


def _dot(policy: PolicyResult, transform: Callable[[float], float]) -> Dot:
    """A row of the evaluation's figure; the transform may turn the interval round."""
    low, high = sorted((transform(policy.ci_low), transform(policy.ci_high)))
    is_agent = not words.is_baseline(policy)  # a baseline is the same whatever the training seed
    singles = tuple(transform(score) for score in policy.per_training_seed) if is_agent else ()
    return Dot(policy.name, transform(policy.mean), low, high, is_agent, singles)
