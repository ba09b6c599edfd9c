"""The LiDAR navigation task: sensor and collision against plain geometry, motion, score, planners and pictures."""

import base64
import functools
from pathlib import Path

import gymnasium
import numpy as np
import pytest
import tensorflow as tf

from envs import registry, seeding
from envs.navigation.lidar import dynamics, geometry, motion, sensing, worlds
from envs.navigation.lidar.model import (
    CELL_METRES,
    COLUMNS,
    GOAL_METRES,
    LENGTH_METRES,
    START_METRES,
    WIDTH_METRES,
    commands,
)

NAME = "slipway/LidarNavigation-v0"
compiled = functools.partial(tf.function, jit_compile=True, autograph=False)


@pytest.fixture(scope="module")
def env():
    return registry.make(NAME)


@pytest.fixture(scope="module")
def continuous():
    return registry.make(NAME, actions="continuous", progress_reward=2.0, collision_cost=0.25)


def places(count, seed):
    """Worlds and places anywhere in them, in cells."""
    generator = np.random.default_rng(seed)
    world = generator.integers(0, 1500, count).astype(np.int32)
    x, y = generator.uniform(1, COLUMNS - 1, count), generator.uniform(15, 58, count)
    return world, x.astype(np.float32), y.astype(np.float32), generator


def ranges_by_slabs(filled, x, y, cosine, sine, grown):
    """Distances [N] to the nearest cell that each ray meets, by its way in and out of every filled cell.

    The cells are grown by a margin on each side, so that rounding can be told from error.
    """
    rows, columns = (part.astype(np.float64) for part in np.nonzero(filled))
    cosine, sine = (part.astype(np.float64)[:, None] for part in (cosine, sine))
    near_x, far_x = np.sort([(columns - grown - x) / cosine, (columns + 1 + grown - x) / cosine], 0)
    near_y, far_y = np.sort([(rows - grown - y) / sine, (rows + 1 + grown - y) / sine], 0)
    enters, leaves = np.maximum(near_x, near_y), np.minimum(far_x, far_y)
    return np.where((enters < leaves) & (leaves > 0), np.maximum(enters, 0), np.inf).min(1)


def test_the_lidar_agrees_with_a_ray_tracer_that_tries_every_cell():
    world, x, y, generator = places(60, 1)
    angle = generator.uniform(0, 2 * np.pi, (60, 40)).astype(np.float32)
    cosine, sine = np.cos(angle), np.sin(angle)
    limit, margin, tolerance = 40.0, 1e-4, 1e-3
    ranges = compiled(geometry.cast)(motion.tables().squares, world, x, y, cosine, sine, limit).numpy()
    for row in range(60):
        ray = (worlds.library().filled[world[row]], float(x[row]), float(y[row]), cosine[row], sine[row])
        assert (ranges[row] >= np.minimum(limit, ranges_by_slabs(*ray, margin)) - tolerance).all()
        assert (ranges[row] <= np.minimum(limit, ranges_by_slabs(*ray, -margin)) + tolerance).all()


def test_rays_along_the_lattice_and_from_within_a_cell_end():
    world = np.array([1200, 1200], np.int32)
    inside = np.argwhere(worlds.library().filled[1200, 24:54, 1:-1])[0] + (24, 1)
    x, y = np.array([15.0, inside[1] + 0.5], np.float32), np.array([5.0, inside[0] + 0.5], np.float32)
    angle = np.array([[0, np.pi / 2, np.pi, -np.pi / 2]] * 2, np.float32)
    squares = motion.tables().squares
    ranges = geometry.cast(squares, world, x, y, np.cos(angle).round(6), np.sin(angle).round(6), 50.0).numpy()
    np.testing.assert_allclose(ranges[0, [0, 2, 3]], [14, 14, 4], atol=1e-4)
    np.testing.assert_array_equal(ranges[1], 0)


