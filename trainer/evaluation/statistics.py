"""Means and interquartile means with bootstrap intervals (Agarwal et al. 2021, https://arxiv.org/abs/2108.13264)."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import stats

CONFIDENCE = 0.95
RESAMPLES = 1000
CROSSED_RESAMPLES = 10_000
"""More, as expanded quantiles lie far out."""
BATCH_NUMBERS = 1 << 18
"""How many numbers are resampled at once, for memory."""
TRIMMED = 0.25
"""What an interquartile mean leaves out at each end."""
ENOUGH_REPETITIONS = 10
"""From how many repetitions on a stratum is resampled by itself.

Drawing n anew from n underestimates their variance by a factor of 1 - 1/n: with 2, a 95 % interval of a mean would hold
the truth 83 % of the time.
"""

Floats = npt.NDArray[np.float64]


class Estimate(NamedTuple):
    """A number with its interval."""

    value: float
    low: float
    high: float


def mean(scores: Floats) -> Estimate:
    """The mean of all scores (`_estimate`)."""
    return _estimate(scores, _mean)


def interquartile_mean(scores: Floats) -> Estimate:
    """The mean of the middle half of all scores (`_estimate`): less noisy than a median, robust to outliers."""
    return _estimate(scores, _middle)


def crossed_mean(table: Floats) -> Estimate:
    """The mean over training runs and held-out seeds (`_crossed`)."""
    return _crossed(table, _mean)


def crossed_interquartile_mean(table: Floats) -> Estimate:
    """The interquartile mean over training runs and held-out seeds (`_crossed`)."""
    return _crossed(table, _middle)


def _crossed(table: Floats, statistic: Any) -> Estimate:
    """A statistic of a table whose rows and columns were both drawn, with the pigeonhole bootstrap's interval.

    All runs meet the same held-out seeds, so their errors go together: resampling within strata would call the result
    far more certain than it is. Rows and columns are drawn anew, each by itself (Owen 2007,
    https://doi.org/10.1214/07-AOAS122).

    Training runs are few, and drawing few anew underestimates how much they vary: with five, a 95 % interval would hold
    the truth 82 % of the time, not 92. So quantiles lie as far out as Student's distribution says (Hesterberg 2015,
    https://arxiv.org/abs/1411.5279, "expanded percentile interval").

    Args:
        table: float64 [training runs, held-out seeds].
        statistic: as for `_estimate`.
    """
    rng = np.random.default_rng(0)
    value = float(statistic(table.ravel(), axis=-1))
    if np.ptp(table) == 0:
        return Estimate(value, value, value)
    drawn, each = [], min(CROSSED_RESAMPLES, max(1, BATCH_NUMBERS // table.size))
    for _ in range(-(-CROSSED_RESAMPLES // each)):
        rows, columns = (rng.integers(n, size=(each, n)) for n in table.shape)
        resampled = table[rows[:, :, None], columns[:, None, :]]
        drawn.append(statistic(resampled.reshape(len(rows), -1), axis=-1))
    freedom = _degrees_of_freedom(table)
    quantile = stats.t.ppf((1 + CONFIDENCE) / 2, freedom) * np.sqrt((freedom + 1) / freedom)
    low, high = np.quantile(np.concatenate(drawn), stats.norm.cdf([-quantile, quantile]))
    return Estimate(value, float(low), float(high))


def _degrees_of_freedom(table: Floats) -> float:
    """How many independent differences the error of a table's mean is known from.

    Welch and Satterthwaite's approximation (https://doi.org/10.2307/3002019) over the rows' part and the columns': near
    the rows' number less one if rows are what varies, near the columns' if columns are.
    """
    parts, freedom = [], []
    for axis, count in ((1, table.shape[0]), (0, table.shape[1])):
        if count > 1:
            parts.append(np.var(table.mean(axis), ddof=1) / count)
            freedom.append(count - 1)
    total, each = np.sum(parts), np.square(parts) / freedom
    return float(total**2 / each.sum()) if total > 0 else float(sum(freedom))


def _estimate(scores: Floats, statistic: Any) -> Estimate:
    """A statistic of all scores, and its percentile interval by a stratified bootstrap.

    Args:
        scores: float64 [strata, repetitions]. A resample draws repetitions anew within each stratum. With fewer than
            `ENOUGH_REPETITIONS`, all scores are one stratum.
        statistic: takes arrays with the resamples along the first axes and `axis=-1` to reduce.

    Returns:
        All three equal if every score is the same.
    """
    value = float(statistic(scores.ravel(), axis=-1))
    if np.ptp(scores) == 0:
        return Estimate(value, value, value)
    samples = tuple(scores) if scores.shape[1] >= ENOUGH_REPETITIONS else (scores.ravel(),)

    def pooled(*strata: Floats, axis: int = -1) -> Any:
        return statistic(np.concatenate(strata, axis=axis), axis=axis)

    interval = stats.bootstrap(
        samples,
        pooled,
        n_resamples=RESAMPLES,
        confidence_level=CONFIDENCE,
        method="percentile",
        vectorized=True,
        batch=100,
        rng=np.random.default_rng(0),  # the same scores give the same interval
    ).confidence_interval
    return Estimate(value, float(interval.low), float(interval.high))


def _mean(scores: Floats, axis: int) -> Any:
    return np.mean(scores, axis=axis)


def _middle(scores: Floats, axis: int) -> Any:
    return stats.trim_mean(scores, TRIMMED, axis=axis)
