"""Who is told what about a run in a shared place."""

import dataclasses
from collections.abc import Callable

Say = Callable[[str], None]
"""Told what people should know, in a sentence."""
Committed = Callable[[int | None, int], None]
"""Told the environment steps and the entry's number of what is now safe in the store."""
Sent = Callable[[int], None]
"""Told how many more bytes have gone over the wire."""
Left = Callable[[int], None]
"""Told about once a second how many bytes are still to be sent."""


def unheard(*said: object) -> None:
    """Nobody is told."""
    del said


@dataclasses.dataclass(frozen=True)
class Told:
    """The listeners. All but `left` and `sent` are called from threads of the mirror, which wait for them.

    Attributes:
        say: what people should know.
        committed: what is safe; never of what may be lost.
        left: while the end of a run waits.
        sent: of progress, from any thread; it must return at once.
    """

    say: Say = unheard
    committed: Committed = unheard
    left: Left = unheard
    sent: Sent = unheard
