import time

import numpy as np
import pytest

from benchmarks import worker
from benchmarks.ours import hyperparameters, run_file
from benchmarks.settings import SETTINGS


class Counting:
    """A program whose policy is good from some iteration on; the first iteration takes longer."""

    def __init__(self, setting, good_from):
        self.setting, self.good_from, self.done = setting, good_from, 0

    def train(self, every, after):
        for iteration in range(1, self.setting.iterations + 1):
            self.done = iteration
            time.sleep(0.05 if self.done == 1 else 0.001)
            due = self.done == 1 or self.done % every == 0 or self.done == self.setting.iterations
            if due and not after(self.done):
                return

    def act(self, observation):
        pole, turning = observation[:, 2], observation[:, 3]
        right = (pole + 0.25 * turning > 0) if self.done >= self.good_from else np.zeros(len(pole), bool)
        return right.astype(np.int64)


@pytest.fixture
def setting():
    return SETTINGS["zoo-8x32"]


def test_solving_ends_at_the_first_evaluation_of_a_good_policy(setting):
    result = worker.solve(Counting(setting, good_from=21), setting)
    assert result["solved"]
    assert result["solve_steps"] == 2 * setting.evaluate_every
    assert [score > worker.SOLVED for _, score in result["curve"]] == [False, True]
    assert result["compile_seconds"] > 0.03
    assert result["solve_seconds"] < 0.5  # evaluations take longer than that


def test_a_bad_policy_is_not_solved(setting):
    assert not worker.solve(Counting(setting, good_from=10**6), setting)["solved"]


def test_speed_leaves_the_first_iteration_out(setting):
    result = worker.speed(Counting(setting, good_from=0), setting)
    assert result["compile_seconds"] > 0.03
    assert 0 < result["steps_per_second"] <= setting.batch_size / 0.001


@pytest.mark.parametrize("setting", SETTINGS.values(), ids=SETTINGS)
def test_every_setting_is_a_valid_run_file(setting):
    run = run_file(setting, 0, "runs")
    assert run.iterations == setting.iterations
    assert hyperparameters(setting).minibatch_size * setting.minibatches == setting.batch_size
    assert setting.evaluate_every >= setting.batch_size
