"""Whole episodes of any Gymnasium environment, some side by side."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from envs import seeding
from trainer.errors import BadInput, SlipwayError
from trainer.evaluation.gym_episodes import MOST_ROWS, MOST_STEPS
from trainer.policy import AnyPolicy, ask, begin, forget
from trainer.rollout.gym_vector import PREFIX, GymVector
from trainer.simulation.episodes import Chunk


class GymRecorder:
    """Plays episodes of a policy on a Gymnasium environment and records them.

    Args:
        make: gives N copies of the environment.
        policy: from observations to actions.
    """

    def __init__(self, make: Callable[[int], GymVector], policy: AnyPolicy) -> None:
        self._make, self._policy = make, policy
        self._act = tf.function(lambda memory, *given: ask(policy, memory, *given), autograph=False)

    def __call__(self, seeds: Sequence[int]) -> Iterator[Chunk]:
        """Record an episode for each integer seed, some at a time."""
        rows = min(MOST_ROWS, len(seeds))
        vector = self._make(rows)
        try:
            for start in range(0, len(seeds), rows):
                part = list(seeds[start : start + rows])
                yield self._record(vector, part, part + [part[-1]] * (rows - len(part)))
        finally:
            vector.close()

    def _record(self, vector: GymVector, part: list[int], filled: list[int]) -> Chunk:
        count, limit = len(part), vector.max_episode_steps or MOST_STEPS
        key = seeding.fold(seeding.key_from_seed(0, seeding.split_of(part[0])), part[0] % seeding.SEEDS_PER_SPLIT)
        lengths, steps, step = np.zeros(len(filled), np.int64), [], 0
        vector.reset(np.ones(len(filled), np.bool_), filled)
        final, memory = vector.observation.copy(), begin(self._policy, len(filled))
        while not lengths[:count].all():
            mask = None if vector.action_mask is None else vector.action_mask.copy()
            seen = vector.observation.copy()
            shown = None if mask is None else tf.constant(mask)
            chosen, memory = self._act(memory, tf.constant(seen), shown, seeding.fold(key, step))
            action = vector.legal(chosen.numpy())
            outcome, step = vector.step(action), step + 1
            truncated = outcome.truncated | ((step >= limit) & ~outcome.terminated)
            steps.append((seen, action, outcome.reward, outcome.terminated.copy(), truncated, mask))
            ended = outcome.terminated | truncated
            newly = ended & (lengths == 0)
            lengths[newly], final[newly] = step, outcome.observation[newly]
            if ended.any():  # what has ended plays on uncounted until the last has
                memory = forget(memory, ended)
                vector.reset(ended, [filled[row] for row in np.flatnonzero(ended)])
        observation, action, reward, terminated, truncated = (
            np.stack(column, 1)[:count] for column in list(zip(*steps, strict=True))[:-1]
        )
        masks = [each[-1] for each in steps]
        # A first mask may come late: before it, every action was allowed.
        known = next((mask for mask in masks if mask is not None), None)
        mask = None
        if known is not None:
            mask = np.stack([np.ones_like(known) if each is None else each for each in masks], 1)[:count]
        return Chunk(
            part, lengths[:count], observation, action, reward, reward, terminated, truncated, final[:count], mask
        )


class Camera:
    """Pictures of a Gymnasium environment's episodes, by its own `rgb_array` rendering.

    Args:
        env_id: `gymnasium:ID`.
        parameters: the environment's.

    Attributes:
        frames_per_second: as the environment says; 30 if it does not.

    Raises:
        BadInput: if it draws no pictures here.
    """

    def __init__(self, env_id: str, parameters: Mapping[str, Any]) -> None:
        self._env_id = env_id
        given = {name: value for name, value in parameters.items() if name != "vectorization_mode"}
        try:
            self._env = gymnasium.make(env_id.removeprefix(PREFIX), render_mode="rgb_array", **given)
            self._env.reset(seed=0)
            self._picture()
        except Exception as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            allowed = f"an environment that draws pictures; {env_id} does not here ({reason})"
            raise BadInput("--video", env_id, allowed, "leave --video out, or install what it needs") from None
        self.frames_per_second = int(self._env.metadata.get("render_fps") or 30)

    def __call__(self, seed: int, actions: npt.NDArray[Any]) -> Iterator[npt.NDArray[np.uint8]]:
        """The episode's pictures: of its first state, and after each action."""
        self._env.reset(seed=seed)
        yield self._picture()
        discrete = isinstance(self._env.action_space, gymnasium.spaces.Discrete)
        for action in actions:
            self._env.step(int(action) if discrete else action)
            yield self._picture()

    def close(self) -> None:
        """End the environment."""
        self._env.close()

    def _picture(self) -> npt.NDArray[np.uint8]:
        shown: Any = self._env.render()
        found = np.asarray(shown)
        if found.ndim != 3 or found.shape[2] != 3 or found.dtype != np.uint8:
            raise SlipwayError(f"{self._env_id} draws no RGB picture")
        return found
