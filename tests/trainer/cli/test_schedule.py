"""`slipway schedule`: valid schedules of instances of any size, in files, and one clear error for whatever is wrong."""

import csv
import json

import numpy as np
import pytest

from envs import registry
from envs.jobshop import library, schedule
from trainer.checkpoint import Checkpoints
from trainer.cli import application
from trainer.config import load
from trainer.evaluation import schedules
from trainer.iteration import TensorTraining
from trainer.run import group
from trainer.run.directory import RunDirectory
from trainer.store import resolve

KIND = {"kind": "permutation-equivariant", "actor": [8], "critic": [8]}
FILE = "# a small shop\n3 2\n0 3 1 2\n0 2 1 4\n1 5 0 1\n"


def untrained(store, run_id, agent, env="slipway/JobShop-v0", **parameters):
    """A run at its start, with a checkpoint."""
    run_file = load.validate({"env": {"id": env, "parameters": parameters}, "agent": agent})
    run = RunDirectory.create(resolve(str(store)), run_id, run_file)
    training = TensorTraining(registry.make(env, **parameters), run_file.agent, 1, 0)
    Checkpoints(run.checkpoints).save(0, training.state(), {})
    return run


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("store")
    labelling = {"algorithm": "self-labelling", "networks": KIND}
    untrained(folder, "any-size", labelling, jobs=4, machines=3, forced_dispatches=2)
    untrained(folder, "one-size", {"networks": {"actor": [8], "critic": [8]}}, jobs=3, machines=3)
    untrained(folder, "pole", {}, env="slipway/CartPole-v1")
    RunDirectory.create(resolve(str(folder)), "empty", load.validate({"env": "slipway/JobShop-v0"}))
    group.create(resolve(str(folder)), "group", group.with_seeds(load.validate({"env": "slipway/JobShop-v0"}), 2))
    (folder / "shop.txt").write_text(FILE)
    (folder / "ft06.txt").write_text(FILE)
    (folder / "bad.txt").write_text(FILE.replace("1 4", "1 x"))
    return folder


def run(store, *arguments):
    return application.run(["schedule", "--store", str(store), *map(str, arguments)])


def test_schedules_are_valid_and_in_files(store, tmp_path, capsys):
    out = tmp_path / "made" / "here"
    code = run(store, "any-size", "la01", store / "shop.txt", "--samples", 4, "--mirror", "--out", out, "--json")
    said = json.loads(capsys.readouterr().out)
    assert code == 0
    assert [(one["instance"], one["jobs"], one["machines"], one["attempts"]) for one in said] == [
        ("la01", 10, 5, 4),
        ("shop", 3, 2, 4),
    ]
    assert (said[0]["best_known"], said[0]["gap_to"]) == (666, "best_known")
    assert said[0]["gap_ratio"] == pytest.approx(said[0]["makespan"] / 666 - 1)
    assert (said[1]["best_known"], said[1]["gap_to"]) == (None, "lower_bound")
    shapes = {"la01": library.named("la01"), "shop": library.read(str(store / "shop.txt"))}
    for one in said:
        instance = shapes[one["instance"]]
        whole = json.loads((out / f"{one['instance']}.json").read_text())
        with (out / f"{one['instance']}.csv").open() as file:
            table = [{key: int(value) for key, value in row.items()} for row in csv.DictReader(file)]
        assert whole["operations"] == table
        starts = np.full(instance.durations.shape, -1)
        for row in table:
            at = row["job"], row["operation"]
            starts[at] = row["start"]
            assert row["end"] - row["start"] == instance.durations[at]
            assert row["machine"] == instance.machines[at]
        assert schedule.violations(instance, starts) == []
        assert schedule.makespan(instance, starts) == one["makespan"] == whole["makespan"] >= one["lower_bound"]
        assert (out / f"{one['instance']}.png").read_bytes().startswith(b"\x89PNG")
        assert one["files"] == {kind: str(out / f"{one['instance']}.{kind}") for kind in ("json", "csv", "png")}
    assert run(store, "any-size", "la01", "--out", out) == 2  # not overwritten
    assert "la01.json, which is not overwritten" in capsys.readouterr().err
    assert run(store, "any-size", store / "shop.txt") == 0
    shown = capsys.readouterr().out
    assert "3 x 2" in shown
    assert "over the lower bound" in shown


