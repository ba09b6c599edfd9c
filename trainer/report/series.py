"""Curves made ready for drawing: a mean with its band, fewer points, an axis' limits, labels kept apart."""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from trainer.report.data import Curve

Floats = npt.NDArray[np.float64]

MOST_POINTS = 600
"""Points of a drawn curve; more cannot be told apart."""


@dataclasses.dataclass(frozen=True)
class Band:
    """A mean line over several runs, with an interval."""

    steps: Floats
    mean: Floats
    low: Floats
    high: Floats


def band(curves: Sequence[Curve], confidence: float = 0.95) -> Band | None:
    """The mean over runs and its t interval, at the steps that all of them have reached.

    The interval is mean ± t s / sqrt(n), with s the standard deviation over the n runs and t the quantile of Student's
    distribution with n - 1 degrees of freedom.

    Args:
        curves: one curve a run; values between its steps are interpolated.
        confidence: what the interval holds, 0 to 1.

    Returns:
        None for fewer than two runs that have something in common.
    """
    curves = [curve for curve in curves if curve[0]]
    if len(curves) < 2:
        return None
    from scipy.stats import t

    first, last = max(curve[0][0] for curve in curves), min(curve[0][-1] for curve in curves)
    longest = max(curves, key=lambda curve: len(curve[0]))
    steps = np.array([step for step in longest[0] if first <= step <= last], np.float64)
    if not len(steps):
        return None
    values = np.array([np.interp(steps, *curve) for curve in curves])
    mean = values.mean(0)
    half = t.ppf((1 + confidence) / 2, len(curves) - 1) * values.std(0, ddof=1) / math.sqrt(len(curves))
    return Band(steps, mean, mean - half, mean + half)


def thin(steps: Floats, *values: Floats) -> list[Floats]:
    """At most `MOST_POINTS` points: means over runs of neighbours of equal length; the last point stays as it is."""
    stride = math.ceil(len(steps) / MOST_POINTS)
    if stride <= 1:
        return [steps, *values]
    starts = np.arange(0, len(steps), stride)
    lengths = np.diff(np.append(starts, len(steps)))
    thinned = [np.add.reduceat(array, starts) / lengths for array in (steps, *values)]
    for array, thin_array in zip((steps, *values), thinned, strict=True):
        thin_array[-1] = array[-1]
    return thinned


def spread(positions: Sequence[float], gap: float) -> list[float]:
    """Positions moved as little as is needed to stand at least `gap` apart, in the same order.

    Neighbours that come too near form a block, which is centred on its members' mean (isotonic regression by pooling
    adjacent violators, of positions less `gap` times rank).
    """
    order = sorted(range(len(positions)), key=lambda index: positions[index])
    blocks: list[tuple[float, int]] = []  # (mean of position - rank * gap, members)
    for rank, index in enumerate(order):
        mean, size = positions[index] - rank * gap, 1
        while blocks and blocks[-1][0] > mean:
            other, members = blocks.pop()
            mean, size = (other * members + mean * size) / (members + size), members + size
        blocks.append((mean, size))
    flat = [mean for mean, size in blocks for _ in range(size)]
    result = [0.0] * len(positions)
    for rank, index in enumerate(order):
        result[index] = flat[rank] + rank * gap
    return result


def value_limits(curves: Sequence[Curve], references: Sequence[float]) -> tuple[float, float]:
    """Limits of a learning curve's score axis: what matters, without the beginning.

    An untrained policy may be so bad that nothing else could be told apart; what lies outside is cut off. With
    references the axis holds them and the second half of the training; without, all but the first tenth.
    """
    skipped = 0.5 if len(references) > 1 else 0.1
    tails = [value for _, values in curves for value in values[int(len(values) * skipped) :]]
    seen = sorted([*tails, *references])
    low, high = (seen[0], seen[-1]) if seen else (0.0, 1.0)
    margin = 0.06 * (high - low) or 0.05 * abs(high) or 1.0
    return low - margin, high + margin
