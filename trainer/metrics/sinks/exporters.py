"""The sinks that a run file asks for beside its own files; what is wrong with them is found before a run begins."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from trainer.metrics.sinks import cost
from trainer.metrics.sinks.base import Sink

if TYPE_CHECKING:
    from trainer.config.models import Sinks


def open_exporters(settings: "Sinks", info: Mapping[str, str], tell: Callable[[str], None]) -> dict[str, Sink]:
    """The sinks by the names that messages use.

    Args:
        settings: the run file's.
        info: the labels of `rl_run_info`: run_id, env_id, algorithm.
        tell: takes a message for people; also called from threads.

    Raises:
        BadInput: if a port is taken, or credentials, a region or a project are missing; all that was opened is closed.
    """
    from trainer.metrics import server

    opened: dict[str, Sink] = {}
    try:
        # A machine that is watched serves the metrics of all its runs.
        place = server.of_machine()
        if place or settings.prometheus.enabled:
            from trainer.metrics.sinks.prometheus import PrometheusSink

            host, port = settings.prometheus.host, settings.prometheus.port
            opened["Prometheus"] = PrometheusSink(info, host, port, place)
        if settings.cloudwatch.enabled:
            opened["CloudWatch"] = _cloudwatch(settings, info, tell)
        if settings.cloud_monitoring.enabled:
            opened["Cloud Monitoring"] = _cloud_monitoring(settings, info, tell)
    except BaseException:
        for sink in opened.values():
            sink.close()
        raise
    return opened


def _cloudwatch(settings: "Sinks", info: Mapping[str, str], tell: Callable[[str], None]) -> Sink:
    from trainer.metrics.sinks.cloudwatch import NAME, CloudWatch
    from trainer.metrics.sinks.points import PointsSink

    chosen = settings.cloudwatch
    destination = CloudWatch(chosen.namespace, info["run_id"], chosen.interval_seconds)
    _tell_cost(tell, NAME, chosen.names, cost.cloudwatch_usd_per_month(chosen.names, chosen.interval_seconds))
    return PointsSink(NAME, destination, chosen.names, chosen.interval_seconds, tell)


def _cloud_monitoring(settings: "Sinks", info: Mapping[str, str], tell: Callable[[str], None]) -> Sink:
    from trainer.metrics.sinks.cloud_monitoring import NAME, CloudMonitoring
    from trainer.metrics.sinks.points import PointsSink

    chosen = settings.cloud_monitoring
    destination = CloudMonitoring(chosen.project, info["run_id"], chosen.namespace)
    _tell_cost(tell, NAME, chosen.names, cost.cloud_monitoring_usd_per_month(chosen.names, chosen.interval_seconds))
    return PointsSink(NAME, destination, chosen.names, chosen.interval_seconds, tell)


def _tell_cost(tell: Callable[[str], None], name: str, names: tuple[str, ...], usd: float) -> None:
    tell(f"{name} gets {cost.series(names)} time series, about {usd:.2f} USD for a month of training (list price)")
