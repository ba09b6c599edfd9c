"""`slipway cloud preview` and `up`."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from infra.cli.options import open_site, policy_option, say, site_options
from trainer.cli import output
from trainer.cli.command import Command
from trainer.cli.parameters import json_option, quiet_option
from trainer.errors import MISSING, BadInput, SlipwayError

if TYPE_CHECKING:
    from infra.operations.stacks import Site

CHANGES = {
    "create": "to create",
    "update": "to update",
    "replace": "to replace",
    "delete": "to delete",
    "same": "unchanged",
}


@click.command(cls=Command, examples=("slipway cloud preview", "slipway cloud preview --stack dev --json"))
@site_options
@policy_option
@json_option
@quiet_option
def preview(stack: str | None, directory: Path, policy_pack: Path, as_json: bool, quiet: bool) -> None:
    """Show what `up` would change, and what the site costs by the hour and the month; change nothing."""
    site = open_site(stack, directory)
    changes = _preview(site, policy_pack, as_json or quiet)
    if as_json:
        output.print_json({"stack": site.name, "changes": changes, "cost": _cost(site).to_json()})
        return
    click.echo(f"{site.name}: {_words(changes)}")
    click.echo()
    click.echo(_cost(site).to_text())


@click.command(cls=Command, examples=("slipway cloud up", "slipway cloud up --stack dev --yes"))
@site_options
@policy_option
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@json_option
@quiet_option
def up(stack: str | None, directory: Path, policy_pack: Path, yes: bool, as_json: bool, quiet: bool) -> None:
    """Make the site, or change it to what its configuration says; its machines then train.

    It first shows what will change and what it costs, and asks. With --json each line is a JSON object: an event,
    or at the end the outputs; nothing is asked then, so it needs --yes.
    """
    import functools

    from infra.operations import progress
    from infra.operations.stacks import free, told

    if as_json and not yes:
        raise BadInput("--yes", MISSING, "--yes with --json, which asks nothing", "write --yes")
    site = open_site(stack, directory)
    changes = _preview(site, policy_pack, as_json or quiet)
    if not as_json:
        say(f"{site.name}: {_words(changes)}")
        say(f"\n{_cost(site).to_text()}\n")
    if not yes:
        click.confirm(f"Change {site.name} so?", abort=True, err=True)
    total = sum(count for op, count in changes.items() if op != "same")
    shown = progress.shown(site.name, as_json=as_json, quiet=quiet, total=total)
    change = functools.partial(site.stack.up, policy_packs=[str(policy_pack)], on_event=shown, color="never")
    try:
        try:
            told(change)
        except SlipwayError as error:
            if not free(site.stack, error.__cause__):
                raise
            told(change)
    except SlipwayError as error:
        shown.stop()
        made = sum(count for op, count in shown.changes.items() if op not in progress.QUIET)
        lines = shown.problems or [str(error)]
        fix = "mend that, and run it again: it goes on from what is there"
        raise SlipwayError(
            "\n  ".join([f"{site.name}: stopped after {made} changes:", *lines, f"fix:     {fix}"])
        ) from error
    finally:
        shown.stop()
    outputs = site.outputs()
    if as_json:
        import json

        click.echo(json.dumps({"event": "up", "stack": site.name, "outputs": outputs}, default=str))
        return
    output.print_table(("", ""), [(name, _shown(value)) for name, value in sorted(outputs.items())])
    click.echo(f"{site.name} is up. Watch it: slipway cloud status --stack {site.name}")


def _preview(site: "Site", policy_pack: Path, silent: bool) -> dict[str, int]:
    """What an `up` would change, by the kind of change.

    Raises:
        SlipwayError: if the program, a provider or a policy refuses; nothing has been changed.
    """
    import functools

    from infra.operations import progress
    from infra.operations.stacks import told

    shown = progress.Silent()
    if not silent:
        say(f"looking at what {site.name} needs ...")
    try:
        result = told(
            functools.partial(site.stack.preview, policy_packs=[str(policy_pack)], on_event=shown, color="never")
        )
    except SlipwayError as error:
        problems = shown.problems or [str(error)]
        raise SlipwayError("\n  ".join([f"{site.name}: refused, and nothing was changed:", *problems])) from error
    return {str(getattr(op, "value", op)): count for op, count in Counter(result.change_summary).items()}


def _cost(site: "Site") -> Any:
    from infra import costing

    return costing.of(site.planned)


def _words(changes: Mapping[str, int]) -> str:
    found = [f"{changes[op]} {words}" for op, words in CHANGES.items() if changes.get(op)]
    return ", ".join(found) or "nothing to do"


def _shown(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {each}" for key, each in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
