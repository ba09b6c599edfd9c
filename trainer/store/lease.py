"""Who may write to a run in a shared place: the maker of the last `taken` entry, until somebody appends another.

No clock is compared between machines. A holder that stopped has said so in the journal. Whether one that did not is
still alive shows in its heartbeat, an object that changes while it lives: who wants the run watches that by a clock of
its own. Guessing wrongly does no harm: a holder that lives after all loses its next commit.
"""

import contextlib
import dataclasses
import json
import threading
import time
from collections.abc import Callable

from trainer.errors import BadInput, SlipwayError
from trainer.store.journal import HEARTBEAT, Entry, Holder, Journal, Kind, Superseded
from trainer.store.objects.base import Missing
from trainer.store.told import Say, unheard

BEAT_SECONDS, DEAD_AFTER_SECONDS = 10.0, 45.0
"""How often a holder's heartbeat changes, and for how long one that is dead has not."""
_ATTEMPTS = 10
"""How often a run is tried to be taken while others write to its journal."""


class Held(BadInput):
    """A run that another machine writes to, which was alive just now."""


def heartbeat_key(run_id: str, number: int) -> str:
    """The object that the holder which took a run with that entry replaces now and then."""
    return f"{run_id}/{HEARTBEAT}/{number:012d}.json"


class Heartbeat:
    """Shows that a holder lives, and looks whether it still has the run. The first beat is made at once.

    Args:
        journal: the run's.
        entry: by which the holder took the run.
        lost: told once if somebody else has it now; there is no further beat then. Called from a thread.
        seconds: between two beats.
    """

    def __init__(
        self, journal: Journal, entry: Entry, lost: Callable[[Superseded], None], seconds: float = BEAT_SECONDS
    ) -> None:
        self._journal, self._holder, self._lost, self._seconds = journal, entry.holder, lost, seconds
        self._key, self._number = heartbeat_key(journal.run_id, entry.taken), entry.taken
        self._count = 0
        self._stopped = threading.Event()
        self._beat()
        self._thread = threading.Thread(target=self._run, name="store-heartbeat", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Make no further beat."""
        self._stopped.set()

    def _run(self) -> None:
        while not self._stopped.wait(self._seconds):
            try:
                self._look()
            except Superseded as error:
                return self._lost(error)
            self._beat()
        return None

    def _look(self) -> None:
        """Find out whether the holder still has the run.

        Raises:
            Superseded: if it does not.
        """
        try:
            self._number = self._journal.check_held(self._holder, self._number)
        except Superseded:
            raise
        except SlipwayError:
            return  # the next look may come through

    def _beat(self) -> None:
        self._count += 1
        with contextlib.suppress(SlipwayError):  # the next one may come through
            self._journal.objects.replace(self._key, json.dumps({"beats": self._count}).encode())


@dataclasses.dataclass(frozen=True)
class Patience:
    """How it is found out whether a holder lives.

    Attributes:
        dead_after_seconds: for how long the heartbeat of one that is dead has not changed.
        look_seconds: between two looks at it.
        clock: seconds, of a clock that only this process reads.
        sleep: waits some seconds.
    """

    dead_after_seconds: float = DEAD_AFTER_SECONDS
    look_seconds: float = BEAT_SECONDS / 5
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


def take(
    journal: Journal,
    holder: Holder,
    *,
    take_over: bool = False,
    dead: str = "",
    patience: Patience = Patience(),
    say: Say = unheard,
) -> Entry:
    """Become the only one that writes to a run.

    Args:
        journal: the run's.
        holder: who takes it.
        take_over: do not ask whether the holder before lives.
        dead: the `id` of a holder that is known to be dead.
        patience: how that is found out.
        say: told what is waited for.

    Returns:
        The entry that says so, with the run's files as they were; `taken` is its own number.

    Raises:
        BadInput: if there is no such run, another process writes to it, or was faster.
        Unreachable: if the place does not answer.
    """
    before: Entry | None = None
    for _ in range(_ATTEMPTS):
        number, entry = _newest(journal)
        is_free = entry.kind is Kind.RELEASED
        is_same = before is None or entry.holder == before.holder
        is_pushed_aside = is_same and (take_over or entry.holder.id == dead)
        if before is not None and not is_free and not is_pushed_aside:
            raise _taken(journal, entry)  # it wrote while this process wanted the run
        before = entry
        if not (is_free or is_pushed_aside or _is_dead(journal, number, entry, patience, say)):
            continue
        taken = Entry(Kind.TAKEN, holder, number + 1, entry.files, entry.step, before=entry.holder.id)
        with contextlib.suppress(Superseded):
            journal.append(number, taken)
            return taken
    raise _taken(journal, entry)


def _newest(journal: Journal) -> tuple[int, Entry]:
    found = journal.newest()
    if found is None:
        raise BadInput("RUN", journal.run_id, f"a run in {journal.objects.uri}", "see `slipway runs list`")
    return found


def _is_dead(journal: Journal, number: int, entry: Entry, patience: Patience, say: Say) -> bool:
    """Watch a holder's heartbeat until it changes, or has not for long.

    Returns:
        True if it has not changed; False if there is a newer entry.

    Raises:
        BadInput: if it changes.
    """
    say(
        f"{journal.run_id}: {entry.holder} has not said that it stopped; waiting {patience.dead_after_seconds:g} s for "
        "a sign of life from it"
    )
    began, seen = patience.clock(), _heartbeat(journal, entry)
    while True:
        patience.sleep(patience.look_seconds)
        looked = patience.clock()  # before the look, in case this process is paused after it
        if journal.last() != number:
            return False
        if _heartbeat(journal, entry) != seen:
            raise _taken(journal, entry)
        if looked - began >= patience.dead_after_seconds:
            return True


def _heartbeat(journal: Journal, entry: Entry) -> bytes | None:
    try:
        return journal.objects.read(heartbeat_key(journal.run_id, entry.taken))
    except Missing:
        return None


def _taken(journal: Journal, entry: Entry) -> Held:
    allowed = f"a run that no machine writes to; {entry.holder} does, and was alive just now"
    return Held("RUN", journal.run_id, allowed, "wait until that process ends, or stop it")
