"""What becomes of the machine when its run has ended for good."""

import os
import subprocess
import urllib.request
from collections.abc import Callable, Mapping

from trainer.errors import SlipwayError
from trainer.node import instance

TIMEOUT_SECONDS = 10
AWS_METADATA, GOOGLE_METADATA = "http://169.254.169.254", "metadata.google.internal"


def nothing() -> str:
    """Leave it as it is."""
    return "the machine stays"


def power_off() -> str:
    """Switch it off.

    Raises:
        SlipwayError: if systemd refuses.
    """
    command = ["systemctl", "--no-block", "poweroff"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)  # noqa: S603
    if done.returncode:
        raise SlipwayError(f"the machine cannot be switched off: {done.stderr.strip()}")
    return "the machine switches off"


def scale_in_asg() -> str:
    """Terminate this EC2 instance, and take it off the size that its Auto Scaling group should have.

    Credentials and endpoints are those of the AWS SDK: the instance's role, `AWS_ENDPOINT_URL`,
    `AWS_EC2_METADATA_SERVICE_ENDPOINT`.

    Raises:
        SlipwayError: if the metadata service or the API fails; the group is then as it was.
    """
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    token = _aws_metadata("api/token", {"X-aws-ec2-metadata-token-ttl-seconds": "60"}, "PUT")
    name, region = (
        _aws_metadata(f"meta-data/{key}", {"X-aws-ec2-metadata-token": token}, "GET")
        for key in ("instance-id", "placement/region")
    )
    try:
        boto3.client("autoscaling", region_name=region).terminate_instance_in_auto_scaling_group(
            InstanceId=name, ShouldDecrementDesiredCapacity=True
        )
    except (BotoCoreError, ClientError) as error:
        raise SlipwayError(f"the Auto Scaling group keeps {name}: {error}") from error
    return f"{name} leaves its Auto Scaling group"


def scale_in_mig() -> str:
    """Delete this Compute Engine instance from its managed instance group, which makes the group smaller.

    Credentials and endpoints are those of Google's tools: the instance's service account, `GCE_METADATA_HOST`,
    `CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE`.

    Raises:
        SlipwayError: if the metadata service or the API fails; the group is then as it was.
    """
    from google.auth.compute_engine import Credentials
    from google.auth.exceptions import GoogleAuthError
    from google.auth.transport.requests import AuthorizedSession
    from requests import RequestException

    group, zone, name = (_google_metadata(key) for key in ("attributes/created-by", "zone", "name"))
    url, body = instance.deletion(group, zone, name)
    try:
        with AuthorizedSession(Credentials()) as session:
            answer = session.post(url, json=body, timeout=TIMEOUT_SECONDS)
            answer.raise_for_status()
    except (GoogleAuthError, RequestException) as error:
        raise SlipwayError(f"the managed instance group keeps {name}: {error}") from error
    return f"{name} leaves its managed instance group"


HOOKS: Mapping[str, Callable[[], str]] = {
    "nothing": nothing,
    "power-off": power_off,
    "scale-in-asg": scale_in_asg,
    "scale-in-mig": scale_in_mig,
}
"""The hooks, by the name that `trainer_when_done` gives."""


def _aws_metadata(path: str, headers: Mapping[str, str], method: str) -> str:
    """A value of EC2's metadata service, version 2."""
    base = os.environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT", AWS_METADATA).rstrip("/")
    return _ask(f"{base}/latest/{path}", headers, method)


def _google_metadata(path: str) -> str:
    """A value of Compute Engine's metadata server."""
    host = os.environ.get("GCE_METADATA_HOST", GOOGLE_METADATA)
    return _ask(f"http://{host}/computeMetadata/v1/instance/{path}", {"Metadata-Flavor": "Google"}, "GET")


def _ask(url: str, headers: Mapping[str, str], method: str) -> str:
    request = urllib.request.Request(url, headers=dict(headers), method=method)  # noqa: S310 (http, inside the machine)
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310
            return str(answer.read().decode())
    except (OSError, ValueError) as error:
        raise SlipwayError(f"the metadata service does not say {url.rsplit('/', 1)[-1]}: {error}") from error
