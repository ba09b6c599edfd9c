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
