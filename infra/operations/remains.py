"""What is left of a site that was removed, and why: the only exceptions that its teardown declares."""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from infra.lifecycle import Rules

STACK, PROVIDERS = "pulumi:pulumi:Stack", "pulumi:providers:"


@dataclasses.dataclass(frozen=True)
class Remainder:
    """A kind of resource that a cloud does not remove, or not at once.

    Attributes:
        reason: why it stays, and until when; `{days}` is the lifecycle's waiting time.
        billed: whether it costs something meanwhile.
    """

    reason: str
    billed: bool


REMAINDERS: Mapping[str, Remainder] = {
    "aws:kms/key:Key": Remainder(
        "AWS deletes keys only after a waiting time, here {days} days; until then it can be had back, unbilled",
        billed=False,
    ),
    "gcp:kms/keyRing:KeyRing": Remainder("Google Cloud never deletes key rings; they cost nothing", billed=False),
    "gcp:kms/cryptoKey:CryptoKey": Remainder(
        "Google Cloud never deletes keys; its versions are destroyed after {days} days, and billed until then",
        billed=True,
    ),
    "gcp:logging/projectBucketConfig:ProjectBucketConfig": Remainder(
        "Cloud Logging removes a bucket, and frees its name, 7 days after it was deleted", billed=False
    ),
    "gcp:projects/iAMCustomRole:IAMCustomRole": Remainder(
        "a custom role that was deleted keeps its id for 44 days, and allows nothing", billed=False
    ),
    "gcp:projects/service:Service": Remainder(
        "services that were enabled stay so on purpose, as others in the project may use them", billed=False
    ),
}
"""By Pulumi's type.

Sources: https://docs.aws.amazon.com/kms/latest/developerguide/deleting-keys.html,
https://cloud.google.com/kms/docs/destroy-restore, https://cloud.google.com/logging/docs/buckets,
https://cloud.google.com/iam/docs/creating-custom-roles
"""
KEPT = "it is marked to be kept (retainOnDelete)"


@dataclasses.dataclass(frozen=True)
class Resource:
    """A resource of a stack's state.

    Attributes:
        type: Pulumi's.
        name: its logical name.
        id: the cloud's.
        protected: whether Pulumi refuses to delete it.
        kept: whether it is to be kept when its stack goes.
    """

    type: str
    name: str
    id: str
    protected: bool
    kept: bool

    @property
    def kind(self) -> str:
        """Its kind in short: `aws Bucket`."""
        return f"{self.type.split(':')[0]} {self.type.rsplit(':', 1)[-1]}"


@dataclasses.dataclass(frozen=True)
class Removal:
    """What becomes of a site's resources when it is removed.

    Attributes:
        goes: what is gone at once.
        stays: what is not, each with the reason.
    """

    goes: tuple[Resource, ...]
    stays: tuple[tuple[Resource, str], ...]


def real(state: Iterable[Mapping[str, Any]]) -> list[Resource]:
    """Of a stack's state, what lies in a cloud: no components, no providers, not the stack itself."""
    return [
        Resource(
            each["type"],
            each["urn"].rsplit("::", 1)[-1],
            str(each.get("id", "")),
            bool(each.get("protect")),
            bool(each.get("retainOnDelete")),
        )
        for each in state
        if each.get("custom") and not each["type"].startswith(PROVIDERS) and not each.get("external")
    ]


def foresee(state: Iterable[Mapping[str, Any]], rules: Rules) -> Removal:
    """What a removal would do.

    Args:
        state: the stack's resources, as Pulumi exports them.
        rules: of the lifecycle in force when it goes.
    """
    goes, stays = [], []
    for each in real(state):
        reason = _reason(each, rules)
        if reason is None:
            goes.append(each)
        else:
            stays.append((each, reason))
    return Removal(tuple(goes), tuple(stays))


def _reason(resource: Resource, rules: Rules) -> str | None:
    if resource.kept:
        return KEPT
    found = REMAINDERS.get(resource.type)
    return found.reason.format(days=rules.key_deletion_days) if found else None
