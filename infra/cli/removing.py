"""`slipway cloud destroy`."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from infra.cli.options import open_site, say, site_options
from trainer.cli.command import Command
from trainer.cli.parameters import json_option, quiet_option
from trainer.errors import MISSING, BadInput

if TYPE_CHECKING:
    from infra.operations.remains import Removal, Resource
    from infra.operations.stacks import Site


@click.command(
    cls=Command,
    examples=(
        "slipway cloud destroy",
        "slipway cloud destroy --pull results",
        "slipway cloud destroy --stack dev --confirm dev --discard-results --json",
    ),
)
@site_options
@click.option("--confirm", metavar="NAME", help="The stack's name, in place of asking for it.")
@click.option("--pull", type=click.Path(path_type=Path), metavar="FOLDER", help="First copy all runs to a folder here.")
@click.option("--discard-results", is_flag=True, help="Let the runs in the bucket go without a copy.")
@json_option
@quiet_option
def destroy(
    stack: str | None,
    directory: Path,
    confirm: str | None,
    pull: Path | None,
    discard_results: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Remove a site with everything in it, and show that nothing is left.

    It prints what goes, what stays and why, and asks for the stack's name. Machines save a last checkpoint, protection
    is lifted (`lifecycle=cleanup`), everything is destroyed, with retries. Interrupted, the same command goes on.
    The runs in the bucket go with it: --pull copies them first; a site whose lifecycle is `keep` insists on that, or
    on --discard-results. With --json each line is a JSON object.
    """
    from infra.operations import progress, removal

    site = open_site(stack, directory)
    if not site.resources():
        if as_json:
            click.echo(json.dumps({"event": "destroyed", "stack": site.name, "removed": 0, "stays": []}))
        else:
            click.echo(f"{site.name} has nothing to remove.")
        return
    foreseen = removal.foresee(site)
    _say_plan(site, foreseen, as_json)
    rules = site.planned.settings.rules
    if rules.final_archive and not (pull or discard_results) and site.outputs():
        cure = "write --pull FOLDER, or --discard-results"
        raise BadInput("--pull", MISSING, f"a folder, as results of a site to {site.planned.settings.lifecycle}", cure)
    _check_name(site, confirm, as_json)
    tell = _json_say if as_json else say
    removal.drain(site, tell)
    if pull is not None and site.outputs():
        removal.pull_results(site, pull, tell)
    left = removal.remove(site, lambda title: progress.shown(title, as_json=as_json, quiet=quiet), tell)
    stays = [{"type": each.type, "name": each.name, "id": each.id, "reason": reason} for each, reason in left.stays]
    if as_json:
        click.echo(json.dumps({"event": "destroyed", "stack": site.name, "removed": len(left.removed), "stays": stays}))
        return
    click.echo(f"{site.name} is gone: {len(left.removed)} resources removed, and the stack's state has none.")
    for line in _stays(left.stays):
        click.echo(line)
    click.echo(f"`pulumi stack rm {site.name}` forgets the stack and its configuration.")


def _say_plan(site: "Site", foreseen: "Removal", as_json: bool) -> None:
    """What goes, and what stays and why."""
    if as_json:
        goes = [{"type": each.type, "name": each.name, "id": each.id} for each in foreseen.goes]
        stays = [{"type": each.type, "name": each.name, "reason": reason} for each, reason in foreseen.stays]
        click.echo(json.dumps({"event": "plan", "stack": site.name, "goes": goes, "stays": stays}))
        return
    say(f"Removing {site.name} removes {len(foreseen.goes)} resources:")
    for kind, count in sorted(Counter(each.kind for each in foreseen.goes).items()):
        say(f"  {count:>3} {kind}")
    if site.outputs():
        say(f"with all runs in {site.outputs().get('store')}.")
    for line in _stays(foreseen.stays):
        say(line)


def _stays(found: Sequence[tuple["Resource", str]]) -> Iterator[str]:
    """A line for each kind of what stays, with the reason."""
    kinds: dict[tuple[str, str], list[str]] = {}
    for each, reason in found:
        kinds.setdefault((each.kind, reason), []).append(each.id.rsplit("/", 1)[-1] or each.name)
    for (kind, reason), names in kinds.items():
        yield f"  stays: {len(names)} {kind} ({', '.join(names)}): {reason}"


def _check_name(site: "Site", confirm: str | None, as_json: bool) -> None:
    if confirm is None:
        if as_json:
            raise BadInput("--confirm", MISSING, "the stack's name with --json, which asks nothing", "write --confirm")
        confirm = click.prompt(f"Type {site.name} to remove it", default="", show_default=False, err=True)
    if confirm != site.name:
        raise BadInput("--confirm", confirm, f"{site.name}, the stack's name", "nothing was removed; type its name")


def _json_say(text: str) -> Any:
    click.echo(json.dumps({"event": "said", "message": text}))
