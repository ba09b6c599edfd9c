"""`metrics.jsonl`: one JSON object a training iteration; the part of the run's record that resume keeps exact."""

import json
import math
import numbers
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trainer.errors import SlipwayError
from trainer.metrics import catalogue
from trainer.metrics.sinks.appending import AppendingFile


class JsonlSink:
    """Appends rows to a file. Keys come in a fixed order: step, iteration, time, then the catalogue's.

    Numbers that are not finite become null: JSON has no others. A row is whole in the file, or not there at all.

    Args:
        path: the file; it is made if missing.
        keep_bytes: cut the file to this length before appending: 0 for a new run, a checkpoint's `metrics_bytes` on
            resume. None keeps every whole line (a torn last line, left by a crash, goes in any case).

    Raises:
        SlipwayError: if the file is shorter than `keep_bytes` or has no line's end there, or cannot be opened.
    """

    def __init__(self, path: str | os.PathLike[str], keep_bytes: int | None = None) -> None:
        self.path = Path(path)
        try:
            self._file = AppendingFile(self.path)
        except OSError as error:
            raise SlipwayError(f"cannot open {self.path}: {error.strerror}") from error
        try:
            self._file.truncate(self._whole_length() if keep_bytes is None else self._checked(keep_bytes))
        except BaseException:
            self._file.close()
            raise

    def write(self, row: Mapping[str, float], step: int, wall_time_seconds: float) -> None:
        """Append one row and hand it to the operating system (`flush` makes it durable).

        Raises:
            SlipwayError: if the disk is full or fails; what was written of the row is taken back.
        """
        try:
            self._file.write(encode(row, step, wall_time_seconds))
        except OSError as error:
            raise SlipwayError(f"cannot write {self.path}: {error.strerror}") from error

    def flush(self) -> int:
        """Make every row durable.

        Returns:
            The file's length in bytes: what a checkpoint records, to cut the file to on resume.

        Raises:
            SlipwayError: if the disk fails.
        """
        try:
            self._file.sync()
        except OSError as error:
            raise SlipwayError(f"cannot write {self.path}: {error.strerror}") from error
        return self._file.length

    def close(self) -> None:
        """Flush, and close the file."""
        if not self._file.closed:
            try:
                self.flush()
            finally:
                self._file.close()

    def _whole_length(self) -> int:
        """The length up to the last line's end."""
        return self._file.read(0, self._file.length).rfind(b"\n") + 1

    def _checked(self, keep_bytes: int) -> int:
        if keep_bytes > self._file.length:
            raise SlipwayError(
                f"{self.path} has {self._file.length} bytes, but the checkpoint was made when it had {keep_bytes}: "
                "rows are missing"
            )
        if keep_bytes and self._file.read(keep_bytes - 1, 1) != b"\n":
            raise SlipwayError(f"{self.path} has no end of a line at byte {keep_bytes}, where the checkpoint ends")
        return keep_bytes


def encode(row: Mapping[str, float], step: int, wall_time_seconds: float) -> bytes:
    """One line of the file.

    Raises:
        UnknownMetricError: if the row has a key that the catalogue has not.
    """
    record: dict[str, int | float | None] = {"step": int(step)}
    if catalogue.ITERATION in row:
        record[catalogue.ITERATION] = int(row[catalogue.ITERATION])
    record["wall_time_seconds"] = _number(wall_time_seconds)
    record.update((key, _number(row[key])) for key in catalogue.in_order(row))
    return json.dumps(record, allow_nan=False, separators=(",", ":")).encode() + b"\n"


def read(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """The rows of a file, oldest first, with null as NaN; a torn last line is left out, a missing file has none.

    Raises:
        SlipwayError: if a whole line is not a JSON object.
    """
    try:
        *lines, _torn = Path(path).read_bytes().split(b"\n")
    except FileNotFoundError:
        return []
    rows = []
    for number, line in enumerate(lines, start=1):
        try:
            row = json.loads(line)
            rows.append({key: math.nan if value is None else value for key, value in row.items()})
        except (ValueError, AttributeError) as error:
            raise SlipwayError(f"{path}, line {number}, is not a row of metrics: {error}") from error
    return rows


def _number(value: float) -> int | float | None:
    if isinstance(value, numbers.Integral):
        return int(value)
    value = float(value)
    return value if math.isfinite(value) else None
