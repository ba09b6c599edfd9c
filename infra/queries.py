"""Questions to the tables of finished runs (`trainer.store.tables`), in SQL that Athena and BigQuery both take."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Query:
    """A question.

    Attributes:
        name: for people.
        help: what its answer says.
        sql: the query; tables by their own names.
    """

    name: str
    help: str
    sql: str


QUERIES: tuple[Query, ...] = (
    Query(
        "Best runs",
        "The ten best runs of each environment, by the greedy policy's score on held-out seeds.",
        """\
SELECT env_id, place, run_id, algorithm, training_seed, score, score_ci_low, score_ci_high, score_unit,
       optimality_gap_ratio, cost_usd
FROM (
  SELECT runs.*, ROW_NUMBER() OVER (PARTITION BY env_id ORDER BY score * score_sign DESC) AS place
  FROM runs
) AS ranked
WHERE place <= 10
ORDER BY env_id, place
""",
    ),
    Query(
        "Learning curves",
        "How the score of each environment's best run came about.",
        """\
SELECT best.env_id, metrics.run_id, metrics.step, metrics.rl_score, metrics.rl_optimality_gap_ratio,
       metrics.rl_eval_score_mean
FROM metrics
JOIN (
  SELECT env_id, run_id, ROW_NUMBER() OVER (PARTITION BY env_id ORDER BY score * score_sign DESC) AS place
  FROM runs
) AS best ON best.run_id = metrics.run_id
WHERE best.place = 1
ORDER BY best.env_id, metrics.step
""",
    ),
    Query(
        "Costs",
        "What runs cost, by environment and algorithm, and how fast they were. The price is the machine's on demand.",
        """\
SELECT env_id, algorithm, COUNT(*) AS runs, SUM(cost_usd) AS cost_usd, SUM(wall_time_seconds) / 3600 AS hours,
       SUM(env_steps) / SUM(wall_time_seconds) AS env_steps_per_second, SUM(resumes) AS resumes
FROM runs
GROUP BY env_id, algorithm
ORDER BY SUM(cost_usd) DESC, env_id, algorithm
""",
    ),
    Query(
        "Policies and baselines",
        "The mean score on held-out seeds of what was learned, and of the baselines, by environment.",
        """\
SELECT runs.env_id, runs.algorithm, scores.policy, AVG(scores.score) AS score, MIN(scores.score) AS least,
       MAX(scores.score) AS greatest, COUNT(DISTINCT scores.run_id) AS runs
FROM scores
JOIN runs ON runs.run_id = scores.run_id
GROUP BY runs.env_id, runs.algorithm, scores.policy
ORDER BY runs.env_id, runs.algorithm, AVG(scores.score * runs.score_sign) DESC
""",
    ),
    Query(
        "Where time goes",
        "How long each phase of each run took in all.",
        """\
SELECT run_id, part AS phase, SUM(value) AS seconds, COUNT(*) AS times
FROM metric_parts
WHERE metric = 'rl_phase_duration_seconds'
GROUP BY run_id, part
ORDER BY run_id, SUM(value) DESC
""",
    ),
)
"""All questions."""
