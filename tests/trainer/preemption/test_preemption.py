"""Signals as a wish, and what the training sees of it."""

import os
import signal

import pytest

from trainer.config import load
from trainer.errors import BadInput
from trainer.preemption import Notice, Preempted, Preemption


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_is_a_wish_and_a_second_ctrl_c_an_order(number):
    before = signal.getsignal(number)
    with Preemption() as preemption:
        preemption.check()
        os.kill(os.getpid(), number)
        assert preemption.received == Notice(f"stopped by {number.name}")
        with pytest.raises(Preempted, match=f"stopped by {number.name}"):
            preemption.check()
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
        assert preemption.received.reason == f"stopped by {number.name}"
    assert signal.getsignal(number) is before


def test_the_first_ctrl_c_after_a_notice_breaks_nothing_off():
    with Preemption() as preemption:
        preemption.heed(Notice("the machine goes"))
        os.kill(os.getpid(), signal.SIGINT)
        assert preemption.received.reason == "the machine goes"


@pytest.mark.parametrize(
    ("key", "word", "allowed"),
    [
        ("watch", "azure", "auto or ec2 or compute-engine or none"),
        ("on_rebalance", "ignore", "save or stop"),
    ],
)
def test_a_wrong_word_is_one_clear_error(key, word, allowed):
    with pytest.raises(BadInput) as error:
        load.validate({"env": "slipway/CartPole-v1", "preemption": {key: word}})
    assert (error.value.field, error.value.value, error.value.allowed) == (f"preemption.{key}", word, allowed)
