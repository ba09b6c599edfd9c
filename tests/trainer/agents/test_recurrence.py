"""The recurrent layer against plain loops, and what a recurrent learner makes of a rollout."""

import numpy as np
import pytest
import tensorflow as tf
from memory import STEPS, Blinds, Cue
from tf_agents.keras_layers import dynamic_unroll_layer

from envs import seeding
from trainer.agents.recurrence import Torso
from trainer.config.models import PPO, Recurrent
from trainer.iteration import TensorTraining
from trainer.policy import forget, nothing
from trainer.rollout.base import flat

CELLS = ("lstm", "gru")
LENGTH, ROWS = 7, 3


def torso(cell):
    made = Torso((5,), "tanh", Recurrent(cell=cell, units=4), (2,))
    made.initialise(seeding.key_from_seed(1))
    return made


@pytest.fixture
def sequence():
    chance = np.random.default_rng(0)
    observation = tf.constant(chance.normal(size=(LENGTH, ROWS, 2)), tf.float32)
    done = np.zeros((LENGTH, ROWS), bool)
    done[[2, 3, 6], [0, 0, 1]] = True  # an episode of one step, and one that ends with the sequence
    return observation, tf.constant(done)


def before(made):
    chance = np.random.default_rng(1)
    return tuple(tf.constant(chance.normal(size=(ROWS, width)), tf.float32) for width in made.memory_widths)


def by_hand(made, observation, done, memory):
    """The memory after each step, a step at a time."""
    found = []
    for t in range(LENGTH):
        memory = made.step(observation[t], memory)
        found.append(memory)
        memory = forget(memory, done[t])
    return tuple(tf.stack(part) for part in zip(*found, strict=True))


