"""Finished runs in BigQuery: what is made, whether its SQL says what it should, and where it is drawn.

The SQL runs in SQLite here, on rows of runs. That shows what it means, and not that BigQuery takes it.
"""

import fnmatch
import gzip
import json
import re
import sqlite3
import urllib.parse
from datetime import datetime

import evaluated
import gcp_site
import google_schema
import pytest
import recording

from infra.gcp import analytics, views
from infra.gcp.analytics import Analytics, AnalyticsArgs
from infra.gcp.keys import Key, KeyArgs
from infra.gcp.services import Services, ServicesArgs
from infra.gcp.storage import Storage, StorageArgs
from infra.lifecycle import RULES, Lifecycle
from trainer.config.models import NAME_PATTERN
from trainer.metrics.catalogue import sample_key
from trainer.metrics.sinks.jsonl import JsonlSink
from trainer.run.directory import RunDirectory
from trainer.run.status import State
from trainer.store import tables

BUCKET = f"slipway-dev-artifacts-{gcp_site.RANDOM}"
DATASET = "my-project.slipway_dev"
POLICY = {"ci_low": 4.4, "ci_high": 4.6, "iqm": 4.5, "optimality_gap_ratio": 0.1, "per_seed": [4.5]}


def record(*, preview=False, **more):
    """What the tables need alone: no network, no machines."""
    planned = gcp_site.plan(analytics="true", **more)

    def program():
        services = Services(ServicesArgs(planned))
        key = Key(KeyArgs(planned, services))
        storage = Storage(StorageArgs(planned, key))
        made = Analytics(AnalyticsArgs(planned, services, key, storage))
        return {"dataset": made.dataset, "urls": made.urls}

    return recording.record(program, gcp_site.Google(), preview=preview)


@pytest.fixture(scope="module")
def site():
    return record()


def of_kind(recorded, kind):
    return [each for each in recorded[0] if each.kind == kind]


def by_name(recorded):
    return {each.inputs["tableId"]: each for each in of_kind(recorded, "Table")}


def test_there_is_a_table_over_files_and_a_view_for_each_of_the_stores(site):
    names = {table.name for table in tables.TABLES}
    made = by_name(site)
    assert made.keys() == names | {views.files(name) for name in names} | {view.name for view in views.of_queries()}
    assert all(("view" in each.inputs) != name.endswith("_files") for name, each in made.items())
    assert site[1]["dataset"] == DATASET


@pytest.mark.parametrize("table", tables.TABLES, ids=lambda table: table.name)
def test_a_table_reads_the_files_that_runs_leave(site, table):
    data = by_name(site)[views.files(table.name)].inputs["externalDataConfiguration"]
    (uri,) = data["sourceUris"]
    store = f"gs://{BUCKET}/runs"
    for run_id in ("cartpole-ppo-0a1b2c", "group/seed-0", analytics.NOBODY):
        assert fnmatch.fnmatchcase(f"{store}/{tables.key(table, run_id)}", uri)
    for other in tables.TABLES:
        if other is not table:
            assert not fnmatch.fnmatchcase(f"{store}/{tables.key(other, 'run')}", uri)
    assert uri.count("*") == 1  # BigQuery takes no more
    assert (data["sourceFormat"], data["compression"], data["autodetect"]) == ("NEWLINE_DELIMITED_JSON", "GZIP", False)
    columns = json.loads(data["schema"])
    assert [column["name"] for column in columns] == [column.name for column in table.columns]
    for column in columns:
        assert not google_schema.problems("bigquery.v2", "TableFieldSchema", column)


def test_each_table_has_a_file_that_is_no_runs(site):
    objects = {each.inputs["name"]: each for each in of_kind(site, "BucketObject")}
    assert objects.keys() == {f"runs/{tables.key(table, analytics.NOBODY)}" for table in tables.TABLES}
    assert not re.fullmatch(NAME_PATTERN, analytics.NOBODY)
    assert gzip.decompress(analytics._nobody().read_bytes()) == b"{}\n"
    for table in tables.TABLES:
        nobody = objects[f"runs/{tables.key(table, analytics.NOBODY)}"]
        assert nobody.urn in by_name(site)[views.files(table.name)].dependencies


def test_views_are_made_after_what_they_ask(site):
    made = by_name(site)
    for table in tables.TABLES:
        assert made[views.files(table.name)].urn in made[table.name].dependencies
        for view in views.of_queries():
            assert made[table.name].urn in made[view.name].dependencies


def test_the_dataset_is_encrypted_by_the_sites_key_which_bigquery_may_use(site):
    (dataset,) = of_kind(site, "Dataset")
    (key,) = of_kind(site, "CryptoKey")
    assert dataset.refers_to["defaultEncryptionConfiguration"] == [key.urn]
    assert (dataset.inputs["datasetId"], dataset.inputs["location"]) == ("slipway_dev", gcp_site.REGION)
    (grant,) = [each for each in of_kind(site, "CryptoKeyIAMMember") if each.name.endswith("-key-bigquery")]
    assert grant.urn in dataset.dependencies
    assert "accesses" not in dataset.inputs


