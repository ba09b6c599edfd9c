"""What every store of runs offers."""

import abc
from pathlib import Path


class Store(abc.ABC):
    """A place that holds runs by id.

    A run always works in a folder of this machine (`folder`); a store that is elsewhere mirrors it.

    Attributes:
        uri: as people write it.
    """

    uri: str

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
    def folder(self, run_id: str) -> Path:
        """The folder of this machine that holds a run, whether or not it is there."""
