"""What the port of a slot shows: the worker's own metrics, and those of its run while one is on."""

import contextlib
import enum
import http.client
import socket
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from trainer.metrics.catalogue import WORKER_METRICS, Kind
from trainer.queue.states import ENDS, Entry, State

PASSING_ON_SECONDS = 4.0
"""The longest that the run's own metrics are waited for: a scrape of Prometheus takes ten seconds at most."""


class Doing(enum.StrEnum):
    """What a worker does: the values of `state` of `rl_worker_state`."""

    IDLE = "idle"
    RUNNING = "running"
    DRAINED = "drained"
    STOPPING = "stopping"


class Exposition(Collector):
    """The metrics of a slot. The worker's loop sets the attributes, and scrapes read them; no scrape touches the queue.

    Args:
        of_run: the Unix socket at which the run serves its metrics, if one is on.

    Attributes:
        doing: what the worker does.
        looked_at: Unix time at which it last read the queue; None before that.
        queued: how many entries of the queue are in each state.
        ended: how many the worker has brought to each end.
    """

    def __init__(self, of_run: Path) -> None:
        self._of_run = of_run
        self.doing = Doing.IDLE
        self.looked_at: float | None = None
        self.queued: Mapping[State, int] = {}
        self.ended: Mapping[State, int] = dict.fromkeys(sorted(ENDS), 0)

    def saw(self, entries: Sequence[Entry], at: float) -> None:
        """Remember what the queue holds."""
        self.queued = {state: sum(entry.state is state for entry in entries) for state in (State.QUEUED, State.RUNNING)}
        self.looked_at = at

    def ended_one(self, state: State) -> None:
        """Count an entry that the worker has brought to an end."""
        self.ended = {**self.ended, state: self.ended[state] + 1}

    def collect(self) -> Iterable[Metric]:
        """The worker's own, then the run's."""
        looked = {} if self.looked_at is None else {"": self.looked_at}
        values: dict[str, Mapping[str, float]] = {
            "rl_worker_state": {str(each): float(each is self.doing) for each in Doing},
            "rl_worker_ended_runs_total": {str(state): float(count) for state, count in self.ended.items()},
            "rl_worker_look_timestamp_seconds": looked,
            "rl_queue_runs": {str(state): float(count) for state, count in self.queued.items()},
        }
        for metric in WORKER_METRICS:
            kind = CounterMetricFamily if metric.kind is Kind.COUNTER else GaugeMetricFamily
            family = kind(metric.name, metric.help, labels=metric.labels)
            for label, value in values[metric.name].items():
                family.add_metric([label] if metric.labels else [], value)
            yield family
        yield from self._run()

    def _run(self) -> Iterable[Metric]:
        """What the run serves; nothing if none is on, or it does not serve yet."""
        with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
            return list(text_string_to_metric_families(_fetch(self._of_run)))
        return []


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=PASSING_ON_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def _fetch(path: Path) -> str:
    with contextlib.closing(_Connection(path)) as connection:
        connection.request("GET", "/metrics")
        return connection.getresponse().read().decode()
