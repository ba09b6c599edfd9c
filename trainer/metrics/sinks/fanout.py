"""One row to many sinks: the record must take it, the watchers may fail."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path

from trainer.metrics.catalogue import sample_key
from trainer.metrics.sinks.base import Sink
from trainer.metrics.sinks.jsonl import JsonlSink

LONGEST_PAUSE_ROWS = 256
LOST = "rl_sink_dropped_records_total"


@dataclasses.dataclass
class Watcher:
    """A sink that may fail, and how it fares."""

    name: str
    sink: Sink
    failures: int = 0
    """Calls that raised."""
    dropped: int = 0
    """Rows that it did not take."""
    _in_a_row: int = 0
    _pause_rows: int = 0

    @property
    def lost(self) -> int:
        """Rows that it did not take, and what it lost itself on the way to a service."""
        return self.dropped + int(getattr(self.sink, "dropped", 0))

    def write(self, row: Mapping[str, float], step: int, wall_time_seconds: float) -> Exception | None:
        """Offer a row; after a failure, leave out 1, 2, 4, ... rows before the next try.

        Returns:
            What went wrong, if it did.
        """
        if self._pause_rows:
            self._pause_rows -= 1
            self.dropped += 1
            return None
        error = self._guard(lambda: self.sink.write(row, step, wall_time_seconds))
        if error is None:
            self._in_a_row = 0
            return None
        self.dropped += 1
        self._pause_rows = min(2**self._in_a_row, LONGEST_PAUSE_ROWS)
        self._in_a_row = min(self._in_a_row + 1, LONGEST_PAUSE_ROWS)
        return error

    def flush(self) -> Exception | None:
        """Flush; what went wrong, if it did."""
        return self._guard(self.sink.flush)

    def close(self) -> Exception | None:
        """Close; what went wrong, if it did."""
        return self._guard(self.sink.close)

    def _guard(self, call: Callable[[], object]) -> Exception | None:
        try:
            call()
        except Exception as error:  # a watcher's fault of any kind must not stop the training
            self.failures += 1
            return error
        return None


class SinkSet:
    """Hands each row to the record, then to the watchers; what watchers have lost is part of it.

    The record's errors pass on: a run without its record is no run. A watcher's errors are counted, told once, and
    followed by a growing pause.

    Args:
        record: `metrics.jsonl`.
        watchers: the other sinks, by the name that messages use.
        tell: takes a message for people.
    """

    def __init__(self, record: JsonlSink, watchers: Mapping[str, Sink], tell: Callable[[str], None]) -> None:
        self.record = record
        self.watchers = [Watcher(name, sink) for name, sink in watchers.items()]
        self._tell = tell

    def write(self, row: Mapping[str, float], step: int, wall_time_seconds: float) -> None:
        """Take a row (`trainer.metrics.sinks.base.Sink.write`).

        Raises:
            SlipwayError: if the record cannot be written.
            UnknownMetricError: if the row has a key that the catalogue has not; no sink then has the row.
        """
        lost = {sample_key(LOST, sink=watcher.name): watcher.lost for watcher in self.watchers if watcher.lost}
        row = {**row, **lost}
        self.record.write(row, step, wall_time_seconds)
        for watcher in self.watchers:
            self._report(watcher, watcher.write(row, step, wall_time_seconds))

    def flush(self) -> int:
        """Flush all sinks.

        Returns:
            The record's length in bytes, durable: a checkpoint's `metrics_bytes`.

        Raises:
            SlipwayError: if the record cannot be written.
        """
        for watcher in self.watchers:
            self._report(watcher, watcher.flush())
        return self.record.flush()

    def close(self) -> None:
        """Close all sinks, the record last; say how many rows each watcher missed.

        Raises:
            SlipwayError: if the record cannot be written.
        """
        for watcher in self.watchers:
            self._report(watcher, watcher.close())
            if watcher.dropped:
                self._tell(f"{watcher.name} missed {watcher.dropped} rows; {self.record.path.name} has them all")
            if late := watcher.lost - watcher.dropped:
                self._tell(f"{watcher.name} missed {late} points; {self.record.path.name} has all rows")
        self.record.close()

    def _report(self, watcher: Watcher, error: Exception | None) -> None:
        if error is not None and watcher.failures == 1:
            self._tell(f"{watcher.name} fails ({error}); training goes on, and it is tried again now and then")


def open_sinks(
    run_folder: Path,
    tell: Callable[[str], None],
    *,
    keep_bytes: int = 0,
    resume_step: int = 0,
    tensorboard: bool = True,
    others: Mapping[str, Sink] | None = None,
) -> SinkSet:
    """The sinks of a run.

    Args:
        run_folder: the run directory; gets `metrics.jsonl` and `events/`.
        tell: takes a message for people.
        keep_bytes: the checkpoint's `metrics_bytes`; 0 for a new run.
        resume_step: the checkpoint's environment steps; 0 for a new run.
        tensorboard: whether to write event files.
        others: further watchers by name, such as a `PrometheusSink`; it is made by the caller, before the run
            directory, because a taken port is bad input.

    Raises:
        SlipwayError: if `metrics.jsonl` cannot be opened or is shorter than `keep_bytes`.
    """
    watchers: dict[str, Sink] = {}
    record = JsonlSink(run_folder / "metrics.jsonl", keep_bytes)
    if tensorboard:
        from trainer.metrics.sinks.tensorboard import TensorBoardSink

        watchers["TensorBoard"] = TensorBoardSink(run_folder / "events", resume_step)
    return SinkSet(record, {**watchers, **(others or {})}, tell)
