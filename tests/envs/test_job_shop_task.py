"""Dispatching: decisions, rewards, features, priority rules and decoding."""

import functools

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from envs import core, registry, seeding
from envs.jobshop import decoding, exact, features, library, schedule, shop
from envs.jobshop.dynamics import instance_of, starts_of
from envs.jobshop.schedule import Instance

KEY = seeding.key_from_seed(1)
ANY_SEED = st.integers(0, seeding.SEEDS_PER_SPLIT - 1)
few = settings(max_examples=4, deadline=None, derandomize=True)
DELAYS = (0.0, 0.6, 1.0)


@functools.cache
def task(**parameters):
    return registry.make("slipway/JobShop-v0", **parameters)


@functools.cache
def compiled(env):
    return tf.function(env.step, jit_compile=True, autograph=False), tf.function(
        env.baselines()["random"], jit_compile=True, autograph=False
    )


def episode(env, key, rows):
    """Each (state, action, reward, terminated) of an episode of random dispatches, then the last state."""
    step, choose = compiled(env)
    state = env.reset(key, rows)
    for t in range(env.max_episode_steps):
        action = choose(state, seeding.fold(key, t))
        following, transition = step(state, action, ())
        yield state, action, transition.reward.numpy(), transition.terminated.numpy()
        state = following
    yield state, None, None, None


def test_two_jobs_on_two_machines_by_hand():
    env = task(jobs=2, machines=2)
    state = env.start(Instance(np.array([[0, 1], [0, 1]]), np.array([[3, 2], [2, 4]])), 1)
    assert state.bound == 8  # machine 1: the first work arrives after 2, and there is work for 6
    rewards = []
    for job, allowed in [(1, [1, 1]), (0, [1, 0]), (1, [0, 1]), (0, [1, 0])]:
        np.testing.assert_array_equal(env.action_mask(state)[0], allowed)
        state, transition = env.step(state, tf.constant([job]), ())
        rewards.append(float(transition.reward))
    assert rewards == [-8, 0, 0, 0]
    np.testing.assert_array_equal(starts_of(state), [[2, 6], [0, 2]])
    other = env.start(instance_of(state), 1)
    other, transition = env.step(other, tf.constant([0]), ())
    assert (float(transition.reward), float(other.bound)) == (-9, 9)


def test_with_a_delay_a_machine_may_wait_for_a_job_that_comes_before_others_could_be_done():
    """Machine 1 could do job 0 from 0 to 9; job 1 comes at 4 and would be done at 5: 4 < .9 * 5, but not .7 * 5."""
    instance = Instance(np.array([[1, 0], [0, 1]]), np.array([[9, 1], [4, 1]]))
    for delay, allowed in [(0.0, [1, 0]), (0.7, [1, 0]), (0.9, [1, 1]), (1.0, [1, 1])]:
        env = task(jobs=2, machines=2, delay=delay)
        state, _ = env.step(env.start(instance, 1), tf.constant([1]), ())
        np.testing.assert_array_equal(env.action_mask(state)[0], allowed)


@few
@given(seed=ANY_SEED, delay=st.sampled_from(DELAYS))
def test_an_episode_makes_valid_schedules_and_its_return_is_minus_the_makespan(seed, delay):
    env, rows = task(jobs=5, machines=4, delay=delay), 8
    total = np.zeros(rows)
    *steps, (last, *_) = episode(env, seeding.key_from_seed(seed), rows)
    for number, (state, _, reward, terminated) in enumerate(steps):
        assert (reward <= 0).all()
        assert terminated.all() == terminated.any() == (number == len(steps) - 1)
        np.testing.assert_array_equal(state.bound, shop.bounds(state).makespan())
        total += reward
    waits = 0
    for row in range(rows):
        instance, starts = instance_of(last, row), starts_of(last, row)
        assert schedule.violations(instance, starts) == []
        assert total[row] == -schedule.makespan(instance, starts) == -last.bound[row]
        assert could_start_earlier(instance, starts) == []
        waits += len(idle_while_waited_for(instance, starts))
    assert bool(waits) == bool(delay)


def idle_while_waited_for(instance, starts):
    """Operations during whose wait their machine stood idle: none in a non-delay schedule."""
    return moved(instance, starts, lambda gap_start, gap_end, ready, duration: max(gap_start, ready) < gap_end)


