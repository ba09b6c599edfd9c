"""Which figures a run gets, and what is in them."""

import re
import xml.etree.ElementTree

from trainer.report import data, figures


def texts(svg):
    root = xml.etree.ElementTree.fromstring(svg)
    return [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]


def test_the_learning_curve_names_optimum_and_baselines(complete_run):
    drawn = figures.learning(data.read(complete_run))
    for cut in (drawn.wide, drawn.narrow):
        assert {"optimum 4.729", "capped base-stock 4.800", "environment steps", "cost per period"} <= set(texts(cut))
    assert "Dots: the greedy policy on held-out seeds" in drawn.caption


def test_the_evaluation_shows_scores_and_gaps(complete_run):
    shown = texts(figures.evaluation(data.read(complete_run)).wide)
    assert {"greedy, exact", "greedy", "sampled", "capped base-stock", "base-stock", "myopic", "constant order"} <= set(
        shown
    )
    assert {"0.023 %", "0.049 %", "1.51 %", "11.6 %", "gap to the optimum, logarithmic"} <= set(shown)


def test_a_sample_beyond_the_optimum_is_an_arrow_on_the_gap_axis(write_run):
    beyond = figures.evaluation(data.read(write_run().start().evaluate(mean=4.7219).folder))
    assert "An arrow: at or beyond the optimum, by chance of the sample." in beyond.caption
    assert "-0.15 %" in texts(beyond.wide)


def test_where_no_gap_is_positive_or_known_there_is_no_gap_axis(write_run, episodic_run):
    only_agent = (
        write_run()
        .start()
        .evaluate(policies={"greedy": {"mean": 4.7, "ci_low": 4.69, "ci_high": 4.71}}, exact=False, differences={})
    )
    for folder in (only_agent.folder, episodic_run):
        assert "logarithmic" not in figures.evaluation(data.read(folder)).wide


def test_a_group_draws_its_members_thin_under_a_band(group):
    drawn = figures.learning(data.read(group))
    assert "Thin lines: the 5 runs" in drawn.caption
    assert len(re.findall(r"opacity: 0\.35", drawn.wide)) == 5
    assert len(re.findall(r"opacity: 0\.18", drawn.wide)) == 1


def test_details_leave_out_what_was_not_measured(episodic_run):
    drawn = figures.details(data.read(episodic_run))
    assert {"Value loss", "Learning rate"} <= set(texts(drawn.wide))
    assert not {"Entropy, nats", "Gradient norm"} & set(texts(drawn.wide))


def test_a_picture_of_the_first_member_stands_for_a_group(group, write_run):
    write_run("other").heatmap().folder.joinpath("policy.json").rename(group / "seed-0" / "policy.json")
    assert figures.policy_heatmap(data.read(group)).caption.startswith("The policy of seed-0. ")
