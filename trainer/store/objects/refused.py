"""What a person must mend before a place can be used."""

from trainer.errors import BadInput
from trainer.store.objects.base import Unreachable


class Refused(Unreachable):
    """The place refuses, and a person can mend that. `Objects.check` raises the `BadInput` itself.

    Args:
        mend: what is wrong, and the fix.
    """

    def __init__(self, mend: BadInput) -> None:
        super().__init__(str(mend))
        self.mend = mend
