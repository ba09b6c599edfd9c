"""Removes the oldest of what the monitor has collected: what is too old, and what is too much.

Arguments are the folder, days and GiB.
"""

import contextlib
import sys
import time
from pathlib import Path


def main(folder: Path, days: int, gib: int) -> None:
    """Remove files until the rest is young and small enough, and folders that are empty then.

    Args:
        folder: has a folder for each host.
        days: how old a file's last line may be.
        gib: how much all may take, in GiB.
    """
    found = [(path.lstat(), path) for path in folder.glob("*/*.jsonl*")]
    left = sum(status.st_size for status, _ in found)
    for status, path in sorted(found, key=lambda one: one[0].st_mtime):
        if status.st_mtime > time.time() - days * 86_400 and left <= gib << 30:
            break
        path.unlink()
        left -= status.st_size
        sys.stdout.write(f"removed {path}\n")
    for host in folder.iterdir():
        with contextlib.suppress(OSError):  # it is not empty
            host.rmdir()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
