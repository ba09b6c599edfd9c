"""Errors that a person can act on, and the exit codes that scripts can.

Raise `BadInput` for anything the user can mend. The command line prints it as one message and exits with its code;
nothing else is printed and nothing has been written.
"""

import difflib
import enum
from collections.abc import Iterable


class ExitCode(enum.IntEnum):
    """What a `slipway` command's exit status says."""

    DONE = 0
    FAULT = 1
    BAD_INPUT = 2
    STOPPED_BY_BUDGET = 3
    PREEMPTED = 75  # EX_TEMPFAIL of sysexits.h: stopped by a signal, and `slipway resume` goes on


class _Missing:
    """Stands for the value of what is not there."""

    def __repr__(self) -> str:
        return "a missing value"


MISSING = _Missing()
"""The value of a `BadInput` for something that was not given at all."""


LONGEST_SHOWN = 200
"""How many characters of a wrong value a message shows."""


class SlipwayError(Exception):
    """A fault that has a clear message; the command line prints it without a traceback."""

    exit_code = ExitCode.FAULT


class BadInput(SlipwayError):
    """Input that the user can mend.

    Args:
        field: what is wrong, by the name the user wrote (`agent.learning_rate`, `--store`).
        value: what it is.
        allowed: what it may be.
        cure: what to do, in an imperative sentence.
    """

    exit_code = ExitCode.BAD_INPUT

    def __init__(self, field: str, value: object, allowed: str, cure: str) -> None:
        self.field, self.value, self.allowed, self.cure = field, value, allowed, cure
        shown = repr(value)
        if len(shown) > LONGEST_SHOWN:
            shown = f"{shown[:LONGEST_SHOWN]}..."
        super().__init__(f"{field}: {shown} is not allowed\n  allowed: {allowed}\n  fix:     {cure}")


class BadInputs(SlipwayError):
    """Several `BadInput`s found together."""

    exit_code = ExitCode.BAD_INPUT

    def __init__(self, errors: list[BadInput]) -> None:
        self.errors = errors
        super().__init__("\n".join(str(error) for error in errors))


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word most like a mistyped one, or None if none is near."""
    matches = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return matches[0] if matches else None
