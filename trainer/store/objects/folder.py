"""Objects in a folder that several machines mount, over NFS mostly.

What this relies on, of Linux's NFS client and of any server:

- `link` and `rename` happen at the server, each as one step (RFC 8881, 18.9 and 18.26). The reply to a `link` can be
  lost, and the repeated request then fails though the first succeeded: the number of links tells (open(2), O_EXCL).
- What was written and flushed (fsync, close) is seen by whoever opens the file afterwards: close-to-open consistency,
  nfs(5).
- A folder that is opened is compared with the server's, so a listing after that is of now, and so is the answer that a
  name is missing. Without opening it, a client may believe its memory for a minute. This is so unless the folder is
  mounted with `nocto`.
- A file that another machine removes or replaces while it is read gives ESTALE: it is opened anew.
- The client keeps a removed file that is still open as `.nfs...`: these are no objects.

Two machines that write entries of one number are kept apart by `link` alone, whatever their caches hold.
"""

import contextlib
import errno
import os
import re
import secrets
import socket
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, TypeVar

from trainer.errors import BadInput
from trainer.run.files import sync_folder
from trainer.store.objects import transfer
from trainer.store.objects.base import Described, Exists, Missing, Objects, Sent, Unreachable
from trainer.store.objects.patience import patiently
from trainer.store.objects.transfer import Arriving

ASIDE = ".slipway-aside"
"""The folder for what is not whole yet, beside the objects and on the same file system."""

OLD_SECONDS = 24 * 3600
"""After this time what lies aside was left by a machine that vanished."""

_REMOVED_WHILE_OPEN = re.compile(r"\.nfs[0-9a-f]{16,}")
_PASSING = {errno.ESTALE, errno.EIO, errno.ETIMEDOUT, errno.EAGAIN, errno.EINTR}
_FULL = {errno.ENOSPC: "the disk is full", errno.EDQUOT: "the quota is used up"}
_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}

T = TypeVar("T")


