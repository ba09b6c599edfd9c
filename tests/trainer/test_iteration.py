"""Whole training iterations: reproducible to the bit, resumable, and what each setting does."""

import numpy as np
import pytest
import tensorflow as tf
from tasks import Corridor, Counted

from envs import registry, seeding
from trainer.config import algorithms
from trainer.config.models import PPO
from trainer.errors import SlipwayError
from trainer.iteration import COLLECT, LEARN, TensorTraining

SMALL = {
    "num_envs": 8,
    "rollout_steps": 16,
    "epochs": 2,
    "minibatch_size": 32,
    "networks": {"actor": [16], "critic": [16]},
}
EVERYTHING = {
    "objective": "average-reward", "discount": 1.0, "expected_reward": True, "expectation_over_noise": True,
    "observation_normalisation": "nominal", "common_random_numbers": 4, "separate_gradient_norms": True,
    "learning_rate": {"start": 1e-3, "end": 0.0}, "advantage_normalisation": False,
}  # fmt: skip
OTHER = {
    "observation_normalisation": "running", "return_normalisation": True, "value_clip_ratio": 0.2,
    "networks": {"actor": [16], "critic": [16], "shared": True}, "clip_ratio": {"start": 0.2, "end": 0.1},
    "entropy_coefficient": {"start": 0.02, "end": 0.0, "until": 0.5}, "target_kl_nats": 0.02,
}  # fmt: skip


def training(env=None, iterations=8, seed=3, **settings):
    return TensorTraining(env or Corridor(), PPO(**{**SMALL, **settings}), iterations, seed)


def assert_same_bits(one, other):
    assert one.keys() == other.keys()
    different = [name for name in one if one[name].tobytes() != other[name].tobytes()]
    assert not different


@pytest.mark.parametrize(
    ("env", "settings"),
    [
        (Corridor(masked=True, ends=True), OTHER),
        (Corridor(), EVERYTHING),
        (registry.make("slipway/CartPole-v1"), {}),
        (registry.make("slipway/LostSales-v0"), EVERYTHING),
    ],
    ids=["masked, shared, running", "told everything", "cart-pole", "lost sales"],
)
def test_a_restored_training_goes_on_with_the_same_bits(env, settings):
    straight = training(env, **settings)
    begun, saved = straight.run(2), straight.state()
    rows, ended = straight.run(3), straight.state()
    straight.restart(3)
    # Other numbers of iterations in a call must change nothing.
    assert straight.run(1) + straight.run(1) == begun
    assert_same_bits(straight.state(), saved)
    again = training(env, seed=99, **settings)
    again.load(saved)
    assert again.run(1) + again.run(2) == rows
    assert_same_bits(again.state(), ended)


def test_seeds_differ_and_one_seed_repeats():
    one, same, other = training(seed=1), training(seed=1), training(seed=2)
    for each in (one, same, other):
        each.run(2)
    assert_same_bits(one.state(), same.state())
    assert any(one.state()[name].tobytes() != value.tobytes() for name, value in other.state().items() if name != "key")


def test_another_seed_needs_no_new_compilation_and_is_as_if_made_anew():
    reused = training(seed=1, **OTHER)
    reused.run(3)
    reused.restart(2)
    fresh = training(seed=2, **OTHER)
    assert_same_bits(reused.state(), fresh.state())
    assert reused.run(2) == fresh.run(2)
    assert_same_bits(reused.state(), fresh.state())


def test_a_state_of_another_shape_is_refused_and_changes_nothing():
    target = training()
    before = target.state()
    with pytest.raises(SlipwayError, match="does not fit"):
        target.load(training(num_envs=16).state())
    assert_same_bits(target.state(), before)


def test_masked_actions_are_never_taken():
    made = training(Corridor(masked=True))
    batch, _ = made.rollout.collect(made.learner.act, seeding.key_from_seed(5), 200)
    place, action = batch.observation[..., 0].numpy(), batch.action.numpy()
    assert not ((place == 0) & (action == 0)).any()
    assert not ((place == 4) & (action == 2)).any()
    assert ((place == 0) & (action == 1)).any()


def test_average_reward_does_not_care_about_a_constant():
    plain, shifted = (training(Corridor(shift=shift), **EVERYTHING) for shift in (0.0, 8.0))
    for each in (plain, shifted):
        each.run(2)
    for name, value in plain.learner.state().items():
        np.testing.assert_allclose(value, shifted.learner.state()[name], atol=1e-4)


def test_the_next_value_is_averaged_over_all_outcomes():
    made = training(Corridor(ends=True), expectation_over_noise=True)
    batch, _ = made.rollout.collect(made.learner.act, seeding.key_from_seed(5), 4)
    got = made.learner._expected_next_value(batch, made.learner.task.env.noise_law()).numpy()
    for t, n in np.ndindex(4, 8):
        place = batch.state.place[t, n].numpy() + batch.action[t, n].numpy() - 1
        values = []
        for push in (-1, 0, 1):
            following = np.clip(place + push, 0, 4)
            ended = following >= 4
            values.append(0.0 if ended else float(made.learner.value(tf.constant([[following]], tf.float32))[0]))
        assert got[t, n] == pytest.approx(np.mean(values), abs=1e-5)


