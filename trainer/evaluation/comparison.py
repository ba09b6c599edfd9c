"""Which of several contenders is better, how sure that is, and how many training seeds would tell.

The quantities are those of Agarwal et al. 2021 (https://arxiv.org/abs/2108.13264): interquartile mean, performance
profile, probability of improvement, optimality gap. Their scores of several tasks are here the scores on several
held-out seeds of one task, which all contenders meet; so intervals draw training runs and held-out seeds anew, each by
itself (`statistics.crossed_mean`).
"""

import dataclasses
import enum
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy import optimize, stats

from trainer.evaluation import statistics
from trainer.evaluation.contenders import Contender, Match
from trainer.evaluation.statistics import CONFIDENCE, Estimate, Floats

POWER = 0.8
"""How often the estimated number of training seeds should show the difference."""
MOST_SEEDS = 1000
"""Up to which number of training seeds is searched."""
FEWEST_SEEDS = 4
"""Of three runs against three, not even complete separation is evidence at 95 %: chance does it twice in twenty."""
RANK_EFFICIENCY = 3 / math.pi
"""Of ranks against means on normal scores (Pitman's asymptotic relative efficiency of the Mann-Whitney test)."""
PROFILE_POINTS = 101
PROFILE_RESAMPLES = 2000
PROFILE_NUMBERS = 1 << 22
"""How many numbers of a profile are held at once, for memory."""


class Finding(enum.StrEnum):
    """What two contenders' scores show of the second against the first."""

    BETTER = "better"
    WORSE = "worse"
    NO_DIFFERENCE = "no-difference"
    """None was shown; that there is none is not."""
    CANNOT_TELL = "cannot-tell"
    """One of the two is a single training run: how much such runs differ is unknown."""


@dataclasses.dataclass(frozen=True)
class Profile:
    """For each level, the share of (training run, held-out seed) scores that reach it or do better.

    Attributes:
        share: float64 [levels].
        low: lower ends of pointwise intervals.
        high: upper ends.
    """

    share: Floats
    low: Floats
    high: Floats


@dataclasses.dataclass(frozen=True)
class Result:
    """One contender by itself.

    Attributes:
        contender: whose.
        mean: of its scores.
        iqm: interquartile mean.
        gap: mean shortfall from the optimum, relative to it; None where no optimum is known. Not cut off at zero: a
            sample's mean lies on either side of the true one.
        profile: over `Comparison.levels`.
    """

    contender: Contender
    mean: Estimate
    iqm: Estimate
    gap: Estimate | None
    profile: Profile


@dataclasses.dataclass(frozen=True)
class Verdict:
    """One contender against the first.

    Attributes:
        name: the contender's.
        reference: the first's.
        finding: better or worse where the intervals of probability and difference both say so.
        probability: that a training run of this contender has a better mean score than one of the first's.
        difference: this contender's mean score less the first's, in score units; a single run's interval counts
            held-out seeds alone.
        seeds_needed: training runs of each that would show the difference seen, if it is the true one; None where it
            has been shown, or cannot be estimated, or more than `MOST_SEEDS` would be needed.
    """

    name: str
    reference: str
    finding: Finding
    probability: Estimate
    difference: Estimate
    seeds_needed: int | None


@dataclasses.dataclass(frozen=True)
class Comparison:
    """All contenders.

    Attributes:
        match: what was compared.
        levels: scores at which the profiles are given, ascending.
        results: in the match's order.
        verdicts: of all but the first.
    """

    match: Match
    levels: Floats
    results: tuple[Result, ...]
    verdicts: tuple[Verdict, ...]


def compare(match: Match) -> Comparison:
    """Compare all contenders with the first, and describe each."""
    sign = int(match.score["sign"])
    everything = np.concatenate([contender.scores.ravel() for contender in match.contenders])
    levels = np.linspace(everything.min(), everything.max(), PROFILE_POINTS)
    results = tuple(_result(contender, match.optimum, sign, levels) for contender in match.contenders)
    first, *others = match.contenders
    return Comparison(match, levels, results, tuple(verdict(other, first, sign) for other in others))


def _result(contender: Contender, optimum: float | None, sign: int, levels: Floats) -> Result:
    scores, gap = contender.scores, None
    if optimum:
        gap = statistics.crossed_mean((optimum - scores) * sign / abs(optimum))
    mean, iqm = statistics.crossed_mean(scores), statistics.crossed_interquartile_mean(scores)
    return Result(contender, mean, iqm, gap, profile(scores, levels, sign))


