"""Whether the workers that hold entries live: by their heartbeats, and by a clock that only this process reads."""

import time
from collections.abc import Callable

from trainer.queue.states import Holder

DEAD_AFTER_SECONDS = 120.0
"""For how long the heartbeat of a dead worker has not changed. Longer than the 90 s after which an NFS server lets go
of the locks of a machine that is gone: until then the run's own lock may be held."""


class Watch:
    """Remembers what it saw of each worker.

    Args:
        dead_after_seconds: for how long the heartbeat of one that is dead has not changed.
        clock: seconds.
    """

    def __init__(
        self, dead_after_seconds: float = DEAD_AFTER_SECONDS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._dead_after, self._clock = dead_after_seconds, clock
        self._seen: dict[str, tuple[bytes | None, float]] = {}
        self._looked = -float("inf")

    def is_dead(self, holder: Holder, sign: bytes | None) -> bool:
        """Whether a worker is dead, as far as it shows.

        Where this process did not look for long, as the NAS was away or it trained itself, nobody was silent for that:
        who lives and was cut off as well is to have its time to show so.

        Args:
            holder: the worker.
            sign: its heartbeat now (`Queue.sign_of_life`).
        """
        at = self._clock()
        if at - self._looked > self._dead_after / 4:
            self._seen.clear()
        self._looked = at
        before, since = self._seen.get(holder.token, (sign, at))
        if sign != before:
            since = at
        self._seen[holder.token] = (sign, since)
        return at - since >= self._dead_after
