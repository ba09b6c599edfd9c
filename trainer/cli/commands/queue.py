"""`slipway node submit`, `work`, `queue`, `cancel`, `drain`, `undrain`: a site's run queue."""

import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from trainer.cli import output, person
from trainer.cli.command import Command
from trainer.cli.parameters import Number, WholeNumber, complete_source, json_option, submission_options
from trainer.errors import BadInput, SlipwayError

if TYPE_CHECKING:
    from trainer.metrics.server import Place
    from trainer.queue.queue import Queue

F = TypeVar("F", bound=Callable[..., Any])
QUEUE_VARIABLE = "SLIPWAY_QUEUE"
SHOWN_ENDED = 20
"""How many entries that are over a listing for people has."""
WAIT_POLL_SECONDS = 0.5


def queue_option(function: F) -> F:
    """`--queue`."""
    return click.option(
        "--queue",
        "folder",
        required=True,
        envvar=QUEUE_VARIABLE,
        show_envvar=True,
        type=click.Path(path_type=Path),
        metavar="FOLDER",
        help="The queue's folder, which all machines of the site mount.",
    )(function)


def host_option(function: F) -> F:
    """`--host`."""
    return click.option("--host", metavar="NAME", help="The host; this one if left out.")(function)


@click.command(
    cls=Command,
    examples=(
        "slipway node submit run.yaml --queue /srv/slipway/queue --run-id mine",
        "slipway node submit lost-sales-ppo --queue /srv/slipway/queue --seeds 5 --priority 10 --json",
    ),
)
@click.argument("runfile", required=False, metavar="[RUNFILE|PRESET|ENV_ID]", shell_complete=complete_source)
@queue_option
@submission_options
@click.option("--needs-gpu", is_flag=True, help="Only slots with a GPU take it.")
@click.option("--by", metavar="NAME", help="Who submits it, for people; this user and host if left out.")
@json_option
def submit(
    runfile: str | None,
    folder: Path,
    settings: tuple[str, ...],
    seed: int | None,
    seeds: int,
    run_id: str | None,
    priority: int,
    needs_gpu: bool,
    by: str | None,
    as_json: bool,
) -> None:
    """Put a run into a site's queue. All that is wrong with it is said now.

    The run file's `store` does not count: the site's workers keep all runs in theirs.
    """
    from trainer import queue
    from trainer.config import source

    run_file = source.run_file(runfile, settings, seed)
    who = by or person.at_host()
    entry = queue.submit(
        folder, run_file, run_id, seeds=seeds, priority=priority, needs_gpu=needs_gpu, submitted_by=who
    )
    if as_json:
        output.print_json(entry.shown())
    else:
        click.echo(f"{entry.run_id} is queued.")


