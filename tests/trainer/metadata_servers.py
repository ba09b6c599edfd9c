"""Metadata services for tests: AWS's own mock of EC2's, and servers that keep to the documented protocols, or break."""

import contextlib
import secrets
import socket
import subprocess
import tempfile
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from trainer.preemption import compute_engine, ec2

MOCK = Path(__file__).parents[2] / ".tools/bin/ec2-metadata-mock"
FLAVOR = "Metadata-Flavor"


def free_port():
    """A TCP port of loopback that nobody listens at."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


@contextlib.contextmanager
def ec2_mock(*arguments, port=None):
    """AWS's mock, which answers requests with tokens alone; gives its address."""
    if not MOCK.is_file():
        pytest.fail(f"these tests need AWS's mock: make {MOCK.relative_to(MOCK.parents[2])}")
    port = port or free_port()
    with tempfile.TemporaryDirectory() as home:
        process = subprocess.Popen(
            [MOCK, *map(str, arguments), "--imdsv2", "--hostname", "127.0.0.1", "--port", str(port)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={"HOME": home},  # where it would look for settings
        )
        try:
            wait_for(lambda: process.poll() is None and listens(port))
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait()


def listens(port):
    """Whether somebody listens at a port of loopback."""
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) == 0


def wait_for(condition, seconds=60.0):
    """Wait until something holds, and give it; fail if it never does."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.01)
    return found


class Metadata:
    """A server at a port of loopback; used as a context manager, which sets the variable that names it.

    Attributes:
        mood: how it answers: `well`, or `hangs`, `500`, `nonsense`, `redirects`, `hangs up`.
        asked: (method, path, headers) of each request.
    """

    variable = ""
    prefix = ""

    def __init__(self):
        self.mood, self.asked, self.closed = "well", [], threading.Event()
        self.changed = threading.Condition()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.address = f"127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    def __enter__(self):
        self._patch = pytest.MonkeyPatch()
        self._patch.setenv(self.variable, f"{self.prefix}{self.address}")
        self._thread.start()
        return self

    def __exit__(self, *failure):
        self._patch.undo()
        self.closed.set()
        with self.changed:
            self.changed.notify_all()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def answer(self, method, path, query, headers):
        """Status, headers and text."""
        raise NotImplementedError

    def _respond(self, request):
        parts = urllib.parse.urlsplit(request.path)
        query = dict(urllib.parse.parse_qsl(parts.query))
        self.asked.append((request.command, parts.path, dict(request.headers)))
        if self.mood == "hangs":
            self.closed.wait()
            return
        if self.mood == "hangs up":
            return
        answers = {
            "500": (500, {}, "trouble"),
            "nonsense": (200, {}, "<html>\xff"),
            "redirects": (302, {"Location": "http://127.0.0.1:9/"}, ""),
        }
        status, headers, text = answers.get(self.mood) or self.answer(
            request.command, parts.path, query, request.headers
        )
        body = text.encode("latin-1")
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # whoever asked has gone
            request.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                request.send_header(name, value)
            request.end_headers()
            request.wfile.write(body)

    def _handler(self):
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                server._respond(self)

            do_PUT = do_GET  # noqa: N815

            def log_message(self, *arguments):
                pass

        return Handler


class InstanceMetadata(Metadata):
    """EC2's, version 2: tokens end when they said, or are taken back.

    Attributes:
        items: texts by path below `/latest/meta-data/`.
        failures: so many of the next questions are answered by 500.
    """

    variable = ec2.VARIABLE
    prefix = "http://"

    def __init__(self, **items):
        super().__init__()
        self.items, self.tokens, self.failures = items, {}, 0

    def answer(self, method, path, query, headers):
        """As https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-metadata-v2-how-it-works.html says."""
        if (method, path) == ("PUT", "/latest/api/token"):
            seconds = int(headers.get("X-aws-ec2-metadata-token-ttl-seconds", "0"))
            if not 1 <= seconds <= 21600:
                return 400, {}, ""
            token = secrets.token_urlsafe()
            self.tokens[token] = time.monotonic() + seconds
            return 200, {"X-aws-ec2-metadata-token-ttl-seconds": str(seconds)}, token
        if time.monotonic() >= self.tokens.get(headers.get("X-aws-ec2-metadata-token"), 0.0):
            return 401, {}, ""
        if self.failures:
            self.failures -= 1
            return 500, {}, ""
        text = self.items.get(path.removeprefix("/latest/meta-data/"))
        return (404, {}, "") if text is None else (200, {}, text)


class ComputeMetadata(Metadata):
    """Compute Engine's: refuses who does not send its header, and waits for a change when asked to.

    Attributes:
        failures: so many of the next requests are answered by 503.
        flavored: whether it says whose it is.
    """

    variable = compute_engine.VARIABLE

    def __init__(self):
        super().__init__()
        self._values = {"preempted": "FALSE", "maintenance-event": "NONE"}
        self._etags = {key: secrets.token_hex(8) for key in self._values}
        self.failures, self.flavored = 0, True

    def set(self, key, value):
        """Change a key; whoever waits is told."""
        with self.changed:
            self._values[key], self._etags[key] = value, secrets.token_hex(8)
            self.changed.notify_all()

    def answer(self, method, path, query, headers):
        """As https://cloud.google.com/compute/docs/metadata/querying-metadata says."""
        key = path.removeprefix("/computeMetadata/v1/instance/")
        flavor = {FLAVOR: "Google"} if self.flavored else {}
        if headers.get(FLAVOR) != "Google":
            return 403, flavor, ""
        if self.failures:
            self.failures -= 1
            return 503, flavor, ""
        if key not in self._values:
            return 404, flavor, ""
        with self.changed:
            if query.get("wait_for_change") == "true":
                last, seconds = query.get("last_etag"), float(query.get("timeout_sec", "inf"))
                self.changed.wait_for(lambda: self.closed.is_set() or self._etags[key] != last, seconds)
            return 200, {**flavor, "ETag": self._etags[key]}, self._values[key]
