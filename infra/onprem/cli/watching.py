"""`slipway onprem status` and `logs`."""

import datetime as dt
import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import click

from infra.cli.options import since_option
from infra.onprem.cli.options import Chosen, Patience, open_site, say, site_options
from trainer.cli import output
from trainer.cli.command import Command
from trainer.cli.parameters import json_option, level_option, quiet_option
from trainer.errors import BadInput, SlipwayError

if TYPE_CHECKING:
    from infra.onprem.search import Query
    from infra.onprem.site import Site
    from infra.onprem.state import State
    from trainer.logs.reading import Said

SHOWN_ENDED = 10
"""How many runs that are over are shown to people."""
BAD = ("failed", "activating")


@click.command(cls=Command, examples=("slipway onprem status --inventory site", "slipway onprem status -i site --json"))
@site_options
@json_option
@quiet_option
def status(chosen: Chosen, as_json: bool, quiet: bool) -> None:
    """Show a site: its hosts and their services, its runs, the alerts that fire, when certificates expire."""
    import dataclasses

    from infra.onprem import state

    site = open_site(chosen, as_json=False, quiet=quiet or as_json)
    found = state.state(site)
    if as_json:
        output.print_json({"site": site.name, **dataclasses.asdict(found)})
        return
    _show_hosts(site, found)
    _show_queue(found)
    _show_alerts(found)


def _show_hosts(site: "Site", found: "State") -> None:
    groups = {host: [group for group in ("nas", "gpu", "monitor") if host in site.inventory.groups.get(group, ())]
              for host in site.inventory.chosen}  # fmt: skip
    rows = []
    for host in site.inventory.chosen:
        if host not in found.hosts:
            rows.append((host, ", ".join(groups[host]), found.lost.get(host, "said nothing"), "", "", ""))
            continue
        told = found.hosts[host]
        bad = [f"{each['unit']} {each['active']}" for each in told["units"] if each["active"] in BAD]
        services = ", ".join(bad) or f"{len(told['units'])} units, all well"
        free = ", ".join(f"{path} {usage['free_mib'] / 1024:.0f} GiB" for path, usage in told["disks"].items())
        days = min(told["certificates"].values(), default=None)
        gpus = ", ".join(f"{each['name']} {each['utilization.gpu']}" for each in told["gpus"])
        gpus = f"the driver fails: {told['gpu_error']}" if told.get("gpu_error") else gpus
        certificate = "none" if days is None else f"{days:.0f} days" if days > 0 else "EXPIRED"
        rows.append((host, ", ".join(groups[host]), services, free, certificate, gpus))
    output.print_table(("host", "groups", "services", "free", "certificates", "GPUs"), rows)


def _show_queue(found: "State") -> None:
    queue = found.queue
    if queue.error:
        click.echo(f"queue: {queue.error}")
        return
    waiting = [row for row in queue.rows if row["state"] in ("queued", "running")]
    over = [row for row in queue.rows if row not in waiting][:SHOWN_ENDED]
    rows = [
        (
            row["run_id"],
            row["state"],
            row["since"],
            "" if row["host"] is None else f"{row['host']}, slot {row['slot']}",
            str(row["message"]).partition("\n")[0],
        )
        for row in (*waiting, *over)
    ]
    if rows:
        output.print_table(("run", "state", "since", "where", "message"), rows)
    else:
        click.echo("no runs yet: slipway onprem run RUNFILE")
    for host in queue.drained:
        click.echo(f"{host} is drained, and takes no run")
    for name, reason in queue.senseless.items():
        click.echo(f"{name}: {reason}")


def _show_alerts(found: "State") -> None:
    errors = [f"{host}: {told['error']}" for host, told in found.hosts.items() if told.get("error")]
    for line in errors:
        click.echo(f"alerts: {line}")
    watched = [host for host, told in found.hosts.items() if "alerts" in told]
    if watched and not found.alerts:
        click.echo("no alert fires")
    for alert in found.alerts:
        labels, notes = alert.get("labels") or {}, alert.get("annotations") or {}
        where = labels.get("run_id") or labels.get("instance") or labels.get("host") or ""
        said = notes.get("summary") or notes.get("description") or ""
        click.echo(f"alert {alert.get('state')}: {labels.get('alertname')} {where} {said}".rstrip())


@click.command(
    cls=Command,
    examples=(
        "slipway onprem logs --inventory site",
        "slipway onprem logs -i site --run mine --level warning",
        "slipway onprem logs -i site --follow",
    ),
)
@site_options
@click.option("--run", metavar="ID", help="Only this run's lines.")
@click.option("--host", metavar="NAME", help="Only what this host said.")
@since_option
@level_option()
@click.option("--follow", is_flag=True, help="Go on until Ctrl-C.")
@json_option
def logs(
    chosen: Chosen,
    run: str | None,
    host: str | None,
    since: dt.timedelta,
    level: str,
    follow: bool,
    as_json: bool,
) -> None:
    """Show what a site's hosts said, from the monitor. With --json each line is a JSON object.

    With --follow a monitor that is not reached is asked again, and what it gets meanwhile is shown then.
    """
    from infra.onprem import search
    from trainer.logs.lines import Severity

    site = open_site(chosen, as_json=False, quiet=True)
    start = (dt.datetime.now(dt.UTC) - since).timestamp()
    query = search.Query(run=run, since=start, level=Severity(level.upper()), host=host)
    for line in _lines(site, query, follow):
        click.echo(json.dumps(line) if as_json else search.words(line))


def _lines(site: "Site", query: "Query", follow: bool) -> "Iterator[Said]":
    from infra.onprem import search
    from infra.onprem import site as sites
    from infra.onprem.playbooks import MONITOR

    monitors = site.inventory.groups.get(MONITOR, [])
    if not monitors:
        raise sites.Unfit(f"{site.name} has no host in the group {MONITOR}, which would gather logs")
    if monitors[0] not in site.inventory.chosen:
        allowed, cure = f"a pattern that leaves {monitors[0]}, which has the logs", "leave it out; --host chooses lines"
        raise BadInput("--limit", site.target.limit, allowed, cure)

    def fetch(variables: Mapping[str, Any]) -> str:
        result = sites.tell(site, "logs", title=f"searching logs of {site.name}", variables=variables)
        found = [text for _, task, text in result.outputs if task == search.TASK]
        if not found:
            sites.insist(site, result, "logs")
            raise SlipwayError(f"{site.name}: the monitor said nothing")
        patience.over()
        # What sudo says comes between.
        return "\n".join(line for line in found[0].splitlines() if line.startswith("{"))

    patience = Patience(say)
    if follow:
        yield from search.follow(fetch, query, trouble=patience)
        return
    found = search.search(fetch, query)
    yield from found.lines
    if found.found > len(found.lines):
        say(f"These are the newest {len(found.lines)} of {found.found} lines: ask for fewer to see older ones.")
