"""A task as a `gymnasium.vector.VectorEnv`: all rows in one compiled step."""

from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from envs import core, registry, seeding
from envs.adapters.episodes import Drawn, functions, keys_of

Observations = npt.NDArray[np.float32]
Actions = npt.NDArray[np.int64 | np.float32]
Array = npt.NDArray[Any]


class GymnasiumVectorEnv(VectorEnv[Observations, Actions, Array]):
    """n rows of a task behind Gymnasium's vector interface, with same-step autoreset.

    A row whose episode ends is reset in the same step: the observation is then the next episode's first, and the last
    one of the old episode is in `infos["final_obs"]` (marked in `infos["_final_obs"]`). Row i of `reset(seed=s)` gives
    the same bits as a `GymnasiumEnv` with `reset(seed=s + i)`.

    Args:
        task: a task's id, or a task.
        num_envs: n.
        render_mode: None or `rgb_array`.
        **params: the task's parameters, where `task` is an id.

    Raises:
        ValueError: if the id, a parameter or the render mode is not known, or a value not allowed.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012 - Gymnasium's own declaration
        "autoreset_mode": AutoresetMode.SAME_STEP,
        "render_modes": ["rgb_array"],
    }

    def __init__(
        self, task: "str | core.TensorEnv[Any]", num_envs: int = 1, render_mode: str | None = None, **params: Any
    ) -> None:
        self.task = registry.make(task, **params) if isinstance(task, str) else task
        if num_envs < 1:
            raise ValueError(f"num_envs is {num_envs}; allowed: 1 or more")
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise ValueError(f"render_mode is {render_mode!r}; allowed: None or 'rgb_array'")
        self.num_envs = num_envs
        self.render_mode = render_mode
        self.metadata = self.metadata | {"render_fps": self.task.frames_per_second}
        self.single_observation_space = self.task.observation_space
        self.single_action_space = self.task.action_space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._episodes, self._proceed = functions(self.task)
        self._keys: npt.NDArray[np.int32] | None = None  # of the episodes that a reset without seed begins
        self._running: Drawn | None = None
        self._upcoming: Drawn | None = None
        self._episode: core.Episode | None = None

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observations, dict[str, Any]]:
        """Starts an episode in every row; there are no options.

        Args:
            seed: s for s, s + 1, ..., or one for each row; a row without one goes on to its next episode.
            options: none are known.

        Raises:
            ValueError: if a seed is out of range, training and held-out seeds are mixed, or their number is not n.
        """
        del options
        super().reset(seed=seed if isinstance(seed, int) else None)
        if seed is None or isinstance(seed, int):
            seeds = {} if seed is None else {row: seed + row for row in range(self.num_envs)}
        elif len(seed) == self.num_envs:
            seeds = {row: given for row, given in enumerate(seed) if given is not None}
        else:
            raise ValueError(f"there are {len(seed)} seeds; allowed: {self.num_envs}, one for each row")
        keys = self._following_keys()
        if seeds:
            keys[list(seeds)] = keys_of(list(seeds.values()))
        self._running = self._episodes.draw(keys)
        self._upcoming = self._episodes.draw(self._running.next_keys)
        # A copy: the draw's own arrays are overwritten when a row's episode ends.
        state = tf.nest.map_structure(tf.constant, self._running.state)
        self._episode = core.Episode(state, tf.zeros([self.num_envs], tf.int32))
        return np.array(self.task.observe(state)), self._masks()

    def step(self, actions: Actions) -> tuple[Observations, Array, Array, Array, dict[str, Any]]:
        """One step of every row.

        Raises:
            gymnasium.error.ResetNeeded: before the first reset.
            gymnasium.error.InvalidAction: if the actions are not in the action space.
        """
        if self._running is None or self._upcoming is None or self._episode is None:
            raise gymnasium.error.ResetNeeded("call reset() before step()")
        dtype = np.int32 if isinstance(self.single_action_space, gymnasium.spaces.Discrete) else np.float32
        if not self.action_space.contains(actions):
            raise gymnasium.error.InvalidAction(f"actions are {actions!r}; allowed: {self.action_space}")
        noise = self._running.noise_at(np.asarray(self._episode.steps))
        self._episode, outcome = self._proceed(self._episode, np.asarray(actions, dtype), noise)
        observations = outcome.final_observation
        terminated, truncated = np.array(outcome.terminated), np.array(outcome.truncated)
        infos: dict[str, Any] = {}
        done = np.nonzero(terminated | truncated)[0]
        if len(done):
            final = np.asarray(outcome.final_observation)
            for row in done:
                infos = self._add_info(infos, {"final_obs": final[row].copy(), "final_info": {}}, int(row))
            self._episode = core.restart(self._episode, outcome, self._upcoming.state)
            observations = self.task.observe(self._episode.state)
            # The upcoming episodes of these rows now run, and those after them are drawn.
            begun = tf.nest.map_structure(lambda array: array[done], self._upcoming)
            self._running.replace(done, begun)
            self._upcoming.replace(done, self._episodes.draw(begun.next_keys))
        infos |= self._masks()
        return np.array(observations), np.array(outcome.reward, np.float64), terminated, truncated, infos

    def render(self) -> tuple[npt.NDArray[np.uint8], ...] | None:
        """The rows' states as RGB [height, width, 3] each; None if no render mode was asked for.

        Raises:
            gymnasium.error.ResetNeeded: before the first reset.
        """
        if self.render_mode is None:
            return None
        if self._episode is None:
            raise gymnasium.error.ResetNeeded("call reset() before render()")
        return tuple(self.task.render(self._episode.state, row) for row in range(self.num_envs))

    def _following_keys(self) -> npt.NDArray[np.int32]:
        """The keys of each row's next episode, int32 [n, 2]."""
        if self._running is not None:
            return self._running.next_keys.copy()
        first = int(self.np_random.integers(seeding.SEEDS_PER_SPLIT - self.num_envs))
        return keys_of(range(first, first + self.num_envs))

    def _masks(self) -> dict[str, Any]:
        mask = self.task.action_mask(self._episode.state) if self._episode else None
        if mask is None:
            return {}
        return {"action_mask": np.array(mask, np.int8), "_action_mask": np.ones(self.num_envs, np.bool_)}
