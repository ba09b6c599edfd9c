"""What the Terraform provider refuses when a preview checks a resource's arguments, asked through the plugin alone.

So a site whose preview succeeds has none of it. What is let through shows what the settings must check themselves.
"""

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import grpc
import psutil
import pytest
from aws_account import PROVIDER
from aws_provider import executable, wire
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc

pytestmark = pytest.mark.skipif(executable.find() is None, reason="there is no terraform-provider-aws")

TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "ec2.amazonaws.com"}}],
}
GROUP = {"minSize": 0, "maxSize": 1, "availabilityZones": ["us-east-1a"]}
OF_TEMPLATE = {**GROUP, "launchTemplate": {"id": "lt-0123456789abcdef0"}}
TEMPLATE, ALARM_TYPE = "ec2/launchTemplate:LaunchTemplate", "cloudwatch/metricAlarm:MetricAlarm"
ALARM = {"comparisonOperator": "GreaterThanThreshold", "evaluationPeriods": 1, "metricName": "a", "namespace": "b"}


def policy(**changes):
    statement = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*", **changes}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def mixed(strategy):
    specification = {"launchTemplateSpecification": {"launchTemplateId": "lt-0123456789abcdef0", "version": "1"}}
    return {"launchTemplate": specification, "instancesDistribution": {"spotAllocationStrategy": strategy}}


REFUSED = [
    ("kms/key:Key", {"deletionWindowInDays": 3}, "deletionWindowInDays", "range"),
    ("kms/key:Key", {"policy": "{not json"}, "policy", "JSON"),
    ("kms/key:Key", {"enableKeyRotation": True, "rotationPeriodInDays": 30}, "rotationPeriodInDays", "range"),
    ("kms/alias:Alias", {"name": "site", "targetKeyId": "k"}, "name", "alias/"),
    ("iam/role:Role", {"assumeRolePolicy": "{oops"}, "assumeRolePolicy", "JSON"),
    ("iam/role:Role", {"assumeRolePolicy": TRUST, "maxSessionDuration": 60}, "maxSessionDuration", "range"),
    ("iam/rolePolicyAttachment:RolePolicyAttachment", {"role": "r", "policyArn": "no-arn"}, "policyArn", "ARN"),
    ("ec2/vpc:Vpc", {"cidrBlock": "10.0.0.0/99"}, "cidrBlock", "CIDR"),
    ("ec2/vpc:Vpc", {"cidrBlock": "10.0.0.1/16"}, "cidrBlock", "expected 10.0.0.0/16"),
    ("ec2/vpcEndpoint:VpcEndpoint", {"vpcId": "v", "vpcEndpointType": "Magic"}, "vpcEndpointType", "Magic"),
    ("ec2/flowLog:FlowLog", {"vpcId": "v", "trafficType": "SOME"}, "trafficType", "SOME"),
    (TEMPLATE, {"metadataOptions": {"httpTokens": "must"}}, "metadataOptions.httpTokens", ""),
    (TEMPLATE, {"metadataOptions": {"httpToken": "required"}}, "metadataOptions.httpToken", ""),
    (TEMPLATE, {"ebsOptimised": True}, "ebsOptimised", "no such argument"),
    (TEMPLATE, {"tagSpecifications": [{"resourceType": "dog"}]}, "resourceType", "dog"),
    ("autoscaling/group:Group", {**OF_TEMPLATE, "launchConfiguration": "l"}, "launchConfiguration", "only one of"),
    ("cloudwatch/logGroup:LogGroup", {"retentionInDays": 31}, "retentionInDays", "31"),
    ("cloudwatch/logGroup:LogGroup", {"logGroupClass": "CHEAP"}, "logGroupClass", "CHEAP"),
    (ALARM_TYPE, {**ALARM, "comparisonOperator": "MoreThan"}, "comparisonOperator", "MoreThan"),
    (ALARM_TYPE, {**ALARM, "treatMissingData": "never"}, "treatMissingData", "never"),
    (ALARM_TYPE, {**ALARM, "statistic": "Mean"}, "statistic", "Mean"),
    ("cloudwatch/dashboard:Dashboard", {"dashboardName": "d", "dashboardBody": "{oops"}, "dashboardBody", "JSON"),
    ("s3/bucketVersioning:BucketVersioning",
     {"bucket": "b", "versioningConfiguration": {"status": "On"}}, "versioningConfiguration.status", "On"),
    ("s3/bucketPolicy:BucketPolicy", {"bucket": "b", "policy": "{nope"}, "policy", "JSON"),
    ("s3/bucketOwnershipControls:BucketOwnershipControls",
     {"bucket": "b", "rule": {"objectOwnership": "Me"}}, "rule.objectOwnership", "Me"),
    ("s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration",
     {"bucket": "b", "rules": [{"id": "a", "status": "Enabledd"}]}, "rules[0].status", "Enabledd"),
    ("sns/topicSubscription:TopicSubscription", {"topic": "t", "protocol": "pigeon", "endpoint": "e"}, "protocol", ""),
    ("budgets/budget:Budget", {"budgetType": "MONEY", "timeUnit": "MONTHLY"}, "budgetType", "MONEY"),
    ("ssm/parameter:Parameter", {"type": "Text", "value": "1"}, "type", "Text"),
]  # fmt: skip
"""Type, inputs, what the path of the complaint has in it, and what its text has."""