WRONG = {
    "no run": (["nothing", "ft06"], ("RUN: 'nothing'", "a run directory")),
    "a group": (["group", "ft06"], ("RUN: 'group'", "one run, not a group")),
    "no checkpoint": (["empty", "ft06"], ("RUN: 'empty'", "a run with a checkpoint")),
    "another task": (["pole", "ft06"], ("RUN: 'pole'", "it is on slipway/CartPole-v1")),
    "no instance": (["any-size"], ("INSTANCE: a missing value", "ft06, ft10", "name one after RUN")),
    "no such instance": (["any-size", "ft6"], ("INSTANCE: 'ft6'", "ta30, or the path of a file", "write ft06")),
    "a wrong file": (["any-size", "{store}/bad.txt"], ("bad.txt, line 4, column 7: x", "how long the operation takes")),
    "twice": (["any-size", "ft06", "ft06"], ("INSTANCE: 'ft06'", "ft06 is taken")),
    "a name that ships": (["any-size", "{store}/ft06.txt"], ("ft06.txt", "ft06 is taken", "rename the file")),
    "odd samples": (["any-size", "ft06", "--samples", "5", "--mirror"], ("--samples: 5", "an even number", "6")),
    "no temperature": (["any-size", "ft06", "--temperature", "0"], ("--temperature: '0'", "from 0.01 to 100")),
    "too long a wait": (["any-size", "ft06", "--delay", "nan"], ("--delay: 'nan'", "a number from 0 to 1")),
    "no samples": (["any-size", "ft06", "--samples", "0"], ("--samples: '0'", "from 1 to 65536")),
    "a file for a folder": (["any-size", "ft06", "--out", "{store}/shop.txt"], ("--out", "this is a file")),
    "another size": (["one-size", "ft06"], ("INSTANCE: '6 jobs on 6 machines'", "permutation-equivariant")),
}


@pytest.mark.parametrize(("arguments", "expected"), WRONG.values(), ids=WRONG)
def test_wrong_input_gets_one_clear_error(store, capsys, arguments, expected):
    assert run(store, *(argument.format(store=store) for argument in arguments)) == 2
    error = capsys.readouterr().err
    assert error.count("is not allowed") == 1
    for part in expected:
        assert part in error


def test_gaps_are_those_of_the_schedules(store):
    dispatcher = schedules.Dispatcher.of_run(RunDirectory.open(store / "any-size"))
    found = schedules.gaps(dispatcher, ["ft06"], samples=8)
    assert found.greedy_mirrored <= found.greedy
    one = dispatcher.schedule(library.named("ft06"), schedules.Plan(samples=8, mirror=True))
    assert found.best_of_mirrored == pytest.approx(min(one.makespans) / 55 - 1)
    assert len(one.makespans) == 8
    assert len(set(one.makespans)) > 1  # drawn


def test_a_low_temperature_draws_the_greedy_schedule_and_waits_can_be_allowed(store):
    dispatcher, work = schedules.Dispatcher.of_run(RunDirectory.open(store / "any-size")), library.named("ft06")
    greedy = dispatcher.schedule(work, schedules.Plan())
    cold = dispatcher.schedule(work, schedules.Plan(samples=4, temperature=1e-6))
    assert set(cold.makespans) == set(greedy.makespans)
    waiting = dispatcher.schedule(work, schedules.Plan(samples=4096, temperature=100.0, delay=0.5))
    assert waiting.makespan < 57  # what no schedule without waits has
    assert schedule.violations(work, waiting.starts) == []
