"""TensorBoard event files, written with TensorBoard's own records and messages but without TensorFlow."""

import os
import time
from collections.abc import Mapping
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event, SessionLog, SourceMetadata
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from trainer.metrics import catalogue
from trainer.metrics.sinks.appending import AppendingFile


class TensorBoardSink:
    """Writes scalars tagged `group/name`, with environment steps as TensorBoard's step.

    The file is opened at the first row, so a disk that is full for a while costs rows, not the sink. TensorBoard's
    own `EventFileWriter` is not used: it writes in a thread of its own, where a full disk goes unseen and what
    follows a half-written record cannot be read.

    Args:
        folder: the event files' folder; it is made if missing. Each opening adds a file.
        resume_step: the step of the checkpoint that the run goes on from: TensorBoard then forgets what earlier files
            say of later steps. 0 for a run that starts.
    """

    def __init__(self, folder: str | os.PathLike[str], resume_step: int = 0) -> None:
        self.folder = Path(folder)
        self._resume_step = resume_step
        self._file: AppendingFile | None = None

    def write(self, row: Mapping[str, float], step: int, wall_time_seconds: float) -> None:
        """Write a row as one event; TensorBoard's own clock is Unix time, so `wall_time_seconds` is not used.

        Raises:
            OSError: if the disk is full or fails; what was written of the row is taken back.
        """
        del wall_time_seconds
        values = [
            Summary.Value(tag=catalogue.parse(key).tag, simple_value=float(row[key])) for key in catalogue.in_order(row)
        ]
        file = self._opened()
        _append(file, Event(wall_time=time.time(), step=int(step), summary=Summary(value=values)))

    def flush(self) -> None:
        """Nothing to do: rows go to the file as they come."""

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()

    def _opened(self) -> AppendingFile:
        if self._file is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            path = self.folder / _next_name(self.folder)
            file = AppendingFile(path)
            try:
                _append(
                    file,
                    Event(
                        wall_time=time.time(),
                        file_version="brain.Event:2",
                        source_metadata=SourceMetadata(writer="slipway"),
                    ),
                )
                # A session's start makes TensorBoard drop what older files hold from that step on.
                start = SessionLog(status=SessionLog.START)
                _append(file, Event(wall_time=time.time(), step=self._resume_step + 1, session_log=start))
            except OSError:
                file.close()
                path.unlink()
                raise
            self._file = file
        return self._file


def _append(file: AppendingFile, event: Event) -> None:
    RecordWriter(file).write(event.SerializeToString())


def _next_name(folder: Path) -> str:
    """A name after all others in the folder: TensorBoard reads event files in the order of their names."""
    stamps = [int(path.name.split(".")[3]) for path in folder.glob("events.out.tfevents.*.slipway")]
    return f"events.out.tfevents.{max([int(time.time()), *(stamp + 1 for stamp in stamps)]):010d}.slipway"
