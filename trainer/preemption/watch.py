"""Asks a cloud's metadata service, beside the training, whether this machine is to go."""

import collections
import threading
from collections.abc import Callable, Sequence
from typing import Protocol

from trainer.config.preemption import Preemption
from trainer.preemption import machine
from trainer.preemption.metadata import Unanswered
from trainer.preemption.notice import Notice, Question

PATIENCE = 3
"""So many faults of a question in a row are told; a service that has never answered is told of at once."""
CLOSE_SECONDS = 1.0
LONGEST_REASON = 200


class Cloud(Protocol):
    """What can be asked of one cloud.

    Attributes:
        service: whom is asked, for people.
        pause_seconds: between two rounds of questions.
        questions: one after another; each may wait some seconds for news.
    """

    service: str
    pause_seconds: float
    questions: Sequence[Question]

    def close(self) -> None:
        """End a question that waits."""
        ...


def choose(settings: Preemption) -> Cloud | None:
    """The cloud to ask; None if there is none to ask.

    Raises:
        ValueError: if the variable with the service's address holds none.
    """
    name = machine.cloud() if settings.watch == "auto" else settings.watch
    if name == "ec2":
        from trainer.preemption.ec2 import EC2

        return EC2(settings.on_rebalance)
    if name == "compute-engine":
        from trainer.preemption.compute_engine import ComputeEngine

        return ComputeEngine()
    return None


class Watch(threading.Thread):
    """A thread of its own that asks until it is closed. Whatever fails in it, the training goes on.

    Args:
        settings: whom to ask.
        heed: is given what the cloud says.
        tell: is told once if it says nothing.
    """

    def __init__(self, settings: Preemption, heed: Callable[[Notice], None], tell: Callable[[str], None]) -> None:
        super().__init__(name="preemption", daemon=True)
        self._settings, self._heed, self._tell = settings, heed, tell
        self._ended = threading.Event()
        self._cloud: Cloud | None = None
        self._faults: collections.Counter[Question] = collections.Counter()
        self._answered = self._told = False

    def run(self) -> None:
        """Ask; called by `start`."""
        try:
            self._cloud = choose(self._settings)
        except ValueError as error:
            self._tell(f"{error}; training goes on without notices of the cloud")
        while self._cloud is not None and not self._ended.is_set():
            for question in self._cloud.questions:
                if not self._ended.is_set():
                    self._ask(question, self._cloud)
            self._ended.wait(self._cloud.pause_seconds)

    def close(self) -> None:
        """End it, also while it waits for an answer."""
        self._ended.set()
        if self._cloud is not None:
            self._cloud.close()
        self.join(CLOSE_SECONDS)

    def _ask(self, question: Question, cloud: Cloud) -> None:
        try:
            for notice in question():
                self._heed(notice)
        except Exception as error:  # a service that breaks in a way nobody thought of must not end a training
            self._faults[question] += 1
            if not self._ended.is_set():
                self._tell_once(question, cloud, error)
        else:
            self._answered, self._faults[question] = True, 0

    def _tell_once(self, question: Question, cloud: Cloud, error: Exception) -> None:
        if self._told or (self._answered and self._faults[question] < PATIENCE):
            return
        self._told = True
        kind = "" if isinstance(error, OSError | Unanswered) else f"{type(error).__name__}: "
        reason = " ".join(f"{kind}{error}".split())[:LONGEST_REASON]
        self._tell(f"{cloud.service} gives no answer ({reason}); training goes on, and it is asked again")