def overlap_area(x, y, heading, scale, column, row):
    """Area that a scaled footprint, in cells, shares with a cell, whose half planes cut the footprint's outline."""
    half = np.array([LENGTH_METRES, WIDTH_METRES]) / CELL_METRES / 2 * scale
    corners = half * np.array([(1, 1), (-1, 1), (-1, -1), (1, -1)])
    c, s = np.cos(heading), np.sin(heading)
    outline = corners @ np.array([(c, s), (-s, c)]) + (x - column, y - row)
    for axis in (0, 1):
        for sign, edge in ((1, 0), (-1, 1)):
            if not len(outline):
                return 0.0
            depth = sign * (outline[:, axis] - edge)
            kept = []
            for i in range(len(outline)):
                j = (i + 1) % len(outline)
                if depth[i] >= 0:
                    kept.append(outline[i])
                if depth[i] * depth[j] < 0:
                    kept.append(outline[i] + (outline[j] - outline[i]) * depth[i] / (depth[i] - depth[j]))
            outline = np.array(kept)
    if not len(outline):
        return 0.0
    u, v = outline.T
    return abs(u @ np.roll(v, -1) - v @ np.roll(u, -1)) / 2


def test_collision_is_overlap_of_the_footprint_with_a_filled_cell():
    world, x, y, generator = places(300, 2)
    heading = generator.uniform(-np.pi, np.pi, 300).astype(np.float32)
    pose = (part[:, None] for part in (x, y, np.cos(heading), np.sin(heading)))
    told = compiled(geometry.collides)(motion.tables().words, world, *pose).numpy()[:, 0]
    for row in range(300):
        filled = np.argwhere(worlds.library().filled[world[row]])
        near = filled[np.abs(filled + 0.5 - (y[row], x[row])).max(1) < 4]
        larger = any(overlap_area(x[row], y[row], heading[row], 1.0001, c, r) > 0 for r, c in near)
        smaller = any(overlap_area(x[row], y[row], heading[row], 0.9999, c, r) > 0 for r, c in near)
        assert smaller <= told[row] <= larger
    assert 30 < told.sum() < 270


def test_values_between_corners_are_bilinear():
    world, x, y, _ = places(50, 3)
    told = geometry.between(motion.tables().clearance, world, x[:, None], y[:, None]).numpy()[:, 0]
    for row in range(50):
        table = worlds.library().clearance[world[row]]
        r, c = int(y[row]), int(x[row])
        v, u = y[row] - r, x[row] - c
        expected = np.array([1 - v, v]) @ table[r : r + 2, c : c + 2] @ np.array([1 - u, u])
        assert told[row] == pytest.approx(expected, abs=1e-5)


def at(world, x, y, heading=np.pi / 2, speed=0.0, turn=0.0, steps=0):
    """One robot's pose, twice."""
    pose = motion.at_start(tf.constant([world, world]))
    given = {"x": x, "y": y, "heading": heading, "speed": speed, "turn": turn}
    return pose._replace(
        **{name: tf.constant([value, value], tf.float32) for name, value in given.items()},
        steps=tf.constant([steps, steps]),
    )


def step_from(env, pose, command):
    """One step of a continuous task."""
    state = dynamics.State(pose, sensing.observation(env.params, pose))
    following, transition = env.step(state, tf.constant([command] * 2, tf.float32), ())
    return following.pose, transition


@pytest.mark.parametrize("turn", [0.0, 1e-3, -0.4, 3.0])
def test_robots_move_along_arcs(continuous, turn):
    """Against the unicycle's equations in a thousand small steps."""
    speed = 1.6
    state = at(1300, -2.4, 3.3, 0.7, speed, turn)
    following, _ = step_from(continuous, state, (speed, turn))
    x, y, heading = -2.4, 3.3, 0.7
    for _ in range(1000):
        middle = heading + turn * 0.5e-4
        x, y, heading = x + speed * 1e-4 * np.cos(middle), y + speed * 1e-4 * np.sin(middle), heading + turn * 1e-4
    np.testing.assert_allclose([part[0] for part in following[1:4]], [x, y, heading], atol=2e-6)


def test_velocities_change_within_the_accelerations():
    env = registry.make(
        NAME, actions="continuous", acceleration_metres_per_second2=3.0, turn_acceleration_radians_per_second2=4.0
    )
    state = at(1300, -2.25, 3.0, speed=1.0, turn=0.5)
    for command, expected in (((2.0, -3.0), (1.3, 0.1)), ((-0.5, 0.6), (0.7, 0.6)), ((9.0, 9.0), (1.3, 0.9))):
        following, _ = step_from(env, state, command)
        np.testing.assert_allclose([following.speed[0], following.turn[0]], expected, atol=1e-6)


