"""What the proxy in front of the clouds' stand-ins adds to them, beside them without it."""

import base64
import http.client
import json
import urllib.error
import urllib.request
import zlib

import google_crc32c
import pytest
import servers
from fault_proxy import Fault, FaultProxy, Plan

DATA, OTHER = b"what was sent" * 1000, b"what came" * 1000
SIGNED = {"Authorization": "AWS4-HMAC-SHA256 Credential=test/20260101/eu-west-1/s3/aws4_request, Signature=0"}
BYTES = {"Content-Type": "application/octet-stream"}


@pytest.fixture(scope="module")
def clouds(tmp_path_factory):
    """Server and proxy by kind, each with a bucket."""
    home = tmp_path_factory.mktemp("home")
    with servers.s3() as s3, servers.gcs() as gcs, pytest.MonkeyPatch.context() as patch:
        proxies = {"s3": FaultProxy(s3, "s3"), "gs": FaultProxy(gcs, "gs")}
        for name, value in (servers.s3_environment(s3, home) | servers.gcs_environment(gcs)).items():
            patch.setenv(name, value)
        for kind in proxies:
            servers.make_bucket(f"{kind}://bucket")
        yield {"s3": (s3, proxies["s3"]), "gs": (gcs, proxies["gs"])}
        for proxy in proxies.values():
            proxy.stop()


def ask(method, address, body=None, headers=None):
    """Status, headers and body of an answer."""
    request = urllib.request.Request(address, data=body, headers=headers or {}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, error.read()


def put(kind, address, key, said, sent):
    """Make an object whose checksum is that of what was said."""
    if kind == "s3":
        crc = base64.b64encode(zlib.crc32(said).to_bytes(4, "big")).decode()
        return ask("PUT", f"{address}/bucket/{key}", sent, {"x-amz-checksum-crc32": crc, **BYTES})
    upload = f"{address}/upload/storage/v1/b/bucket/o?uploadType=multipart"
    parts = (b"application/json", json.dumps(described(key, said)).encode()), (b"application/octet-stream", sent)
    body = b"".join(b"--edge\r\ncontent-type: " + kind + b"\r\n\r\n" + part + b"\r\n" for kind, part in parts)
    return ask("POST", upload, body + b"--edge--", {"Content-Type": "multipart/related; boundary=edge"})


def described(key, said):
    return {"name": key, "crc32c": base64.b64encode(google_crc32c.value(said).to_bytes(4, "big")).decode()}


def get(kind, address, key):
    path = f"bucket/{key}" if kind == "s3" else f"storage/v1/b/bucket/o/{key}?alt=media"
    return ask("GET", f"{address}/{path}", headers=SIGNED if kind == "s3" else None)


@pytest.mark.parametrize("kind", ["s3", "gs"])
def test_the_stand_ins_keep_what_changed_and_the_proxy_does_not(clouds, kind):
    server, proxy = clouds[kind]
    assert put(kind, server, "beside", DATA, OTHER)[0] == 200
    assert get(kind, server, "beside")[2] == OTHER
    assert put(kind, proxy.address, "through", DATA, OTHER)[0] == 400
    assert get(kind, proxy.address, "through")[0] == 404
    assert put(kind, proxy.address, "through", DATA, DATA)[0] == 200
    assert get(kind, proxy.address, "through")[2] == DATA


@pytest.mark.parametrize("kind", ["s3", "gs"])
@pytest.mark.parametrize("fault", [Fault.CHANGED_UP, Fault.REFUSED, Fault.THROTTLED])
def test_what_is_refused_is_not_kept(clouds, kind, fault):
    server, proxy = clouds[kind]
    proxy.follow(Plan(1, 1.0, (fault,)))
    assert put(kind, proxy.address, fault.name, DATA, DATA)[0] in (400, 429, 500, 502, 503, 504)
    assert get(kind, server, fault.name)[0] == 404


@pytest.mark.parametrize("kind", ["s3", "gs"])
@pytest.mark.parametrize("fault", [Fault.RESET, Fault.RESET_UP, Fault.UNANSWERED, Fault.AWAY])
def test_a_connection_that_breaks(clouds, kind, fault):
    server, proxy = clouds[kind]
    proxy.follow(Plan(1, 1.0, (fault,)))
    with pytest.raises(OSError, match=r"reset by peer|closed connection|Broken pipe"):
        put(kind, proxy.address, fault.name, DATA, DATA)
    assert get(kind, server, fault.name)[0] == (200 if fault is Fault.UNANSWERED else 404)


@pytest.mark.parametrize("kind", ["s3", "gs"])
def test_downloads_that_are_not_what_was_kept(clouds, kind):
    server, proxy = clouds[kind]
    put(kind, server, "down", DATA, DATA)
    found = {}
    for fault in (Fault.SHORTENED, Fault.CHANGED_DOWN, Fault.TRUNCATED, Fault.RESET_DOWN):
        proxy.follow(Plan(1, 1.0, (fault,)))
        try:
            found[fault] = get(kind, proxy.address, "down")[2]
        except (ConnectionResetError, http.client.IncompleteRead) as error:
            found[fault] = type(error)
    assert DATA.startswith(found[Fault.SHORTENED])
    assert len(found[Fault.SHORTENED]) < len(DATA)
    assert sum(a != b for a, b in zip(found[Fault.CHANGED_DOWN], DATA, strict=True)) == 1
    assert found[Fault.TRUNCATED] is http.client.IncompleteRead
    assert found[Fault.RESET_DOWN] is ConnectionResetError


@pytest.mark.parametrize("through", [False, True])
def test_a_chunk_that_comes_twice_is_kept_once_by_the_proxy_alone(clouds, through):
    server, proxy = clouds["gs"]
    proxy.follow(None)
    address, key = (proxy.address, "chunks-through") if through else (server, "chunks-beside")
    begin = f"{address}/upload/storage/v1/b/bucket/o?uploadType=resumable&name={key}"
    status, headers, _ = ask("POST", begin, json.dumps(described(key, DATA)).encode())
    assert status == 200
    location = headers["Location"]
    assert location.startswith(address)
    for start, stop in ((0, 5000), (0, 5000), (5000, len(DATA))):
        span = f"bytes {start}-{stop - 1}/{len(DATA)}"
        ask("PUT", location, DATA[start:stop], {"Content-Range": span})
    assert (get("gs", server, key)[2] == DATA) == through


def test_a_clock_that_is_off_is_refused_as_by_s3(clouds):
    _, proxy = clouds["s3"]
    proxy.follow(None)
    status, _, body = ask("GET", f"{proxy.address}/bucket?list-type=2", headers={"X-Amz-Date": "20200101T000000Z"})
    assert status == 403
    assert b"<Code>RequestTimeTooSkewed</Code>" in body
    assert b"<ServerTime>20" in body
