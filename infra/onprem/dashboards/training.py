"""How runs get on: every metric of the catalogue that is about a run, chosen by run and by host."""

from collections.abc import Mapping

from grafana_foundation_sdk.models import dashboard, units

from infra import charts
from infra.charts import Chart
from infra.onprem.dashboards import elements
from infra.onprem.dashboards.elements import Query, choice, graph, listing, number
from infra.onprem.dashboards.page import Page
from trainer.metrics.catalogue import BY_NAME, CHOICES

INFO = "rl_run_info"
RUNS = f'{INFO}{{host=~"$host", run_id=~"$run"}}'
"""The runs that are chosen."""
REFERENCES: Mapping[str, tuple[tuple[str, str], ...]] = {
    "rl_score": (("rl_score_optimum", "optimum"),),
    "rl_eval_score_mean": (
        ("rl_eval_score_ci_low", "95 %, low"),
        ("rl_eval_score_ci_high", "95 %, high"),
        ("rl_score_optimum", "optimum"),
    ),
}
"""What is drawn with a metric to compare it with, and what the legend calls it."""
SOME: Mapping[str, str] = {
    "rl_q_value_mean": "DQN, SAC and TD3",
    "rl_exploration": "DQN and TD3",
    "rl_entropy_temperature": "SAC",
    "rl_gradient_steps": "DQN, SAC and TD3",
    "rl_label_return_mean": "self-labelling",
    "rl_replay_transitions": "DQN, SAC and TD3",
}
"""Metrics that some algorithms have alone; they stand in a row that is closed at first."""
WORDS: Mapping[str, str] = {"gpu": "GPU "}
"""What a legend writes before the values of labels that are plain numbers."""
SINCE = "rl_checkpoint_timestamp_seconds"
AGE = "rl_checkpoint_age_seconds"


def page() -> dashboard.Dashboard:
    """The dashboard."""
    made = Page(
        "slipway-training",
        "Training",
        "How runs get on: score and optimum, losses, speed, checkpoints. Every metric of Slipway's catalogue.",
        (
            choice("host", "Host", "Where runs train.", f"label_values({INFO}, host)"),
            choice("run", "Run", "Which runs are drawn.", f'label_values({INFO}{{host=~"$host"}}, run_id)'),
        ),
        hours=6,
    )
    made.panels(_glance())
    others = []
    for section in charts.sections(CHOICES["all"], has_gpu=False):
        members = [chart for chart in section.charts if not _is_drawn_elsewhere(chart.metric.name)]
        others += [chart for chart in members if chart.metric.name in SOME]
        made.row(section.title, [panel(chart) for chart in members if chart.metric.name not in SOME])
    made.row("Learning, of some algorithms", [panel(chart) for chart in others], is_open=False)
    return made.build()


def of_runs(metric: str, *matchers: str) -> str:
    """A metric's series of the chosen runs, with the run's id as a label.

    Args:
        metric: its name.
        matchers: what its other labels must be.
    """
    chosen = ", ".join(['host=~"$host"', *matchers])
    return f"{metric}{{{chosen}}} * on (instance) group_left (run_id) {RUNS}"


def panel(chart: Chart, *, least: float | None = None, width: int = elements.CHART_WIDTH) -> dashboard.Panel:
    """A metric's panel.

    Args:
        chart: the metric with its lines.
        least: the axis' lower end; None: what the data need.
        width: in columns of the grid.
    """
    metric = chart.metric
    labels = " ".join(f"{WORDS.get(label, '')}{{{{{label}}}}}" for label in ("run_id", *metric.labels))
    queries = [Query(_expression(metric.name), labels)]
    queries += [
        Query(of_runs(name), f"{{{{run_id}}}} {word}", is_reference=True)
        for name, word in REFERENCES.get(metric.name, ())
    ]
    algorithms = SOME.get(metric.name)
    return graph(
        chart.title,
        elements.describe(chart),
        queries,
        unit=elements.unit_of(metric),
        lines=chart.thresholds,
        least=least,
        width=width,
        no_value=f"Only {algorithms} have this." if algorithms else None,
    )


def _expression(name: str) -> str:
    if name == AGE:
        # Of a run that hangs the age in its newest row stands still; the difference from now grows.
        return f"(time() - ({of_runs(SINCE)})) or ({of_runs(AGE)})"
    if name == "rl_sink_dropped_records_total":
        # Absent if nothing is lost.
        return f"({of_runs(name)}) or on (instance) (0 * {RUNS})"
    return of_runs(name)


def _is_drawn_elsewhere(name: str) -> bool:
    """With another metric."""
    return name == SINCE or any(name == other for drawn in REFERENCES.values() for other, _ in drawn)


def _glance() -> list[dashboard.Panel]:
    return [
        number(
            "Runs in training",
            "How many of the chosen runs train now.",
            Query(f"count({RUNS}) or vector(0)", "runs"),
            width=8,
        ),
        number(
            "Speed",
            f"{BY_NAME['rl_env_steps_per_second'].help} Of all chosen runs together.",
            Query(f"sum({of_runs('rl_env_steps_per_second')}) or vector(0)", "all"),
            unit=elements.unit_of(BY_NAME["rl_env_steps_per_second"]),
            width=8,
        ),
        number(
            "Oldest checkpoint",
            BY_NAME[AGE].help,
            Query(f"max({_expression(AGE)}) or vector(0)", "oldest"),
            unit=units.Seconds,
            bad=charts.thresholds(BY_NAME[AGE])[0],
            width=8,
        ),
        listing(
            "Runs",
            BY_NAME[INFO].help,
            Query(RUNS, "{{run_id}}"),
            {"run_id": "Run", "env_id": "Task", "algorithm": "Algorithm", "host": "Host"},
            width=24,
            height=6,
        ),
    ]
