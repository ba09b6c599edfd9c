"""What a bare machine does at its first boot with its own identity, by Python's standard library alone.

It is a file of its own that runs there: `python3 instance.py fetch s3://bucket/key FILE` fetches an object of S3 or
Cloud Storage, `python3 instance.py report s3 LOG MESSAGE FILE` says what went wrong, with the end of a file, in a log
group of CloudWatch Logs, or (`gs`) in a log of Cloud Logging, `python3 instance.py leave s3` takes the machine for good
out of its Auto Scaling group, or (`gs`) its managed instance group. Endpoints follow the variables of the clouds' own
tools: `AWS_ENDPOINT_URL_S3`, `AWS_ENDPOINT_URL_CLOUDWATCH_LOGS`, `AWS_ENDPOINT_URL_AUTO_SCALING`,
`AWS_EC2_METADATA_SERVICE_ENDPOINT`, `STORAGE_EMULATOR_HOST`, `CLOUDSDK_API_ENDPOINT_OVERRIDES_LOGGING`,
`CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE`, `GCE_METADATA_HOST`.
"""

import hashlib
import hmac
import json
import os
import shutil
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

TIMEOUT_SECONDS = 30
ATTEMPTS = 5
SAID_BYTES = 4000
"""How much of the file's end a report has."""


def open_url(url: str, headers: Mapping[str, str], method: str = "GET", body: bytes = b"") -> Any:
    """The answer to a request; a fault of the network or the server is met by trying again."""
    request = urllib.request.Request(url, body or None, dict(headers), method=method)  # noqa: S310 (what clouds offer)
    attempt = 1
    while True:
        try:
            return urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS)  # noqa: S310
        except (urllib.error.URLError, TimeoutError) as error:
            refused = isinstance(error, urllib.error.HTTPError) and error.code < 500 and error.code != 429
            if refused or attempt == ATTEMPTS:
                raise
        time.sleep(2**attempt)
        attempt += 1


def text(url: str, headers: Mapping[str, str], method: str = "GET") -> str:
    """The answer's text."""
    with open_url(url, headers, method) as answer:
        return str(answer.read().decode())


class Amazon:
    """An instance of EC2, as its metadata service, version 2, knows it; requests are signed by its role."""

    def __init__(self) -> None:
        metadata = os.environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://169.254.169.254").rstrip("/") + "/latest"
        token = text(f"{metadata}/api/token", {"X-aws-ec2-metadata-token-ttl-seconds": "300"}, "PUT")
        self._metadata, self._proof = metadata, {"X-aws-ec2-metadata-token": token}
        self.region = self.known("placement/region")
        role = self.known("iam/security-credentials/").split()[0]
        self._credentials = json.loads(self.known(f"iam/security-credentials/{role}"))

    def known(self, name: str) -> str:
        """What the metadata service says of something."""
        return text(f"{self._metadata}/meta-data/{name}", self._proof)

    def signed(
        self, service: str, method: str, url: str, headers: Mapping[str, str], body: bytes = b""
    ) -> dict[str, str]:
        """The headers of a request, signed.

        Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
        """
        at, now = urllib.parse.urlsplit(url), time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        digest = hashlib.sha256(body).hexdigest()
        found = {
            **headers,
            "host": at.netloc,
            "x-amz-content-sha256": digest,
            "x-amz-date": now,
            "x-amz-security-token": self._credentials["Token"],
        }
        found = dict(sorted(found.items()))
        names = ";".join(found)
        lines = [f"{name}:{value}" for name, value in found.items()]
        canonical = "\n".join([method, at.path or "/", at.query, *lines, "", names, digest])
        scope = f"{now[:8]}/{self.region}/{service}/aws4_request"
        subject = "\n".join(["AWS4-HMAC-SHA256", now, scope, hashlib.sha256(canonical.encode()).hexdigest()])
        secret = f"AWS4{self._credentials['SecretAccessKey']}".encode()
        for part in scope.split("/"):
            secret = hmac.digest(secret, part.encode(), "sha256")
        signature = hmac.digest(secret, subject.encode(), "sha256").hex()
        credential = f"{self._credentials['AccessKeyId']}/{scope}"
        proof = f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={names}, Signature={signature}"
        return {**found, "authorization": proof}


def google(name: str) -> str:
    """What the metadata server of a Compute Engine instance says of something."""
    host = os.environ.get("GCE_METADATA_HOST", "metadata.google.internal")
    return text(f"http://{host}/computeMetadata/v1/{name}", {"Metadata-Flavor": "Google"})


def bearer() -> dict[str, str]:
    """The header with the token of the instance's service account."""
    token = json.loads(google("instance/service-accounts/default/token"))["access_token"]
    return {"Authorization": f"Bearer {token}"}


def s3(bucket: str, key: str) -> tuple[str, dict[str, str]]:
    """URL and signed headers of an object in S3."""
    machine = Amazon()
    # The path style works for every bucket name, with dots too, and in stand-ins for S3.
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3", f"https://s3.{machine.region}.amazonaws.com").rstrip("/")
    url = f"{endpoint}/{urllib.parse.quote(f'{bucket}/{key}')}"
    return url, machine.signed("s3", "GET", url, {})


def gs(bucket: str, key: str) -> tuple[str, dict[str, str]]:
    """URL and headers of an object in Cloud Storage.

    Source: https://cloud.google.com/storage/docs/json_api/v1/objects/get
    """
    endpoint = os.environ.get("STORAGE_EMULATOR_HOST", "https://storage.googleapis.com").rstrip("/")
    return f"{endpoint}/storage/v1/b/{bucket}/o/{urllib.parse.quote(key, safe='')}?alt=media", bearer()