def test_a_group_meets_the_same_noise():
    made = training(common_random_numbers=4)
    batch, _ = made.rollout.collect(made.learner.act, seeding.key_from_seed(5), 50)
    place, after = batch.observation[..., 0].numpy(), batch.final_observation[..., 0].numpy()
    push = after - (place + batch.action.numpy() - 1)
    inside = (after > 0) & (after < 4)
    for group in (slice(0, 4), slice(4, 8)):
        for t in range(50):
            assert len(set(push[t, group][inside[t, group]])) <= 1
    assert (push[:, 0] != push[:, 4]).any()


def test_small_divergence_lets_all_epochs_run_and_a_tight_limit_stops_after_the_first():
    limited, once, free, plain = (
        training(target_kl_nats=1e-9, epochs=4, learning_rate=1e-2),
        training(epochs=1, learning_rate=1e-2),
        training(target_kl_nats=1e9, epochs=4, learning_rate=1e-2),
        training(epochs=4, learning_rate=1e-2),
    )
    for each in (limited, once, free, plain):
        each.run(1)
    assert_same_bits(limited.state(), once.state())
    assert_same_bits(free.state(), plain.state())


def test_schedules_follow_the_iterations():
    made = training(iterations=4, learning_rate={"start": 0.04, "end": 0.0}, clip_ratio=0.2)
    assert [row["learning_rate"] for row in made.run(4)] == pytest.approx([0.04, 0.03, 0.02, 0.01])


def test_gradients_are_limited_together_or_apart():
    made = training(separate_gradient_norms=True, max_gradient_norm=1.0)
    gradients = [tf.fill(weight.shape, 10.0) for weight in made.learner._weights]
    clipped, norm = made.learner._clipped(gradients)
    split = len(made.learner.actor.trainable_weights)
    assert float(tf.linalg.global_norm(clipped[:split])) == pytest.approx(1.0, rel=1e-5)
    assert float(tf.linalg.global_norm(clipped[split:])) == pytest.approx(1.0, rel=1e-5)
    assert float(norm) > 10
    together, _ = training(max_gradient_norm=1.0).learner._clipped(gradients)
    assert float(tf.linalg.global_norm(together)) == pytest.approx(1.0, rel=1e-5)


def test_minibatches_hold_each_transition_once_an_epoch():
    made = training()
    made.learner.optimiser.learning_rate.assign(0.0)
    seen = []
    made.learner._gradient_step = lambda packing, rows: (seen.append(rows), tf.zeros([6]))[1]
    columns = tf.range(128, dtype=tf.float32)[:, None] * tf.ones([1, 6])
    made.learner._epochs(columns, None, seeding.key_from_seed(0))
    first = np.concatenate([rows[:, 0].numpy() for rows in seen[:4]])
    assert sorted(first) == list(range(128))
    assert list(first) != list(range(128))


@pytest.mark.slow
def test_learns_to_balance_the_pole():
    made = training(
        registry.make("slipway/CartPole-v1"), iterations=40, num_envs=64, rollout_steps=64, minibatch_size=1024,
        epochs=4, learning_rate={"start": 2.5e-3, "end": 0.0}, networks={"actor": [64, 64], "critic": [64, 64]},
    )  # fmt: skip
    first = made.run(1)[0]
    last = [made.run(13), made.run(13), made.run(13)][-1][-5:]
    assert first["returns"] / first["episodes"] < 40
    assert sum(row["returns"] for row in last) / sum(row["episodes"] for row in last) > 200


def test_scores_of_training_episodes_are_what_the_task_counts():
    for row in training(Counted()).run(2):
        assert row["scores"] == 10 * row["episodes"] > 0
        assert row["returns"] != row["scores"]
    for row in training().run(2):
        assert row["returns"] == row["scores"]


def test_purposes_have_keys_of_their_own():
    made = training()
    keys = {tuple(made._iteration_key(purpose).numpy()) for purpose in (COLLECT, LEARN)}
    made.run(1)
    keys |= {tuple(made._iteration_key(purpose).numpy()) for purpose in (COLLECT, LEARN)}
    assert len(keys) == 4


SMALLEST = {
    "ppo": {"num_envs": 2, "rollout_steps": 4, "minibatch_size": 8, "networks": {"actor": [4], "critic": [4]}},
    "reinforce": {"num_envs": 2, "rollout_steps": 4, "networks": {"actor": [4], "critic": [4]}},
    "self-labelling": {"num_envs": 4, "episodes_per_start": 2, "minibatch_size": 40, "networks": {"actor": [4]}},
    **{
        name: {
            "num_envs": 2,
            "rollout_steps": 2,
            "gradient_steps": 1,
            "minibatch_size": 4,
            "replay_size": 64,
            "learning_starts": 4,
        }
        for name in ("dqn", "sac", "td3")
    },
}


@pytest.mark.parametrize("name", algorithms.TABLE)
def test_whole_iterations_are_one_compiled_graph_for_every_algorithm(name):
    row = algorithms.TABLE[name]
    env = Corridor() if row.discrete else registry.make("slipway/Pendulum-v1")
    settings = row.settings(algorithm=name, **SMALLEST[name])
    made = TensorTraining(env, settings, 4, seed=0)
    graph = made._many.get_concrete_function(tf.constant(1))
    assert graph.function_def.attr["_XlaMustCompile"].b
    assert "whole iterations" in row.compiled_path
