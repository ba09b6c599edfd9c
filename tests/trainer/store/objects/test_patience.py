"""What may work a moment later is tried again, for a while."""

import time

import pytest

from trainer.store.objects import patience


def failing(times):
    left = [OSError(str(number)) for number in range(times)]

    def action():
        if left:
            raise left.pop(0)
        return "done"

    return action


def test_passing_faults_pass():
    assert patience.patiently(failing(3), lambda error: True) == "done"


def test_other_faults_are_raised_at_once():
    with pytest.raises(OSError, match="0"):
        patience.patiently(failing(3), lambda error: "0" not in str(error))


def test_pauses_grow_up_to_a_limit_and_the_deadline_ends_them(monkeypatch):
    now, pauses = [1000.0], []
    monkeypatch.setattr(time, "monotonic", lambda: now[0])

    def sleep(seconds):
        pauses.append(seconds)
        now[0] += seconds

    monkeypatch.setattr(time, "sleep", sleep)
    with pytest.raises(OSError, match=r"\d"):
        patience.patiently(failing(1000), lambda error: True)
    assert 0.05 <= pauses[0] <= 0.1
    assert 5 <= max(pauses) <= patience.LONGEST_PAUSE_SECONDS
    assert patience.DEADLINE_SECONDS - patience.LONGEST_PAUSE_SECONDS <= sum(pauses) <= patience.DEADLINE_SECONDS
