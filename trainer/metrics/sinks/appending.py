"""A file that only grows, by whole writes."""

import os
from pathlib import Path


class AppendingFile:
    """Appends bytes so that each write is in the file whole, or not at all.

    Nothing is held back in this process: readers see a write at once, and a crash of the process loses none. Only a
    crash of the machine may tear what `sync` has not made durable.

    Args:
        path: the file; it is made if missing.

    Raises:
        OSError: if it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        new = not path.exists()
        self._file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644), "r+b", buffering=0)
        self.length = os.fstat(self._file.fileno()).st_size
        if new:
            _sync_folder(path.parent)

    def read(self, start: int, length: int) -> bytes:
        """Bytes that are in the file; fewer at its end."""
        return os.pread(self._file.fileno(), length, start)

    def truncate(self, length: int) -> None:
        """Cut the file to a length in bytes; the next write goes there."""
        self._file.truncate(length)
        self.length = length

    def write(self, data: bytes) -> int:
        """Append all of `data`.

        Raises:
            OSError: if the disk is full or fails; what was written of `data` is taken back.
        """
        written = 0
        try:
            while written < len(data):
                written += os.pwrite(self._file.fileno(), data[written:], self.length + written)
        except OSError:
            self._file.truncate(self.length)
            raise
        self.length += written
        return written

    def sync(self) -> None:
        """Make every write durable.

        Raises:
            OSError: if the disk fails.
        """
        os.fsync(self._file.fileno())

    def flush(self) -> None:
        """Nothing to do: no write is held back. Writers of records expect the method."""

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    @property
    def closed(self) -> bool:
        """Whether the file is closed."""
        return self._file.closed


def _sync_folder(folder: Path) -> None:
    """Make a new file's name durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
