"""C51: its loss is TF-Agents' own, its projection the paper's, and what it learns is the distribution of returns."""

import numpy as np
import pytest
import tensorflow as tf
from tasks import Corridor, Wager
from tf_agents.agents.categorical_dqn import categorical_dqn_agent
from tf_agents.trajectories import time_step

from envs import seeding
from trainer.agents.actions import FORBIDDEN
from trainer.agents.c51 import as_trajectory
from trainer.agents.off_policy import experience
from trainer.agents.replay import Transitions
from trainer.config.off_policy import DQN
from trainer.deploy import export
from trainer.iteration import TensorTraining

ATOMS, LEAST, GREATEST = 11, -3.0, 5.0
SUPPORT = np.linspace(LEAST, GREATEST, ATOMS)
SMALL = {
    "num_envs": 8, "rollout_steps": 4, "gradient_steps": 3, "minibatch_size": 32, "replay_size": 128,
    "learning_starts": 40, "n_step": 3, "networks": {"layers": [16], "dueling": True},
    "distributional": {"atoms": ATOMS, "least_value": LEAST, "greatest_value": GREATEST},
}  # fmt: skip


def training(masked=False, seed=3, **settings):
    return TensorTraining(Corridor(masked=masked, ends=True), DQN(**{**SMALL, **settings}), 8, seed)


def transitions(rows=64, masked=False):
    chance = np.random.default_rng(0)
    draw = lambda *shape: tf.constant(chance.normal(size=[rows, *shape]), tf.float32)  # noqa: E731
    mask = tf.constant(chance.random([rows, 3]) < 0.5) | tf.constant([False, True, False])
    return Transitions(
        draw(1), mask if masked else (), tf.constant(chance.integers(0, 3, rows), tf.int32), 4 * draw(),
        tf.constant(chance.choice([0.0, 0.9], rows), tf.float32), draw(1), mask if masked else (),
    )  # fmt: skip


def projected(values, probabilities, support):
    """Each atom's probability goes to its two neighbours on the support, by nearness (the paper's algorithm 1)."""
    result, spacing = np.zeros_like(probabilities), support[1] - support[0]
    for row, target in enumerate(np.clip(values, support[0], support[-1])):
        for value, probability in zip(target, probabilities[row], strict=True):
            place = (value - support[0]) / spacing
            lower = min(int(place), len(support) - 2)
            result[row, lower] += probability * (lower + 1 - place)
            result[row, lower + 1] += probability * (place - lower)
    return result


def softmax(logits):
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def apart(learner):
    """Make the target network differ from the online one."""
    weights = learner.target.trainable_weights[0]
    weights.assign_add(tf.reshape(tf.linspace(-2.0, 2.0, int(tf.size(weights))), weights.shape))


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("double", [False, True])
def test_the_loss_is_the_papers(masked, double):
    """Written out in NumPy: greedy next action by expected value, projection, cross entropy."""
    learner = training(masked=masked, double=double).learner
    apart(learner)
    batch = transitions(masked=masked)
    online, target = (softmax(net(batch.next_observation)[0].numpy()) for net in (learner.network, learner.target))
    judged = (online if double else target) @ SUPPORT
    if masked:
        judged = np.where(batch.next_mask.numpy(), judged, -np.inf)
    rows = np.arange(64)
    following = target[rows, judged.argmax(-1)]
    values = batch.reward.numpy()[:, None] + batch.discount.numpy()[:, None] * SUPPORT
    assert (values < LEAST).any()  # some of it is beyond the support on either side
    assert (values > GREATEST).any()
    wished = projected(values, following, SUPPORT)
    np.testing.assert_allclose(wished.sum(-1), 1, rtol=1e-6)
    had = softmax(learner.network(batch.observation)[0].numpy())[rows, batch.action.numpy()]
    expected = -(wished * np.log(had)).sum(-1).mean()
    loss, *_ = learner.gradient_step(batch, seeding.key_from_seed(0))
    assert float(loss) == pytest.approx(expected, rel=1e-5)


def test_the_projection_of_tf_agents_is_the_papers():
    chance = np.random.default_rng(1)
    values = np.concatenate([chance.normal(1, 4, [20, ATOMS]), SUPPORT[None], SUPPORT[None] + 0.4]).astype(np.float32)
    probabilities = chance.dirichlet(np.ones(ATOMS), 22).astype(np.float32)
    theirs = categorical_dqn_agent.project_distribution(
        tf.constant(values), tf.constant(probabilities), tf.constant(SUPPORT, tf.float32)
    )
    np.testing.assert_allclose(theirs, projected(values, probabilities, SUPPORT), atol=1e-5)


