"""Groups of machines: EC2's on moto's server, which has the group but boots nothing; Google's on a server of our own
that answers as its documents say."""

import datetime as dt
import json

import boto3
import pytest
import servers

from infra.operations import fleet as fleets
from trainer.errors import SlipwayError


@pytest.fixture
def aws(tmp_path, monkeypatch):
    """A site's groups and logs on moto's server; its outputs."""
    with servers.s3() as address:
        for name, value in servers.s3_environment(address, tmp_path).items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        session = boto3.Session(region_name="us-east-1")
        ec2, scaling, logs = (session.client(name) for name in ("ec2", "autoscaling", "logs"))
        image = ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
        ec2.create_launch_template(
            LaunchTemplateName="node", LaunchTemplateData={"ImageId": image, "InstanceType": "c7i.large"}
        )
        for name in ("a-1f", "b-2e"):
            scaling.create_auto_scaling_group(
                AutoScalingGroupName=name, MinSize=0, MaxSize=1, DesiredCapacity=1,
                AvailabilityZones=["us-east-1a"], LaunchTemplate={"LaunchTemplateName": "node", "Version": "$Latest"},
            )  # fmt: skip
        logs.create_log_group(logGroupName="/slipway/dev/runs")
        logs.create_log_stream(logGroupName="/slipway/dev/runs", logStreamName="run-a")
        yield {
            "cloud": "aws", "region": "us-east-1", "groups": {"run-a": "a-1f", "run-b": "b-2e"},
            "logGroup": "/slipway/dev/runs",
        }  # fmt: skip


def test_groups_in_aws_are_seen_paused_and_resumed(aws):
    fleet = fleets.fleet(aws)
    first, second = fleet.groups()
    assert (first.run_id, first.name, first.wanted) == ("run-a", "a-1f", 1)
    assert second.run_id == "run-b"
    (node,) = first.nodes
    assert (node.run_id, node.machine, node.zone) == ("run-a", "c7i.large", "us-east-1a")
    assert node.id in fleet.shell(node)
    assert "start-session" in fleet.shell(node)
    fleet.scale(first, 0)
    first, second = fleet.groups()
    assert (first.wanted, first.nodes) == (0, ())
    assert fleets.running([first, second]) == 1
    fleet.scale(first, 1)
    assert fleets.running(fleet.groups()) == 2


def test_lines_in_cloudwatch_logs_come_since_a_time(aws):
    now = dt.datetime.now(dt.UTC)
    client = boto3.client("logs", region_name="us-east-1")
    events = [
        {"timestamp": int((now - dt.timedelta(hours=ago)).timestamp() * 1000), "message": f"{ago} hours ago"}
        for ago in (5, 2, 0)
    ]
    client.put_log_events(logGroupName="/slipway/dev/runs", logStreamName="run-a", logEvents=events)
    said = list(fleets.fleet(aws).lines(now - dt.timedelta(hours=3)))
    assert [line.text for line in said] == ["2 hours ago", "0 hours ago"]
    assert {line.stream for line in said} == {"run-a"}
    assert len({line.id for line in said}) == 2


def test_what_aws_refuses_is_a_fault(aws, monkeypatch):
    """By a server that answers as the documents say: moto has no such answer."""
    said = b"""<ErrorResponse xmlns="http://autoscaling.amazonaws.com/doc/2011-01-01/"><Error><Type>Sender</Type>
        <Code>ValidationError</Code><Message>AutoScalingGroup name not found</Message></Error></ErrorResponse>"""
    with servers.answering(lambda *_: (400, {"Content-Type": "text/xml"}, said)) as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL_AUTO_SCALING", address)
        fleet = fleets.fleet(aws)
        with pytest.raises(SlipwayError, match=r"AWS does not answer: .*name not found"):
            fleet.scale(fleets.Group("run-a", "a-1f", 0, ()), 1)


