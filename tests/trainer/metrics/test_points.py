"""An interval's rows become a point for each metric."""

import math

import pytest

from trainer.metrics import catalogue
from trainer.metrics.catalogue import METRICS, Format, Kind, UnknownMetricError
from trainer.metrics.sinks.points import Interval


def test_rows_become_one_point_with_what_they_had_between_them():
    interval = Interval(["rl_score", "rl_env_steps_total"])
    for number, score in enumerate([3.0, 1.0, 5.0], 1):
        interval.add(
            {"iteration": number, "rl_score": score, "rl_env_steps_total": number * 100, "rl_policy_loss": 1.0}
        )
    score, steps = interval.cut(1000.0)
    assert (score.sample.key, score.time_seconds) == ("rl_score", 1000.0)
    assert (score.count, score.total, score.minimum, score.maximum, score.last) == (3, 9.0, 1.0, 5.0, 5.0)
    assert (score.averaged, score.value) == (True, 3.0)
    assert (steps.averaged, steps.value) == (False, 300.0)
    assert interval.cut(1060.0) == []


def test_labels_make_points_of_their_own():
    interval = Interval(["rl_phase_duration_seconds"])
    for phase in ("iteration", "checkpoint"):
        interval.add({catalogue.sample_key("rl_phase_duration_seconds", phase=phase): 0.5})
    assert [point.sample.label_values for point in interval.cut(1.0)] == [("checkpoint",), ("iteration",)]


def test_numbers_that_are_not_finite_are_left_out():
    interval = Interval(["rl_score"])
    interval.add({"rl_score": math.nan})
    assert interval.cut(1.0) == []
    interval.add({"rl_score": math.inf})
    interval.add({"rl_score": 2.0})
    (point,) = interval.cut(1.0)
    assert (point.count, point.value) == (1, 2.0)


def test_a_key_that_the_catalogue_has_not_is_refused():
    with pytest.raises(UnknownMetricError):
        Interval(["rl_score"]).add({"score": 1.0})


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_means_are_taken_of_what_has_one(metric):
    if metric.kind is Kind.INFO:
        assert metric.name not in catalogue.chosen(["all"])
        return
    interval = Interval(catalogue.chosen(["all"]))
    labels = dict.fromkeys(metric.labels, "a")
    for value in (10.0, 20.0):
        interval.add({catalogue.sample_key(metric.name, **labels): value})
    (point,) = interval.cut(1.0)
    newest = metric.kind is Kind.COUNTER or metric.format is Format.TIMESTAMP
    assert point.value == (20.0 if newest else 15.0)
