"""SAC, TD3 and REINFORCE: their terms are TF-Agents' own on the same noise, and training can be taken up again."""

import math

import gymnasium
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from tasks import Corridor, Puck
from tf_agents.agents.td3 import td3_agent
from tf_agents.utils import common

from envs import seeding
from trainer.agents.actions import SquashedNormal
from trainer.agents.off_policy import experience
from trainer.agents.replay import Transitions
from trainer.config.models import Reinforce
from trainer.config.off_policy import SAC, TD3
from trainer.deploy import export
from trainer.iteration import GymTraining, TensorTraining
from trainer.rollout.gym import GymSource

NETWORKS = {"actor": [16], "critic": [16]}
SMALL = {
    "num_envs": 4, "rollout_steps": 4, "gradient_steps": 3, "minibatch_size": 16, "replay_size": 64,
    "learning_starts": 20, "networks": NETWORKS,
}  # fmt: skip
SETTINGS = {
    "sac": SAC(**SMALL, n_step=2),
    "td3": TD3(**SMALL, observation_normalisation="running", max_gradient_norm=1.0),
    "reinforce": Reinforce(num_envs=4, rollout_steps=8, networks=NETWORKS, observation_normalisation="running"),
}


def training(name, seed=3):
    return TensorTraining(Puck(), SETTINGS[name], 8, seed)


def assert_same_bits(one, other):
    assert one.keys() == other.keys()
    assert not [name for name in one if one[name].tobytes() != other[name].tobytes()]


@pytest.mark.parametrize("name", SETTINGS)
def test_a_restored_training_goes_on_with_the_same_bits_and_its_model_acts_the_same(tmp_path, name):
    made = training(name)
    made.run(2)
    saved, window = made.state(), made.window()
    rows, ended = made.run(3), made.state()
    made.restart(99)
    made.run(1)
    made.load(saved, window)
    # Other numbers of iterations in a call must change nothing.
    assert made.run(1) + made.run(2) == rows
    assert_same_bits(made.state(), ended)
    observation = np.random.default_rng(0).uniform(-1, 1, [20, 1]).astype(np.float32)
    export.export(made.learner, tmp_path / "model", observation, None, run_id="run", env_id="task", step=80)


@pytest.mark.parametrize("name", ["sac", "td3"])
def test_a_gymnasium_training_goes_on_with_the_same_bits(name):
    made = GymTraining(GymSource("gymnasium:Pendulum-v1", {}, 4, 3, 0), SETTINGS[name], 8, 3)
    try:
        made.run(1), made.run(1)
        saved, window = made.state(), made.window()
        rows, ended = [made.run(1), made.run(1)], made.state()
        made.load(saved, window)
        assert [made.run(1), made.run(1)] == rows
        assert_same_bits(made.state(), ended)
    finally:
        made.close()


def transitions(rows=32):
    chance = np.random.default_rng(0)
    draw = lambda *shape: tf.constant(chance.normal(size=[rows, *shape]), tf.float32)  # noqa: E731
    discount = tf.constant(chance.choice([0.0, 0.9], rows), tf.float32)
    return Transitions(draw(1), (), tf.tanh(draw(1)), draw(), discount, draw(1), ())


@pytest.fixture(scope="module")
def sac():
    return training("sac").learner


def test_squashed_actions_have_the_density_of_tf_agents(sac):
    observation = transitions().observation
    distribution, _ = sac.actor(observation)
    parameters = sac.agent.parameters(observation)
    action, log_probability = sac.head.sample_with_log_probability(
        parameters, sac.head.noise(tf.constant([1, 2]), [32])
    )
    expected = common.log_probability(distribution, action, sac.head.spec)
    np.testing.assert_allclose(log_probability, expected, atol=1e-4)
    assert (np.abs(action) < 1).all()
    np.testing.assert_array_equal(sac.head.sample(parameters, sac.head.noise(tf.constant([1, 2]), [32])), action)


def test_the_density_keeps_its_digits_where_tanh_is_flat():
    head = SquashedNormal(gymnasium.spaces.Box(-1, 1, (1,), np.float32))
    _, log_probability = head.sample_with_log_probability(
        (tf.constant([[20.0]]), tf.constant([[1.0]])), tf.constant([[0.0]])
    )
    # log N(0) - log(1 - tanh(20)^2), the latter 2 log 2 - 40 to float64's precision.
    assert float(log_probability[0]) == pytest.approx(-0.5 * math.log(2 * math.pi) - (2 * math.log(2) - 40), rel=1e-6)


