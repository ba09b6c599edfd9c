"""Deep Q-learning: its loss is TF-Agents' own, masks are heeded everywhere, and training can be taken up again."""

import numpy as np
import pytest
import tensorflow as tf
from tasks import Corridor
from tf_agents.agents.dqn import dqn_agent
from tf_agents.trajectories import time_step
from tf_agents.utils import common

from envs import seeding
from trainer.agents.actions import FORBIDDEN
from trainer.agents.off_policy import experience
from trainer.agents.replay import Transitions
from trainer.config.off_policy import DQN
from trainer.deploy import export
from trainer.errors import SlipwayError
from trainer.iteration import TensorTraining

SMALL = {
    "num_envs": 8, "rollout_steps": 4, "gradient_steps": 3, "minibatch_size": 32, "replay_size": 128,
    "learning_starts": 40, "n_step": 3, "networks": {"layers": [16], "dueling": True},
}  # fmt: skip


def training(masked=False, seed=3, **settings):
    return TensorTraining(Corridor(masked=masked, ends=True), DQN(**{**SMALL, **settings}), 8, seed)


def assert_same_bits(one, other):
    assert one.keys() == other.keys()
    assert not [name for name in one if one[name].tobytes() != other[name].tobytes()]


def test_a_restored_training_goes_on_with_the_same_bits_and_another_seed_needs_no_compilation():
    settings = {"observation_normalisation": "running", "target_update_gradient_steps": 2}
    made = training(masked=True, **settings)
    begun = made.run(3)
    saved, window = made.state(), made.window()
    rows, ended, last = made.run(3), made.state(), made.window()
    assert [row["gradient_steps"] for row in begun + rows] == [0, 3, 3, 3, 3, 3]
    assert [row["replay_transitions"] for row in begun + rows] == [32, 64, 96, 128, 128, 128]
    replay = last.read(last.start, last.stop).tobytes()
    made.restart(3)
    assert made.run(1) + made.run(2) == begun
    made.restart(99)
    made.run(2)
    made.load(saved, window)
    assert made.run(1) + made.run(2) == rows
    assert_same_bits(made.state(), ended)
    last = made.window()
    assert last.read(last.start, last.stop).tobytes() == replay


def test_a_state_without_its_replay_is_refused():
    made = training()
    with pytest.raises(SlipwayError, match="the replay's rows"):
        made.load(made.state())


@pytest.fixture(scope="module")
def masked():
    made = training(masked=True)
    made.run(4)
    return made


def test_masked_actions_are_neither_taken_nor_explored(masked):
    learner = masked.learner
    learner._explores.assign(0.7)
    batch, _ = masked.rollout.collect(learner.act, seeding.key_from_seed(5), 200)
    place, action = batch.observation[..., 0].numpy(), batch.action.numpy()
    assert not ((place == 0) & (action == 0)).any()
    assert not ((place == 4) & (action == 2)).any()
    assert set(action[place == 0]) == {1, 2}
    # Masks of the states that steps led to, before any reset.
    after = batch.final_observation[..., 0].numpy()
    np.testing.assert_array_equal(batch.final_mask[..., 0].numpy(), after > 0)
    np.testing.assert_array_equal(batch.final_mask[..., 2].numpy(), after < 4)


