"""What a rule is, and how it is asked."""

import dataclasses
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from infra.policy.waivers import WAIVERS, Waiver

Properties = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Resource:
    """A resource as a program registers it.

    Attributes:
        type: Pulumi's, such as `aws:s3/bucket:Bucket`.
        name: its logical name.
        urn: Pulumi's.
        properties: its inputs, in camel case.
        refers_to: by input, the URNs of resources whose outputs it was made of.
    """

    type: str
    name: str
    urn: str
    properties: Properties
    refers_to: Mapping[str, Sequence[str]] = dataclasses.field(default_factory=dict)

    def get(self, path: str, default: Any = None) -> Any:
        """An input by its dotted path; `default` where there is none. A list's first element is `0`."""
        found: Any = self.properties
        for part in path.split("."):
            if isinstance(found, Sequence) and not isinstance(found, str) and part.isdecimal():
                found = found[int(part)] if int(part) < len(found) else None
            else:
                found = found.get(part) if isinstance(found, Mapping) else None
            if found is None:
                return default
        return found

    def document(self, path: str) -> Mapping[str, Any]:
        """An IAM document among its inputs, as JSON or as it is; an empty one if there is none."""
        found = self.get(path, {})
        parsed = json.loads(found) if isinstance(found, str) else found
        return parsed if isinstance(parsed, Mapping) else {}


@dataclasses.dataclass(frozen=True)
class Rule:
    """A rule about each resource of some kinds.

    Attributes:
        name: with dashes.
        says: what must be, in a sentence.
        references: where it is demanded: ids of AWS's Foundational Security Best Practices, CIS benchmarks, checkov.
        kinds: the types it looks at.
        check: gives a sentence for each thing that is wrong.
    """

    name: str
    says: str
    references: tuple[str, ...]
    kinds: tuple[str, ...]
    check: Callable[[Resource], Iterator[str]]

    def violations(self, resources: Iterable[Resource]) -> Iterator[tuple[Resource, str]]:
        """What is wrong with which of some resources, waived or not."""
        for each in resources:
            if each.type in self.kinds:
                for problem in self.check(each):
                    yield each, problem


@dataclasses.dataclass(frozen=True)
class Companion:
    """A rule that each resource of a kind has another one beside it, which refers to it and is as it should be.

    Attributes:
        name: with dashes.
        says: what must be, in a sentence.
        references: as in `Rule`.
        kinds: the type that needs a companion.
        companion: the companion's type.
        key: the companion's input that names the resource.
        check: whether a companion will do.
    """

    name: str
    says: str
    references: tuple[str, ...]
    kinds: tuple[str, ...]
    companion: str
    key: str
    check: Callable[[Resource], bool]

    def violations(self, resources: Iterable[Resource]) -> Iterator[tuple[Resource, str]]:
        """Which of some resources have no such companion."""
        found = list(resources)
        served = {
            urn
            for each in found
            if each.type == self.companion and self.check(each)
            for urn in each.refers_to.get(self.key, ())
        }
        for each in found:
            if each.type in self.kinds and each.urn not in served:
                yield each, f"no {self.companion.rsplit(':', 1)[-1]} for it, or one that will not do"


AnyRule = Rule | Companion


@dataclasses.dataclass(frozen=True)
class Violation:
    """What breaks a rule."""

    rule: AnyRule
    resource: Resource
    problem: str


def waiver(rule: str, resource: Resource) -> Waiver | None:
    """Why a resource need not keep a rule; None if it must."""
    return next((each for each in WAIVERS if each.covers(rule, resource.type, resource.name)), None)


def violations(rules: Iterable[AnyRule], resources: Sequence[Resource]) -> list[Violation]:
    """All that breaks rules, and is not waived."""
    return [
        Violation(rule, resource, problem)
        for rule in rules
        for resource, problem in rule.violations(resources)
        if waiver(rule.name, resource) is None
    ]


def statements(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The statements of an IAM document."""
    found = document.get("Statement", [])
    return [found] if isinstance(found, Mapping) else list(found)


def listed(value: Any) -> list[Any]:
    """A value of an IAM document that may be one or many."""
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else [value]
