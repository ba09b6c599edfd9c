"""The files of a run queue, in a folder that several machines mount.

- `entries/RUN_ID/000000.json` is a submission, and each further number a change of it (`states.Change`);
- `ended/RUN_ID@TOKEN/` is the same of one that is over;
- `workers/MACHINE-SLOT.json` changes while that slot's worker lives;
- `drained/HOST.json` says that a host takes nothing new.

Nothing is ever half there, wherever a machine dies: a submission's folder is made aside and renamed, and a change is
written aside and linked to its name, which the server does for one machine alone (RFC 8881, 18.9 and 18.26; what else
this relies on of NFS is told in `store.objects.folder`). A change goes into the folder that was opened and looked at,
whatever it is called by then.
"""

import contextlib
import dataclasses
import errno
import json
import os
import pwd
import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from trainer.errors import MISSING, BadInput, SlipwayError
from trainer.queue.states import Change, Entry, Holder, Senseless, State, Submission, submission_from_json
from trainer.run import files
from trainer.run.directory import make_folder
from trainer.run.status import now

ENTRIES, ENDED, WORKERS, DRAINED = "entries", "ended", "workers", "drained"
_CHANGE = re.compile(r"(\d{6})\.json")
_HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,252}")
_NOT_MOVED = (errno.ENOENT, errno.ENOTEMPTY, errno.EEXIST, errno.EACCES, errno.EPERM)
"""Why an entry that is over stays where it is: somebody has put it away before, or another user has to."""


class Lost(SlipwayError):
    """An entry that somebody else changed meanwhile."""


@dataclasses.dataclass(frozen=True)
class Drained:
    """What a drained host was told.

    Attributes:
        is_now: whether it also puts back what it trains.
        by: who said so.
    """

    is_now: bool
    by: str = ""