def transitions(seed=0, rows=64, masked=False):
    chance = np.random.default_rng(seed)
    draw = lambda *shape: tf.constant(chance.normal(size=[rows, *shape]), tf.float32)  # noqa: E731
    mask = tf.constant(chance.random([rows, 3]) < 0.5) | tf.constant([False, True, False])
    return Transitions(
        draw(1), mask if masked else (), tf.constant(chance.integers(0, 3, rows), tf.int32), draw(),
        tf.constant(chance.choice([0.0, 0.9], rows), tf.float32), draw(1), mask if masked else (),
    )  # fmt: skip


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("double", [False, True])
def test_the_loss_is_that_of_tf_agents(masked, double):
    made = training(masked=masked, double=double)
    learner = made.learner
    learner.target.trainable_weights[0].assign_add(tf.ones_like(learner.target.trainable_weights[0]))
    spec = tf.TensorSpec([1], tf.float32)
    theirs = (dqn_agent.DdqnAgent if double else dqn_agent.DqnAgent)(
        time_step.time_step_spec((spec, tf.TensorSpec([3], tf.bool)) if masked else spec), learner.head.spec,
        q_network=learner.network, target_q_network=learner.target, optimizer=None, gamma=1.0,
        td_errors_loss_fn=common.element_wise_huber_loss,
        observation_and_action_constraint_splitter=(lambda pair: pair) if masked else None,
    )  # fmt: skip
    batch = transitions(masked=masked)
    seen = (batch.observation, batch.next_observation)
    if masked:
        seen = ((batch.observation, batch.mask), (batch.next_observation, batch.next_mask))
    steps = experience(batch, *seen)
    expected = theirs._loss(steps, common.element_wise_huber_loss, training=True).loss
    loss, *_ = learner.gradient_step(batch, seeding.key_from_seed(0))
    assert float(loss) == pytest.approx(float(expected), rel=1e-6)


def test_an_end_is_worth_its_reward_and_a_cut_is_bootstrapped():
    learner = training().learner
    batch = transitions()._replace(discount=tf.zeros([64]))
    errors = []
    for discount in (0.0, 0.9):
        cut = batch._replace(discount=tf.fill([64], discount))
        following = learner.agent._compute_next_q_values(
            experience(cut, cut.observation, cut.next_observation).next_time_step, ()
        )
        values = tf.gather(learner.network(cut.observation)[0], cut.action, axis=1, batch_dims=1)
        error = np.abs(cut.reward + discount * following - values)
        errors.append(np.where(error < 1, error**2 / 2, error - 0.5).mean())
        assert float(learner.agent._loss(experience(cut, cut.observation, cut.next_observation)).loss) == pytest.approx(
            errors[-1], rel=1e-5
        )
    assert errors[0] != errors[1]


def test_targets_move_when_they_are_due():
    made = training(target_update_gradient_steps=2, target_rate=1.0, learning_starts=0, n_step=1)
    made.run(1)  # three gradient steps: moved after the second
    assert int(made.state()["learner/gradient_steps"]) == 3
    pairs = made.learner._targets
    assert any((target.numpy() != source.numpy()).any() for target, source in pairs)
    made.learner.gradient_step(transitions(), None)  # the count stays at three, which is odd
    before = [target.numpy() for target, _ in pairs]
    made.learner._made.assign(4)
    made.learner.gradient_step(transitions(), None)
    assert any((target.numpy() != old).any() for (target, _), old in zip(pairs, before, strict=True))
    for target, source in pairs:
        np.testing.assert_array_equal(target.numpy(), source.numpy())


def test_exploration_follows_its_schedule_and_is_widest_at_first():
    made = training(exploration={"start": 0.8, "end": 0.0})
    assert [row["exploration"] for row in made.run(4)][1:] == pytest.approx([1.0, 0.7, 0.6])
    values = tf.constant([[0.0, 2.0, FORBIDDEN]] * 3000)
    noise = made.learner.head.noise(seeding.key_from_seed(1), [3000])
    chosen = made.learner.head.sample((values, tf.fill([3000], 0.5)), noise).numpy()
    assert not (chosen == 2).any()
    assert (chosen == 0).mean() == pytest.approx(0.25, abs=0.04)


def test_an_exported_model_acts_the_same(tmp_path, masked):
    observation = np.repeat(np.arange(5, dtype=np.float32), 4)[:, None]
    mask = np.stack([observation[:, 0] > 0, np.ones(20, bool), observation[:, 0] < 4], 1)
    folder = export.export(
        masked.learner, tmp_path / "model", observation, mask, run_id="run", env_id="task", step=128
    )  # fmt: skip
    assert folder.name == "1"