def could_start_earlier(instance, starts):
    """Operations that fit into an earlier gap of their machine: none in an active schedule."""
    return moved(
        instance, starts, lambda gap_start, gap_end, ready, duration: max(gap_start, ready) + duration <= gap_end
    )


def moved(instance, starts, fits):
    ends = starts + instance.durations
    ready = np.concatenate([np.zeros_like(ends[:, :1]), ends[:, :-1]], 1)
    found = []
    for machine in range(instance.machine_count):
        on = np.argwhere(instance.machines == machine)
        on = on[np.argsort(starts[tuple(on.T)])]
        free = 0
        for index, (job, operation) in enumerate(on):
            for later in on[index:]:
                at = tuple(later)
                if free < starts[job, operation] and fits(
                    free, starts[job, operation], ready[at], instance.durations[at]
                ):
                    found.append(at)
            free = ends[job, operation]
    return found


@few
@given(seed=ANY_SEED)
def test_an_action_that_is_not_allowed_dispatches_the_first_job_that_is(seed):
    env = task(jobs=5, machines=4)
    for state, _, _, terminated in list(episode(env, seeding.key_from_seed(seed), 4))[::5]:
        mask = env.action_mask(state).numpy()
        if terminated is not None:
            first = tf.constant(mask.argmax(1), tf.int32)
            wrong = tf.constant(np.where(mask.all(1), mask.argmax(1), mask.argmin(1)), tf.int32)
            for one, other in zip(env.step(state, first, ())[0], env.step(state, wrong, ())[0], strict=True):
                np.testing.assert_array_equal(one, other)


@few
@given(seed=ANY_SEED, delay=st.sampled_from(DELAYS), forced=st.integers(1, 5))
def test_forced_dispatches_are_those_that_leave_no_choice(seed, delay, forced):
    """The same episode, asked for every dispatch, and only where a step has made as many as it may by itself."""
    rows = 6
    slow, fast = task(jobs=5, machines=4, delay=delay), task(jobs=5, machines=4, delay=delay, forced_dispatches=forced)
    step, quick_step = compiled(slow)[0], compiled(fast)[0]
    random, returns, steps = np.random.default_rng(seed), np.zeros(rows), 0
    state = fast.reset(seeding.key_from_seed(seed), rows)
    while not shop.finished(state).numpy().all():
        scores = np.where(fast.action_mask(state).numpy(), random.random((rows, 5)), -1)
        action = tf.constant(scores.argmax(1), tf.int32)
        following, transition = quick_step(state, action, ())
        expected, _ = step(state, action, ())
        for _ in range(forced):
            mask = slow.action_mask(expected).numpy()
            after, _ = step(expected, tf.constant(mask.argmax(1), tf.int32), ())
            only = tf.constant(mask.sum(1) == 1)
            expected = core.where(only, after, expected)
        for one, other in zip(following, expected, strict=True):
            np.testing.assert_array_equal(one, other)
        np.testing.assert_array_equal(transition.terminated, shop.finished(expected))
        state, returns, steps = following, returns + transition.reward.numpy(), steps + 1
    np.testing.assert_array_equal(returns, -state.bound.numpy())
    assert steps < 20


def test_when_all_is_scheduled_nothing_changes_and_there_is_one_choice():
    env = task(jobs=3, machines=2)
    *_, (last, *_) = episode(env, KEY, 4)
    np.testing.assert_array_equal(env.action_mask(last), [[True, False, False]] * 4)
    after, transition = env.step(last, tf.constant([0, 1, 2, 0]), ())
    for one, other in zip(after, last, strict=True):
        np.testing.assert_array_equal(one, other)
    assert (transition.reward.numpy() == 0).all()
    assert transition.terminated.numpy().all()


def test_random_instances_follow_their_law():
    env = task(jobs=4, machines=3)
    state = env.reset(KEY, 6000)
    durations, positions = state.durations.numpy(), state.positions.numpy().astype(int)
    counts = np.bincount(durations.astype(int).ravel(), minlength=100)
    assert counts[0] == 0
    assert len(counts) == 100
    expected = durations.size / 99
    assert abs(counts[1:] - expected).max() < 5 * np.sqrt(expected)
    orders, times = np.unique(positions.reshape(-1, 3), axis=0, return_counts=True)
    assert len(orders) == 6
    assert abs(times - 4000).max() < 5 * np.sqrt(4000)


