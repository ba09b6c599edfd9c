"""What is asked of AWS, recorded at a server that stands in for it, as the requests that IAM would decide about.

Moto answers. Whoever asks, boto3 or plain HTTP, is seen alike: by what goes over the wire. Which rights an operation
asks for is AWS's to say: https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
"""

import contextlib
import gzip
import io
import json
import re
import threading
import urllib.parse
import xml.etree.ElementTree
from dataclasses import dataclass

from iam import Request
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

SIGNED_FOR = re.compile(r"Credential=(?P<who>[^/]+)/\d{8}/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request")
ENCRYPTION = ("x-amz-server-side-encryption", "x-amz-server-side-encryption-aws-kms-key-id")


@dataclass(frozen=True)
class Call:
    """A request as it came, and how it was answered; `who` is the id of the key that signed it."""

    who: str
    service: str
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    status: int


class Amazon:
    """Moto behind a door that notes who comes in.

    Attributes:
        address: where it listens.
        calls: what was asked so far, of those that sign.
        broken: given method, path and query, says whether a request is refused.
    """

    def __init__(self):
        self._moto = DomainDispatcherApplication(create_backend_app)
        self.calls, self.broken = [], lambda method, path, query: False
        self._server = make_server("127.0.0.1", 0, self._answer, threaded=True, request_handler=_Quiet)
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def stop(self):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _answer(self, environ, start_response):
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        headers = {
            key[5:].replace("_", "-").lower(): value for key, value in environ.items() if key.startswith("HTTP_")
        }
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        query = dict(urllib.parse.parse_qsl(environ["QUERY_STRING"], keep_blank_values=True))
        told = []

        def start(status, *rest):
            told.append(int(status.split()[0]))
            return start_response(status, *rest)

        if self.broken(method, path, query):
            start("400 Bad Request", [("Content-Length", "0")])
            answer = [b""]
        else:
            answer = self._moto(environ, start)
        signed = SIGNED_FOR.search(headers.get("authorization", ""))
        if signed:
            self.calls.append(
                Call(signed["who"], signed["service"], method, path, query, headers, _plain(headers, body), told[0])
            )
        return answer


class _Quiet(WSGIRequestHandler):
    def log(self, kind, message, *args):
        pass


def _plain(headers, body):
    if headers.get("content-encoding") == "gzip":
        return gzip.decompress(body)
    if "aws-chunked" in headers.get("content-encoding", ""):
        return b""  # an object's content, which decides nothing
    return body


@contextlib.contextmanager
def amazon():
    """The server, with nothing in it."""
    import urllib.request

    server = Amazon()
    try:
        urllib.request.urlopen(urllib.request.Request(f"{server.address}/moto-api/reset", method="POST")).close()
        yield server
    finally:
        server.stop()


class Authorization:
    """What IAM decides about when something is asked.

    Args:
        account_id: whose everything is.
        region: where.
        bucket_arn, key_arn: the bucket, and the key that encrypts it.
        groups: tags of Auto Scaling groups by the instance that is in them: `{"i-1": (arn, {"key": "value"})}`.
    """

    def __init__(self, account_id, region, bucket_arn, key_arn, groups):
        self._account_id, self._region = account_id, region
        self._bucket_arn, self._key_arn, self._groups = bucket_arn, key_arn, groups

    def requests(self, call):
        """The requests that a call is."""
        return list({"s3": self._s3, "logs": self._logs, "monitoring": self._metrics, "autoscaling": self._groups_of}[
            call.service
        ](call))  # fmt: skip

    def _s3(self, call):
        bucket, _, key = call.path.lstrip("/").partition("/")
        bucket_arn = f"arn:aws:s3:::{bucket}"
        object_arn = f"{bucket_arn}/{key}"
        transport = {"aws:SecureTransport": "true", "s3:TlsVersion": "1.3"}  # as AWS's own address has it
        if not key and call.method == "GET" and "list-type" in call.query:
            yield Request("s3:ListBucket", bucket_arn, transport | {"s3:prefix": call.query.get("prefix", "")})
        elif not key and call.method == "POST" and "delete" in call.query:
            for each in xml.etree.ElementTree.fromstring(call.body).iter():
                if each.tag.endswith("Key"):
                    yield Request("s3:DeleteObject", f"{bucket_arn}/{each.text}", transport)
        elif key and call.method in ("GET", "HEAD"):
            yield Request("s3:GetObject", object_arn, transport)
            if call.status == 404:  # who may not list is told 403
                yield Request("s3:ListBucket", bucket_arn, transport)
            yield self._key("kms:Decrypt")
        elif key and call.method == "DELETE" and "uploadId" in call.query:
            yield Request("s3:AbortMultipartUpload", object_arn, transport)
        elif key and call.method in ("PUT", "POST"):
            said = {f"s3:{name}": call.headers[name] for name in ENCRYPTION if name in call.headers}
            yield Request("s3:PutObject", object_arn, transport | said)
            yield self._key("kms:GenerateDataKey")
            if "uploadId" in call.query or "uploads" in call.query:
                yield self._key("kms:Decrypt")
        else:
            raise AssertionError(f"nothing is known of {call}")

    def _key(self, action):
        """What S3 asks of the key for whoever asks S3.

        https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html
        """
        context = {
            "kms:ViaService": f"s3.{self._region}.amazonaws.com",
            "kms:EncryptionContext:aws:s3:arn": self._bucket_arn,
        }
        return Request(action, self._key_arn, context)

    def _logs(self, call):
        action = call.headers["x-amz-target"].removeprefix("Logs_20140328.")
        said = json.loads(call.body)
        group = f"arn:aws:logs:{self._region}:{self._account_id}:log-group:{said['logGroupName']}"
        yield Request(f"logs:{action}", f"{group}:log-stream:{said.get('logStreamName', '')}")

    def _metrics(self, call):
        action = call.headers["x-amz-target"].removeprefix("GraniteServiceVersion20100801.")
        yield Request(f"cloudwatch:{action}", "*", {"cloudwatch:namespace": json.loads(call.body)["Namespace"]})

    def _groups_of(self, call):
        said = dict(urllib.parse.parse_qsl(call.body.decode()))
        arn, tags = self._groups[said["InstanceId"]]
        context = {f"aws:ResourceTag/{key}": value for key, value in tags.items()}
        yield Request(f"autoscaling:{said['Action']}", arn, context)
