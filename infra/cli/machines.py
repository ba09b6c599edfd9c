"""`slipway cloud ssh`, `pause` and `resume`."""

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import click

from infra.cli.options import open_site, say, site_options
from trainer.cli import output
from trainer.cli.command import Command
from trainer.cli.parameters import json_option
from trainer.errors import MISSING, BadInput, SlipwayError

if TYPE_CHECKING:
    from infra.operations.fleet import Group

NEEDED = {
    "aws": (("aws", "session-manager-plugin"), "install AWS's CLI and its Session Manager plugin"),
    "gcloud": (("gcloud",), "install Google Cloud's CLI"),
}


@click.command(cls=Command, examples=("slipway cloud ssh", "slipway cloud ssh my-run --stack dev"))
@click.argument("run", required=False)
@site_options
def ssh(run: str | None, stack: str | None, directory: Path) -> None:
    """Open a shell on the machine of a run: by Session Manager, or through Identity-Aware Proxy. No port is open.

    RUN may be left out where the site has one machine.
    """
    from infra.operations import fleet as fleets
    from infra.operations.stacks import up_only

    site = open_site(stack, directory)
    machines = fleets.fleet(up_only(site))
    nodes = [node for group in machines.groups() for node in group.nodes if run in (None, node.run_id)]
    if not nodes:
        raise SlipwayError(f"{site.name} has no machine{f' for {run}' if run else ''} now: slipway cloud status")
    if len(nodes) > 1:
        known = ", ".join(sorted({node.run_id for node in nodes}))
        raise BadInput("RUN", run or MISSING, f"one of {known}", "name the run")
    command = machines.shell(nodes[0])
    programs, cure = NEEDED[command[0]]
    for program in programs:
        if shutil.which(program) is None:
            raise BadInput(program, MISSING, f"the command {program} on the PATH", cure)
    say(f"$ {' '.join(command)}")
    os.execvp(command[0], command)  # noqa: S606 (the clouds' own tool, on the PATH)


@click.command(cls=Command, examples=("slipway cloud pause", "slipway cloud pause --stack dev --json"))
@site_options
@json_option
def pause(stack: str | None, directory: Path, as_json: bool) -> None:
    """Let all machines save a checkpoint and go; what the site keeps stays, and `resume` goes on."""
    _scale(stack, directory, 0, as_json)


@click.command(cls=Command, examples=("slipway cloud resume", "slipway cloud resume --stack dev"))
@site_options
@json_option
def resume(stack: str | None, directory: Path, as_json: bool) -> None:
    """Give every run that is not over a machine again, which goes on from its last checkpoint."""
    _scale(stack, directory, 1, as_json)


def _scale(stack: str | None, directory: Path, size: int, as_json: bool) -> None:
    from infra.operations import fleet as fleets
    from infra.operations.stacks import up_only
    from trainer.logs.following import OVER
    from trainer.run import summary
    from trainer.store import resolve

    site = open_site(stack, directory)
    outputs = up_only(site)
    machines = fleets.fleet(outputs)
    groups: list[Group] = machines.groups()
    if size:
        store = resolve(str(outputs["store"]))
        begun = set(store.run_ids())
        over = {run_id for run_id in begun if summary.at(store, run_id)["state"] in OVER}
        groups = [group for group in groups if group.run_id not in over]
    changed = [group for group in groups if group.wanted != size]
    for group in changed:
        machines.scale(group, size)
    if as_json:
        output.print_json({"stack": site.name, "size": size, "runs": [group.run_id for group in changed]})
    elif not changed:
        click.echo(f"{site.name}: nothing to {'resume' if size else 'pause'}.")
    else:
        words = "get a machine again" if size else "save a checkpoint, and their machines go"
        click.echo(f"{site.name}: {', '.join(group.run_id for group in changed)}: {words}.")
