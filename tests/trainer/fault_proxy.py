"""A proxy between the clients of object stores and their servers, which does what networks, services and clocks do.

It speaks HTTP/1.1 to the real client libraries, and hands requests on to moto or fake-gcs-server. Which request meets
which fault is drawn from a plan's seed. What the stand-ins leave out of the real services it adds:

- bytes that changed on their way up are compared with the checksum that the request carries, as S3 and Google do before
  they keep an object; a request without one is handed on as it is, changed;
- S3 refuses a request whose signature is more than fifteen minutes off
  (https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html).

Bytes of objects are changed and cut, those of listings and errors only cut: what TLS keeps whole has no checksum of its
own. Answers are read from the server as a whole and then handed on, so no download is paused in its middle.
"""

import collections
import contextlib
import dataclasses
import datetime
import enum
import http.client
import http.server
import json
import random
import socket
import struct
import threading
import time
import urllib.parse


class Fault(enum.StrEnum):
    """What may happen to a request."""

    REFUSED = "the service answers with an error, and did nothing"
    FORGOTTEN = "the service did it, and answers with an error"
    THROTTLED = "the service asks to come back later"
    SLOW = "it takes a while"
    BROKEN = "the connection breaks while the request comes"
    UNANSWERED = "the service did it, and the connection breaks before the answer"
    TORN = "the connection breaks in the middle of the answer"
    SHORT = "the end of an object is missing, and the answer says nothing of it"
    CHANGED_DOWN = "a bit of an object changes on its way down"
    CHANGED_UP = "a bit of an object changes on its way up"
    AWAY = "for a while nobody is there"


@dataclasses.dataclass(frozen=True)
class Plan:
    """How much goes wrong, and what.

    Attributes:
        seed: of all that is drawn.
        share: of requests that meet a fault.
        faults: those that may happen.
        away_requests: how many requests find nobody, when that happens.
        slow_seconds: the longest wait.
    """

    seed: int
    share: float
    faults: tuple[Fault, ...] = tuple(Fault)
    away_requests: int = 6
    slow_seconds: float = 0.05


_LONGEST_SKEW_SECONDS = 15 * 60
_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "expect", "content-length", "te", "upgrade"}
_DOWN = (Fault.SHORT, Fault.CHANGED_DOWN)


class FaultProxy:
    """The proxy, in threads of this process.

    Args:
        server: the address that requests are handed on to.
        dialect: "s3" or "gs", in which errors are answered.

    Attributes:
        address: its own.
        applied: how often each fault was met.
        skewed: how many requests were refused because of their clock.
    """

    def __init__(self, server, dialect):
        self.server, self.dialect = server.rstrip("/"), dialect
        self.applied, self.skewed = collections.Counter(), 0
        self._lock = threading.Lock()
        self._plan, self._random, self._away = None, None, 0
        self._http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._http.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._http.server_port}"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def stop(self):
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    def follow(self, plan):
        """Follow a plan from now on; with None nothing goes wrong."""
        with self._lock:
            self._plan, self._random, self._away = plan, random.Random(plan.seed if plan else 0), 0

    def draw(self, fits):
        """The fault that a request meets, and a number from 0 to 1 that says where; None for neither."""
        with self._lock:
            plan = self._plan
            if plan is None:
                return None, 0.0
            if self._away:
                self._away -= 1
                return Fault.AWAY, 0.0
            if self._random.random() >= plan.share:
                return None, 0.0
            fault, where = self._random.choice(plan.faults), self._random.random()
            if not fits(fault):
                return None, 0.0
            if fault is Fault.AWAY:
                self._away = plan.away_requests
            self.applied[fault] += 1
            return fault, where

    def _handler(proxy):  # noqa: N805 (the handler below has a self of its own)
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle(self):
                with contextlib.suppress(ConnectionError):
                    super().handle()

            def exchange(self):
                _Exchange(proxy, self).run()

            do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = do_PATCH = exchange  # noqa: N815

            def log_message(self, *_):
                pass

        return Handler


