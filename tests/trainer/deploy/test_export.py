"""Exported models act as the learner, in a process that has TensorFlow alone; damaged ones are found out."""

import json

import numpy as np
import pytest
import tensorflow as tf
from tasks import Corridor

from trainer.agents.ppo import PPOLearner, Task
from trainer.config.models import PPO, RunFile
from trainer.deploy import export, parity
from trainer.errors import SlipwayError
from trainer.iteration import TensorTraining
from trainer.target import Target

SMALL = {
    "num_envs": 8,
    "rollout_steps": 16,
    "epochs": 1,
    "minibatch_size": 32,
    "networks": {"actor": [16], "critic": [16]},
}


def write(learner, folder):
    return export.export(learner, folder, run_id="run", env_id="task", step=128)


@pytest.fixture(scope="module")
def masked():
    """A trained learner with masks and running normalisation, and what it met."""
    training = TensorTraining(Corridor(masked=True), PPO(**SMALL, observation_normalisation="running"), 8, 1)
    training.run(3)
    observation = np.repeat(np.arange(5, dtype=np.float32), 4)[:, None]
    mask = np.stack([observation[:, 0] > 0, np.ones(20, bool), observation[:, 0] < 4], 1)
    return training.learner, observation, mask


@pytest.fixture(scope="module")
def continuous():
    run_file = RunFile.model_validate({"env": {"id": "gymnasium:Pendulum-v1"}, "agent": SMALL})
    target = Target.of(run_file)
    training = target.training(run_file)
    training.run(1)
    observation, mask = target.observations(training)
    training.close()
    assert mask is None
    return training.learner, observation


def test_a_masked_policy_acts_the_same_in_a_fresh_process(tmp_path, masked):
    learner, observation, mask = masked
    model = write(learner, tmp_path / "model")
    record = parity.check(model, learner, observation, mask)
    assert record["passed"]
    assert record["differing_actions"] == 0
    assert record["rows"] == 20
    assert json.loads((model / "parity.json").read_text()) == record
    described = json.loads((model / "model.json").read_text())
    assert described["action_masks"] is True
    assert described["env_steps"] == 128


def test_a_continuous_policy_acts_the_same_in_a_fresh_process(tmp_path, continuous):
    learner, observation = continuous
    assert parity.check(write(learner, tmp_path / "model"), learner, observation, None)["passed"]


def test_any_number_of_rows_and_seeded_samples(tmp_path, masked):
    learner, observation, mask = masked
    model = tf.saved_model.load(str(write(learner, tmp_path / "model")))
    for rows in (1, 7):
        given = {"observation": tf.constant(observation[:rows]), "mask": tf.constant(mask[:rows])}
        assert model.signatures["serving_default"](**given)["action"].shape == (rows,)
    given = {"observation": tf.constant(observation), "mask": tf.constant(mask)}
    draws = [
        model.signatures["sample"](**given, seed=tf.constant([seed, 0]))["action"].numpy() for seed in (1, 1, 2, 3, 4)
    ]
    np.testing.assert_array_equal(draws[0], draws[1])
    assert any((draws[0] != draw).any() for draw in draws[2:])
    assert all(mask[np.arange(20), draw].all() for draw in draws)


def test_versions_count_up_and_nothing_half_written_stays(tmp_path, continuous):
    learner, _ = continuous
    for number in (1, 2):
        assert write(learner, tmp_path / "model").name == str(number)
    assert export.versions(tmp_path / "model") == [1, 2]
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == ["1", "2"]


def test_a_model_of_other_weights_is_set_aside(tmp_path, continuous):
    learner, observation = continuous
    model = write(learner, tmp_path / "model")
    key = tf.constant([9, 9], tf.int32)
    other = PPOLearner(Task(learner.task.observation_shape, learner.task.action_space), learner.settings, key)
    with pytest.raises(SlipwayError, match="does not act as the trained policy"):
        parity.check(model, other, observation + 3, None)
    assert export.versions(tmp_path / "model") == []
    assert (tmp_path / "model" / "rejected-1" / "parity.json").is_file()


def test_a_damaged_model_is_an_error_and_goes(tmp_path, continuous):
    learner, observation = continuous
    model = write(learner, tmp_path / "model")
    (model / "saved_model.pb").write_bytes(b"nonsense")
    with pytest.raises(SlipwayError, match="cannot be used by itself"):
        parity.check(model, learner, observation, None)
    assert export.versions(tmp_path / "model") == []
