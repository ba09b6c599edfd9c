"""The journal of a run in a shared place: numbered entries, each of which is the whole run at one moment.

The entry with the highest number is the run. An entry is made only if there is none of its number, after all objects
that it names; so the number is the fencing number, and no clock decides anything
(docs/decisions/0012-a-journal-over-objects.md). Entries come and go at the low end, but the highest is never removed.
"""

import dataclasses
import enum
import json
import os
import re
import secrets
import socket
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any, Self

from trainer.errors import BadInput, ExitCode, SlipwayError
from trainer.run.status import now
from trainer.store.objects.base import Exists, Missing, Objects, Unreachable

FORMAT = 1
"""Of entries: raised when an older slipway could not read a newer one's."""
JOURNAL, OBJECTS, HEARTBEAT = "journal", "objects", "heartbeat"
"""The folders of a run in a shared place; no file of a run lies in folders of these names."""
_NAME = re.compile(r"(\d{12})\.json")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_LOOKS = 10
"""How often an entry is looked for that was listed, and removed before it was read."""


class Kind(enum.StrEnum):
    """What an entry is made for."""

    TAKEN = "taken"
    COMMIT = "commit"
    RELEASED = "released"


@dataclasses.dataclass(frozen=True)
class Holder:
    """Who writes to a run.

    Attributes:
        host: its machine, for people.
        pid: its process, for people.
        id: what tells it from every other holder.
    """

    host: str = dataclasses.field(default_factory=socket.gethostname)
    pid: int = dataclasses.field(default_factory=os.getpid)
    id: str = dataclasses.field(default_factory=lambda: secrets.token_hex(16))

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


@dataclasses.dataclass(frozen=True)
class Piece:
    """An object that holds a file, or a part of one.

    Attributes:
        key: relative to the run's folder: `objects/<writer's number>/<sha256>/<name>`.
        bytes: its length.
        sha256: of its bytes.
    """

    key: str
    bytes: int
    sha256: str


@dataclasses.dataclass(frozen=True)
class File:
    """A file of a run.

    Attributes:
        bytes: its length.
        sha256: of all its bytes.
        pieces: the objects that make it, one after the other; none if it is empty.
    """

    bytes: int
    sha256: str
    pieces: tuple[Piece, ...]


Files = Mapping[str, File]
"""The files of a run by their path, relative to its folder, with `/` between the parts."""


