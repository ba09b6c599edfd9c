"""What metrics cost, worked out by hand."""

import pytest

from trainer.metrics import catalogue
from trainer.metrics.sinks import cost


def test_a_label_makes_a_series_of_each_usual_value():
    assert cost.series(["rl_score", "rl_phase_duration_seconds"]) == 4


def test_cloudwatch_is_paid_by_the_metric_and_the_call():
    assert cost.cloudwatch_usd_per_month(["rl_score"] * 10, 60) == pytest.approx(10 * 0.30 + 43_800 * 0.01 / 1000)
    assert cost.cloudwatch_usd_per_month(["rl_score"], 10) == pytest.approx(0.30 + 262_800 * 0.01 / 1000)


def test_cloud_monitoring_is_paid_by_the_byte():
    assert cost.cloud_monitoring_usd_per_month(["rl_score"], 60) == pytest.approx(43_800 * 8 / 1_048_576 * 0.258)


def test_every_label_has_a_usual_number_of_values():
    assert cost.series(catalogue.chosen(["all"])) == len(catalogue.chosen(["all"])) + 2