def test_discrete_actions_are_rows_of_the_table(env, continuous):
    table = commands(env.params)
    assert table.shape == (35, 2)
    assert len(np.unique(table, axis=0)) == 35
    state = env.start(tf.range(35) + 1200)
    one, _ = env.step(state, tf.range(35), ())
    other, _ = continuous.step(state, tf.constant(table), ())
    for a, b in zip(tf.nest.flatten(one), tf.nest.flatten(other), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(("steps", "multiple"), [(10, 2), (99, 2), (150, None), (399, None), (700, 8)])
def test_the_score_is_barns_metric(continuous, steps, multiple):
    """success x OT / clip(AT, 2 OT, 8 OT) on arrival, whatever the reward is."""
    state = at(1205, -2.25, GOAL_METRES[1] - 1.05, steps=steps, speed=1.0)
    _, transition = step_from(continuous, state, [1.0, 0.0])
    optimal = worlds.library().path_metres[1205] / 2.0
    expected = 1 / multiple if multiple else optimal / ((steps + 1) * 0.1)
    assert transition.terminated[0]
    assert float(transition.score[0]) == pytest.approx(expected, rel=1e-5)
    way = 0.1 / worlds.library().path_metres[1205]
    assert float(transition.reward[0]) == pytest.approx(expected + 2.0 * way, abs=1e-3)


def test_a_collision_ends_the_episode_with_no_score(continuous):
    state = at(1205, -4.1, 3.0, np.pi, speed=2.0)
    following, transition = step_from(continuous, state, [2.0, 0.0])
    assert transition.terminated[0]
    assert transition.score[0] == 0
    way = (motion.path_to_goal(state) - motion.path_to_goal(following))[0] / worlds.library().path_metres[1205]
    assert float(transition.reward[0]) == pytest.approx(2.0 * float(way) - 0.25, abs=1e-5)


def test_a_collision_in_the_middle_of_a_step_counts():
    """Turning on the spot beside a wall: only half-way does the corner reach it."""
    env = registry.make(NAME, actions="continuous")
    reach, widest = np.hypot(LENGTH_METRES, WIDTH_METRES) / 2, np.arctan2(LENGTH_METRES, WIDTH_METRES)
    for room, collides in ((reach - 0.002, True), (reach + 0.002, False)):
        assert reach * np.cos(0.05 * np.pi) < room  # before and after
        state = at(1205, -4.35 + room, 3.0, np.pi / 2 + widest - 0.05 * np.pi, turn=np.pi)
        _, transition = step_from(env, state, [0.0, np.pi])
        assert bool(transition.terminated[0]) == collides


def test_without_shaping_the_reward_is_the_score(env):
    plain = registry.make(NAME, progress_reward=0.0, collision_cost=0.0)
    state = plain.start(tf.range(40) + 1200)
    for step in range(30):
        state, transition = plain.step(state, tf.fill([40], 31 - step % 2), ())
        np.testing.assert_array_equal(transition.reward, transition.score)


def test_progress_telescopes_along_an_episode(env):
    state = env.start(tf.constant([1205, 1290]))
    first, total = motion.path_to_goal(state.pose), 0.0
    for action in (31, 31, 32, 24, 25, 17):
        state, transition = env.step(state, tf.constant([action] * 2), ())
        assert not transition.terminated.numpy().any()
        total += transition.reward
    gained = (first - motion.path_to_goal(state.pose)) / tf.gather(motion.tables().path_metres, [1205, 1290])
    np.testing.assert_allclose(total, gained, atol=1e-5)


def test_training_and_held_out_keys_draw_from_different_worlds(env):
    training = env.reset(seeding.key_from_seed(1), 20_000).pose.world.numpy()
    held_out = env.reset(seeding.key_from_seed(1, seeding.Split.HELD_OUT), 20_000).pose.world.numpy()
    np.testing.assert_array_equal(np.unique(training), np.arange(1200))
    np.testing.assert_array_equal(np.unique(held_out), np.arange(1200, 1500))


def test_observations_tell_ranges_goal_and_motion():
    env = registry.make(NAME, beams=5, lidar_range_metres=4.0)
    state = at(1205, START_METRES[0], START_METRES[1], 0.0, speed=-0.5, turn=np.pi / 2)
    seen = sensing.observation(env.params, state).numpy()[0]
    # From right to left at -135, -67.5, 0, 67.5 and 135 degrees; the walls' inner faces are at -.15, -4.35 and 1.55 m.
    np.testing.assert_allclose(seen[0] ** 2 * 4, (3.0 - 1.55) * np.sqrt(2), atol=1e-4)
    np.testing.assert_allclose(seen[2] ** 2 * 4, 2.1, atol=1e-4)
    np.testing.assert_allclose(seen[4] ** 2 * 4, 2.1 * np.sqrt(2), atol=1e-4)
    np.testing.assert_allclose(seen[5:], [1.0, 0.0, 1.0, -0.25, 0.5], atol=1e-6)


def drive(env, planner, world, steps):
    """Score of each world's episode, and steps until it ended."""

    @compiled
    def run():
        def body(step, state, alive, score, length):
            state, transition = env.step(state, planner(state, tf.constant([0, 0])), ())
            score += tf.where(alive, transition.score, 0.0)
            length += tf.cast(alive, tf.int32)
            return step + 1, state, alive & ~transition.terminated, score, length

        rows = tf.zeros_like(world)
        start = (tf.constant(0), env.start(world), rows == 0, tf.cast(rows, tf.float32), rows)
        going = lambda step, state, alive, *_: (step < steps) & tf.reduce_any(alive)  # noqa: E731
        return tf.while_loop(going, body, start)[-2:]

    return [part.numpy() for part in run()]


def test_planners_arrive(env):
    """Twenty-four held-out worlds, two of each kind."""
    scores, _ = drive(env, env.baselines()["global-dynamic-window"], tf.range(1200, 1224), 120)
    assert (scores > 0).mean() > 0.8
    assert scores.max() == 0.5


@pytest.mark.slow
def test_the_pages_table_of_planners_is_measured(env):
    """On all held-out worlds; the last digit may differ between kinds of processors."""
    page = (Path(__file__).parents[2] / "docs/environments/lidar-navigation.md").read_text(encoding="utf-8")
    for name, planner in env.baselines().items():
        row = next(line for line in page.splitlines() if line.startswith(f"| `{name}` |"))
        _, score, success, seconds, collisions = (cell.split()[0] for cell in row.strip("|").split("|")[1:])
        scores, steps = drive(env, planner, tf.range(1200, 1500), env.max_episode_steps)
        arrived = scores > 0
        assert scores.mean() == pytest.approx(float(score), abs=0.01)
        assert arrived.mean() == pytest.approx(float(success), abs=0.02)
        assert steps[arrived].mean() * 0.1 == pytest.approx(float(seconds), abs=0.5)
        stopped = steps >= env.max_episode_steps
        assert 1 - (arrived | stopped).mean() == pytest.approx(float(collisions), abs=0.02)


def test_planners_give_the_same_commands_as_numbers_and_as_velocities(env, continuous):
    state = env.start(tf.range(1200, 1212))
    for action in (31, 32, 24, 23):
        for name, planner in env.baselines().items():
            chosen = planner(state, tf.constant([0, 0])).numpy()
            other = continuous.baselines()[name](state, tf.constant([0, 0])).numpy()
            np.testing.assert_array_equal(commands(env.params)[chosen], other)
            if name.startswith("slow"):
                assert other[:, 0].max() <= 0.5
        state, _ = env.step(state, tf.fill([12], action), ())


def test_pictures_show_world_robot_and_way(env):
    state = env.start(tf.constant([1205, 1206]))
    one, other = env.render(state), env.render(state, 1)
    assert one.shape == other.shape == (480, 180, 3)
    dark = (one == (38, 50, 56)).all(-1)
    filled = np.kron(worlds.library().filled[1205][::-1], np.ones((6, 6))).astype(bool)
    assert dark[filled].mean() > 0.99  # the beams end on them
    assert (one != other).any()
    picture = env.policy_picture(lambda observation: np.full(len(observation), 31))
    assert picture["kind"] == "filmstrip"
    assert base64.b64decode(picture["frames"][0]).startswith(b"\x89PNG")
    assert "collided" in picture["note"] or "arrived" in picture["note"]


def test_the_continuous_variant_is_a_box(continuous):
    space = continuous.action_space
    assert isinstance(space, gymnasium.spaces.Box)
    np.testing.assert_allclose(space.low, [-0.5, -np.pi], rtol=1e-6)
    np.testing.assert_allclose(space.high, [2.0, np.pi], rtol=1e-6)
