"""Works through a study: hands trials to worker processes, takes their scores, decides what is pruned.

This process alone writes to the study; it trains nothing and imports no TensorFlow.
"""

import contextlib
import dataclasses
import multiprocessing
import os
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection, wait
from typing import Any, Protocol

from trainer.config.models import RunFile
from trainer.errors import SlipwayError
from trainer.preemption import Preemption
from trainer.tuning import worker
from trainer.tuning.outcome import Outcome
from trainer.tuning.study import Drawn, Record, Study

POLL_SECONDS = 0.5
STOP_SECONDS = 60.0
"""How long workers may take to save what they train."""
TRIALS_OF_A_WORKER = 20
"""After so many a worker gives way to a new one: TensorFlow keeps some 70 MB of each graph that it ever compiled."""
LIVES = 3
"""So many deaths in a row before a worker has begun a trial end the study: something else is wrong."""


class Watcher(Protocol):
    """What is told how a study gets on."""

    def __call__(self, record: Record | None) -> None:
        """A trial has ended, or (None) some time has gone by."""
        ...


@dataclasses.dataclass
class _Worker:
    """A worker process, and what it trains."""

    process: Any
    connection: Connection
    lifeline: Connection
    is_ready: bool = False
    trial: Drawn | None = None
    ended: int = 0


class Workers:
    """Worker processes that are started when they are wanted.

    Args:
        run_file: any trial's.
        count: how many at most.
    """

    def __init__(self, run_file: RunFile, count: int) -> None:
        self._context = multiprocessing.get_context("spawn")
        self._run_file, self.count, self._deaths = run_file, count, 0
        self.score: dict[str, Any] | None = None
        self._all: list[_Worker] = []

    def start(self) -> None:
        """Start as many as there should be."""
        while len(self._all) < self.count:
            ours, theirs = self._context.Pipe()
            end, lifeline = self._context.Pipe(duplex=False)
            threads = max(1, len(os.sched_getaffinity(0)) // self.count)
            arguments = (theirs, end, self._run_file, threads)
            process = self._context.Process(target=worker.main, args=arguments, daemon=True)
            process.start()
            theirs.close()
            end.close()
            self._all.append(_Worker(process, ours, lifeline))

    def first_score(self) -> dict[str, Any]:
        """The task's words for its score, as the first worker says it.

        Raises:
            SlipwayError: if no worker comes up.
            KeyboardInterrupt: if a signal comes first.
        """
        with Preemption() as preemption:
            while self.score is None:
                for _ in self.messages():
                    pass
                if preemption.received is not None:
                    raise KeyboardInterrupt
                self.start()
        return self.score

    def idle(self) -> list[_Worker]:
        """Workers that wait for a trial; those that have had enough are sent home."""
        for each in [each for each in self._all if each.trial is None and each.ended >= TRIALS_OF_A_WORKER]:
            with contextlib.suppress(OSError):
                each.connection.send(None)
            self._all.remove(each)
            each.process.join()
            self._close(each)
        return [each for each in self._all if each.is_ready and each.trial is None]

    def busy(self) -> list[_Worker]:
        """Workers that train."""
        return [each for each in self._all if each.trial is not None]

    def messages(self) -> Iterator[tuple[_Worker, str, Any]]:
        """What workers have said, waiting a moment for it: `score` and `end` (`trainer.tuning.worker`), and `died`.

        Raises:
            SlipwayError: if workers die before they train anything.
        """
        known = {each.connection: each for each in self._all}
        for connection in wait(list(known), POLL_SECONDS):
            each = known[connection]  # type: ignore[index]
            try:
                word, content = each.connection.recv()
            except (EOFError, ConnectionResetError):
                self._bury(each)
                if each.trial is not None:
                    yield each, "died", each.process.exitcode
                continue
            if word == "ready":
                each.is_ready, self.score = True, content
            else:
                self._deaths = 0
                yield each, word, content

    def stop(self) -> None:
        """Ask those that train to save and end, and the others to end; kill what does not."""
        for each in self._all:
            with contextlib.suppress(OSError):
                each.connection.send(None)
            if each.trial is not None:
                each.process.terminate()
        until = time.monotonic() + STOP_SECONDS
        for each in self._all:
            each.process.join(max(0.0, until - time.monotonic()) if each.is_ready else 0.0)
            if each.process.is_alive():
                each.process.kill()
                each.process.join()
            self._close(each)
        self._all.clear()

    def _bury(self, each: _Worker) -> None:
        each.process.join()
        self._close(each)
        self._all.remove(each)
        if each.trial is None:
            self._deaths += 1
            if self._deaths == LIVES:
                raise SlipwayError(
                    f"{LIVES} worker processes ended before they trained anything (exit code {each.process.exitcode})"
                )

    def _close(self, each: _Worker) -> None:
        each.connection.close()
        each.lifeline.close()


def run(study: Study, workers: Workers, trials: int, watch: Watcher) -> bool:
    """Train until a study has so many trials.

    Args:
        study: locked.
        workers: at least one has started.
        trials: how many trials the study should have, with those that it has.
        watch: told of each trial that ends.

    Returns:
        Whether it has them; else a signal stopped it, and it can go on.

    Raises:
        BadInput: if the space has only values that contradict one another.
        SlipwayError: if workers die before they train, or the disk fails.
    """
    study.requeue()
    with Preemption(study.settings.run_file.preemption) as preemption:
        try:
            while preemption.received is None:
                missing = trials - study.counted() - len(workers.busy())
                if missing <= 0 and not workers.busy():
                    return True
                for each in workers.idle()[: max(0, missing)]:
                    each.trial = study.draw()
                    each.connection.send(str(each.trial.folder))
                for each, word, content in workers.messages():
                    _heed(study, each, word, content, watch)
                if workers.busy() or missing > 0:
                    workers.start()
                watch(None)
        finally:
            workers.stop()
    study.requeue()
    return False


def _heed(study: Study, each: _Worker, word: str, content: Any, watch: Watcher) -> None:
    trial = each.trial
    if trial is None:  # it has been told to end, and says so
        return
    if word == "score":
        goes_on = study.report(trial.number, *content)
        with contextlib.suppress(OSError):
            each.connection.send(goes_on)
        return
    each.trial, each.ended = None, each.ended + 1
    if word == "died":
        study.lose(trial.number, crashed=True)
    elif content[0] is Outcome.PREEMPTED:
        study.lose(trial.number)
    else:
        study.end(trial.number, *content)
    watch(next((record for record in study.records() if record.number == trial.number), None))
