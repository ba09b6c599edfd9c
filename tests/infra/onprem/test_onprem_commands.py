"""What commands of a site say and end with: without Ansible, whose part other tests have."""

import json
import os

import click
import pytest
from onprem_sites import inventory

from infra.cli.options import Ago
from infra.onprem import faults, search, state
from infra.onprem import site as sites
from infra.onprem.artifacts import Artifacts
from infra.onprem.cli import options, training, watching
from infra.onprem.cli.options import Patience
from infra.onprem.display import Silent
from infra.onprem.events import Problem, Reader
from infra.onprem.inventory import Inventory, locate
from infra.onprem.passwords import Passwords
from infra.onprem.runner import Outcome, Result, Target
from infra.onprem.site import Site
from infra.onprem.state import Queue
from trainer.cli import application
from trainer.errors import BadInput, SlipwayError

GROUPS = {"gpu": ["one"], "monitor": ["two"]}


def slipway(*arguments):
    return application.run([str(argument) for argument in arguments])


def row(state="queued", submitted_at="now", **more):
    said = {"run_id": "mine", "since": "then", "host": None, "slot": None, "message": ""}
    return {**said, "state": state, "submitted_at": submitted_at, **more}


@pytest.fixture
def site(tmp_path):
    path = tmp_path / "hosts.yml"
    found = Inventory(path, "lab", {"one": {}, "two": {}}, GROUPS, ("one", "two"), ())
    return Site(found, Target(path, None, Passwords(), Artifacts.of("lab", path, tmp_path / "kept")), Silent())


@pytest.fixture
def queue(site, monkeypatch):
    """A site of this name, whose queue is known by one answer after the other, the last for good."""
    answers = []

    def answer(_):
        found = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(found, Exception):
            raise found
        return Queue(found, [], [])

    monkeypatch.setattr(state, "queue", answer)
    monkeypatch.setattr(training, "open_site", lambda *_, **__: site)
    monkeypatch.setattr(training.time, "sleep", lambda _: None)
    return answers


# Runs -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ended", "code"), [("done", 0), ("failed", 1), ("bad-input", 2), ("stopped-by-budget", 3), ("cancelled", 1)]
)
def test_a_run_is_followed_by_its_name_to_its_end_and_over_faults(queue, capsys, ended, code):
    lost = [SlipwayError(f"lab: no trainer is reached\n  artifacts: /kept/{number}") for number in range(3)]
    queue += [[row()], [row()], *lost, [row("running", host="one", slot=0)], [row(ended, host="one", slot=0)]]
    assert slipway("onprem", "run", "--run-id", "mine", "--watch") == code
    said = capsys.readouterr()
    assert said.err.splitlines() == [
        "then mine: queued",
        "lab: no trainer is reached",
        "  looking again, until Ctrl-C",
        "then mine: running on one, slot 0",
        f"then mine: {ended} on one, slot 0",
    ]
    assert said.out == ""


def test_what_is_followed_is_an_object_a_line(queue, capsys):
    queue += [[row()], [row()], SlipwayError("no trainer is reached"), [row("done")]]
    assert slipway("onprem", "run", "--run-id", "mine", "--watch", "--json") == 0
    said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(each["event"], each.get("state")) for each in said] == [
        ("run", "queued"), ("trouble", None), ("run", "done"),
    ]  # fmt: skip


def test_an_older_entry_of_the_same_run_is_not_its_end(queue, site):
    old = row("failed", "long ago")
    queue += [[old], [row(), old], [row("done"), old]]
    assert training._watch(site, row(), as_json=True) == 0


def test_a_run_that_vanishes_is_not_looked_for_for_ever(queue, capsys):
    queue += [[row()], []]
    assert slipway("onprem", "run", "--run-id", "mine", "--watch") == 1
    assert "mine is not in the queue of lab any more" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        (["--run-id", "other", "--watch"], "--run-id: 'other'"),
        (["--watch"], "RUNFILE: a missing value"),
        ([], "RUNFILE"),
    ],
)
def test_a_run_that_is_not_named_or_not_there_is_bad_input(queue, capsys, arguments, field):
    queue += [[row()]]
    assert slipway("onprem", "run", *arguments) == 2
    assert capsys.readouterr().err.startswith(f"slipway: {field}")


