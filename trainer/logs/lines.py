"""Lines of a log: what they say, and how they are written.

The keys `time`, `severity` and `message` are those that Cloud Logging's agents take out of a JSON line
(https://cloud.google.com/logging/docs/structured-logging); CloudWatch's Logs Insights finds all keys by itself.
"""

import dataclasses
import enum
import json
import math
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

LONGEST_MESSAGE = 16_000
"""Characters of a message: no service then refuses a line for its length."""


class Severity(enum.StrEnum):
    """How much a line matters, in Cloud Logging's words."""

    INFO = "INFO"
    NOTICE = "NOTICE"
    WARNING = "WARNING"
    ERROR = "ERROR"


@dataclasses.dataclass(frozen=True)
class Run:
    """Which run a line is of."""

    run_id: str
    env_id: str
    algorithm: str


@dataclasses.dataclass(frozen=True)
class Line:
    """One line.

    Attributes:
        run: whose.
        time_seconds: Unix time.
        severity: how much it matters.
        message: for people.
        step: environment steps of the run so far.
        fields: numbers and words for programs.
        line_id: tells it from all others, so that one that is sent twice is kept once where the service can.
    """

    run: Run
    time_seconds: float
    severity: Severity
    message: str
    step: int
    fields: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    line_id: str = dataclasses.field(default_factory=lambda: secrets.token_hex(8))

    @property
    def payload(self) -> dict[str, Any]:
        """All but time and severity, for JSON: numbers that are not finite are None."""
        return {
            **dataclasses.asdict(self.run),
            "step": self.step,
            "message": self.message[:LONGEST_MESSAGE],
            "fields": {key: _plain(value) for key, value in self.fields.items()},
        }

    def encode(self) -> str:
        """The line as one JSON object, without the line's end."""
        time = datetime.fromtimestamp(self.time_seconds, UTC).isoformat(timespec="milliseconds")
        first = {"time": time.replace("+00:00", "Z"), "severity": str(self.severity)}
        return json.dumps({**first, **self.payload}, allow_nan=False, ensure_ascii=False, separators=(",", ":"))


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, str | bool | int):
        return value
    return float(value) if math.isfinite(value) else None
