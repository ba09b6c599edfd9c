"""Which checkpoints are kept."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.retention import Retention

MERITS = {10: 1.0, 20: 7.0, 30: None, 40: 7.0, 50: -2.0, 60: 3.0}


@pytest.mark.parametrize(
    ("retention", "kept"),
    [
        (Retention(), {40, 50, 60}),
        (Retention(last=1), {60}),
        (Retention(last=1, best=1), {20, 60}),
        (Retention(last=1, best=3), {20, 40, 60}),
        (Retention(last=2, best=9), {10, 20, 40, 50, 60}),
        (Retention(last=1, every_env_steps=25), {10, 30, 50, 60}),
        (Retention(last=1, every_env_steps=1000), {10, 60}),
    ],
)
def test_each_rule_keeps_its_own(retention, kept):
    assert retention.kept(MERITS) == kept


@given(
    st.dictionaries(st.integers(0, 10**6), st.none() | st.floats(-1e3, 1e3), max_size=30),
    st.builds(Retention, st.integers(1, 5), st.integers(0, 5), st.none() | st.integers(1, 10**5)),
)
def test_dropping_again_drops_nothing_and_the_newest_always_stays(merits, retention):
    kept = retention.kept(merits)
    assert kept <= merits.keys()
    assert not merits or max(merits) in kept
    assert retention.kept({step: merits[step] for step in kept}) == kept
