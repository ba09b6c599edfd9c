"""Stand-ins for the clouds' metrics and logs: moto, and gRPC servers made of Google's own messages, on loopback.

`Amazon` hands requests to moto, but for the faults that a test asks for. `Google` keeps what it is sent and refuses
what the documents say that Cloud Monitoring and Cloud Logging refuse; nobody asks it for credentials.
"""

import contextlib
import gzip
import io
import json
import threading
import time
import urllib.request
from concurrent import futures

import grpc
from google.api.metric_pb2 import MetricDescriptor
from google.cloud.logging_v2.types import WriteLogEntriesPartialErrors, WriteLogEntriesRequest, WriteLogEntriesResponse
from google.cloud.monitoring_v3 import CreateMetricDescriptorRequest, CreateTimeSeriesRequest, CreateTimeSeriesSummary
from google.protobuf import any_pb2, empty_pb2
from google.rpc import code_pb2, status_pb2
from grpc_status import rpc_status
from werkzeug.serving import WSGIRequestHandler, make_server

REGION, PROJECT = "eu-west-1", "slipway-test"


def eventually(condition, seconds=60):
    """Wait until something holds; how long that takes is not judged."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.02)


def amazon_environment(monkeypatch, address, home):
    """Lead boto3 to a server, with credentials that it takes, and to nothing else."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    values = {
        "AWS_ENDPOINT_URL_CLOUDWATCH": address,
        "AWS_ENDPOINT_URL_CLOUDWATCH_LOGS": address,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": str(home / "no-aws-config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(home / "no-aws-credentials"),
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)


class Amazon:
    """Moto behind faults. Set one at any time:

    Attributes:
        throttled: how many requests are still answered with a throttling error.
        refused_word: requests whose body has it are refused as invalid.
        gate: requests wait while it is not set.
        blocked: how many requests wait.
        requests: the bodies of all requests, in order.
    """

    def __init__(self, port=0):
        from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

        self._moto = DomainDispatcherApplication(create_backend_app)
        self.throttled, self.refused_word, self.blocked, self.requests = 0, None, 0, []
        self.gate = threading.Event()
        self.gate.set()
        self._server = make_server("127.0.0.1", port, self._answer, threaded=True, request_handler=_Quiet)
        self._server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def forget(self):
        urllib.request.urlopen(urllib.request.Request(f"{self.address}/moto-api/reset", method="POST"), timeout=10)
        self.requests.clear()

    def stop(self):
        self.gate.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def client(self, service):
        import boto3

        return boto3.client(
            service,
            region_name=REGION,
            endpoint_url=self.address,
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )

    def _answer(self, environ, start_response):
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        plain = gzip.decompress(body) if environ.get("HTTP_CONTENT_ENCODING") == "gzip" else body
        self.requests.append(plain)
        if not self.gate.is_set():
            self.blocked += 1
            self.gate.wait()
        if self.throttled > 0:
            self.throttled -= 1
            return _error(environ, start_response, "ThrottlingException", "Rate exceeded")
        if self.refused_word is not None and self.refused_word.encode() in plain:
            return _error(environ, start_response, "InvalidParameterValueException", "The value is invalid")
        if environ.get("HTTP_X_AMZ_TARGET", "").endswith(".PutLogEvents"):
            return _corrected(self._moto, environ, start_response)
        return self._moto(environ, start_response)


def _corrected(moto, environ, start_response):
    """Moto says the index of the last event that is too old; Amazon's end index is the one after it."""
    from werkzeug.test import run_wsgi_app

    parts, status, headers = run_wsgi_app(moto, environ)
    said = json.loads(b"".join(parts))
    rejected = said.get("rejectedLogEventsInfo", {})
    if "tooOldLogEventEndIndex" in rejected:
        rejected["tooOldLogEventEndIndex"] += 1
    body = json.dumps(said).encode()
    headers["Content-Length"] = str(len(body))
    start_response(status, list(headers))
    return [body]


class _Quiet(WSGIRequestHandler):
    def log(self, kind, message, *args):
        pass


def _error(environ, start_response, code, message):
    """An error as the protocol of the request has it."""
    values = {"__type": code, "message": message}
    if environ.get("HTTP_SMITHY_PROTOCOL"):
        headers = [("Content-Type", "application/cbor"), ("smithy-protocol", "rpc-v2-cbor")]
        body = b"\xa2" + b"".join(
            b"\x78" + bytes([len(word)]) + word.encode() for pair in values.items() for word in pair
        )
    else:
        headers, body = [("Content-Type", "application/x-amz-json-1.1")], json.dumps(values).encode()
    start_response("400 Bad Request", [*headers, ("Content-Length", str(len(body)))])
    return [body]


@contextlib.contextmanager
def amazon(port=0):
    server = Amazon(port)
    try:
        server.forget()
        yield server
    finally:
        server.stop()


