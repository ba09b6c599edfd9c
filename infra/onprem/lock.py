"""One operator at a time: a lock on this machine, and one on each host, as two operators have two machines.

The one on this machine goes with the process, so whoever has it knows that all who had it before are gone, and whose
locks on hosts are left of them: of one that was killed, or that lost its connection to a host.
"""

import contextlib
import dataclasses
import datetime as dt
import fcntl
import os
import socket
from collections.abc import Generator
from pathlib import Path
from typing import TextIO

from trainer.cli import person
from trainer.errors import SlipwayError

HELD, BROKEN = "Lock: held by ", "Tell whose lock is broken"
"""How `ansible/lock.yml` begins to say who holds it, and the task that tells whose it takes away."""


REMEMBERED = 20
"""How many of those who had the lock on this machine are known later."""


@dataclasses.dataclass(frozen=True)
class Turn:
    """Somebody's at a site.

    Attributes:
        words: who it is, for people; no two are equal.
        gone: the words of those who had it on this machine before.
    """

    words: str
    gone: frozenset[str] = frozenset()


class Locked(SlipwayError):
    """Somebody else is at work on the site."""


def holder(command: str) -> str:
    """Who holds the lock, for people: no two are equal."""
    now = dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return f"{person.user()} on {socket.gethostname()} (process {os.getpid()}) with {command}, since {now}"


@contextlib.contextmanager
def on_this_machine(folder: Path, words: str) -> Generator[Turn]:
    """Hold a site's lock on this machine; it goes with the process.

    Args:
        folder: the site's, on this machine.
        words: who holds it.

    Raises:
        Locked: if another process does, with its words.
    """
    with (folder / "lock").open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            *_, held_by = ("another process", *_lines(file))
            raise Locked(f"the site is locked by {held_by}\n  nothing was changed\n  fix:     wait") from error
        gone = _lines(file)[-REMEMBERED + 1 :]
        file.truncate(0)
        file.write("".join(f"{each}\n" for each in (*gone, words)))
        file.flush()
        yield Turn(words, frozenset(gone))


def _lines(file: TextIO) -> list[str]:
    file.seek(0)
    return [line for line in file.read().splitlines() if line]


def held(host: str, words: str) -> Locked:
    """The error for a host that is locked.

    Args:
        host: its name.
        words: who holds it.
    """
    cure = "wait until that is over; if nobody is at work any more, --break-lock takes the lock away"
    return Locked(f"{host} is locked by {words}\n  nothing was changed\n  fix:     {cure}")