LET_THROUGH = [
    ("iam/policy:Policy", {"policy": policy(Effect="Alow")}),
    (TEMPLATE, {"instanceType": "t99.huge"}),
    ("autoscaling/group:Group", {**GROUP, "mixedInstancesPolicy": mixed("cheapest")}),
    ("autoscaling/group:Group", {**OF_TEMPLATE, "minSize": 3}),
    ("s3/bucket:Bucket", {"bucket": "Bad_Name"}),
]
"""What the provider leaves to AWS, or to nobody."""


def start(folder, shell=()):
    """The plugin in a process, or in one of a shell's."""
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "AWS_PROVIDER_EXECUTABLE": str(executable.find()),
        "AWS_PROVIDER_ENDPOINT": "http://127.0.0.1:9",  # nobody is asked
        "AWS_PROVIDER_FOLDER": str(folder),
    }
    command = [*shell, PROVIDER / "pulumi-resource-aws"]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


@contextlib.contextmanager
def asking(plugin):
    """Asks a plugin as the engine does at preview: (path, text) of complaints about inputs."""
    with grpc.insecure_channel(f"127.0.0.1:{plugin.stdout.readline().strip()}") as channel:
        stub = provider_pb2_grpc.ResourceProviderStub(channel)

        def ask(kind, inputs):
            urn = f"urn:pulumi:test::site::aws:{kind}::it"
            reply = stub.Check(provider_pb2.CheckRequest(urn=urn, news=wire.write(inputs), randomSeed=b"seed"))
            return [(each.property, each.reason) for each in reply.failures]

        yield ask


@pytest.fixture(scope="module")
def check(tmp_path_factory):
    plugin = start(tmp_path_factory.mktemp("provider"))
    with asking(plugin) as ask:
        yield ask
    plugin.kill()
    plugin.communicate()


@pytest.mark.parametrize(("kind", "inputs", "path", "text"), REFUSED)
def test_refused(check, kind, inputs, path, text):
    complaints = check(kind, inputs)
    assert any(path in where and text in reason for where, reason in complaints), complaints


@pytest.mark.parametrize(("kind", "inputs"), LET_THROUGH)
def test_let_through(check, kind, inputs):
    assert check(kind, inputs) == []


def test_the_provider_ends_when_the_engine_is_killed(tmp_path):
    engine = start(tmp_path, ["sh", "-c", '"$0" & wait'])
    with asking(engine) as ask:
        assert ask("ec2/vpc:Vpc", {"cidrBlock": "10.0.0.0/16"}) == []
        behind = psutil.Process(engine.pid).children(recursive=True)
        assert any("terraform-provider-aws" in process.exe() for process in behind)
        engine.kill()
        _, alive = psutil.wait_procs(behind, timeout=20)
    assert alive == []
    engine.communicate()
