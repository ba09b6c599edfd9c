"""What IAM makes of policies, as far as a site's use the language: who reads a policy by eye sees what it hopes for.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html. What is not known
here fails, rather than being passed over.
"""

import dataclasses
import fnmatch
import re
from collections.abc import Mapping


@dataclasses.dataclass(frozen=True)
class Request:
    """A request, as AWS sees it when it asks whether it is allowed.

    Attributes:
        action: such as `s3:GetObject`.
        resource: the ARN that it is about; `*` where the action knows none.
        context: condition keys and their values.
        principal: who asks: an ARN or a service's name; None where only the asker's own policies are looked at.
    """

    action: str
    resource: str
    context: Mapping[str, str] = dataclasses.field(default_factory=dict)
    principal: str | None = None


def allowing(statements, request):
    """The names of the statements that allow a request; none if one denies it."""
    found = [each for each in statements if matches(each, request)]
    if any(each["Effect"] == "Deny" for each in found):
        return []
    return [each["Sid"] for each in found]


def allows(statements, request):
    """Whether these statements allow a request."""
    return bool(allowing(statements, request))


def denies(statements, request):
    """Whether one of these statements denies a request."""
    return any(each["Effect"] == "Deny" and matches(each, request) for each in statements)


def matches(statement, request):
    """Whether a statement is about a request."""
    assert statement.keys() <= {"Sid", "Effect", "Principal", "Action", "Resource", "Condition"}, statement
    conditions = statement.get("Condition", {})
    return (
        any(_like(each.lower(), request.action.lower()) for each in listed(statement["Action"]))
        and any(_like(each, request.resource) for each in listed(statement["Resource"]))
        and ("Principal" not in statement or _is_principal(statement["Principal"], request.principal))
        and all(
            _holds(operator, request.context.get(key), listed(values))
            for operator, keys in conditions.items()
            for key, values in keys.items()
        )
    )


def listed(value):
    """One value or many, as a list."""
    return value if isinstance(value, list) else [value]


def _is_principal(principals, asks):
    assert asks is not None, "a policy of a resource is asked who asks"
    return any(name in ("*", asks) for kind in principals.values() for name in listed(kind))


def _like(pattern, text):
    assert "${" not in pattern, "policy variables are not known here"
    return fnmatch.fnmatchcase(text, re.sub(r"\[", "[[]", pattern))


def _arn_like(pattern, arn):
    """Each of the six parts by itself, as a `*` goes no further than its part."""
    patterns, parts = pattern.split(":", 5), arn.split(":", 5)
    return len(patterns) == len(parts) and all(map(_like, patterns, parts))


_OPERATORS = {
    "StringEquals": str.__eq__,
    "StringLike": _like,
    "ArnEquals": _arn_like,
    "ArnLike": _arn_like,
    "Bool": lambda wanted, found: wanted.lower() == found.lower(),
    "NumericLessThan": lambda limit, found: float(found) < float(limit),
}


def _holds(operator, found, wanted):
    if operator == "Null":
        return (found is None) == (wanted == ["true"])
    if operator.endswith("IfExists"):
        return found is None or _holds(operator.removesuffix("IfExists"), found, wanted)
    if "Not" in operator:  # which a key that is not there fulfils
        return found is None or not _holds(operator.replace("Not", ""), found, wanted)
    return found is not None and any(_OPERATORS[operator](each, found) for each in wanted)
