"""What policies are worth that could go to production: the greedy policy's evaluation, run by run.

Slipway exports models and serves none, so no panel claims to show requests.
"""

from grafana_foundation_sdk.models import dashboard, units

from infra.charts import Chart
from infra.onprem.dashboards import training
from infra.onprem.dashboards.elements import Query, choice, graph, listing, number, prose
from infra.onprem.dashboards.page import Page
from trainer.metrics.catalogue import BY_NAME

SCORE = BY_NAME["rl_eval_score_mean"]
OWN, LOW, HIGH = (training.of_runs(f"rl_eval_score_{end}") for end in ("mean", "ci_low", "ci_high"))
DURATION = training.of_runs("rl_phase_duration_seconds", 'phase="evaluation"')
ABOUT = """\
What runs are worth whose policy could go to production: the greedy policy on held-out seeds, evaluated while they
train (`evaluation.interval_iterations` in the run file; without it there is nothing here). The evaluation at a run's
end, with the baselines, is in its report, and its model is exported then. Slipway serves no models, so nothing here
tells of requests: what serves them has metrics of its own."""


def page() -> dashboard.Dashboard:
    """The dashboard."""
    made = Page(
        "slipway-production",
        "Production",
        "What policies are worth that could go to production: their evaluation on held-out seeds.",
        (
            choice("host", "Host", "Where runs train.", f"label_values({SCORE.name}, host)"),
            choice("run", "Run", "Which runs are drawn.", f'label_values({training.INFO}{{host=~"$host"}}, run_id)'),
        ),
        hours=24,
    )
    made.panels([prose("What this shows", ABOUT)])
    made.panels(_glance())
    made.row("Worth", _worth())
    return made.build()


def _glance() -> list[dashboard.Panel]:
    return [
        listing(
            "Policies",
            SCORE.help,
            Query(OWN, "{{run_id}}"),
            {"run_id": "Run", "host": "Host"},
            value="Score",
            height=4,
        ),
        number(
            "Evaluated runs",
            "How many of the chosen runs have evaluated their policy.",
            Query(f"count({OWN}) or vector(0)", "runs"),
            width=6,
        ),
        number(
            "Widest interval",
            "The 95 % confidence interval's width relative to the mean, of the run where it is widest. Where it is"
            " wide, evaluate on more seeds before one policy is called better than another.",
            Query(f"max(({HIGH} - {LOW}) / abs({OWN}))", "width"),
            unit=units.PercentUnit,
            width=6,
        ),
    ]


def _worth() -> list[dashboard.Panel]:
    return [
        training.panel(Chart(SCORE, ())),
        graph(
            "Greedy less exploring",
            "How much the evaluated policy's score is above that of the training rollouts, which explore. A gap that"
            " grows may mean that held-out seeds differ from those of training.",
            [Query(f"{OWN} - {training.of_runs('rl_score')}", "{{run_id}}")],
        ),
        graph(
            "Time of an evaluation",
            "How long the last evaluation of each run took.",
            [Query(DURATION, "{{run_id}}")],
            unit=units.Seconds,
            least=0,
        ),
    ]
