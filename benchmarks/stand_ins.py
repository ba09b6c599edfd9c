"""Servers that stand in for the clouds: moto for S3, fake-gcs-server for Google Cloud Storage. They keep all in memory.

Both speak the real protocols to the real client libraries. What they do not show: no key service is asked when an
object is encrypted with a key of one's own (its name is only noted), nothing is throttled, and fake-gcs-server lets
anybody do anything. Benchmarks and tests share them.
"""

import argparse
import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
FAKE_GCS_SERVER = ROOT / ".tools/bin/fake-gcs-server"


@contextlib.contextmanager
def s3() -> Iterator[str]:
    """Moto's server in a thread of this process, which forgets what an earlier one held; gives its address.

    Moto asks whether there is an object and makes one in two steps, so two conditional writes at once could both
    succeed, as they never do in S3: here conditional writes wait for each other.
    """
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
    from werkzeug.serving import make_server

    moto = DomainDispatcherApplication(create_backend_app)
    one_at_a_time = threading.Lock()

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        with one_at_a_time if "HTTP_IF_NONE_MATCH" in environ else contextlib.nullcontext():
            return moto(environ, start_response)

    server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=MotoRequestHandler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    address = f"http://127.0.0.1:{server.server_port}"
    try:
        _post(f"{address}/moto-api/reset")
        yield address
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextlib.contextmanager
def s3_apart(cpus: set[int]) -> Iterator[str]:
    """Moto's server in a process of its own; gives its address.

    Args:
        cpus: the processors that it is pinned to.
    """
    server = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.stand_ins"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # a line for each request
        text=True,
        preexec_fn=lambda: os.sched_setaffinity(0, cpus),
    )
    assert server.stdin is not None
    assert server.stdout is not None
    try:
        address = server.stdout.readline().strip()
        if not address:
            raise RuntimeError("moto's server does not start: it is part of what `make test` installs")
        yield address
    finally:
        server.stdin.close()  # it ends then
        server.stdout.close()
        server.wait(timeout=30)


def s3_environment(address: str, home: Path) -> dict[str, str]:
    """The variables with which boto3 talks to the server, with credentials that it takes.

    Args:
        address: of the server.
        home: a folder without settings of AWS.
    """
    return {
        "AWS_ENDPOINT_URL_S3": address,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "eu-west-1",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": str(home / "no-aws-config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(home / "no-aws-credentials"),
    }


@contextlib.contextmanager
def gcs(cpus: set[int] | None = None) -> Iterator[str]:
    """A process of fake-gcs-server; gives its address.

    Args:
        cpus: the processors that it is pinned to; None: as this process is.
    """
    if not FAKE_GCS_SERVER.is_file():
        raise FileNotFoundError(f"{FAKE_GCS_SERVER} is missing: make .tools/bin/fake-gcs-server")
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    arguments = ["-backend", "memory", "-scheme", "http", "-host", "127.0.0.1", "-port", str(port)]
    arguments += ["-public-host", f"127.0.0.1:{port}", "-external-url", address, "-log-level", "error"]
    pinned = (lambda: os.sched_setaffinity(0, cpus)) if cpus else None
    server = subprocess.Popen([FAKE_GCS_SERVER, *arguments], preexec_fn=pinned)
    try:
        _wait(server, f"{address}/_internal/healthcheck")
        yield address
    finally:
        server.terminate()
        server.wait(timeout=30)


def gcs_environment(address: str) -> dict[str, str]:
    """The variables with which google-cloud-storage talks to the server; it then needs no credentials."""
    return {"STORAGE_EMULATOR_HOST": address, "GOOGLE_CLOUD_PROJECT": "test"}


def make_bucket(name: str) -> None:
    """Make a bucket in the server that the environment names: `s3://NAME` or `gs://NAME`."""
    scheme, bucket = name.split("://")
    if scheme == "s3":
        import boto3

        place: Any = {"LocationConstraint": os.environ["AWS_REGION"]}
        boto3.client("s3").create_bucket(Bucket=bucket, CreateBucketConfiguration=place)
        return
    from google.cloud import storage

    with contextlib.closing(storage.Client()) as client:
        client.create_bucket(bucket)


def _post(address: str) -> None:
    urllib.request.urlopen(urllib.request.Request(address, method="POST"), timeout=30).close()


def _wait(server: "subprocess.Popen[bytes]", address: str) -> None:
    end = time.monotonic() + 30
    while True:
        try:
            return urllib.request.urlopen(address, timeout=5).close()
        except OSError:
            if server.poll() is not None or time.monotonic() > end:
                raise
            time.sleep(0.02)


def main() -> None:
    """Serve S3, say where, and end with what started this."""
    argparse.ArgumentParser(prog="python -m benchmarks.stand_ins", description=main.__doc__).parse_args()
    with s3() as address:
        print(address, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