@pytest.mark.parametrize("cell", CELLS)
def test_unrolling_is_stepping_and_episodes_know_nothing_of_each_other(cell, sequence):
    made, (observation, done) = torso(cell), sequence
    compiled = tf.function(made.unroll, jit_compile=True, autograph=False)
    after = compiled(observation, done, before(made))
    for one, other in zip(after, by_hand(made, observation, done, before(made)), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
    # Row 0's third episode begins with step 4: the same alone.
    alone = nothing(made.memory_widths, 1)
    for t in range(4, LENGTH):
        alone = made.step(observation[t, :1], alone)
        np.testing.assert_allclose(after[0][t, 0], alone[0][0], atol=1e-6)


@pytest.mark.parametrize("cell", CELLS)
def test_features_are_those_of_tf_agents_own_unrolling(cell, sequence):
    made, (observation, done) = torso(cell), sequence
    layer = dynamic_unroll_layer.DynamicUnroll(made._cell)
    hidden = tf.transpose(tf.reshape(made._hidden(flat(observation))[0], [LENGTH, ROWS, -1]), [1, 0, 2])
    first = tf.transpose(tf.concat([tf.zeros([1, ROWS], tf.bool), done[:-1]], 0))
    memory = before(made)
    # By `call`, since the layer's first use would make the cell's weights anew.
    expected, _ = layer.call(hidden, list(memory) if cell == "lstm" else memory[0], reset_mask=first)
    np.testing.assert_allclose(made.unroll(observation, done, memory)[0], tf.transpose(expected, [1, 0, 2]), atol=1e-6)


@pytest.mark.parametrize("cell", CELLS)
def test_gradients_of_the_compiled_loop_are_those_of_a_plain_one(cell, sequence):
    made, (observation, done) = torso(cell), sequence

    def gradients(unroll):
        with tf.GradientTape() as tape:
            features = unroll(observation, done, before(made))[0]
            loss = tf.reduce_sum(tf.square(features) * tf.reshape(tf.range(LENGTH, dtype=tf.float32), [-1, 1, 1]))
        return tape.gradient(loss, made.weights)

    compiled = tf.function(lambda: gradients(made.unroll), jit_compile=True, autograph=False)()
    plain = gradients(lambda *given: by_hand(made, *given))
    assert len(compiled) == 5
    for one, other in zip(compiled, plain, strict=True):
        assert float(tf.reduce_max(tf.abs(other))) > 1e-3
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_no_gradient_flows_across_the_end_of_an_episode(sequence):
    made, (observation, done) = torso("lstm"), sequence
    with tf.GradientTape() as tape:
        tape.watch(observation)
        last = made.unroll(observation, done, before(made))[0][5]
    gradient = tape.gradient(last, observation).numpy()
    assert not gradient[:4, 0].any()  # row 0's episode began with step 4
    assert gradient[4:6, 0].any()
    assert gradient[0, 2].any()  # row 2's goes on all the time


def test_first_weights_follow_from_the_key_and_an_lstm_remembers_at_first():
    one, other = torso("lstm"), torso("lstm")
    for a, b in zip(one.weights, other.weights, strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(one._cell.bias, [0] * 4 + [1] * 4 + [0] * 8)
    kernel = one._cell.recurrent_kernel.numpy()
    np.testing.assert_allclose(kernel @ kernel.T, np.eye(4), atol=1e-5)


SMALL = {
    "num_envs": 6, "rollout_steps": 8, "epochs": 2, "minibatch_size": 16,
    "networks": {"actor": [8], "critic": [8], "recurrent": {"units": 4}},
}  # fmt: skip


def training(env, **settings):
    return TensorTraining(env, PPO(**{**SMALL, **settings}), 8, 3)


def collected(made, seed, steps=SMALL["rollout_steps"]):
    return made.rollout.collect(made.learner.act, seeding.key_from_seed(seed), steps)[0]


def test_a_rollout_carries_the_memory_and_forgets_at_the_ends_of_episodes():
    made = training(Cue())
    first, second = collected(made, 1), collected(made, 2)
    assert not any(part.numpy().any() for part in first.memory)
    done, memory = tf.logical_or(first.terminated, first.truncated), first.memory
    torso = made.learner._policy_torso
    for t in range(SMALL["rollout_steps"]):
        memory = torso.step(first.observation[t], memory)
        logits = made.learner._act(memory[0], ())[0]
        np.testing.assert_allclose(first.behaviour[0][t], logits, atol=1e-5)
        memory = forget(memory, done[t])
    assert done.numpy().any()
    for one, other in zip(second.memory, memory, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


@pytest.mark.parametrize("shared", [False, True], ids=["apart", "shared"])
def test_what_is_replayed_is_what_was_done(shared):
    """With no learning, the replayed policy is the one that acted, iteration after iteration."""
    networks = {**SMALL["networks"], "shared": shared}
    made = training(Cue(masked=True), networks=networks, learning_rate=1e-12)
    for row in made.run(3):
        assert row["policy_kl"] < 1e-8
        assert row["clip_fraction"] == 0


def test_values_remember_across_iterations_and_bootstrap_with_what_the_end_was_reached_with():
    made, length = training(Blinds()), SMALL["rollout_steps"]
    learner = made.learner
    memory = nothing(learner._value_torso.memory_widths, SMALL["num_envs"])
    for seed in (1, 2):
        batch = collected(made, seed)
        carried = tuple(variable.read_value() for variable in learner._memory)
        batch = batch._replace(memory=(*batch.memory, *carried))
        value, after = learner._values(batch)
        following = tf.reshape(learner.value(flat(batch.final_observation), *flat(after)), value.shape)
        done = tf.logical_or(batch.terminated, batch.truncated)
        assert batch.truncated.numpy().any()
        for t in range(length):
            np.testing.assert_allclose(value[t], learner.value(batch.observation[t], *memory), atol=1e-5)
            memory = learner._value_torso.step(batch.observation[t], memory)
            # The state that a step led to is valued with all that its episode has shown, an end by a time limit too.
            expected = learner.value(batch.final_observation[t], *memory)
            np.testing.assert_allclose(following[t], expected, atol=1e-5)
            memory = forget(memory, done[t])
        for variable, part in zip(learner._memory, memory, strict=True):
            np.testing.assert_allclose(variable, part, atol=1e-5)


def test_the_next_value_is_averaged_over_all_outcomes_with_the_memory_of_each_step():
    made = training(Blinds(), expectation_over_noise=True)
    learner, env = made.learner, made.learner.task.env
    batch = collected(made, 5)
    batch = batch._replace(memory=(*batch.memory, *(variable.read_value() for variable in learner._memory)))
    _, after = learner._values(batch)
    got = learner._expected_next_value(batch, env.noise_law(), after).numpy()
    for t in range(SMALL["rollout_steps"]):
        expected = np.zeros(SMALL["num_envs"])
        for outcome in (0.0, 1.0):
            state = tf.nest.map_structure(lambda x, t=t: x[t], batch.state)
            reached, moved = env.step(state, batch.action[t], tf.fill([SMALL["num_envs"]], outcome))
            value = learner.value(env.observe(reached), *(part[t] for part in after))
            expected += 0.5 * np.where(moved.terminated, 0.0, value)
        np.testing.assert_allclose(got[t], expected, atol=1e-5)


def test_minibatches_hold_whole_sequences_each_once_an_epoch():
    made = training(Cue(masked=True))
    learner, batch = made.learner, collected(made, 1)
    batch = batch._replace(memory=(*(part + 2.0 for part in batch.memory), *learner._memory))
    packing, count = learner._packing(), SMALL["num_envs"] * SMALL["rollout_steps"]
    numbers = tf.range(count, dtype=tf.float32)
    rows = packing.pack(flat(batch.observation), batch, numbers, numbers, numbers)
    seen = []
    learner._gradient_step = lambda packing, rows: (seen.append(packing.unpack(rows)), tf.zeros([6]))[1]
    learner._epochs(rows, packing, seeding.key_from_seed(0))
    assert len(seen) == 2 * 3
    order = []
    for data in seen[:3]:
        observation, done, memory = data.observation
        assert observation.shape == (SMALL["rollout_steps"], 2, 2)
        value = tf.reshape(data.value, done.shape).numpy().astype(int)
        envs = value[0]
        np.testing.assert_array_equal(value, envs + SMALL["num_envs"] * np.arange(SMALL["rollout_steps"])[:, None])
        order += list(envs)
        for n, env in enumerate(envs):
            np.testing.assert_array_equal(observation[:, n], batch.observation[:, env])
            np.testing.assert_array_equal(done[:, n], batch.terminated[:, env] | batch.truncated[:, env])
            np.testing.assert_array_equal(tf.reshape(data.mask, [*done.shape, 3])[:, n], batch.mask[:, env])
            np.testing.assert_array_equal(tf.reshape(data.action, done.shape)[:, n], batch.action[:, env])
        assert [part.shape[1] for part in memory] == [4, 4, 4, 4]
        assert (memory[0].numpy() == 2.0).all()
        assert not memory[2].numpy().any()
    assert sorted(order) == list(range(SMALL["num_envs"]))


def test_the_cue_is_shown_once():
    batch = collected(training(Cue()), 1, 2 * STEPS)
    shown = batch.observation[..., 0].numpy()
    assert (np.abs(shown[[0, STEPS]]) == 1).all()
    assert not shown[[*range(1, STEPS), *range(STEPS + 1, 2 * STEPS)]].any()
