"""The measure of a plateau on curves whose answer is known, and over interruptions."""

import dataclasses
import json
import random
import statistics

import pytest

from trainer.loop import Counters
from trainer.plateau import FIRST_SCORES, Plateau


def measured(curve, scores=1000, each=10):
    """The measure after all scores, of a curve over the share of the run."""
    plateau = Plateau()
    for number in range(1, scores + 1):
        plateau.add(curve(number / scores), number * each)
    return plateau.ratio(scores * each)


def test_while_the_score_gets_better_it_is_small():
    chance = random.Random(1)
    assert measured(lambda done: done) < 0.02
    assert measured(lambda done: done + chance.gauss(0, 0.1)) < 0.1
    assert measured(lambda done: done**0.1 + chance.gauss(0, 0.01)) < 0.1


@pytest.mark.parametrize("stop", [0.2, 0.5, 0.8])
def test_after_that_it_is_the_share_since_then(stop):
    chance = random.Random(2)
    # The mean goes on to rise for about a fifth longer than the score.
    found = [measured(lambda done: min(done, stop) + chance.gauss(0, 0.05)) for _ in range(15)]
    assert statistics.median(found) == pytest.approx(1 - 1.2 * stop, abs=0.08)
    assert max(found) <= 1 - stop + 0.01


def test_a_score_that_falls_or_does_nothing_but_vary_has_plateaued():
    chance = random.Random(3)
    assert measured(lambda done: -done) > 0.9
    assert measured(lambda done: 7.0) > 0.9
    assert measured(lambda done: chance.gauss(0, 1)) > 0.5


def test_it_does_not_depend_on_the_scores_unit_or_on_what_was_long_ago():
    def curve(done):
        return done + random.Random(done).gauss(0, 0.1)

    assert measured(lambda done: -1000 + 64 * curve(done)) == measured(curve)
    bad_start = measured(lambda done: -1e6 if done < 0.01 else curve(done))
    assert bad_start < 0.1


def test_it_says_nothing_before_there_are_enough_scores():
    plateau = Plateau()
    for number in range(1, FIRST_SCORES):
        plateau.add(1.0, number)
        assert plateau.ratio(number) is None
    plateau.add(1.0, FIRST_SCORES)
    assert plateau.ratio(FIRST_SCORES) == 0.0
    assert plateau.ratio(2 * FIRST_SCORES) == 0.5  # iterations in which no episode ended have no score


def test_a_run_that_goes_on_from_a_checkpoint_says_the_same():
    chance = random.Random(4)
    scores = [chance.gauss(number / 200, 1) for number in range(400)]
    alone, counters = Plateau(), Counters()
    for number, score in enumerate(scores, 1):
        alone.add(score, number)
        counters = Counters.of(json.loads(json.dumps(dataclasses.asdict(counters))))
        counters.plateau.add(score, number)
        assert counters.plateau == alone


def test_a_checkpoint_from_before_there_was_the_measure_begins_it():
    old = {"iteration": 5, "env_steps": 50, "episodes": 1, "wall_time_seconds": 2.0, "merit": None}
    assert Counters.of(old) == Counters(5, 50, 1, 2.0, None, Plateau())
