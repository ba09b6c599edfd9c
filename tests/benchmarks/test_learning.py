"""What is measured, what counts as measured, what the page says of it; and a tiny case trained for real."""

import dataclasses
import math
import re

import pytest

from benchmarks.learning import __main__ as command
from benchmarks.learning import cases, curves, page, record, training
from benchmarks.learning.cases import Case, Measure
from benchmarks.learning.tasks import TASKS
from trainer.config import check, presets
from trainer.errors import BadInput

ABOUT = {"cpu": "X", "cores": 2, "memory_gib": 4, "system": "Linux", "python": "3.11", "load_average": 0.1}
PLAIN = {"cpu_seconds": 12.4, "wall_seconds": 20.0, "load_average": 1.5}


def named(name):
    return next(case for case in cases.CASES if case.name == name)


def entry(case, seeds, **more):
    given = {"settings": record.settings(case), "env_steps": 1_000_000, "told": [], "machine": ABOUT}
    given |= {"optimum": 4.73, "baseline_gaps": {"base-stock": 0.0993, "capped base-stock": 0.015}}
    return {**given, "seeds": {str(seed): {**PLAIN, **each} for seed, each in seeds.items()}, **more}


def row(text, preset):
    """The cells of the first row of a preset in the main tables."""
    line = next(line for line in text.splitlines() if line.startswith(f"| `{preset}` |"))
    return [cell.strip() for cell in line.strip("|").split("|")]


@pytest.fixture
def lost_sales():
    return named("lost-sales-ppo/L4p4")


@pytest.fixture
def cartpole():
    return named("cartpole-ppo")


@pytest.mark.parametrize("case", cases.CASES, ids=lambda case: case.name)
def test_every_case_is_a_preset_that_fits_its_task(case):
    assert case.preset in presets.names()
    check.check(case.run_file())
    assert case.task in {task.key for task in TASKS}


def test_names_are_unique_and_aims_are_finite():
    names = [case.name for case in cases.CASES]
    assert len(set(names)) == len(names)
    assert all(math.isfinite(each.aim) for case in cases.CASES for each in case.measures if each.aim is not None)


def test_seed_0_on_which_settings_were_chosen_is_never_reported():
    assert not any(0 in case.seeds for case in cases.CASES)


def test_main_cases_come_first_and_cheap_ones_before_dear_ones():
    chosen = cases.chosen([])
    assert len(chosen) == len(cases.CASES)
    keys = [(not case.main, case.minutes) for case in chosen]
    assert keys == sorted(keys)


def test_cases_are_chosen_by_case_preset_or_task():
    assert [case.name for case in cases.chosen(["lost-sales-ppo/L4p4"])] == ["lost-sales-ppo/L4p4"]
    assert len(cases.chosen(["lost-sales-ppo"])) == 12
    assert [case.name for case in cases.chosen(["lost-sales-ppo"], main_only=True)] == ["lost-sales-ppo/L4p4"]
    assert {case.task for case in cases.chosen(["frozen-lake", "cartpole"])} == {"frozen-lake", "cartpole"}


def test_an_unknown_name_is_one_clear_error(capsys, tmp_path):
    with pytest.raises(BadInput, match="cartpole-ppo"):
        cases.chosen(["cartpole"[:-1]])
    arguments = ["--only", "nothing", "--json", str(tmp_path / "a.json"), "--page", str(tmp_path / "a.md")]
    assert command.main(arguments) == 2
    assert "--list" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_lost_sales_case_is_the_preset_with_its_task(lost_sales):
    run_file = named("lost-sales-ppo-plain/L2p9").run_file()
    assert run_file.env.parameters == {"lead_time_periods": 2, "lost_sale_cost_per_unit": 9.0}
    assert run_file.agent.reward_scale == 0.1
    assert lost_sales.run_file().agent.reward_scale == 0.2


def test_only_missing_seeds_are_trained(lost_sales):
    known = {lost_sales.name: entry(lost_sales, {1: {"values": {"gap": 0.1}}, 2: {"failed": "not finite"}})}
    assert record.missing(known, lost_sales, (1, 2, 3)) == [3]
    assert record.missing({}, lost_sales, (1, 2)) == [1, 2]


def test_results_of_other_settings_do_not_count(lost_sales):
    for part, key in (("agent", "discount"), ("budget", "env_steps"), ("env", "id")):
        other = entry(lost_sales, {1: {"values": {"gap": 0.1}}})
        other["settings"][part][key] = 0.5
        assert record.missing({lost_sales.name: other}, lost_sales, (1,)) == [1]


def test_the_evaluation_counts_only_where_held_out_episodes_are_played(lost_sales, cartpole):
    assert record.settings(cartpole)["evaluation"] == {"seeds": 20, "episodes_per_seed": 50}
    assert "evaluation" not in record.settings(lost_sales)
    fewer = dataclasses.replace(cartpole, settings=("evaluation.episodes_per_seed=2",))
    assert not record.same(record.settings(fewer), cartpole)


