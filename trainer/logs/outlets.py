"""The logs that a run file asks for: what is wrong with them is bad input, before a run begins."""

import contextlib
import os
import sys
from collections.abc import Callable, Iterator

from trainer.config.models import RunFile
from trainer.config.sinks import Logs
from trainer.errors import BadInput
from trainer.logs.lines import Line, Run
from trainer.logs.log import FileOutlet, Log, Outlet, StreamOutlet
from trainer.logs.progress import LogProgress
from trainer.metrics.sinks.batched import Batched, Destination
from trainer.progress import Progress
from trainer.run.directory import RunDirectory

MOST_LINES = 10_000
"""How many lines wait for a service that is away: some days of them."""
INTERVAL_SECONDS = 5.0
"""How long lines wait to go together."""
OF_MACHINE = "SLIPWAY_LOGS"
"""Where this machine wants the lines of all its runs besides, whatever their run files say: `stdout`."""


@contextlib.contextmanager
def logged(directory: RunDirectory, run_file: RunFile, shown: Progress) -> Iterator[Progress]:
    """The display for a run that also feeds its logs, and hears of each change of its status.

    `log.jsonl` in the run directory has every line, whatever else the run file asks for.

    Args:
        directory: the run's.
        run_file: its settings.
        shown: what people see.

    Raises:
        BadInput: if a cloud is not set up, or has no such log group, or this machine asks for what there is not.
    """
    settings = run_file.sinks.logs
    run = Run(directory.run_id, run_file.env.id, run_file.agent.algorithm)
    outlets = [FileOutlet(directory.log), *open_outlets(settings, run.run_id, shown.message)]
    log = Log(run, outlets)
    before, directory.moved = directory.moved, log.status
    try:
        yield LogProgress(shown, log, settings.interval_seconds)
    finally:
        directory.moved = before
        log.close()
        for outlet in outlets:
            if isinstance(outlet, Batched) and outlet.dropped:
                shown.message(f"{outlet.name} missed {outlet.dropped} lines")


def check(settings: Logs) -> None:
    """Find out whether logs could be written.

    Raises:
        BadInput: if a cloud is not set up, or has no such log group, or this machine asks for what there is not.
    """
    _to_stdout(settings)
    for _, destination in _destinations(settings, "check"):
        destination.close()


def open_outlets(settings: Logs, run_id: str, tell: Callable[[str], None]) -> list[Outlet]:
    """Where the run file wants lines.

    Args:
        settings: the run file's.
        run_id: the run's.
        tell: takes a message for people; called from threads.

    Raises:
        BadInput: if a cloud is not set up, or has no such log group, or this machine asks for what there is not.
    """
    outlets: list[Outlet] = [StreamOutlet(sys.stdout)] if _to_stdout(settings) else []
    for name, destination in list(_destinations(settings, run_id)):
        outlets.append(Batched(name, destination, tell, interval_seconds=INTERVAL_SECONDS, most=MOST_LINES))
    return outlets


def _to_stdout(settings: Logs) -> bool:
    machine = os.environ.get(OF_MACHINE, "")
    if machine not in ("", "stdout"):
        raise BadInput(OF_MACHINE, machine, "stdout, or nothing", f"set {OF_MACHINE}=stdout, or leave it out")
    return settings.stdout or machine == "stdout"


def _destinations(settings: Logs, run_id: str) -> Iterator[tuple[str, Destination[Line]]]:
    if settings.cloudwatch.enabled:
        from trainer.logs import cloudwatch

        stream = settings.cloudwatch.stream or run_id
        yield cloudwatch.NAME, cloudwatch.CloudWatchLogs(settings.cloudwatch.group, stream)
    if settings.cloud_logging.enabled:
        from trainer.logs import cloud_logging

        chosen = settings.cloud_logging
        yield cloud_logging.NAME, cloud_logging.CloudLogging(chosen.project, chosen.log_name, run_id)
