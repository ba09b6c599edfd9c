"""What people see while files travel: how much, and how fast."""

import contextlib
import sys
import threading
from collections.abc import Iterator

from trainer.store.objects.base import Sent


@contextlib.contextmanager
def shown(title: str, total: int | None = None) -> Iterator[Sent]:
    """A bar on a terminal's standard error; nothing elsewhere.

    Args:
        title: what travels.
        total: bytes in all; None if that is not known.

    Yields:
        What is to be told of each piece that has gone over the wire; it may be called from several threads.
    """
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    lock = threading.Lock()
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task(title, total=total)

        def sent(count: int) -> None:
            with lock:
                bar.advance(task, count)

        yield sent
