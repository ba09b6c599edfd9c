"""Studies: what is drawn, pruned, put back and kept."""

import json
import shutil

import pytest
import tuning_study
import yaml
from tuning_study import SCORE, cost, run_file, settings, study, work

from trainer.config import load
from trainer.errors import BadInput, SlipwayError
from trainer.report import tuning_page
from trainer.tuning.outcome import Outcome
from trainer.tuning.study import ATTEMPTS, Study, check_same, read_settings


def test_the_search_finds_better_values_than_chance_and_prunes_the_worse(tmp_path):
    with study(tmp_path / "s") as made:
        work(made, 40)
        records, best = made.records(), made.best()
        assert made.counted() == 40
        pruned = [record for record in records if record.outcome is Outcome.PRUNED]
        complete = [record for record in records if record.outcome is Outcome.COMPLETE]
        assert pruned
        assert not any(record.outcome is Outcome.PRUNED for record in records[:5])
        assert all(record.score is None and record.parts for record in pruned)
        assert max(record.number for record in records) == 39
        assert best.score == min(record.score for record in complete)
        assert best.score == pytest.approx(cost(best.values))
        assert sum(cost(record.values) for record in records[20:]) < sum(cost(record.values) for record in records[:20])
        shares = made.importances()
        assert set(shares) == set(tuning_study.SPACE)
        assert shares["agent.learning_rate"] > shares["agent.networks.activation"]


@pytest.mark.parametrize("sign", [-1, 1])
def test_the_task_says_which_way_is_good(tmp_path, sign):
    with study(tmp_path / "s", score={**SCORE, "sign": sign}) as made:
        for value in (2.0, 5.0, 3.0):
            made.end(made.draw().number, Outcome.COMPLETE, value, "")
        assert made.best().score == (5.0 if sign > 0 else 2.0)


def test_the_best_run_file_is_the_base_with_the_best_values(tmp_path):
    with study(tmp_path / "s") as made:
        work(made, 6)
        best = made.best()
        text = made.best_file.read_text()
        assert text.startswith("# The best of ")
        assert f"trial {best.number}, cost" in text
        found = load.load(made.best_file)
    agent = found.model_dump(mode="json")["agent"]
    assert agent["epochs"] == best.values["agent.epochs"]
    assert agent["learning_rate"] == best.values["agent.learning_rate"]
    base = run_file()
    changed = {"learning_rate", "epochs", "networks"}
    assert found.model_dump(exclude={"agent"}) == base.model_dump(exclude={"agent"})
    assert found.agent.model_dump(exclude=changed) == base.agent.model_dump(exclude=changed)


