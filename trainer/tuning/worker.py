"""A process that trains trials, one after another, for the process that holds the study.

What is sent over the connection, as pairs of a word and its content:

- from the worker: `("ready", score)`, the task's words for its score; then for each trial `("score", (part, score))`,
  each answered by whether to go on, and `("end", (outcome, score or None, message))`.
- to the worker: the folder of a trial's run, or None to end.

A worker ends with the process that started it, however that one ends: another may be waiting for its trial.
"""

import contextlib
import dataclasses
import os
import shutil
import signal
import threading
from multiprocessing.connection import Connection
from pathlib import Path

from trainer import backend
from trainer.config.models import RunFile
from trainer.errors import SlipwayError
from trainer.run.directory import RunDirectory
from trainer.tuning.outcome import Outcome


def main(connection: Connection, lifeline: Connection, run_file: RunFile, threads: int) -> None:
    """What the process runs.

    Args:
        connection: to the process that holds the study.
        lifeline: nothing is ever sent here; it ends when that process does.
        run_file: any trial's, to know the task.
        threads: processors for TensorFlow.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # between trials; within one, the training heeds it
    threading.Thread(target=_end_with, args=(lifeline,), daemon=True).start()
    backend.prepare()
    import tensorflow as tf

    from trainer.target import Target

    tf.get_logger().setLevel("ERROR")  # each trial is traced anew, which TensorFlow would warn of
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    connection.send(("ready", dataclasses.asdict(Target.of(run_file).score)))
    with contextlib.suppress(EOFError):
        while (folder := connection.recv()) is not None:
            connection.send(("end", _train(Path(folder), connection)))


def _train(folder: Path, connection: Connection) -> tuple[Outcome, float | None, str]:
    from trainer.loop import End
    from trainer.tuning.trial import Trial

    def report(part: int, score: float) -> bool:
        connection.send(("score", (part, score)))
        return bool(connection.recv())

    directory = RunDirectory.open(folder)
    with directory.lock():
        try:
            trial = Trial(directory, directory.run_file(), report)
            try:
                end = trial.run()
            finally:
                trial.close()
        except (EOFError, BrokenPipeError):
            raise
        except Exception as error:
            # Whatever breaks with some hyperparameters is a result about them; the study goes on.
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            return (
                Outcome.FAILED,
                None,
                reason if isinstance(error, SlipwayError) else f"{type(error).__name__}: {reason}",
            )
    if end is End.PREEMPTED:
        return Outcome.PREEMPTED, None, ""
    # The study has the scores and the run its record; the states of many trainings would fill a disk.
    shutil.rmtree(directory.checkpoints, ignore_errors=True)
    if end is End.FINISHED:
        return Outcome.COMPLETE, trial.score, ""
    message = directory.status().message
    return (Outcome.PRUNED, None, message) if trial.pruned else (Outcome.FAILED, None, message)


def _end_with(lifeline: Connection) -> None:
    with contextlib.suppress(EOFError, OSError):
        lifeline.recv()
    os._exit(1)
