"""What `slipway compare` says in sentences; the terminal and the page share them."""

from trainer.evaluation.comparison import POWER, Comparison, Finding, Verdict
from trainer.evaluation.contenders import Match
from trainer.evaluation.statistics import CONFIDENCE, Estimate
from trainer.metrics import formatting
from trainer.report.data import Score
from trainer.report.words import direction, score_title

SAID = {Finding.BETTER: "better", Finding.WORSE: "worse"}


def score(match: Match) -> Score:
    """The task's words for its objective."""
    return Score(str(match.score["name"]), str(match.score["unit"]), int(match.score["sign"]))


def probability(value: float) -> str:
    """A probability in two digits: `.97`, `1.00`."""
    return f"{value:.2f}".removeprefix("0")


def with_interval(estimate: Estimate) -> str:
    """A number in score units with its interval."""
    value, low, high = formatting.apart(estimate.value, estimate.low, estimate.high)
    return f"{value} [{low}, {high}]"


def verdict(found: Verdict, match: Match) -> str:
    """One contender against the first, with the probability that it is better and its interval.

    Args:
        found: the verdict.
        match: what was compared.
    """
    value, low, high = map(probability, found.probability)
    odds = f"{value} [{low}, {high}]"
    name = str(match.score["name"])
    if found.finding in SAID:
        gain = with_interval(found.difference)
        return f"{found.name} is {SAID[found.finding]} than {found.reference}: {odds}; difference in {name} {gain}."
    if found.finding is Finding.CANNOT_TELL:
        return (
            f"Between {found.name} and {found.reference} nothing can be told: {odds}. A single training run says "
            f"little of the next one, whatever it scores; train five or more of each (`slipway train --seeds 5`)."
        )
    shown = f"No difference shown between {found.name} and {found.reference}: {odds}; {_what_would_tell(found, match)}"
    return shown + "."


def _what_would_tell(found: Verdict, match: Match) -> str:
    if found.difference.value == 0:
        return "their mean scores are the same"
    if found.seeds_needed is None:
        return "more training seeds alone would not tell, but more held-out seeds may (`slipway evaluate --seeds`)"
    runs = {contender.name: len(contender.scores) for contender in match.contenders}
    fewest = min(runs[found.name], runs[found.reference])
    more = max(1, found.seeds_needed - fewest)
    return f"about {more} more training seeds of each would tell"


def meaning(comparison: Comparison) -> list[str]:
    """What the numbers are, in sentences."""
    match, said = comparison.match, score(comparison.match)
    several = any(len(result.contender.scores) > 1 for result in comparison.results)
    single = [result.contender.name for result in comparison.results if len(result.contender.scores) == 1]
    interval = f"{100 * CONFIDENCE:g} %"
    sentences = [
        f"The score is the {score_title(said)} of the greedy policy; {direction(said)}. Each of the {len(match.seeds)} "
        f"held-out seeds, with {match.episodes_per_seed} episodes each, is the same for all.",
        "The number after a verdict is the probability of improvement: that a training run of the one has a better "
        f"mean score than one of the other, with its {interval} interval over training runs (Newcombe 2006, method 5).",
        "Better or worse is said only where that interval lies on one side of .5 and the difference's interval, over "
        "training runs and held-out seeds, on the same side of 0.",
    ]
    if any(found.finding is Finding.NO_DIFFERENCE for found in comparison.verdicts):
        sentences.append(
            "The number of training seeds is a power calculation: if the difference and the variances are those seen "
            f"here, so many show it {100 * POWER:g} % of the time. From few runs it is rough."
        )
    if single:
        sentences.append(
            f"{', '.join(single)}: a single training run, so intervals count held-out seeds alone, and how "
            "much another training run would differ is unknown."
        )
    if several:
        sentences.append(
            "The other intervals draw training runs and held-out seeds anew, and are widened for small numbers of runs."
        )
    sentences.append("IQM is the interquartile mean: the mean of the middle half of the scores.")
    steps = {step for result in comparison.results for step in result.contender.policy_steps}
    if len(steps) > 1:
        low, high = formatting.count(min(steps)), formatting.count(max(steps))
        sentences.append(f"The policies were trained for different numbers of environment steps: {low} to {high}.")
    return sentences
