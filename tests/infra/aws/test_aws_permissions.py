"""What a machine does is allowed by the policies that a site makes, and nothing else is.

A machine's own programs do their work against moto: the first boot's, a training's store, metrics and logs, and what
ends a machine. What they asked is judged by the recorded site's policies. That AWS judges alike, and that an agent
of Systems Manager asks for no more than its documents say, only AWS can show.
"""

import contextlib
import dataclasses
import hashlib
import json
import os
import subprocess
import sys
import tarfile
import time
from datetime import UTC, datetime, timedelta

import aws_calls
import aws_site
import boto3
import iam
import metadata_servers
import pytest
from aws_site import ACCOUNT, KEY_ID, REGION, arn
from iam import Request
from stand_in_training import QUICK, StandIn, continued

from infra import bundle
from infra.aws import compute
from trainer.config import source
from trainer.errors import SlipwayError
from trainer.logs.lines import Line, Run, Severity
from trainer.logs.outlets import open_outlets
from trainer.metrics.sinks import exporters
from trainer.node import hooks, user_data
from trainer.run.status import State
from trainer.store.mirror import Mirror
from trainer.store.objects.base import Missing
from trainer.store.objects.places import place
from trainer.store.objects.s3 import PART_BYTES

ROLE = "the-role"
"""The id of the machine's own keys."""
KEY_ARN = arn("kms", f"key/{KEY_ID}")
SMALL = {
    "agent.num_envs": 8,
    "agent.rollout_steps": 32,
    "agent.minibatch_size": 256,
    "budget.env_steps": 8 * 32 * 8,
    "checkpoint.interval_iterations": 1,
    "checkpoint.interval_seconds": None,
    "evaluation.episodes_per_seed": 1,
    "evaluation.seeds": 2,
    "preemption.watch": "none",
}


@pytest.fixture(scope="module")
def site():
    return aws_site.seen(machines="c7i.large")


@pytest.fixture(scope="module")
def node(site):
    """The statements of the machines' policy."""
    return list(site.statements("RolePolicy", "node").values())


def test_the_boundary_allows_what_the_role_is_allowed(site):
    role = site.one("Role", "node")
    assert role.inputs["permissionsBoundary"] == arn("iam", f"policy/{site.one('Policy', 'node').name}", "")
    assert site.statements("Policy", "node") == site.statements("RolePolicy", "node")


