"""`slipway onprem`: sites on an operator's own servers. Each command imports what it needs when it runs."""

import click

from trainer.cli.command import LazyGroup

COMMANDS = {
    "init": "infra.onprem.cli.beginning:init",
    "check": "infra.onprem.cli.changing:check",
    "plan": "infra.onprem.cli.changing:plan",
    "up": "infra.onprem.cli.changing:up",
    "status": "infra.onprem.cli.watching:status",
    "run": "infra.onprem.cli.training:run",
    "logs": "infra.onprem.cli.watching:logs",
    "down": "infra.onprem.cli.removing:down",
}
"""Commands in the order of the help, and where each is."""


@click.group(
    cls=LazyGroup,
    where=lambda: COMMANDS,
    examples=(
        "slipway onprem init site",
        "slipway onprem check --inventory site",
        "slipway onprem up --inventory site",
        "slipway onprem run lost-sales-ppo --inventory site",
        "slipway onprem down --inventory site",
    ),
)
def onprem() -> None:
    """A training site on your own servers: check, make, watch and remove it.

    A site is an inventory of Ansible with the groups `nas`, `gpu` and `monitor`; `ansible-playbook site.yml` makes
    the same of it.
    """
