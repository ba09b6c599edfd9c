"""What is kept of each run of a playbook, in the user's state folder: Ansible's events and output, of the last ones."""

import contextlib
import dataclasses
import datetime as dt
import hashlib
import json
import os
import re
import shutil
from pathlib import Path

from trainer.errors import BadInput, SlipwayError
from trainer.run import files

KEPT = 20
"""How many runs of each kind are kept; the oldest goes first. So looking often does not push out what was changed."""
COUNTS = "tasks.json"


@dataclasses.dataclass(frozen=True)
class Artifacts:
    """A site's folder on this machine.

    Attributes:
        folder: for this user alone.
    """

    folder: Path

    @classmethod
    def of(cls, name: str, inventory: Path, folder: Path | None) -> "Artifacts":
        """The folder of a site.

        Args:
            name: the site's.
            inventory: where its inventory is: two sites may have one name.
            folder: what the operator asked for; None: one in the user's state folder.

        Raises:
            BadInput: if it cannot be written.
        """
        if folder is None:
            import platformdirs

            digest = hashlib.sha256(str(inventory.resolve()).encode()).hexdigest()[:8]
            folder = Path(platformdirs.user_state_dir("slipway")) / "onprem" / f"{name}-{digest}"
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with (folder / "lock").open("a"):
                return cls(folder.resolve())
        except OSError as error:
            allowed = f"a folder that this user may write ({error.strerror})"
            raise BadInput("--artifacts", str(folder), allowed, "write another one as --artifacts") from error

    def make(self, title: str) -> Path:
        """A new folder for one run of a playbook; drops the oldest of those with the same title.

        Raises:
            SlipwayError: if there can be none.
        """
        try:
            return self._make("-".join(title.split()))
        except OSError as error:
            raise SlipwayError(f"cannot write {self.folder}: {error.strerror}") from error

    def _make(self, title: str) -> Path:
        runs = self.folder / "runs"
        runs.mkdir(exist_ok=True, mode=0o700)
        same = re.compile(rf"\d{{8}}-\d{{6}}-\d+-{re.escape(title)}(-\d+)?")
        for old in sorted(each for each in runs.iterdir() if same.fullmatch(each.name))[: -KEPT + 1]:
            shutil.rmtree(old, ignore_errors=True)
        now = dt.datetime.now(dt.UTC).strftime("%Y%m%d-%H%M%S")
        made = runs / f"{now}-{os.getpid()}-{title}"
        number = 0
        while made.exists():
            number += 1
            made = made.with_name(f"{now}-{os.getpid()}-{title}-{number}")
        made.mkdir(mode=0o700)
        return made

    def total(self, key: str) -> int | None:
        """How many tasks a playbook had the last time that it ran to its end."""
        found = self._counts().get(key)
        return found if isinstance(found, int) else None

    def remember(self, key: str, tasks: int) -> None:
        """Keep how many tasks a playbook had; if that cannot be kept, progress has no end to show, and that is all."""
        with contextlib.suppress(SlipwayError):
            files.write_json(self.folder / COUNTS, {**self._counts(), key: tasks})

    def _counts(self) -> dict[str, object]:
        try:
            found = json.loads((self.folder / COUNTS).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}
