"""Questions in SQL, answered by SQLite: they are written in what it, Athena and BigQuery share."""

import sqlite3

import pytest

from infra.queries import QUERIES
from trainer.store.tables import METRICS, PARTS, RUNS, SCORES, TABLES, Type

BY_NAME = {query.name: query for query in QUERIES}
KINDS = {Type.STRING: "TEXT", Type.INTEGER: "INTEGER", Type.NUMBER: "REAL"}
COST = {"env_id": "shop", "algorithm": "ppo", "score_sign": -1, "score_unit": "min"}


@pytest.fixture
def ask():
    """Asks a question of some runs; the answer's rows by column."""
    with sqlite3.connect(":memory:") as database:
        for table in TABLES:
            columns = ", ".join(f"{each.name} {KINDS[each.type]}" for each in table.columns)
            database.execute(f"CREATE TABLE {table.name} ({columns})")

        def put(table, **row):
            names = [each.name for each in table.columns]
            assert row.keys() <= set(names)
            marks = ", ".join("?" * len(names))
            database.execute(f"INSERT INTO {table.name} VALUES ({marks})", [row.get(name) for name in names])

        for number in range(12):  # a low score is good
            put(
                RUNS, run_id=f"shop-{number}", score=5.0 + number, cost_usd=0.5, wall_time_seconds=1800.0,
                env_steps=3600, resumes=1, training_seed=number, **COST,
            )  # fmt: skip
        put(RUNS, run_id="pole-a", env_id="pole", algorithm="dqn", score=400.0, score_sign=1, wall_time_seconds=60.0,
            env_steps=600, resumes=0)  # fmt: skip
        put(RUNS, run_id="pole-b", env_id="pole", algorithm="dqn", score=500.0, score_sign=1, wall_time_seconds=60.0,
            env_steps=600, resumes=0)  # fmt: skip
        for run_id in ("shop-0", "shop-1", "pole-a", "pole-b"):
            for step in (200, 100):
                put(METRICS, run_id=run_id, step=step, iteration=step // 100, rl_score=float(step))
        for policy, score in (("greedy", 5.0), ("base-stock", 7.0)):
            for seed in (0, 1):
                put(SCORES, run_id="shop-0", policy=policy, held_out_seed=seed, score=score + seed)
        for step in (100, 200):
            for part, seconds in (("rollout", 1.0), ("update", 3.0)):
                put(PARTS, run_id="shop-0", step=step, metric="rl_phase_duration_seconds", label="phase", part=part,
                    value=seconds)  # fmt: skip
        put(PARTS, run_id="shop-0", step=100, metric="rl_gpu_power_watts", label="gpu", part="0", value=70.0)

        def answer(name):
            found = database.execute(BY_NAME[name].sql)
            names = [each[0] for each in found.description]
            return [dict(zip(names, row, strict=True)) for row in found]

        yield answer


def test_the_best_runs_are_those_with_the_best_scores_whichever_way_is_good(ask):
    rows = ask("Best runs")
    assert [(row["env_id"], row["place"], row["run_id"]) for row in rows][:3] == [
        ("pole", 1, "pole-b"),
        ("pole", 2, "pole-a"),
        ("shop", 1, "shop-0"),
    ]
    assert [row["run_id"] for row in rows][2:] == [f"shop-{number}" for number in range(10)]


def test_learning_curves_are_the_best_runs_in_order(ask):
    assert [(row["run_id"], row["step"]) for row in ask("Learning curves")] == [
        ("pole-b", 100),
        ("pole-b", 200),
        ("shop-0", 100),
        ("shop-0", 200),
    ]


def test_costs_are_summed_and_speed_is_of_all_the_time(ask):
    first, second = ask("Costs")
    assert first == {
        "env_id": "shop", "algorithm": "ppo", "runs": 12, "cost_usd": 6.0, "hours": 6.0, "env_steps_per_second": 2.0,
        "resumes": 12,
    }  # fmt: skip
    assert (second["env_id"], second["cost_usd"], second["env_steps_per_second"]) == ("pole", None, 10.0)


def test_policies_are_compared_with_baselines(ask):
    rows = ask("Policies and baselines")
    assert [(row["policy"], row["score"], row["least"], row["greatest"], row["runs"]) for row in rows] == [
        ("greedy", 5.5, 5.0, 6.0, 1),
        ("base-stock", 7.5, 7.0, 8.0, 1),
    ]


def test_time_goes_to_phases(ask):
    assert ask("Where time goes") == [
        {"run_id": "shop-0", "phase": "update", "seconds": 6.0, "times": 2},
        {"run_id": "shop-0", "phase": "rollout", "seconds": 2.0, "times": 2},
    ]


def test_every_question_is_asked_here(ask):
    assert len(BY_NAME) == len(QUERIES)
    for query in QUERIES:
        assert ask(query.name)
        assert query.help[0].isupper()
        assert query.help.endswith(".")
