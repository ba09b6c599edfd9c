"""The life of a run."""

import itertools

import pytest

from trainer.errors import SlipwayError
from trainer.run.status import FOLLOWING, RESUMABLE, State, Status

ALLOWED = {
    ("queued", "running"),
    ("queued", "preempted"),
    ("queued", "failed"),
    ("running", "running"),
    ("running", "preempted"),
    ("running", "finished"),
    ("running", "failed"),
    ("running", "stopped-by-budget"),
    ("preempted", "running"),
    ("failed", "running"),
    ("stopped-by-budget", "running"),
}


@pytest.mark.parametrize(("old", "new"), list(itertools.product(State, State)))
def test_transitions(old, new):
    status = Status("a", state=old)
    if (old, new) in ALLOWED:
        assert status.moved(new, env_steps=5) == Status(
            "a",
            state=new,
            env_steps=5,
            started_at=status.moved(new).started_at,
            updated_at=status.moved(new).updated_at,
        )
    else:
        with pytest.raises(SlipwayError, match=f"is {old} and cannot become {new}"):
            status.moved(new)


def test_only_finished_is_final():
    assert set(State) - RESUMABLE == {State.FINISHED}
    assert FOLLOWING[State.FINISHED] == set()


def test_the_start_is_kept_over_resumes():
    first = Status("a").moved(State.RUNNING)
    assert first.started_at
    later = first.moved(State.PREEMPTED, message="SIGTERM").moved(State.RUNNING, resumes=1)
    assert (later.started_at, later.resumes, later.message) == (first.started_at, 1, "")


def test_json_round_trip():
    status = Status("a", state=State.FAILED, env_steps=3, message="no", last_checkpoint_step=2)
    values = status.to_json()
    assert next(iter(values)) == "format"
    assert Status.from_json({**values, "new key": 1}) == status


@pytest.mark.parametrize("change", [{"state": "asleep"}, {"state": None}])
def test_a_status_without_sense(change):
    with pytest.raises(SlipwayError, match="makes no sense"):
        Status.from_json({**Status("a").to_json(), **change})
    with pytest.raises(SlipwayError, match="makes no sense"):
        Status.from_json({"run_id": "a"})
