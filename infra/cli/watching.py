"""`slipway cloud status` and `logs`."""

import datetime as dt
import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from infra.cli.options import open_site, since_option, site_options
from trainer.cli import output
from trainer.cli.command import Command
from trainer.cli.parameters import json_option, level_option
from trainer.errors import BadInput

if TYPE_CHECKING:
    from infra.operations.fleet import Fleet, Said

FOLLOW_SECONDS = 5.0
LATE = dt.timedelta(minutes=2)
"""How late a line may come to the service: so much is asked again, and lines that were shown are left out."""


@click.command(cls=Command, examples=("slipway cloud status", "slipway cloud status --stack dev --json"))
@site_options
@json_option
def status(stack: str | None, directory: Path, as_json: bool) -> None:
    """Show a site: its runs and how far they are, its machines, its dashboard, what it costs now."""
    from infra import costing
    from infra.operations import fleet as fleets
    from trainer.run import summary
    from trainer.store import resolve
    from trainer.store.parallel import each

    site = open_site(stack, directory)
    outputs = site.outputs()
    if not outputs:
        if as_json:
            output.print_json({"stack": site.name, "up": False})
        else:
            click.echo(f"{site.name} is not up: `slipway cloud up --stack {site.name}` makes it.")
        return
    store = resolve(str(outputs["store"]))
    there = set(store.run_ids())
    runs = {one["run_id"]: one for one in each(lambda run_id: summary.at(store, run_id), sorted(there))}
    groups = fleets.fleet(outputs).groups()
    now = costing.of(site.planned, nodes=fleets.running(groups))
    if as_json:
        found = [_group(group, runs.get(group.run_id)) for group in groups]
        said = {"stack": site.name, "up": True, "runs": found, "cost": now.to_json(), "outputs": dict(outputs)}
        output.print_json(said)
        return
    rows = []
    for group in groups:
        run = runs.get(group.run_id) or {}
        done = run.get("done_ratio")
        machines = ", ".join(f"{node.machine} {node.id} ({node.state})" for node in group.nodes)
        rows.append(
            (
                group.run_id,
                run.get("state", "not begun"),
                "" if done is None else f"{100 * done:.0f} %",
                machines or ("none yet" if group.wanted else "none wanted"),
            )
        )
    output.print_table(("run", "state", "done", "machines"), rows)
    click.echo(f"results:   {outputs['store']}")
    click.echo(f"dashboard: {outputs['dashboardUrl']}")
    click.echo(f"cost:      {now.to_line()}")


@click.command(
    cls=Command,
    examples=("slipway cloud logs", "slipway cloud logs --run my-run --level warning", "slipway cloud logs --follow"),
)
@site_options
@click.option("--run", metavar="ID", help="Only this run's lines.")
@since_option
@level_option("; a first boot's words matter as errors do")
@click.option("--follow", is_flag=True, help="Go on until Ctrl-C.")
@json_option
def logs(
    stack: str | None, directory: Path, run: str | None, since: dt.timedelta, level: str, follow: bool, as_json: bool
) -> None:
    """Show what a site's machines say, from the cloud's log service.

    With --json each line is a JSON object.
    """
    from infra.operations import fleet as fleets
    from infra.operations.stacks import up_only

    site = open_site(stack, directory)
    outputs = up_only(site)
    if run is not None and run not in outputs["groups"]:
        known = ", ".join(outputs["groups"])
        raise BadInput("--run", run, f"a run of {site.name}: {known}", "write one of them")
    machines = fleets.fleet(outputs)
    start = dt.datetime.now(dt.UTC) - since
    for said in _follow(machines, start) if follow else machines.lines(start):
        line = _line(said)
        if (run is None or line.get("run_id") == run) and _matters(line, level):
            click.echo(json.dumps(line) if as_json else _words(line))


def _follow(machines: "Fleet", start: dt.datetime) -> Iterator["Said"]:
    seen: dict[str, dt.datetime] = {}
    while True:
        for said in machines.lines(start):
            if said.id not in seen:
                seen[said.id] = said.time
                yield said
        start = max(start, dt.datetime.now(dt.UTC) - LATE)
        seen = {key: time for key, time in seen.items() if time >= start}
        time.sleep(FOLLOW_SECONDS)


def _line(said: "Said") -> dict[str, Any]:
    """A line as the trainer wrote it; the words of a first boot become one."""
    try:
        line = json.loads(said.text)
        if isinstance(line, dict) and {"time", "severity", "message"} <= line.keys():
            return line
    except ValueError:
        pass
    time = said.time.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {"time": time, "severity": "ERROR", "run_id": said.stream, "message": said.text}


def _matters(line: Mapping[str, Any], level: str) -> bool:
    from trainer.logs.lines import Severity

    order = [str(each) for each in Severity]
    found = line["severity"]
    return found not in order or order.index(found) >= order.index(level.upper())


def _words(line: Mapping[str, Any]) -> str:
    return f"{line['time']} {line['severity']:<7} {line.get('run_id', '')}: {line['message']}"


def _group(group: Any, run: Mapping[str, Any] | None) -> dict[str, Any]:
    import dataclasses

    return {**dataclasses.asdict(group), "run": run}
