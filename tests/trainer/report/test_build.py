"""The page as text: what is in it, and that damage costs a part, not the page."""

import html.parser
import json
import re

import pytest

from trainer.errors import BadInput
from trainer.report import data, words
from trainer.report.build import build, render


class Page(html.parser.HTMLParser):
    """Headings, tables and the like of a page; refuses tags that are not closed."""

    VOID = frozenset({"meta", "link", "img", "br"})

    def __init__(self, text):
        super().__init__()
        self.open, self.ids, self.headings, self.addresses, self.rows, self.words = [], [], [], [], [], ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        if "id" in attributes:
            self.ids.append(attributes["id"])
        self.addresses += [attributes[name] for name in ("src", "href", "xlink:href") if name in attributes]
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag == "h2":
            self.headings.append("")
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" in self.open:
            return
        self.words += data
        if {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data
        if "h2" in self.open:
            self.headings[-1] += data


def page_of(folder):
    return Page(build(folder).read_text(encoding="utf-8"))


def test_a_complete_run_has_every_part(complete_run):
    path = build(complete_run)
    assert path == complete_run / "report.html"
    page = Page(path.read_text())
    assert page.headings == [
        "Learning", "Evaluation", "What the policy orders", "What the score means", "What the agent was told",
        "How the learning went", "Run file", "Provenance",
    ]  # fmt: skip
    rows = {row[0]: row[1:] for row in page.rows}
    assert rows["greedy"] == ["4.731", "4.725 to 4.737", "4.730", "4.725 to 4.737", "0.049 %", ""]
    assert rows["greedy, exact"] == ["4.730", "no sampling", "", "", "0.023 %", ""]
    assert rows["base-stock"][-1] == "-0.2461 to -0.2381"
    assert rows["optimum"][0] == "4.729"
    assert rows["git dirty"] == ["no"]
    assert rows["command"] == ["slipway train lost-sales-ppo --set 'name=my run'"]
    assert rows["host memory"] == ["23.5 GiB"]
    assert rows["accelerators"] == ["none"]
    assert rows["tensorflow"] == ["2.21.0"]
    assert "expectation_over_noise: true" in page.words
    assert "1.31M" in page.words
    assert list(complete_run.glob(".report*")) == []


def test_it_is_one_file_that_asks_for_nothing(complete_run, episodic_run):
    for folder in (complete_run, episodic_run):
        text = build(folder).read_text()
        page = Page(text)
        assert all(address.startswith(("data:", "#")) for address in page.addresses)
        assert not re.search(r"<script|@import|url\((?!#)|\son[a-z]+=", text)
        assert "default-src 'none'" in text
        assert len(page.ids) == len(set(page.ids))
        assert len(text) < 1_500_000


def test_the_same_files_give_the_same_bytes(complete_run):
    first = build(complete_run).read_bytes()
    assert build(complete_run).read_bytes() == first


def test_figures_take_the_pages_colours_alone(complete_run):
    text = render(complete_run)
    assert "#1111" not in text
    svg = "".join(re.findall(r"<svg.*?</svg>", text, flags=re.DOTALL))
    assert "var(--accent)" in svg
    learning = text[text.index('id="learning"') : text.index("evaluation-title")]
    assert not re.findall(r"(?:fill|stroke): ?#[0-9a-f]{3,6}", learning)


def test_every_picture_has_words(complete_run, episodic_run):
    text = render(complete_run)
    charts = re.findall(r'<div class="chart" role="img" aria-label="([^"]+)"', text)
    assert len(charts) == 4
    assert "optimum 4.729" in charts[0]
    assert "constant order 5.279" in charts[1]
    assert "Learning rate" in charts[3]
    assert 'alt="Frame 1 of 9"' in render(episodic_run)


def test_a_group_shows_its_members_and_links_to_their_reports(group):
    for seed in (0, 3):
        (group / f"seed-{seed}" / "report.html").touch()
    page = page_of(group)
    assert "Runs of the group" in page.headings
    assert "This one is seed-0's; the others differ by seed alone." in page.words
    assert [address for address in page.addresses if "seed" in address] == [
        "seed-0/report.html",
        "seed-3/report.html",
    ]
    members = [row for row in page.rows if row[0].startswith("seed-")]
    assert members[2] == ["seed-2", "finished", "1.31M", "0:31", members[2][4], "4.733", "0.091 %", "0.024 %"]
    assert len(members) == 5
    assert {row[0]: row for row in page.rows}["greedy, exact"][1:3] == ["4.730", "4.72985 to 4.73022 (range)"]


def test_a_group_in_the_making_says_which_members_are_missing(group):
    (group / "group.json").write_text(
        json.dumps({"format": 1, "members": ["seed-0", "seed-9"], "training_seeds": [0, 9]})
    )
    assert "The group's member seed-9 has no run directory yet." in page_of(group).words


EVERY_FILE = (
    "run.yaml", "provenance.json", "status.json", "simulation.json", "metrics.jsonl", "evaluation.json", "policy.json",
)  # fmt: skip
DAMAGES = {
    "absent": None, "empty": b"", "torn": b'{"format": 1, "poli', "other type": b"[1, 2]\n", "no text": b"\xff\xfe\x00",
    "emptied": b"{}\n", "nonsense": json.dumps({
        "score": 3, "optimum": "x", "policies": {"greedy": {"mean": None}}, "kind": "heatmap", "x": [1], "y": [1],
        "values": [[1, 2]], "state": [1], "env_steps": "many", "wall_time_seconds": None, "env": 5, "agent": [],
        "told": 7, "packages": "none", "confidence": 0.95, "seeds": [1], "step": "a", "rl_score": "b", "members": 4,
    }).encode() + b"\n",
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", EVERY_FILE)
def test_a_damaged_file_leaves_the_others_readable(write_run, name, damage):
    folder = write_run().start().metrics(iterations=3).evaluate().heatmap().folder
    whole = data.read(folder)
    (folder / name).unlink()
    if (content := DAMAGES[damage]) is not None:
        (folder / name).write_bytes(content)
    run = data.read(folder)
    kept = {
        "run.yaml": run.run_file_text == whole.run_file_text, "provenance.json": run.provenance == whole.provenance,
        "status.json": run.status == whole.status, "simulation.json": run.simulation == whole.simulation,
        "metrics.jsonl": run.rows == whole.rows, "evaluation.json": run.evaluation == whole.evaluation,
        "policy.json": run.picture == whole.picture,
    }  # fmt: skip
    assert [file for file, same in kept.items() if not same] == [name]
    assert words.verdict(run)
    assert words.score_meaning(run)
    assert isinstance(words.told(run), list)
    if damage in ("other type", "no text") and name != "metrics.jsonl":
        assert any(remark.startswith(f"{name} cannot be read") for remark in run.remarks)


SAID_OTHERWISE = {
    ("evaluation.json", "absent"): "This run has not been evaluated yet",
    ("metrics.jsonl", "absent"): "The run has written no metrics yet",
    ("metrics.jsonl", "torn"): "There are no training figures to draw yet",
    ("metrics.jsonl", "nonsense"): "There are no training figures to draw yet",
}


@pytest.mark.parametrize("damage", ["absent", "torn", "nonsense"])
@pytest.mark.parametrize("name", EVERY_FILE)
def test_a_damaged_file_costs_its_part_and_a_remark(write_run, name, damage):
    writer = write_run().start().evaluate()
    folder = writer.folder
    (folder / "metrics.jsonl").write_text('{"step":10,"rl_score":5.0}\n{"step":20,"rl_score":4.9}\n')
    picture = {"kind": "heatmap", "title": "Orders", "x": [0, 1], "y": [0], "values": [[2, 1]]}
    (folder / "policy.json").write_text(json.dumps(picture))
    (folder / name).unlink()
    if (content := DAMAGES[damage]) is not None:
        (folder / name).write_bytes(content)
    text = render(folder)
    page = Page(text)
    others = {"metrics.jsonl": "Learning", "evaluation.json": "Evaluation", "policy.json": "Orders"}
    for other, heading in others.items():
        assert name == other or heading in page.headings
    assert ("Orders" in page.headings) == (name != "policy.json")
    if damage == "nonsense" and name not in ("evaluation.json", "metrics.jsonl"):
        return  # readable, so there is nothing to remark on; the page above stands
    if (name, damage) == ("policy.json", "absent"):
        return  # not every task has a picture
    if (name, damage) in SAID_OTHERWISE:
        assert SAID_OTHERWISE[name, damage] in text
    else:
        remarks = text[text.index('<ul class="remarks"') :].partition("</ul>")[0]
        assert name in remarks


def test_an_empty_run_is_a_short_page(write_run):
    folder = write_run().start(state="queued").folder
    page = page_of(folder)
    assert "no training figures" in page.words
    assert "There is no evaluation to show yet." in page.words
    assert "has written no metrics yet" in page.words


def test_a_folder_that_is_no_run_is_bad_input_and_stays_as_it_was(tmp_path):
    with pytest.raises(BadInput, match="slipway runs list"):
        build(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_page_that_cannot_be_written_leaves_the_old_one(write_run, monkeypatch):
    folder = write_run().start(state="queued").folder
    build(folder).write_text("old")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        build(folder)
    assert (folder / "report.html").read_text() == "old"
    assert list(folder.glob(".report*")) == []


def test_text_from_files_is_never_markup(write_run):
    evil = "<img src=x onerror=alert(1)> `<b>`"
    writer = write_run(name="x").start().metrics(iterations=3).evaluate(
        policies={name: {"mean": 1.0, "ci_low": 0.5, "ci_high": 1.5} for name in (evil, "greedy")},
        exact=False, differences={},
    )  # fmt: skip
    simulation = json.loads((writer.folder / "simulation.json").read_text())
    simulation |= {"told": [evil], "env_id": evil, "score": {"name": evil, "unit": evil, "sign": -1}}
    (writer.folder / "simulation.json").write_text(json.dumps(simulation))
    picture = {
        "kind": "heatmap",
        "title": evil,
        "x": [evil],
        "y": ["y"],
        "values": [[1]],
        "note": evil,
        "x_label": evil,
    }
    (writer.folder / "policy.json").write_text(json.dumps(picture))
    text = render(writer.folder)
    assert "<img" not in text
    assert "<b>" not in text
    assert "<code>&lt;b&gt;</code>" in text
    Page(text)


def test_a_frame_that_is_no_png_is_left_out(episodic_run):
    picture = json.loads((episodic_run / "policy.json").read_text())
    picture["frames"][2] = "PHN2Zz4="
    (episodic_run / "policy.json").write_text(json.dumps(picture))
    text = render(episodic_run)
    assert "a frame is no PNG picture" in text
    assert "<img" not in text
