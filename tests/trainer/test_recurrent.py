"""Recurrent policies: they learn what takes memory, and carry it through resumes, evaluation, export and simulation."""

import json

import gymnasium
import numpy as np
import pytest
import tensorflow as tf
from memory import STEPS, Blinds, Cue, GymCue

from envs import core, seeding
from envs.seeding import Split
from trainer.agents.actions import answer
from trainer.config import load
from trainer.config.models import PPO, Evaluation
from trainer.deploy import export, parity
from trainer.evaluation import episodes, protocol
from trainer.evaluation.gym_episodes import GymEpisodes
from trainer.iteration import GymTraining, TensorTraining
from trainer.policy import ask, begin, forget
from trainer.rollout.gym import GymSource
from trainer.rollout.gym_vector import GymVector
from trainer.simulation.episodes import Recorder
from trainer.simulation.gym_episodes import GymRecorder
from trainer.target import Target

PLAIN = {"actor": [16], "critic": [16]}
LEARNS = {
    "num_envs": 64, "rollout_steps": 16, "minibatch_size": 256, "learning_rate": 5e-3, "entropy_coefficient": 0.01,
}  # fmt: skip
SMALL = {"num_envs": 4, "rollout_steps": 7, "epochs": 2, "minibatch_size": 14}
ITERATIONS = 50


def learned(env, networks):
    training = TensorTraining(env, PPO(**LEARNS, networks=networks), ITERATIONS, 1)
    rows = training.run(ITERATIONS)[-5:]
    return training, sum(row["returns"] for row in rows) / sum(row["episodes"] for row in rows)


@pytest.fixture(scope="module")
def target():
    return Target("test/Cue-v0", {}, Cue(masked=True))


@pytest.fixture(scope="module")
def solved():
    """A policy that has learned to follow the cue, where masks allow sides at the junction alone."""
    training, reached = learned(Cue(masked=True), {**PLAIN, "recurrent": {"units": 16}})
    assert reached > 0.9
    return training


def test_memory_solves_what_chance_is_the_best_without():
    _, reached = learned(Cue(), {**PLAIN, "shared": True, "recurrent": {"cell": "gru", "units": 16}})
    assert reached > 0.9
    _, forgetful = learned(Cue(), PLAIN)
    assert forgetful < 0.2


@pytest.fixture(scope="module")
def registered():
    gymnasium.register("test/Cue-v0", entry_point=GymCue, max_episode_steps=2 * STEPS, disable_env_checker=True)
    yield "gymnasium:test/Cue-v0"
    gymnasium.registry.pop("test/Cue-v0")


def assert_same_bits(one, other):
    assert one.keys() == other.keys()
    assert not [name for name in one if one[name].tobytes() != other[name].tobytes()]


@pytest.mark.parametrize(
    ("env", "settings"),
    [
        (Cue(masked=True), {"networks": {**PLAIN, "shared": True, "recurrent": {"cell": "gru", "units": 8}}}),
        (
            Blinds(),
            {
                "networks": {**PLAIN, "recurrent": {"units": 8}}, "observation_normalisation": "running",
                "return_normalisation": True, "expectation_over_noise": True, "common_random_numbers": 2,
                "separate_gradient_norms": True, "value_clip_ratio": 0.2, "target_kl_nats": 0.02,
            },
        ),
    ],
    ids=["masked, shared", "apart, every setting"],
)  # fmt: skip
def test_a_restored_training_goes_on_with_the_same_bits(env, settings):
    training = TensorTraining(env, PPO(**SMALL, **settings), 8, 3)
    training.run(2)
    saved = training.state()
    assert saved["rollout/memory/0"].any()
    assert ("learner/memory/0" in saved) == (not training.settings.networks.shared)
    rows, ended = training.run(3), training.state()
    training.restart(99)
    assert_same_bits(training.state(), TensorTraining(env, PPO(**SMALL, **settings), 8, 99).state())
    training.load(saved)
    # Other numbers of iterations in a call must change nothing.
    assert training.run(1) + training.run(2) == rows
    assert_same_bits(training.state(), ended)


def test_a_restored_training_on_gymnasium_goes_on_with_the_same_bits(registered):
    settings = PPO(**SMALL, networks={**PLAIN, "recurrent": {"units": 8}})

    source = GymSource(registered, {"masked": True}, SMALL["num_envs"], 3, 0)
    training = GymTraining(source, settings, 4, 3)
    try:
        training.run(1)
        saved = training.state()
        assert saved["memory/0"].any()
        rows, ended = [training.run(1), training.run(1)], training.state()
        training.load(saved)
        assert [training.run(1), training.run(1)] == rows
        assert_same_bits(training.state(), ended)
    finally:
        training.close()


def test_episodes_of_evaluation_begin_without_memory_and_go_on_with_it(solved, target):
    with pytest.raises(TypeError):
        solved.learner.policy(greedy=True)(tf.zeros([1, 2]), None, None)
    settings = Evaluation(seeds=3, episodes_per_seed=20, stochastic=False)
    said = protocol.evaluate(target, solved.learner, settings, target.goal(), training_seed=1, policy_step=1)
    assert said["policies"]["greedy"]["mean"] == 1
    assert said["exact"] == {}
    assert protocol.picture(target, solved.learner) is None