def test_a_setting_that_is_new_leaves_results_valid_unless_the_preset_uses_it(cartpole):
    old = record.settings(cartpole)
    del old["agent"]["common_random_numbers"]  # null in the preset, as by default
    assert record.same(old, cartpole)
    del old["agent"]["gae_lambda"]  # the preset has a value of its own
    assert not record.same(old, cartpole)


def test_saving_one_case_leaves_the_others(lost_sales, cartpole, tmp_path):
    path = tmp_path / "learning.json"
    record.put(path, lost_sales, entry(lost_sales, {1: {"values": {"gap": 0.1}}}))
    scores = [100.5, 200.0, 3.0]
    record.put(path, cartpole, entry(cartpole, {1: {"values": {"score": 9.0}, "held_out": scores}}))
    kept = record.read(path)
    assert set(kept) == {lost_sales.name, cartpole.name}
    assert kept[cartpole.name]["seeds"]["1"]["held_out"] == scores
    assert re.search(r'"held_out": \[ *100\.5, 200\.0, 3\.0 *\]', path.read_text())  # on one line


def test_what_has_been_measured_belongs_to_the_cases_of_today():
    """Else the page would drop it in silence."""
    entries = record.read(command.FOLDER / "learning.json")
    assert entries
    assert set(entries) <= {case.name for case in cases.CASES}
    assert [name for name, kept in entries.items() if not record.same(kept["settings"], named(name))] == []


def test_the_page_is_made_of_what_has_been_measured():
    entries = record.read(command.FOLDER / "learning.json")
    plots = {task.key: f"plots/{task.key}.svg" for task in TASKS if curves.draw(task, entries) is not None}
    assert page.page(entries, plots) == (command.FOLDER / "LEARNING.md").read_text(encoding="utf-8")
    assert all((command.FOLDER / path).is_file() for path in plots.values())


def test_a_row_has_mean_spread_interval_aim_and_verdict(lost_sales):
    gaps = {
        seed: {"values": {"gap": gap}}
        for seed, gap in zip((1, 2, 3, 4, 5), (1e-4, 2e-4, 3e-4, 4e-4, 5e-4), strict=True)
    }
    text = page.page({lost_sales.name: entry(lost_sales, gaps, told=["Told: the law of demand."])}, {})
    # Student's quantile with four degrees of freedom is 2.776: .03 +- 2.776 * .0158 / sqrt(5).
    assert row(text, "lost-sales-ppo") == [
        "`lost-sales-ppo`",
        "gap, %",
        "0.030",
        "0.050 to 0.010",
        "0.010 to 0.050",
        "at most 0.05",
        "reached",
        "5",
        "1.00 M",
        "12",
        "20",
    ]
    assert "- Told: the law of demand." in text
    assert "Machine: X, 2 cores, 4 GiB, Linux, Python 3.11. Load average when a training began: 1.50" in text


def test_missing_seeds_and_missed_aims_are_said(cartpole):
    def found(*means):
        seeds = {
            seed: {"values": {"score": mean}, "held_out": [mean - 1, mean + 1] * 10}
            for seed, mean in enumerate(means, 1)
        }
        return page.page({cartpole.name: entry(cartpole, seeds)}, {})

    assert row(found(), "cartpole-ppo")[6] == "not measured yet"
    assert row(found(300.0, 310.0, 305.0), "cartpole-ppo")[6] == "not reached, 3 of 5 seeds so far"
    assert row(found(500.0, 500.0), "cartpole-ppo")[6] == "reached, 2 of 5 seeds so far"
    low = row(found(499.0, 500.0, 500.0, 500.0, 500.0), "cartpole-ppo")
    assert low[2:4] == ["499.8", "499.0 to 500.0"]
    assert low[6] == "not reached; within the interval"
    assert "`cartpole-ppo` (return): 305.0 for at least 500" in found(300.0, 310.0, 305.0)


def test_failed_seeds_are_said(cartpole):
    text = page.page({cartpole.name: entry(cartpole, {1: {"failed": "x"}, 2: {"values": {"score": 500.0}}})}, {})
    assert row(text, "cartpole-ppo")[6] == "reached, 1 of 4 seeds so far, 1 of 5 seeds failed"


def test_an_aim_in_the_interval_counts_where_the_case_says_so():
    found = page.Summary(0.73, 0.72, 0.74, 0.70, 0.76, 5)
    assert page.verdict(found, Measure("score", "share", 4, aim=0.7442, in_interval=True), 5) == "reached"
    assert page.verdict(found, Measure("score", "share", 4, aim=0.7442), 5) == "not reached; within the interval"
    assert page.verdict(found, Measure("score", "share", 4, aim=0.8, in_interval=True), 5) == "not reached"
    assert page.verdict(found, Measure("score", "cost", 2, aim=0.75, higher=False), 5) == "reached"


