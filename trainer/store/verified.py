"""What a look at all of a run came to."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Verified:
    """What a run is made of, and what of it is there.

    Attributes:
        number: of the last entry of its journal; None if it has none.
        files: how many it has.
        bytes: their length together.
        missing: what is not there: a file's path, and in which way.
        wrong: likewise what has other bytes than were sent.
        orphaned: keys of objects that no entry names: of a holder that died, or of one that is sending just now. They
            do no harm, and the next holder removes them.
    """

    number: int | None
    files: int
    bytes: int
    missing: tuple[str, ...]
    wrong: tuple[str, ...]
    orphaned: tuple[str, ...]

    @property
    def whole(self) -> bool:
        """Whether nothing is missing or wrong."""
        return not self.missing and not self.wrong
