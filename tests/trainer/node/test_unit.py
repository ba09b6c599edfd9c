"""What the properties of a unit mean; systemd itself is asked by tests/onprem."""

import pytest

from trainer.errors import SlipwayError
from trainer.node import unit
from trainer.node.unit import Outcome

GONE = {"LoadState": "loaded", "ActiveState": "failed", "Job": ""}
EXITED, KILLED = "1", "2"


@pytest.mark.parametrize(
    ("result", "code", "status", "outcome"),
    [
        ("success", EXITED, "0", Outcome.FINISHED),
        ("exit-code", EXITED, "1", Outcome.FAULT),
        ("exit-code", EXITED, "2", Outcome.BAD_INPUT),
        ("exit-code", EXITED, "3", Outcome.STOPPED_BY_BUDGET),
        ("exit-code", EXITED, "75", Outcome.STOPPED),
        ("exit-code", EXITED, "203", Outcome.FAULT),
        ("signal", KILLED, "9", Outcome.FAULT),
        ("core-dump", "3", "11", Outcome.FAULT),
        ("oom-kill", KILLED, "9", Outcome.FAULT),
        ("success", KILLED, "15", Outcome.STOPPED),
        ("start-limit-hit", KILLED, "15", Outcome.FAULT),
        ("timeout", KILLED, "9", Outcome.STOPPED),
        ("resources", "0", "0", Outcome.FAULT),
    ],
)
def test_each_end_has_a_meaning(result, code, status, outcome):
    found = {**GONE, "Result": result, "ExecMainCode": code, "ExecMainStatus": status}
    assert unit.outcome(found) is outcome


@pytest.mark.parametrize("state", [{"ActiveState": "active"}, {"ActiveState": "activating"}, {"Job": "812"}])
def test_a_unit_that_is_started_again_has_not_ended(state):
    found = {**GONE, "Result": "success", "ExecMainCode": EXITED, "ExecMainStatus": "0", **state}
    assert unit.outcome(found) is Outcome.RESTARTED
    assert not Outcome.RESTARTED.is_final


def test_what_can_go_on_is_not_final():
    assert {outcome for outcome in Outcome if not outcome.is_final} == {Outcome.STOPPED, Outcome.RESTARTED}


RESTARTING = [{"ActiveState": "activating"}, {"ActiveState": "inactive", "Job": "812"}, {"ActiveState": "deactivating"}]


@pytest.mark.parametrize("last", [{"ActiveState": "active"}, {"ActiveState": "failed"}, {"ActiveState": "inactive"}])
def test_a_restart_is_waited_for_until_it_is_known_how_it_went(last, monkeypatch):
    seen = iter([{**GONE, **state} for state in (*RESTARTING, last)])
    monkeypatch.setattr(unit, "POLL_SECONDS", 0)
    monkeypatch.setattr(unit, "properties", lambda _: next(seen))
    assert unit.settled("a.service") == {**GONE, **last}
    assert next(seen, None) is None


def test_a_restart_that_never_comes_is_not_waited_for_for_ever(monkeypatch):
    monkeypatch.setattr(unit, "SETTLING_SECONDS", 0)
    monkeypatch.setattr(unit, "POLL_SECONDS", 0)
    monkeypatch.setattr(unit, "properties", lambda _: {**GONE, "ActiveState": "activating"})
    assert unit.outcome(unit.settled("a.service")) is Outcome.RESTARTED


def test_without_systemd_that_is_said(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SlipwayError, match=r"systemd cannot be asked about a\.service: .*systemctl"):
        unit.properties("a.service")