def test_a_policy_without_a_finite_figure_is_infinitely_bad(lost_sales):
    kept = entry(lost_sales, {1: {"values": {"gap": None}}, 2: {"values": {"gap": 0.01}}})
    found = page.summary(kept, lost_sales, lost_sales.measures[0])
    assert (found.mean, found.worst, found.best, found.low) == (math.inf, math.inf, 1.0, None)


def test_results_of_other_settings_are_not_on_the_page(cartpole):
    other = entry(cartpole, {1: {"values": {"score": 500.0}}})
    other["settings"]["agent"]["discount"] = 0.5
    assert row(page.page({cartpole.name: other}, {}), "cartpole-ppo")[6] == "not measured yet"


def test_curves_are_thinned_to_means_over_neighbours():
    points = [(10 * step, step * 1.0, 1.0) for step in range(1, 7)]
    assert training.thinned(points, 3) == ([20, 40, 60], [1.5, 3.5, 5.5])
    assert training.thinned(points, 100) == ([10, 20, 30, 40, 50, 60], [1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    # Five episodes weigh more than one; where none ended, there is no point.
    assert training.thinned([(1, 5.0, 5.0), (2, 7.0, 1.0), (3, 0.0, 0.0), (4, 0.0, 0.0)], 2) == ([2], [2.0])


def test_a_drawing_has_a_panel_for_each_preset_that_has_curves(cartpole):
    curve = [[100, 200, 300], [20.0, 100.0, 400.0]]
    task = next(task for task in TASKS if task.key == "cartpole")
    assert curves.draw(task, {}) is None
    seeds = {seed: {"values": {"score": 1.0}, "curve": curve} for seed in (1, 2)}
    text = curves.draw(task, {cartpole.name: entry(cartpole, seeds)})
    assert text.count("cartpole-ppo") == 1
    assert "cartpole-dqn" not in text
    assert "most 500" in text
    assert "aim 500" not in text  # which is the same
    assert text.startswith("<svg")


TINY = (
    "agent.num_envs=8",
    "agent.rollout_steps=8",
    "agent.minibatch_size=32",
    "agent.epochs=1",
    "budget.env_steps=256",
    "evaluation.seeds=2",
    "evaluation.episodes_per_seed=2",
)


def test_a_tiny_case_is_trained_and_measured_seed_by_seed():
    measures = (Measure("score", "share"), Measure("exact", "probability"))
    case = Case("frozen-lake", "frozen-lake-ppo", ("held-out", "exact"), measures, 0, TINY)
    counts = []
    training.train(case, [1, 2], None, lambda kept: counts.append(dict(kept["seeds"])))
    assert [list(seeds) for seeds in counts] == [["1"], ["1", "2"]]
    for seed in counts[-1].values():
        assert set(seed["values"]) == {"score", "sampled_gap", "exact", "gap"}
        assert len(seed["held_out"]) == 2
        assert seed["curve"][0] == [64, 128, 192, 256]
        assert seed["cpu_seconds"] > 0


def test_a_case_of_gymnasiums_goes_on_with_the_seeds_that_are_missing(tmp_path):
    case = Case("cartpole", "gymnasium-ppo-discrete", ("held-out",), (Measure("score", "return"),), 0, TINY)
    path = tmp_path / "learning.json"
    for seed in (1, 2):
        assert record.missing(record.read(path), case, (1, 2))[0] == seed
        training.train(case, [seed], record.read(path).get(case.name), lambda kept: record.put(path, case, kept))
    kept = record.read(path)[case.name]
    assert kept["env_steps"] == 256
    assert [set(seed["values"]) for seed in kept["seeds"].values()] == [{"score", "sampled_gap"}] * 2
    assert all(1 <= score <= 500 for seed in kept["seeds"].values() for score in seed["held_out"])


def test_a_seed_whose_numbers_stop_being_finite_is_kept_as_failed():
    case = Case("cartpole", "cartpole-ppo", (), (), 0, (*TINY, "agent.reward_scale=1e30"))
    saved = []
    training.train(case, [1], None, saved.append)
    assert "finite" in saved[0]["seeds"]["1"]["failed"]


def test_the_instruments_on_fixed_instances_measure_a_policy():
    from benchmarks.learning import instruments
    from trainer import target as targets

    small = (*TINY, "agent.networks.actor=[8]", "agent.networks.critic=[8]")
    chain = Case("supply-chain", "inventory-management-ppo", (), (), 0, small)
    target = targets.Target.of(chain.run_file())
    learner = target.training(chain.run_file()).learner
    profit = instruments.make("published-paths", target, learner, chain.run_file())()["values"]["published"]
    assert -10_000 < profit <= 1023.9 + 0.1  # the oracle's mean on these paths
