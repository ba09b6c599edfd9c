"""Servers that stand in for the clouds: moto for S3, fake-gcs-server for Google Cloud Storage. They keep all in memory.

Both speak the real protocols to the real client libraries. What they do not show: no key service is asked when an
object is encrypted with a key of one's own (its name is only noted), nothing is throttled, and fake-gcs-server lets
anybody do anything.
"""

import contextlib
import http.server
import os
import socket
import subprocess
import threading
import time
import urllib.request
from pathlib import Path

FAKE_GCS_SERVER = Path(__file__).parents[2] / ".tools/bin/fake-gcs-server"

NO_CLOUD = (
    *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_DEFAULT_PROFILE"),
    *("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ROLE_ARN"),
    *("AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"),
    *("GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_CLOUD_PROJECT", "STORAGE_EMULATOR_HOST"),
)
"""Variables that lead to a cloud: a test of what happens without one unsets them."""


@contextlib.contextmanager
def s3():
    """Moto's server in a thread of this process, which forgets what an earlier one held; gives its address.

    Moto asks whether there is an object and makes one in two steps, so two conditional writes at once could both
    succeed, as they never do in S3: here conditional writes wait for each other.
    """
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
    from werkzeug.serving import make_server

    moto = DomainDispatcherApplication(create_backend_app)
    one_at_a_time = threading.Lock()

    def application(environ, start_response):
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


def s3_environment(address, home):
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
def gcs():
    """A process of fake-gcs-server; gives its address."""
    if not FAKE_GCS_SERVER.is_file():
        raise FileNotFoundError(f"{FAKE_GCS_SERVER} is missing: make .tools/bin/fake-gcs-server")
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    arguments = ["-backend", "memory", "-scheme", "http", "-host", "127.0.0.1", "-port", str(port)]
    arguments += ["-public-host", f"127.0.0.1:{port}", "-external-url", address, "-log-level", "error"]
    server = subprocess.Popen([FAKE_GCS_SERVER, *arguments])
    try:
        _wait(server, f"{address}/_internal/healthcheck")
        yield address
    finally:
        server.terminate()
        server.wait(timeout=30)


def gcs_environment(address):
    """The variables with which google-cloud-storage talks to the server; it then needs no credentials."""
    return {"STORAGE_EMULATOR_HOST": address, "GOOGLE_CLOUD_PROJECT": "test"}


@contextlib.contextmanager
def answering(answer):
    """A server that answers as a test says, for what stand-ins never do; gives its address.

    Args:
        answer: given the method, path, headers and body of a request, returns status, headers and body. An extra
            `Content-Length` promises more than there is; None breaks the connection.
    """

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_request(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            answered = answer(self.command, self.path, self.headers, body)
            self.close_connection = True
            if answered is not None:
                status, headers, body = answered
                self.send_response(status)
                for name, value in ({"Content-Length": len(body), "Connection": "close"} | headers).items():
                    self.send_header(name, str(value))
                self.end_headers()
                self.wfile.write(b"" if self.command == "HEAD" else body)

        do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = handle_request  # noqa: N815

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def make_bucket(name):
    """Make a bucket in the server that the environment names: `s3://NAME` or `gs://NAME`."""
    scheme, bucket = name.split("://")
    if scheme == "s3":
        import boto3

        place = {"LocationConstraint": os.environ["AWS_REGION"]}
        boto3.client("s3").create_bucket(Bucket=bucket, CreateBucketConfiguration=place)
        return
    from google.cloud import storage

    with contextlib.closing(storage.Client()) as client:
        client.create_bucket(bucket)


def _post(address):
    urllib.request.urlopen(urllib.request.Request(address, method="POST"), timeout=30).close()


def _wait(server, address):
    end = time.monotonic() + 30
    while True:
        try:
            return urllib.request.urlopen(address, timeout=5).close()
        except OSError:
            if server.poll() is not None or time.monotonic() > end:
                raise
            time.sleep(0.02)