@pytest.mark.parametrize("lifecycle", Lifecycle)
def test_the_lifecycle_decides_what_goes(lifecycle):
    found, rules = record(lifecycle=str(lifecycle)), RULES[lifecycle]
    (dataset,) = of_kind(found, "Dataset")
    assert dataset.protect is rules.protect
    assert dataset.inputs["deleteContentsOnDestroy"] is rules.force_destroy
    for name, each in by_name(found).items():
        protected = rules.deletion_protection and not name.endswith("_files")  # which hold nothing
        assert each.inputs["deletionProtection"] is protected


def test_it_can_be_seen_before(site):
    seen = record(preview=True)
    assert {(each.type, each.name) for each in seen[0]} == {(each.type, each.name) for each in site[0]}


def test_reports_are_of_views(site):
    for view in views.of_queries():
        address = urllib.parse.urlsplit(site[1]["urls"][view.name])
        assert (
            f"{address.scheme}://{address.netloc}{address.path}" == "https://lookerstudio.google.com/reporting/create"
        )
        said = dict(urllib.parse.parse_qsl(address.query, strict_parsing=True))
        title = view.name.replace("_", " ")
        assert said == {
            "c.mode": "edit",
            "r.reportName": f"slipway-dev: {title}",
            "ds.ds0.connector": "bigQuery",
            "ds.ds0.type": "TABLE",
            "ds.ds0.projectId": "my-project",
            "ds.ds0.datasetId": "slipway_dev",
            "ds.ds0.tableId": view.name,
            "ds.ds0.billingProjectId": "my-project",
            "ds.ds0.datasourceName": f"slipway-dev: {view.name}",
        }
        assert view.name in by_name(site)


def finished(store, name, mean, cost):
    """The rows of a finished run, by table."""
    policies = {"greedy": {**POLICY, "mean": mean}}
    folder = evaluated.write(store, name, [[mean]], policies=policies)
    run = RunDirectory(folder)
    sink = JsonlSink(run.metrics)
    for number in (1, 2):
        row = {"iteration": number, "rl_score": mean + 1 / number, "rl_cost_usd_total": cost * number / 2}
        row[sample_key("rl_phase_duration_seconds", phase="iteration")] = 2.0
        sink.write(row, 500_000 * number, 1800.0 * number)
    sink.close()
    run.move(State.RUNNING)
    run.move(State.FINISHED, env_steps=1_000_000, iteration=2, wall_time_seconds=3600.0)
    written = tables.write(name, lambda file: (folder / file).read_bytes() if (folder / file).exists() else b"", store)
    return {
        table: [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]
        for table, path in written.items()
    }


@pytest.fixture
def ask(site, tmp_path):
    """Asks SQLite, which has the files' rows as tables and the views' SQL as views."""
    runs = [finished(tmp_path, "worse", 4.6, 1.0), finished(tmp_path, "better", 4.2, 0.5)]
    database = sqlite3.connect(":memory:")
    database.row_factory = sqlite3.Row
    database.create_function("TIMESTAMP", 1, lambda text: text and datetime.fromisoformat(text).isoformat())
    for table in tables.TABLES:
        name, columns = f"`{DATASET}.{views.files(table.name)}`", [column.name for column in table.columns]
        database.execute(f"CREATE TABLE {name} ({', '.join(columns)})")
        rows = [json.loads(gzip.decompress(analytics._nobody().read_bytes()))]
        rows += [row for run in runs for row in run[table]]
        marks = ", ".join("?" * len(columns))
        database.executemany(
            f"INSERT INTO {name} VALUES ({marks})", [[row.get(column) for column in columns] for row in rows]
        )
    for name, each in by_name(site).items():
        if "view" in each.inputs:
            database.execute(f"CREATE VIEW `{DATASET}.{name}` AS {each.inputs['view']['query']}")

    def rows_of(view, order):
        return [dict(row) for row in database.execute(f"SELECT * FROM `{DATASET}.{view}` ORDER BY {order}")]

    yield rows_of
    database.close()


def test_views_of_tables_leave_the_file_out_that_is_no_runs(ask):
    assert [row["run_id"] for row in ask("runs", "run_id")] == ["better", "worse"]
    assert len(ask("metrics", "run_id")) == 4
    assert len(ask("scores", "run_id")) == 2
    assert ask("runs", "run_id")[0]["started_at"]


def test_the_best_run_is_the_first_where_low_scores_are_good(ask):
    assert [(row["place"], row["run_id"], row["score"]) for row in ask("best_runs", "place")] == [
        (1, "better", 4.2),
        (2, "worse", 4.6),
    ]


def test_the_best_runs_curve_is_drawn(ask):
    rows = ask("learning_curves", "step")
    assert [(row["run_id"], row["step"], row["rl_score"]) for row in rows] == [
        ("better", 500_000, 5.2),
        ("better", 1_000_000, 4.7),
    ]


def test_costs_are_added_up(ask):
    (row,) = ask("costs", "env_id")
    assert (row["runs"], row["cost_usd"], row["hours"]) == (2, 1.5, 2.0)


def test_every_question_has_an_answer(ask):
    for view in views.of_queries():
        assert ask(view.name, "1"), view.name


def test_tables_have_their_full_names_wherever_sql_names_them():
    for view in views.of_queries():
        sql = view.query(DATASET)
        assert not re.findall(r"\b(?:FROM|JOIN) (?![`(])", sql)
        assert set(re.findall(rf"`{DATASET}\.(\w+)`", sql)) <= {table.name for table in tables.TABLES}