class Machine:
    """A machine's surroundings: AWS, its role's credentials, and its group."""

    def __init__(self, site, aws, folder, monkeypatch):
        self.site, self.aws, self.folder = site, aws, folder
        self.plan = aws_site.planned(machines="c7i.large")
        self.run = self.plan.runs[0]
        self.bucket, self.log_group = site.outputs["bucket"], site.outputs["logGroup"]
        self._prepare()
        keys = {"AccessKeyId": ROLE, "SecretAccessKey": "secret", "Token": "token"}
        until = (datetime.now(UTC) + timedelta(hours=6)).strftime("%Y-%m-%dT%H:%M:%SZ")
        self.metadata = metadata_servers.InstanceMetadata(
            **{
                "placement/region": REGION,
                "instance-id": self.instance,
                "iam/security-credentials/": "node",
                "iam/security-credentials/node": json.dumps({"Code": "Success", **keys, "Expiration": until}),
            }
        )
        for name in os.environ:
            if name.startswith("AWS_"):
                monkeypatch.delenv(name)
        for name, value in {
            "AWS_ENDPOINT_URL": aws.address,
            "AWS_ENDPOINT_URL_S3": aws.address,
            "AWS_ENDPOINT_URL_CLOUDWATCH_LOGS": aws.address,
            "AWS_ENDPOINT_URL_AUTO_SCALING": aws.address,
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": f"http://{self.metadata.address}",
            "AWS_REGION": REGION,
            "AWS_CONFIG_FILE": str(folder / "none"),
            "AWS_SHARED_CREDENTIALS_FILE": str(folder / "none"),
        }.items():
            monkeypatch.setenv(name, value)

    def _prepare(self):
        """What `up` has made, in moto, by an operator's keys."""
        known = {
            "region_name": REGION,
            "endpoint_url": self.aws.address,
            "aws_access_key_id": "operator",
            "aws_secret_access_key": "secret",
        }
        s3, logs, scaling = (boto3.client(name, **known) for name in ("s3", "logs", "autoscaling"))
        s3.create_bucket(Bucket=self.bucket)
        self.bundle = f"bundles/{self.run.run_id}/{'0' * 64}.tar.gz"
        for suffix in ("", ".sha256", ".sha256.sig"):
            s3.put_object(Bucket=self.bucket, Key=f"{self.bundle}{suffix}", Body=b"a bundle")
        logs.create_log_group(logGroupName=self.log_group)
        group = self.site.one("Group")
        self.group_arn = arn("autoscaling", f"autoScalingGroup:0123abcd:autoScalingGroupName/{group.name}")
        self.tags = {each["key"]: each["value"] for each in group.inputs["tags"]}
        launch = {"LaunchConfigurationName": "any", "ImageId": "ami-12c6146b", "InstanceType": "t3.micro"}
        scaling.create_launch_configuration(**launch)
        scaling.create_auto_scaling_group(
            AutoScalingGroupName=group.name,
            LaunchConfigurationName="any",
            MinSize=0,
            MaxSize=2,
            DesiredCapacity=2,
            AvailabilityZones=[f"{REGION}a"],
        )
        self.instances = lambda: [
            each["InstanceId"] for each in scaling.describe_auto_scaling_groups()["AutoScalingGroups"][0]["Instances"]
        ]
        self.instance, self.another = self.instances()

    @property
    def calls(self):
        """What the machine asked, by its role."""
        return [call for call in self.aws.calls if call.who == ROLE]

    def requests(self):
        """What IAM is asked about all that was asked."""
        groups = dict.fromkeys((self.instance, self.another), (self.group_arn, self.tags))
        said = aws_calls.Authorization(ACCOUNT, REGION, f"arn:aws:s3:::{self.bucket}", KEY_ARN, groups)
        return [each for call in self.calls for each in said.requests(call)]

    def fail_to_boot(self):
        """A first boot that fails says what went wrong, and leaves its group; another machine has better luck."""
        self.metadata.items["instance-id"] = self.another
        (self.folder / "said").write_text("what was said before")
        self._instance("report", "s3", self.log_group, "first boot: a test", self.folder / "said")
        said = self._instance("leave", "s3")
        assert said == f"{self.another} leaves its Auto Scaling group\n"
        self.metadata.items["instance-id"] = self.instance

    def boot(self):
        """The first boot fetches the bundle."""
        for suffix in ("", ".sha256", ".sha256.sig"):
            assert self._instance("fetch", f"s3://{self.bucket}/{self.bundle}{suffix}", self.folder / "bundle") == ""

    def _instance(self, *arguments):
        command = [sys.executable, "-I", "-S", user_data.HERE / "instance.py", *arguments]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stderr

    def settings(self):
        """The run file that is in the machine's bundle."""
        given = compute.place(self.plan, self.run, f"s3://{self.bucket}/runs", self.log_group)
        with tarfile.open(bundle.build(self.plan, self.run, given).path) as archive:
            archive.extract("run.yaml", self.folder, filter="data")
        return self.folder / "run.yaml"

    def train(self):
        """A training's store and sinks, as its run file says; nothing is learned."""
        run_file, told = source.run_file(str(self.settings()), ()), []
        run = Run(self.run.run_id, run_file.env.id, run_file.agent.algorithm)
        objects = place(run_file.store)
        objects.check(write=True)
        sinks = exporters.open_exporters(run_file.sinks, dataclasses.asdict(run), told.append)
        assert sinks.keys() == {"CloudWatch"}
        outlets = open_outlets(run_file.sinks.logs, run.run_id, told.append)
        training = StandIn(self.folder / "first").begin()
        mirror = Mirror.create(objects, "run", training.folder, pace=QUICK)
        for _ in range(5):
            step = training.train()
            mirror.snapshot(step)
            assert mirror.wait(60)
            sinks["CloudWatch"].write({"rl_env_steps_total": step, "rl_score": 1.0}, step, 1.0)
            for each in outlets:
                each.put(Line(run, time.time(), Severity.INFO, "a step", step))
        mirror.close(State.PREEMPTED)
        for each in (*sinks.values(), *outlets):
            each.close()
        assert not [text for text in told if "list price" not in text]

    def train_on(self):
        """The next machine goes on with the run; and what the store does when something is missing or fails."""
        objects = place(f"s3://{self.bucket}/runs")
        mirror, _ = continued(objects, self.folder / "second", commits=3)
        mirror.close(State.FINISHED)
        with pytest.raises(Missing):
            objects.read("nowhere/status.json")
        large = self.folder / "large"
        large.write_bytes(bytes(PART_BYTES + 1))
        sha256 = hashlib.sha256(large.read_bytes()).hexdigest()
        self.aws.broken = lambda method, path, query: query.get("partNumber") == "2"
        with pytest.raises(SlipwayError, match="400"):
            objects.upload("large", large, sha256)
        self.aws.broken = lambda method, path, query: False
        objects.upload("large", large, sha256)
        objects.delete(["large"])

    def train_for_real(self):
        """All that a training does, from its run file to its report."""
        pairs = [item for key, value in SMALL.items() for item in ("--set", f"{key}={json.dumps(value)}")]
        command = [sys.executable, "-m", "trainer", "train", str(self.settings()), *pairs, "--run-id", "real"]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, timeout=900)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "refuses" not in done.stdout
        assert "missed" not in done.stdout

    def end(self):
        """The run has ended for good."""
        assert hooks.scale_in_asg() == f"{self.instance} leaves its Auto Scaling group"
        assert self.instances() == []