@pytest.mark.parametrize("masked", [False, True])
def test_the_loss_is_that_of_tf_agents(masked):
    learner = training(masked=masked, double=False).learner
    apart(learner)
    spec = tf.TensorSpec([1], tf.float32)
    theirs = categorical_dqn_agent.CategoricalDqnAgent(
        time_step.time_step_spec((spec, tf.TensorSpec([3], tf.bool)) if masked else spec), learner.head.spec,
        categorical_q_network=learner.network, target_categorical_q_network=learner.target, optimizer=None,
        min_q_value=LEAST, max_q_value=GREATEST, gamma=1.0,
        observation_and_action_constraint_splitter=(lambda pair: pair) if masked else None,
    )  # fmt: skip
    batch = transitions(masked=masked)
    seen = (batch.observation, batch.next_observation)
    if masked:
        seen = ((batch.observation, batch.mask), (batch.next_observation, batch.next_mask))
    expected = theirs._loss(as_trajectory(experience(batch, *seen)), training=True).loss
    loss, *_ = learner.gradient_step(batch, seeding.key_from_seed(0))
    assert float(loss) == pytest.approx(float(expected), rel=1e-6)


def test_dueling_shares_a_value_among_the_actions_for_each_atom():
    learner = training().learner
    observation = tf.constant([[0.3], [2.0]])
    features = learner.network._encoder(observation)[0]
    logits = learner.network(observation)[0]
    assert logits.shape == [2, 3, ATOMS]
    np.testing.assert_allclose(tf.reduce_mean(logits, 1), learner.network._value(features), atol=1e-5)


def test_actions_are_chosen_by_expected_value_within_the_mask():
    learner = training(masked=True).learner
    observation = tf.constant([[0.0], [2.0]])
    mask = tf.constant([[False, True, True], [True, True, True]])
    values, _ = learner.act(observation, mask)
    expected = softmax(learner.network(observation)[0].numpy()) @ SUPPORT
    np.testing.assert_allclose(np.where(mask, expected, FORBIDDEN), values, rtol=1e-5)
    chosen = learner.policy(greedy=True)(observation, mask, None)
    np.testing.assert_array_equal(chosen, np.where(mask, expected, -np.inf).argmax(-1))


def test_a_restored_training_goes_on_with_the_same_bits_and_its_model_acts_the_same(tmp_path):
    made = training(masked=True, observation_normalisation="running")
    begun = made.run(2)
    saved, window = made.state(), made.window()
    rows, ended = made.run(3), made.state()
    assert [row["gradient_steps"] for row in begun + rows] == [0, 3, 3, 3, 3]
    made.restart(99)
    made.run(2)
    made.load(saved, window)
    # Other numbers of iterations in a call must change nothing.
    assert made.run(1) + made.run(2) == rows
    again = made.state()
    assert again.keys() == ended.keys()
    assert not [name for name in again if again[name].tobytes() != ended[name].tobytes()]
    observation = np.repeat(np.arange(5, dtype=np.float32), 4)[:, None]
    mask = np.stack([observation[:, 0] > 0, np.ones(20, bool), observation[:, 0] < 4], 1)
    export.export(made.learner, tmp_path / "model", observation, mask, run_id="run", env_id="task", step=160)


def test_it_learns_the_distribution_of_returns():
    """Wait (0) is worth .5 after a step; bet (1) is worth -1 or 2, with chances 3/4 and 1/4: a mean of -.25."""
    made = TensorTraining(
        Wager(),
        DQN(
            num_envs=32, rollout_steps=4, gradient_steps=32, minibatch_size=128, replay_size=4096, learning_starts=512,
            learning_rate={"start": 1e-2, "end": 0}, exploration=1.0, discount=0.8, target_rate=0.1,
            networks={"layers": [16]}, distributional={"atoms": 9, "least_value": -2, "greatest_value": 2},
        ),
        40, 0,
    )  # fmt: skip
    for _ in range(4):
        made.run(10)
    support = np.linspace(-2, 2, 9)
    first, second = softmax(made.learner.network(tf.constant([[0.0], [1.0]]))[0].numpy())
    np.testing.assert_allclose(second[1], np.where(support == -1, 0.75, np.where(support == 2, 0.25, 0)), atol=0.05)
    np.testing.assert_allclose(second[0], support == 0.5, atol=0.02)
    # The first step has no reward; then the better action is taken: .8 * .5 = .4 lies between the atoms 0 and .5.
    for action in range(2):
        np.testing.assert_allclose(
            first[action], np.where(support == 0.5, 0.8, np.where(support == 0, 0.2, 0)), atol=0.03
        )