def verdict(contender: Contender, reference: Contender, sign: int) -> Verdict:
    """What the scores show of a contender against another.

    Args:
        contender: the one that may be better.
        reference: the one that it is compared with; on the same held-out seeds.
        sign: 1 if higher scores are better, -1 if lower.
    """
    ours, theirs = contender.scores, reference.scores
    chance = probability_of_improvement(sign * ours.mean(1), sign * theirs.mean(1))
    gain = difference(ours, theirs)
    ends = sorted((sign * gain.low, sign * gain.high))
    needed = None
    if min(len(ours), len(theirs)) < 2:
        finding = Finding.CANNOT_TELL
    elif chance.low > 0.5 and ends[0] > 0:
        finding = Finding.BETTER
    elif chance.high < 0.5 and ends[1] < 0:
        finding = Finding.WORSE
    else:
        finding, needed = Finding.NO_DIFFERENCE, training_seeds_needed(ours, theirs)
    return Verdict(contender.name, reference.name, finding, chance, gain, needed)


def probability_of_improvement(ours: Floats, theirs: Floats) -> Estimate:
    """The chance that a training run of ours scores higher than one of theirs; ties count half.

    Agarwal et al. 2021, section 4.3: the Mann-Whitney statistic. The interval is Newcombe's method 5 (2006,
    https://doi.org/10.1002/sim.2324), which stays wide where few runs are completely apart (a bootstrap would then
    call the result certain): all probabilities that the estimate does not differ from by more than the normal quantile
    times their own standard error (Hanley and McNeil 1982, with both sample sizes replaced by their mean). Half
    a pair is taken off the distance first, as the estimate moves in steps: the usual correction of a rank test.

    Args:
        ours: float64 [n], higher is better.
        theirs: float64 [m].
    """
    pairs = np.sign(ours[:, None] - theirs[None, :])
    value, count = float((pairs.mean() + 1) / 2), len(ours) * len(theirs)
    others = (len(ours) + len(theirs)) / 2 - 1
    quantile = stats.norm.ppf((1 + CONFIDENCE) / 2)

    def beyond(p: float) -> float:
        variance = p * (1 - p) * (1 + others * ((1 - p) / (2 - p) + p / (1 + p))) / count
        return max(0.0, abs(value - p) - 0.5 / count) ** 2 - quantile**2 * variance

    # At the ends of [0, 1] the standard error is nought, so that an end is beyond unless it is the estimate itself.
    low = 0.0 if value == 0 else _crossing(beyond, 0.0, value)
    high = 1.0 if value == 1 else _crossing(beyond, 1.0, value)
    return Estimate(value, low, high)


def _crossing(function: Callable[[float], float], end: float, value: float) -> float:
    """Where the function changes its sign between an end and the estimate, where it is not positive."""
    near = value + (end - value) * 1e-9
    return float(optimize.brentq(function, end, near)) if function(near) < 0 else value


def difference(ours: Floats, theirs: Floats) -> Estimate:
    """Our mean score less theirs, with Student's interval over training runs and held-out seeds.

    Its variance is the sum of three parts: our runs', their runs', and the held-out seeds', on which both are compared
    in pairs; degrees of freedom by Welch and Satterthwaite (https://doi.org/10.2307/3002019). A part whose sample is a
    single run is unknown and left out.

    Args:
        ours: float64 [n, held-out seeds].
        theirs: float64 [m, held-out seeds].
    """
    value = float(ours.mean() - theirs.mean())
    parts, freedom = _parts(ours, theirs)
    variance = sum(parts)
    if variance == 0:
        return Estimate(value, value, value)
    half = stats.t.ppf((1 + CONFIDENCE) / 2, _satterthwaite(parts, freedom)) * math.sqrt(variance)
    return Estimate(value, float(value - half), float(value + half))


