"""Where a machine serves metrics: with TLS to those it knows, and whatever the run file says."""

import http.client
import socket
import ssl
import threading
from pathlib import Path

import pytest
from authority import Authority

from trainer.config import load
from trainer.errors import BadInput
from trainer.metrics import server
from trainer.metrics.server import Address, Place, Tls
from trainer.metrics.sinks.exporters import open_exporters
from trainer.metrics.sinks.prometheus import PrometheusSink
from trainer.queue.exposition import Exposition

INFO = {"run_id": "r", "env_id": "e", "algorithm": "ppo"}
SINKS = load.validate({"env": {"id": "slipway/CartPole-v1"}}).sinks


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("pki"), "ours")


@pytest.fixture(scope="module")
def strange(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("strange"), "strange")


@pytest.fixture
def sink(ours):
    tls = Tls(*ours.certificate("host"), ours.path)
    opened = PrometheusSink(INFO, place=Place(Address("127.0.0.1"), tls))
    yield opened
    opened.close()


def scrape(port, authority, pair=None):
    """What is served to who trusts a CA, and shows a certificate; and the certificate that it is served with."""
    context = ssl.create_default_context(cafile=authority.path)
    if pair:
        context.load_cert_chain(*pair)
    connection = http.client.HTTPSConnection("localhost", port, context=context, timeout=5)
    try:
        connection.request("GET", "/metrics")
        shown = connection.sock.getpeercert()["serialNumber"]
        return connection.getresponse().read().decode(), shown
    finally:
        connection.close()


def test_who_shows_a_certificate_of_the_ca_is_served_and_nobody_else(sink, ours, strange):
    assert "rl_run_info{" in scrape(sink.port, ours, ours.certificate("monitor"))[0]
    for pair in (None, strange.certificate("monitor")):
        with pytest.raises((ssl.SSLError, ConnectionError, http.client.RemoteDisconnected)):
            scrape(sink.port, ours, pair)
    with pytest.raises(ssl.SSLCertVerificationError):
        scrape(sink.port, strange, ours.certificate("monitor"))
    clear = http.client.HTTPConnection("127.0.0.1", sink.port, timeout=5)
    clear.request("GET", "/metrics")
    with pytest.raises((ConnectionError, http.client.HTTPException)):
        clear.getresponse()
    clear.close()


def test_who_says_nothing_keeps_nobody_out(sink, ours):
    silent = [socket.create_connection(("127.0.0.1", sink.port)) for _ in range(5)]
    pair, found = ours.certificate("monitor"), []
    threads = [threading.Thread(target=lambda: found.append(scrape(sink.port, ours, pair))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5)
    assert len(found) == 3
    for each in silent:
        each.close()


def test_a_renewed_certificate_is_served_from_then_on_and_a_half_renewed_one_is_not(ours):
    certificate, key = ours.certificate("renewed")
    place = Place(Address("127.0.0.1"), Tls(certificate, key, ours.path))
    sink, pair = PrometheusSink(INFO, place=place), ours.certificate("monitor")
    try:
        before = scrape(sink.port, ours, pair)[1]
        old_key = key.read_bytes()
        ours.certificate("renewed")
        new_key = key.read_bytes()
        key.write_bytes(old_key)
        assert scrape(sink.port, ours, pair)[1] == before
        key.write_bytes(new_key)
        assert scrape(sink.port, ours, pair)[1] != before
    finally:
        sink.close()


@pytest.mark.parametrize("wrong", ["certificate", "key", "client CA", "other key"])
def test_files_that_are_none_are_bad_input(wrong, ours, tmp_path):
    certificate, key = ours.certificate("host")
    no = tmp_path / "no.pem"
    no.write_text("no")
    files = {
        "certificate": Tls(no, key, ours.path),
        "key": Tls(certificate, tmp_path / "missing", ours.path),
        "client CA": Tls(certificate, key, no),
        "other key": Tls(certificate, ours.certificate("other")[1]),
    }
    with pytest.raises(BadInput) as caught:
        PrometheusSink(INFO, place=Place(Address("127.0.0.1"), files[wrong]))
    assert caught.value.field == ("client CA" if wrong == "client CA" else "certificate")


def test_the_machine_says_where_whatever_the_run_file_says(monkeypatch, tmp_path):
    monkeypatch.setenv("SLIPWAY_METRICS", f"unix:{tmp_path / 'socket'}")
    opened = open_exporters(SINKS, INFO, print)
    try:
        opened["Prometheus"].write({"rl_score": 2.5}, 1, 1.0)
        shown = {family.name: family for family in Exposition(tmp_path / "socket").collect()}
        assert shown["rl_score"].samples[0].value == 2.5
        assert shown["rl_worker_state"].samples[0].labels == {"state": "idle"}
    finally:
        opened["Prometheus"].close()
    assert not (tmp_path / "socket").exists()
    assert "rl_score" not in {family.name for family in Exposition(tmp_path / "socket").collect()}
    monkeypatch.delenv("SLIPWAY_METRICS")
    assert open_exporters(SINKS, INFO, print) == {}


@pytest.mark.parametrize("host", ["a..b", "192.0.2.1"])
def test_a_host_that_is_not_this_machine_s_is_bad_input(host):
    with pytest.raises(BadInput) as caught:
        server.Server(Exposition(Path("/no")), Place(Address(host, 0)), "--metrics-")
    assert (caught.value.field, caught.value.value) == ("--metrics-host", host)


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"SLIPWAY_METRICS": "9464"}, "SLIPWAY_METRICS"),
        ({"SLIPWAY_METRICS": "host:port"}, "SLIPWAY_METRICS"),
        ({"SLIPWAY_METRICS": "::1:99999"}, "SLIPWAY_METRICS"),
        ({"SLIPWAY_METRICS": "::1:9464", "SLIPWAY_METRICS_KEY": "k"}, "SLIPWAY_METRICS_CERTIFICATE"),
        ({"SLIPWAY_METRICS": "::1:9464", "SLIPWAY_METRICS_CERTIFICATE": "c"}, "SLIPWAY_METRICS_KEY"),
    ],
)
def test_variables_that_make_no_sense_are_bad_input(said, field):
    with pytest.raises(BadInput) as caught:
        server.of_machine(said)
    assert caught.value.field == field


def test_variables_name_address_and_files():
    said = {"SLIPWAY_METRICS": "[::1]:9464", "SLIPWAY_METRICS_CERTIFICATE": "c", "SLIPWAY_METRICS_KEY": "k"}
    place = server.of_machine(said)
    assert (place.address.host, place.address.port, str(place.tls.key)) == ("::1", 9464, "k")
    assert place.address.is_loopback
    assert Address("127.0.0.2", 1).is_loopback
    for host in ("0.0.0.0", "127.example.org", "192.0.2.1", "::"):
        assert not Address(host, 1).is_loopback
