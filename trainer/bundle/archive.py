"""Archives that are the same bytes for the same content: sorted, of nobody, of no time."""

import gzip
import hashlib
import io
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO

from trainer.errors import SlipwayError

CHUNK_BYTES = 1 << 20
STORED, FAST = 0, 1
"""How hard to compress. Wheels, which are most of a bundle with a wheelhouse, are compressed already."""


def pack(content: Mapping[str, bytes | Path], out: BinaryIO, level: int = FAST) -> None:
    """Write a `.tar.gz`.

    Args:
        content: each file by its name in the archive: its bytes, or where it lies.
        out: an open file.
        level: `STORED` or `FAST`.
    """
    with (
        gzip.GzipFile(filename="", mode="wb", compresslevel=level, fileobj=out, mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for name in sorted(content):
            entry = tarfile.TarInfo(name)  # mode 0644, user 0, group 0, time 0
            with _open(content[name]) as file:
                entry.size = file.seek(0, io.SEEK_END)
                file.seek(0)
                archive.addfile(entry, file)


def unpack(path: Path) -> Iterator[tuple[str, IO[bytes]]]:
    """Each file of an archive, in its order; read one before you ask for the next.

    Raises:
        SlipwayError: if it is damaged, or holds anything but files below its own top.
    """
    try:
        with tarfile.open(path, "r|gz") as archive:
            for entry in archive:
                name = PurePosixPath(entry.name)
                file = archive.extractfile(entry) if entry.isreg() else None
                if file is None or name.is_absolute() or ".." in name.parts:
                    raise SlipwayError(f"{path} holds {entry.name}, which is no file below its own top")
                yield entry.name, file
    except (tarfile.TarError, EOFError, OSError, ValueError) as error:
        raise SlipwayError(f"{path} is no whole archive: {error}") from error


def sha256(content: bytes | Path) -> str:
    """A file's checksum, in hexadecimal digits."""
    with _open(content) as file:
        return sha256_of(file)


def sha256_of(file: IO[bytes]) -> str:
    """The checksum of what is left of an open file."""
    digest = hashlib.sha256()
    while chunk := file.read(CHUNK_BYTES):
        digest.update(chunk)
    return digest.hexdigest()


def _open(content: bytes | Path) -> BinaryIO:
    return io.BytesIO(content) if isinstance(content, bytes) else content.open("rb")
