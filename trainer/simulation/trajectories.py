"""Trajectories as a Parquet file: a row for each step, written a chunk of episodes at a time."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import parquet

from trainer.simulation.episodes import Chunk

FORMAT = 1
PREFIX = "slipway."
"""What the file's metadata keys start with."""


def schema(discrete: bool, masked: bool, metadata: Mapping[str, Any]) -> pa.Schema:
    """The file's columns.

    Args:
        discrete: whether actions are numbers of choices; else vectors.
        masked: whether some actions are not always allowed.
        metadata: JSON values, which become metadata of the file under `slipway.NAME`.
    """
    fields = [
        pa.field("episode", pa.int64(), nullable=False),
        pa.field("step", pa.int32(), nullable=False),
        pa.field("seed", pa.int64(), nullable=False),
        pa.field("observation", pa.list_(pa.float32()), nullable=False),
        pa.field("action", pa.int32() if discrete else pa.list_(pa.float32()), nullable=False),
        pa.field("reward", pa.float32(), nullable=False),
        pa.field("score", pa.float32(), nullable=False),
        pa.field("terminated", pa.bool_(), nullable=False),
        pa.field("truncated", pa.bool_(), nullable=False),
        pa.field("final_observation", pa.list_(pa.float32())),
    ]
    if masked:
        fields.append(pa.field("action_mask", pa.list_(pa.bool_()), nullable=False))
    return pa.schema(fields, {PREFIX + name: json.dumps(value) for name, value in metadata.items()})


def table(chunk: Chunk, first_episode: int, columns: pa.Schema) -> pa.Table:
    """A chunk's steps as rows, episode by episode.

    Args:
        chunk: whole episodes.
        first_episode: the number of its first.
        columns: from `schema`.
    """
    count, longest = chunk.reward.shape
    valid = np.arange(longest)[None] < chunk.lengths[:, None]
    steps = np.broadcast_to(np.arange(longest, dtype=np.int32), (count, longest))
    last = steps == chunk.lengths[:, None] - 1

    def rows(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return values[valid]

    arrays = {
        "episode": pa.array(rows(np.broadcast_to(np.arange(count)[:, None] + first_episode, valid.shape))),
        "step": pa.array(rows(steps)),
        "seed": pa.array(rows(np.broadcast_to(np.array(chunk.seeds, np.int64)[:, None], valid.shape))),
        "observation": _lists(rows(chunk.observation), pa.float32()),
        "reward": pa.array(rows(chunk.reward)),
        "score": pa.array(rows(chunk.score)),
        "terminated": pa.array(rows(chunk.terminated)),
        "truncated": pa.array(rows(chunk.truncated)),
        "final_observation": _lists(chunk.final_observation, pa.float32(), present=rows(last)),
    }
    discrete = pa.types.is_integer(columns.field("action").type)
    action = rows(chunk.action)
    arrays["action"] = pa.array(action.astype(np.int32)) if discrete else _lists(action, pa.float32())
    if "action_mask" in columns.names:
        mask = np.ones((count, longest, 1), np.bool_) if chunk.mask is None else chunk.mask
        arrays["action_mask"] = _lists(rows(mask), pa.bool_())
    return pa.table([arrays[name] for name in columns.names], schema=columns)


def _lists(values: npt.NDArray[Any], kind: pa.DataType, present: npt.NDArray[np.bool_] | None = None) -> pa.ListArray:
    """An array's rows as lists; with `present`, its rows in order where that holds, and null elsewhere."""
    flat = values.reshape(len(values), -1)
    lengths = np.full(len(flat), flat.shape[1]) if present is None else present * flat.shape[1]
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    mask = None if present is None else pa.array(~present)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(flat.ravel(), kind), mask=mask)


class Writer:
    """Writes chunks one after the other; a chunk is a row group.

    Args:
        path: the file.
        columns: from `schema`.
    """

    def __init__(self, path: Path, columns: pa.Schema) -> None:
        self._columns, self._episodes = columns, 0
        self._file = parquet.ParquetWriter(path, columns, compression="zstd")

    def write(self, chunk: Chunk) -> None:
        """Append whole episodes."""
        self._file.write_table(table(chunk, self._episodes, self._columns))
        self._episodes += len(chunk.seeds)

    def close(self) -> None:
        """Write the end of the file, without which it cannot be read."""
        self._file.close()