class _Exchange:
    """One request and its answer."""

    def __init__(self, proxy, handler):
        self.proxy, self.handler, self.headers = proxy, handler, handler.headers
        parts = urllib.parse.urlsplit(handler.path)
        self.query = urllib.parse.parse_qs(parts.query, keep_blank_values=True)
        self.path = parts.path

    def run(self):
        if self.proxy.dialect == "s3" and self._is_skewed():
            self._body(1.0)
            self.proxy.skewed += 1
            return self._error(
                403, "RequestTimeTooSkewed", "The difference between the request time and ours is large."
            )
        fault, where = self.proxy.draw(self._fits)
        if fault is Fault.AWAY or (fault is Fault.BROKEN and self._body(where) is not None):
            return self._break()
        body = self._body(1.0)
        if fault is Fault.REFUSED:
            return self._error(
                (500, 502, 503, 504)[int(where * 4)], "InternalError", "We encountered an internal error."
            )
        if fault is Fault.THROTTLED:
            return self._throttle(where)
        if fault is Fault.SLOW:
            time.sleep(where * self.proxy._plan.slow_seconds if self.proxy._plan else 0)
        if fault is Fault.CHANGED_UP:
            body = _changed(body, where)
            if self._has_checksum(body):
                return self._error(400, "BadDigest", "The checksum you specified did not match what we received.")
        status, headers, answer = self._forward(body)
        if fault is Fault.UNANSWERED:
            return self._break()
        if fault is Fault.FORGOTTEN:
            return self._error(503, "ServiceUnavailable", "Please reduce your request rate.")
        return self._answer(status, headers, answer, fault, where)

    def _fits(self, fault):
        """Whether a fault can happen to this request."""
        if fault is Fault.CHANGED_UP:
            return self._is_upload()
        return fault not in _DOWN or self._is_download()

    def _is_download(self):
        if self.handler.command != "GET":
            return False
        if self.proxy.dialect == "gs":
            return self.query.get("alt") == ["media"] or self.path.startswith("/download/")
        return self.path.count("/") > 1 and "list-type" not in self.query

    def _is_upload(self):
        has_body = int(self.headers.get("Content-Length") or 0) > 0 or "Transfer-Encoding" in self.headers
        if self.proxy.dialect == "gs":
            return has_body and self.path.startswith("/upload/") and self.query.get("uploadType") != ["resumable"]
        return has_body and self.handler.command == "PUT"

    def _has_checksum(self, body):
        if self.proxy.dialect == "gs":
            return b'"crc32c"' in body or "X-Goog-Hash" in self.headers
        names = {name.lower() for name in self.headers}
        return "content-md5" in names or any(name.startswith(("x-amz-checksum-", "x-amz-trailer")) for name in names)

    def _is_skewed(self):
        said = self.headers.get("X-Amz-Date")
        if said is None:
            return False
        at = datetime.datetime.strptime(said, "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.UTC)
        return abs(REAL_TIME() - at.timestamp()) > _LONGEST_SKEW_SECONDS

    def _body(self, part):
        """The first part of the request's body; all that was read so far if it was read before."""
        if "Transfer-Encoding" in self.headers:
            return self._chunks() if part == 1.0 else b""
        return self.handler.rfile.read(int(part * int(self.headers.get("Content-Length") or 0)))

    def _chunks(self):
        found = []
        while size := int(self.handler.rfile.readline().split(b";")[0], 16):
            found.append(self.handler.rfile.read(size))
            self.handler.rfile.readline()
        while self.handler.rfile.readline().strip():
            pass
        return b"".join(found)

    def _forward(self, body):
        there = urllib.parse.urlsplit(self.proxy.server)
        connection = http.client.HTTPConnection(there.hostname, there.port, timeout=60)
        try:
            connection.putrequest(self.handler.command, self.handler.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in _HOP_BY_HOP:
                    connection.putheader(name, value)
            connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            answer = connection.getresponse()
            data = answer.read()
            here, far = self.proxy.address, self.proxy.server
            headers = [(name, value.replace(far, here)) for name, value in answer.getheaders()]
            if "json" in (answer.getheader("Content-Type") or ""):
                data = data.replace(far.encode(), here.encode())  # links, such as an object's own
            return answer.status, headers, data
        finally:
            connection.close()

    def _answer(self, status, headers, data, fault, where):
        down = status in (200, 206)
        if fault is Fault.CHANGED_DOWN and down:
            data = _changed(data, where)
        if fault is Fault.SHORT and down:
            data = data[: int(where * len(data))]
        self.handler.send_response_only(status)
        length = len(data)
        for name, value in headers:
            if name.lower() == "content-length" and self.handler.command == "HEAD":
                length = int(value)
            elif name.lower() not in _HOP_BY_HOP:
                self.handler.send_header(name, value)
        if status != 204:
            self.handler.send_header("Content-Length", str(length))
        self.handler.end_headers()
        if fault is Fault.TORN:
            self.handler.wfile.write(data[: int(where * len(data))])
            return self._break()
        if self.handler.command != "HEAD":
            self.handler.wfile.write(data)
        return None

    def _throttle(self, where):
        status, code = (503, "SlowDown") if self.proxy.dialect == "s3" else (429, "rateLimitExceeded")
        return self._error(
            status, code, "Please reduce your request rate.", {"Retry-After": "0"} if where < 0.5 else {}
        )

    def _error(self, status, code, message, headers=None):
        if self.proxy.dialect == "s3":
            kind = "application/xml"
            text = (
                f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>{message}</Message></Error>'
            )
        else:
            kind = "application/json"
            text = json.dumps({"error": {"code": status, "message": message, "errors": [{"reason": code}]}})
        self._answer(status, [("Content-Type", kind), *(headers or {}).items()], text.encode(), None, 0.0)

    def _break(self):
        """Reset the connection, as a machine does that has lost its state."""
        with contextlib.suppress(OSError):
            self.handler.wfile.flush()
            self.handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.handler.close_connection = True


REAL_TIME = time.time
"""The clock, whatever a test makes of it."""


def _changed(data, where):
    """The bytes with one bit turned."""
    if not data:
        return data
    changed = bytearray(data)
    changed[min(len(data) - 1, int(where * len(data)))] ^= 1
    return bytes(changed)
