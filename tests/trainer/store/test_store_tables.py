"""A run's rows, from files as a run writes them; real runs in stores have them in `test_shared_runs`."""

import gzip
import json
import re
from pathlib import Path

import evaluated
import pytest
from memory_objects import MemoryObjects
from stand_in_training import QUICK, StandIn

from trainer.config import load
from trainer.metrics import catalogue
from trainer.metrics.sinks.jsonl import JsonlSink
from trainer.run import files
from trainer.run.directory import RunDirectory
from trainer.run.status import State
from trainer.store import reference, tables
from trainer.store.mirror import Mirror
from trainer.store.tables import METRICS, PARTS, RUNS, SCORES, TABLES, Type

PAGE = Path(__file__).parents[3] / "docs/reference/tables.md"
MADE = {
    "host": {"cpu_model": "EPYC"},
    "accelerators": [{"name": "Tesla T4"}],
    "packages": {"slipway": "0.1.0"},
    "git": {"revision": "0123"},
}
POLICY = {"mean": 4.5, "ci_low": 4.4, "ci_high": 4.6, "iqm": 4.55, "optimality_gap_ratio": 0.125}


def finished(tmp_path, name="run", seeds=1):
    """A finished run, or a group of them; its folder."""
    rows = [[4.0, 5.0]] * seeds
    policies = {"greedy": {**POLICY, "per_seed": rows[0]}, "base-stock": {**POLICY, "per_seed": [6.0, 7.0]}}
    folder = evaluated.write(tmp_path / "store", name, rows, policies=policies)
    for member in [folder] if seeds == 1 else sorted(folder.glob("seed-*")):
        run = RunDirectory(member)
        sink = JsonlSink(run.metrics)
        for number in (1, 2):
            row = {
                "iteration": number,
                "rl_score": 5.0 / number,
                "rl_policy_loss": float("nan"),
                "rl_cost_usd_total": 0.25 * number,
                catalogue.sample_key("rl_phase_duration_seconds", phase="rollout"): 1.5,
                catalogue.sample_key("rl_phase_duration_seconds", phase="update"): 0.5,
            }
            sink.write(row, 100 * number, 2.0 * number)
        sink.close()
        run.move(State.RUNNING)
        run.move(State.FINISHED, env_steps=200, iteration=2, wall_time_seconds=4.0)
        files.write_json(run.provenance, MADE)
    return folder


def written(folder, tmp_path, run_id="run"):
    """The rows of a run, by table."""

    def read(name):
        path = folder / name
        return path.read_bytes() if path.exists() else b""

    return {table: lines(path.read_bytes()) for table, path in tables.write(run_id, read, tmp_path).items()}


def lines(data):
    """Rows without what is null."""
    rows = map(json.loads, gzip.decompress(data).splitlines())
    return [{name: value for name, value in row.items() if value is not None} for row in rows]


def test_a_run_is_a_row(tmp_path):
    (row,) = written(finished(tmp_path), tmp_path)[RUNS]
    said = {
        "run_id": "run",
        "env_id": "slipway/LostSales-v0",
        "algorithm": "ppo",
        "training_seed": 0,
        "score_name": "cost",
        "score_unit": "per period",
        "score_sign": -1,
        "score": 4.5,
        "score_ci_low": 4.4,
        "score_ci_high": 4.6,
        "score_iqm": 4.55,
        "optimum": 4.0,
        "optimality_gap_ratio": 0.125,
        "env_steps": 200,
        "iterations": 2,
        "wall_time_seconds": 4.0,
        "resumes": 0,
        "cost_usd": 0.5,
        "cpu_model": "EPYC",
        "accelerator": "Tesla T4",
        "slipway_version": "0.1.0",
        "git_revision": "0123",
    }
    assert said.items() <= row.items()
    assert json.loads(row["agent"])["algorithm"] == "ppo"
    assert row["started_at"] <= row["finished_at"]
    assert row.keys() - said.keys() == {"agent", "started_at", "finished_at", "host"}  # the rest is not known of it


def test_an_exact_score_decides_the_gap(tmp_path):
    folder = finished(tmp_path)
    path = folder / "evaluation.json"
    exact = {"greedy": {"score": 4.4, "optimality_gap_ratio": 0.1}}
    path.write_text(json.dumps({**json.loads(path.read_text()), "exact": exact}))
    (row,) = written(folder, tmp_path)[RUNS]
    assert (row["exact_score"], row["optimality_gap_ratio"]) == (4.4, 0.1)


def test_scores_iterations_and_phases_are_rows(tmp_path):
    rows = written(finished(tmp_path), tmp_path)
    assert rows[SCORES] == [
        {"run_id": "run", "policy": policy, "held_out_seed": 2**30 + seed, "score": score}
        for policy, scores in (("greedy", [4.0, 5.0]), ("base-stock", [6.0, 7.0]))
        for seed, score in enumerate(scores)
    ]
    assert rows[METRICS][1] == {
        "run_id": "run",
        "step": 200,
        "iteration": 2,
        "wall_time_seconds": 4.0,
        "rl_score": 2.5,
        "rl_cost_usd_total": 0.5,
    }  # what is not a number is not there
    assert [row["part"] for row in rows[PARTS]] == ["rollout", "update"] * 2
    assert rows[PARTS][0] == {
        "run_id": "run",
        "step": 100,
        "metric": "rl_phase_duration_seconds",
        "label": "phase",
        "part": "rollout",
        "value": 1.5,
    }


