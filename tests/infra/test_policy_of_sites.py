"""Whole sites against the policy pack, checkov and parliament: no open finding, and no waiver that nothing needs.

Resources are as mocks record them: what a program asks for. Checkov reads them as a Terraform plan.
"""

import fnmatch
import json
import subprocess
from pathlib import Path

import aws_site
import gcp_site
import pytest
import terraform_plan

from infra.policy import aws, gcp
from infra.policy.rules import Resource, violations
from infra.policy.waivers import WAIVERS

PYTHON = Path(__file__).parents[2] / ".tools/checkers/bin/python"
QUICKSIGHT = "arn:aws:quicksight:us-east-1:123456789012:user/default/me"
AWS = {
    "usual": {},
    "all": {
        "email": "ops@example.com", "budgetUsd": "500", "analytics": "true", "quicksightUser": QUICKSIGHT,
        "lifecycle": "keep", "seeds": "2", "zones": "3",
    },
    "private": {"egress": "private", "machines": "c7i.large", "spot": "false", "lifecycle": "cleanup"},
}  # fmt: skip
GCP = {
    "usual": {},
    "all": {
        "email": "ops@example.com", "budgetUsd": "500", "billingAccount": "012345-6789AB-CDEF01", "analytics": "true",
        "lifecycle": "keep", "seeds": "2",
    },
    "private": {"egress": "private", "machines": "e2-standard-4", "spot": "false", "lifecycle": "cleanup"},
}  # fmt: skip


def recorded(cloud, name):
    """The resources of a site in the clouds' words and Pulumi's."""
    if cloud == "aws":
        return aws_site.record_site(**AWS[name]).resources
    return gcp_site.record(**GCP[name])[0]


SITES = [("aws", name) for name in AWS] + [("gcp", name) for name in GCP]


def as_resources(found):
    return [Resource(each.type, each.name, each.urn, each.inputs, each.refers_to) for each in found]


@pytest.mark.parametrize(("cloud", "name"), SITES)
def test_a_site_keeps_every_rule(cloud, name):
    rules = {"aws": aws.RULES, "gcp": gcp.RULES}[cloud]
    found = violations(rules, as_resources(recorded(cloud, name)))
    assert [(each.rule.name, each.resource.name, each.problem) for each in found] == []


def test_every_waiver_of_ours_is_needed():
    resources = [each for cloud, name in SITES for each in as_resources(recorded(cloud, name))]
    broken = {
        (rule.name, resource.type, resource.name)
        for rule in (*aws.RULES, *gcp.RULES)
        for resource, _ in rule.violations(resources)
    }
    ours = [each for each in WAIVERS if not each.rule.startswith("CKV")]
    assert ours
    for waiver in ours:
        assert any(waiver.covers(*each) for each in broken), waiver
        assert waiver.reason.endswith(".") or "https://" in waiver.reason


@pytest.mark.slow
@pytest.mark.parametrize("cloud", ["aws", "gcp"])
def test_checkov_finds_nothing_that_is_not_waived(cloud, tmp_path):
    passed, failed = terraform_plan.checkov(recorded(cloud, "all"), tmp_path)
    # That it understood the plan: demands that it could only see kept by blocks and references.
    wanted = {
        "aws": {"CKV_AWS_79", "CKV_AWS_88", "CKV2_AWS_11", "CKV2_AWS_12", "CKV2_AWS_6", "CKV_AWS_300", "CKV_AWS_158"},
        "gcp": {"CKV_GCP_29", "CKV_GCP_114", "CKV_GCP_43", "CKV_GCP_26", "CKV_GCP_40", "CKV_GCP_39", "CKV_GCP_32"},
    }[cloud]
    assert wanted <= passed
    mine = [each for each in WAIVERS if each.rule.startswith("CKV") and f"_{cloud.upper()}_" in each.rule]

    def covering(check, address):
        kind, name = address.split(".", 1)
        return [each for each in mine if each.covers(check, kind, name)]

    assert [each for each in failed if not covering(each[0], each[1])] == []
    used = {waiver for check, address, _ in failed for waiver in covering(check, address)}
    assert used == set(mine)


PARLIAMENT = """
import json, sys, parliament
found = []
for name, text in json.load(sys.stdin):
    for each in parliament.analyze_policy_string(text).findings:
        found.append([name, each.issue, each.severity, str(each.detail)])
print(json.dumps(found))
"""
PARLIAMENT_WAIVERS = {
    ("RESOURCE_MISMATCH", "logs:DescribeLogGroups"): "Its tables are older than the action's resource, log groups.",
}
"""What parliament finds in IAM documents and is right all the same, and why."""


def documents(resources):
    """The IAM documents of a site that are attached to roles; those of resources, parliament does not know."""
    return [
        (each.name, each.inputs["policy"])
        for each in resources
        if each.type in ("aws:iam/policy:Policy", "aws:iam/rolePolicy:RolePolicy")
    ]


def test_parliament_finds_nothing_in_any_iam_document():
    found = [each for name in AWS for each in documents(recorded("aws", name))]
    assert {name.rsplit("-", 1)[-1] for name, _ in found} >= {"node", "flow"}
    broken = json.dumps(
        {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:Nope", "Resource": "*"}]}
    )
    asked = json.dumps([*sorted(set(found)), ("broken", broken)])
    done = subprocess.run([PYTHON, "-c", PARLIAMENT], input=asked, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert any(name == "broken" for name, *_ in said)  # it looked
    open_findings = [
        each
        for each in said
        if each[0] != "broken"
        and not any(each[1] == issue and fnmatch.fnmatch(each[3], f"*{what}*") for issue, what in PARLIAMENT_WAIVERS)
    ]
    assert open_findings == []
