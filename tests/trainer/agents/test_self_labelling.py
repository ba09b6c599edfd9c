"""Self-labelling: the best of several episodes from one start is what is learned, and nothing that was no choice."""

import numpy as np
import pytest
import tensorflow as tf
from tasks import Corridor

from envs import registry, seeding
from trainer.agents import actions, self_labelling
from trainer.config import check, load
from trainer.errors import BadInput
from trainer.iteration import TensorTraining
from trainer.rollout.base import Recording, Trajectories
from trainer.rollout.best_of import BestOfEpisodes

KEY = seeding.key_from_seed(3)
SMALL = {
    "algorithm": "self-labelling",
    "num_envs": 64,
    "episodes_per_start": 8,
    "rollout_steps": 16,
    "minibatch_size": 16,
    "learning_rate": 3e-3,
    "networks": {"kind": "permutation-equivariant", "actor": [16], "activation": "relu"},
}


def training(env, **changes):
    run_file = load.validate({"env": "slipway/JobShop-v0", "agent": {**SMALL, **changes}})
    return TensorTraining(env, run_file.agent, 20, 0)


def uniform(count):
    return lambda observation, mask: (tf.zeros([observation.shape[0], count]),)


@pytest.mark.parametrize("ends", [False, True])
def test_what_is_recorded_is_the_best_episode_of_each_group_from_its_beginning_to_its_end(ends):
    env = Corridor(ends=ends, shift=-0.5)
    head = actions.head(env.action_space)
    rollout = BestOfEpisodes(env, 24, head, KEY, Recording(best_of=6))
    collect = tf.function(lambda: rollout.collect(uniform(3), KEY, 10), jit_compile=True, autograph=False)
    batch, sums = collect()
    returns = batch.reward.numpy().sum(0)
    assert sums.count == 24
    assert returns.mean() > float(sums.returns) / 24  # better than the mean of all
    ended = batch.terminated.numpy() | batch.truncated.numpy()
    assert (ended.sum(0) == 1).all()
    for row in range(4):
        end = ended[:, row].argmax()
        for part in (batch.observation, batch.action, batch.reward):
            assert (part.numpy()[end + 1 :, row] == 0).all()
    # The observation that follows is where the action led from the one before: one task's steps, not several's.
    place = batch.observation.numpy()[..., 0]
    moved = np.diff(place, axis=0)[ended.cumsum(0)[:-1] == 0]
    assert set(np.unique(moved)) <= {-2.0, -1.0, 0.0, 1.0, 2.0}


def test_episodes_of_a_group_share_start_and_noise_so_that_only_actions_tell_them_apart():
    env = Corridor()
    head = actions.head(env.action_space)

    def right(observation, mask):
        return (tf.tile(tf.constant([[0.0, 0.0, 100.0]]), [observation.shape[0], 1]),)

    rollout = BestOfEpisodes(env, 24, head, KEY, Recording(best_of=6))
    batch, sums = rollout.collect(right, KEY, 10)
    # All act alike, so all of a group have the return of its best.
    assert float(sums.returns) == pytest.approx(6 * batch.reward.numpy().sum(), rel=1e-6)


def test_choices_leave_out_forced_steps_and_what_follows_the_end():
    mask = tf.constant([[[1, 1, 0]], [[0, 1, 0]], [[1, 1, 1]], [[1, 1, 1]], [[0, 0, 0]]]) > 0
    ended = tf.constant([[False], [False], [True], [False], [False]])
    none = tf.zeros([5, 1])
    batch = Trajectories(none, mask, tf.zeros([5, 1], tf.int32), (), none, ended, tf.zeros_like(ended), (), ())
    assert self_labelling.choices(batch).numpy()[:, 0].tolist() == [True, False, True, False, False]
    assert self_labelling.choices(batch._replace(mask=())).numpy()[:, 0].tolist() == [True, True, True, False, False]


def test_it_learns_to_dispatch_and_resumes_to_the_same_bits():
    env = registry.make("slipway/JobShop-v0", jobs=5, machines=4, forced_dispatches=2)
    one = training(env, rollout_steps=20)
    rows = one.run(20)
    kept = {name: value.copy() for name, value in one.state().items()}
    assert np.mean([row["label_return"] for row in rows]) > np.mean([row["returns"] / 64 for row in rows])
    assert all(row["episodes"] == 64 for row in rows)
    assert all(8 <= row["steps"] / 64 <= 20 for row in rows)  # forced dispatches are made with others
    assert rows[-1]["policy_entropy"] < rows[0]["policy_entropy"]
    makespans = [-row["returns"] / 64 for row in rows]
    assert np.mean(makespans[-5:]) < np.mean(makespans[:5]) - 2
    one.restart(0)
    one.run(9)
    middle = {name: value.copy() for name, value in one.state().items()}
    one.restart(7)
    one.run(3)
    one.load(middle)
    one.run(11)
    for name, value in one.state().items():
        np.testing.assert_array_equal(value, kept[name])


def test_forced_steps_do_not_enter_the_loss():
    """Other actions where there is no choice change nothing."""
    env = registry.make("slipway/JobShop-v0", jobs=4, machines=3)
    learner = training(env, rollout_steps=12).learner
    rollout = BestOfEpisodes(env, 16, learner.head, KEY, Recording(best_of=4))
    batch, _ = rollout.collect(learner.act, KEY, 12)
    forced = ~self_labelling.choices(batch).numpy()
    assert 0 < forced.sum() < forced.size
    other = tf.where(forced, (batch.action + 1) % 4, batch.action)
    found = []
    for action in (batch.action, other):
        learner.restart(KEY)
        learner.learn(batch._replace(action=action), KEY, tf.constant(0.0))
        found.append([weight.numpy() for weight in learner.actor.trainable_weights])
    for weight, same in zip(*found, strict=True):
        np.testing.assert_array_equal(weight, same)


def test_gymnasium_environments_are_refused_as_they_cannot_begin_alike():
    run_file = load.validate({"env": "gymnasium:CartPole-v1", "agent": {"algorithm": "self-labelling"}})
    with pytest.raises(BadInput) as caught:
        check.check(run_file)
    assert caught.value.field == "agent.algorithm"
    assert caught.value.allowed.startswith("ppo or dqn or reinforce, as gymnasium:CartPole-v1 cannot begin several")


def test_episodes_come_in_whole_groups():
    with pytest.raises(BadInput, match="a multiple of episodes_per_start = 8"):
        load.validate({"env": "slipway/JobShop-v0", "agent": {**SMALL, "num_envs": 60}})
