"""Lines to Google Cloud Logging.

Limits are those of https://cloud.google.com/logging/quotas.
"""

import dataclasses
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from trainer.clouds import google
from trainer.logs.lines import Line
from trainer.metrics.sinks.batched import Lost, Refused
from trainer.metrics.sinks.cloud_monitoring import resource

if TYPE_CHECKING:
    from google.cloud.logging_v2.types import LogEntry

NAME, FIELD = "Cloud Logging", "sinks.logs.cloud_logging"
MOST_IN_A_REQUEST, MOST_BYTES = 1000, 5_000_000
"""A request may have 10 MB; protocol buffers of numbers take more room than their JSON."""


class CloudLogging:
    """Where lines go (`Destination`), under the monitored resource that the run's metrics have.

    Args:
        project: whose log; None takes the credentials' own.
        log_name: its name.
        run_id: the resource's `job`.

    Raises:
        BadInput: if no credentials or no project are found.
    """

    def __init__(self, project: str | None, log_name: str, run_id: str) -> None:
        from google.cloud.logging_v2.services.logging_service_v2 import LoggingServiceV2Client

        self._client, self.project = google.client(LoggingServiceV2Client, "logging", project, FIELD)
        self._log_name = f"projects/{self.project}/logs/{log_name}"
        self._resource = resource(self.project, run_id)

    def fits(self, records: Sequence[Line]) -> int:
        """As many as a request may hold, in number and bytes."""
        size = 0
        for count, line in enumerate(records[:MOST_IN_A_REQUEST]):
            size += len(line.encode().encode())
            if count and size > MOST_BYTES:
                return count
        return min(len(records), MOST_IN_A_REQUEST)

    def send(self, records: Sequence[Line]) -> Lost:
        """One `WriteLogEntries`; entries that are sent twice are kept once.

        Raises:
            Refused: if none is taken.
            Exception: if the service does not answer.
        """
        from google.api_core import exceptions

        try:
            self._client.write_log_entries(
                request={
                    "log_name": self._log_name,
                    "resource": self._resource,
                    "entries": [_entry(line) for line in records],
                    "partial_success": True,
                },
                retry=None,
                timeout=google.CALL_SECONDS,
            )
        except exceptions.GoogleAPICallError as error:
            refused = _refused(error)
            if refused:  # the others were written
                return Lost(refused, error.message)
            if isinstance(error, exceptions.InvalidArgument):
                raise Refused(error.message) from error
            raise
        return Lost()

    def close(self) -> None:
        """Close the connection."""
        self._client.transport.close()


def _entry(line: Line) -> "LogEntry":
    from google.cloud.logging_v2.types import LogEntry

    return LogEntry(
        timestamp=datetime.fromtimestamp(line.time_seconds, UTC),
        severity=str(line.severity),
        insert_id=line.line_id,
        labels=dataclasses.asdict(line.run),
        json_payload=line.payload,
    )


def _refused(error: Any) -> int:
    """How many entries of a request were not written, if the service says which; else 0."""
    from google.cloud.logging_v2.types import WriteLogEntriesPartialErrors

    for detail in error.details:
        if isinstance(detail, WriteLogEntriesPartialErrors.pb()):
            return len(detail.log_entry_errors)
        if getattr(detail, "type_url", "").endswith("google.logging.v2.WriteLogEntriesPartialErrors"):
            return len(WriteLogEntriesPartialErrors.deserialize(detail.value).log_entry_errors)
    return 0
