"""A proxy between the clients of object stores and their servers, which does what networks, services and clocks do.

It speaks HTTP/1.1 to the real client libraries and hands requests on to moto or fake-gcs-server. Which request meets
which fault is drawn from a plan's seed, in the order in which requests come; clients that send several at once do not
come in the same order twice.

What the stand-ins leave out of the real services it adds:

- an upload is compared with the checksum that it carries before it is handed on, and Google's uploads in chunks go on
  where they were broken off (`real_uploads`);
- a request that comes only in part is never handed on: moto would keep that part;
- S3 refuses a request whose signature is more than fifteen minutes off, and says its own time
  (https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html).

Bits change, and ends are missing, only in the bytes of objects: those have checksums of their own, while TLS keeps the
rest whole. So requests and answers are held as a whole before they go on; a break in the middle is made there.
"""

import collections
import contextlib
import dataclasses
import datetime
import enum
import functools
import http.client
import http.server
import json
import random
import socket
import struct
import threading
import time
import urllib.parse

import real_uploads


class Fault(enum.StrEnum):
    """What may happen to a request."""

    REFUSED = "500, 502, 503 or 504, and nothing was done"
    FORGOTTEN = "500, 502, 503 or 504, and it was done"
    THROTTLED = "to come back later, now and then said when"
    SLOW = "a while until it is handed on"
    STALLED = "no answer for longer than the client waits"
    RESET = "the connection breaks at once"
    RESET_UP = "the connection breaks in the middle of the request's body"
    UNANSWERED = "it was done, and the connection breaks before the answer"
    RESET_DOWN = "the connection breaks in the middle of the answer's body"
    TRUNCATED = "the connection is closed, in good order, before all that was promised has come"
    SHORTENED = "an object's end is missing, and the answer promises no more"
    CHANGED_DOWN = "a bit of an object changes on its way down"
    CHANGED_UP = "a bit of an object changes on its way up"
    AWAY = "nobody is there for a while"


@dataclasses.dataclass(frozen=True)
class Plan:
    """How much goes wrong, and what.

    Attributes:
        seed: of all that is drawn.
        share: of requests that meet a fault, 0 to 1.
        faults: those that may happen.
        away_seconds: the longest time in which nobody is there.
        slow_seconds: the longest that a slow request takes.
        stalled_seconds: how long a stalled one takes.
        stalls: how many may; each costs a test its time.
    """

    seed: int
    share: float
    faults: tuple[Fault, ...] = tuple(Fault)
    away_seconds: float = 0.3
    slow_seconds: float = 0.1
    stalled_seconds: float = 1.8
    stalls: int = 1


LONGEST_SKEW_SECONDS = 15 * 60
_OWN_HEADERS = {
    "connection", "keep-alive", "transfer-encoding", "expect", "content-length", "upgrade", "date", "server",
}  # fmt: skip
_OF_DOWNLOADS = {Fault.SHORTENED, Fault.CHANGED_DOWN}
_OF_ANSWERS = {*_OF_DOWNLOADS, Fault.RESET_DOWN, Fault.TRUNCATED}
_RARE = {*_OF_DOWNLOADS, Fault.CHANGED_UP, Fault.RESET_UP, Fault.STALLED}
"""Those that can happen to few requests, and so are drawn more often for these."""
_CHANGED = (400, "BadDigest", 'Provided CRC32C "AAAAAA==" doesn\'t match calculated CRC32C "BBBBBB==".')
_OF_SERVERS = (500, 502, 503, 504)


class FaultProxy:
    """The proxy, in threads of this process; `stop` it.

    Args:
        server: the address that requests are handed on to.
        dialect: "s3" or "gs", in which errors are answered.

    Attributes:
        address: its own.
        clock_off_seconds: of the service's clock from that of this machine.
        applied: how often each fault was met.
        skewed: how many requests were refused because of their clock.
        unchecked: uploads that carried no checksum, by method and path.
        resumable: uploads in chunks by their id.
    """

    def __init__(self, server, dialect):
        self.server, self.dialect = urllib.parse.urlsplit(server), dialect
        self.clock_off_seconds = 0
        self.applied, self.skewed, self.unchecked = collections.Counter(), 0, []
        self.resumable = {}
        self._lock, self._away_until = threading.Lock(), 0.0
        self._plan, self._random, self._stalls = None, random.Random(0), 0
        self._http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Handler, self))
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
            self._plan, self._random, self._away_until = plan, random.Random(plan.seed if plan else 0), 0.0
            self._stalls = plan.stalls if plan else 0

    def draw(self, fits):
        """What a request meets.

        Args:
            fits: says whether a fault can happen to it.

        Returns:
            The fault or None, a number from 0 to 1 that says where or which, and the plan.
        """
        with self._lock:
            plan, where = self._plan, self._random.random()
            if plan is None:
                return None, where, plan
            if time.monotonic() < self._away_until:
                return Fault.AWAY, where, plan
            fitting = [fault for fault in plan.faults if fits(fault) and (fault is not Fault.STALLED or self._stalls)]
            if self._random.random() >= plan.share or not fitting:
                return None, where, plan
            particular = [fault for fault in fitting if fault in _RARE]
            fault = self._random.choice(particular if particular and self._random.random() < 0.5 else fitting)
            self._stalls -= fault is Fault.STALLED
            if fault is Fault.AWAY:
                self._away_until = time.monotonic() + where * plan.away_seconds
            self.applied[fault] += 1
            return fault, where, plan

    def spare(self, fault):
        """A request did not meet it after all: there was nothing to cut or to change."""
        with self._lock:
            self.applied[fault] -= 1


