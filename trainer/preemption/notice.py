"""The word that a machine goes, or may go."""

import dataclasses
from collections.abc import Callable, Iterable
from datetime import UTC, datetime


@dataclasses.dataclass(frozen=True)
class Notice:
    """What was said about this machine or this run.

    Attributes:
        reason: for people; with the time where one was given.
        deadline: when the machine goes; None if that was not said.
        stops: whether the run ends; else it writes a checkpoint and goes on.
    """

    reason: str
    deadline: datetime | None = None
    stops: bool = True


Question = Callable[[], Iterable[Notice]]
"""Asks a cloud for one thing; raises whatever goes wrong."""


class Preempted(Exception):
    """The run is to stop, met in the middle of something that a resumed run does again; its words say why."""


def clock(moment: datetime) -> str:
    """A time in words, UTC, with seconds; with its date unless that is today's."""
    there = moment.astimezone(UTC)
    today = there.date() == datetime.now(UTC).date()
    return f"{there:%H:%M:%S} UTC" if today else f"{there:%Y-%m-%d %H:%M:%S} UTC"
