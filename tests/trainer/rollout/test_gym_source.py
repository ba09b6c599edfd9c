"""Collecting from any Gymnasium environment: shapes, seeds, masks, and a state that can be put back."""

import subprocess
import sys
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from trainer.errors import BadInput, SlipwayError
from trainer.rollout.gym import GymSource


class Corridor(gymnasium.Env):
    """Walk to the end of a corridor; observes a `Dict`, forbids walking into the wall, and refuses it if tried."""

    def __init__(self, length: int = 5) -> None:
        self.length = length
        self.observation_space = spaces.Dict(
            {"place": spaces.Discrete(length), "wind": spaces.Box(-1, 1, (2,), np.float64)}
        )
        self.action_space = spaces.Discrete(2, start=1)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.place = 0
        return self._see()

    def step(self, action):
        assert self._mask()[action - 1], "walked into the wall"
        self.place += 1 if action == 2 else -1
        observation, info = self._see()
        return observation, -1.0, self.place == self.length - 1, False, info

    def _see(self):
        observation = {"place": self.place, "wind": self.np_random.uniform(-1, 1, 2)}
        return observation, {"action_mask": self._mask()}

    def _mask(self):
        return np.array([self.place > 0, True], np.int8)


class Drifting(gymnasium.Env):
    """Its numbers go on from episode to episode, whatever the seed: it cannot be repeated."""

    observation_space = spaces.Box(0, 1, (1,), np.float32)
    action_space = spaces.Box(-1, 1, (2,), np.float32)
    random = np.random.default_rng()

    def reset(self, *, seed=None, options=None):
        return np.array([self.random.random()], np.float32), {}

    def step(self, action):
        assert self.action_space.contains(action)
        return np.array([self.random.random()], np.float32), float(action.sum()), False, False, {}


class Faulty(Drifting):
    """Gives what the parameter says as its reward, or fails."""

    def __init__(self, reward: float | None = None) -> None:
        self.reward = reward

    def step(self, action):
        if self.reward is None:
            raise RuntimeError("the motor is gone")
        return np.zeros(1, np.float32), self.reward, False, False, {}


class TextOnly(gymnasium.Env):
    observation_space = spaces.Sequence(spaces.Discrete(3))
    action_space = spaces.Discrete(2)


class TwoKnobs(gymnasium.Env):
    observation_space = spaces.Box(0, 1, (1,))
    action_space = spaces.MultiDiscrete([2, 3])


@pytest.fixture(scope="module", autouse=True)
def registered():
    ids = {"Corridor": (Corridor, 7), "Drifting": (Drifting, 50), "Faulty": (Faulty, None)}
    ids |= {"TextOnly": (TextOnly, None), "TwoKnobs": (TwoKnobs, None)}
    for name, (kind, limit) in ids.items():
        gymnasium.register(f"test/{name}-v0", entry_point=kind, max_episode_steps=limit, disable_env_checker=True)
    yield
    for name in ids:
        gymnasium.registry.pop(f"test/{name}-v0")


@pytest.fixture
def make():
    made = []

    def make_source(env_id: str, parameters: dict[str, Any] | None = None, num_envs=3, seed=5, split=0) -> GymSource:
        made.append(GymSource(env_id, parameters or {}, num_envs, seed, split))
        return made[-1]

    yield make_source
    for source in made:
        source.close()


def choose(source: GymSource, rng: np.random.Generator):
    """Random actions that the mask allows, some of them outside the bounds of a box."""
    if isinstance(source.action_space, spaces.Box):
        return rng.normal(0, 2, (source.num_envs, *source.action_space.shape)).astype(np.float32)
    allowed = source.action_mask
    if allowed is None:
        allowed = np.ones((source.num_envs, int(source.action_space.n)), np.bool_)
    return (rng.random(allowed.shape) * allowed).argmax(1) + int(source.action_space.start)


def walk(source: GymSource, steps: int, rng: np.random.Generator):
    """Every array of each step, and the observation after it; what is not there is left out."""

    def step():
        outcome = source.step(choose(source, rng))
        return [part for part in (*outcome, source.observation.copy()) if part is not None]

    return [step() for _ in range(steps)]


REPEATABLE = [
    "gymnasium:CartPole-v1",
    "gymnasium:Pendulum-v1",
    "gymnasium:LunarLander-v3",
    "gymnasium:Taxi-v4",
    "gymnasium:test/Corridor-v0",
]


@pytest.mark.parametrize("env_id", REPEATABLE)
def test_a_restored_source_goes_on_with_the_same_bits(make, env_id):
    first, rng = make(env_id), np.random.default_rng(1)
    walk(first, 137, rng)
    saved, state = first.snapshot(), rng.bit_generator.state
    expected = walk(first, 60, rng)
    second = make(env_id)
    walk(second, 3, np.random.default_rng(9))
    rng.bit_generator.state = state
    second.restore(saved)
    if first.action_mask is not None:
        assert second.action_mask is not None
    for one, other in zip(expected, walk(second, 60, rng), strict=True):
        for a, b in zip(one, other, strict=True):
            assert a.dtype == b.dtype
            assert a.tobytes() == b.tobytes()
    for name, value in first.snapshot().items():
        np.testing.assert_array_equal(value, second.snapshot()[name])