def test_a_trials_run_file_is_measured_in_equal_parts(tmp_path):
    with study(tmp_path / "s") as made:
        drawn = made.draw()
        trial = load.load(drawn.folder / "run.yaml")
    assert trial.evaluation.interval_iterations == -(-trial.iterations // 4)
    assert trial.agent.epochs == drawn.values["agent.epochs"]
    assert trial.seed == run_file().seed


def test_a_study_draws_the_same_whether_or_not_it_was_opened_anew(tmp_path):
    with study(tmp_path / "a") as made:
        work(made, 12)
        straight = [record.values for record in made.records()]
    with study(tmp_path / "b") as made:
        work(made, 5)
    for count in (4, 3):
        with Study.open(tmp_path / "b") as made:
            work(made, count)
    with Study.open(tmp_path / "b") as made:
        assert [record.values for record in made.records()] == straight


def test_what_was_being_trained_is_put_back_with_its_values_its_folder_and_its_scores(tmp_path):
    with study(tmp_path / "s") as made:
        work(made, 2)
        first, second = made.draw(), made.draw()
        made.report(first.number, 1, 7.5)
    with Study.open(tmp_path / "s") as made:
        assert made.requeue() == 2
        assert made.counted() == 2
        again, other = made.draw(), made.draw()
        assert (again.values, again.folder) == (first.values, first.folder)
        assert (other.values, other.folder) == (second.values, second.folder)
        made.end(again.number, Outcome.COMPLETE, 1.0, "")
        made.end(other.number, Outcome.COMPLETE, 2.0, "")
        assert made.counted() == 4
        assert len(made.records()) == 4
        assert next(record for record in made.records() if record.number == again.number).parts == {1: 7.5, 4: 1.0}
        assert made.draw().values not in (first.values, second.values)


def test_a_trial_whose_process_dies_again_and_again_has_failed(tmp_path):
    with study(tmp_path / "s") as made:
        drawn = made.draw()
        values = drawn.values
        for _ in range(ATTEMPTS):
            made.lose(drawn.number, crashed=True)
            failed = [record for record in made.records() if record.outcome is Outcome.FAILED]
            drawn = drawn if failed else made.draw()
        assert [(record.values, record.message) for record in failed] == [(values, "its process died 3 times")]
        assert made.counted() == 1


def test_values_that_contradict_one_another_are_no_trial(tmp_path):
    space = {"agent.minibatch_size": [64, 100], "agent.num_envs": [8, 16]}
    with study(tmp_path / "s", settings(space)) as made:
        drawn = [made.draw() for _ in range(10)]
        assert all(each.values["agent.minibatch_size"] == 64 for each in drawn)
        refused = [record for record in made.records() if record.outcome is Outcome.INFEASIBLE]
        assert refused
        assert all("minibatch_size: 100" in record.message for record in refused)
        assert made.counted() == 0
        assert len(list((tmp_path / "s/trials").iterdir())) == 10


def test_a_space_of_contradictions_alone_is_refused(tmp_path):
    with (
        study(tmp_path / "s", settings({"agent.minibatch_size": [97, 101]})) as made,
        pytest.raises(BadInput, match="values that go together"),
    ):
        made.draw()


@pytest.mark.parametrize(
    ("other", "field"),
    [
        (settings(run=run_file("agent.discount=0.9")), "agent.discount"),
        (settings(run=run_file("seed=4")), "seed"),
        (settings({**tuning_study.SPACE, "agent.epochs": {"low": 1, "high": 9}}), "space.agent.epochs.high"),
        (settings({"agent.epochs": {"low": 1, "high": 8}}), "space.agent.learning_rate"),
        (settings(pruner="none"), "pruner"),
        (settings(seed=4), "seed"),
        (settings(parts=5), "parts"),
    ],
)
def test_another_run_file_or_space_is_another_study(tmp_path, other, field):
    with study(tmp_path / "s"):
        check_same(tmp_path / "s", settings())
        with pytest.raises(BadInput, match=f"--study: {field}") as error:
            check_same(tmp_path / "s", other)
    assert "go on with `slipway tune" in str(error.value)


def test_only_one_process_works_on_a_study(tmp_path):
    with study(tmp_path / "s"), pytest.raises(BadInput, match="no process writes to"), Study.open(tmp_path / "s"):
        pass
    with pytest.raises(BadInput), study(tmp_path / "s"):
        pass


def test_files_that_are_damaged(tmp_path):
    with study(tmp_path / "s") as made:
        work(made, 2)
    said = json.loads((tmp_path / "s/study.json").read_text())
    for name, content, words in (
        ("study.json", "{", "is no JSON"),
        ("study.json", json.dumps({**said, "format": 9}), "a study of format 1"),
        ("study.json", json.dumps({key: said[key] for key in said if key != "space"}), "has no 'space'"),
        (
            "study.db",
            "no database at all, but long enough to be read as one" * 20,
            "cannot be read as a study's trials",
        ),
    ):
        folder = tmp_path / "damaged"
        shutil.copytree(tmp_path / "s", folder)
        (folder / name).write_text(content)
        with pytest.raises(SlipwayError, match=words), Study.open(folder):
            pass
        assert (folder / name).read_text() == content
        shutil.rmtree(folder)


def test_settings_are_read_back(tmp_path):
    with study(tmp_path / "s"):
        assert read_settings(tmp_path / "s") == settings()


@pytest.mark.parametrize("count", [0, 1, 2, 12])
def test_the_page_is_there_however_few_trials_there_are(tmp_path, count):
    with study(tmp_path / "s") as made:
        work(made, count)
        if count:
            made.end(made.draw().number, Outcome.FAILED, None, "value_loss stopped being finite")
            made.draw()
        page = tuning_page.render(made)
        best = made.best()
    assert ("No trial of 0" in page) == (count == 0)
    if best is not None:
        assert "Best cost" in page
        assert f"by trial {best.number} of {count + 2}" in page
    assert page.count("<figure") == {0: 0, 1: 3, 2: 4, 12: 5}[count]
    assert (
        yaml.safe_load(page.split("<pre>")[1].split("</pre>")[0].replace("&#39;", "'"))["agent"]["algorithm"] == "ppo"
    )
