import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from envs import registry, seeding
from envs.adapters.tf_environment import TensorTFEnvironment

FIRST, MID, LAST = 0, 1, 2
BATCH = 3


def make(name, **parameters):
    return TensorTFEnvironment(registry.make(name, **parameters), BATCH, seeding.key_from_seed(4))


@pytest.fixture(scope="module")
def inventory():
    return make("slipway/LostSales-v0", episode_periods=4, lead_time_periods=2)


def walk(env, steps, action=0):
    yield env.reset()
    for _ in range(steps):
        yield env.step(tf.fill([BATCH], action))


def test_specs_are_the_tasks_spaces(inventory):
    assert inventory.action_spec().maximum == inventory.task.action_space.n - 1
    assert inventory.observation_spec().shape == (2,)
    for step in walk(inventory, 9):
        assert tf.nest.map_structure(
            lambda spec, value: spec.is_compatible_with(value[0]), inventory.time_step_spec(), step
        )
        assert (step.observation.numpy() >= inventory.observation_spec().minimum).all()


def test_truncation_keeps_the_discount_at_one(inventory):
    steps = list(walk(inventory, 9))
    assert [int(step.step_type[0]) for step in steps] == [FIRST, MID, MID, MID, LAST, FIRST, MID, MID, MID, LAST]
    for step in steps:
        np.testing.assert_array_equal(step.discount, np.ones(BATCH))
    np.testing.assert_array_equal(steps[5].reward, np.zeros(BATCH))


def test_termination_brings_the_discount_to_nought():
    env = make("slipway/CartPole-v1")
    ended = np.zeros(BATCH, int)
    for step in walk(env, 40, action=1):
        last = step.step_type.numpy() == LAST
        np.testing.assert_array_equal(step.discount, np.where(last, 0.0, 1.0))
        np.testing.assert_array_equal(step.reward, np.where(step.step_type.numpy() == FIRST, 0.0, 1.0))
        ended += last
    assert (ended >= 2).all()


def test_the_key_decides_everything():
    first, second = ([step.observation.numpy() for step in walk(make("slipway/LostSales-v0"), 6, 5)] for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_steps_work_inside_a_compiled_loop(inventory):
    @tf.function(autograph=False)
    def total(steps):
        def body(count, reward):
            return count + 1, reward + inventory.step(tf.fill([BATCH], 2)).reward

        return tf.while_loop(lambda count, _: count < steps, body, (0, tf.zeros([BATCH])), parallel_iterations=1)[1]

    inventory.reset()
    assert (total(tf.constant(8)).numpy() < 0).all()


def test_a_driver_of_tf_agents_runs_it():
    from tf_agents.drivers import dynamic_episode_driver
    from tf_agents.metrics import tf_metrics
    from tf_agents.policies import random_tf_policy

    env = make("slipway/CartPole-v1")
    returned = tf_metrics.AverageReturnMetric(batch_size=BATCH, buffer_size=30)
    policy = random_tf_policy.RandomTFPolicy(env.time_step_spec(), env.action_spec())
    dynamic_episode_driver.DynamicEpisodeDriver(env, policy, [returned], num_episodes=30).run()
    assert 15 < float(returned.result()) < 35  # a random policy holds the pole for about 22 steps


def test_it_imports_without_the_products_set_up():
    code = "from envs.adapters import tf_environment"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
