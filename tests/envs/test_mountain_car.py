"""Both mountain cars against Gymnasium's own `MountainCar-v0` and `MountainCarContinuous-v0`."""

import beside_gymnasium as beside
import gymnasium
import numpy as np
import pytest
import tensorflow as tf

from envs import registry
from envs.classic.mountain_car.dynamics import State

IDS = ["MountainCar-v0", "MountainCarContinuous-v0"]
POWER = {"MountainCar-v0": 0.001, "MountainCarContinuous-v0": 0.0015}
TOLERANCE = 2e-7


def make(env_id, goal_velocity=0.0):
    ours = registry.make(f"slipway/{env_id}", goal_velocity_per_step=goal_velocity)
    return ours, gymnasium.make(env_id, goal_velocity=goal_velocity).unwrapped


def state_of(*rows):
    return State(*tf.unstack(tf.constant(rows, tf.float32), axis=1))


def pump(env_id):
    """Pushes along, but not always: meets both ends of the road; asks for more force than there is."""

    def act(observation, generator):
        push = 1 if observation[1] >= 0 else -1
        if generator.random() < 0.2:
            push = generator.integers(-1, 2)
        return int(push) + 1 if env_id == IDS[0] else np.array([push * generator.uniform(0.7, 1.3)], np.float32)

    return act


@pytest.mark.parametrize("env_id", IDS)
def test_the_spaces_are_gymnasiums(env_id):
    ours, real = make(env_id)
    registered = gymnasium.spec(env_id)
    assert ours.observation_space == real.observation_space
    assert ours.action_space == real.action_space
    assert ours.max_episode_steps == registered.max_episode_steps
    assert registry.spec(f"slipway/{env_id}").reward_threshold == registered.reward_threshold


@pytest.mark.parametrize("goal_velocity", [0.0, 0.02])
@pytest.mark.parametrize("env_id", IDS)
def test_every_step_of_many_episodes_is_gymnasiums(env_id, goal_velocity):
    ours, real = make(env_id, goal_velocity)
    walked = beside.steps(real, pump(env_id), range(60), 300)
    assert walked.terminated.sum() >= 40
    assert (walked.after[:, 0] == np.float64(real.min_position)).any() or (
        walked.after[:, 0] == np.float32(real.min_position)
    ).any()
    after, transition = beside.stepped(ours, State, walked)
    # Where rounding decides whether the car touches the wall, its speed differs by what the wall takes.
    wall = on_the_wall(env_id, walked)
    assert wall.sum() <= 2
    np.testing.assert_allclose(after.position, walked.after[:, 0], rtol=0, atol=TOLERANCE)
    np.testing.assert_allclose(after.velocity.numpy()[~wall], walked.after[~wall, 1], rtol=0, atol=2e-8)
    edge = (np.abs(walked.after - [real.goal_position, goal_velocity or np.inf]) < TOLERANCE).any(1)
    assert edge.sum() <= 2
    np.testing.assert_array_equal(transition.terminated.numpy()[~edge], walked.terminated[~edge])
    np.testing.assert_allclose(transition.reward.numpy()[~edge], walked.rewards[~edge], rtol=1e-6)


def on_the_wall(env_id, walked):
    """Where the car would come to within the tolerance of the wall, if there were none."""
    position, velocity = walked.before.astype(np.float64).T
    push = walked.actions - 1 if env_id == IDS[0] else np.clip(walked.actions[:, 0], -1, 1)
    velocity = np.clip(velocity + push * POWER[env_id] - 0.0025 * np.cos(3 * position), -0.07, 0.07)
    return np.abs(position + velocity + 1.2) < TOLERANCE


@pytest.mark.parametrize("env_id", IDS)
def test_first_states_have_gymnasiums_law(env_id):
    ours, real = make(env_id)
    assert beside.same_first_states(ours, real)


@pytest.mark.parametrize("env_id", IDS)
def test_the_wall_stops_the_car_and_the_goal_asks_for_its_velocity(env_id):
    goal = {"MountainCar-v0": 0.5, "MountainCarContinuous-v0": 0.45}[env_id]
    ours, _ = make(env_id, goal_velocity=0.03)
    still = tf.constant([1] * 4) if env_id == IDS[0] else tf.zeros([4, 1])
    rows = [[-1.19, -0.05], [goal - 0.02, 0.05], [goal - 0.005, 0.02], [goal - 0.1, 0.05]]
    after, transition = ours.step(state_of(*rows), still, ())
    assert after.position[0] == np.float32(-1.2)
    assert after.velocity[0] == 0.0
    np.testing.assert_array_equal(transition.terminated, [False, True, False, False])
    arrived, on_the_way = (-1.0, -1.0) if env_id == IDS[0] else (100.0, 0.0)
    np.testing.assert_array_equal(transition.reward, [on_the_way, arrived, on_the_way, on_the_way])


@pytest.mark.parametrize("env_id", IDS)
def test_the_picture_follows_the_car(env_id):
    ours, _ = make(env_id)
    low, high = ((ours.render(state_of([x, 0.0])) == (213, 94, 0)).all(-1).nonzero() for x in (-0.52, 0.4))
    assert high[1].mean() - low[1].mean() == pytest.approx(0.92 * 240 / 1.8, abs=4)
    assert high[0].mean() < low[0].mean() - 60


@pytest.mark.parametrize("env_id", IDS)
def test_the_policys_picture_is_a_table_over_position_and_velocity(env_id):
    ours, _ = make(env_id)

    def policy(observations):
        push = np.sign(observations[:, 1].round(4))
        return (push + 1).astype(np.int64) if env_id == IDS[0] else push[:, None] * 3

    picture = ours.policy_picture(policy)
    values = np.array(picture["values"])
    assert picture["kind"] == "heatmap"
    assert values.shape == (len(picture["y"]), len(picture["x"]))
    np.testing.assert_array_equal(values, np.sign(picture["y"])[:, None] + np.zeros(len(picture["x"])))
    assert (picture["y"][0], picture["y"][-1]) == (-0.07, 0.07)
    assert picture["x"][0] == -1.2
    assert ours.goal_position - 0.06 < picture["x"][-1] < ours.goal_position