class _Handler(http.server.BaseHTTPRequestHandler):
    """A connection of a client."""

    protocol_version = "HTTP/1.1"

    def __init__(self, proxy, *arguments):
        self.proxy = proxy
        super().__init__(*arguments)

    def handle_one_request(self):
        """One request and its answer; a client that is gone needs none."""
        try:
            super().handle_one_request()
        except ConnectionError:
            self.close_connection = True

    def exchange(self):
        parts = urllib.parse.urlsplit(self.path)
        self.query = urllib.parse.parse_qs(parts.query, keep_blank_values=True)
        self.is_download = self.command == "GET" and self._names_object(parts.path)
        self.is_upload = int(self.headers.get("Content-Length", 0)) > 0 and self._makes_object(parts.path)
        if self._is_skewed():
            self._body()
            return self._refuse_clock()
        fault, where, plan = self.proxy.draw(self._fits)
        if fault in (Fault.AWAY, Fault.RESET):
            return self._reset()
        if fault is Fault.RESET_UP:
            self._body(where)
            return self._reset()
        body = self._body()
        if fault is Fault.REFUSED:
            return self._server_error(where)
        if fault is Fault.THROTTLED:
            return self._throttle(where)
        if fault in (Fault.SLOW, Fault.STALLED):
            time.sleep(where * plan.slow_seconds if fault is Fault.SLOW else plan.stalled_seconds)
        if fault is Fault.CHANGED_UP:
            body = self._changed_upload(body, where)
        status, headers, answer = self._serve(body)
        if fault is Fault.UNANSWERED:
            return self._reset()
        if fault is Fault.FORGOTTEN:
            return self._server_error(where)
        return self._answer(status, headers, answer, fault, where)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = do_PATCH = exchange  # noqa: N815

    def _fits(self, fault):
        """Whether a fault can happen to this request."""
        if fault is Fault.CHANGED_UP:
            return self.is_upload
        if fault is Fault.RESET_UP:
            return int(self.headers.get("Content-Length", 0)) > 0
        return fault not in _OF_DOWNLOADS or self.is_download

    def _names_object(self, path):
        if self.proxy.dialect == "gs":
            return self.query.get("alt") == ["media"]
        return path.count("/") > 1 and not self.query.keys() & {"list-type", "uploads", "location"}

    def _makes_object(self, path):
        if self.proxy.dialect == "gs":
            return path.startswith("/upload/") and (self.command == "PUT" or self.query["uploadType"] == ["multipart"])
        return self.command == "PUT" and path.count("/") > 1

    def _serve(self, body):
        """What the real service would answer: status, headers and body."""
        upload = self.proxy.resumable.get(self._upload_id(self.path)) if self.command == "PUT" else None
        if upload is not None:
            return self._go_on(upload, body)
        if self.is_upload and not self._may_be_kept(self._is_as_sent(body)):
            return self._said(*_CHANGED)
        return self._hand_on(body)

    def _go_on(self, upload, chunk):
        """With an upload in chunks."""
        upload.take(self.headers["Content-Range"], chunk)
        if upload.answer is None and not upload.is_whole:
            return 308, [("Range", f"bytes=0-{len(upload.data) - 1}")] if upload.data else [], b""
        if upload.answer is None:
            size = len(upload.data)
            is_kept = self._may_be_kept(upload.is_as_sent)
            self.headers.replace_header("Content-Range", f"bytes 0-{size - 1}/{size}")
            upload.answer = self._hand_on(upload.data) if is_kept else self._said(*_CHANGED)
        return upload.answer

    def _is_as_sent(self, body):
        if self.proxy.dialect == "s3":
            return real_uploads.is_as_sent_to_s3(self.headers, body)
        return real_uploads.is_as_sent_to_google(self.headers["Content-Type"], body)

    def _may_be_kept(self, is_as_sent):
        if is_as_sent is None:
            self.proxy.unchecked.append(f"{self.command} {self.path}")
        return is_as_sent is not False

    def _upload_id(self, address):
        return urllib.parse.parse_qs(urllib.parse.urlsplit(address).query).get("upload_id", [""])[0]

    def _changed_upload(self, body, where):
        start, end = 0, len(body)
        if self.proxy.dialect == "gs" and self.command == "POST":
            start, end = real_uploads.media(self.headers["Content-Type"], body)
        return body[:start] + _changed(body[start:end], where) + body[end:]

    def _is_skewed(self):
        said = self.headers.get("X-Amz-Date")
        if said is None:
            return False
        at = datetime.datetime.strptime(said, "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.UTC)
        return abs(time.time() + self.proxy.clock_off_seconds - at.timestamp()) > LONGEST_SKEW_SECONDS

    def _body(self, part=1.0):
        """The first part of the request's body."""
        if "Transfer-Encoding" in self.headers:
            raise AssertionError("a body whose length is not said: neither client sends one")
        return self.rfile.read(int(part * int(self.headers.get("Content-Length", 0))))

    def _hand_on(self, body):
        """Status, headers and body that the server answers, with this address in the place of its own."""
        far, here = self.proxy.server.geturl(), self.proxy.address
        with contextlib.closing(http.client.HTTPConnection(self.proxy.server.netloc, timeout=60)) as connection:
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in _OWN_HEADERS - {"date"}:
                    connection.putheader(name, value)
            connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            answer = connection.getresponse()
            data, headers = answer.read(), answer.getheaders()
        headers = [(name, value.replace(far, here)) for name, value in headers]
        if "json" in dict(headers).get("Content-Type", ""):
            data = data.replace(far.encode(), here.encode())
        if self.query.get("uploadType") == ["resumable"] and self.command == "POST" and answer.status == 200:
            self.proxy.resumable[self._upload_id(dict(headers)["Location"])] = real_uploads.Resumable(body)
        return answer.status, headers, data

    def _answer(self, status, headers, data, fault=None, where=0.0):
        if fault in _OF_ANSWERS and (status not in (200, 206) or not data):
            self.proxy.spare(fault)
            fault = None
        if fault is Fault.CHANGED_DOWN:
            data = _changed(data, where)
        if fault is Fault.SHORTENED:
            data = data[: int(where * len(data))]
        promised = str(len(data))
        self.send_response(status)
        for name, value in headers:
            if name.lower() == "content-length" and self.command == "HEAD":
                promised = value
            elif name.lower() not in _OWN_HEADERS:
                self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", promised)
        self.end_headers()
        if self.command == "HEAD":
            return
        is_cut = fault in (Fault.RESET_DOWN, Fault.TRUNCATED)
        self.wfile.write(data[: int(where * len(data))] if is_cut else data)
        if fault is Fault.RESET_DOWN:
            self._reset()
        self.close_connection |= is_cut

    def _server_error(self, where):
        self._error(_OF_SERVERS[int(where * len(_OF_SERVERS))], "InternalError", "We encountered an internal error.")

    def _throttle(self, where):
        status, code = (503, "SlowDown") if self.proxy.dialect == "s3" else (429, "rateLimitExceeded")
        self._error(status, code, "Please reduce your request rate.", {"Retry-After": "1"} if where < 0.3 else {})

    def _refuse_clock(self):
        self.proxy.skewed += 1
        now = datetime.datetime.fromtimestamp(time.time() + self.proxy.clock_off_seconds, datetime.UTC)
        more = f"<ServerTime>{now:%Y-%m-%dT%H:%M:%SZ}</ServerTime>"
        more += f"<MaxAllowedSkewMilliseconds>{LONGEST_SKEW_SECONDS * 1000}</MaxAllowedSkewMilliseconds>"
        words = "The difference between the request time and the current time is too large."
        self._error(403, "RequestTimeTooSkewed", words, {}, more)

    def _error(self, *said):
        self._answer(*self._said(*said))

    def _said(self, status, code, message, headers=None, more=""):
        """An error in the service's words: status, headers and body."""
        if self.proxy.dialect == "s3":
            kind, said = "application/xml", f"<Error><Code>{code}</Code><Message>{message}</Message>{more}</Error>"
        else:
            kind = "application/json"
            said = json.dumps({"error": {"code": status, "message": message, "errors": [{"reason": code}]}})
        return status, [("Content-Type", kind), *(headers or {}).items()], said.encode()

    def _reset(self):
        """Break the connection, as a machine does that has lost its state."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.rfile.close()
        self.connection.close()
        self.close_connection = True

    def log_message(self, *_):
        pass


def _changed(data, where):
    """The bytes with one bit turned."""
    changed = bytearray(data)
    if changed:
        changed[min(len(data) - 1, int(where * len(data)))] ^= 1
    return bytes(changed)
