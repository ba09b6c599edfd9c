"""`slipway onprem check`, `plan` and `up`."""

import json
from collections import Counter
from typing import TYPE_CHECKING

import click

from infra.onprem.cli.options import Chosen, asked, open_site, say, site_options
from trainer.cli.command import Command
from trainer.cli.parameters import json_option, quiet_option
from trainer.errors import MISSING, BadInput

if TYPE_CHECKING:
    from infra.onprem.runner import Result
    from infra.onprem.site import Site


@click.command(cls=Command, examples=("slipway onprem check --inventory site", "slipway onprem check -i site -l gpu"))
@site_options
@json_option
@quiet_option
def check(chosen: Chosen, as_json: bool, quiet: bool) -> None:
    """Look whether the hosts can become the site, and change nothing.

    What is wrong with the inventory is said together; then what is wrong with any host. Exit code 2 if anything is.
    """
    from infra.onprem import site as sites

    site = open_site(chosen, as_json=as_json, quiet=quiet)
    sites.check(site)
    if as_json:
        click.echo(json.dumps({"event": "checked", "site": site.name, "hosts": list(site.inventory.chosen)}))
    else:
        what = "can be made" if site.inventory.is_whole else "can be made, as far as was looked"
        click.echo(f"{site.name} {what}: {site.inventory.words()}")


@click.command(cls=Command, examples=("slipway onprem plan --inventory site", "slipway onprem plan -i site --diff"))
@site_options
@click.option("--diff", "with_diff", is_flag=True, help="Show what changes in each file.")
@json_option
@quiet_option
def plan(chosen: Chosen, with_diff: bool, as_json: bool, quiet: bool) -> None:
    """Show what `up` would change on each host, and change nothing.

    Before the first `up`, tasks that need what earlier ones would have installed are left out.
    """
    from infra.onprem import site as sites

    site = open_site(chosen, as_json=as_json, quiet=quiet)
    result = sites.plan(site)
    if as_json:
        changes = [{"host": each.host, "task": each.task, "diff": each.diff} for each in result.changes]
        click.echo(json.dumps({"event": "plan", "site": site.name, "changes": changes}))
    else:
        for line in _changes(site, result, with_diff):
            click.echo(line)
    sites.insist(site, result, "plan")


@click.command(cls=Command, examples=("slipway onprem up --inventory site", "slipway onprem up -i site --yes --json"))
@site_options
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@click.option("--break-lock", is_flag=True, help="Take away the lock of somebody who is no longer at work.")
@json_option
@quiet_option
def up(chosen: Chosen, yes: bool, break_lock: bool, as_json: bool, quiet: bool) -> None:
    """Make the site, or change it to what the inventory says.

    It checks first, and asks. Interrupted or failed, the same command goes on from what is there; Ctrl-C stops after
    the task under way, a second one at once. With --json each line is a JSON object, and it needs --yes.
    """
    from infra.onprem import site as sites

    if as_json and not yes:
        raise BadInput("--yes", MISSING, "--yes with --json, which asks nothing", "write --yes")
    site = open_site(chosen, as_json=as_json, quiet=quiet)
    with sites.alone(site, "up") as turn:
        sites.check(site)
        if not yes:
            say(f"{site.name}: {site.inventory.words()}")
            question = f"Make {site.name} of these hosts?"
            if not asked("--yes", "--yes", lambda: click.confirm(question, err=True)):
                raise click.Abort
        result = sites.up(site, turn, break_lock=break_lock)
    counts = Counter(each.host for each in result.changes)
    if as_json:
        click.echo(json.dumps({"event": "up", "site": site.name, "changes": counts, "artifacts": str(result.folder)}))
        return
    for host in sorted(result.hosts):
        click.echo(f"{host}: {counts[host]} changes" if counts[host] else f"{host}: nothing to change")
    part = "" if site.inventory.is_whole else f", as far as {', '.join(site.inventory.chosen)}"
    click.echo(f"{site.name} is up{part}. Watch it: slipway onprem status --inventory {chosen.inventory}")


def _changes(site: "Site", result: "Result", with_diff: bool) -> list[str]:
    """What would change, host by host."""
    lines = []
    for host in sorted(result.hosts):
        changes = [each for each in result.changes if each.host == host]
        lines.append(f"{host}: {len(changes)} to change" if changes else f"{host}: nothing to change")
        for each in changes:
            lines.append(f"  {each.task}")
            lines += [f"    {line}" for line in each.diff.splitlines()] if with_diff else []
    total = len(result.changes)
    lines.append(f"{site.name}: {total} to change" if total else f"{site.name}: nothing to change")
    return lines
