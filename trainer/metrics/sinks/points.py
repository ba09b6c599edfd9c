"""Rows to points: for services that are paid by the metric and the call, an interval's rows become a point each."""

import dataclasses
import math
import threading
import time
from collections.abc import Callable, Collection, Mapping

from trainer.metrics import catalogue
from trainer.metrics.catalogue import Format, Kind, Sample
from trainer.metrics.sinks.batched import DEADLINE_SECONDS, Batched, Destination

MOST_POINTS = 50_000
"""How many points wait for a service that is away: the essential ones of three days, at one a minute."""


@dataclasses.dataclass(frozen=True)
class Point:
    """What one metric was in an interval.

    Attributes:
        sample: which metric, with its labels.
        time_seconds: Unix time of the interval's end.
        count: how many rows had it; at least 1.
        total: the sum of its values.
        minimum: the least of them.
        maximum: the greatest.
        last: the newest.
    """

    sample: Sample
    time_seconds: float
    count: int
    total: float
    minimum: float
    maximum: float
    last: float

    @property
    def averaged(self) -> bool:
        """Whether its mean says something: of what only grows, and of times, the newest value alone does."""
        return self.sample.metric.kind is Kind.GAUGE and self.sample.metric.format is not Format.TIMESTAMP

    @property
    def value(self) -> float:
        """The one number for the interval: the mean, or else the newest."""
        return self.total / self.count if self.averaged else self.last


class Interval:
    """Rows since the last cut. Calls may come from several threads.

    Args:
        names: the metrics that are wanted.
    """

    def __init__(self, names: Collection[str]) -> None:
        self._names = frozenset(names)
        self._points: dict[str, Point] = {}
        self._lock = threading.Lock()

    def add(self, row: Mapping[str, float]) -> None:
        """Take a row; numbers that are not finite are left out.

        Raises:
            UnknownMetricError: if the row has a key that the catalogue has not.
        """
        for key in catalogue.in_order(row):
            sample, value = catalogue.parse(key), float(row[key])
            if sample.metric.name in self._names and math.isfinite(value):
                with self._lock:
                    self._points[key] = _joined(self._points.get(key), sample, value)

    def cut(self, time_seconds: float) -> list[Point]:
        """The interval's points, which ends now, in the catalogue's order; another begins."""
        with self._lock:
            points, self._points = self._points, {}
        return [dataclasses.replace(points[key], time_seconds=time_seconds) for key in catalogue.in_order(points)]


def _joined(point: Point | None, sample: Sample, value: float) -> Point:
    if point is None:
        return Point(sample, 0.0, 1, value, value, value, value)
    return Point(
        sample,
        0.0,
        point.count + 1,
        point.total + value,
        min(point.minimum, value),
        max(point.maximum, value),
        value,
    )


class PointsSink:
    """A sink of points (`trainer.metrics.sinks.base.Sink`); rows never wait for the service.

    Args:
        name: of the service, for messages.
        destination: where points go.
        names: the metrics that are wanted.
        interval_seconds: how long rows are gathered for a point.
        tell: takes a message for people; called from a thread.
        most: how many points may wait.
        deadline_seconds: how long `close` waits for the service.
    """

    def __init__(
        self,
        name: str,
        destination: Destination[Point],
        names: Collection[str],
        interval_seconds: float,
        tell: Callable[[str], None],
        *,
        most: int = MOST_POINTS,
        deadline_seconds: float = DEADLINE_SECONDS,
    ) -> None:
        self._interval = Interval(names)
        self._batched = Batched(
            name,
            destination,
            tell,
            interval_seconds=interval_seconds,
            most=most,
            gather=lambda: self._interval.cut(time.time()),
            deadline_seconds=deadline_seconds,
        )

    @property
    def dropped(self) -> int:
        """Points that were lost."""
        return self._batched.dropped

    def write(self, row: Mapping[str, float], step: int, wall_time_seconds: float) -> None:
        """Take a row into the interval; its time is the clock's."""
        del step, wall_time_seconds
        self._interval.add(row)

    def flush(self) -> None:
        """Nothing to do: points go when their interval ends."""

    def close(self) -> None:
        """Send what is left, until the deadline."""
        self._batched.close()
