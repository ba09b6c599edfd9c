"""The frozen lake against Gymnasium's own table of transitions, and its optimum against an independent computation."""

import gymnasium
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from envs import core, registry, seeding
from envs.navigation.frozen_lake import exact
from envs.navigation.frozen_lake.dynamics import State
from envs.navigation.frozen_lake.model import Params

LAKES = {"4x4": "FrozenLake-v1", "8x8": "FrozenLake8x8-v1"}
SETTINGS = [(name, rate) for name in LAKES for rate in (1 / 3, 0.75, 1.0)]


def make(name, rate=1 / 3, **parameters):
    ours = registry.make("slipway/FrozenLake-v1", map=name, success_rate=rate, **parameters)
    return ours, gymnasium.make(LAKES[name], success_rate=rate).unwrapped


def by_table(actions):
    return lambda observations: np.asarray(actions)[observations.argmax(1)]


@pytest.mark.parametrize("name", LAKES)
def test_limits_and_thresholds_are_gymnasiums(name):
    ours, real = make(name)
    registered = gymnasium.spec(LAKES[name])
    assert ours.max_episode_steps == registered.max_episode_steps
    assert ours.observation_space.shape == (real.observation_space.n,)
    assert ours.action_space == real.action_space
    if name == "4x4":
        assert registry.spec("slipway/FrozenLake-v1").reward_threshold == registered.reward_threshold
    assert make(name, episode_steps=7)[0].max_episode_steps == 7


@pytest.mark.parametrize(("name", "rate"), SETTINGS)
def test_every_transition_is_gymnasiums(name, rate):
    """All cells, actions and slips: where they lead, with which probability, reward and end."""
    ours, real = make(name, rate)
    cells = ours.observation_space.shape[0]
    law = ours.noise_law()
    step = tf.function(ours.step, jit_compile=True, autograph=False)
    cell, action, turn = (grid.ravel() for grid in np.meshgrid(np.arange(cells), np.arange(4), np.arange(3)))
    following, transition = step(
        State(tf.constant(cell, tf.int32)), tf.constant(action, tf.int32), tf.gather(law.outcomes, turn)
    )
    probabilities = law.probabilities.numpy()[turn]
    columns = (cell, action, probabilities, following.cell.numpy(), transition.reward.numpy(), transition.terminated)
    found = {(s, a): {} for s in range(cells) for a in range(4)}
    for s, a, p, *outcome in zip(*map(np.asarray, columns), strict=True):
        found[s, a][tuple(outcome)] = found[s, a].get(tuple(outcome), 0.0) + p
    for (s, a), ours_there in found.items():
        theirs = {}
        for p, *outcome in real.P[s][a]:
            theirs[tuple(outcome)] = theirs.get(tuple(outcome), 0.0) + p
        assert {k: v for k, v in theirs.items() if v} == pytest.approx({k: v for k, v in ours_there.items() if v})


@pytest.mark.parametrize("name", LAKES)
def test_an_episode_begins_at_gymnasiums_start_and_shows_its_cell(name):
    ours, real = make(name)
    start, _ = real.reset(seed=0)
    state = ours.reset(seeding.key_from_seed(0), 5)
    np.testing.assert_array_equal(state.cell, np.full(5, start))
    every = np.arange(real.observation_space.n, dtype=np.int32)
    np.testing.assert_array_equal(ours.observe(State(tf.constant(every))), np.eye(len(every)))


def backward(real, steps, choose):
    """Probabilities to reach the goal with so many steps left, cell by cell from Gymnasium's own table."""
    values = np.zeros(len(real.P))
    for _ in range(steps):
        table = np.array(
            [
                [
                    sum(p * (r + (0.0 if end else values[s])) for p, s, r, end in real.P[cell][action])
                    for action in range(4)
                ]
                for cell in real.P
            ]
        )
        values = choose(table)
    return values