class FolderObjects(Objects):
    """Objects as files below a folder. The folder itself is never made: a mount that is missing must not look empty.

    Args:
        uri: as people write it.
        root: the folder's absolute path.
    """

    def __init__(self, uri: str, root: str) -> None:
        self.uri, self.root = uri, Path(root)
        self._swept = False

    def check(self, *, write: bool) -> None:
        """Find out whether the folder is there, and takes objects if it must (`Objects.check`)."""
        allowed = "a folder that is there"
        try:
            with os.scandir(self.root) as entries:
                next(entries, None)
            if not write:
                return
            allowed = "a folder that takes files and hard links"
            self._try_out(f".check-{_unique()}")
        except OSError as error:
            raise BadInput("store", self.uri, f"{allowed} ({_words(error)})", _cure(error, self.root)) from error

    def _try_out(self, key: str) -> None:
        """Make and remove an object. The second attempt to make it must fail: it does not on all file systems."""
        try:
            for _ in range(2):
                self._create(key, b"")
            raise OSError(errno.EOPNOTSUPP, "the same file was made twice")
        except Exists:
            pass
        finally:
            self._path(key).unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                (self.root / ASIDE).rmdir()

    def keys(self, prefix: str = "", *, after: str = "") -> Iterator[Described]:
        """The objects below a prefix, sorted (`Objects.keys`)."""
        above = prefix.rpartition("/")[0]
        return self._below(f"{above}/" if above else "", prefix, after)

    def _below(self, folder: str, prefix: str, after: str) -> Iterator[Described]:
        for key in self._entries(folder):
            if key.endswith("/"):
                if (key.startswith(prefix) or prefix.startswith(key)) and (key > after or after.startswith(key)):
                    yield from self._below(key, prefix, after)
            elif key.startswith(prefix) and key > after:
                with contextlib.suppress(Missing):  # removed since the listing
                    yield Described(key, self._call(key, self._path(key).stat).st_size)

    def names(self, prefix: str = "") -> list[str]:
        """The folders that come next in the keys (`Objects.names`); one without any object is none."""
        above = prefix.rpartition("/")[0]
        folders = [key for key in self._entries(f"{above}/" if above else "") if key.endswith("/")]
        found = [key for key in folders if key.startswith(prefix) and any(True for _ in self.keys(key))]
        return sorted(key.removeprefix(prefix).rstrip("/") for key in found)

    def _entries(self, folder: str) -> list[str]:
        """The keys in a folder, and the folders there with a `/`, in the order of all keys below them."""
        try:
            entries = self._call(folder, lambda: self._scan(folder))
        except Missing:
            return []
        ours = (entry for entry in entries if not _REMOVED_WHILE_OPEN.fullmatch(entry) and entry != f"{ASIDE}/")
        return sorted(f"{folder}{entry}" for entry in ours)

    def _scan(self, folder: str) -> list[str]:
        with os.scandir(self._path(folder.rstrip("/")) if folder else self.root) as entries:
            return [f"{entry.name}/" if entry.is_dir(follow_symlinks=False) else entry.name for entry in entries]

    def read(self, key: str) -> bytes:
        """A small object (`Objects.read`)."""
        return self._call(key, self._path(key).read_bytes)

    def create(self, key: str, data: bytes) -> None:
        """Make a small object if there is none (`Objects.create`)."""
        self._call(key, lambda: self._create(key, data))

    def _create(self, key: str, data: bytes) -> None:
        target = self._path(key)
        with self._aside() as (aside, file):
            file.write(data)
            _to_disk(file)
            self._put(target, lambda: _link(aside, target))

    def replace(self, key: str, data: bytes) -> None:
        """Make a small object, or put it in the place of another (`Objects.replace`)."""
        self._call(key, lambda: self._replace(key, lambda file: file.write(data)))

    def upload(self, key: str, path: Path, sha256: str, sent: Sent | None = None) -> None:
        """Make an object of a file (`Objects.upload`), in one copy; what is read is what is checked."""

        def copy(file: BinaryIO) -> None:
            arriving = Arriving(file, sent)
            for piece in transfer.pieces_here(path):
                arriving.write(piece)
            if arriving.sha256 != sha256:
                raise transfer.changed(path)

        self._call(key, lambda: self._replace(key, copy))

    def _replace(self, key: str, fill: Callable[[BinaryIO], object]) -> None:
        target = self._path(key)
        with self._aside() as (aside, file):
            fill(file)
            _to_disk(file)
            self._put(target, lambda: _rename(aside, target))

    def download(self, key: str, path: Path, sha256: str, received: Sent | None = None) -> None:
        """Make a file of an object (`Objects.download`)."""

        def fetch(arriving: Arriving) -> None:
            with self._path(key).open("rb") as file:
                for piece in transfer.pieces(file):
                    arriving.write(piece)

        self._call(key, lambda: transfer.download(key, path, sha256, fetch, received))

    def delete(self, keys: Iterable[str]) -> None:
        """Remove objects, and the folders that are empty then (`Objects.delete`)."""
        for key in keys:
            with contextlib.suppress(Missing):
                self._call(key, self._path(key).unlink)
            self._prune(self._path(key).parent)

    def _prune(self, folder: Path) -> None:
        while folder != self.root:
            try:
                folder.rmdir()
            except FileNotFoundError:
                pass
            except OSError:  # something is in it
                return
            folder = folder.parent

    def _path(self, key: str) -> Path:
        parts = key.split("/")
        if not {"", ".", "..", ASIDE}.isdisjoint(parts) or "\0" in key:
            raise ValueError(f"{key!r} is no key")
        return self.root.joinpath(*parts)

    @contextlib.contextmanager
    def _aside(self) -> Iterator[tuple[Path, BinaryIO]]:
        """A new file in the folder for what is not whole yet; it is gone afterwards, or in its place."""
        folder = self.root / ASIDE
        if not folder.is_dir():
            with contextlib.suppress(FileExistsError):
                folder.mkdir()
        aside = folder / _unique()
        try:
            with aside.open("xb") as file:
                self._sweep(folder, os.fstat(file.fileno()).st_mtime)
                yield aside, file
        finally:
            with contextlib.suppress(OSError):
                aside.unlink()

    def _sweep(self, folder: Path, now: float) -> None:
        """Remove what machines that vanished left aside, once; `now` is by the clock that stamps files there."""
        if self._swept:
            return
        self._swept = True
        with contextlib.suppress(OSError), os.scandir(folder) as entries:
            for entry in entries:
                with contextlib.suppress(OSError):
                    if now - entry.stat(follow_symlinks=False).st_mtime > OLD_SECONDS:
                        Path(entry.path).unlink()

    def _put(self, target: Path, step: Callable[[], None]) -> None:
        """Take the one step that makes an object, in a folder that another machine may be removing as empty."""
        for _ in range(10):
            self._make_folder(target.parent)
            try:
                step()
            except FileNotFoundError:
                continue
            return sync_folder(target.parent)
        raise Unreachable(f"{self.uri}: {target.parent} does not stay")

    def _make_folder(self, folder: Path) -> None:
        if folder == self.root or folder.is_dir():
            return
        self._make_folder(folder.parent)
        with contextlib.suppress(FileExistsError, FileNotFoundError):
            folder.mkdir()
            sync_folder(folder.parent)

    def _call(self, key: str, action: Callable[[], T]) -> T:
        """Do it, again while that may help, and say what is wrong in the words of `Objects`."""
        try:
            return patiently(lambda: self._looked_twice(key, action), _is_passing)
        except (FileNotFoundError, IsADirectoryError):
            if not self.root.is_dir():
                raise Unreachable(f"{self.uri} is not there: is it mounted?") from None
            raise Missing(f"{self.uri}/{key}") from None
        except OSError as error:
            raise Unreachable(f"{self.uri}: {_words(error)}") from error

    def _looked_twice(self, key: str, action: Callable[[], T]) -> T:
        """Believe that something is missing only after its folders were opened, and so compared with the server's."""
        try:
            return action()
        except (FileNotFoundError, NotADirectoryError):
            folder = self.root
            for part in ("", *key.split("/")[:-1]):
                folder = folder / part
                try:
                    os.close(os.open(folder, os.O_RDONLY | os.O_DIRECTORY))
                except NotADirectoryError:
                    raise FileNotFoundError(folder) from None
            return action()