@contextlib.contextmanager
def machine_of(site, folder):
    with pytest.MonkeyPatch.context() as monkeypatch, aws_calls.amazon() as aws:
        made = Machine(site, aws, folder, monkeypatch)
        with made.metadata:
            yield made


@pytest.fixture(scope="module")
def machine(site, tmp_path_factory):
    """A machine whose life is over."""
    with machine_of(site, tmp_path_factory.mktemp("machine")) as made:
        made.fail_to_boot()
        made.boot()
        made.train()
        made.train_on()
        made.end()
        yield made


SESSIONS = [
    Request("ssm:UpdateInstanceInformation", arn("ec2", "instance/i-0123456789abcdef0")),
    *(
        Request(f"ssmmessages:{action}", "*")
        for action in ("CreateControlChannel", "CreateDataChannel", "OpenControlChannel", "OpenDataChannel")
    ),
]
"""What the agent asks for sessions, by its documents; it is not ours, and does not run here.

https://docs.aws.amazon.com/systems-manager/latest/userguide/getting-started-create-iam-instance-profile.html
"""


def assert_allowed(site, asked):
    """By the machines' policy, and not denied by the bucket's."""
    node = list(site.statements("RolePolicy", "node").values())
    assert [each for each in asked if not iam.allows(node, each)] == []
    bucket = list(site.statements("BucketPolicy", "runs").values())
    role = site.one("Role", "node").name
    for each in asked:
        if each.action.startswith("s3:"):
            by = Request(each.action, each.resource, each.context, arn("iam", f"role/{role}", ""))
            assert not iam.denies(bucket, by), each


def test_all_that_a_machine_does_is_allowed(machine, site):
    assert {call.service for call in machine.calls} == {"autoscaling", "logs", "monitoring", "s3"}
    assert_allowed(site, [*machine.requests(), *SESSIONS])


@pytest.mark.soak
def test_all_that_a_real_training_does_is_allowed(site, tmp_path):
    with machine_of(site, tmp_path) as made:
        made.train_for_real()
        assert {call.service for call in made.calls} == {"logs", "monitoring", "s3"}
        assert_allowed(site, made.requests())


def test_each_action_of_each_statement_is_needed(machine, node):
    used = {
        (name, request.action) for request in (*machine.requests(), *SESSIONS) for name in iam.allowing(node, request)
    }
    allowed = {(each["Sid"], action) for each in node for action in iam.listed(each["Action"])}
    assert allowed - used == set()