def test_an_instance_of_another_size_is_refused():
    with pytest.raises(ValueError, match=r"the instance has \(6, 6\) operations, not \(5, 4\)"):
        task(jobs=5, machines=4).start(library.named("ft06"), 1)


@pytest.mark.parametrize(
    ("rule", "gap_percent"),
    [
        ("shortest-processing-time", 25.9),
        ("first-in-first-out", 23.9),
        ("most-operations-remaining", 20.5),
        ("most-work-remaining", 19.2),
    ],
)
def test_priority_rules_have_their_published_gaps_on_taillards_instances(rule, gap_percent):
    """To the optimum, mean over ta01 to ta10: the table of Ho et al. 2023 (Residual Scheduling)."""
    env = task(instance="ta01")
    gaps = []
    for name in library.names():
        if name.startswith("ta") and name <= "ta10":
            instance = library.named(name)
            found = decoding.decode(env, instance, rules(env)[rule], KEY)
            assert schedule.violations(instance, found.starts) == []
            gaps.append(found.makespan / library.optimal_makespans()[name] - 1)
    assert 100 * np.mean(gaps) == pytest.approx(gap_percent, abs=0.05)


@functools.cache
def rules(env):
    return env.baselines()


def test_non_delay_schedules_of_ft06_end_at_57_and_those_with_waits_at_55():
    """No non-delay schedule of it is shorter than 57."""
    instance = library.named("ft06")
    shortest = []
    for delay in (0.0, 0.5):
        env = task(instance="ft06", delay=delay)
        found = decoding.decode(env, instance, rules(env)["random"], KEY, samples=8192)
        assert schedule.violations(instance, found.starts) == []
        shortest.append(found.makespan)
    assert shortest == [57, 55]


def test_active_schedules_hold_an_optimal_one():
    env = task(jobs=3, machines=3, delay=1.0)
    works = [instance_of(env.reset(KEY, 6), row) for row in range(6)]
    for work, solution in zip(works, exact.solve(works), strict=True):
        found = decoding.decode(env, work, rules(env)["random"], KEY, samples=2000)
        assert found.makespan == solution.makespan


def test_decoding_keeps_the_best_of_the_instance_and_its_mirror_image():
    env, instance = task(instance="la01"), library.named("la01")
    rule = rules(env)["most-work-remaining"]
    one = decoding.decode(env, instance, rule, KEY)
    both = decoding.decode(env, instance, rule, KEY, mirror=True)
    back = decoding.decode(env, instance.mirrored(), rule, KEY)
    assert both.makespans == [*one.makespans, *back.makespans]
    assert both.makespan == min(both.makespans) == schedule.makespan(instance, both.starts)
    assert schedule.violations(instance, both.starts) == []
    some = decoding.decode(env, instance, rules(env)["random"], KEY, samples=16, mirror=True)
    assert len(some.makespans) == 32
    assert len(set(some.makespans)) > 10
    assert schedule.violations(instance, some.starts) == []
    with pytest.raises(ValueError, match="samples is 0"):
        decoding.decode(env, instance, rule, KEY, samples=0)


@few
@given(seed=ANY_SEED, delay=st.sampled_from(DELAYS))
def test_features_are_those_of_each_job_whatever_its_number(seed, delay):
    env, order = task(jobs=5, machines=4, delay=delay), np.random.default_rng(seed).permutation(5)
    of_jobs = ("durations", "positions", "heads", "starts", "dispatched", "job_ready")
    for state, *_ in list(episode(env, seeding.key_from_seed(seed), 3))[::4]:
        swapped = state._replace(**{name: tf.gather(getattr(state, name), order, axis=1) for name in of_jobs})
        one, other = (features.structured(s, shop.decide(s, delay)) for s in (state, swapped))
        np.testing.assert_array_equal(np.asarray(one.jobs)[:, order], other.jobs)
        np.testing.assert_array_equal(one.shop, other.shop)
        again = features.split(env.observe(state))
        np.testing.assert_array_equal(again.jobs, one.jobs)
        np.testing.assert_array_equal(again.shop, one.shop)


