"""Points to Amazon CloudWatch's metrics.

Limits are those of `PutMetricData`
(https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricData.html).
"""

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from trainer.clouds import aws
from trainer.metrics.sinks.batched import Lost, Refused
from trainer.metrics.sinks.points import Point

NAME, FIELD = "CloudWatch", "sinks.cloudwatch"
MOST_IN_A_REQUEST = 1000
"""A request may have 1 MB, which so many of the longest points do not fill, not even before boto3 compresses them."""
OLDEST_SECONDS = 14 * 86_400
GREATEST = 2.0**360
RUN_DIMENSION = "RunId"
FINE_SECONDS = 60
"""Shorter intervals are kept as they are only at a storage resolution of one second."""

UNITS: Mapping[str, str] = {
    "": "None",
    "bytes": "Bytes",
    "episodes": "Count",
    "nats": "None",
    "ratio": "None",  # `Percent` would be a hundred times it
    "records": "Count",
    "reward": "None",
    "score": "None",
    "seconds": "Seconds",
    "steps": "Count",
    "steps_per_second": "Count/Second",
    "transitions": "Count",
    "usd": "None",
    "watts": "None",
}
"""CloudWatch's names for the catalogue's units."""


class CloudWatch:
    """Where points go (`Destination`). The only dimensions are the run's id and a metric's own labels.

    Args:
        namespace: of the metrics.
        run_id: the dimension `RunId`.
        interval_seconds: how far points of one metric are apart.

    Raises:
        BadInput: if no region or no credentials are found.
    """

    def __init__(self, namespace: str, run_id: str, interval_seconds: float) -> None:
        self._namespace, self._run_id = namespace, run_id
        self._resolution_seconds = 60 if interval_seconds >= FINE_SECONDS else 1
        self._client = aws.client("cloudwatch", f"{FIELD}.enabled")

    def fits(self, records: Sequence[Point]) -> int:
        """As many as a request may hold."""
        return min(len(records), MOST_IN_A_REQUEST)

    def send(self, records: Sequence[Point]) -> Lost:
        """One `PutMetricData`; what CloudWatch could not take is left out.

        Raises:
            Refused: if it takes none.
            Exception: if it does not answer.
        """
        allowed = [point for point in records if _is_allowed(point)]
        try:
            if allowed:
                self._client.put_metric_data(Namespace=self._namespace, MetricData=[self.datum(p) for p in allowed])
        except Exception as error:
            if aws.is_refusal(error):
                raise Refused(str(error)) from error
            raise
        return Lost(len(records) - len(allowed), "older than two weeks, or beyond 2^360")

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def datum(self, point: Point) -> dict[str, Any]:
        """A point as `PutMetricData` has it: a statistic set, or the newest value of what only grows."""
        sample = point.sample
        dimensions = [(RUN_DIMENSION, self._run_id)]
        dimensions += [
            (dimension(label), value) for label, value in zip(sample.metric.labels, sample.label_values, strict=True)
        ]
        statistics = {
            "SampleCount": float(point.count),
            "Sum": point.total,
            "Minimum": point.minimum,
            "Maximum": point.maximum,
        }
        return {
            "MetricName": sample.metric.name,
            "Dimensions": [{"Name": name, "Value": value} for name, value in dimensions],
            "Timestamp": datetime.fromtimestamp(point.time_seconds, UTC),
            "Unit": UNITS[sample.metric.unit],
            "StorageResolution": self._resolution_seconds,
            **({"StatisticValues": statistics} if point.averaged else {"Value": point.last}),
        }


def dimension(label: str) -> str:
    """The dimension that a label of the catalogue is."""
    return label.title()


def _is_allowed(point: Point) -> bool:
    greatest = max(abs(point.total), abs(point.minimum), abs(point.maximum))
    return greatest <= GREATEST and point.time_seconds > time.time() - OLDEST_SECONDS