@click.command(
    cls=Command,
    examples=(
        "slipway node work --queue /srv/slipway/queue --store /srv/slipway/runs",
        "slipway node work --queue /srv/slipway/queue --store /srv/slipway/runs --slot 1 --gpu 1"
        " --metrics-host 0.0.0.0 --certificate host.pem --key host.key --client-ca ca.pem",
    ),
)
@queue_option
@click.option("--store", required=True, metavar="URI", help="Where all runs are kept.")
@click.option("--slot", type=WholeNumber(0, 1000), default=0, show_default=True, metavar="N", help="Of this machine.")
@click.option(
    "--gpu",
    type=WholeNumber(0, 1000),
    metavar="N",
    help="The slot's GPU, as nvidia-smi counts; it has none if left out.",
)
@click.option(
    "--metrics-host",
    default="127.0.0.1",
    show_default=True,
    metavar="HOST",
    help="The address that metrics are served at.",
)
@click.option(
    "--metrics-port",
    type=WholeNumber(0, 65535),
    default=9464,
    show_default=True,
    metavar="PORT",
    help="Slot 0's port; slot N's is N higher. 0 takes any free one.",
)
@click.option("--certificate", metavar="FILE", help="Serve metrics with TLS: this certificate, in PEM.")
@click.option("--key", metavar="FILE", help="The certificate's key, in PEM.")
@click.option("--client-ca", metavar="FILE", help="Serve clients alone whose certificate this CA signed.")
@click.option(
    "--restart-seconds",
    type=Number(0, 3600),
    default=10,
    show_default=True,
    metavar="S",
    help="The pause before a training is started again.",
)
@click.option(
    "--stop-seconds",
    type=Number(1, 86400),
    default=90,
    show_default=True,
    metavar="S",
    help="How long a last checkpoint may take.",
)
@click.option(
    "--start-limit",
    type=WholeNumber(1, 1000),
    default=5,
    show_default=True,
    metavar="N",
    help="How often a training that crashes is started before its entry has failed.",
)
@click.option(
    "--start-limit-minutes",
    type=Number(1, 100_000),
    default=60,
    show_default=True,
    metavar="MIN",
    help="Within how long these starts count.",
)
def work(
    folder: Path,
    store: str,
    slot: int,
    gpu: int | None,
    metrics_host: str,
    metrics_port: int,
    certificate: str | None,
    key: str | None,
    client_ca: str | None,
    restart_seconds: float,
    stop_seconds: float,
    start_limit: int,
    start_limit_minutes: float,
) -> None:
    """Train a queue's entries, one at a time, until SIGTERM.

    Each is a process of `slipway train --or-resume`. SIGTERM saves the one that is on; the slot's next worker goes on
    with it. A worker that vanishes loses its entry to others after two minutes without a sign of life.

    What happens is told as a line of JSON each.
    """
    from trainer.queue.queue import Queue
    from trainer.queue.worker import Pace, Worker
    from trainer.store import resolve

    place = _place(metrics_host, metrics_port, certificate, key, client_ca)
    resolve(store).check_writable()
    pace = Pace(
        restart_seconds=restart_seconds,
        stop_seconds=stop_seconds,
        start_limit=start_limit,
        start_limit_minutes=start_limit_minutes,
    )
    Worker(Queue(folder), store, slot, gpu=gpu, place=place, pace=pace).work()


def _place(host: str, port: int, certificate: str | None, key: str | None, client_ca: str | None) -> "Place":
    from trainer.metrics import server

    address = server.Address(host, port)
    tls = server.tls(certificate, key, client_ca, names=("--certificate", "--key", "--client-ca"))
    if not address.is_loopback and (tls is None or tls.client_ca is None):
        allowed = "127.0.0.1, or any address with --certificate, --key and --client-ca"
        raise BadInput("--metrics-host", host, allowed, "give these three, or leave --metrics-host out")
    return server.Place(address, tls)


@click.command(
    "queue",
    cls=Command,
    examples=(
        "slipway node queue --queue /srv/slipway/queue",
        "slipway node queue --queue /srv/slipway/queue --json",
    ),
)
@queue_option
@json_option
def show(folder: Path, as_json: bool) -> None:
    """Show a queue: its entries in the order that they are taken in, those that are over, and the workers."""
    queue = _queue(folder)
    waiting = queue.entries()
    wrong = dict(queue.senseless)
    ended, workers = queue.ended(), queue.workers()
    if as_json:
        output.print_json(
            {
                "entries": [entry.shown() for entry in waiting],
                "ended": [entry.shown() for entry in ended],
                "workers": workers,
                "drained": queue.drained_hosts(),
                "senseless": wrong | queue.senseless,
            }
        )
        return
    rows = [entry.shown() for entry in (*waiting, *ended[:SHOWN_ENDED])]
    output.print_table(
        ("run", "state", "since", "priority", "where", "message"),
        (
            (
                row["run_id"],
                row["state"],
                row["since"],
                row["priority"],
                "" if row["host"] is None else f"{row['host']}, slot {row['slot']}",
                row["message"].partition("\n")[0],
            )
            for row in rows
        ),
    )
    columns = ("host", "slot", "state", "run_id", "at")
    output.print_table(
        ("host", "slot", "worker", "run", "last heard of"), ([row.get(name) for name in columns] for row in workers)
    )
    for host in queue.drained_hosts():
        click.echo(f"{host} is drained: `slipway node undrain --host {host}` ends that.")
    for name, reason in (wrong | queue.senseless).items():
        click.echo(f"{name}: {reason}")