def test_sac_keeps_its_entropy_target_in_nats(sac):
    assert sac.agent._target_entropy == -1.0
    before = float(tf.exp(sac.agent._log_alpha))
    batch = transitions()
    # A policy that is wider than the target lowers the temperature.
    *_, entropy, temperature, _ = sac.gradient_step(batch, seeding.key_from_seed(1))
    assert float(entropy) > -1.0
    assert float(temperature) < before


def test_td3_has_the_critic_loss_of_tf_agents_on_the_same_noise(monkeypatch):
    learner = training("td3").learner
    agent, batch = learner.agent, transitions()
    # Actions near 0, and noise that leaves them within their bounds: TF-Agents does not clip the sum.
    noise = tf.constant(np.random.default_rng(1).normal(size=[32, 1]) * 3, tf.float32)
    agent.noise = noise
    steps = experience(batch, batch.observation, batch.next_observation)
    given = (steps.time_step, steps.action_step.action, steps.next_time_step)

    class Fixed(tfp.distributions.Normal):
        def sample(self, *args, **kwargs):
            return self.scale * noise

    monkeypatch.setattr(td3_agent.tfp.distributions, "Normal", Fixed)
    theirs = td3_agent.Td3Agent.critic_loss(agent, *given, training=True)
    assert float(tf.reduce_max(tf.abs(noise * 0.2))) > 0.5  # some of the noise is clipped
    assert float(agent.critic_loss(*given, training=True)) == pytest.approx(float(theirs), rel=1e-6)


def test_td3_keeps_next_actions_within_bounds_and_delays_the_policy():
    learner = training("td3").learner
    learner.target_actor.trainable_weights[-1].assign([50.0])  # tanh is 1 there
    batch = transitions()
    steps = experience(batch, batch.observation, batch.next_observation)
    given = (steps.time_step, steps.action_step.action, steps.next_time_step)
    losses = []
    for size in (0.0, 5.0):
        learner.agent.noise = tf.fill([32, 1], size)
        losses.append(float(learner.agent.critic_loss(*given)))
    assert losses[0] == losses[1]
    actor = learner.actor.trainable_weights[0]
    before = actor.numpy()
    learner._made.assign(1)
    learner.gradient_step(batch, seeding.key_from_seed(1))
    np.testing.assert_array_equal(actor.numpy(), before)
    learner._made.assign(2)
    learner.gradient_step(batch, seeding.key_from_seed(1))
    assert (actor.numpy() != before).any()


def test_returns_that_are_cut_are_completed_by_the_baseline():
    made = TensorTraining(Corridor(ends=True), Reinforce(num_envs=3, rollout_steps=12, networks=NETWORKS), 4, 1)
    batch, _ = made.rollout.collect(made.learner.act, seeding.key_from_seed(2), 12)
    observation = tf.reshape(batch.observation, [36, 1])
    returns, value = (x.numpy().reshape(12, 3) for x in made.learner._returns(batch, observation))
    following = made.learner.critic(tf.reshape(batch.final_observation, [36, 1]))[0].numpy().reshape(12, 3)
    reward, terminated, truncated = batch.reward.numpy(), batch.terminated.numpy(), batch.truncated.numpy()
    assert terminated.any()
    assert truncated.any()
    for row in range(3):
        total = following[-1, row]
        for t in reversed(range(12)):
            if terminated[t, row] or truncated[t, row]:
                total = 0.0 if terminated[t, row] else following[t, row]
            total = reward[t, row] + 0.99 * total
            assert returns[t, row] == pytest.approx(total, rel=1e-4)
    np.testing.assert_allclose(value.reshape(-1), made.learner.critic(observation)[0], rtol=1e-6)


def test_reinforce_takes_the_gradient_of_weighted_log_probabilities():
    made = TensorTraining(Corridor(masked=True), Reinforce(num_envs=3, rollout_steps=8, networks=NETWORKS), 4, 1)
    learner = made.learner
    batch, _ = made.rollout.collect(learner.act, seeding.key_from_seed(2), 8)
    returns, value = learner._returns(batch, tf.reshape(batch.observation, [24, 1]))
    advantage = returns - value
    advantage = (advantage - tf.reduce_mean(advantage)) / tf.math.reduce_std(advantage)
    logits = learner.act(tf.reshape(batch.observation, [24, 1]), tf.reshape(batch.mask, [24, 3]))[0]
    chosen = tf.gather(tf.nn.log_softmax(logits), tf.reshape(batch.action, [24]), axis=1, batch_dims=1)
    policy_loss, *_ = learner.learn(batch, seeding.key_from_seed(0), tf.constant(0.0))
    assert float(policy_loss) == pytest.approx(float(-tf.reduce_mean(chosen * advantage)), rel=1e-4)
