"""The frozen-lake task in numbers: maps, slips and where each step leads. Imports no TensorFlow."""

import dataclasses
import functools
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from envs.parameters import parameter

MAPS = {
    "4x4": ("SFFF", "FHFH", "FFFH", "HFFG"),
    "8x8": ("SFFFFFFF", "FFFFFFFF", "FFFHFFFF", "FFFFFHFF", "FFFHFFFF", "FHHFFFHF", "FHFFHFHF", "FFFHFFFG"),
}
"""Rows from the top: S start, F frozen, H hole, G goal."""
MAP_STEPS = {"4x4": 100, "8x8": 200}
"""The episode's length that Gymnasium registers for a map."""
DIRECTIONS = ((0, -1), (1, 0), (0, 1), (-1, 0))
"""Rows down and columns to the right that action 0 (left), 1 (down), 2 (right) and 3 (up) mean."""
TURNS = (-1, 0, 1)
"""What a slip adds to the number of the direction."""


@dataclasses.dataclass(frozen=True)
class Params:
    """Parameters of the frozen-lake task."""

    map: Literal["4x4", "8x8"] = parameter("4x4", "Which lake.", choices=tuple(MAPS))
    success_rate: float = parameter(
        1 / 3, "Probability of going where one wants; else to either side of it. 1: no slips.", 0.0, 1.0
    )
    episode_steps: int = parameter(
        0, "Steps after which an episode is cut; 0: 100 on the small lake, 200 on the large one.", 0, 10**6
    )


class Lake(NamedTuple):
    """A map by cells, which are numbered row by row from the top left; S of them."""

    following: npt.NDArray[
        np.int32
    ]  # [S, 4], the cell that lies in a direction; at the edge, and where it ends, itself
    ends: npt.NDArray[np.bool_]  # [S], holes and the goal
    goal: npt.NDArray[np.bool_]  # [S]
    shape: tuple[int, int]  # rows, columns


@functools.lru_cache
def lake(name: str) -> Lake:
    """The map of a name."""
    letters = np.array([list(row) for row in MAPS[name]])
    rows, columns = letters.shape
    ends = np.isin(letters, ["H", "G"]).ravel()
    row, column = np.divmod(np.arange(rows * columns), columns)
    steps = [
        np.clip(row + down, 0, rows - 1) * columns + np.clip(column + right, 0, columns - 1)
        for down, right in DIRECTIONS
    ]
    following = np.where(ends[:, None], np.arange(rows * columns)[:, None], np.stack(steps, -1)).astype(np.int32)
    return Lake(following, ends, (letters == "G").ravel(), (rows, columns))


def episode_steps(params: Params) -> int:
    """Steps after which an episode is cut."""
    return params.episode_steps or MAP_STEPS[params.map]


def turn_probabilities(params: Params) -> npt.NDArray[np.float64]:
    """Probabilities of `TURNS`, float64 [3]."""
    slip = (1.0 - params.success_rate) / 2
    return np.array([slip, params.success_rate, slip])
