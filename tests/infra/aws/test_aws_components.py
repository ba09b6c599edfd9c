"""A whole site in AWS: where it is made, how it is marked, what it exports, and what no state may hold in clear."""

import json

import aws_site
import pulumi
import pytest
from aws_site import REGION

from infra.aws import policy_document

CPU = {"machines": "c7i.large"}
ALL = {"email": "ops@example.com", "budgetUsd": "500", "seeds": "2", "lifecycle": "keep", "analytics": "true"}
SWITCHES = [{}, {"egress": "private", "whenDone": "stay", "lifecycle": "cleanup"}, {**ALL, "spot": "false"}]


@pytest.mark.parametrize("switched", SWITCHES, ids=["usual", "private", "all"])
def test_a_preview_and_an_up_ask_for_the_same_resources(switched):
    made, previewed = (aws_site.seen(**CPU, **switched, preview=preview) for preview in (False, True))
    assert [sorted((each.type, each.name) for each in found.resources) for found in (made, previewed)] == [
        sorted((each.type, each.name) for each in made.resources)
    ] * 2
    assert len({each.urn for each in made.resources}) == len(made.resources)


@pytest.mark.parametrize("switched", SWITCHES, ids=["usual", "private", "all"])
def test_everything_is_made_by_one_provider_which_marks_it(switched):
    site = aws_site.seen(**CPU, **switched)
    (provider,) = [each for each in site.resources if each.type == "pulumi:providers:aws"]
    assert provider.inputs["region"] == REGION
    tags = {"slipway-stack": "dev", "managed-by": "pulumi"}
    assert json.loads(provider.inputs["defaultTags"]) == {"tags": tags}  # a provider's arguments are JSON
    made = [each for each in site.resources if each.custom and each is not provider]
    assert len(made) > 50
    assert {each.provider.rsplit("::", 1)[0] for each in made} == {provider.urn}
    assert all("slipway:aws:" in each.parent for each in made)  # within a component
    assert all(each.name.startswith("slipway-dev-") for each in site.resources if each.kind != "Stack")


def test_what_is_exported():
    outputs = aws_site.seen(**CPU, **ALL).outputs
    runs = outputs["runs"]
    assert len(runs) == 2
    assert outputs["groups"].keys() == set(runs)
    assert outputs["region"] == REGION
    assert outputs["store"] == f"s3://{outputs['bucket']}/runs"
    assert outputs["logGroup"].startswith("/slipway/dev/")
    assert outputs["dashboardUrl"].startswith("https://")
    assert outputs["machinePrice"] > 0
    assert all(value is not None for value in outputs.values())


def test_two_sites_of_an_account_share_no_name():
    one, two = (aws_site.seen(**CPU, stack=stack) for stack in ("dev", "other"))

    def fixed(site):
        """Names that no random characters make one of a kind."""
        given = ("name", "bucketName", "roleName")
        return {(each.type, each.inputs[key]) for each in site.resources for key in given if key in each.inputs}

    assert not fixed(one) & fixed(two)


def test_the_account_is_asked_for_all_that_policies_name():
    site = aws_site.record_site(
        **CPU,
        answers={
            "aws:index/getCallerIdentity:getCallerIdentity": {"accountId": "210987654321"},
            "aws:index/getPartition:getPartition": {"partition": "aws-us-gov"},
        },
    )
    text = "".join(each.inputs["policy"] for each in site.resources if "policy" in each.inputs)
    assert "arn:aws-us-gov:iam::210987654321:root" in text
    assert f"arn:aws-us-gov:ec2:{REGION}:210987654321:instance/*" in text


def test_a_document_is_as_aws_gives_it_back():
    told = []

    def program():
        policy_document.document(
            policy_document.allow("One", ["s3:GetObject"], [pulumi.Output.concat("arn:aws:s3:::", "a")]),
            policy_document.deny(
                "Two", ["s3:*", "kms:*"], ["a", "b"], principal=policy_document.ANYBODY, conditions={"Bool": {"x": "y"}}
            ),
        ).apply(told.append)

    aws_site.recorded(program)
    assert told == [
        '{"Version": "2012-10-17", "Statement": ['
        '{"Sid": "One", "Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::a"}, '
        '{"Sid": "Two", "Effect": "Deny", "Principal": {"AWS": "*"}, "Action": ["s3:*", "kms:*"], '
        '"Resource": ["a", "b"], "Condition": {"Bool": {"x": "y"}}}]}'
    ]
