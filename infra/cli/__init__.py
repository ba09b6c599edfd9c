"""`slipway cloud`: what operators do with sites. Each command imports what it needs when it runs."""

import click

from trainer.cli.command import LazyGroup

COMMANDS = {
    "preview": "infra.cli.changing:preview",
    "up": "infra.cli.changing:up",
    "status": "infra.cli.watching:status",
    "logs": "infra.cli.watching:logs",
    "ssh": "infra.cli.machines:ssh",
    "pause": "infra.cli.machines:pause",
    "resume": "infra.cli.machines:resume",
    "destroy": "infra.cli.removing:destroy",
}
"""Commands in the order of the help, and where each is."""


@click.group(
    cls=LazyGroup,
    where=lambda: COMMANDS,
    examples=(
        "slipway cloud preview",
        "slipway cloud up",
        "slipway cloud status",
        "slipway cloud destroy",
    ),
)
def cloud() -> None:
    """A training site in AWS or Google Cloud: make, watch, pause and remove it.

    A site is a stack of Pulumi, and its settings are the stack's configuration; `pulumi up` does the same.
    """