def played(monkeypatch, result):
    def tell(site, name, **more):
        if isinstance(result, BaseException):
            raise result
        return result

    monkeypatch.setattr(sites, "tell", tell)


def test_a_run_has_its_name_before_it_is_sent_and_its_entry_is_one_line(queue, monkeypatch, capsys):
    given = []

    def tell(site, name, *, variables, **_):
        given.append(variables["run_id"])
        entry = json.dumps({"run_id": variables["run_id"], "state": "queued"}, indent=1)
        return Result(told=[("one", "Tell", {"code": "0", "entry": entry, "said": ""})])

    monkeypatch.setattr(sites, "tell", tell)
    assert slipway("onprem", "run", "cartpole-ppo", "--json") == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert given[0].startswith("cartpole-ppo-")
    assert json.loads(line) == {"event": "run", "run_id": given[0], "state": "queued"}


def test_a_connection_that_is_lost_while_a_run_is_sent_leaves_it_open_whether_it_is_queued(queue, monkeypatch, capsys):
    lost = Problem("one", training.SUBMIT, "Connection reset", unreachable=True, reached=True)
    played(monkeypatch, Result(outcome=Outcome.FAILED, tasks=6, problems=[lost]))
    assert slipway("onprem", "run", "cartpole-ppo", "--run-id", "mine", "--quiet") == 1
    said = capsys.readouterr().err
    assert "one: its connection was lost" in said
    assert "mine may be in the queue all the same" in said
    assert "nothing was changed" not in said
    played(monkeypatch, KeyboardInterrupt())
    assert slipway("onprem", "run", "cartpole-ppo", "--run-id", "mine", "--quiet") == 130
    assert "mine may be in the queue all the same" in capsys.readouterr().err


@pytest.mark.parametrize("said", ["no JSON", "{}", '{"entries": 5, "ended": []}', "[]"])
def test_a_queue_that_makes_no_sense_is_not_known(site, monkeypatch, said):
    played(monkeypatch, Result(told=[("one", state.QUEUE, {"code": 0, "queue": said, "said": ""})]))
    assert "makes no sense" in state.state(site).queue.error


def test_entries_that_nobody_can_read_are_shown(site, monkeypatch, capsys):
    queue = {"entries": [], "ended": [], "workers": [], "drained": [], "senseless": {"odd": "it has format 9"}}
    played(monkeypatch, Result(told=[("one", state.QUEUE, {"code": 0, "queue": queue, "said": ""})]))
    watching._show_queue(state.state(site))
    assert "odd: it has format 9" in capsys.readouterr().out


# Logs -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("since", ["3651d", "999999999999d", "1y", "h", "-1h", "٣h", ""])
def test_times_that_are_none_are_bad_input(since):
    with pytest.raises(BadInput, match="--since"):
        Ago().convert(since, None, None)


def test_the_longest_time_is_one():
    assert Ago().convert("3650d", None, None).days == 3650


def answer(*messages, found=None):
    lines = [{"time": "2026-11-26T20:00:00+00:00", "message": each} for each in messages]
    summary = {"found": found or len(lines), "hosts": [], "runs": [], "unknown": []}
    return "\n".join(map(json.dumps, [*lines, {"summary": summary}]))


def test_following_goes_on_after_a_lost_connection():
    answers = [answer("first"), SlipwayError("lost"), SlipwayError("lost"), answer("first", "second")]

    def fetch(_):
        found = answers.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    told = []
    lines = search.follow(fetch, search.Query(), trouble=told.append, sleep=lambda _: None)
    assert [next(lines)["message"] for _ in range(2)] == ["first", "second"]
    assert list(map(str, told)) == ["lost", "lost"]
    answers[:] = [SlipwayError("lost")]
    with pytest.raises(SlipwayError, match="lost"):  # the first one
        next(search.follow(fetch, search.Query(), trouble=told.append, sleep=lambda _: None))