def test_steps_are_those_of_single_environments(make):
    """Row by row the real environment, made by `gymnasium.make`, with the row's seeds."""
    source, rng = make("gymnasium:CartPole-v1", {"max_episode_steps": 12}), np.random.default_rng(2)
    assert source.max_episode_steps == 12
    singles = [gymnasium.make("CartPole-v1", max_episode_steps=12) for _ in range(source.num_envs)]
    episodes = np.zeros(source.num_envs, int)
    ends = set()

    def begin(row):
        return singles[row].reset(seed=source._episode_seed(row))[0]

    for row in range(source.num_envs):
        np.testing.assert_array_equal(source.observation[row], begin(row))
    for _ in range(80):
        action = choose(source, rng)
        outcome = source.step(action)
        for row, single in enumerate(singles):
            observation, reward, terminated, truncated, _ = single.step(action[row])
            np.testing.assert_array_equal(outcome.final_observation[row], observation)
            assert outcome.reward[row] == reward
            assert outcome.terminated[row] == terminated
            assert outcome.truncated[row] == (truncated and not terminated)
            if terminated or truncated:
                ends.add("terminated" if terminated else "truncated")
                episodes[row] += 1
                observation = begin(row)
            np.testing.assert_array_equal(source.observation[row], observation)
    np.testing.assert_array_equal(source.snapshot()["episode"], episodes)
    assert ends == {"terminated", "truncated"}


def test_types_and_shapes(make):
    for env_id, shape in (("CartPole-v1", (4,)), ("Taxi-v4", (500,)), ("test/Corridor-v0", (7,))):
        source = make(f"gymnasium:{env_id}")
        assert source.env_id == f"gymnasium:{env_id}"
        assert source.observation_space.shape == shape
        assert source.observation_space.dtype == np.float32
        outcome = source.step(choose(source, np.random.default_rng(0)))
        assert source.observation.shape == outcome.final_observation.shape == (3, *shape)
        assert source.observation.dtype == outcome.final_observation.dtype == outcome.reward.dtype == np.float32
        assert outcome.terminated.dtype == outcome.truncated.dtype == np.bool_
    assert make("Pendulum-v1").observation_space.contains(make("Pendulum-v1").observation[0])


def test_boxes_are_clipped_for_the_environment_only(make):
    """`Drifting` refuses what lies outside; its reward is the sum of what it got."""
    source = make("gymnasium:test/Drifting-v0", num_envs=2)
    action = np.array([[3.0, -0.25], [-9.0, 0.5]], np.float32)
    outcome = source.step(action)
    np.testing.assert_array_equal(outcome.reward, [0.75, -0.5])
    np.testing.assert_array_equal(action, [[3.0, -0.25], [-9.0, 0.5]])
    assert np.abs(source.snapshot()["actions"]).max() == 1


def test_masks_are_of_the_next_observation(make):
    source = make("gymnasium:test/Corridor-v0", num_envs=2)
    assert source.action_mask is not None
    assert source.action_mask.tolist() == [[False, True]] * 2
    source.step(np.array([2, 2]))
    assert source.action_mask.tolist() == [[True, True]] * 2
    source.step(np.array([1, 2]))
    assert source.action_mask.tolist() == [[False, True], [True, True]]
    for _ in range(2):
        outcome = source.step(np.array([2, 2]))
    assert outcome.terminated.tolist() == [False, True]
    assert source.action_mask.tolist() == [[True, True], [False, True]]  # of the new episode
    assert make("CartPole-v1").action_mask is None


def test_seeds_stay_in_their_split(make):
    """The same rule as `envs.seeding`, which this module does without because it imports TensorFlow."""
    from envs.seeding import SEEDS_PER_SPLIT, Split, split_of

    seen = {}
    for split in Split:
        for seed in (0, 1, SEEDS_PER_SPLIT - 1):
            source = make("CartPole-v1", num_envs=40, seed=seed, split=split)
            seeds = [source._episode_seed(row) for row in range(40)]
            assert {split_of(value) for value in seeds} == {split}
            seen[split, seed] = source.observation.tobytes()
    assert len(set(seen.values())) == len(seen)
    with pytest.raises(ValueError, match="allowed are 0 to"):
        make("CartPole-v1", seed=SEEDS_PER_SPLIT)


def test_history_is_no_longer_than_the_longest_episode(make):
    source, rng = make("CartPole-v1", {"max_episode_steps": 9}), np.random.default_rng(0)
    for _ in range(50):
        source.step(choose(source, rng))
        saved = source.snapshot()
        assert len(saved["actions"]) == saved["steps"].max() <= 9


