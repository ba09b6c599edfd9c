"""Each measurement of stores is made for real, on little: figures for every store, that make sense; none is judged."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.run import FOLDER, main, plan
from benchmarks.settings import OFF_POLICY
from benchmarks.stores import AGENTS, KINDS, SHARED, STORES, commit, overhead, page, resume, transfer
from benchmarks.stores.standing import divide, standing

TINY = {
    "num_envs": 4,
    "rollout_steps": 4,
    "gradient_steps": 1,
    "minibatch_size": 8,
    "replay_size": 200,
    "learning_starts": 16,
    "networks": {"layers": [8]},
}


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    with standing(tmp_path_factory.mktemp("stores"), os.sched_getaffinity(0)) as places:
        yield places


def test_all_stores_stand_apart_and_the_environment_is_given_back(tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_REGION", "before")
    monkeypatch.delenv("STORAGE_EMULATOR_HOST", raising=False)
    one = {min(os.sched_getaffinity(0))}
    with standing(tmp_path, one) as places:
        assert tuple(places) == STORES
        assert os.environ["SLIPWAY_WORK"] == str(tmp_path / "work")
        listed = subprocess.run(["pgrep", "-P", str(os.getpid())], capture_output=True, text=True, check=True)
        pinned = [Path(f"/proc/{pid}/status").read_text() for pid in listed.stdout.split()]
        wanted = f"Cpus_allowed_list:\t{min(one)}\n"
        assert sum(wanted in status for status in pinned) >= 2
    assert os.environ["AWS_REGION"] == "before"
    assert "STORAGE_EMULATOR_HOST" not in os.environ


def test_processors_are_divided():
    measured, servers = divide()
    assert measured
    assert servers
    assert measured.isdisjoint(servers) or os.cpu_count() == 1


@pytest.mark.slow
def test_a_checkpoint_in_each_store_is_what_neighbouring_blocks_differ_by(places):
    found = overhead.measure(places, overhead.run_file("cartpole-dqn", TINY), seconds=0.05, pairs=2)
    assert tuple(found) == STORES
    for name, figures in found.items():
        assert len(figures["added_seconds"]) == len(figures["added_processor_seconds"]) == 2
        assert all(seconds > 0 for seconds in figures["plain_seconds"])
        # Rows of four observations, twice, and more; the replay is full.
        assert figures["checkpoint_bytes"] > 200 * 8 * 4
        assert 0 < figures["snapshot_seconds"] < 10
        assert 0 < figures["save_seconds"] < 10
        assert (len(figures["commit_seconds"]) > 4) == (name in SHARED)
        assert all(seconds > 0 for seconds in figures["commit_seconds"])


def test_commits_are_timed_by_store_and_size(places):
    found = commit.measure(places, {2000: 3, 200_000: 1}, seed=1)
    assert tuple(found) == STORES
    for by_size in found.values():
        assert {size: len(seconds) for size, seconds in by_size.items()} == {"2000": 3, "200000": 1}
        assert all(0 < value < 60 for seconds in by_size.values() for value in seconds)


@pytest.mark.parametrize("seed", [1, 2])
def test_files_go_to_each_store_and_back_by_both_clients(places, tmp_path, seed):
    found = transfer.measure(places, tmp_path, 300_000, seed)
    clients = {"nas": {"cp", "cp, fsync"}, "s3": {"boto3"}, "gs": {"google-cloud-storage"}}
    assert {name: set(by["upload"]) - {"slipway"} for name, by in found.items()} == clients
    for by_direction in found.values():
        assert set(by_direction["upload"]) == set(by_direction["download"])
        assert all(speed > 0 for by_client in by_direction.values() for speed in by_client.values())
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


@pytest.mark.slow
def test_a_cold_resume_is_seen_in_its_parts(places, tmp_path):
    settings = overhead.run_file("cartpole-dqn", TINY)
    found = resume.measure({"s3": places["s3"]}, settings, tmp_path)["s3"]
    assert 0 < found["taken"] < found["fetched"] < found["iterated"] < resume.WAIT_SECONDS


def test_a_process_that_ends_is_not_waited_for(tmp_path):
    with (
        pytest.raises(RuntimeError, match="ended"),
        resume._slipway(["resume", str(tmp_path / "none")], {}) as process,
    ):
        resume._until(lambda: False, process)


def test_stores_are_measured_by_their_own_programs():
    assert {what.kind for what in plan(quick=False) if what.kind.startswith("store-")} == set(KINDS)
    overheads = {what.setting for what in plan(quick=False) if what.kind == "store-overhead"}
    assert overheads == set(AGENTS)
    assert overheads.isdisjoint(OFF_POLICY)


def test_the_stores_own_command_measures_nothing_else(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["stores", "--only", "speed"])
    with pytest.raises(SystemExit) as stopped:
        main(KINDS, "python -m benchmarks.stores")
    assert stopped.value.code == 2
    assert "store-overhead" in capsys.readouterr().err
    assert (FOLDER / "stores/__main__.py").is_file()


def overhead_row(number, added):
    figures = {
        "added_seconds": [added, 9.0, added],
        "added_processor_seconds": [added / 2],
        "plain_seconds": [4.0],
        "checkpoint_bytes": 2_000_000,
        "save_seconds": 0.01,
        "snapshot_seconds": 0.002,
        "commit_seconds": [1.0, 2.0],
        "late": 1,
    }
    row = {"kind": "store-overhead", "setting": "cartpole-ppo", "program": "slipway", "round": number}
    return {**row, "stores": dict.fromkeys(STORES, figures)}


def test_the_share_is_that_of_one_checkpoint_a_minute():
    rows = [overhead_row(1, 1.2), overhead_row(0, 0.6)]
    line = next(line for line in page.overhead_table(rows) if "| s3 |" in line)
    assert "| 900 (600 to 1,200) |" in line  # milliseconds added
    assert "| **1.50 (1.00 to 2.00) %** | 45.0 (30.0 to 60.0) % at one each 2.00 s |" in line
    assert "cartpole-ppo, 2.00 MB" in line
    assert page.brief(rows[0]).startswith("local 1200 ms, nas")
    assert "has 3 pairs" in page.late(rows)
    assert "6 of 18 uploads went on" in page.late(rows)


def test_commits_of_all_rounds_are_taken_together():
    row = {"kind": "store-commit", "setting": "-", "program": "slipway"}
    rows = [
        {**row, "round": number, "stores": {store: {"10000000": [seconds]} for store in STORES}}
        for number, seconds in enumerate((1.0, 2.0, 3.0))
    ]
    assert "| 10.0 MB | gs | 2.00 | 2.90 | 3 |" in page.commit_table(rows)
    assert "| cartpole-ppo, while it trains | s3 | 1.50 | 1.95 | 2 |" in page.commit_table([*rows, overhead_row(0, 1)])


def test_a_resume_is_compared_with_a_local_one():
    cold = {"taken": 0.5, "fetched": 1.5, "iterated": 11.0}
    stores = {"local": {"iterated": 9.0}} | dict.fromkeys(SHARED, cold)
    rows = [{"kind": "store-resume", "setting": "-", "program": "slipway", "round": 0, "stores": stores}]
    lines = page.resume_table(rows)
    assert "| local | - | - | - | 9.00 | - |" in lines
    assert "| gs | 0.50 | 1.00 | 9.50 | 11.0 | 2.00 |" in lines


def test_throughput_is_a_ratio_to_the_plain_client():
    by_client = {"upload": {"slipway": 80e6, "boto3": 100e6}, "download": {"slipway": 50e6, "boto3": 25e6}}
    stores = dict.fromkeys(SHARED, by_client)
    rows = [{"kind": "store-transfer", "setting": "-", "program": "slipway", "round": 0, "stores": stores}]
    assert "| s3 | upload | 80.0 | boto3 | 100 | **0.80** |" in page.transfer_table(rows)
    assert "| s3 | download | 50.0 | boto3 | 25.0 | **2.00** |" in page.transfer_table(rows)
    divided = {"measured": [0], "servers": [1]}
    assert "others than what is measured" in page.where([{**rows[0], "processors": divided}])
    assert "the same as" in page.where([{**rows[0], "processors": {"measured": [0], "servers": [0]}}])
