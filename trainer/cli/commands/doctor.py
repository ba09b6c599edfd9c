"""`slipway doctor`."""

import click

from trainer.cli import output
from trainer.cli.command import Command
from trainer.cli.parameters import json_option, store_option
from trainer.errors import ExitCode


@click.command(
    cls=Command,
    examples=(
        "slipway doctor",
        "slipway doctor --store /mnt/nas/runs --json",
    ),
)
@store_option
@json_option
def doctor(store: str, as_json: bool) -> int:
    """Say what this machine can do, and how to mend what it cannot.

    Exits with 1 if something that training needs fails.
    """
    from trainer import doctor as checks

    found = checks.examine(store)
    if as_json:
        output.print_json([check.to_json() for check in found])
    else:
        output.print_table(("", "what", "found", "fix"), [(c.level, c.name, c.found, c.cure) for c in found])
    return ExitCode.FAULT if any(check.level is checks.Level.FAIL for check in found) else ExitCode.DONE
