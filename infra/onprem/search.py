"""What a site's hosts said, found on its monitor.

The work is done there, by `ansible/roles/logs/files/search.py`, which `ansible/logs.yml` runs; whoever calls this says
how that playbook is applied (`Fetch`).
"""

import dataclasses
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

from trainer.config.models import NAME_PATTERN
from trainer.errors import BadInput, SlipwayError
from trainer.logs import reading
from trainer.logs.lines import Severity
from trainer.logs.reading import Said

PLAYBOOK, VARIABLE, TASK = "logs.yml", "logs_query", "Search the logs"
"""The playbook in `ansible/`, its variable, and the task whose standard output is what was found."""
MOST = 10_000
"""Lines that are fetched at once."""
FOLLOW_SECONDS = 5.0
LATE_SECONDS = 300.0
"""How late a line may come to the monitor and still be shown by `follow`."""
AFTER_FAULT_SECONDS = 120.0
"""How long after a fault `follow` asks for all that came since before it: if the monitor was away, each host tries
again within a minute (`action.resumeIntervalMax` of role `logs`), and then sends what has waited."""
_RUN = re.compile(NAME_PATTERN.rstrip("$") + r"(/seed-\d{1,9})?$")

Fetch = Callable[[Mapping[str, Any]], str]
"""Applies `PLAYBOOK` with these extra variables; the standard output of its task `TASK`."""


@dataclasses.dataclass(frozen=True)
class Query:
    """What is asked for.

    Attributes:
        run: of this run, or this group of runs; None: whatever there is, and what services say besides.
        since: not before this Unix time.
        level: what matters at least so much.
        host: said by this host of the inventory.
        most: the newest so many lines.
    """

    run: str | None = None
    since: float = 0.0
    level: Severity = Severity.INFO
    host: str | None = None
    most: int = MOST

    def __post_init__(self) -> None:
        """Look at what a person wrote.

        Raises:
            BadInput: if it can be no run's id.
        """
        if self.run is not None and not _RUN.fullmatch(self.run):
            cure = "write the id of a run, or of a group of runs, as `slipway onprem status` shows it"
            raise BadInput("--run", self.run, "letters, digits, dots, dashes and underscores, at most 100", cure)

    @property
    def variables(self) -> dict[str, Any]:
        """The playbook's extra variables."""
        return {VARIABLE: {**dataclasses.asdict(self), "level": str(self.level)}, "logs_show": False}


@dataclasses.dataclass(frozen=True)
class Found:
    """What the monitor has.

    Attributes:
        lines: those that are asked for, by time.
        found: how many there are; more than `lines` if there were too many.
        hosts: which have said anything at all; not all of them if there are many.
        runs: of which there are lines, whatever is asked for; not all of them if there are many.
        unknown: which of what was asked for, `run` or `host`, has never said anything.
    """

    lines: list[Said]
    found: int
    hosts: list[str]
    runs: list[str]
    unknown: list[str]


def search(fetch: Fetch, query: Query) -> Found:
    """All that has been said so far.

    Args:
        fetch: applies the playbook.
        query: what is asked for.

    Raises:
        BadInput: if nothing is found for a run or a host that the monitor has never heard of.
        SlipwayError: if the answer is none.
    """
    found = _ask(fetch, query)
    if not found.lines:
        asked = {"run": (query.run and query.run.split("/")[0], found.runs), "host": (query.host, found.hosts)}
        for what in found.unknown:
            value, known = asked[what]
            names = ", ".join(known) or "none yet"
            raise BadInput(f"--{what}", value, f"one that the monitor has lines of: {names}", "write one of them")
    return found


def follow(
    fetch: Fetch,
    query: Query,
    seconds: float = FOLLOW_SECONDS,
    *,
    trouble: Callable[[SlipwayError], None],
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Said]:
    """All that has been said, and what is said, each line once; without an end.

    Once there was an answer, a monitor that gives none is asked again: what it gets meanwhile comes later.

    Args:
        fetch: applies the playbook.
        query: what is asked for.
        seconds: between two looks.
        trouble: told why there is no answer.
        sleep: waits some seconds.

    Raises:
        SlipwayError: if the first answer is none.
    """
    seen: set[str] = set()
    newest, answered, held = query.since, False, 0.0
    while True:
        try:
            lines = _ask(fetch, query).lines
        except SlipwayError as error:
            if not answered:
                raise
            trouble(error)
            held = AFTER_FAULT_SECONDS
            sleep(seconds)
            continue
        answered = True
        texts = [json.dumps(line) for line in lines]
        for text, line in zip(texts, lines, strict=True):
            if text not in seen:
                yield line
        # What is asked for again is known again; what is not needs not be remembered.
        seen = set(texts)
        newest = max([newest, *(_seconds(line) for line in lines)])
        if held <= 0:
            query = dataclasses.replace(query, since=max(query.since, min(newest, time.time()) - LATE_SECONDS))
        held -= seconds
        sleep(seconds)


def words(line: Said) -> str:
    """A line for people: time, severity, host, run or unit, words."""
    return reading.words({**line, "run_id": f"{line['host']} {line['run_id'] or line['file']}"})


def _seconds(line: Said) -> float:
    return datetime.fromisoformat(line["time"]).timestamp()


def _ask(fetch: Fetch, query: Query) -> Found:
    text = fetch(query.variables)
    try:
        *lines, last = (json.loads(line) for line in text.splitlines())
        summary = last["summary"]
        named = (list(summary[name]) for name in ("hosts", "runs", "unknown"))
        return Found(lines, int(summary["found"]), *named)
    except (ValueError, KeyError, TypeError) as error:
        raise SlipwayError(f"the monitor's answer is none: {text[:200]!r}") from error