BASE = "/compute/v1/projects/my-project/regions/us-central1/instanceGroupManagers"
OUTPUTS = {
    "cloud": "gcp", "project": "my-project", "region": "us-central1", "groups": {"run-a": "slipway-dev-a-1f"},
    "logName": "slipway-dev",
}  # fmt: skip


class Google:
    """One managed instance group, and two pages of log entries."""

    def __init__(self):
        self.size, self.asked = 1, []

    def __call__(self, method, path, headers, body):
        self.asked.append((method, path, json.loads(body) if body else None, headers.get("Authorization")))
        if path == f"{BASE}/slipway-dev-a-1f":
            return self.ok({"targetSize": self.size})
        if path == f"{BASE}/slipway-dev-a-1f/listManagedInstances":
            url = "https://www.googleapis.com/compute/v1/projects/my-project/zones/us-central1-b/instances/node-x1"
            machines = [{"instance": url, "instanceStatus": "RUNNING", "currentAction": "NONE"}]
            return self.ok({"managedInstances": machines} if self.size else {})
        if path.startswith(f"{BASE}/slipway-dev-a-1f/resize?size="):
            self.size = int(path.rpartition("=")[2])
            return self.ok({})
        if path == "/v2/entries:list":
            return self.ok(self.entries(json.loads(body)))
        return 404, {}, b"{}"

    @staticmethod
    def ok(said):
        return 200, {"Content-Type": "application/json"}, json.dumps(said).encode()

    @staticmethod
    def entries(asked):
        first = {
            "timestamp": "2026-11-26T10:00:00.5Z", "insertId": "1", "severity": "WARNING",
            "labels": {"run_id": "run-a"}, "jsonPayload": {"run_id": "run-a", "message": "preempted"},
        }  # fmt: skip
        if "pageToken" not in asked:
            return {"entries": [first], "nextPageToken": "more"}
        return {
            "entries": [{"timestamp": "2026-11-26T10:00:01Z", "insertId": "2", "textPayload": "first boot: failed"}]
        }


@pytest.fixture
def google(monkeypatch):
    server = Google()
    with servers.answering(server) as address:
        monkeypatch.setenv("CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE", address)
        monkeypatch.setenv("CLOUDSDK_API_ENDPOINT_OVERRIDES_LOGGING", address)
        yield server


def test_groups_in_google_cloud_are_seen_paused_and_resumed(google):
    fleet = fleets.fleet(OUTPUTS)
    (group,) = fleet.groups()
    (node,) = group.nodes
    assert (group.wanted, node.id, node.zone, node.state) == (1, "node-x1", "us-central1-b", "RUNNING")
    assert fleet.shell(node)[-1] == "--tunnel-through-iap"
    fleet.scale(group, 0)
    (group,) = fleet.groups()
    assert (group.wanted, group.nodes) == (0, ())
    assert {authorization for *_, authorization in google.asked} == {None}  # http is asked without credentials


def test_lines_in_cloud_logging_come_page_by_page(google):
    since = dt.datetime(2026, 11, 26, 9, tzinfo=dt.UTC)
    said = list(fleets.fleet(OUTPUTS).lines(since))
    assert json.loads(said[0].text) == {
        "time": "2026-11-26T10:00:00.5Z", "severity": "WARNING", "run_id": "run-a", "message": "preempted",
    }  # fmt: skip
    assert said[1].text == "first boot: failed"
    asked = google.asked[0][2]["filter"]
    assert 'logName="projects/my-project/logs/slipway-dev"' in asked
    assert 'timestamp>="2026-11-26T09:00:00' in asked


def test_google_cloud_that_refuses_is_a_fault(google):
    with pytest.raises(SlipwayError, match="404"):
        fleets.fleet(OUTPUTS | {"groups": {"run-b": "other"}}).groups()


def test_an_address_that_is_not_encrypted_is_refused(monkeypatch):
    monkeypatch.setenv("CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE", "http://compute.example.com")
    with pytest.raises(SlipwayError, match="https"):
        fleets.fleet(OUTPUTS).groups()