@dataclasses.dataclass(frozen=True)
class Entry:
    """The content of `journal/<number>.json`.

    Attributes:
        kind: what it is made for.
        holder: who made it.
        taken: the number of the entry by which the holder took the run.
        files: the run.
        step: environment steps that the files stand for; None if the run has not begun.
        state: of a released run, its state in words; empty otherwise.
        before: the `id` of the holder from which the run was taken; empty otherwise.
        nonce: tells this entry from every other that was tried at its number.
        time: when it was made by the clock of its machine, UTC, ISO 8601; for people alone.
    """

    kind: Kind
    holder: Holder
    taken: int
    files: Files
    step: int | None = None
    state: str = ""
    before: str = ""
    nonce: str = dataclasses.field(default_factory=lambda: secrets.token_hex(16))
    time: str = dataclasses.field(default_factory=now)

    def object_keys(self) -> set[str]:
        """The objects that it names, relative to the run."""
        return {piece.key for file in self.files.values() for piece in file.pieces}

    def encode(self) -> bytes:
        """The object's bytes."""
        values = {"format": FORMAT, **dataclasses.asdict(dataclasses.replace(self, files={}))}
        values["files"] = {path: dataclasses.asdict(file) for path, file in sorted(self.files.items())}
        return json.dumps(values, allow_nan=False, separators=(",", ":")).encode()

    @classmethod
    def decode(cls, data: bytes, run: str) -> Self:
        """The entry in an object; keys that a newer slipway added are left out.

        Args:
            data: the object's bytes.
            run: whose, for errors.

        Raises:
            BadInput: if it has another format.
            SlipwayError: if it makes no sense.
        """
        try:
            values = json.loads(data)
            if values["format"] != FORMAT:
                allowed = f"a run whose journal has format {FORMAT}; this one has format {values['format']!r}"
                raise BadInput("RUN", run, allowed, "use the version of slipway that wrote it, or a newer one")
            holder = values["holder"]
            return cls(
                kind=Kind(values["kind"]),
                holder=Holder(holder["host"], int(holder["pid"]), holder["id"]),
                taken=int(values["taken"]),
                files={_checked(path): _file(file) for path, file in values["files"].items()},
                step=values["step"],
                state=values["state"],
                before=values["before"],
                nonce=values["nonce"],
                time=values["time"],
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise SlipwayError(f"an entry of the journal makes no sense: {error!r}") from error


def _checked(path: str) -> str:
    """A path that stays in the run's folder.

    Raises:
        ValueError: if it does not.
    """
    parts = PurePosixPath(path).parts
    if not parts or parts[0] == "/" or ".." in parts or "\0" in path or str(PurePosixPath(path)) != path:
        raise ValueError(f"{path!r} is no path in a run")
    return path


def _file(values: Mapping[str, Any]) -> File:
    """A file as an entry describes it.

    Raises:
        ValueError, KeyError, TypeError: if that makes no sense.
    """
    pieces = tuple(Piece(_checked(piece["key"]), piece["bytes"], piece["sha256"]) for piece in values["pieces"])
    file = File(values["bytes"], values["sha256"], pieces)
    if sum(piece.bytes for piece in pieces) != file.bytes:
        raise ValueError("the pieces of a file have another length than the file")
    if not all(_SHA256.fullmatch(sha256) for sha256 in (file.sha256, *(piece.sha256 for piece in pieces))):
        raise ValueError("a file has no sha256")
    return file


class Superseded(SlipwayError):
    """Another process took the run over; this one has committed nothing since.

    Attributes:
        winner: the entry that stands where this process wanted to write, or a later one; None if there is none left.
    """

    exit_code = ExitCode.BAD_INPUT

    def __init__(self, run_id: str, winner: Entry | None) -> None:
        self.winner = winner
        who = f"{winner.holder} took the run over, and wrote at {winner.time}" if winner else "the run was taken over"
        super().__init__(
            f"RUN: {run_id}: {who}\n"
            "  this process has committed nothing since, and nothing was mixed up\n"
            "  fix: leave the run to that process, or stop it there and `slipway resume` here"
        )


class Journal:
    """The entries of one run.

    Args:
        objects: the place.
        run_id: the run's folder there.
    """

    def __init__(self, objects: Objects, run_id: str) -> None:
        self.objects, self.run_id = objects, run_id

    def key(self, number: int) -> str:
        """The key of an entry's object."""
        return f"{self.run_id}/{JOURNAL}/{number:012d}.json"

    def numbers(self, after: int = 0) -> list[int]:
        """The numbers of the entries that are there, lowest first.

        Args:
            after: only those above it.

        Raises:
            Unreachable: if the place does not answer.
        """
        prefix = f"{self.run_id}/{JOURNAL}/"
        found = (
            _NAME.fullmatch(described.key.removeprefix(prefix))
            for described in self.objects.keys(prefix, after=self.key(after))
        )
        return [int(match[1]) for match in found if match]

    def last(self) -> int | None:
        """The highest number; None if there is no entry.

        Raises:
            Unreachable: if the place does not answer.
        """
        numbers = self.numbers()
        return numbers[-1] if numbers else None

    def read(self, number: int) -> Entry:
        """An entry.

        Raises:
            Missing, Unreachable, Corrupt: as they say.
            BadInput: if another format was written.
            SlipwayError: if it makes no sense.
        """
        return Entry.decode(self.objects.read(self.key(number)), f"{self.objects.uri}/{self.run_id}")

    def newest(self) -> tuple[int, Entry] | None:
        """The highest number and its entry; None if there is no entry.

        Raises:
            Unreachable, Corrupt: as they say.
            SlipwayError: if it makes no sense.
        """
        for _ in range(_LOOKS):
            number = self.last()
            if number is None:
                return None
            try:
                return number, self.read(number)
            except Missing:  # removed since it was listed: there are higher ones
                continue
        raise Unreachable(f"{self.objects.uri}/{self.run_id}: entries are listed that cannot be read")

    def check_held(self, holder: Holder, after: int) -> int:
        """Find out whether a holder still has the run.

        Args:
            holder: whose last entry it was that stood last.
            after: that entry's number.

        Returns:
            The number of the holder's last entry now.

        Raises:
            Superseded: if somebody else has made an entry since.
            Unreachable, Corrupt: as they say; nothing is known then.
        """
        numbers = self.numbers(after=after)
        if not numbers:
            return after
        found = self.newest()
        if found is None or found[1].holder != holder:
            raise Superseded(self.run_id, found[1] if found else None)
        return found[0]

    def append(self, after: int, entry: Entry) -> int:
        """Make the entry that follows one.

        Where an earlier attempt of the same holder has arrived although its reply was lost, the entry goes after that.

        Args:
            after: the number of the last entry that the holder knows; 0 if the run is new.
            entry: what to make.

        Returns:
            Its number. The entry is the run now, or has been.

        Raises:
            Superseded: if somebody else has made an entry since.
            Unreachable: if the place does not answer; whether the entry is there is then not known.
        """
        number = after + 1
        while not self._create(number, entry):
            number += 1
        if self.numbers(after=number) and not self._was_taken(number, entry):
            raise self._superseded()  # the number was free because its entry had been removed
        return number

    def _was_taken(self, number: int, entry: Entry) -> bool:
        """Whether another holder found an entry as the newest, and went on from it."""
        try:
            following = self.read(number + 1)
        except Missing:
            return False
        return following.before == entry.holder.id and following.files == entry.files

    def _create(self, number: int, entry: Entry) -> bool:
        """Make an entry; False if an earlier one of its holder is there.

        Raises:
            Superseded: if somebody else's is there.
        """
        try:
            self.objects.create(self.key(number), entry.encode())
        except Exists:
            try:
                found = self.read(number)
            except Missing:
                raise self._superseded() from None
            if found.holder != entry.holder:
                raise self._superseded() from None
            return found.nonce == entry.nonce  # then it was the reply that was lost
        return True

    def _superseded(self) -> Superseded:
        newest = self.newest()
        return Superseded(self.run_id, newest[1] if newest else None)
