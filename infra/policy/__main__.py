"""The CrossGuard pack: `pulumi preview --policy-pack infra/policy`, and what `slipway cloud` applies by itself."""

from collections.abc import Mapping, Sequence
from typing import Any

from pulumi_policy import (
    EnforcementLevel,
    Policy,
    PolicyPack,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    StackValidationArgs,
    StackValidationPolicy,
)

from infra.policy import aws, gcp
from infra.policy.rules import AnyRule, Companion, Resource, Rule, waiver

RULES: tuple[AnyRule, ...] = (*aws.RULES, *gcp.RULES)
VERSION = "1.0.0"


def _description(rule: AnyRule) -> str:
    return f"{rule.says} ({', '.join(rule.references)})"


def _of_each(rule: Rule) -> ResourceValidationPolicy:
    def validate(args: ResourceValidationArgs, report: ReportViolation) -> None:
        resource = Resource(args.resource_type, args.name, args.urn, args.props)
        if resource.type in rule.kinds and waiver(rule.name, resource) is None:
            for problem in rule.check(resource):
                report(problem, None)

    return ResourceValidationPolicy(rule.name, _description(rule), validate)


def _of_all(rule: Companion) -> StackValidationPolicy:
    def validate(args: StackValidationArgs, report: ReportViolation) -> None:
        resources = [
            Resource(each.resource_type, each.name, each.urn, each.props, _references(each.property_dependencies))
            for each in args.resources
        ]
        for resource, problem in rule.violations(resources):
            if waiver(rule.name, resource) is None:
                report(problem, resource.urn)

    return StackValidationPolicy(rule.name, _description(rule), validate)


def _references(dependencies: Mapping[str, Sequence[Any]]) -> dict[str, list[str]]:
    return {key: [each.urn for each in found] for key, found in dependencies.items()}


def pack() -> PolicyPack:
    """The pack; all its rules are mandatory."""
    policies: list[Policy] = [_of_all(rule) if isinstance(rule, Companion) else _of_each(rule) for rule in RULES]
    return PolicyPack("slipway", policies, EnforcementLevel.MANDATORY)


if __name__ == "__main__":
    pack()
