"""The report's sentences."""

import json
from pathlib import Path

from trainer.report import data, words


def test_the_verdict_says_mean_interval_exact_score_and_gap(complete_run):
    assert words.verdict(data.read(complete_run)) == (
        "Mean cost 4.731 (95 % interval 4.725 to 4.737); exactly 4.7300, 0.023 % above the optimum of 4.7289."
    )


def test_without_an_exact_result_the_gap_is_the_sampled_one(write_run):
    folder = write_run().start().metrics().evaluate(mean=4.8, half=0.01, exact=False).folder
    assert words.verdict(data.read(folder)) == (
        "Mean cost 4.800 (95 % interval 4.790 to 4.810), 1.50 % above the optimum of 4.729."
    )


def test_a_sample_better_than_the_optimum_is_put_down_to_chance(write_run):
    folder = write_run().start().metrics().evaluate(mean=4.7279, half=0.01, exact=False).folder
    assert "0.021 % better, by chance of the sample, than the optimum" in words.verdict(data.read(folder))


def test_without_an_optimum_there_is_no_gap(episodic_run):
    run = data.read(episodic_run)
    assert words.verdict(run) == "Mean return -151 (95 % interval -163 to -140)."
    # A share of a negative return would say nothing.
    assert words.comparison(run) == (
        "Better than the best baseline, random (-1\N{NARROW NO-BREAK SPACE}224) by 1\N{NARROW NO-BREAK SPACE}073: "
        "the intervals are apart."
    )
    assert words.score_meaning(run)[0].startswith("The score is the return (reward): the sum over one episode")


def test_a_group_says_the_mean_gap_and_the_worst(group):
    assert words.verdict(data.read(group)) == (
        "Mean cost 4.73320 (95 % interval 4.73300 to 4.73340); exactly 4.7300, 0.024 % above the optimum of 4.7289 "
        "(worst of 5: 0.028 %)."
    )


def test_a_group_with_an_unfinished_member_keeps_to_its_own_evaluation(group):
    (group / "seed-3" / "evaluation.json").unlink()
    assert words.verdict(data.read(group)).endswith("; exactly 4.7300, 0.024 % above the optimum of 4.7289.")
    evaluation = json.loads((group / "evaluation.json").read_text())
    (group / "evaluation.json").write_text(json.dumps(evaluation | {"exact": {}}))
    assert words.verdict(data.read(group)).endswith(", 0.091 % above the optimum of 4.7289.")


def test_the_best_baseline_is_met_on_common_seeds(complete_run):
    assert words.comparison(data.read(complete_run)) == (
        "Better than the best baseline, capped base-stock (4.800) by 1.44 %: on the same seeds the difference is "
        "-0.0731 to -0.0651 (95 % interval)."
    )


def test_a_worse_and_a_level_agent_are_said_to_be_so(write_run):
    worse = write_run("worse").start().evaluate(mean=4.9, exact=False, differences={}).folder
    level = write_run("level").start().evaluate(mean=4.802, exact=False, differences={}).folder
    assert "Worse than the best baseline, capped base-stock (4.800) by 2.08 %" in words.comparison(data.read(worse))
    assert words.comparison(data.read(level)).startswith("Level with the best baseline")


def test_what_the_agent_was_told_is_the_runs_record(complete_run, episodic_run):
    assert words.told(data.read(complete_run))[0].startswith("The demand's law")
    assert words.told(data.read(episodic_run)) == [
        "Nothing but what it met in training: observations, actions and rewards."
    ]


def test_without_that_record_the_run_file_says_it(write_run):
    told = []
    for name, knows in (("informed", True), ("plain", False)):
        writer = write_run(name, expectation_over_noise=knows, expected_reward=knows, common_random_numbers=8).start()
        Path(writer.folder / "simulation.json").unlink()
        told.append(" ".join(words.told(data.read(writer.folder))))
    informed, plain = told
    assert "`expectation_over_noise`" in informed
    assert "no model of the environment" not in informed
    assert "no model of the environment" in plain
    assert "groups of 8 environments" in plain


def test_a_run_under_way_says_what_it_has_reached(write_run):
    writer = write_run().start(state="running")
    assert words.verdict(data.read(writer.folder)) == "Not evaluated yet, and no training figures so far."
    writer.metrics(iterations=30)
    assert words.verdict(data.read(writer.folder)).startswith("Not evaluated yet; training has reached cost 4.97")


def test_why_a_policy_with_memory_has_no_exact_score(write_run):
    remembering = write_run("with", networks={"recurrent": {"cell": "lstm", "units": 64}}).start()
    forgetful = write_run("without", networks={"recurrent": None}).start()
    told, other = (words.score_meaning(data.read(run.evaluate(exact=False).folder)) for run in (remembering, forgetful))
    assert told[-1].startswith("There is no exact score: the policy remembers")
    assert not any("exact score" in sentence for sentence in other)
