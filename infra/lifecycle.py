"""What a site's `slipway:lifecycle` decides, in one table.

Pulumi and the clouds spread over many arguments what belongs together: whether a resource may go, what goes with it,
and how long it could be had back. Force-destroy and protection are read from a stack's state, so `cleanup` takes
effect with an `up`, and only then does `destroy` remove everything.
"""

import dataclasses
import enum
from collections.abc import Mapping


class Lifecycle(enum.StrEnum):
    """How long a site, and what it made, is to be kept."""

    DEV = "dev"
    KEEP = "keep"
    CLEANUP = "cleanup"


@dataclasses.dataclass(frozen=True)
class Rules:
    """What is done with what a site keeps: its bucket, keys, logs and tables.

    Attributes:
        protect: whether Pulumi refuses to delete bucket and keys (resource option `protect`).
        force_destroy: whether a bucket or dataset is deleted with all that is in it.
        deletion_protection: whether the cloud refuses to delete what has such a switch.
        key_deletion_days: how long a deleted key can be had back: 7 to 30 days in AWS, 1 to 120 in Google Cloud.
        log_retention_days: how long logs are kept; a number that CloudWatch Logs takes.
        deleted_object_days: how long deleted or replaced objects can be had back; 0: not at all.
        final_archive: whether results must have been copied out of the bucket before it goes.
    """

    protect: bool
    force_destroy: bool
    deletion_protection: bool
    key_deletion_days: int
    log_retention_days: int
    deleted_object_days: int
    final_archive: bool


RULES: Mapping[Lifecycle, Rules] = {
    Lifecycle.DEV: Rules(
        protect=False,
        force_destroy=False,
        deletion_protection=False,
        key_deletion_days=7,
        log_retention_days=30,
        deleted_object_days=7,
        final_archive=False,
    ),
    Lifecycle.KEEP: Rules(
        protect=True,
        force_destroy=False,
        deletion_protection=True,
        key_deletion_days=30,
        log_retention_days=365,
        deleted_object_days=30,
        final_archive=True,
    ),
    Lifecycle.CLEANUP: Rules(
        protect=False,
        force_destroy=True,
        deletion_protection=False,
        key_deletion_days=7,
        log_retention_days=30,
        deleted_object_days=0,
        final_archive=False,
    ),
}
"""The one table."""

MEANINGS: Mapping[str, str] = {
    "protect": "Pulumi refuses to delete bucket and keys",
    "force_destroy": "buckets and datasets go with all that is in them",
    "deletion_protection": "the cloud refuses to delete what has such a switch",
    "key_deletion_days": "days for which a deleted key can be had back",
    "log_retention_days": "days for which logs are kept",
    "deleted_object_days": "days for which deleted or replaced objects can be had back",
    "final_archive": "`slipway cloud destroy` asks for a copy of the results first",
}
"""What each column means, for the docs."""


def table() -> str:
    """The table in Markdown, for the docs."""
    names = [field.name for field in dataclasses.fields(Rules)]
    head = ["| | " + " | ".join(f"`{each}`" for each in Lifecycle) + " |", "|---" * (len(Lifecycle) + 1) + "|"]
    rows = [
        "| " + " | ".join([MEANINGS[name], *(_shown(getattr(RULES[each], name)) for each in Lifecycle)]) + " |"
        for name in names
    ]
    return "\n".join([*head, *rows])


def _shown(value: bool | int) -> str:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
