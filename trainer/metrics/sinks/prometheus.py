"""A Prometheus exporter: the newest row, served over HTTP on loopback unless the run file says otherwise."""

import errno
import socket
from collections.abc import Iterable, Mapping

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from trainer.errors import BadInput, SlipwayError
from trainer.metrics import catalogue
from trainer.metrics.catalogue import Kind

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 9464


class PrometheusSink:
    """Serves `/metrics`. A metric keeps its last value while rows come without it.

    Args:
        info: the labels of `rl_run_info`: run_id, env_id, algorithm.
        host: the address to listen on. Anything but loopback shows the metrics to whoever can reach the machine.
        port: the port; 0 takes any free one.

    Raises:
        BadInput: if the port is taken or not allowed, or the host is not this machine's.
    """

    def __init__(self, info: Mapping[str, str], host: str = DEFAULT_HOST, port: int = DEFAULT_PORT) -> None:
        self._newest = _NewestRow(info)
        registry = CollectorRegistry()
        registry.register(self._newest)
        try:
            self._server, self._thread = start_http_server(port, host, registry)
        except OSError as error:
            raise _explain(error, host, port) from error

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._server.server_port

    def write(self, row: Mapping[str, float], step: int, wall_time_seconds: float) -> None:
        """Serve this row from now on; the time of a scrape stands for its step and wall time."""
        del step, wall_time_seconds
        self._newest.take(row)

    def flush(self) -> None:
        """Nothing to do: Prometheus comes and reads."""

    def close(self) -> None:
        """Stop serving and free the port."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


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
            family = families.setdefault(sample.metric.name, _family(sample.metric))
            family.add_metric(list(sample.label_values), values[key])  # type: ignore[attr-defined]
        info = catalogue.BY_NAME["rl_run_info"]
        yield InfoMetricFamily(info.name.removesuffix("_info"), info.help, value=self._info)
        yield from families.values()


def _family(metric: catalogue.Metric) -> CounterMetricFamily | GaugeMetricFamily:
    if metric.kind is Kind.COUNTER:
        return CounterMetricFamily(metric.name, metric.help, labels=metric.labels)
    return GaugeMetricFamily(metric.name, metric.help, labels=metric.labels)


def _explain(error: OSError, host: str, port: int) -> SlipwayError:
    if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
        allowed = "an address of this machine; 127.0.0.1 keeps the metrics on it"
        return BadInput("sinks.prometheus.host", host, allowed, "Set it to 127.0.0.1.")
    if error.errno == errno.EADDRINUSE:
        cure = "Stop what listens there (`ss -ltnp` lists it), or set another port."
        return BadInput("sinks.prometheus.port", port, "a port that nothing listens on", cure)
    if error.errno == errno.EACCES:
        return BadInput("sinks.prometheus.port", port, "1024 to 65535", "Set a port above 1023.")
    return SlipwayError(f"cannot listen on {host}:{port}: {error.strerror}")