class Queue:
    """A run queue.

    Args:
        folder: it must be there: a mount that is missing must not look empty.

    Attributes:
        senseless: what is wrong with entries that this version cannot read, by name; nobody takes them.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.senseless: dict[str, str] = {}

    def check(self, *, write: bool = False) -> None:
        """Find out whether the folder is there.

        Args:
            write: whether it must take files.

        Raises:
            BadInput: if it is not, or does not.
        """
        try:
            with os.scandir(self.folder) as found:
                next(found, None)
            if write:
                self._check_user(self.folder.stat().st_uid)
                Path(tempfile.mkdtemp(prefix=".check-", dir=self.folder)).rmdir()
                for name in (ENTRIES, ENDED, WORKERS, DRAINED):
                    (self.folder / name).mkdir(exist_ok=True)
        except OSError as error:
            access = "read and write" if write else "read"
            allowed = f"the folder of a queue that user {os.geteuid()} may {access} ({error.strerror})"
            cure = f"mount it or make it (mkdir -p {self.folder}), and act as the user that it belongs to"
            raise BadInput("--queue", str(self.folder), allowed, cure) from None

    def _check_user(self, owner: int) -> None:
        """Refuse root where the queue is somebody else's: root may always, and its entries would be in all ways.

        Raises:
            BadInput: if it is so.
        """
        if os.geteuid() == 0 != owner:
            allowed = f"a queue of the user who acts; that is root, and this one belongs to user {_user(owner)}"
            raise BadInput("--queue", str(self.folder), allowed, f"write it after `runuser -u {_user(owner)} --`")

    # -- entries

    def submit(self, submission: Submission) -> Entry:
        """Put an entry at the end of those with its priority.

        Raises:
            BadInput: if there is one of that run which is not over.
            SlipwayError: if the folder does not take it.
        """
        before = self.entries()
        for entry in before:
            if entry.run_id == submission.run_id:
                raise _there(entry.run_id, self.folder)
        submission = dataclasses.replace(
            submission, order=1 + max((entry.submission.order for entry in before), default=0)
        )
        change = Change(State.QUEUED, submission.submitted_at or now())
        said = {**change.to_json(), "submission": dataclasses.asdict(submission)}
        try:
            make_folder(self._open_folder(submission.run_id), {_name(0): files.encode(said)})
        except BadInput:
            # The request before may have been done, and its reply been lost.
            there = self._look(self._open_folder(submission.run_id))
            if there is None or there.submission.token != submission.token:
                raise _there(submission.run_id, self.folder) from None
        return Entry(submission, 0, change)

    def entries(self) -> list[Entry]:
        """The entries that are not over, in the order that they are taken in. Those that are over are put away.

        Raises:
            SlipwayError: if the folder does not answer.
        """
        found = []
        for entry in self._all(ENTRIES):
            if entry.is_over:
                self._put_away(entry)
            else:
                found.append(entry)
        return sorted(found, key=lambda entry: entry.rank)

    def ended(self) -> list[Entry]:
        """The entries that are over, the newest first.

        Raises:
            SlipwayError: if the folder does not answer.
        """
        return sorted(self._all(ENDED), key=lambda entry: entry.change.at, reverse=True)

    def find(self, run_id: str) -> Entry:
        """The entry of a run that is not over.

        Raises:
            BadInput: if there is none.
        """
        for entry in self.entries():
            if entry.run_id == run_id:
                return entry
        allowed = f"a run that is queued or running in {self.folder}"
        raise BadInput("RUN", run_id, allowed, "see `slipway node queue`")

    def newest(self, entry: Entry) -> Entry:
        """The entry as it is now.

        Raises:
            Lost: if it is over, or another submission has its place.
            SlipwayError: if the folder does not answer.
        """
        found = self._look(self._open_folder(entry.run_id))
        if found is None or found.submission.token != entry.submission.token or found.is_over:
            raise Lost(f"{entry.run_id} is over in the queue")
        return found

    def move(self, entry: Entry, state: State, **changes: Any) -> Entry:
        """Take the next step of an entry's life, as the only one.

        Args:
            entry: as it was when it was looked at.
            state: the next one.
            **changes: other attributes of `Change`.

        Returns:
            The entry after that.

        Raises:
            Lost: if somebody else has taken the step.
            SlipwayError: if that state cannot follow, or the folder does not answer.
        """
        change = entry.then(state, now(), **changes)
        moved = Entry(entry.submission, entry.number + 1, change)
        try:
            with _opened(self._open_folder(entry.run_id)) as folder:
                if _submission(folder).token != entry.submission.token:
                    raise Lost(f"{entry.run_id} is over in the queue")
                _create(folder, _name(moved.number), change)
        except FileNotFoundError:
            raise Lost(f"{entry.run_id} is over in the queue") from None
        except OSError as error:
            raise self._silent(error) from error
        if moved.is_over:
            with contextlib.suppress(SlipwayError):  # who looks at the queue next does it
                self._put_away(moved)
        return moved

    # -- workers

    def beat(self, holder: Holder, said: Mapping[str, Any]) -> None:
        """Show that a worker lives, and what it does.

        Raises:
            SlipwayError: if the folder does not take it.
        """
        files.write_json(self._beat_path(holder), {"token": holder.token, **said})

    def sign_of_life(self, holder: Holder) -> bytes | None:
        """What changes while a worker lives; None if there is nothing of that very process."""
        try:
            data = self._beat_path(holder).read_bytes()
            return data if json.loads(data).get("token") == holder.token else None
        except (OSError, ValueError, AttributeError):
            return None

    def workers(self) -> list[dict[str, Any]]:
        """What the workers said last, by machine and slot."""
        found = []
        for name in self._names(WORKERS):
            with contextlib.suppress(SlipwayError):
                said = files.read_json(self.folder / WORKERS / name)
                found.append({key: value for key, value in said.items() if key not in ("token", "beats")})
        return found

    def drain(self, host: str, *, is_now: bool, by: str) -> None:
        """Tell a host's workers to take nothing new.

        Args:
            host: its name.
            is_now: whether they save and put back what they train, too.
            by: who says so.

        Raises:
            BadInput: if that is no host's name.
            SlipwayError: if the folder does not take it.
        """
        files.write_json(self._drained_path(host), {"now": is_now, "by": by, "at": now()})

    def undrain(self, host: str, by: str | None = None) -> bool:
        """Let a host's workers take entries again.

        Args:
            host: its name.
            by: only if that one drained it; None: whoever did.

        Returns:
            Whether they may now.

        Raises:
            BadInput: if that is no host's name.
            SlipwayError: if the folder does not answer.
        """
        path, drained = self._drained_path(host), self.drained(host)
        if by is not None and drained and drained.by != by:
            return False
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise self._silent(error) from error
        return True

    def drained(self, host: str) -> Drained | None:
        """What a host was told; None: nothing.

        Raises:
            SlipwayError: if the folder does not answer.
        """
        if f"{host}.json" not in self._names(DRAINED):
            return None
        try:
            said = files.read_json(self._drained_path(host))
            return Drained(bool(said.get("now")), str(said.get("by", "")))
        except SlipwayError:
            return Drained(False)  # it cannot be read, but it is there

    def drained_hosts(self) -> list[str]:
        """The hosts that take nothing new.

        Raises:
            SlipwayError: if the folder does not answer.
        """
        return [name.removesuffix(".json") for name in self._names(DRAINED)]

    # -- files

    def _names(self, kind: str) -> list[str]:
        try:
            with os.scandir(self.folder / kind) as found:
                return sorted(each.name for each in found if not each.name.startswith("."))
        except FileNotFoundError:
            if self.folder.is_dir():
                return []
            raise SlipwayError(f"the queue {self.folder} is not there: is it mounted?") from None
        except OSError as error:
            raise self._silent(error) from error

    def _open_folder(self, run_id: str) -> Path:
        return self.folder / ENTRIES / run_id

    def _beat_path(self, holder: Holder) -> Path:
        return self.folder / WORKERS / f"{holder.place}.json"

    def _drained_path(self, host: str) -> Path:
        if not _HOST.fullmatch(host):
            raise BadInput("--host", host or MISSING, "a host's name", "write what `hostname` says there")
        return self.folder / DRAINED / f"{host}.json"

    def _all(self, kind: str) -> list[Entry]:
        """The entries of a folder that can be read."""
        found, wrong = [], {}
        for name in self._names(kind):
            try:
                entry = self._look(self.folder / kind / name)
            except Senseless as error:
                wrong[name] = str(error)
            else:
                found += [entry] if entry else []
        self.senseless = wrong
        return found

    def _look(self, path: Path) -> Entry | None:
        """The entry in a folder; None if there is none any more."""
        try:
            with _opened(path) as folder:
                submission = _submission(folder)
                if path.name.partition("@")[0] != submission.run_id:
                    raise Senseless(f"an entry of the queue is of run {submission.run_id}, and its folder is not")
                number = max(_numbers(folder))
                return Entry(submission, number, Change.from_json(_read(folder, _name(number))))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except PermissionError as error:  # of this entry alone: the others have their order without it
            raise Senseless(f"an entry of the queue may not be read: {error.strerror}") from error
        except OSError as error:
            raise self._silent(error) from error

    def _put_away(self, entry: Entry) -> None:
        """Move what is over out of the way; if that is done already, its target is full, or it is gone."""
        target = self.folder / ENDED / f"{entry.run_id}@{entry.submission.token}"
        try:
            self._open_folder(entry.run_id).rename(target)
        except OSError as error:
            if error.errno not in _NOT_MOVED:
                raise self._silent(error) from error

    def _silent(self, error: OSError) -> SlipwayError:
        what = f"refuses user {_user(os.geteuid())}" if isinstance(error, PermissionError) else "does not answer"
        return SlipwayError(f"the queue {self.folder} {what}: {error.strerror or error}")


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _name(number: int) -> str:
    return f"{number:06d}.json"


def _numbers(folder: int) -> list[int]:
    found = [int(match[1]) for name in os.listdir(folder) if (match := _CHANGE.fullmatch(name))]
    if not found:
        raise FileNotFoundError(errno.ENOENT, "an entry without changes")
    return found


def _read(folder: int, name: str) -> dict[str, Any]:
    with open(os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=folder), "rb") as file:  # noqa: PTH123
        data = file.read()
    try:
        value = json.loads(data)
    except ValueError as error:
        raise Senseless(f"an entry of the queue is no JSON: {error}") from error
    if not isinstance(value, dict):
        raise Senseless("an entry of the queue holds no JSON object")
    return value


def _submission(folder: int) -> Submission:
    return submission_from_json(_read(folder, _name(0)))


def _create(folder: int, name: str, change: Change) -> None:
    """Make a change's file, whole, if there is none of its number.

    Raises:
        Lost: if there is.
        OSError: if it cannot be made.
    """
    aside = f".{change.by}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        with open(os.open(aside, flags, 0o644, dir_fd=folder), "wb") as file:  # noqa: PTH123
            os.fchmod(file.fileno(), 0o644)
            file.write(files.encode(change.to_json()))
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(aside, name, src_dir_fd=folder, dst_dir_fd=folder)
        except FileExistsError:
            # The request before may have been done, and its reply been lost.
            if _read(folder, name).get("by") != change.by:
                raise Lost("somebody else has changed this entry of the queue") from None
    finally:
        with contextlib.suppress(OSError):
            os.unlink(aside, dir_fd=folder)
    os.fsync(folder)


def _user(number: int) -> str:
    """A user's name, or the number if there is none."""
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def _there(run_id: str, folder: Path) -> BadInput:
    allowed = f"a run that is neither queued nor running in {folder}"
    return BadInput("--run-id", run_id, allowed, "choose another id, or wait until that entry is over")
