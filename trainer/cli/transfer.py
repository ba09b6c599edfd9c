"""What people see while files travel: how much, and how fast."""

import contextlib
import sys
import threading
from collections.abc import Iterator

from trainer.store.objects.base import Sent


@contextlib.contextmanager
def shown(title: str, *, silent: bool = False) -> Iterator[Sent]:
    """A line on a terminal's standard error; nothing elsewhere.

    Args:
        title: what travels.
        silent: whether to show nothing in any case.

    Yields:
        What is to be told of each piece that has gone over the wire; it may be called from several threads.
    """
    from rich.console import Console
    from rich.progress import DownloadColumn, Progress, SpinnerColumn, TextColumn, TransferSpeedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), DownloadColumn(), TransferSpeedColumn())
    lock = threading.Lock()
    hidden = silent or not sys.stderr.isatty()
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=hidden) as bar:
        task = bar.add_task(title, total=None)

        def sent(count: int) -> None:
            with lock:
                bar.advance(task, count)

        yield sent