@few
@given(seed=ANY_SEED, delay=st.sampled_from(DELAYS))
def test_features_tell_the_truth(seed, delay):
    env, rose = task(jobs=5, machines=4, delay=delay), 0
    for state, *_ in list(episode(env, seeding.key_from_seed(seed), 6))[1:-1:2]:
        decision = shop.decide(state, delay)
        found = features.structured(state, decision)
        jobs = dict(zip(features.JOB, np.moveaxis(found.jobs.numpy(), 2, 0), strict=True))
        mask = decision.allowed.numpy()
        np.testing.assert_array_equal(jobs["allowed"], mask)
        np.testing.assert_allclose(jobs["operations_left"], 1 - state.dispatched.numpy() / 4)
        mean = state.durations.numpy().mean((1, 2))[:, None]
        for job in range(5):
            following = shop.dispatch(state, decision, tf.fill([6], job))
            rise = (following.bound - state.bound).numpy()
            said = jobs["bound_rise"][:, job] * mean[:, 0]
            assert (said[mask[:, job]] <= rise[mask[:, job]] + 1e-3).all()
            assert (said[~mask[:, job]] == 0).all()
            rose += (said > 0).sum()
            chosen = mask[:, job]
            begun = (following.starts.numpy() - state.starts.numpy())[:, job].sum(1) + shop.NOT_DISPATCHED
            np.testing.assert_allclose(
                (decision.time + jobs["wait"][:, job] * mean[:, 0])[chosen], begun[chosen], atol=0.01
            )
        finished = jobs["operations_left"] == 0
        assert (found.jobs.numpy()[finished] == 0).all()
    assert rose


def test_the_first_observation_tells_the_bound_that_the_first_reward_holds():
    env = task(jobs=5, machines=4)
    state = env.reset(KEY, 50)
    told = features.split(env.observe(state)).shop.numpy()[:, features.SHOP.index("bound")]
    np.testing.assert_allclose(told * 25 * 9, state.bound, rtol=1e-5)


def test_the_picture_shows_each_job_in_its_colour_and_the_bound():
    env = task()
    *_, (before, *_), (last, *_) = episode(env, KEY, 2)
    empty, full = env.render(env.reset(KEY, 2), 1), env.render(last, 1)
    assert empty.shape == full.shape == (240, 480, 3)
    assert (full != env.render(before, 1)).any()
    assert (full != env.render(last, 0)).any()
    colours = {tuple(colour) for colour in full.reshape(-1, 3)}
    assert len(colours - {tuple(colour) for colour in empty.reshape(-1, 3)}) == 6


def test_the_policy_picture_holds_the_policys_schedule_and_a_rules():
    env = task(instance="ft06")

    def shortest(observations, masks):
        durations = features.split(tf.constant(observations)).jobs.numpy()[..., features.JOB.index("duration")]
        return np.where(masks, -durations, -np.inf).argmax(1)

    picture = env.policy_picture(shortest)
    assert picture["kind"] == "filmstrip"
    assert len(picture["frames"]) == 2
    expected = decoding.decode(env, library.named("ft06"), rules(env)["shortest-processing-time"], KEY).makespan
    assert f"Picture 1, the policy: makespan {expected};" in picture["note"]
    assert picture["title"] == "ft06, scheduled"


def test_optima_are_known_proved_or_none(tmp_path):
    assert task().optimum() is None
    assert task(instance="ft10").optimum() == 930
    assert task(instance="ta21").optimum() is None  # known, but not proved
    file = tmp_path / "instance"
    file.write_text("2 2\n0 3 1 2\n0 2 1 4\n")
    assert registry.make("slipway/JobShop-v0", instance=str(file)).optimum() == 8


@pytest.mark.slow
def test_the_optima_of_small_instances_are_proved_again():
    names = ["ft06", "la01", "ft10", "la16"]
    for name, solution in zip(names, exact.solve([library.named(name) for name in names]), strict=True):
        assert solution.proved
        assert solution.makespan == solution.lower == library.optimal_makespans()[name]
        assert schedule.violations(library.named(name), solution.starts) == []
        assert schedule.makespan(library.named(name), solution.starts) == solution.makespan


def test_a_search_without_effort_proves_nothing():
    (found,) = exact.solve([library.named("ta01")], effort_seconds=0.01)
    assert found is None or not found.proved
