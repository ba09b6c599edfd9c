"""What dashboards show, whichever cloud draws them."""

from infra import charts
from trainer.metrics.alerts import ALERTS
from trainer.metrics.catalogue import BY_NAME, CHOICES, ESSENTIAL, METRICS

GPU_METRICS = {metric.name for metric in METRICS if metric.name.startswith("rl_gpu_")}


def names(sections):
    return [chart.metric.name for section in sections for chart in section.charts]


def test_each_metric_has_one_chart():
    assert sorted(names(charts.sections(ESSENTIAL, has_gpu=True))) == sorted(ESSENTIAL)
    assert sorted(names(charts.sections(CHOICES["all"], has_gpu=True))) == sorted(CHOICES["all"])


def test_machines_without_gpus_have_no_charts_of_them():
    assert set(CHOICES["all"]) - set(names(charts.sections(CHOICES["all"], has_gpu=False))) == GPU_METRICS


def test_a_section_is_a_group_of_the_catalogue_and_never_empty():
    sections = charts.sections(("rl_score", "rl_disk_free_bytes"), has_gpu=True)
    assert [(section.title, len(section.charts)) for section in sections] == [
        ("Outcome of the training rollouts", 1),
        ("The machine", 1),
    ]


def test_lines_are_where_alerts_look():
    drawn = {
        (threshold.alert.name, name, threshold.value, threshold.above)
        for name in CHOICES["all"]
        for threshold in charts.thresholds(BY_NAME[name])
    }
    assert drawn == {
        ("CheckpointStale", "rl_checkpoint_age_seconds", 1800, True),
        ("ReturnPlateaued", "rl_plateau_ratio", 0.5, True),
        ("GpuIdle", "rl_gpu_busiest_utilization_ratio", 0.05, False),
    }
    assert {name for name, *_ in drawn} == {alert.name for alert in ALERTS if alert.metrics}


def test_titles_have_units_that_names_do_not_say():
    titles = {name: charts.Chart(BY_NAME[name], ()).title for name in ESSENTIAL}
    assert titles["rl_episode_return_mean"] == "rl_episode_return_mean (reward)"
    assert titles["rl_cost_usd_total"] == "rl_cost_usd_total"