BUCKET = "arn:aws:s3:::slipway-dev-runs"
VIA_S3 = {"kms:ViaService": f"s3.{REGION}.amazonaws.com"}
TAGGED = {"aws:ResourceTag/slipway-stack": "dev"}
MINE = arn("autoscaling", "autoScalingGroup:0123abcd:autoScalingGroupName/slipway-dev-cartpole-ppo")
TERMINATE = "autoscaling:TerminateInstanceInAutoScalingGroup"
LOG_GROUP = arn("logs", "log-group:/slipway/dev/nodes-1")
ANOTHER = arn("logs", "log-group:/slipway/other/nodes-1:log-stream:a")


@pytest.mark.parametrize(
    ("mine", "others"),
    [
        (Request("s3:GetObject", f"{BUCKET}/bundles/a"), Request("s3:PutObject", f"{BUCKET}/bundles/a")),
        (Request("s3:GetObject", f"{BUCKET}/runs/a"), Request("s3:GetObject", "arn:aws:s3:::another/runs/a")),
        (Request("s3:GetObject", f"{BUCKET}/runs/a"), Request("s3:GetObject", f"{BUCKET}/else/a")),
        (Request("s3:DeleteObject", f"{BUCKET}/runs/a"), Request("s3:DeleteObjectVersion", f"{BUCKET}/runs/a")),
        (
            Request("s3:ListBucket", BUCKET, {"s3:prefix": "runs/a"}),
            Request("s3:ListBucket", BUCKET, {"s3:prefix": "bundles/"}),
        ),
        (Request("kms:Decrypt", KEY_ARN, VIA_S3), Request("kms:Decrypt", KEY_ARN)),
        (Request("kms:Decrypt", KEY_ARN, VIA_S3), Request("kms:Decrypt", arn("kms", "key/another"), VIA_S3)),
        (
            Request("logs:PutLogEvents", f"{LOG_GROUP}:log-stream:a"),
            Request("logs:CreateLogGroup", LOG_GROUP),
        ),
        (Request("logs:PutLogEvents", f"{LOG_GROUP}:log-stream:a"), Request("logs:PutLogEvents", ANOTHER)),
        (
            Request("cloudwatch:PutMetricData", "*", {"cloudwatch:namespace": "Slipway/dev"}),
            Request("cloudwatch:PutMetricData", "*", {"cloudwatch:namespace": "AWS/EC2"}),
        ),
        (Request(TERMINATE, MINE, TAGGED), Request(TERMINATE, MINE)),
        (
            Request(TERMINATE, MINE, TAGGED),
            Request(TERMINATE, f"{MINE}-2", {"aws:ResourceTag/slipway-stack": "dev-2"}),
        ),
        (Request(TERMINATE, MINE, TAGGED), Request("autoscaling:UpdateAutoScalingGroup", MINE, TAGGED)),
    ],
)  # fmt: skip
def test_what_is_next_to_it_is_not_allowed(node, mine, others):
    assert iam.allows(node, mine)
    assert not iam.allows(node, others)


def test_a_machine_that_stays_may_not_end_itself():
    stays = list(aws_site.seen(machines="c7i.large", whenDone="stay").statements("RolePolicy", "node").values())
    assert not iam.allows(stays, Request(TERMINATE, MINE, TAGGED))
    assert iam.allows(stays, Request("s3:GetObject", f"{BUCKET}/runs/a"))


def test_the_log_of_who_talked_to_whom_can_be_written_and_nothing_else(site):
    flow = list(site.statements("RolePolicy", "flow").values())
    group = arn("logs", "log-group:/slipway/dev/flow-1")
    # https://docs.aws.amazon.com/vpc/latest/userguide/flow-logs-iam-role.html, without logs:CreateLogGroup
    for action, resource in (
        ("logs:CreateLogStream", f"{group}:log-stream:eni-1-all"),
        ("logs:PutLogEvents", f"{group}:log-stream:eni-1-all"),
        ("logs:DescribeLogStreams", f"{group}:log-stream:"),
        ("logs:DescribeLogGroups", arn("logs", "log-group::log-stream:")),
    ):
        assert iam.allows(flow, Request(action, resource)), action
    assert not iam.allows(flow, Request("logs:PutLogEvents", f"{LOG_GROUP}:log-stream:a"))
    assert not iam.allows(flow, Request("logs:CreateLogGroup", group))
