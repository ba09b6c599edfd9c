"""Estimates and intervals: against numpy and scipy, and by how often intervals hold the truth."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from trainer.evaluation import statistics


@given(seed=st.integers(0, 10_000), strata=st.integers(2, 6), repetitions=st.integers(1, 6))
@settings(max_examples=25, deadline=None)
def test_estimates_lie_in_their_intervals_and_repeat(seed, strata, repetitions):
    scores = np.random.default_rng(seed).normal(5, 1, (strata, repetitions))
    for estimate in (statistics.mean, statistics.interquartile_mean):
        value, low, high = estimate(scores)
        assert low <= high
        assert estimate(scores) == (value, low, high)
    assert statistics.mean(scores).value == pytest.approx(scores.mean())
    assert statistics.interquartile_mean(scores).value == pytest.approx(stats.trim_mean(scores, 0.25, axis=None))


def test_equal_scores_have_no_width():
    assert statistics.mean(np.full((3, 4), 7.0)) == (7.0, 7.0, 7.0)


def test_differences_between_strata_are_not_counted_as_noise():
    """Resampling within strata: seeds of very different levels, each nearly without noise."""
    levels = np.array([[0.0], [100.0]])
    scores = levels + np.random.default_rng(0).normal(0, 0.1, (2, 50))
    _, low, high = statistics.mean(scores)
    assert high - low < 0.1


def test_an_outlier_moves_the_mean_but_not_the_interquartile_mean():
    scores = np.random.default_rng(0).normal(0, 1, (10, 10))
    spoiled = scores.copy()
    spoiled[0, 0] = 1e4
    assert statistics.mean(spoiled).value > 50
    assert abs(statistics.interquartile_mean(spoiled).value - statistics.interquartile_mean(scores).value) < 0.1


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(10, 10), (20, 5), (20, 2), (40, 1)])
def test_intervals_hold_the_truth_about_as_often_as_they_say(shape):
    rng, trials = np.random.default_rng(3), 120
    held = sum(low <= 5.0 <= high for _, low, high in (statistics.mean(rng.normal(5, 1, shape)) for _ in range(trials)))
    assert 0.88 * trials <= held <= trials * 0.995


@pytest.mark.slow
def test_crossed_intervals_hold_the_truth_where_all_runs_meet_the_same_seeds():
    """Seeds' luck is common to all runs: drawing within seeds alone would almost never hold the truth."""
    rng, trials = np.random.default_rng(3), 100
    held = narrow = 0
    for _ in range(trials):
        table = 5.0 + rng.normal(0, 1, (1, 20)) + rng.normal(0, 0.3, (10, 1)) + rng.normal(0, 0.1, (10, 20))
        _, low, high = statistics.crossed_mean(table)
        held += low <= 5.0 <= high
        _, low, high = statistics.mean(table.T)
        narrow += low <= 5.0 <= high
    assert held >= 0.8 * trials
    assert narrow < 0.5 * trials


@pytest.mark.slow
@pytest.mark.parametrize(
    ("spread_of_runs", "spread_of_seeds"), [(1.0, 0.1), (0.1, 1.0), (1.0, 1.0)], ids=["runs", "seeds", "both"]
)
def test_crossed_intervals_hold_the_truth_with_five_runs(spread_of_runs, spread_of_seeds):
    rng, trials, widths = np.random.default_rng(5), 150, []
    held = 0
    for _ in range(trials):
        runs, seeds = rng.normal(0, spread_of_runs, (5, 1)), rng.normal(0, spread_of_seeds, (1, 20))
        _, low, high = statistics.crossed_mean(5.0 + runs + seeds + rng.normal(0, 0.1, (5, 20)))
        held += low <= 5.0 <= high
        widths.append(high - low)
    assert 0.89 * trials <= held
    # No wider than Student's interval of what varies, with some room: five runs 2.5, twenty seeds 0.94, both 2.7.
    most = {(1.0, 0.1): 2.8, (0.1, 1.0): 1.2, (1.0, 1.0): 3.2}[spread_of_runs, spread_of_seeds]
    assert np.median(widths) < most


@given(runs=st.integers(1, 6), seeds=st.integers(2, 8), seed=st.integers(0, 1000))
@settings(max_examples=15, deadline=None)
def test_crossed_estimates_lie_in_their_intervals(runs, seeds, seed):
    table = np.random.default_rng(seed).normal(5, 1, (runs, seeds))
    value, low, high = statistics.crossed_mean(table)
    assert value == pytest.approx(table.mean())
    assert low <= value <= high
    assert statistics.crossed_mean(np.full((runs, seeds), 3.0)) == (3.0, 3.0, 3.0)
