"""What every place that holds objects offers: a bucket's prefix in S3 or Google Cloud Storage, or a shared folder.

Four promises make a run safe there, and every backend keeps them:

- an object is whole or not there, whatever happens to the machine that writes it;
- `create` makes an object only if there is none of that key, also when many machines try at once;
- what `create`, `replace` or `upload` returned from is durable, and the next `read` or `keys` of any machine sees it;
- bytes are checked on the wire, and files once more by their sha256.
"""

import abc
import dataclasses
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from trainer.errors import SlipwayError

Sent = Callable[[int], None]
"""Told how many more bytes have gone over the wire."""


class Missing(SlipwayError):
    """There is no object of that key."""


class Exists(SlipwayError):
    """There is an object of that key already."""


class Unreachable(SlipwayError):
    """The place does not answer, or refuses, and goes on doing so after all retries; it may be tried again later."""


class Corrupt(SlipwayError):
    """What arrived is not what was sent, and was not when it was asked for again."""


@dataclasses.dataclass(frozen=True)
class Described:
    """An object in a listing."""

    key: str
    bytes: int


class Objects(abc.ABC):
    """Objects by key. Keys are relative to the place, with `/` between their parts.

    All calls may be made from several threads. They retry what is worth it (throttling, 5xx, broken connections) with
    growing pauses until a deadline, and then raise `Unreachable`. A call that was retried may have taken effect the
    first time: `create` then says `Exists`, and it is for the caller to look whose object it is.

    Attributes:
        uri: as people write it, without a `/` at the end.
    """

    uri: str

    @abc.abstractmethod
    def check(self, *, write: bool) -> None:
        """Find out whether the place is there and ours, leaving nothing behind.

        Args:
            write: whether objects will be made.

        Raises:
            BadInput: if it is not there, credentials are missing or not enough, the region is wrong, or it takes no
                objects.
        """

    @abc.abstractmethod
    def keys(self, prefix: str = "", *, after: str = "") -> Iterator[Described]:
        """The objects whose keys begin with `prefix` and come after `after`, sorted by key (by code points).

        Raises:
            Unreachable: if the place does not answer.
        """

    @abc.abstractmethod
    def names(self, prefix: str = "") -> list[str]:
        """What comes next in the keys after `prefix`, up to a `/`: the "folders" there, sorted.

        Raises:
            Unreachable: if the place does not answer.
        """

    @abc.abstractmethod
    def read(self, key: str) -> bytes:
        """A small object.

        Raises:
            Missing, Corrupt, Unreachable: as they say.
        """

    @abc.abstractmethod
    def create(self, key: str, data: bytes) -> None:
        """Make a small object, if there is none of that key.

        Raises:
            Exists: if there is one; it is as it was.
            Unreachable: if the place does not answer; whether the object is there is then not known.
        """

    @abc.abstractmethod
    def replace(self, key: str, data: bytes) -> None:
        """Make a small object, or put it in the place of another: the last writer wins.

        Raises:
            Unreachable: as it says.
        """

    @abc.abstractmethod
    def upload(self, key: str, path: Path, sha256: str, sent: Sent | None = None) -> None:
        """Make an object of a file, in parts at once if it is large. Another of that key is replaced.

        Args:
            key: where.
            path: the file; it must not change meanwhile.
            sha256: of its bytes, in hexadecimal; kept with the object where the place can.
            sent: told of progress.

        Raises:
            Unreachable: as it says.
            Corrupt: if the file's bytes are not those of `sha256`; no object is made then.
        """

    @abc.abstractmethod
    def download(self, key: str, path: Path, sha256: str, received: Sent | None = None) -> None:
        """Make a file of an object: written aside, checked, brought to the disk, and renamed into its place.

        Args:
            key: which.
            path: the file; its folder is made if missing.
            sha256: that its bytes must have, in hexadecimal.
            received: told of progress.

        Raises:
            Missing, Unreachable: as they say.
            Corrupt: if the bytes are others; there is no new file then.
        """

    @abc.abstractmethod
    def delete(self, keys: Iterable[str]) -> None:
        """Remove objects; those that are not there do no harm.

        Raises:
            Unreachable: as it says.
        """
