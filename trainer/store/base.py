"""What every store of runs offers."""

import abc
from pathlib import Path
from typing import Protocol

from trainer.run.status import State
from trainer.store.objects.base import Sent
from trainer.store.told import Told, unheard
from trainer.store.verified import Verified


class Hold(Protocol):
    """A run that this process alone writes to. Its methods are called from one thread, the training's."""

    def snapshot(self, step: int) -> None:
        """Keep the run as it is now, just after a checkpoint was saved. Returns at once.

        Args:
            step: environment steps that it stands for.

        Raises:
            SlipwayError: if the disk is full or fails.
        """
        ...

    def safe_at(self) -> float | None:
        """Unix time at which the newest snapshot was taken that the store holds; None if it holds none of this hold."""
        ...

    def check(self) -> None:
        """Find out whether the run may go on; it costs nothing.

        Raises:
            Superseded: if another process took the run over.
        """
        ...

    def close(self, state: State) -> None:
        """Bring all to the store, and let go of the run.

        Args:
            state: the run's.

        Raises:
            Superseded: if another process took the run over.
            SlipwayError: if it could not be done; the run's folder still has it.
        """
        ...

    def abandon(self) -> None:
        """Let go of the run as it is, at once."""
        ...


class Store(abc.ABC):
    """A place that holds runs by id.

    A run always works in a folder of this machine (`folder`); a store that is elsewhere mirrors it.

    Attributes:
        uri: as people write it.
        is_shared: whether other machines may write to its runs, and tell each other by the store alone.
    """

    uri: str
    is_shared: bool

    @abc.abstractmethod
    def check_writable(self) -> None:
        """Find out whether a run could be written here, leaving nothing behind.

        Raises:
            BadInput: if it could not.
        """

    @abc.abstractmethod
    def free_bytes(self) -> int | None:
        """Space that is left; None if the store has no limit that it knows."""

    @abc.abstractmethod
    def run_ids(self) -> list[str]:
        """All runs and groups of runs, sorted.

        Raises:
            BadInput: if the store cannot be read.
        """

    @abc.abstractmethod
    def holds(self, run_id: str) -> bool:
        """Whether a run or a group of runs of this id is here.

        Raises:
            BadInput: if the store cannot be read.
        """

    @abc.abstractmethod
    def check_free(self, run_id: str) -> None:
        """Find out whether a run of this id could be made.

        Raises:
            BadInput: if there is something of that name already.
        """

    @abc.abstractmethod
    def folder(self, run_id: str) -> Path:
        """The folder of this machine that a run is worked on in, whether or not it is there."""

    @abc.abstractmethod
    def begin(self, run_id: str, told: Told) -> Hold:
        """Hold a run that was just made in its folder.

        Args:
            run_id: the run's, or the group's.
            told: who is told what.

        Raises:
            BadInput: if another process was faster.
        """

    @abc.abstractmethod
    def take(self, run_id: str, told: Told, *, take_over: bool = False) -> Hold:
        """Hold a run that is here; its folder is then the run.

        Args:
            run_id: the run's, or the group's.
            told: who is told what.
            take_over: do not ask whether the machine that held it last still lives.

        Raises:
            BadInput: if there is no such run, or another machine writes to it.
        """

    @abc.abstractmethod
    def settle(self, run_id: str, told: Told) -> bool:
        """Complete the end of a finished run whose machine vanished between its last commit and letting go.

        Args:
            run_id: the run's, or the group's.
            told: who is told what.

        Returns:
            Whether anything was left to do.
        """

    @abc.abstractmethod
    def fetch(self, run_id: str, received: Sent = unheard) -> Path:
        """A folder with a run, or a run of a group, for those who read it.

        Args:
            run_id: the run's, or the group's.
            received: told how many more bytes have come.

        Raises:
            BadInput: if there is no such run.
        """

    @abc.abstractmethod
    def pull(self, run_id: str, folder: Path, received: Sent = unheard) -> None:
        """Make a new run directory of a run; it appears whole.

        Args:
            run_id: the run's, or the group's.
            folder: the new directory.
            received: told how many more bytes have come.

        Raises:
            BadInput: if there is no such run, or something at `folder`.
        """

    @abc.abstractmethod
    def push(self, run_id: str, folder: Path, sent: Sent = unheard) -> None:
        """Make a run here of a run directory, which stays; it appears whole.

        Args:
            run_id: the run's id here.
            folder: the run's, or the group's.
            sent: told how many more bytes have gone.

        Raises:
            BadInput: if there is something of that name already, or a process writes to the folder.
        """

    @abc.abstractmethod
    def verify(self, run_id: str) -> Verified:
        """Read all that a run is made of, and compare it with its checksums.

        Raises:
            BadInput: if there is no such run.
        """

    @abc.abstractmethod
    def read_file(self, run_id: str, path: str) -> bytes:
        """A file of a run; nothing if it has none.

        Args:
            run_id: the run's.
            path: in its directory.

        Raises:
            BadInput: if there is no such run.
            SlipwayError: if it cannot be read.
        """

    @abc.abstractmethod
    def glance(self, run_id: str) -> Path:
        """A folder with what `slipway runs` shows of a run: its small files, and the names of its checkpoints.

        Raises:
            BadInput: if there is no such run.
        """
