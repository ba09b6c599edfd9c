"""Exported models act as the learner, in a process that has TensorFlow alone; damaged ones are found out."""

import json
import resource

import numpy as np
import pytest
import tensorflow as tf
from tasks import Corridor

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


def write(learner, folder, observation, mask=None):
    return export.export(learner, folder, observation, mask, run_id="run", env_id="task", step=128)


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
    observation, mask, memory = target.observations(training)
    training.close()
    assert (mask, memory) == (None, ())
    return training.learner, observation


@pytest.fixture(scope="module")
def written(tmp_path_factory, masked):
    """The first version of the learner with masks."""
    return write(masked[0], tmp_path_factory.mktemp("run") / "model", *masked[1:])


def after_writing(monkeypatch, action):
    """Do something to what was written, just before it is checked."""
    check = parity.check

    def tampered(model, *given):
        action(model)
        return check(model, *given)

    monkeypatch.setattr(parity, "check", tampered)


def test_a_masked_policy_acts_the_same_in_a_fresh_process(written):
    record = json.loads((written / "parity.json").read_text())
    assert record["passed"]
    assert (record["differing_actions"], record["differing_samples"], record["rows"]) == (0, 0, 20)
    described = json.loads((written / "model.json").read_text())
    assert described["action_masks"] is True
    assert described["env_steps"] == 128


def test_a_continuous_policy_acts_the_same_in_a_fresh_process(tmp_path, continuous):
    learner, observation = continuous
    record = json.loads((write(learner, tmp_path / "model", observation) / "parity.json").read_text())
    assert record["passed"]
    assert record["largest_relative_difference"] < 1e-5


def test_only_what_acting_needs_is_saved(written, masked):
    """No critic, no optimiser: a model is no larger than the policy, and tells no more."""
    learner, _, _ = masked
    saved = dict(tf.train.list_variables(str(written / "variables" / "variables")))
    shapes = sorted(tuple(shape) for name, shape in saved.items() if "_CHECKPOINTABLE" not in name and shape)
    needed = [*learner.actor.variables, *learner.normaliser.variables]
    assert shapes == sorted(tuple(variable.shape) for variable in needed if variable.shape.rank)


def test_any_number_of_rows_and_seeded_samples(written, masked):
    _, observation, mask = masked
    model = tf.saved_model.load(str(written))
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


def test_a_version_is_there_once_it_was_checked_and_nothing_half_written_stays(tmp_path, continuous, monkeypatch):
    models = tmp_path / "model"
    left = models / ".writing-by-a-killed-process"
    left.mkdir(parents=True)
    (models / "1").mkdir()
    seen = []
    after_writing(monkeypatch, lambda model: seen.append(export.versions(models)))
    assert write(continuous[0], models, continuous[1]).name == "2"
    assert seen == [[1]]
    assert sorted(path.name for path in models.iterdir()) == ["1", "2"]


def test_a_model_of_other_weights_is_set_aside(tmp_path, continuous, monkeypatch):
    learner, observation = continuous
    weights = learner.state()["weights/00"]
    before = weights.numpy()
    after_writing(monkeypatch, lambda model: weights.assign_add(tf.ones_like(weights)))
    try:
        with pytest.raises(SlipwayError, match="does not act as the trained policy"):
            write(learner, tmp_path / "model", observation)
    finally:
        weights.assign(before)
    assert export.versions(tmp_path / "model") == []
    assert json.loads((tmp_path / "model" / "rejected-1" / "parity.json").read_text())["passed"] is False


def test_a_damaged_model_is_an_error_and_goes(tmp_path, continuous, monkeypatch):
    learner, observation = continuous
    after_writing(monkeypatch, lambda model: (model / "saved_model.pb").write_bytes(b"nonsense"))
    with pytest.raises(SlipwayError, match="cannot be used by itself"):
        write(learner, tmp_path / "model", observation)
    assert list((tmp_path / "model").iterdir()) == []


def test_a_full_disk_is_one_clear_error_and_leaves_nothing(tmp_path, continuous):
    learner, observation = continuous
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(SlipwayError, match="cannot write the model to"):
            write(learner, tmp_path / "model", observation)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list((tmp_path / "model").iterdir()) == []


def answers(learner, observation, mask):
    """What a perfect model answers."""
    parameters = learner.act(tf.constant(observation), tf.constant(mask))
    noise = learner.head.noise(tf.constant(parity.SAMPLE_SEED), [len(observation)])
    return {
        "action": learner.head.mode(parameters).numpy(),
        "sample": learner.head.sample(parameters, noise).numpy(),
        "distribution/logits": parameters[0].numpy().copy(),
    }


@pytest.mark.parametrize("name", ["action", "sample"])
def test_one_other_choice_is_found(masked, name):
    learner, observation, mask = masked
    given = answers(learner, observation, mask)
    assert parity.compare(given, *masked)["passed"]
    given[name][3] = (given[name][3] + 1) % 3
    record = parity.compare(given, *masked)
    assert not record["passed"]
    assert record[f"differing_{name}s"] == 1


@pytest.mark.parametrize("change", [1e-2, np.nan, np.inf])
def test_other_probabilities_are_found(masked, change):
    given = answers(*masked)
    given["distribution/logits"][4, 1] += change
    record = parity.compare(given, *masked)
    assert not record["passed"]
    json.dumps(record, allow_nan=False)


@pytest.mark.parametrize("name", ["action", "sample", "distribution/logits"])
def test_answers_of_another_shape_are_found(masked, name):
    given = answers(*masked)
    given[name] = given[name][:-1]
    assert not parity.compare(given, *masked)["passed"]


def test_either_of_two_equal_choices_will_do():
    scores = np.array([[1.0, 1.0 + 1e-6, 0.0]])
    agree = [parity._same_choices(scores, np.array([1]), np.array([got]))[0] for got in (0, 1, 2, 3, -1)]
    assert agree == [True, True, False, False, False]
