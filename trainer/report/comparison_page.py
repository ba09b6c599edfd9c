"""One page that compares runs: verdicts, intervals, performance profiles; opens without a network."""

from collections.abc import Callable

from trainer.evaluation.comparison import Comparison
from trainer.report import comparison_plots as plots
from trainer.report import comparison_words as words
from trainer.report import templates
from trainer.report.canvas import Cut
from trainer.report.figures import Drawn
from trainer.report.words import direction, score_title

TEMPLATE = "comparison.html.jinja"


def render(comparison: Comparison) -> str:
    """The page, as HTML."""
    match = comparison.match
    environment = templates.environment()
    environment.filters.update(interval=words.with_interval, probability=words.probability)
    return environment.get_template(TEMPLATE).render(
        title=" · ".join(result.contender.name for result in comparison.results),
        verdicts=[words.verdict(found, match) for found in comparison.verdicts],
        facts=_facts(comparison),
        intervals=_intervals(comparison),
        profiles=_profiles(comparison),
        results=comparison.results,
        found=comparison.verdicts,
        score_title=score_title(words.score(match)),
        meaning=words.meaning(comparison),
        parameters=match.parameters,
        has_gap=any(result.gap is not None for result in comparison.results),
    )


def _facts(comparison: Comparison) -> list[tuple[str, str]]:
    match = comparison.match
    runs = ", ".join(str(len(result.contender.scores)) for result in comparison.results)
    return [
        ("Environment", match.env_id),
        ("Training runs", runs),
        ("Held-out seeds", str(len(match.seeds))),
        ("Episodes on each", str(match.episodes_per_seed)),
    ]


def _intervals(comparison: Comparison) -> Drawn:
    said = words.score(comparison.match)
    told = "; ".join(f"{result.contender.name} {words.with_interval(result.iqm)}" for result in comparison.results)
    caption = (
        f"Interquartile mean of the {said.name} ({direction(said)}), and the probability that a training run is better "
        "than one of the first; with 95 % intervals. Small marks: the mean of each training run."
    )
    return _drawn(lambda cut: plots.intervals(cut, comparison), f"Interquartile means: {told}.", caption)


def _profiles(comparison: Comparison) -> Drawn:
    said = words.score(comparison.match)
    way = "at or below" if said.sign < 0 else "at or above"
    label = f"Performance profiles: the share of scores {way} each level, for each contender."
    caption = (
        f"Performance profiles: the share of scores (each training run on each held-out seed) {way} a level. "
        "The higher line is the better one. Bands: pointwise 95 % intervals over training runs and held-out seeds."
    )
    return _drawn(lambda cut: plots.profiles(cut, comparison), label, caption)


def _drawn(draw: Callable[[Cut], str], label: str, caption: str) -> Drawn:
    return Drawn(draw(Cut.WIDE), draw(Cut.NARROW), label, caption)
