"""`slipway onprem down`."""

import functools
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from infra.onprem.cli.options import Chosen, asked, open_site, say, site_options
from trainer.cli.command import Command
from trainer.cli.parameters import json_option, quiet_option
from trainer.errors import MISSING, BadInput

if TYPE_CHECKING:
    from infra.onprem.site import Site


@click.command(
    cls=Command,
    examples=("slipway onprem down --inventory site", "slipway onprem down -i site --confirm slipway --json"),
)
@site_options
@click.option("--confirm", metavar="NAME", help="The site's name, in place of asking for it.")
@click.option(
    "--shred", metavar="VOLUME", help="Also destroy the keys of the NAS's volume, and so all runs; type its name."
)
@click.option("--break-lock", is_flag=True, help="Take away the lock of somebody who is no longer at work.")
@json_option
@quiet_option
def down(chosen: Chosen, confirm: str | None, shred: str | None, break_lock: bool, as_json: bool, quiet: bool) -> None:
    """Give the hosts back as they were, and show that they are.

    It prints what goes, what stays and where, and asks for the site's name. Trainings save a last checkpoint; then
    all that was made is removed, and each host is compared with how it was before. Interrupted, the same command goes
    on; a second one does nothing. With --json each line is a JSON object.
    """
    from infra.onprem import site as sites

    site = open_site(chosen, as_json=as_json, quiet=quiet)
    _check_volume(site, shred)
    if confirm is not None or as_json:
        _check_name(site, confirm)
    with sites.alone(site, "down") as turn:
        _say_plan(site, sites.foresee(site), as_json)
        if confirm is None:
            question = f"Type {site.name} to take it down"
            prompt = functools.partial(click.prompt, question, default="", show_default=False, err=True)
            _check_name(site, asked("--confirm", "the site's name", prompt))
        proofs = sites.down(site, turn, shred=shred, break_lock=break_lock)
    if as_json:
        click.echo(json.dumps({"event": "down", "site": site.name, "hosts": proofs}))
        return
    for host, explained in proofs.items():
        click.echo(f"{host}: as it was before" + (", but for:" if explained else ""))
        for line in explained:
            click.echo(f"  {line}")
    if site.inventory.is_whole:
        click.echo(f"{site.name} is gone.")
    else:
        click.echo(
            f"{', '.join(site.inventory.chosen)} of {site.name} is given back; the other hosts are as they were."
        )


def _say_plan(site: "Site", foreseen: Mapping[str, Mapping[str, Any]], as_json: bool) -> None:
    """What goes and what stays, host by host."""
    if as_json:
        click.echo(json.dumps({"event": "plan", "site": site.name, "hosts": foreseen}))
        return
    say(f"Taking {site.name} down:")
    for host, parts in foreseen.items():
        say(f"{host}:")
        for what, names in parts.items():
            words = ", ".join(map(str, names)) if isinstance(names, list) else str(names)
            if words:
                say(f"  {what}: {words}")


def _check_volume(site: "Site", shred: str | None) -> None:
    """The volume's name must be typed as the inventory has it."""
    from infra.onprem import playbooks

    if shred is None:
        return
    default = playbooks.defaults("nas_server").get("nas_server_volume", "")
    hosts = site.inventory.groups.get(playbooks.NAS, ())
    known = {str(site.inventory.hosts[host].get("nas_server_volume", default)) for host in hosts}
    if shred not in known:
        allowed = f"the name of the NAS's volume: {', '.join(known) or 'there is none'}"
        raise BadInput("--shred", shred, allowed, "nothing was removed; type its name, or leave --shred out")


def _check_name(site: "Site", confirm: str | None) -> None:
    if confirm is None:
        raise BadInput("--confirm", MISSING, "the site's name with --json, which asks nothing", "write --confirm")
    if confirm != site.name:
        raise BadInput("--confirm", confirm, f"{site.name}, the site's name", "nothing was removed; type its name")
