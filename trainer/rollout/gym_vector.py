"""Many copies of one Gymnasium environment behind one shape: float32 observations, explicit seeds, no autoreset.

Imports no TensorFlow.
"""

import contextlib
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, cast

import gymnasium
import numpy as np
import numpy.typing as npt
from gymnasium import spaces
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv
from gymnasium.wrappers import FlattenObservation

from trainer.errors import BadInput, SlipwayError, nearest

PREFIX = "gymnasium:"
"""What an environment id of the run file starts with."""
MASK = "action_mask"
"""The entry of an environment's `info` that says which discrete actions are allowed."""
MODES = ("sync", "async")
OWN_ARGUMENTS = ("num_envs", "vector_kwargs", "wrappers", "render_mode", "id")
"""Arguments of `gymnasium.make_vec` that Slipway sets itself."""

Floats = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]


class VectorStep(NamedTuple):
    """What one step of all copies yields, before any reset."""

    reward: Floats  # [N]
    terminated: Bools  # [N]
    truncated: Bools  # [N], never true together with `terminated`
    observation: Floats  # [N, ...]


class GymVector:
    """N copies of a Gymnasium environment.

    Observations other than boxes (`Discrete`, `MultiDiscrete`, `MultiBinary`, `Dict`, `Tuple`) are flattened by
    Gymnasium's own `FlattenObservation` (a discrete value becomes one-hot). Actions outside a `Box` are clipped to it.

    Args:
        env_id: `gymnasium:ID`, or the bare ID; `module:ID` imports a module that registers it.
        parameters: keyword arguments of the environment, `max_episode_steps`, and `vectorization_mode`: `sync` steps
            the copies one after the other in this process, `async` each in a process of its own.
        num_envs: N.

    Attributes:
        env_id: `gymnasium:ID`.
        observation_space: of one copy, float32.
        action_space: of one copy.
        action_shape: of one action, `()` for `Discrete`.
        max_episode_steps: after which an episode is truncated; None if the environment has no limit.
        observation: float32 [N, ...], the newest of each copy.
        action_mask: bool [N, n], the actions that are allowed now; None if the environment gives none.

    Raises:
        BadInput: if there is no such id, a parameter is refused or a space is not supported.
        SlipwayError: if the environment cannot be made for another reason.
    """

    action_space: spaces.Discrete | spaces.Box
    action_mask: Bools | None = None

    def __init__(self, env_id: str, parameters: Mapping[str, Any], num_envs: int) -> None:
        name = env_id.removeprefix(PREFIX)
        self.env_id, self.num_envs = PREFIX + name, num_envs
        self._envs = _make(name, dict(parameters), num_envs)
        try:
            self.observation_space = _observation_space(self.env_id, self._envs.single_observation_space)
            self.action_space = _action_space(self.env_id, self._envs.single_action_space)
        except BadInput:
            self._envs.close()
            raise
        self.action_shape: tuple[int, ...] = tuple(self.action_space.shape or ())
        spec = self._envs.spec
        steps = spec.kwargs.get("max_episode_steps", spec.max_episode_steps) if spec is not None else None
        self.max_episode_steps: int | None = None if steps is None or steps < 0 else int(steps)
        self.observation: Floats = np.zeros((num_envs, *self.observation_space.shape), np.float32)

    def reset(self, rows: Bools, seeds: Sequence[int]) -> None:
        """Begin a new episode on some copies; the others stay as they are.

        Args:
            rows: bool [N], at least one true.
            seeds: one for each true row, in order.
        """
        every: list[int | None] = [None] * self.num_envs
        for row, seed in zip(np.flatnonzero(rows), seeds, strict=True):
            every[row] = int(seed)
        with _faults_of(self.env_id, "reset"):
            observation, info = self._envs.reset(seed=every, options={"reset_mask": rows.copy()})
        self.observation[rows] = self._floats(observation)[rows]
        self._take_mask(info, rows)

    def step(self, action: npt.NDArray[Any]) -> VectorStep:
        """One step of every copy. Copies whose episode has ended must be reset before the next.

        Args:
            action: as `legal` gives it.
        """
        with _faults_of(self.env_id, "step"):
            observation, reward, terminated, truncated, info = self._envs.step(action)
        self.observation = self._floats(observation)
        rewards = np.asarray(reward, np.float32)
        if not np.isfinite(rewards).all():
            raise SlipwayError(f"{self.env_id} gave a reward that is no finite number: {rewards}")
        self._take_mask(info, np.ones(self.num_envs, np.bool_))
        ended = np.array(terminated, np.bool_)
        return VectorStep(rewards, ended, np.array(truncated, np.bool_) & ~ended, self.observation.copy())

    def legal(self, action: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Actions [N, ...] as the environment takes them: of its type, and clipped to a `Box`'s bounds."""
        action = np.asarray(action)
        if not np.isfinite(action).all():
            raise SlipwayError(f"the policy chose an action for {self.env_id} that is no finite number")
        if isinstance(self.action_space, spaces.Box):
            return np.clip(action.astype(self.action_space.dtype), self.action_space.low, self.action_space.high)
        return action.astype(np.int64)

    def close(self) -> None:
        """End the environments."""
        self._envs.close()

    def _floats(self, observation: Any) -> Floats:
        floats = np.array(observation, np.float32)
        if not np.isfinite(floats).all():
            row = int(np.flatnonzero(~np.isfinite(floats.reshape(self.num_envs, -1)).all(1))[0])
            raise SlipwayError(f"{self.env_id} gave an observation that is not finite: {floats[row]}")
        return floats

    def _take_mask(self, info: Mapping[str, Any], rows: Bools) -> None:
        """Read the masks of some rows; a row that gives none allows every action."""
        given, present = info.get(MASK), np.asarray(info.get(f"_{MASK}", np.zeros(self.num_envs, np.bool_)))
        if not isinstance(self.action_space, spaces.Discrete) or (given is None and self.action_mask is None):
            return
        count = int(self.action_space.n)
        if self.action_mask is None:
            self.action_mask = np.ones((self.num_envs, count), np.bool_)
        self.action_mask[rows] = True
        for row in np.flatnonzero(rows & present):
            mask = np.asarray(given[row]).astype(np.bool_) if given is not None else np.ones(count, np.bool_)
            if mask.shape != (count,):
                raise SlipwayError(f"{self.env_id} gave an action mask of shape {mask.shape} for {count} actions")
            # Where nothing is allowed an episode has ended, and its mask is never used; softmax needs one action.
            self.action_mask[row] = mask if mask.any() else True


@contextlib.contextmanager
def _faults_of(env_id: str, doing: str) -> Iterator[None]:
    """Names the environment in whatever it raises."""
    try:
        yield
    except Exception as error:
        raise SlipwayError(f"{env_id} failed in its {doing} ({type(error).__name__}: {error})") from error


def _make(name: str, parameters: dict[str, Any], num_envs: int) -> SyncVectorEnv | AsyncVectorEnv:
    mode = parameters.pop("vectorization_mode", "sync")
    if mode not in MODES:
        raise BadInput("env.parameters.vectorization_mode", mode, " or ".join(MODES), "Choose one of them.")
    for key in OWN_ARGUMENTS:
        if key in parameters:
            cure = "Leave it out; `agent.num_envs` sets how many run." if key == "num_envs" else "Leave it out."
            raise BadInput(f"env.parameters.{key}", parameters[key], "nothing: Slipway sets it itself", cure)
    limit = parameters.get("max_episode_steps")
    if limit is not None and not (isinstance(limit, int) and limit >= 1):
        raise BadInput("env.parameters.max_episode_steps", limit, "a whole number from 1 on", "Correct it.")
    arguments: dict[str, Any] = {"autoreset_mode": AutoresetMode.DISABLED, "copy": False}
    if mode == "async":
        # A fork of a process that runs TensorFlow's threads can hang.
        arguments["context"] = "forkserver"
    try:
        with warnings.catch_warnings():
            # Box2D's import crashes the interpreter if a filter makes errors of SWIG's deprecation warnings.
            warnings.filterwarnings("ignore", r"builtin type .* has no __module__ attribute", DeprecationWarning)
            made: Any = gymnasium.make_vec(
                name,
                num_envs=num_envs,
                vectorization_mode=mode,
                vector_kwargs=arguments,
                wrappers=[cast(Any, _flattened)],
                **parameters,
            )
        return cast(SyncVectorEnv | AsyncVectorEnv, made)
    except gymnasium.error.DependencyNotInstalled as error:
        raise BadInput(
            "env.id", PREFIX + name, "an environment whose packages are installed", _sentence(error)
        ) from error
    except (gymnasium.error.Error, ImportError) as error:
        raise BadInput("env.id", PREFIX + name, "an id that Gymnasium knows", _id_cure(name, error)) from error
    except (TypeError, ValueError, AssertionError, KeyError) as error:
        if not parameters:
            raise SlipwayError(f"{PREFIX}{name} cannot be made: {error}") from error
        raise BadInput("env.parameters", parameters, "what the environment takes", _sentence(error)) from error
    except Exception as error:
        raise SlipwayError(f"{PREFIX}{name} cannot be made ({type(error).__name__}: {error})") from error


def _flattened(env: gymnasium.Env[Any, Any]) -> gymnasium.Env[Any, Any]:
    """Flattens what is no box with at least one axis, if Gymnasium can; what it cannot is refused afterwards."""
    space = env.observation_space
    if (isinstance(space, spaces.Box) and space.shape) or not space.is_np_flattenable:
        return env
    return FlattenObservation(env)


def _observation_space(env_id: str, space: gymnasium.Space[Any]) -> spaces.Box:
    if not isinstance(space, spaces.Box):
        cure = "Wrap the environment so that it observes one of these, and register that."
        raise BadInput("env.id", env_id, f"observations that can be made one array, which {space} cannot", cure)
    # Bounds of float64 may lie beyond float32: those become infinite, which is what they mean.
    with np.errstate(over="ignore"):
        low, high = space.low.astype(np.float32), space.high.astype(np.float32)
    return spaces.Box(low, high, dtype=np.float32)


def _action_space(env_id: str, space: gymnasium.Space[Any]) -> spaces.Discrete | spaces.Box:
    if isinstance(space, spaces.Discrete):
        return space
    if isinstance(space, spaces.Box) and space.shape and np.issubdtype(space.dtype, np.floating):
        return space
    cure = "Wrap the environment so that it takes one of these, and register that."
    raise BadInput(
        "env.id", env_id, f"actions that are Discrete or a float Box with an axis, which {space} is not", cure
    )


def _id_cure(name: str, error: Exception) -> str:
    if isinstance(error, gymnasium.error.UnregisteredEnv) and ":" not in name:
        near = nearest(name, gymnasium.registry)
        if near is not None:
            return f"{_sentence(error)} Did you mean {PREFIX}{near}?"
    return _sentence(error)


def _sentence(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if text.endswith((".", "?", "!", "`")) else text + "."