def fetch(uri: str, path: str) -> None:
    """Write an object to a file, which appears when it is whole."""
    parts = urllib.parse.urlsplit(uri)
    if parts.scheme not in ("s3", "gs") or not parts.netloc or not parts.path.strip("/"):
        raise ValueError(f"{uri} is no s3://bucket/key or gs://bucket/key")
    url, headers = {"s3": s3, "gs": gs}[parts.scheme](parts.netloc, parts.path.lstrip("/"))
    partly = Path(f"{path}.partly")
    with open_url(url, headers) as answer, partly.open("wb") as file:
        shutil.copyfileobj(answer, file, 1 << 20)
        # Python's HTTP says nothing of a connection that breaks off while it is read in parts.
        expected = answer.headers.get("Content-Length")
        if expected is not None and file.tell() != int(expected):
            raise OSError(f"{file.tell()} of {expected} bytes came")
    partly.replace(path)


def cloudwatch(log: str, line: Mapping[str, str]) -> None:
    """A line in a log group, in a stream of this machine's own.

    Source: https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutLogEvents.html
    """
    machine = Amazon()
    url = os.environ.get("AWS_ENDPOINT_URL_CLOUDWATCH_LOGS", f"https://logs.{machine.region}.amazonaws.com")
    name = machine.known("instance-id")
    there = {"logGroupName": log, "logStreamName": f"first-boot/{name}"}
    event = {"timestamp": int(time.time() * 1000), "message": json.dumps({"machine": name, **line})}
    for action, more in (("CreateLogStream", {}), ("PutLogEvents", {"logEvents": [event]})):
        body = json.dumps({**there, **more}).encode()
        headers = {"content-type": "application/x-amz-json-1.1", "x-amz-target": f"Logs_20140328.{action}"}
        try:
            open_url(url, machine.signed("logs", "POST", url, headers, body), "POST", body).close()
        except urllib.error.HTTPError as error:
            if b"ResourceAlreadyExists" not in error.read():
                raise


def cloud_logging(log: str, line: Mapping[str, str]) -> None:
    """An entry of a log, under this machine.

    Source: https://cloud.google.com/logging/docs/reference/v2/rest/v2/entries/write
    """
    project, machine = google("project/project-id"), google("instance/id")
    labels = {"project_id": project, "instance_id": machine, "zone": google("instance/zone").rpartition("/")[2]}
    endpoint = os.environ.get("CLOUDSDK_API_ENDPOINT_OVERRIDES_LOGGING", "https://logging.googleapis.com").rstrip("/")
    body = {
        "logName": f"projects/{project}/logs/{urllib.parse.quote(log, safe='')}",
        "resource": {"type": "gce_instance", "labels": labels},
        "entries": [{"severity": line["severity"], "jsonPayload": {"machine": machine, **line}}],
    }
    headers = {**bearer(), "Content-Type": "application/json"}
    open_url(f"{endpoint}/v2/entries:write", headers, "POST", json.dumps(body).encode()).close()


def report(cloud: str, log: str, message: str, path: str) -> None:
    """Say in a log of the cloud what went wrong, and the end of what was said before."""
    said = Path(path).read_bytes()[-SAID_BYTES:].decode(errors="replace")
    {"s3": cloudwatch, "gs": cloud_logging}[cloud](log, {"severity": "ERROR", "message": message, "said": said})


def auto_scaling() -> str:
    """Terminate this instance, and take it off the size that its group should have.

    Source: https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_TerminateInstanceInAutoScalingGroup.html
    """
    machine = Amazon()
    url = os.environ.get("AWS_ENDPOINT_URL_AUTO_SCALING", f"https://autoscaling.{machine.region}.amazonaws.com")
    name = machine.known("instance-id")
    asked = {"Action": "TerminateInstanceInAutoScalingGroup", "Version": "2011-01-01", "InstanceId": name}
    body = urllib.parse.urlencode({**asked, "ShouldDecrementDesiredCapacity": "true"}).encode()
    headers = {"content-type": "application/x-www-form-urlencoded"}
    open_url(url, machine.signed("autoscaling", "POST", url, headers, body), "POST", body).close()
    return f"{name} leaves its Auto Scaling group"


def deletion(group: str, zone: str, name: str) -> tuple[str, dict[str, list[str]]]:
    """URL and body of the request that deletes an instance and makes its managed instance group smaller.

    Source: https://cloud.google.com/compute/docs/reference/rest/v1/instanceGroupManagers/deleteInstances
    """
    compute = os.environ.get("CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE", "https://compute.googleapis.com/compute/v1")
    url = f"{compute.rstrip('/')}/{group}/deleteInstances"
    return url, {"instances": [f"zones/{zone.rpartition('/')[2]}/instances/{name}"]}


def instance_group() -> str:
    """Delete this instance, and make its group smaller."""
    group, zone, name = (google(f"instance/{key}") for key in ("attributes/created-by", "zone", "name"))
    url, body = deletion(group, zone, name)
    open_url(url, {**bearer(), "Content-Type": "application/json"}, "POST", json.dumps(body).encode()).close()
    return f"{name} leaves its managed instance group"


def leave(cloud: str) -> None:
    """Take this machine out of its group, so that it is not paid for, and not replaced."""
    sys.stderr.write({"s3": auto_scaling, "gs": instance_group}[cloud]() + "\n")


ACTIONS: Mapping[str, Callable[..., None]] = {"fetch": fetch, "report": report, "leave": leave}


def main() -> None:
    """Do what the arguments say; one line and exit code 1 if that fails."""
    action, *given = sys.argv[1:]
    try:
        ACTIONS[action](*given)
    except (OSError, ValueError, KeyError, IndexError) as error:
        what = f"to {given[1]}" if action == "report" else given[0] if action == "fetch" else "the group"
        sys.exit(f"cannot {action} {what}: {type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
