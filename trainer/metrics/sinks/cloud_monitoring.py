"""Points to Google Cloud Monitoring, as user-defined metrics `custom.googleapis.com/slipway/...`.

Limits are those of https://cloud.google.com/monitoring/quotas (user-defined metrics).
"""

import contextlib
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from trainer.clouds import google
from trainer.metrics import catalogue
from trainer.metrics.sinks.batched import Lost, Refused
from trainer.metrics.sinks.points import Point

if TYPE_CHECKING:
    from google.api.metric_pb2 import MetricDescriptor
    from google.cloud.monitoring_v3 import TimeSeries

NAME, FIELD = "Cloud Monitoring", "sinks.cloud_monitoring"
PREFIX = "custom.googleapis.com/slipway/"
RESOURCE, NAMESPACE = "generic_task", "slipway"
MOST_IN_A_REQUEST = 200
OLDEST_SECONDS = 24 * 3600
"""Points may be 25 hours old; the hour is for clocks and queues."""
LEAST_APART_SECONDS = 5.0
"""Points of one time series may not be nearer."""

UNITS: Mapping[str, str] = {
    "": "1",
    "bytes": "By",
    "episodes": "{episode}",
    "nats": "{nat}",
    "ratio": "1",
    "records": "{record}",
    "reward": "{reward}",
    "score": "{score}",
    "seconds": "s",
    "steps": "{step}",
    "steps_per_second": "{step}/s",
    "transitions": "{transition}",
    "usd": "{USD}",
    "watts": "W",
}
"""The catalogue's units in the Unified Code for Units of Measure (https://unitsofmeasure.org/ucum)."""


class CloudMonitoring:
    """Where points go (`Destination`).

    The monitored resource is `generic_task` and names the run, not the machine, so that a run that goes on elsewhere
    goes on in the same series. Totals are gauges: they count over all resumes, which a cumulative metric, whose start
    is a process's, cannot.

    Args:
        project: whose metrics; None takes the credentials' own.
        run_id: the resource's `job`.
        namespace: the resource's: two runs of one id in a project need two of them, or their points are refused.

    Raises:
        BadInput: if no credentials or no project are found.
    """

    def __init__(self, project: str | None, run_id: str, namespace: str = NAMESPACE) -> None:
        from google.cloud.monitoring_v3 import MetricServiceClient

        self._client, self.project = google.client(MetricServiceClient, "monitoring", project, FIELD)
        self._resource = resource(self.project, run_id, namespace)
        self._described: set[str] = set()
        self._ends: dict[str, float] = {}

    def fits(self, records: Sequence[Point]) -> int:
        """As many as a request may hold; of each series one."""
        seen: set[str] = set()
        for count, point in enumerate(records[:MOST_IN_A_REQUEST]):
            if point.sample.key in seen:
                return count
            seen.add(point.sample.key)
        return len(seen)

    def send(self, records: Sequence[Point]) -> Lost:
        """One `CreateTimeSeries`, after the descriptors of metrics that it meets for the first time.

        Raises:
            Refused: if none is taken.
            Exception: if the service does not answer.
        """
        allowed = [point for point in records if point.time_seconds > time.time() - OLDEST_SECONDS]
        lost = Lost(len(records) - len(allowed), "older than a day")
        if not allowed:
            return lost
        ends = {point.sample.key: self._end(point) for point in allowed}
        self._describe(allowed)
        series = [self._series(point, ends[point.sample.key]) for point in allowed]
        refused = self._create(series)
        self._ends |= ends
        return refused if refused.records else lost

    def close(self) -> None:
        """Close the connection."""
        self._client.transport.close()

    def _create(self, series: Sequence["TimeSeries"]) -> Lost:
        from google.api_core import exceptions

        try:
            self._client.create_time_series(
                name=f"projects/{self.project}", time_series=series, retry=None, timeout=google.CALL_SECONDS
            )
        except exceptions.GoogleAPICallError as error:
            summary = _summary(error)
            if summary is not None:  # some were written, and would be refused the second time
                return Lost(summary.total_point_count - summary.success_point_count, error.message)
            if isinstance(error, exceptions.InvalidArgument):
                raise Refused(error.message) from error
            raise
        return Lost()

    def _describe(self, points: Sequence[Point]) -> None:
        """Make the descriptors that are missing; one that is there already, and differs, stays as it is."""
        from google.api_core import exceptions

        for metric in {point.sample.metric.name: point.sample.metric for point in points}.values():
            if metric.name not in self._described:
                with contextlib.suppress(exceptions.AlreadyExists, exceptions.InvalidArgument):
                    self._client.create_metric_descriptor(
                        name=f"projects/{self.project}",
                        metric_descriptor=descriptor(metric),
                        retry=None,
                        timeout=google.CALL_SECONDS,
                    )
                self._described.add(metric.name)

    def _end(self, point: Point) -> float:
        """The point's time; later if the last interval was short, as a run's very last can be."""
        return max(point.time_seconds, self._ends.get(point.sample.key, 0.0) + LEAST_APART_SECONDS)

    def _series(self, point: Point, end_seconds: float) -> "TimeSeries":
        from google.cloud.monitoring_v3 import TimeSeries

        metric, values = point.sample.metric, point.sample.label_values
        return TimeSeries(
            metric={"type": PREFIX + metric.name, "labels": dict(zip(metric.labels, values, strict=True))},
            resource=self._resource,
            points=[{"interval": {"end_time": _timestamp(end_seconds)}, "value": {"double_value": point.value}}],
        )


def resource(project: str, run_id: str, namespace: str = NAMESPACE) -> dict[str, Any]:
    """The monitored resource of a run, for metrics and logs."""
    labels = {
        "project_id": project,
        "location": "global",
        "namespace": namespace,
        "job": run_id,
        "task_id": "trainer",
    }
    return {"type": RESOURCE, "labels": labels}


def descriptor(metric: catalogue.Metric) -> "MetricDescriptor":
    """What Cloud Monitoring knows about a metric."""
    from google.api.label_pb2 import LabelDescriptor
    from google.api.metric_pb2 import MetricDescriptor

    return MetricDescriptor(
        type=PREFIX + metric.name,
        metric_kind=MetricDescriptor.GAUGE,
        value_type=MetricDescriptor.DOUBLE,
        unit=UNITS[metric.unit],
        description=metric.help,
        display_name=metric.name,
        labels=[LabelDescriptor(key=label, value_type=LabelDescriptor.STRING) for label in metric.labels],
    )


def _timestamp(seconds: float) -> dict[str, int]:
    whole = int(seconds)
    return {"seconds": whole, "nanos": int((seconds - whole) * 1e9)}


def _summary(error: Any) -> Any:
    """How many points of a request that failed were written, if the service says so."""
    from google.cloud.monitoring_v3 import CreateTimeSeriesSummary

    for detail in error.details:
        if isinstance(detail, CreateTimeSeriesSummary.pb()):
            return detail
        if getattr(detail, "type_url", "").endswith("google.monitoring.v3.CreateTimeSeriesSummary"):
            return CreateTimeSeriesSummary.deserialize(detail.value)
    return None
