"""A Prometheus exporter: the newest row, served over HTTP on loopback unless run file or machine say otherwise."""

from collections.abc import Iterable, Mapping
from typing import Any

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from trainer.metrics import catalogue
from trainer.metrics.catalogue import Kind
from trainer.metrics.server import Address, Place, Server

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 9464


class PrometheusSink:
    """Serves `/metrics`. A metric keeps its last value while rows come without it.

    Args:
        info: the labels of `rl_run_info`: run_id, env_id, algorithm.
        host: the address to listen on. Anything but loopback shows the metrics to whoever can reach the machine.
        port: the port; 0 takes any free one.
        place: where the machine wants them served instead (`server.of_machine`).

    Raises:
        BadInput: if the port is taken or not allowed, the host is not this machine's, or a certificate is none.
    """

    def __init__(
        self,
        info: Mapping[str, str],
        host: str = DEFAULT_HOST,
        port: int = DEFAULT_PORT,
        place: Place | None = None,
    ) -> None:
        self._newest = _NewestRow(info)
        self._server = Server(self._newest, place or Place(Address(host, port)), "sinks.prometheus.")

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._server.port

    @property
    def address(self) -> Any:
        """The address it listens on, as the socket has it."""
        return self._server.address

    def write(self, row: Mapping[str, float], step: int, wall_time_seconds: float) -> None:
        """Serve this row from now on; the time of a scrape stands for its step and wall time."""
        del step, wall_time_seconds
        self._newest.take(row)

    def flush(self) -> None:
        """Nothing to do: Prometheus comes and reads."""

    def close(self) -> None:
        """Stop serving and free the port."""
        self._server.close()


class _NewestRow(Collector):
    """Turns the newest values into metric families, at each scrape."""

    def __init__(self, info: Mapping[str, str]) -> None:
        self._info = {label: info[label] for label in catalogue.BY_NAME["rl_run_info"].labels}
        self._values: Mapping[str, float] = {}

    def take(self, row: Mapping[str, float]) -> None:
        # The mapping is replaced, never changed: a scrape in another thread sees one row whole.
        self._values = {**self._values, **{key: float(row[key]) for key in catalogue.in_order(row)}}

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterable[Metric]:
        families: dict[str, Metric] = {}
        values = self._values
        for key in catalogue.in_order(values):
            sample = catalogue.parse(key)
            family = families.setdefault(sample.metric.name, family_of(sample.metric))
            family.add_metric(list(sample.label_values), values[key])  # type: ignore[attr-defined]
        info = catalogue.BY_NAME["rl_run_info"]
        yield InfoMetricFamily(info.name.removesuffix("_info"), info.help, value=self._info)
        yield from families.values()


def family_of(metric: catalogue.Metric) -> CounterMetricFamily | GaugeMetricFamily:
    """A metric of the catalogue, without values yet."""
    if metric.kind is Kind.COUNTER:
        return CounterMetricFamily(metric.name, metric.help, labels=metric.labels)
    return GaugeMetricFamily(metric.name, metric.help, labels=metric.labels)
