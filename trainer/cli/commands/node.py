"""`slipway node`."""

import json
from pathlib import Path

import click

from trainer.cli.command import Group
from trainer.cli.commands import queue
from trainer.cli.parameters import Word

HOOK_NAMES = ("nothing", "power-off", "scale-in-asg", "scale-in-mig")


@click.group(
    cls=Group,
    examples=(
        "slipway node ended --unit slipway-train.service --run-id mine --hook power-off",
        "slipway node submit run.yaml --queue /srv/slipway/queue",
        "slipway node queue --queue /srv/slipway/queue",
    ),
)
def node() -> None:
    """What a node's own services call, and a site's run queue."""


for command in (queue.submit, queue.work, queue.show, queue.cancel, queue.drain, queue.undrain):
    node.add_command(command)


@node.command(
    examples=(
        "slipway node ended --unit slipway-train.service --run-id mine",
        "slipway node ended --unit slipway-train.service --run-id mine --hook scale-in-asg",
    ),
)
@click.option("--unit", required=True, metavar="UNIT", help="The training's systemd unit.")
@click.option("--run-id", required=True, metavar="ID", help="The run that it trained.")
@click.option(
    "--hook",
    type=Word(*HOOK_NAMES),
    default="nothing",
    show_default=True,
    metavar="|".join(HOOK_NAMES),
    help="What becomes of the machine if the run has ended for good.",
)
@click.option(
    "--record", type=click.Path(path_type=Path), metavar="FILE", help="Remember the end: power-off happens once for it."
)
def ended(unit: str, run_id: str, hook: str, record: Path | None) -> None:
    """Say how the training's service ended, as a line of JSON, and run a hook.

    A training that was stopped on purpose can go on: no hook runs then.
    """
    from trainer.node import ended as end

    click.echo(json.dumps(end.ended(unit, run_id, hook, record)))