def _link(aside: Path, target: Path) -> None:
    try:
        os.link(aside, target)
    except OSError as error:
        # The first request may have succeeded, and its reply been lost: then the file has two names.
        with aside.open("rb") as file:
            if os.fstat(file.fileno()).st_nlink == 2:
                return
        if error.errno == errno.EEXIST:
            raise Exists(str(target)) from None
        raise


def _rename(aside: Path, target: Path) -> None:
    try:
        aside.rename(target)
    except FileNotFoundError:
        if aside.exists() or not target.exists():  # else it was done, and the reply was lost
            raise


def _to_disk(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _unique() -> str:
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(8)}"


def _is_passing(error: Exception) -> bool:
    return isinstance(error, OSError) and error.errno in _PASSING


def _words(error: OSError) -> str:
    return _FULL.get(error.errno or 0) or error.strerror or str(error)


def _cure(error: OSError, root: Path) -> str:
    if isinstance(error, FileNotFoundError):
        return f"mount it, or make it: mkdir -p {root}"
    if isinstance(error, NotADirectoryError):
        return "give a folder with --store"
    if error.errno in _FULL:
        return "make room there"
    if error.errno in _NO_LINKS:
        return "mount it over NFS, or give another folder with --store"
    return f"let user {os.geteuid()} read and write there, or give another folder with --store"
