"""`slipway compare`: what it prints and exits with, and what it refuses."""

import json
import re

import evaluated
import pytest

from trainer.cli import application
from trainer.run import group


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("place")
    runs = folder / "runs"
    evaluated.write(runs, "old", evaluated.scores(4.6, 5, seed=1))
    evaluated.write(runs, "new", evaluated.scores(4.2, 5, seed=2))
    evaluated.write(runs, "like", evaluated.scores(4.58, 5, seed=3))
    evaluated.write(runs, "one", evaluated.scores(4.2, 1, seed=4))
    evaluated.write(runs, "other-one", evaluated.scores(4.6, 1, seed=5))
    cart_pole = {"id": "slipway/CartPole-v1"}
    evaluated.write(runs, "pole", evaluated.scores(4.2, 1), cart_pole)
    lead = {"id": "slipway/LostSales-v0", "parameters": {"lead_time_periods": 3}}
    evaluated.write(runs, "longer", evaluated.scores(4.2, 1), lead)
    evaluated.write(runs, "fewer", evaluated.scores(4.2, 1, held_out=7))
    evaluated.write(runs, "episodes", evaluated.scores(4.2, 1), episodes_per_seed=9)
    bare = evaluated.write(runs, "bare", evaluated.scores(4.2, 2))
    group.members(bare)[1].evaluation.unlink()
    broken = evaluated.write(runs, "broken", evaluated.scores(4.2, 1))
    (broken / "evaluation.json").write_text('{"policies": {}}')
    return folder


@pytest.fixture(autouse=True)
def there(place, monkeypatch):
    monkeypatch.chdir(place)


def contents(place):
    return {path: path.read_bytes() for path in place.rglob("*") if path.is_file()}


def test_a_clear_winner(place, capsys):
    assert application.run(["compare", "old", "new", "like"]) == 0
    out = capsys.readouterr().out
    assert re.search(
        r"^new is better than old: 1\.00 \[\.\d\d, 1\.00\]; difference in cost -0\.\d+ \[.*\]\.$", out, re.M
    )
    assert re.search(
        r"^No difference shown between like and old: \.\d\d \[\.\d\d, .*\]; about \d+ more training seeds of each",
        out,
        re.M,
    )
    assert application.run(["compare", "new", "old"]) == 0
    assert "old is worse than new: .00 [.00, ." in capsys.readouterr().out


@pytest.mark.parametrize("runs", [("one", "other-one"), ("one", "old"), ("old", "one")])
def test_single_training_runs_say_little_and_the_verdict_says_so(capsys, runs):
    assert application.run(["compare", *runs]) == 0
    out = capsys.readouterr().out
    assert "nothing can be told" in out
    assert "A single training run says little" in out
    assert "better than" not in out


@pytest.mark.parametrize(
    ("runs", "require", "code"),
    [
        (("old", "new"), "better", 0),
        (("old", "new"), "not-worse", 0),
        (("old", "new", "like"), "better", 1),
        (("old", "new", "like"), "not-worse", 0),
        (("new", "old"), "not-worse", 1),
        (("one", "other-one"), "not-worse", 1),
    ],
)
def test_the_exit_code_that_was_asked_for(capsys, runs, require, code):
    assert application.run(["compare", *runs, "--require", require]) == code
    assert capsys.readouterr().out  # the comparison is told either way


def test_json_holds_everything(capsys):
    assert application.run(["compare", "old", "new", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert [contender["run"] for contender in said["contenders"]] == ["old", "new"]
    (verdict,) = said["verdicts"]
    assert verdict["finding"] == "better"
    assert verdict["text"].startswith("new is better than old: 1.00 [.")
    odds = verdict["probability_of_improvement"]
    assert 0.5 < odds["ci_low"] < odds["value"] == odds["ci_high"] == 1
    for contender in said["contenders"]:
        assert contender["iqm"]["ci_low"] < contender["iqm"]["value"] < contender["iqm"]["ci_high"]
        assert contender["optimality_gap_ratio"]["value"] == pytest.approx(contender["mean"]["value"] / 4 - 1)
        assert len(contender["profile"]["share"]) == len(said["profile_levels"]) == 101
        assert contender["profile"]["share"][-1] == 1  # the highest cost is reached by all
    assert said["html"] is None


def test_runs_are_found_by_path_too(place, capsys):
    assert application.run(["compare", str(place / "runs/old"), "runs/new/seed-0", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["contenders"][1]["run"] == "new/seed-0"


def test_the_page_is_written_whole_and_stands_alone(place, capsys):
    assert application.run(["compare", "old", "new", "--html", "page.html"]) == 0
    assert "Comparison: page.html" in capsys.readouterr().out
    page = (place / "page.html").read_text()
    assert "new is better than old" in page
    assert not re.search(r"""(src|href)=["'](?!data:|#)""", page)
    (place / "page.html").unlink()


WRONG = {
    "no run": ([], "RUN", "a missing value", "two runs", "name the run to compare with first"),
    "one run": (["old"], "RUN", "old", "two runs or more", "then the others"),
    "twice": (["old", "old"], "RUN", "old/seed-0", "each run once", "take out one"),
    "twice, by path": (["old", "runs/old"], "RUN", "old/seed-0", "each run once", "take out one"),
    "a member and its group": (["old", "old/seed-1"], "RUN", "old/seed-1", "each run once", "a group holds"),
    "no such run": (["old", "zzz"], "RUN", "zzz", "the id of a run", "runs list"),
    "not evaluated": (["old", "bare"], "RUN", "bare/seed-1", "has been evaluated", "slipway evaluate runs/bare/seed-1"),
    "another task": (["old", "pole"], "RUN", "pole", "slipway/LostSales-v0, as old/seed-0 is", "like runs"),
    "another parameter": (["old", "longer"], "of longer: env.parameters.lead_time_periods", "3", "2, as old", "same"),
    "other held-out seeds": (["old", "fewer"], "of fewer: evaluation.seeds", "7 seeds", "20 seeds", "--seeds 20"),
    "other episodes": (["old", "episodes"], "evaluation.episodes_per_seed", "9", "8, as old", "--episodes 8`"),
    "no folder": (["old", "new", "--html", "no/x.html"], "--html", "no/x.html", "a folder that is there", "make the"),
    "a folder": (["old", "new", "--html", "runs"], "--html", "runs", "a file", "name another file"),
    "require what": (["old", "new", "--require", "best"], "--require", "best", "better or not-worse", "write better"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_bad_input(place, capsys, case):
    arguments, field, value, allowed, fix = WRONG[case]
    before = contents(place)
    assert application.run(["compare", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    first, second, third = captured.err.splitlines()
    assert first.startswith("slipway: ")
    assert all(part in first for part in (field, value, "is not allowed"))
    assert allowed in second
    assert fix in third
    assert contents(place) == before


def test_a_damaged_evaluation_is_a_fault(capsys):
    assert application.run(["compare", "old", "broken"]) == 1
    assert "runs/broken/evaluation.json is damaged" in capsys.readouterr().err
