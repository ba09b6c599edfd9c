"""Machines of the clouds, as far as a node asks them: metadata services that insist on their rules."""

import json
import socket
import subprocess
import sys
import time
import urllib.request

import boto3
import pytest
from service import Service


@pytest.fixture
def service():
    """Makes services, and closes them."""
    made = []

    def make(answer):
        made.append(Service(answer))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def ec2(service, monkeypatch):
    """An EC2 instance's metadata service, version 2 alone: whoever has no token is refused. Gives its values to set."""
    values = {"instance-id": "i-0123456789abcdef0", "placement/region": "eu-west-1"}

    def answer(method, path, headers):
        if path == "/latest/api/token":
            if method != "PUT" or "X-aws-ec2-metadata-token-ttl-seconds" not in headers:
                return 400, b""
            return 200, b"the-token"
        if headers.get("X-aws-ec2-metadata-token") != "the-token":
            return 401, b""
        value = values.get(path.removeprefix("/latest/meta-data/"))
        return (404, b"") if value is None else (200, value.encode())

    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", service(answer).url)
    return values


@pytest.fixture
def gce(service, monkeypatch):
    """A Compute Engine instance's metadata server, which insists on its header. Gives its values to set."""
    account = "service-accounts/default"
    values = {
        "attributes/created-by": "projects/42/zones/europe-west1-b/instanceGroupManagers/trainers",
        "zone": "projects/42/zones/europe-west1-b",
        "name": "trainers-x7k2",
        f"{account}/?recursive=true": json.dumps({"email": "node@project.iam", "scopes": ["cloud-platform"]}),
        f"{account}/token": json.dumps({"access_token": "the-token", "expires_in": 3600, "token_type": "Bearer"}),
    }

    def answer(method, path, headers):
        if headers.get("Metadata-Flavor") != "Google":
            return 403, b""
        name = path.removeprefix("/computeMetadata/v1/instance/")
        value = values.get(name) or values.get(name.split("?")[0])
        return (404, b"") if value is None else (200, value.encode())

    server = service(answer)
    monkeypatch.setenv("GCE_METADATA_HOST", server.host)
    monkeypatch.setenv("GCE_METADATA_IP", server.host)
    return values


@pytest.fixture
def no_credentials(monkeypatch, tmp_path):
    """No credentials of the person who runs the tests."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)


@pytest.fixture
def aws():
    """Moto's server in a process of its own, as it keeps its state and settings in globals."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "--host", "127.0.0.1", "--port", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        end = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(f"{url}/moto-api/", timeout=10).close()
                break
            except OSError:
                assert server.poll() is None
                assert time.monotonic() < end
                time.sleep(0.1)
        yield url
    finally:
        server.terminate()
        server.wait(30)


@pytest.fixture
def group(aws):
    """An Auto Scaling group of two in moto; gives what it is now."""
    known = {
        "endpoint_url": aws,
        "region_name": "eu-west-1",
        "aws_access_key_id": "test",
        "aws_secret_access_key": "test",
    }
    image = boto3.client("ec2", **known).describe_images()["Images"][0]["ImageId"]
    scaling = boto3.client("autoscaling", **known)
    launch = "trainers"
    scaling.create_launch_configuration(LaunchConfigurationName=launch, ImageId=image, InstanceType="t3.micro")
    scaling.create_auto_scaling_group(
        AutoScalingGroupName="trainers",
        LaunchConfigurationName=launch,
        MinSize=0,
        MaxSize=2,
        DesiredCapacity=2,
        AvailabilityZones=["eu-west-1a"],
    )
    return lambda: scaling.describe_auto_scaling_groups()["AutoScalingGroups"][0]