def test_every_metric_has_a_column_in_one_table_and_names_fit_sql():
    numbers = {metric.name: metric for metric in catalogue.METRICS if metric.name in catalogue.CHOICES["all"]}
    columns = {column.name for column in METRICS.columns}
    assert {name for name, metric in numbers.items() if not metric.labels} < columns
    assert not {name for name, metric in numbers.items() if metric.labels} & columns
    for table in TABLES:
        names = [column.name for column in table.columns]
        assert names[0] == "run_id"
        assert len(set(names)) == len(names)
        assert all(re.fullmatch("[a-z][a-z0-9_]*", name) for name in (*names, table.name))


def test_values_are_of_their_columns_types(tmp_path):
    kinds = {Type.STRING: str, Type.INTEGER: int, Type.NUMBER: (int, float)}
    for table, rows in written(finished(tmp_path), tmp_path).items():
        columns = {column.name: column for column in table.columns}
        assert rows
        for row in rows:
            assert all(isinstance(value, kinds[columns[name].type]) for name, value in row.items())


def test_every_row_has_every_column_so_that_tools_can_guess_them(tmp_path):
    written(finished(tmp_path), tmp_path)
    for table in TABLES:
        for line in gzip.decompress((tmp_path / f"{table.name}.jsonl.gz").read_bytes()).splitlines():
            assert list(json.loads(line)) == [column.name for column in table.columns]


def test_the_same_run_makes_the_same_bytes(tmp_path):
    folder, found = finished(tmp_path), []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        written(folder, tmp_path / name)
        found.append({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()})
    assert found[0] == found[1]
    assert set(found[0]) == {f"{table.name}.jsonl.gz" for table in TABLES}


def test_keys_of_another_version_are_left_out(tmp_path):
    folder = finished(tmp_path)
    with (folder / "metrics.jsonl").open("a") as file:
        file.write('{"step":300,"iteration":3,"rl_gone":1.0,"rl_gone{phase=\\"x\\"}":1.0,"rl_score":1.0}\n')
    rows = written(folder, tmp_path)
    assert rows[METRICS][2] == {"run_id": "run", "step": 300, "iteration": 3, "rl_score": 1.0}
    assert len(rows[PARTS]) == 4


@pytest.mark.parametrize("name", ["evaluation.json", "status.json", "metrics.jsonl", "run.yaml"])
@pytest.mark.parametrize("content", [None, b"", b"{", b"[]\n", b"\xff\n"])
def test_a_run_whose_files_do_not_say_it_has_no_rows(tmp_path, name, content):
    folder = finished(tmp_path)
    (folder / name).unlink() if content is None else (folder / name).write_bytes(content)
    with pytest.raises(tables.NoRows, match="run has no rows"):
        written(folder, tmp_path)


@pytest.mark.parametrize("seeds", [1, 2])
def test_a_finished_run_of_a_store_is_in_its_tables_and_so_is_each_of_a_group(tmp_path, seeds):
    objects, folder = MemoryObjects(), finished(tmp_path, seeds=seeds)
    mirror = Mirror.create(objects, "run", folder, step=200, pace=QUICK)
    assert not [key for key in objects.data if key.startswith("tables/")]
    mirror.close(State.FINISHED)
    run_ids = ["run"] if seeds == 1 else ["run/seed-0", "run/seed-1"]
    keys = [tables.key(table, run_id) for table in TABLES for run_id in run_ids]
    assert {key for key in objects.data if key.startswith("tables/")} == set(keys)
    for run_id in run_ids:
        (row,) = lines(objects.data[tables.key(RUNS, run_id)])
        assert (row["run_id"], row.get("group_id")) == (run_id, "run" if seeds > 1 else None)


def test_a_run_without_rows_is_finished_all_the_same(tmp_path):
    objects, training = MemoryObjects(), StandIn(tmp_path / "a").begin()
    mirror = Mirror.create(objects, "run", tmp_path / "a", pace=QUICK)
    training.train()
    training.finish()
    mirror.close(State.FINISHED)
    assert "run/report.html" in objects.data
    assert not [key for key in objects.data if key.startswith("tables/")]


def test_a_run_that_is_called_as_the_tables_are_is_in_nobodys_way(tmp_path):
    objects, folder = MemoryObjects(), finished(tmp_path, name="tables")
    Mirror.create(objects, "tables", folder, step=200, pace=QUICK).close(State.FINISHED)
    own = {key for key in objects.data if key.startswith("tables/")}
    rows = {tables.key(table, "tables") for table in TABLES}
    assert rows < own
    assert not {path.name for path in folder.rglob("*")} & {table.name for table in TABLES}


def test_run_files_say_what_rows_need():
    said = load.validate({"env": "slipway/CartPole-v1"}).model_dump(mode="json")
    assert said["agent"]["algorithm"]
    assert "price_usd_per_hour" in said["budget"]


def test_the_page_of_the_docs_is_the_code():
    command = "run `python -m trainer.store.reference > docs/reference/tables.md`"
    assert PAGE.read_text() == reference.page(), command
