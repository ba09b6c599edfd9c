"""`slipway presets`."""

import click

from trainer.cli import output
from trainer.cli.command import Group
from trainer.cli.parameters import complete_preset, json_option


@click.group(
    cls=Group,
    examples=(
        "slipway presets list",
        "slipway presets show cartpole-ppo > run.yaml",
    ),
)
def presets() -> None:
    """Run files that ship."""


@presets.command(
    "list",
    examples=("slipway presets list --json",),
)
@json_option
def list_(as_json: bool) -> None:
    """List the presets."""
    from trainer.config import presets as shipped

    rows = [(name, shipped.data(name)["env"]["id"], shipped.summary(name)) for name in shipped.names()]
    if as_json:
        output.print_json([{"name": name, "env_id": env_id, "summary": summary} for name, env_id, summary in rows])
    else:
        output.print_table(("preset", "environment", "what it is for"), rows)


@presets.command(
    examples=("slipway presets show lost-sales-ppo > run.yaml",),
)
@click.argument("preset", shell_complete=complete_preset)
@json_option
def show(preset: str, as_json: bool) -> None:
    """Print a preset, as a run file to begin with."""
    from trainer.config import presets as shipped

    if as_json:
        output.print_json(shipped.data(preset))
    else:
        click.echo(shipped.text(preset), nl=False)
