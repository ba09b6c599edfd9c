"""Experience from any Gymnasium environment, with a state that can be taken out and put back. Imports no TensorFlow."""

import collections
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from trainer.config.models import TRAINING_SEEDS
from trainer.errors import SlipwayError
from trainer.rollout.gym_vector import Bools, Floats, GymVector


class GymOutcome(NamedTuple):
    """What one step yields; `final_observation` and `final_mask` are those before any reset."""

    reward: Floats  # [N]
    terminated: Bools  # [N]
    truncated: Bools  # [N], never true together with `terminated`
    final_observation: Floats  # [N, ...]
    final_mask: Bools | None  # [N, n]; None if the environment does not say


class GymSource:
    """N running episodes of a Gymnasium environment.

    Every episode starts from an integer seed that follows from (seed, row, number of the episode) alone, so that an
    episode can be made again from its seed and its actions. A snapshot holds just these: restoring one costs the time
    of replaying the running episodes. Memory: the actions of the last T steps of all rows, T being the length of the
    longest running episode (8 environments with 4 float32 actions each, in an episode of a million steps: 128 MB).

    Args:
        env_id: `gymnasium:ID`.
        parameters: keyword arguments of the environment (`GymVector`).
        num_envs: N.
        seed: number of the run's seed, 0 <= seed < 2**30.
        split: which seeds the episodes may have (`envs.seeding.Split`): 0 training, 1 held-out.

    Attributes:
        observation_space: of one row, float32.
        action_space: of one row.
        max_episode_steps: the environment's time limit, None if it has none.
        observation: float32 [N, ...], what to act on next.
        action_mask: bool [N, n], which actions are allowed next; None if the environment does not say.

    Raises:
        BadInput: if the environment is unknown or cannot be trained on.
    """

    def __init__(self, env_id: str, parameters: Mapping[str, Any], num_envs: int, seed: int, split: int) -> None:
        if not 0 <= seed < TRAINING_SEEDS:
            raise ValueError(f"seed is {seed}; allowed are 0 to {TRAINING_SEEDS - 1}")
        self._vector = GymVector(env_id, parameters, num_envs)
        self.env_id, self.num_envs = self._vector.env_id, num_envs
        self.observation_space: spaces.Box = self._vector.observation_space
        self.action_space = self._vector.action_space
        self.max_episode_steps = self._vector.max_episode_steps
        self._seed, self._split = seed, int(split)
        self._episode = np.zeros(num_envs, np.int64)
        self._steps = np.zeros(num_envs, np.int64)
        self._actions: collections.deque[npt.NDArray[Any]] = collections.deque()
        try:
            self._begin(np.ones(num_envs, np.bool_))
        except SlipwayError:
            self.close()
            raise

    @property
    def observation(self) -> Floats:
        """What to act on next, float32 [N, ...]."""
        return self._vector.observation

    @property
    def action_mask(self) -> Bools | None:
        """Which actions are allowed next, bool [N, n]; None if the environment does not say."""
        return self._vector.action_mask

    def step(self, action: npt.NDArray[Any]) -> GymOutcome:
        """One step of every row; rows whose episode ends begin the next one.

        Args:
            action: integers [N] or floats [N, ...]; the latter are clipped to the action space.

        Raises:
            SlipwayError: if the environment fails, or gives numbers that are not finite.
        """
        sent = self._vector.legal(action)
        step = self._vector.step(sent)
        final_mask = None if self.action_mask is None else self.action_mask.copy()
        self._actions.append(sent.copy())
        self._steps += 1
        ended = step.terminated | step.truncated
        if ended.any():
            self._episode[ended] += 1
            self._steps[ended] = 0
            self._begin(ended)
            while len(self._actions) > self._steps.max():
                self._actions.popleft()
        return GymOutcome(*step, final_mask)

    def snapshot(self) -> dict[str, npt.NDArray[Any]]:
        """Everything that decides the future, as arrays.

        `episode` and `steps` int64 [N]; `actions` [T, N, ...], of which row i needs the last `steps[i]`; `observation`
        float32 [N, ...], to compare with.
        """
        shape = (0, self.num_envs, *self._vector.action_shape)
        return {
            "episode": self._episode.copy(),
            "steps": self._steps.copy(),
            "actions": np.stack(self._actions) if self._actions else np.zeros(shape, self.action_space.dtype),
            "observation": self.observation.copy(),
        }

    def restore(self, snapshot: Mapping[str, npt.NDArray[Any]], *, exact: bool = True) -> None:
        """Go on from a snapshot: reset every row with its episode's seed, replay its actions, compare observations.

        Args:
            snapshot: from a source of the same environment, seed and number of rows.
            exact: raise if a row does not come to the same observation; else such rows begin their next episode.

        Raises:
            SlipwayError: if the snapshot is another source's, or a row's observation is not the same bits.
        """
        if set(snapshot) != {"episode", "steps", "actions", "observation"} or (
            snapshot["observation"].shape != self.observation.shape
            or snapshot["actions"].shape[1:] != (self.num_envs, *self._vector.action_shape)
            or len(snapshot["actions"]) < snapshot["steps"].max()
        ):
            raise SlipwayError(f"the saved state is not one of {self.num_envs} environments {self.env_id}")
        self._episode, self._steps = snapshot["episode"].copy(), snapshot["steps"].copy()
        self._actions = collections.deque(action.copy() for action in snapshot["actions"])
        broken = self._replay()
        same = self.observation.view(np.int32) == snapshot["observation"].view(np.int32)
        differing = broken | ~same.reshape(self.num_envs, -1).all(1)
        if not differing.any():
            return
        if exact:
            rows = ", ".join(map(str, np.flatnonzero(differing)[:8]))
            raise SlipwayError(
                f"{self.env_id} does not come to the same observation again from the same seed and actions"
                f" (environments {rows}), so it cannot be resumed exactly: its `reset(seed=...)` leaves some"
                " randomness or state as it was"
            )
        self._episode[differing] += 1
        self._steps[differing] = 0
        self._begin(differing)

    def close(self) -> None:
        """End the environments."""
        self._vector.close()

    def _begin(self, rows: Bools) -> None:
        self._vector.reset(rows, [self._episode_seed(row) for row in np.flatnonzero(rows)])

    def _episode_seed(self, row: int) -> int:
        """The seed of a row's present episode, inside the split's range (`envs.seeding`)."""
        mixed = np.random.SeedSequence([self._seed, int(row), int(self._episode[row])]).generate_state(1)[0]
        return int(mixed) % TRAINING_SEEDS + self._split * TRAINING_SEEDS

    def _replay(self) -> Bools:
        """Bring every row where its actions lead; true [N] where an episode ended that had not ended before.

        A vector steps all of its rows at once. So rows start one by one, each when as many actions are left as it has
        made; until then a row takes any allowed action, and what it does is thrown away by its reset.
        """
        broken = np.zeros(self.num_envs, np.bool_)
        self._begin(~broken)
        count = len(self._actions)
        for number, action in enumerate(self._actions):
            left = count - number
            starting = self._steps == left
            if starting.any() and number:
                self._begin(starting)
            step = self._vector.step(self._with_allowed(action, self._steps < left))
            ended = step.terminated | step.truncated
            broken |= ended & (self._steps >= left)
            if ended.any():
                self._begin(ended)
        waiting = self._steps == 0
        if waiting.any() and count:
            self._begin(waiting)
        return broken

    def _with_allowed(self, action: npt.NDArray[Any], rows: Bools) -> npt.NDArray[Any]:
        """The actions, but on some rows one that the environment's mask allows."""
        if self.action_mask is None or not isinstance(self.action_space, spaces.Discrete):
            return action
        return np.where(rows, self.action_mask.argmax(1) + self.action_space.start, action)
