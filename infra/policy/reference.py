"""The docs' page of the rules and the waivers: `python -m infra.policy.reference > docs/reference/policies.md`."""

from infra.policy import aws, gcp
from infra.policy.rules import AnyRule
from infra.policy.waivers import WAIVERS

HEAD = """# Policies

Generated from `infra/policy` by `python -m infra.policy.reference`; do not edit.

`slipway cloud` holds every change of a site against these rules before anything is made, and a change that breaks one
is refused. With Pulumi alone: `pulumi preview --policy-pack infra/policy`. References are the ids of AWS's Foundational
Security Best Practices (FSBP), of CIS benchmarks and of checkov.
"""


def page() -> str:
    """The page, in Markdown."""
    parts = [HEAD, "## AWS\n", _table(aws.RULES), "\n## Google Cloud\n", _table(gcp.RULES), "\n## Waivers\n"]
    parts.append("What need not keep a rule, ours or checkov's, and why.\n")
    parts.append("| rule | kind | resource | reason |\n|---|---|---|---|")
    parts += [f"| {each.rule} | `{each.kind}` | `{each.name}` | {each.reason} |" for each in WAIVERS]
    return "\n".join(parts)


def _table(rules: tuple[AnyRule, ...]) -> str:
    rows = [f"| `{rule.name}` | {rule.says} | {', '.join(rule.references)} |" for rule in rules]
    return "\n".join(["| rule | what must be | references |", "|---|---|---|", *rows])


if __name__ == "__main__":
    print(page())  # noqa: T201