def test_an_exact_score_is_of_policies_without_memory_alone():
    """Frozen lake computes one, and draws a picture, for every policy that is a function of its states."""
    for recurrent, expected in ((None, True), ({"units": 4}, False)):
        run_file = load.validate(
            {"env": "slipway/FrozenLake-v1", "agent": {**SMALL, "networks": {**PLAIN, "recurrent": recurrent}}}
        )
        found = Target.of(run_file)
        learner = found.training(run_file).learner
        assert (protocol.exact_score(found, learner) is not None) == expected
        assert (protocol.picture(found, learner) is not None) == expected


def test_evaluation_and_simulation_on_gymnasium_carry_the_memory(solved, registered):
    """The policy learned on the tensor task acts on the same task of Gymnasium's, whose episodes end out of step."""
    policy = solved.learner.policy(greedy=True)

    def make(rows):
        return GymVector(registered, {"masked": True}, rows)

    assert (GymEpisodes(make, {"greedy": policy}, 5, 8)()["greedy"] == 1).all()
    (chunk,) = GymRecorder(make, policy)(range(10))
    assert (chunk.reward[:, STEPS - 1] == 1).all()
    assert (chunk.lengths == STEPS).all()


def test_simulated_episodes_are_those_that_the_policy_plays(solved, target):
    policy = solved.learner.policy(greedy=True)
    (chunk,) = Recorder(target.env, episodes.of_policy(target.env, policy))(range(12))
    memory = begin(policy, 12)
    for t in range(STEPS):
        action, memory = ask(policy, memory, tf.constant(chunk.observation[:, t]), tf.constant(chunk.mask[:, t]), None)
        np.testing.assert_array_equal(chunk.action[:, t], action)
    assert (chunk.reward[:, STEPS - 1] == 1).all()


@pytest.fixture(scope="module")
def exported(tmp_path_factory, solved, target):
    recorded = target.observations(solved)
    return recorded, export.export(
        solved.learner, tmp_path_factory.mktemp("run") / "model", *recorded, run_id="run", env_id="task", step=1
    )


def test_recorded_memories_are_those_of_the_rollout(solved, target, exported):
    recorded, _ = exported
    learner, rows = solved.learner, 16
    seen, mask = recorded.observation.reshape(-1, rows, 2), recorded.mask.reshape(-1, rows, 3)
    memory = begin(learner.policy(greedy=True), rows)
    for t in range(len(seen)):
        for part, expected in zip(recorded.memory, memory, strict=True):
            np.testing.assert_allclose(part.reshape(-1, rows, 16)[t], expected, atol=1e-5)
        _, memory = answer(learner.head, learner.act(tf.constant(seen[t]), tf.constant(mask[t]), *memory))
        memory = forget(memory, seen[t][:, 1] > 0)


def test_an_exported_policy_takes_and_gives_its_memory_and_solves_the_task(exported, target):
    _, folder = exported
    record = json.loads((folder / parity.RECORD).read_text())
    assert record["passed"]
    assert (record["differing_actions"], record["differing_samples"]) == (0, 0)
    assert json.loads((folder / "model.json").read_text())["memory_widths"] == [16, 16]
    serve = tf.saved_model.load(str(folder)).signatures["serving_default"]
    env, key = target.env, seeding.key_from_seed(7, Split.HELD_OUT)
    episode = core.begin(env, key, 10)
    memory = {name: tf.zeros([10, 16]) for name in ("memory_0", "memory_1")}
    for _ in range(STEPS):
        given = {"observation": env.observe(episode.state), "mask": env.action_mask(episode.state)}
        memory = serve(**given, **memory)
        episode, outcome = core.proceed(env, episode, memory.pop("action"), ())
    assert (outcome.reward.numpy() == 1).all()


@pytest.mark.parametrize("name", ["distribution/memory_1", "served/memory_0", "drawn/memory_0"])
def test_a_model_that_remembers_otherwise_is_found(solved, exported, name):
    (observation, mask, memory), _ = exported
    learner = solved.learner
    parameters, after = answer(learner.head, learner.act(observation, tf.constant(mask), *map(tf.constant, memory)))
    noise = learner.head.noise(tf.constant(parity.SAMPLE_SEED), [len(observation)])
    given = {
        "action": learner.head.mode(parameters).numpy(), "sample": learner.head.sample(parameters, noise).numpy(),
        "distribution/logits": parameters[0].numpy(),
    }  # fmt: skip
    for kind in ("distribution", "served", "drawn"):
        given |= {f"{kind}/memory_{number}": part.numpy().copy() for number, part in enumerate(after)}
    assert parity.compare(given, learner, observation, mask, memory)["passed"]
    given[name][3, 2] += 0.01
    assert not parity.compare(given, learner, observation, mask, memory)["passed"]
