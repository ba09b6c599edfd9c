"""What every worker that measures a speed shares. Needs nothing but the standard library."""

import json
import sys
import time
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")

RESULT = "RESULT "
"""What the line with a worker's figures starts with."""


def rate(call: Callable[[], object], steps: int, seconds: float) -> float:
    """Steps a second of a call that makes `steps` of them, called again and again for at least some seconds.

    The first call is not counted: it may compile.
    """
    call()
    made, began = 0, time.perf_counter()
    while (spent := time.perf_counter() - began) < seconds or not made:
        call()
        made += steps
    return made / spent


def timed(call: Callable[[], T]) -> tuple[float, T]:
    """Seconds that a call takes, and its value."""
    began = time.perf_counter()
    value = call()
    return time.perf_counter() - began, value


def report(figures: dict[str, Any]) -> None:
    """The worker's one line."""
    sys.stdout.write(f"\n{RESULT}{json.dumps(figures)}\n")
