"""Lines of runs as they come."""

import json
import time
from collections.abc import Callable, Collection, Iterator, Sequence

from trainer.logs import reading
from trainer.logs.lines import Severity
from trainer.logs.reading import Said
from trainer.run.status import State

LOCAL_SECONDS, SHARED_SECONDS = 1.0, 10.0
"""Between two looks; of a run in a bucket each costs some requests, and it says nothing new between two commits."""
OVER = frozenset({State.FINISHED, State.FAILED, State.STOPPED_BY_BUDGET})
"""The states of runs that say no more by themselves; one that was preempted goes on elsewhere."""

Read = Callable[[str], bytes]
"""The content of a file of the run or the group, by its path; nothing if it is not there."""


def lines(read: Read, folders: Sequence[str], least: Severity) -> list[Said]:
    """All that runs have said so far, by time.

    Args:
        read: a file.
        folders: the path of each run, with a `/` at its end unless it is empty.
        least: severity.
    """
    found = [line for path in folders for line in reading.parse(read(f"{path}log.jsonl"), least)]
    return sorted(found, key=lambda line: str(line["time"]))


def follow(
    read: Read,
    folders: Sequence[str],
    least: Severity,
    seconds: float,
    *,
    known: Collection[Said] = (),
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Said]:
    """All that runs have said, and what they say, each line once, until all are over.

    A machine that vanished takes what was not committed with it, so a run's log may get shorter: lines are known by
    their content.

    Args:
        read: a file.
        folders: as in `lines`.
        least: severity.
        seconds: between two looks.
        known: lines to leave out.
        sleep: waits some seconds.
    """
    seen = {json.dumps(line) for line in known}
    while True:
        over = all(_state(read(f"{path}status.json")) in OVER for path in folders)  # before its last words
        for line in lines(read, folders, least):
            text = json.dumps(line)
            if text not in seen:
                seen.add(text)
                yield line
        if over:
            return
        sleep(seconds)


def _state(data: bytes) -> str:
    try:
        return str(json.loads(data)["state"])
    except (ValueError, KeyError, TypeError):
        return ""