def test_a_fault_is_told_once_until_it_goes_well():
    told = []
    patience = Patience(told.append)
    for number in range(2):
        patience(SlipwayError(f"lost\n  artifacts: /{number}"))
    patience.over()
    patience(SlipwayError("lost"))
    assert told == ["lost\n  looking again, until Ctrl-C"] * 2


def test_a_limit_that_leaves_the_monitor_out_is_bad_input(tmp_path, capsys):
    path = inventory(tmp_path, GROUPS)
    assert slipway("onprem", "logs", "--inventory", path, "--limit", "one") == 2
    assert "slipway: --limit: 'one' is not allowed" in capsys.readouterr().err


def test_lines_that_are_left_out_are_told_of(site, monkeypatch, capsys):
    played(monkeypatch, Result(outputs=[("two", search.TASK, answer("newest", found=9))]))
    assert [line["message"] for line in watching._lines(site, search.Query(), follow=False)] == ["newest"]
    assert "the newest 1 of 9 lines" in capsys.readouterr().err


# What is given --------------------------------------------------------------------------------------------------------


def test_a_question_that_nobody_answers_is_bad_input(monkeypatch):
    def ask():
        raise click.Abort

    with pytest.raises(BadInput, match="--yes: a missing value"):
        options.asked("--yes", "--yes", ask)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    with pytest.raises(click.Abort):  # Ctrl-C
        options.asked("--yes", "--yes", ask)


def test_a_vault_s_password_that_can_be_read_once_is_kept_in_memory(tmp_path):
    """As the shell's `<(pass site)` is; Ansible asks for it several times."""
    read, write = os.pipe()
    with os.fdopen(read), os.fdopen(write, "w") as file:
        file.write("open sesame\n")
        file.close()
        chosen = options.Chosen(tmp_path, None, False, None, False, options.Path(f"/dev/fd/{read}"), None, None)
        given = options._passwords(chosen)
    assert (given.vault, given.vault_file) == ("open sesame", None)
    assert "sesame" not in repr(given)


def test_a_host_without_variables_is_a_host(tmp_path, capsys):
    """`ansible-inventory` lists those alone that have some."""
    path = tmp_path / "hosts.yml"
    path.write_text("all: {children: {gpu: {hosts: {one: }}, nas: {hosts: {two: }}}}\n")
    assert slipway("onprem", "down", "--inventory", path, "--shred", "x") == 2
    assert "slipway: site_operators: a missing value" in capsys.readouterr().err


def test_places_that_may_not_be_looked_at_are_bad_input(tmp_path, capsys):
    long = tmp_path / ("x" * 300)
    with pytest.raises(BadInput, match="--inventory"):
        locate(long)
    (tmp_path / "file").touch()
    for folder in (long, tmp_path / "file", tmp_path / "file/below", tmp_path):
        assert slipway("onprem", "init", folder) == 2
        assert capsys.readouterr().err.startswith("slipway: FOLDER: ")


def test_what_a_host_says_does_not_steer_a_terminal():
    said = {"host": "one", "res": {"msg": "\x1b[31mbad\x1b[0m \x1b]0;title\x07", "failed": True}}
    (event,) = Reader().read({"event": "runner_on_failed", "event_data": said})
    assert event.problems[0].message == "bad \\x1b]0;title\\x07"


@pytest.mark.parametrize(
    ("text", "words", "is_input"),
    [
        ("sudo: a password is required", "sudo asks for a password", True),
        ("apt: it would become full; connection refused", None, False),
        ("sudo ran /usr/bin/x: permission denied", None, False),
    ],
)
def test_what_a_task_says_of_connections_is_not_about_the_host_s(text, words, is_input):
    found = faults.meaning(Problem("one", "", text))
    assert (found.words, found.is_input, found.is_lost) == (words or text, is_input, False)
