"""The exporter, scraped over HTTP as Prometheus does."""

import math
import socket
import urllib.error
import urllib.request

import pytest
from prometheus_client.parser import text_string_to_metric_families

from trainer.errors import BadInput
from trainer.metrics import catalogue
from trainer.metrics.catalogue import METRICS, Kind
from trainer.metrics.sinks.prometheus import PrometheusSink

INFO = {"run_id": "lost-sales-1", "env_id": "slipway/LostSales-v0", "algorithm": "ppo"}


@pytest.fixture
def sink():
    sink = PrometheusSink(INFO, port=0)
    yield sink
    sink.close()


def scrape(sink, host="127.0.0.1"):
    with urllib.request.urlopen(f"http://{host}:{sink.port}/metrics", timeout=10) as response:
        assert response.headers["Content-Type"].startswith("text/plain")
        return {family.name: family for family in text_string_to_metric_families(response.read().decode())}


def test_before_the_first_row_there_is_the_run(sink):
    (family,) = scrape(sink).values()
    (sample,) = family.samples
    assert (sample.name, dict(sample.labels), sample.value) == ("rl_run_info", INFO, 1.0)


def test_every_metric_of_the_catalogue_arrives_with_its_kind_and_help(sink):
    row = {m.name: float(i) for i, m in enumerate(METRICS) if not m.labels}
    row |= {catalogue.sample_key("rl_phase_duration_seconds", phase=phase): 0.5 for phase in ("rollout", "learn")}
    row[catalogue.sample_key("rl_sink_dropped_records_total", sink="CloudWatch")] = 3.0
    row |= {catalogue.sample_key(metric.name, gpu="0"): 1.0 for metric in METRICS if metric.labels == ("gpu",)}
    sink.write(row | {"iteration": 7}, 1024, 1.0)
    families = scrape(sink)
    for metric in METRICS:
        family = families[metric.name.removesuffix("_total") if metric.kind is Kind.COUNTER else metric.name]
        assert family.documentation == metric.help
        assert family.type == ("counter" if metric.kind is Kind.COUNTER else "gauge")
        assert {sample.name for sample in family.samples} == {metric.name}
        if not metric.labels:
            assert family.samples[0].value == row[metric.name]
    assert {sample.labels["phase"] for sample in families["rl_phase_duration_seconds"].samples} == {"rollout", "learn"}
    assert len(families) == len(METRICS)


def test_the_newest_value_is_served_and_missing_ones_stay(sink):
    sink.write({"rl_score": 1.0, "rl_episode_return_mean": 5.0}, 1, 1.0)
    sink.write({"rl_score": math.nan}, 2, 2.0)
    families = scrape(sink)
    assert math.isnan(families["rl_score"].samples[0].value)
    assert families["rl_episode_return_mean"].samples[0].value == 5.0


def test_it_listens_on_loopback_alone_by_default(sink):
    others = {address[4][0] for address in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)}
    for address in others - {"127.0.0.1", "127.0.1.1"}:
        with pytest.raises(urllib.error.URLError):
            scrape(sink, address)
    assert sink.address[0] == "127.0.0.1"


def test_a_taken_port_is_bad_input(sink):
    with pytest.raises(BadInput) as caught:
        PrometheusSink(INFO, port=sink.port)
    assert (caught.value.field, caught.value.value) == ("sinks.prometheus.port", sink.port)


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid"])
def test_a_host_that_is_not_here_is_bad_input(host):
    with pytest.raises(BadInput) as caught:
        PrometheusSink(INFO, host=host, port=0)
    assert (caught.value.field, caught.value.value) == ("sinks.prometheus.host", host)


def test_closing_frees_the_port():
    first = PrometheusSink(INFO, port=0)
    first.close()
    second = PrometheusSink(INFO, port=first.port)
    assert second.port == first.port
    second.close()
