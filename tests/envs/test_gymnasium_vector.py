import contract
import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

from envs import seeding
from envs.adapters.gymnasium_env import GymnasiumEnv
from envs.adapters.gymnasium_vector import GymnasiumVectorEnv

TASKS = {
    "slipway/LostSales-v0": {"episode_periods": 7, "lead_time_periods": 2},
    "slipway/LidarNavigation-v0": {"episode_steps": 9, "beams": 7},
    "slipway/CartPole-v1": {"episode_steps": 12},
    "slipway/Pendulum-v1": {"episode_steps": 6},
}
ROWS, STEPS, SEED = 4, 40, 21


@pytest.fixture(scope="module", params=TASKS)
def name(request):
    return request.param


@pytest.fixture(scope="module")
def vector(name):
    return gymnasium.make_vec(name, num_envs=ROWS, **TASKS[name])


def numbered_actions(vector, numbers):
    return np.stack([contract.numbered_action(vector.single_action_space, number) for number in numbers])


def test_gymnasium_makes_it_with_the_right_metadata(vector):
    assert isinstance(vector, GymnasiumVectorEnv)
    assert vector.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    assert vector.observation_space.shape == (ROWS, *vector.single_observation_space.shape)
    assert vector.spec.kwargs["num_envs"] == ROWS


def test_each_row_is_a_single_environment_bit_for_bit(name, vector):
    """Row i of seed s against one environment of seed s + i that is reset by hand at each end."""
    generator = np.random.default_rng(0)
    observations, _ = vector.reset(seed=SEED)
    singles = [GymnasiumEnv(name, **TASKS[name]) for _ in range(ROWS)]
    for row, single in enumerate(singles):
        assert single.reset(seed=SEED + row)[0].tobytes() == observations[row].tobytes()
    ends = 0
    for _ in range(STEPS):
        actions = numbered_actions(vector, generator.integers(0, 100, ROWS))
        observations, rewards, terminated, truncated, infos = vector.step(actions)
        for row, single in enumerate(singles):
            observation, reward, end, cut, _ = single.step(actions[row])
            assert (reward, end, cut) == (rewards[row], terminated[row], truncated[row])
            if end or cut:
                ends += 1
                assert infos["_final_obs"][row]
                assert infos["final_obs"][row].tobytes() == observation.tobytes()
                observation, _ = single.reset()
            elif infos:
                assert not infos["_final_obs"][row]
                assert infos["final_obs"][row] is None
            assert observation.tobytes() == observations[row].tobytes()
            assert vector.single_observation_space.contains(observations[row])
    assert ends >= ROWS * 3


def test_results_are_not_overwritten_by_later_steps(vector):
    first, _ = vector.reset(seed=1)
    kept = first.copy()
    second = vector.step(numbered_actions(vector, [1] * ROWS))[0]
    kept_second = second.copy()
    for _ in range(15):
        vector.step(numbered_actions(vector, [0] * ROWS))
    np.testing.assert_array_equal(first, kept)
    np.testing.assert_array_equal(second, kept_second)


def test_its_answers_have_the_form_of_gymnasiums_own_vector(name, vector):
    """Types, shapes and keys are those of `SyncVectorEnv` with same-step autoreset over single environments."""
    own = gymnasium.make_vec(
        name,
        num_envs=ROWS,
        vectorization_mode="sync",
        vector_kwargs={"autoreset_mode": AutoresetMode.SAME_STEP},
        **TASKS[name],
    )
    for one, other in zip(own.reset(seed=SEED), vector.reset(seed=SEED), strict=True):
        np.testing.assert_array_equal(one, other)
    for step in range(15):
        actions = numbered_actions(vector, [step % 2] * ROWS)
        theirs, ours = own.step(actions), vector.step(actions)
        for one, other in zip(theirs[:4], ours[:4], strict=True):
            assert one.dtype == other.dtype
            np.testing.assert_array_equal(one, other)
        assert theirs[4].keys() == ours[4].keys()
        if "final_obs" in ours[4]:
            for key in ("final_obs", "_final_obs", "_final_info"):
                for one, other in zip(theirs[4][key], ours[4][key], strict=True):
                    np.testing.assert_array_equal(one, other)


def test_seeds_may_be_given_for_each_row(vector):
    whole, _ = vector.reset(seed=SEED)
    listed, _ = vector.reset(seed=[SEED, SEED + 1, SEED + 2, SEED + 3])
    np.testing.assert_array_equal(whole, listed)
    partly, _ = vector.reset(seed=[SEED, None, None, SEED + 3])
    np.testing.assert_array_equal(partly[[0, 3]], whole[[0, 3]])
    assert (partly[[1, 2]] != whole[[1, 2]]).any(1).all()
    again, _ = vector.reset()
    assert (again != partly).any()


def test_wrong_calls_are_refused(name, vector):
    fresh = GymnasiumVectorEnv(name, ROWS)
    with pytest.raises(gymnasium.error.ResetNeeded):
        fresh.step(np.zeros(ROWS, int))
    with pytest.raises(ValueError, match="num_envs is 0"):
        GymnasiumVectorEnv(name, 0)
    with pytest.raises(ValueError, match="2 seeds; allowed: 4"):
        vector.reset(seed=[1, 2])
    with pytest.raises(ValueError, match="mix training"):
        vector.reset(seed=seeding.SEEDS_PER_SPLIT - 2)
    vector.reset(seed=0)
    for actions in (np.full(ROWS, 99), np.zeros(ROWS + 1, int), np.zeros(ROWS)):
        with pytest.raises(gymnasium.error.InvalidAction):
            vector.step(actions)


def test_pictures_of_all_rows(name):
    env = gymnasium.make_vec(name, num_envs=2, render_mode="rgb_array")
    env.reset(seed=0)
    one, other = env.render()
    assert one.shape == other.shape
    assert (one != other).any()