@pytest.mark.parametrize(("name", "published"), [("4x4", 0.74), ("8x8", 0.91)])
def test_the_optimum_is_that_of_gymnasiums_table(name, published):
    """Gymnasium's registration notes an optimum of .74 and .91."""
    ours, real = make(name)
    assert ours.optimum() == pytest.approx(backward(real, ours.max_episode_steps, lambda t: t.max(1))[0], abs=1e-12)
    assert round(ours.optimum(), 2) == published


@settings(max_examples=8, deadline=None, derandomize=True)
@given(name=st.sampled_from(sorted(LAKES)), seed=st.integers(0, 1000), steps=st.integers(1, 60))
def test_the_exact_score_is_that_of_gymnasiums_table(name, seed, steps):
    ours, real = make(name, episode_steps=steps)
    actions = np.random.default_rng(seed).integers(0, 4, len(real.P))
    expected = backward(real, steps, lambda table: table[np.arange(len(actions)), actions])[0]
    found = ours.exact_score(by_table(actions))
    assert found.score == found.lower == found.upper == pytest.approx(expected, abs=1e-12)
    assert found.score <= ours.optimum() + 1e-12


def test_states_that_a_policy_reaches_are_counted():
    ours, _ = make("4x4", rate=1.0)
    assert ours.exact_score(by_table(np.full(16, 2))).states == 4  # to the right along the upper edge, for ever
    assert ours.exact_score(by_table(exact.shortest(ours.params))).states == 6
    slippery, _ = make("4x4")
    assert slippery.exact_score(by_table(np.full(16, 2))).states == 11  # all but four holes and the goal


@pytest.mark.parametrize("name", LAKES)
def test_no_other_action_on_one_cell_betters_value_iteration(name):
    """So what it reaches is about the most that an agent can reach that does not count steps."""
    params = Params(map=name)
    best = exact.greedy(params)
    reached = exact.score(params, best)
    for cell, action in np.ndindex(len(best), 4):
        other = best.copy()
        other[cell] = action
        assert exact.score(params, other) <= reached + 1e-12


def test_a_simulation_agrees_with_the_exact_score():
    ours, _ = make("8x8")
    actions = exact.greedy(ours.params)
    expected, rows = ours.exact_score(by_table(actions)).score, 4096
    key = seeding.key_from_seed(1)
    advance = tf.function(lambda *arguments: core.proceed(ours, *arguments), jit_compile=True, autograph=False)
    episode, alive, total = core.begin(ours, key, rows), np.ones(rows, bool), np.zeros(rows)
    for step in range(ours.max_episode_steps):
        action = tf.gather(tf.constant(actions, tf.int32), episode.state.cell)
        episode, outcome = advance(episode, action, ours.noise(seeding.fold(key, step), rows))
        total += alive * outcome.reward.numpy()
        alive &= ~(outcome.terminated | outcome.truncated).numpy()
    assert not alive.any()
    assert total.mean() == pytest.approx(expected, abs=4 * np.sqrt(expected * (1 - expected) / rows))


def test_without_slips_the_shortest_path_arrives_in_as_few_steps_as_possible():
    for name, steps in (("4x4", 6), ("8x8", 14)):
        for limit, score in ((steps, 1.0), (steps - 1, 0.0)):
            params = Params(map=name, success_rate=1.0, episode_steps=limit)
            assert exact.score(params, exact.shortest(params)) == score
            assert exact.optimum(params) == score


def test_pictures_show_who_stands_where_and_an_arrow_for_each_cell():
    ours, _ = make("4x4")
    picture = ours.render(State(tf.constant([0, 6])), row=1)
    assert picture.shape == (160, 160, 3)
    rows, columns = (picture == (213, 94, 0)).all(-1).nonzero()
    assert (rows.mean(), columns.mean()) == (pytest.approx(60, abs=1), pytest.approx(100, abs=1))
    one, other = (ours.policy_picture(by_table(np.full(16, action))) for action in (0, 1))
    assert one["kind"] == "filmstrip"
    assert one["frames"] != other["frames"]