class Google:
    """Cloud Monitoring and Cloud Logging.

    Attributes:
        descriptors: metric descriptors by type.
        series: points by (type, labels, resource's labels): a list of (end in seconds, value).
        entries: log entries in order, once for each insert id.
        unavailable: how many calls are still answered with UNAVAILABLE.
        calls: the methods called, in order.
        gate: calls wait while it is not set.
        blocked: how many wait.
        refused_message: entries with this message are refused.
        fixed: types of descriptors that cannot be made anew.
    """

    def __init__(self, port=0):
        self.descriptors, self.series, self.entries, self.calls = {}, {}, [], []
        self.unavailable = self.blocked = 0
        self.refused_message = None
        self.fixed = set()
        self.gate = threading.Event()
        self.gate.set()
        self._server = grpc.server(futures.ThreadPoolExecutor(4))
        self._server.add_generic_rpc_handlers((_Handler(self),))
        self.port = self._server.add_insecure_port(f"127.0.0.1:{port}")
        assert self.port
        self.address = f"http://127.0.0.1:{self.port}/"
        self._server.start()

    def stop(self):
        self.gate.set()
        self._server.stop(None).wait()

    def before(self, method, context):
        self.calls.append(method)
        if not self.gate.is_set():
            self.blocked += 1
            self.gate.wait()
        if self.unavailable > 0:
            self.unavailable -= 1
            context.abort(grpc.StatusCode.UNAVAILABLE, "The service is currently unavailable.")

    def create_metric_descriptor(self, request, context):
        assert request.name == f"projects/{PROJECT}"
        if request.metric_descriptor.type in self.fixed:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "The metric's labels or unit differ from those it has.")
        self.descriptors[request.metric_descriptor.type] = request.metric_descriptor
        return request.metric_descriptor

    def create_time_series(self, request, context):
        """What https://cloud.google.com/monitoring/custom-metrics/creating-metrics says of a point."""
        assert request.name == f"projects/{PROJECT}"
        keys = [_key(series) for series in request.time_series]
        if len(keys) > 200 or len(set(keys)) < len(keys) or any(len(s.points) != 1 for s in request.time_series):
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "too many time series, or one twice")
        refused = 0
        for key, series in zip(keys, request.time_series, strict=True):
            end = series.points[0].interval.end_time.timestamp()
            before = self.series.get(key, [])
            near = bool(before) and end < before[-1][0] + 4.999
            if near or not time.time() - 25 * 3600 < end < time.time() + 300 or key[0] not in self.descriptors:
                refused += 1
            else:
                self.series.setdefault(key, []).append((end, series.points[0].value.double_value))
        if refused:
            total = len(keys)
            summary = CreateTimeSeriesSummary(
                total_point_count=total,
                success_point_count=total - refused,
                errors=[{"status": {"code": code_pb2.INVALID_ARGUMENT}, "point_count": refused}],
            )
            _abort(context, "One or more TimeSeries could not be written", summary)
        return empty_pb2.Empty()

    def write_log_entries(self, request, context):
        """Entries are merged by their insert id."""
        errors = {}
        for index, entry in enumerate(request.entries):
            if self.refused_message is not None and entry.json_payload["message"] == self.refused_message:
                errors[index] = status_pb2.Status(code=code_pb2.INVALID_ARGUMENT, message="bad entry")
            elif all(entry.insert_id != old.insert_id for _, old in self.entries):
                self.entries.append((request, entry))
        if errors:
            _abort(context, "Some log entries were refused", WriteLogEntriesPartialErrors(log_entry_errors=errors))
        return WriteLogEntriesResponse()


def _key(series):
    return (
        series.metric.type,
        tuple(sorted(series.metric.labels.items())),
        tuple(sorted(series.resource.labels.items())),
    )


def _abort(context, message, detail):
    packed = any_pb2.Any()
    packed.Pack(type(detail).pb(detail))
    status = status_pb2.Status(code=code_pb2.INVALID_ARGUMENT, message=message, details=[packed])
    context.abort_with_status(rpc_status.to_status(status))


class _Handler(grpc.GenericRpcHandler):
    def __init__(self, google):
        self._methods = {
            "/google.monitoring.v3.MetricService/CreateMetricDescriptor": (
                google.create_metric_descriptor,
                CreateMetricDescriptorRequest.deserialize,
                MetricDescriptor.SerializeToString,
            ),
            "/google.monitoring.v3.MetricService/CreateTimeSeries": (
                google.create_time_series,
                CreateTimeSeriesRequest.deserialize,
                empty_pb2.Empty.SerializeToString,
            ),
            "/google.logging.v2.LoggingServiceV2/WriteLogEntries": (
                google.write_log_entries,
                WriteLogEntriesRequest.deserialize,
                WriteLogEntriesResponse.serialize,
            ),
        }
        self._google = google

    def service(self, details):
        function, read, write = self._methods[details.method]

        def answer(request, context):
            self._google.before(details.method.rpartition("/")[2], context)
            return function(request, context)

        return grpc.unary_unary_rpc_method_handler(answer, request_deserializer=read, response_serializer=write)


@contextlib.contextmanager
def google(port=0):
    server = Google(port)
    try:
        yield server
    finally:
        server.stop()


def google_environment(monkeypatch, address):
    """Lead Google's clients to a server."""
    monkeypatch.setenv("CLOUDSDK_API_ENDPOINT_OVERRIDES_MONITORING", address)
    monkeypatch.setenv("CLOUDSDK_API_ENDPOINT_OVERRIDES_LOGGING", address)
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", PROJECT)
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)


def free_port():
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
