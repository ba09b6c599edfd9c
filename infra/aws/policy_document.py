"""Policies of IAM, keys and buckets as JSON.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements.html
"""

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi

Statement = Mapping[str, Any]
"""A statement; texts in it may be outputs."""
Conditions = Mapping[str, Mapping[str, Any]]
"""By operator and key, such as `{"StringEquals": {"aws:SourceAccount": "123456789012"}}`."""
ANYBODY: Mapping[str, Any] = {"AWS": "*"}
"""The principal of statements that conditions narrow, or that deny."""


def allow(
    name: str,
    actions: Sequence[str],
    resources: Sequence[pulumi.Input[str]],
    *,
    principal: Mapping[str, Any] | None = None,
    conditions: Conditions | None = None,
) -> Statement:
    """A statement that allows something.

    Args:
        name: letters and digits, one of a kind in its document.
        actions: what.
        resources: on what; in a key's policy `*` is the key.
        principal: whom; None in a policy of the one whom it is attached to.
        conditions: all of them must hold.
    """
    return _statement("Allow", name, actions, resources, principal, conditions)


def deny(
    name: str,
    actions: Sequence[str],
    resources: Sequence[pulumi.Input[str]],
    *,
    principal: Mapping[str, Any] | None = None,
    conditions: Conditions | None = None,
) -> Statement:
    """A statement that denies something, whoever else allows it; arguments as those of `allow`."""
    return _statement("Deny", name, actions, resources, principal, conditions)


def document(*statements: Statement) -> pulumi.Output[str]:
    """The policy of these statements."""
    return pulumi.Output.json_dumps({"Version": "2012-10-17", "Statement": list(statements)})


def trust(service: str, conditions: Conditions | None = None) -> pulumi.Output[str]:
    """The policy of a role which a service takes."""
    return document(
        _statement("Allow", "Trust", ["sts:AssumeRole"], [], {"Service": f"{service}.amazonaws.com"}, conditions)
    )


def _statement(
    effect: str,
    name: str,
    actions: Sequence[str],
    resources: Sequence[pulumi.Input[str]],
    principal: Mapping[str, Any] | None,
    conditions: Conditions | None,
) -> Statement:
    return {
        "Sid": name,
        "Effect": effect,
        **({"Principal": principal} if principal else {}),
        "Action": _plain(actions),
        **({"Resource": _plain(resources)} if resources else {}),
        **({"Condition": conditions} if conditions else {}),
    }


def _plain(values: Sequence[pulumi.Input[str]]) -> pulumi.Input[str] | list[pulumi.Input[str]]:
    """One value without a list, as AWS gives policies back."""
    return values[0] if len(values) == 1 else list(values)