@click.command(
    cls=Command,
    examples=("slipway node cancel mine --queue /srv/slipway/queue",),
)
@click.argument("run", metavar="RUN_ID")
@queue_option
@json_option
def cancel(run: str, folder: Path, as_json: bool) -> None:
    """Take a run out of a queue. One that is trained is saved and stopped first; submit it again to go on."""
    from trainer.queue.queue import Lost
    from trainer.queue.states import State

    queue = _queue(folder, write=True)
    while True:
        entry = queue.find(run)
        try:
            if entry.state is State.QUEUED:
                entry = queue.move(entry, State.CANCELLED)
            elif not entry.change.cancel:
                entry = queue.move(entry, State.RUNNING, cancel=True, message=entry.change.message)
            break
        except Lost:
            time.sleep(WAIT_POLL_SECONDS)  # its worker was faster, or the NAS has yet to show its step here
    if as_json:
        output.print_json(entry.shown())
    else:
        click.echo(f"{run} is cancelled." if entry.is_over else f"{run} is being stopped.")


@click.command(
    cls=Command,
    examples=(
        "slipway node drain --queue /srv/slipway/queue",
        "slipway node drain --queue /srv/slipway/queue --now --wait 120",
        "slipway node drain --queue /srv/slipway/queue --host gpu-1 --json",
    ),
)
@queue_option
@host_option
@click.option("--now", "is_now", is_flag=True, help="Also save and put back what it trains, for others to go on with.")
@click.option(
    "--wait",
    type=Number(0, 1e7),
    default=0.0,
    metavar="S",
    help="Wait so long until it trains nothing; fail if it does.",
)
@click.option(
    "--by",
    metavar="NAME",
    help="Who says so, for `undrain --by`; this user if left out. A host that is drained stays so by whom it is.",
)
@json_option
def drain(folder: Path, host: str | None, is_now: bool, wait: float, by: str | None, as_json: bool) -> None:
    """Let a host take nothing new, for maintenance. It lasts over reboots, until `slipway node undrain`."""
    queue, host = _queue(folder, write=True), host or socket.gethostname()
    known = sorted({str(each.get("host")) for each in queue.workers()})
    before = queue.drained(host) if by else None
    queue.drain(host, is_now=is_now, by=before.by if before else by or person.user())
    if host not in known:  # it may get one yet; more likely it is another name for one that has
        hosts = ", ".join(known) or "no host"
        click.echo(f"No worker of {host} was ever here; those that were are of {hosts}.", err=True)
    until = time.monotonic() + wait
    while (running := _running(queue, host)) and time.monotonic() < until:
        time.sleep(WAIT_POLL_SECONDS)
    if running and wait:
        raise SlipwayError(f"{host} is drained, and after {wait:g} s it still trains {', '.join(running)}")
    if as_json:
        output.print_json({"host": host, "drained": True, "running": running})
    else:
        click.echo(
            f"{host} is drained; " + (f"it still trains {', '.join(running)}." if running else "it trains nothing.")
        )


@click.command(
    cls=Command,
    examples=(
        "slipway node undrain --queue /srv/slipway/queue",
        "slipway node undrain --queue /srv/slipway/queue --host gpu-1",
    ),
)
@queue_option
@host_option
@click.option("--by", metavar="NAME", help="Only if that one drained it.")
@json_option
def undrain(folder: Path, host: str | None, by: str | None, as_json: bool) -> None:
    """Let a host take entries again."""
    queue, host = _queue(folder, write=True), host or socket.gethostname()
    was_drained = queue.drained(host) is not None
    is_drained = not queue.undrain(host, by)
    if as_json:
        output.print_json({"host": host, "drained": is_drained, "changed": was_drained and not is_drained})
    else:
        click.echo(f"{host} is drained, and not by {by}." if is_drained else f"{host} takes entries again.")


def _running(queue: "Queue", host: str) -> list[str]:
    from trainer.queue.states import State

    held = [entry for entry in queue.entries() if entry.state is State.RUNNING]
    return [entry.run_id for entry in held if entry.change.holder and entry.change.holder.host == host]


def _queue(folder: Path, *, write: bool = False) -> "Queue":
    from trainer.queue.queue import Queue

    queue = Queue(folder)
    queue.check(write=write)
    return queue
