"""Sections of the run file for the clouds' metrics and logs."""

from typing import Annotated, Self

from pydantic import Field, Strict, model_validator

from trainer.config.section import Contradiction, Section, refuse
from trainer.errors import nearest
from trainer.metrics import catalogue

Metrics = Annotated[
    tuple[str, ...],
    Strict(strict=False),
    Field(
        min_length=1,
        description="Names of the [catalogue](metrics.md); `essential` and `all` stand for many. Each costs money.",
    ),
]

NAMESPACE, GROUP = r"^[A-Za-z0-9._/#-][A-Za-z0-9._/#: -]{0,254}$", r"^[A-Za-z0-9._/#-]{1,512}$"
STREAM, LOG_NAME = r"^[^:*]{1,512}$", r"^[A-Za-z0-9._-]{1,512}$"
PROJECT = r"^([a-z0-9.-]+:)?[a-z][a-z0-9-]{4,28}[a-z0-9]$"
SITE = r"^[A-Za-z0-9._-]{1,100}$"
PATTERNS = {
    NAMESPACE: "letters, digits, spaces and . - _ / # :, not starting with a space or colon, at most 255",
    GROUP: "letters, digits and . - _ / #, at most 512",
    STREAM: "characters without : and *, at most 512",
    LOG_NAME: "letters, digits, dots, dashes and underscores, at most 512",
    PROJECT: "a project's id: small letters, digits and dashes, starting with a letter, 6 to 30",
    SITE: "letters, digits, dots, dashes and underscores, at most 100",
}
"""The services' rules for names, in words."""


class ChosenMetrics(Section):
    """What sinks share that send chosen metrics."""

    enabled: bool = Field(default=False, description="Send them.")
    metrics: Metrics = ("essential",)

    @property
    def names(self) -> tuple[str, ...]:
        """The metrics that are sent."""
        return catalogue.chosen(self.metrics)

    @model_validator(mode="after")
    def _known(self) -> Self:
        known = (*catalogue.CHOICES, *catalogue.CHOICES["all"])
        refuse([_unknown(index, word, known) for index, word in enumerate(self.metrics) if word not in known])
        return self


def _unknown(index: int, word: str, known: tuple[str, ...]) -> Contradiction:
    near = nearest(word, known)
    cure = f"write {near}" if near else "see docs/reference/metrics.md"
    return Contradiction(f"metrics[{index}]", word, "essential, all, or the name of a metric that is a number", cure)


class CloudWatch(ChosenMetrics):
    """Metrics to Amazon CloudWatch."""

    namespace: str = Field(
        default="Slipway",
        pattern=NAMESPACE,
        description="CloudWatch's name for the whole; `AWS/` begins Amazon's own.",
    )
    interval_seconds: float = Field(
        default=60, ge=1, le=86_400, description="Rows of so long make one point: least, greatest, sum and count."
    )

    @model_validator(mode="after")
    def _ours(self) -> Self:
        if self.namespace.startswith("AWS/"):
            cure = "write it without AWS/ at its start"
            refuse([Contradiction("namespace", self.namespace, "a name that does not begin with AWS/", cure)])
        return self


class CloudMonitoring(ChosenMetrics):
    """Metrics to Google Cloud Monitoring."""

    project: str | None = Field(
        default=None, pattern=PROJECT, description="Project that has the metrics; null: the credentials' own."
    )
    namespace: str = Field(
        default="slipway",
        pattern=SITE,
        description="Label `namespace` of the monitored resource: tells runs of one name in a project apart.",
    )
    interval_seconds: float = Field(
        default=60, ge=5, le=86_400, description="Rows of so long make one point: their mean, or the newest of totals."
    )


class CloudWatchLogs(Section):
    """Lines to a group of Amazon CloudWatch Logs."""

    enabled: bool = Field(default=False, description="Send them.")
    group: str = Field(
        default="/slipway/runs",
        pattern=GROUP,
        description="Log group; it must be there.",
    )
    stream: str | None = Field(
        default=None,
        pattern=STREAM,
        description="Log stream, made if missing; null: the run's id.",
    )


class CloudLogging(Section):
    """Lines to Google Cloud Logging."""

    enabled: bool = Field(default=False, description="Send them.")
    project: str | None = Field(
        default=None, pattern=PROJECT, description="Project that has the log; null: the credentials' own."
    )
    log_name: str = Field(default="slipway", pattern=LOG_NAME, description="Name of the log.")


class Logs(Section):
    """What a run says, as one JSON object a line."""

    stdout: bool = Field(default=False, description="Write them to standard output, for an agent to collect.")
    interval_seconds: float = Field(default=60, ge=1, description="The least time between two lines of figures.")
    cloudwatch: CloudWatchLogs = Field(default_factory=CloudWatchLogs, description="Amazon CloudWatch Logs.")
    cloud_logging: CloudLogging = Field(default_factory=CloudLogging, description="Google Cloud Logging.")
