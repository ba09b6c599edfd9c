"""The key of a site in AWS, who may use it, and the logs that it encrypts."""

import aws_site
import iam
import pytest
from aws_site import ACCOUNT, KEY_ID, REGION, arn
from iam import Request

from infra.lifecycle import RULES, Lifecycle

CPU = {"machines": "c7i.large"}
KEY = arn("kms", f"key/{KEY_ID}")
ROOT = arn("iam", "root", "")
AUTO_SCALING = "AWSServiceRoleForAutoScaling_slipway-dev-0123abcd"
ROLE = arn("iam", f"role/aws-service-role/autoscaling.amazonaws.com/{AUTO_SCALING}", "")


@pytest.fixture(scope="module")
def site():
    return aws_site.seen(**CPU)


@pytest.fixture(scope="module")
def policy(site):
    return list(site.statements("KeyPolicy").values())


@pytest.mark.parametrize("lifecycle", Lifecycle)
def test_the_lifecycle_decides_how_a_key_goes(lifecycle):
    key, rules = aws_site.seen(**CPU, lifecycle=str(lifecycle)).one("Key"), RULES[lifecycle]
    assert (key.protect, key.inputs["deletionWindowInDays"]) == (rules.protect, rules.key_deletion_days)
    assert key.inputs["enableKeyRotation"] is True


def test_the_key_is_known_by_a_name(site):
    assert site.one("Alias").inputs["targetKeyId"] == KEY_ID


@pytest.mark.parametrize("stack", ["dev", "a-stack-of-16-ab"])
def test_auto_scaling_has_a_role_of_the_sites_own(stack):
    found = aws_site.seen(**CPU, stack=stack)
    role = found.one("ServiceLinkedRole").inputs
    assert role["awsServiceName"] == "autoscaling.amazonaws.com"
    assert role["customSuffix"] == f"slipway-{stack}-0123abcd"
    # https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateServiceLinkedRole.html, and names of 64 characters
    assert len(f"AWSServiceRoleForAutoScaling_{role['customSuffix']}") <= 64
    assert found.one("Group").inputs["serviceLinkedRoleArn"].endswith(role["customSuffix"])


def ask(action, by, **context):
    return Request(f"kms:{action}", KEY, {key.replace("__", ":"): value for key, value in context.items()}, by)


def of_logs(group, region=REGION):
    context = {"kms:EncryptionContext:aws:logs:arn": arn("logs", f"log-group:{group}")}
    return Request("kms:GenerateDataKey", KEY, context, f"logs.{region}.amazonaws.com")


S3 = f"s3.{REGION}.amazonaws.com"


@pytest.mark.parametrize(
    ("allowed", "refused"),
    [
        (of_logs("/slipway/dev/nodes-1"), of_logs("/slipway/other/nodes-1")),
        (of_logs("/slipway/dev/nodes-1"), of_logs("/slipway/dev/nodes-1", "eu-west-1")),
        (ask("Decrypt", ROOT, kms__ViaService=S3), ask("Decrypt", ROOT)),
        (
            ask("GenerateDataKey", ROOT, kms__ViaService=S3),
            ask("GenerateDataKey", arn("iam", "root", "", "210987654321"), kms__ViaService=S3),
        ),
        (ask("PutKeyPolicy", ROOT), ask("CreateGrant", ROOT)),
        (ask("ScheduleKeyDeletion", ROOT), ask("Encrypt", ROOT)),
        (
            ask("GenerateDataKey", "cloudwatch.amazonaws.com", aws__SourceAccount=ACCOUNT),
            ask("GenerateDataKey", "cloudwatch.amazonaws.com", aws__SourceAccount="210987654321"),
        ),
        (
            ask("Decrypt", "budgets.amazonaws.com", aws__SourceAccount=ACCOUNT),
            ask("Decrypt", "events.amazonaws.com", aws__SourceAccount=ACCOUNT),
        ),
        (ask("GenerateDataKeyWithoutPlaintext", ROLE), ask("GenerateDataKeyWithoutPlaintext", f"{ROLE}-2")),
        (
            ask("CreateGrant", ROLE, kms__GrantIsForAWSResource="true"),
            ask("CreateGrant", ROLE, kms__GrantIsForAWSResource="false"),
        ),
        (ask("CreateGrant", ROLE, kms__GrantIsForAWSResource="true"), ask("CreateGrant", ROLE)),
    ],
)
def test_who_may_use_the_key(policy, allowed, refused):
    assert iam.allows(policy, allowed)
    assert not iam.allows(policy, refused)


def test_nobody_may_do_everything(policy):
    assert all("*" not in action for each in policy for action in iam.listed(each["Action"]))
    assert all("*" not in name for each in policy for name in iam.listed(next(iter(each["Principal"].values()))))


def test_what_the_key_encrypts_waits_for_its_policy(site):
    for kind, what, field in (
        ("LogGroup", "nodes-logs", "kmsKeyId"),
        ("LogGroup", "flow-logs", "kmsKeyId"),
        ("BucketServerSideEncryptionConfiguration", "runs", "rules"),
    ):
        assert any("aws:kms/keyPolicy" in urn for urn in site.one(kind, what).refers_to[field])


@pytest.mark.parametrize("lifecycle", Lifecycle)
def test_logs_are_encrypted_and_end(lifecycle):
    found = aws_site.seen(**CPU, lifecycle=str(lifecycle))
    groups = found.all("LogGroup")
    assert {each.inputs["namePrefix"] for each in groups} == {"/slipway/dev/nodes-", "/slipway/dev/flow-"}
    for each in groups:
        assert each.inputs["retentionInDays"] == RULES[lifecycle].log_retention_days
        assert each.inputs["kmsKeyId"] == KEY
    assert found.outputs["logGroup"] == "/slipway/dev/nodes-1"