def test_what_cannot_be_repeated_is_named(make):
    source = make("test/Drifting-v0")
    walk(source, 4, np.random.default_rng(0))
    saved = source.snapshot()
    with pytest.raises(SlipwayError, match="gymnasium:test/Drifting-v0 does not come to the same observation again"):
        make("test/Drifting-v0").restore(saved)
    fresh = make("test/Drifting-v0")
    fresh.restore(saved, exact=False)
    np.testing.assert_array_equal(fresh.snapshot()["episode"], [1, 1, 1])
    np.testing.assert_array_equal(fresh.snapshot()["steps"], [0, 0, 0])
    walk(fresh, 60, np.random.default_rng(0))


def test_an_inexact_restore_keeps_the_rows_that_repeat(make):
    source = make("CartPole-v1")
    walk(source, 5, np.random.default_rng(0))
    saved = source.snapshot()
    saved["observation"][1] += 1
    with pytest.raises(SlipwayError, match=r"\(environments 1\)"):
        make("CartPole-v1").restore(saved)
    other = make("CartPole-v1")
    other.restore(saved, exact=False)
    np.testing.assert_array_equal(other.observation[[0, 2]], saved["observation"][[0, 2]])
    np.testing.assert_array_equal(other.snapshot()["steps"], [5, 0, 5])


@pytest.mark.parametrize("change", ["seed", "num_envs", "names", "env"])
def test_a_snapshot_of_something_else_is_refused(make, change):
    source = make("CartPole-v1")
    walk(source, 5, np.random.default_rng(0))
    saved = source.snapshot()
    if change == "names":
        saved["more"] = saved.pop("steps")
    changed = {"seed": {"seed": 6}, "num_envs": {"num_envs": 4}}.get(change, {})
    with pytest.raises(SlipwayError):
        make("Pendulum-v1" if change == "env" else "CartPole-v1", **changed).restore(saved)


def test_a_process_for_each_environment_gives_the_same(make):
    one, other = make("CartPole-v1", num_envs=2), make("CartPole-v1", {"vectorization_mode": "async"}, num_envs=2)
    first, second = (walk(source, 40, np.random.default_rng(3)) for source in (one, other))
    for a, b in zip(first, second, strict=True):
        assert all(x.tobytes() == y.tobytes() for x, y in zip(a, b, strict=True))
    saved = other.snapshot()
    expected = walk(other, 10, np.random.default_rng(4))
    other.restore(saved)
    for a, b in zip(expected, walk(other, 10, np.random.default_rng(4)), strict=True):
        assert all(x.tobytes() == y.tobytes() for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize(
    ("env_id", "parameters", "field", "says"),
    [
        ("gymnasium:CartPol-v1", {}, "env.id", "gymnasium:CartPole-v1"),
        ("gymnasium:CartPole-v9", {}, "env.id", "v1"),
        ("gymnasium:no such", {}, "env.id", "Malformed"),
        ("gymnasium:nomodule:Thing-v0", {}, "env.id", "nomodule"),
        ("gymnasium:CartPole-v1", {"gravitas": 3}, "env.parameters", "gravitas"),
        ("gymnasium:LunarLander-v3", {"gravity": 5.0}, "env.parameters", "between -12 and 0"),
        ("gymnasium:CartPole-v1", {"num_envs": 3}, "env.parameters.num_envs", "agent.num_envs"),
        ("gymnasium:CartPole-v1", {"vectorization_mode": "fast"}, "env.parameters.vectorization_mode", "sync or async"),
        ("gymnasium:CartPole-v1", {"max_episode_steps": 0}, "env.parameters.max_episode_steps", "from 1 on"),
        ("gymnasium:test/TextOnly-v0", {}, "env.id", "Sequence"),
        ("gymnasium:test/TwoKnobs-v0", {}, "env.id", "MultiDiscrete"),
    ],
)
def test_bad_input_is_one_clear_error(make, env_id, parameters, field, says):
    with pytest.raises(BadInput) as caught:
        make(env_id, parameters)
    assert caught.value.field == field
    assert says in str(caught.value)


def test_faults_name_the_environment(make):
    action = np.zeros((3, 2), np.float32)
    with pytest.raises(SlipwayError, match=r"test/Faulty-v0 failed in its step .*the motor is gone"):
        make("test/Faulty-v0").step(action)
    with pytest.raises(SlipwayError, match="test/Faulty-v0 gave a reward that is no finite number"):
        make("test/Faulty-v0", {"reward": float("nan")}).step(action)
    with pytest.raises(SlipwayError, match=r"the policy chose an action .* no finite number"):
        make("test/Drifting-v0").step(action * np.nan)


def test_imports_no_tensorflow():
    code = "import sys, trainer.rollout.gym; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
