"""Curves made ready for drawing."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.report import series


def test_the_band_is_the_t_interval_over_runs():
    """By hand: 1, 2 and 6 have mean 3, deviation sqrt(7), and t(0.975, 2) = 4.302653."""
    curves = [([10.0, 20.0], [first, 0.0]) for first in (1.0, 2.0, 6.0)]
    found = series.band(curves)
    assert list(found.steps) == [10, 20]
    half = 4.302652729696142 * np.sqrt(7) / np.sqrt(3)
    np.testing.assert_allclose([found.low[0], found.mean[0], found.high[0]], [3 - half, 3, 3 + half], rtol=1e-9)
    assert found.low[1] == found.high[1] == 0


def test_the_band_ends_where_the_shortest_run_does_and_interpolates():
    found = series.band([([0.0, 10.0, 20.0], [0.0, 10.0, 20.0]), ([0.0, 15.0], [0.0, 15.0])])
    assert list(found.steps) == [0, 10]
    assert list(found.mean) == [0, 10]


@pytest.mark.parametrize("curves", [[], [([1.0], [1.0])], [([1.0], [1.0]), ([], [])], [([1.0], [1.0]), ([5.0], [1.0])]])
def test_there_is_no_band_without_two_runs_that_meet(curves):
    assert series.band(curves) is None


def test_a_long_curve_is_thinned_to_means_and_keeps_its_end():
    steps = np.arange(10_000.0)
    x, y = series.thin(steps, np.where(steps % 2, 1.0, -1.0))
    assert len(x) <= series.MOST_POINTS
    assert x[-1] == 9999
    assert y[-1] == 1
    assert abs(y[:-1]).max() < 0.07
    short = series.thin(steps[:5], steps[:5])
    assert [list(array) for array in short] == [[0, 1, 2, 3, 4]] * 2


@given(st.lists(st.floats(0, 1), max_size=8))
def test_labels_stand_apart_and_in_order(positions):
    placed = series.spread(positions, 0.06)
    order = sorted(range(len(positions)), key=lambda index: positions[index])
    gaps = np.diff([placed[index] for index in order])
    assert (gaps >= 0.06 - 1e-9).all()
    if len(positions) > 1 and np.diff(sorted(positions)).min() >= 0.06:
        np.testing.assert_allclose(placed, positions, atol=1e-9)


def test_the_frame_holds_references_and_the_end_but_not_a_wild_beginning():
    curve = ([float(i) for i in range(100)], [1000.0] * 20 + [5.0] * 80)
    low, high = series.value_limits([curve], [4.7, 5.3])
    assert 4.6 < low < 4.7
    assert 5.3 < high < 5.4
    low, high = series.value_limits([([1.0], [3.0])], [])
    assert low < 3 < high
    assert series.value_limits([], []) == (-0.06, 1.06)
