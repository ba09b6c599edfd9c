"""A folder of this machine, or a NAS mount."""

import os
import shutil
import tempfile
from pathlib import Path

from trainer.errors import BadInput
from trainer.store.base import Store

MARKS = ("run.yaml", "group.json")
"""What a folder holds that is a run, or a group of runs."""


class LocalStore(Store):
    """Runs in the folders of one folder.

    Args:
        root: it is made with the first run.
        uri: as people wrote it.
    """

    def __init__(self, root: Path, uri: str) -> None:
        self.root, self.uri = root, uri

    @classmethod
    def at(cls, path: str) -> "LocalStore":
        """The store in a folder; `~` is the home folder.

        Raises:
            BadInput: if there is no such home folder.
        """
        try:
            return cls(Path(path).expanduser(), path)
        except RuntimeError:
            raise BadInput("store", path, "a path whose ~ is a home folder", "write the path in full") from None

    def check_writable(self) -> None:
        """Find out whether a run could be written here, leaving nothing behind (`Store.check_writable`).

        A folder is really made: permissions alone do not tell of read-only, full or special file systems.
        """
        cure = "give another folder with --store, or make this one writable"
        try:
            below = next(path for path in (self.root.absolute(), *self.root.absolute().parents) if path.exists())
            if not below.is_dir():
                raise BadInput("store", self.uri, f"a folder; {below} is a file", cure)
            Path(tempfile.mkdtemp(prefix=".slipway-", dir=below)).rmdir()
        except OSError as error:
            allowed = f"a folder that can be written to ({error.strerror})"
            raise BadInput("store", self.uri, allowed, cure) from None

    def free_bytes(self) -> int | None:
        """Space that is left on the file system (`Store.free_bytes`)."""
        below = next(path for path in (self.root.absolute(), *self.root.absolute().parents) if path.exists())
        return shutil.disk_usage(below).free

    def run_ids(self) -> list[str]:
        """All runs and groups, sorted (`Store.run_ids`); a store that is not there yet has none."""
        try:
            with os.scandir(self.root) as entries:
                found = [entry.name for entry in entries if not entry.name.startswith(".") and entry.is_dir()]
        except FileNotFoundError:
            return []
        except OSError as error:
            cure = "give the folder that holds the runs with --store"
            raise BadInput("store", self.uri, f"a folder that can be read ({error.strerror})", cure) from None
        return sorted(name for name in found if any((self.root / name / mark).is_file() for mark in MARKS))

    def folder(self, run_id: str) -> Path:
        """The run's folder (`Store.folder`)."""
        return self.root / run_id
