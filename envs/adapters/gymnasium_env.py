"""A task as one `gymnasium.Env`."""

from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from envs import core, registry, seeding
from envs.adapters.episodes import Drawn, functions, keys_of

Observation = npt.NDArray[np.float32]
Action = np.int64 | npt.NDArray[np.float32]


class GymnasiumEnv(gymnasium.Env[Observation, Action]):
    """A task behind Gymnasium's interface: float32 observations, `Discrete` or `Box` actions, the task's time limit.

    `reset(seed=...)` takes 0 to 2**31 - 1; from 2**30 on, seeds are held out from training (`envs.seeding`). Without a
    seed the next episode follows from the one before; if there is none, from a training seed that the operating system
    draws. Where the task has an action mask, `info["action_mask"]` is int8 [n], 1 where an action is allowed.

    Args:
        task: a task's id, or a task.
        render_mode: None or `rgb_array`.
        **params: the task's parameters, where `task` is an id.

    Raises:
        ValueError: if the id, a parameter or the render mode is not known, or a value not allowed.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 4}  # noqa: RUF012 - Gymnasium's own declaration

    def __init__(self, task: "str | core.TensorEnv[Any]", render_mode: str | None = None, **params: Any) -> None:
        self.task = registry.make(task, **params) if isinstance(task, str) else task
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise ValueError(f"render_mode is {render_mode!r}; allowed: None or 'rgb_array'")
        self.render_mode = render_mode
        self.metadata = self.metadata | {"render_fps": self.task.frames_per_second}
        self.observation_space = self.task.observation_space  # type: ignore[assignment]
        self.action_space = self.task.action_space  # type: ignore[assignment]
        self._episodes, self._proceed = functions(self.task)
        self._drawn: Drawn | None = None
        self._episode: core.Episode | None = None
        self._over = True

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Starts an episode; there are no options."""
        del options
        super().reset(seed=seed)
        if seed is not None:
            keys = keys_of([seed])
        elif self._drawn is not None:
            keys = self._drawn.next_keys
        else:
            keys = keys_of([int(self.np_random.integers(seeding.SEEDS_PER_SPLIT))])
        self._drawn = self._episodes.draw(keys)
        self._episode = core.Episode(self._drawn.state, np.zeros(1, np.int32))
        self._over = False
        return np.array(self.task.observe(self._drawn.state)[0]), self._info()

    def step(self, action: Action) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """One step.

        Raises:
            gymnasium.error.ResetNeeded: before the first reset, and after an episode's end.
            gymnasium.error.InvalidAction: if the action is not in the action space.
        """
        if self._drawn is None or self._episode is None or self._over:
            raise gymnasium.error.ResetNeeded("call reset() before step(): no episode is running")
        if not self.action_space.contains(action):
            raise gymnasium.error.InvalidAction(f"action is {action!r}; allowed: {self.action_space}")
        dtype = np.int32 if isinstance(self.action_space, gymnasium.spaces.Discrete) else np.float32
        noise = self._drawn.noise_at(np.asarray(self._episode.steps))
        self._episode, outcome = self._proceed(self._episode, np.asarray(action, dtype)[None], noise)
        terminated, truncated = bool(outcome.terminated[0]), bool(outcome.truncated[0])
        self._over = terminated or truncated
        return np.array(outcome.final_observation[0]), float(outcome.reward[0]), terminated, truncated, self._info()

    def render(self) -> npt.NDArray[np.uint8] | None:
        """The state as RGB [height, width, 3]; None if no render mode was asked for.

        Raises:
            gymnasium.error.ResetNeeded: before the first reset.
        """
        if self.render_mode is None:
            return None
        if self._episode is None:
            raise gymnasium.error.ResetNeeded("call reset() before render()")
        return self.task.render(tf.nest.map_structure(tf.convert_to_tensor, self._episode.state))

    def _info(self) -> dict[str, Any]:
        mask = self.task.action_mask(self._episode.state) if self._episode else None
        return {} if mask is None else {"action_mask": np.array(mask[0], np.int8)}
