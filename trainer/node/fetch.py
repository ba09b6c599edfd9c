"""Fetches an object of S3 or Cloud Storage with the machine's own identity, by Python's standard library alone.

It is a file of its own that a bare machine runs at its first boot: `python3 fetch.py s3://bucket/key FILE`.
Endpoints follow the variables of the clouds' own tools: `AWS_ENDPOINT_URL_S3`, `AWS_EC2_METADATA_SERVICE_ENDPOINT`,
`STORAGE_EMULATOR_HOST`, `GCE_METADATA_HOST`.
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
from collections.abc import Mapping
from pathlib import Path
from typing import Any

TIMEOUT_SECONDS = 30
ATTEMPTS = 5
EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()


def open_url(url: str, headers: Mapping[str, str], method: str = "GET") -> Any:
    """The answer to a request; a fault of the network or the server is met by trying again."""
    request = urllib.request.Request(url, headers=dict(headers), method=method)  # noqa: S310 (what the clouds offer)
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


def s3(bucket: str, key: str) -> tuple[str, dict[str, str]]:
    """URL and signed headers of an object in S3, by the instance's role and the metadata service, version 2.

    Source: https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
    """
    metadata = os.environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://169.254.169.254").rstrip("/") + "/latest"
    token = text(f"{metadata}/api/token", {"X-aws-ec2-metadata-token-ttl-seconds": "300"}, "PUT")
    proof = {"X-aws-ec2-metadata-token": token}
    region = text(f"{metadata}/meta-data/placement/region", proof)
    roles = f"{metadata}/meta-data/iam/security-credentials"
    role = text(f"{roles}/", proof).split()[0]
    credentials = json.loads(text(f"{roles}/{role}", proof))
    # The path style works for every bucket name, with dots too, and in stand-ins for S3.
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3", f"https://s3.{region}.amazonaws.com").rstrip("/")
    host = urllib.parse.urlsplit(endpoint).netloc
    path = "/" + urllib.parse.quote(f"{bucket}/{key}")
    now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    signed = {
        "host": host,
        "x-amz-content-sha256": EMPTY_SHA256,
        "x-amz-date": now,
        "x-amz-security-token": credentials["Token"],
    }
    names = ";".join(signed)
    headers = [f"{name}:{value}" for name, value in signed.items()]
    canonical = "\n".join(["GET", path, "", *headers, "", names, EMPTY_SHA256])
    scope = f"{now[:8]}/{region}/s3/aws4_request"
    subject = "\n".join(["AWS4-HMAC-SHA256", now, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    secret = f"AWS4{credentials['SecretAccessKey']}".encode()
    for part in (now[:8], region, "s3", "aws4_request"):
        secret = hmac.digest(secret, part.encode(), "sha256")
    signature = hmac.digest(secret, subject.encode(), "sha256").hex()
    credential = f"{credentials['AccessKeyId']}/{scope}"
    signed["authorization"] = f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={names}, Signature={signature}"
    return endpoint + path, signed


def gs(bucket: str, key: str) -> tuple[str, dict[str, str]]:
    """URL and headers of an object in Cloud Storage, by the instance's service account.

    Source: https://cloud.google.com/storage/docs/json_api/v1/objects/get
    """
    host = os.environ.get("GCE_METADATA_HOST", "metadata.google.internal")
    url = f"http://{host}/computeMetadata/v1/instance/service-accounts/default/token"
    token = json.loads(text(url, {"Metadata-Flavor": "Google"}))["access_token"]
    endpoint = os.environ.get("STORAGE_EMULATOR_HOST", "https://storage.googleapis.com").rstrip("/")
    name = urllib.parse.quote(key, safe="")
    return f"{endpoint}/storage/v1/b/{bucket}/o/{name}?alt=media", {"Authorization": f"Bearer {token}"}


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


def main() -> None:
    """Fetch what the arguments say; one line and exit code 1 if that fails."""
    uri, path = sys.argv[1:]
    try:
        fetch(uri, path)
    except (OSError, ValueError, KeyError, IndexError) as error:
        sys.exit(f"cannot fetch {uri}: {type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
