"""The comparison's figures as SVG, each in a wide and a narrow cut: performance profiles, and intervals."""

from collections.abc import Sequence

from trainer.evaluation.comparison import Comparison, Result
from trainer.evaluation.statistics import Estimate
from trainer.metrics import formatting
from trainer.report import comparison_words as words
from trainer.report.canvas import ACCENT, INK, Cut, drawing, svg
from trainer.report.plots import Dot, dot_rows
from trainer.report.words import score_title

LONGEST_NAME = 28
"""Letters of a name beside a row; the table has it whole."""
_DASHES = ["-", "--", ":", "-.", (0, (6, 2, 1, 2, 1, 2)), (0, (1, 3))]


def profiles(cut: Cut, comparison: Comparison) -> str:
    """The share of scores that reach each level, a line for each contender; the first in ink."""
    results, sign = comparison.results, int(comparison.match.score["sign"])
    with drawing(cut, height=(3.0 if cut is Cut.WIDE else 2.8) + 0.17 * len(results)) as figure:
        axes = figure.add_subplot()
        for number, result in enumerate(results):
            colour, shape = (INK if number == 0 else ACCENT), result.profile
            axes.fill_between(comparison.levels, shape.low, shape.high, color=colour, alpha=0.12, linewidth=0)
            axes.plot(
                comparison.levels,
                shape.share,
                color=colour,
                linestyle=_DASHES[max(0, number - 1) % len(_DASHES)],
                linewidth=1.6,
                label=result.contender.name,
            )
        axes.set_ylim(-0.02, 1.02)
        axes.margins(x=0)
        axes.locator_params(axis="x", nbins=7 if cut is Cut.WIDE else 4)
        axes.set_xlabel(f"{score_title(words.score(comparison.match))}, level")
        axes.set_ylabel("share at or below" if sign < 0 else "share at or above")
        figure.legend(loc="outside lower left", frameon=False, ncols=1, handlelength=2.6)
        return svg(figure, f"profiles-{cut.name.lower()}")


def intervals(cut: Cut, comparison: Comparison) -> str:
    """Interquartile means, and probabilities of improvement over the first: side by side, or one above the other."""
    shape = (1, 2) if cut is Cut.WIDE else (2, 1)
    rows = len(comparison.results)
    with drawing(cut, height=(0.85 + 0.34 * rows) * shape[0]) as figure:
        figure.set_layout_engine("constrained", wspace=0.08)  # room for the left panel's numbers
        left, right = figure.subplots(*shape, squeeze=False).flat
        dots = [
            _dot(result.contender.name, result.iqm, number > 0, result)
            for number, result in enumerate(comparison.results)
        ]
        dot_rows(left, dots, [formatting.number(dot.mean) for dot in dots])
        left.margins(x=0.06)
        left.locator_params(axis="x", nbins=4)
        left.set_xlabel(f"IQM of the {score_title(words.score(comparison.match))}")
        odds = [_dot(found.name, found.probability, True) for found in comparison.verdicts]
        dot_rows(right, odds, [words.probability(dot.mean) for dot in odds])
        right.axvline(0.5, color=INK, linewidth=1, zorder=0)
        right.set_xlim(-0.03, 1.03)
        right.set_xlabel("probability of being better than the first")
        return svg(figure, f"intervals-{cut.name.lower()}")


def _dot(name: str, estimate: Estimate, is_agent: bool, result: Result | None = None) -> Dot:
    singles: Sequence[float] = ()
    if result is not None and len(result.contender.scores) > 1:
        singles = [float(score) for score in result.contender.scores.mean(1)]
    shown = name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…"
    return Dot(shown, estimate.value, estimate.low, estimate.high, is_agent, singles)
