"""Trying again what may work a moment later."""

import random
import time
from collections.abc import Callable
from typing import TypeVar

DEADLINE_SECONDS = 60.0
"""For how long a call is tried again. One try may take longer: it ends by the limits of its own connection."""

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.1, 10.0

T = TypeVar("T")


def patiently(action: Callable[[], T], passing: Callable[[Exception], bool]) -> T:
    """What an action returns, tried again with growing pauses until the deadline.

    Pauses are drawn at random, so that machines that failed together do not come back together.

    Args:
        action: it may be called any number of times.
        passing: whether a fault may pass.

    Raises:
        Exception: the action's last one.
    """
    end, pause = time.monotonic() + DEADLINE_SECONDS, FIRST_PAUSE_SECONDS
    while True:
        try:
            return action()
        except Exception as error:
            if not passing(error) or time.monotonic() + pause > end:
                raise
        time.sleep(random.uniform(pause / 2, pause))  # noqa: S311 (no secret)
        pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
