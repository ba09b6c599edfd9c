"""Calls that wait for a network, several at a time."""

import concurrent.futures
from collections.abc import Callable, Iterable
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
WORKERS = 4


def each(function: Callable[[Item], Result], items: Iterable[Item], workers: int = WORKERS) -> list[Result]:
    """The function's results, in the order of the items. After the first failure no other call begins.

    Args:
        function: may be called from several threads.
        items: its arguments.
        workers: how many calls at a time.

    Raises:
        Exception: the first failure, when the calls that had begun have ended.
    """
    with concurrent.futures.ThreadPoolExecutor(workers, thread_name_prefix="store") as pool:
        calls = [pool.submit(function, item) for item in items]
        try:
            for call in concurrent.futures.as_completed(calls):
                call.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return [call.result() for call in calls]