def training_seeds_needed(ours: Floats, theirs: Floats) -> int | None:
    """How many training runs of each would show the difference seen with a power of `POWER`, were it the true one.

    Power of the two-sided test of `difference` by the noncentral t distribution: runs' variances as observed, divided
    by the new number; the held-out seeds' part as it is. Divided by `RANK_EFFICIENCY`, as the ranks must agree.

    Returns:
        None if the difference is nought, or more than `MOST_SEEDS` would be needed: more training runs do not help
        then, but more held-out seeds may.
    """
    effect = abs(float(ours.mean() - theirs.mean()))
    if effect == 0:
        return None
    (mine, others, held_out), (*_, held_out_freedom) = _parts(ours, theirs)
    n = np.arange(2, MOST_SEEDS + 1)
    per_run = (mine * len(ours), others * len(theirs))
    parts = [part / n for part in per_run] + [np.full(len(n), held_out)]
    variance = np.sum(parts, 0)
    if not variance.all():
        return FEWEST_SEEDS
    freedom = _satterthwaite(parts, [n - 1, n - 1, np.full(len(n), held_out_freedom)])
    least = stats.t.ppf((1 + CONFIDENCE) / 2, freedom)
    enough = stats.nct.sf(least, freedom, effect / np.sqrt(variance)) >= POWER
    if not enough.any():
        return None
    return max(FEWEST_SEEDS, math.ceil(n[enough.argmax()] / RANK_EFFICIENCY))


def _parts(ours: Floats, theirs: Floats) -> tuple[list[float], list[int]]:
    """Variances of the difference's mean, by source, with their degrees of freedom."""
    paired = ours.mean(0) - theirs.mean(0)
    parts, freedom = [], []
    for sample in (ours.mean(1), theirs.mean(1), paired):
        parts.append(float(np.var(sample, ddof=1)) / len(sample) if len(sample) > 1 else 0.0)
        freedom.append(max(1, len(sample) - 1))
    return parts, freedom


def _satterthwaite(parts: Sequence[Any], freedom: Sequence[Any]) -> Any:
    squares = sum(part**2 / each for part, each in zip(parts, freedom, strict=True))
    return sum(parts) ** 2 / squares


def profile(scores: Floats, levels: Floats, sign: int) -> Profile:
    """The performance profile (Agarwal et al. 2021, section 4.2), with pointwise percentile intervals.

    Args:
        scores: float64 [training runs, held-out seeds].
        levels: float64 [L].
        sign: 1 if higher scores are better, -1 if lower.
    """
    reached = (sign * scores[None] >= sign * levels[:, None, None]).astype(np.float64)
    rng = np.random.default_rng(0)  # the same scores give the same band
    runs, seeds = (
        rng.multinomial(count, np.full(count, 1 / count), PROFILE_RESAMPLES) / count for count in scores.shape
    )
    drawn, each = [], max(1, PROFILE_NUMBERS // (len(levels) * scores.shape[0]))
    for start in range(0, PROFILE_RESAMPLES, each):
        part = slice(start, start + each)
        drawn.append(np.einsum("lnr,rn->rl", reached @ seeds[part].T, runs[part]))
    low, high = np.quantile(np.concatenate(drawn), [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2], axis=0)
    return Profile(reached.mean((1, 2)), low, high)


def to_json(comparison: Comparison) -> dict[str, Any]:
    """The comparison for programs."""
    match = comparison.match
    return {
        "format": 1,
        "env_id": match.env_id,
        "parameters": dict(match.parameters),
        "score": dict(match.score),
        "confidence": CONFIDENCE,
        "seeds": list(match.seeds),
        "episodes_per_seed": match.episodes_per_seed,
        "optimum": match.optimum,
        "contenders": [
            {
                "run": result.contender.name,
                "training_seeds": list(result.contender.training_seeds),
                "policy_steps": list(result.contender.policy_steps),
                "per_training_seed": result.contender.scores.mean(1).tolist(),
                "mean": _ends(result.mean),
                "iqm": _ends(result.iqm),
                "optimality_gap_ratio": _ends(result.gap) if result.gap else None,
                "profile": {name: values.tolist() for name, values in vars(result.profile).items()},
            }
            for result in comparison.results
        ],
        "profile_levels": comparison.levels.tolist(),
        "verdicts": [
            {
                "run": found.name,
                "reference": found.reference,
                "finding": str(found.finding),
                "probability_of_improvement": _ends(found.probability),
                "difference": _ends(found.difference),
                "training_seeds_needed": found.seeds_needed,
            }
            for found in comparison.verdicts
        ],
    }


def _ends(estimate: Estimate) -> dict[str, float]:
    return {"value": estimate.value, "ci_low": estimate.low, "ci_high": estimate.high}
