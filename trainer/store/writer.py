"""What the holder of a run does in the store: one step at a time, each of which may be tried again."""

import contextlib
import math
import re
import threading
import time
from collections.abc import Callable, Iterator

from trainer.errors import SlipwayError
from trainer.run.directory import STATUS
from trainer.store import tables
from trainer.store.contents import Contents, Upload, digest
from trainer.store.journal import HEARTBEAT, JOURNAL, OBJECTS, Entry, Files, Journal, Kind
from trainer.store.lease import heartbeat_key
from trainer.store.parallel import WORKERS, each
from trainer.store.snapshot import Snapshot
from trainer.store.told import Sent, unheard

KEPT = 3
"""The newest entries, which are kept with their objects."""
KEPT_SECONDS = 60.0
"""How long an entry is kept after the one that followed it, so that who reads it can end."""
CHECKPOINTS = "checkpoints"
_OBJECT = re.compile(rf"{OBJECTS}/(\d{{12}})/[0-9a-f]{{64}}/[^/]+")


class Abandoned(Exception):
    """The holder has stopped waiting for what is being sent."""


class Writer:
    """One holder's hand in the store. Not to be used by several threads at once, `left` and `abandon` apart.

    Args:
        journal: the run's.
        entry: by which the holder took the run; to `begin` one, what that will be, without files.
        workers: uploads at a time.
        kept_seconds: how long an entry is kept after the one that followed it, besides the newest `KEPT`.
        clock: seconds, of a clock that only this process reads.
        sent: told of progress.
    """

    def __init__(
        self,
        journal: Journal,
        entry: Entry,
        *,
        workers: int = WORKERS,
        kept_seconds: float = KEPT_SECONDS,
        clock: Callable[[], float] = time.monotonic,
        sent: Sent = unheard,
    ) -> None:
        self._journal, self._objects = journal, journal.objects
        self._prefix = f"{journal.run_id}/"
        self._taken, self._holder = entry.taken, entry.holder
        self._number, self._entry = entry.taken, entry
        self._entries = {entry.taken: entry}
        """Those of the entries kept at the last sweep, and those made since."""
        self._workers, self._kept_seconds, self._clock = workers, kept_seconds, clock
        self._contents = Contents()
        self._made_at = {entry.taken: clock()}
        """When this holder made its entries, by its own clock."""
        self._doubtful: set[str] = set()
        """Objects whose removal was asked for and not confirmed: it may still happen."""
        self._left, self._lock = 0, threading.Lock()
        self._abandoned, self._heard = threading.Event(), sent

    @property
    def left(self) -> int:
        """Bytes that the present step has yet to send."""
        return self._left

    def abandon(self) -> None:
        """Begin no further upload; what is under way ends."""
        self._abandoned.set()

    def begin(self, snapshot: Snapshot) -> Entry:
        """Make the first entry of a run that is not there yet.

        Raises:
            Superseded: if there is a run of that id now.
            Unreachable, Corrupt: as they say.
        """
        files = self._send(snapshot)
        self._append(0, Entry(Kind.TAKEN, self._holder, self._taken, files, snapshot.step))
        return self._entry

    def commit(self, snapshot: Snapshot) -> int:
        """Send what the last entry does not name, and append an entry that names it all.

        Returns:
            The entry's number.

        Raises:
            Superseded: if somebody else has the run now.
            Unreachable, Corrupt: as they say; the step may be tried again.
            Abandoned: after `abandon`.
            SlipwayError, OSError: if the local files fail.
        """
        files = self._send(snapshot)
        if files == self._entry.files:
            return self._number  # all of it is there already
        return self._append(self._number, Entry(Kind.COMMIT, self._holder, self._taken, files, snapshot.step))

    def publish(self, snapshot: Snapshot) -> None:
        """Lay the files of the last entry, all but checkpoints, out under their own names, and its rows in the tables.

        It is a copy for reading: the journal is the run. Before each file it is asked whether the run is still held, so
        a holder that was paused writes at most those over a later one's that it was sending then.

        Raises:
            Superseded: if somebody else has the run now.
            Unreachable, Corrupt, Abandoned: as they say; the step may be tried again.
        """
        files = self._entry.files
        self._upload(
            [
                Upload(path, held.path, held.bytes, files[path].sha256)
                for path, held in snapshot.files.items()
                if is_published(path)
            ],
            self._check_held,
        )
        self._upload(list(self._rows(snapshot)), self._check_held, prefix="")

    def _rows(self, snapshot: Snapshot) -> Iterator[Upload]:
        """The run's rows in the store's tables, or those of a group's runs; what is no run of this version has none."""
        for path in snapshot.files:
            *member, name = path.split("/")
            if name != STATUS:
                continue
            run_id, folder = "/".join([self._journal.run_id, *member]), snapshot.folder.joinpath(tables.FOLDER, *member)
            folder.mkdir(parents=True, exist_ok=True)

            def read(name: str, member: list[str] = member) -> bytes:
                held = snapshot.files.get("/".join([*member, name]))
                return held.path.read_bytes()[: held.bytes] if held else b""

            with contextlib.suppress(tables.NoRows):
                for table, file in tables.write(run_id, read, folder).items():
                    yield Upload(tables.key(table, run_id), file, file.stat().st_size, digest(file))

    def _check_held(self) -> None:
        self._journal.check_held(self._holder, self._number)

    def release(self, snapshot: Snapshot, state: str) -> int:
        """Send what the last entry does not name, and append an entry that says that nobody holds the run.

        Returns:
            The entry's number.

        Raises:
            Superseded, Unreachable, Corrupt, Abandoned, SlipwayError, OSError: as by `commit`.
        """
        files = self._send(snapshot)
        return self._append(self._number, Entry(Kind.RELEASED, self._holder, self._taken, files, snapshot.step, state))

    def sweep(self) -> None:
        """Remove entries beyond those that are kept, and what no kept one names; one too many does no harm.

        Objects of later holders are never touched. Those of this holder and of earlier ones that a later entry names
        are named by each entry between, so it does not matter how old the list of entries is when they are removed.
        """
        try:
            numbers = self._journal.numbers()
            if not numbers:
                return
            kept = {number for number in numbers if number in numbers[-KEPT:] or self._is_fresh(number)}
            self._entries = {number: self._entries.get(number) or self._journal.read(number) for number in sorted(kept)}
            self._objects.delete(self._journal.key(number) for number in numbers if number not in kept)
            self._remove_objects()
            self._remove_heartbeats()
        except SlipwayError:
            return  # somebody else sweeps, or the next commit will
        self._made_at = {number: at for number, at in self._made_at.items() if number >= min(kept)}

    def _is_fresh(self, number: int) -> bool:
        """Whether the entry that followed one was made a moment ago, as far as this holder can tell."""
        followed = min((at for made, at in self._made_at.items() if made > number), default=self._clock())
        return self._clock() - followed < self._kept_seconds

    def _remove_objects(self) -> None:
        """Remove what none of the kept entries names."""
        named = {key for entry in self._entries.values() for key in entry.object_keys()}
        prefix = f"{self._prefix}{OBJECTS}/"
        found = [described.key.removeprefix(self._prefix) for described in self._objects.keys(prefix)]
        unnamed = [key for key in found if key not in named and made_by(key) <= self._taken]
        try:
            self._objects.delete(f"{self._prefix}{key}" for key in unnamed)
        except SlipwayError:
            self._doubtful.update(unnamed)
            raise

    def _remove_heartbeats(self) -> None:
        """Remove those of holders before this one."""
        found = [described.key for described in self._objects.keys(f"{self._prefix}{HEARTBEAT}/")]
        before = heartbeat_key(self._journal.run_id, self._taken)
        self._objects.delete(key for key in found if key < before)

    def _append(self, after: int, entry: Entry) -> int:
        number = self._journal.append(after, entry)
        self._number, self._entry = number, entry
        self._entries[number] = entry
        self._made_at[number] = self._clock()
        return number

    def _send(self, snapshot: Snapshot) -> Files:
        """Upload what the last entry does not name.

        Returns:
            The snapshot as objects, all of which are there.
        """
        files, uploads = self._contents.plan(snapshot, self._entry.files, self._place)
        self._upload(uploads)
        return files

    def _place(self, sha256: str, name: str) -> str:
        """A new object's key. One whose removal may still happen is left alone."""
        key = f"{OBJECTS}/{self._taken:012d}/{sha256}/{name}"
        while key in self._doubtful:
            key += "+"
        return key

    def _upload(self, uploads: list[Upload], check: Callable[[], None] = unheard, *, prefix: str | None = None) -> None:
        """Send files, those that can be at once.

        Args:
            uploads: what to send.
            check: called before each.
            prefix: what their keys are relative to; None: the run.
        """
        within = self._prefix if prefix is None else prefix
        self._left = sum(upload.bytes for upload in uploads)

        def one(upload: Upload) -> None:
            if self._abandoned.is_set():
                raise Abandoned
            check()
            self._objects.upload(f"{within}{upload.key}", upload.path, upload.sha256, self._sent)

        try:
            each(one, uploads, self._workers)
        finally:
            self._left = 0

    def _sent(self, count: int) -> None:
        with self._lock:
            self._left -= count
        self._heard(count)


def is_published(path: str) -> bool:
    """Whether a file of a finished run is laid out under its own name."""
    parts = path.split("/")
    return CHECKPOINTS not in parts[:-1] and parts[0] not in (JOURNAL, OBJECTS, HEARTBEAT)


def made_by(key: str) -> float:
    """The number of the holder that made an object, by its key relative to the run; infinite if no holder did."""
    match = _OBJECT.fullmatch(key)
    return int(match[1]) if match else math.inf
