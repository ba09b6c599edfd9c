"""The hooks do to a machine's group what its owner asked for, with the machine's own identity, or say why not."""

import json
import subprocess
import sys

import pytest

from trainer.cli.commands.node import HOOK_NAMES
from trainer.errors import SlipwayError
from trainer.node import hooks


def test_the_command_line_offers_the_hooks_that_there_are():
    assert tuple(hooks.HOOKS) == HOOK_NAMES


def test_nothing_does_nothing():
    assert hooks.nothing() == "the machine stays"


@pytest.fixture
def role(aws, ec2, no_credentials, monkeypatch):
    """The instance's role."""
    keys = {"AccessKeyId": "test", "SecretAccessKey": "test", "Token": "token", "Expiration": "2099-01-01T00:00:00Z"}
    ec2 |= {
        "iam/security-credentials/": "node",
        "iam/security-credentials/node": json.dumps({"Code": "Success", **keys}),
    }
    monkeypatch.setenv("AWS_ENDPOINT_URL", aws)


def test_an_instance_leaves_its_auto_scaling_group_and_is_not_replaced(role, group, ec2):
    mine, other = (instance["InstanceId"] for instance in group()["Instances"])
    ec2["instance-id"] = mine
    assert hooks.scale_in_asg() == f"{mine} leaves its Auto Scaling group"
    assert group()["DesiredCapacity"] == 1
    assert [instance["InstanceId"] for instance in group()["Instances"]] == [other]


def test_what_the_api_of_auto_scaling_does_not_do_is_said(role, group, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(SlipwayError, match="the Auto Scaling group keeps i-0123456789abcdef0: Could not connect"):
        hooks.scale_in_asg()
    assert group()["DesiredCapacity"] == 2


def test_without_a_metadata_service_that_is_said(monkeypatch, no_credentials):
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(SlipwayError, match=r"the metadata service does not say token: .*refused"):
        hooks.scale_in_asg()
    monkeypatch.setenv("GCE_METADATA_HOST", "127.0.0.1:9")
    with pytest.raises(SlipwayError, match=r"the metadata service does not say created-by: .*refused"):
        hooks.scale_in_mig()


def scale_in_mig():
    """The hook in a process of its own, as google-auth reads its variables when it is imported; output and error."""
    code = "from trainer.node import hooks; print(hooks.scale_in_mig())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    return done.stdout.strip(), done.stderr.strip()


@pytest.mark.parametrize("place", ["zones/europe-west1-b", "regions/europe-west1"])
def test_an_instance_leaves_its_managed_instance_group(place, gce, service, no_credentials, monkeypatch):
    compute = service(lambda *_: (200, b'{"kind": "compute#operation", "status": "PENDING"}'))
    monkeypatch.setenv("CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE", f"{compute.url}/compute/v1/")
    gce["attributes/created-by"] = f"projects/42/{place}/instanceGroupManagers/trainers"
    assert scale_in_mig() == ("trainers-x7k2 leaves its managed instance group", "")
    [(method, path, headers, body)] = compute.requests
    # https://cloud.google.com/compute/docs/reference/rest/v1/instanceGroupManagers/deleteInstances
    assert (method, path) == (
        "POST",
        f"/compute/v1/projects/42/{place}/instanceGroupManagers/trainers/deleteInstances",
    )
    assert json.loads(body) == {"instances": ["zones/europe-west1-b/instances/trainers-x7k2"]}
    assert headers["authorization"] == "Bearer the-token"


def test_what_the_api_of_compute_engine_refuses_is_said(gce, service, no_credentials, monkeypatch):
    compute = service(lambda *_: (403, b"{}"))
    monkeypatch.setenv("CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE", f"{compute.url}/compute/v1/")
    said, error = scale_in_mig()
    assert said == ""
    assert "SlipwayError: the managed instance group keeps trainers-x7k2: 403" in error
