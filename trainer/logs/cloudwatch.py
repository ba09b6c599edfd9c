"""Lines to Amazon CloudWatch Logs.

Limits are those of `PutLogEvents`
(https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutLogEvents.html).
"""

from collections.abc import Sequence

from trainer.clouds import aws
from trainer.errors import BadInput
from trainer.logs.lines import Line
from trainer.metrics.sinks.batched import Lost, Refused

NAME, FIELD = "CloudWatch Logs", "sinks.logs.cloudwatch"
MOST_IN_A_REQUEST, MOST_BYTES, EVENT_BYTES = 10_000, 1_000_000, 26
LONGEST_SPAN_SECONDS = 23 * 3600
"""Events of one request may span a day; the hour is for clocks that are set meanwhile."""


class CloudWatchLogs:
    """Where lines go (`Destination`). The stream is made if it is missing, the group never.

    Args:
        group: the log group.
        stream: the log stream.

    Raises:
        BadInput: if no region or no credentials are found, or the service says that there is no such group.
    """

    def __init__(self, group: str, stream: str) -> None:
        self._group, self._stream = group, stream
        self._client = aws.client("logs", f"{FIELD}.enabled")
        self._has_stream = False
        self._check_group()

    def fits(self, records: Sequence[Line]) -> int:
        """As many as a request may hold, in number, bytes and time."""
        size = 0
        for count, line in enumerate(records[:MOST_IN_A_REQUEST]):
            size += len(line.encode().encode()) + EVENT_BYTES
            span = abs(line.time_seconds - records[0].time_seconds)
            if count and (size > MOST_BYTES or span > LONGEST_SPAN_SECONDS):
                return count
        return min(len(records), MOST_IN_A_REQUEST)

    def send(self, records: Sequence[Line]) -> Lost:
        """One `PutLogEvents`, by time, as the service asks.

        Raises:
            Refused: if it takes none.
            Exception: if it does not answer.
        """
        self._make_stream()
        events = [
            {"timestamp": int(line.time_seconds * 1000), "message": line.encode()}
            for line in sorted(records, key=lambda line: line.time_seconds)
        ]
        try:
            said = self._client.put_log_events(logGroupName=self._group, logStreamName=self._stream, logEvents=events)
        except Exception as error:
            if aws.is_refusal(error):
                raise Refused(str(error)) from error
            self._has_stream = False  # somebody may have removed it
            raise
        rejected = said.get("rejectedLogEventsInfo", {})
        old = max(rejected.get("tooOldLogEventEndIndex", 0), rejected.get("expiredLogEventEndIndex", 0))
        new = len(events) - rejected.get("tooNewLogEventStartIndex", len(events))
        return Lost(old + new, "too old or too new")

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _make_stream(self) -> None:
        if not self._has_stream:
            try:
                self._client.create_log_stream(logGroupName=self._group, logStreamName=self._stream)
            except Exception as error:
                if aws.code(error) != "ResourceAlreadyExistsException":
                    raise
            self._has_stream = True

    def _check_group(self) -> None:
        """Find out whether the group is there; without an answer, or the right to ask, it counts as there."""
        try:
            self._client.describe_log_streams(logGroupName=self._group, limit=1)
        except Exception as error:
            if aws.code(error) == "ResourceNotFoundException":
                cure = f"make it (`aws logs create-log-group --log-group-name {self._group}`), or name another"
                region = self._client.meta.region_name
                allowed = f"a log group that is there, in {region}"
                raise BadInput(f"{FIELD}.group", self._group, allowed, cure) from None
