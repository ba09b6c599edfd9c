"""`slipway schema`."""

import click

from trainer.cli.command import Command


@click.command(
    cls=Command,
    examples=(
        "slipway schema > run-file.schema.json",
        "# then, as the first line of a run file:",
        "# yaml-language-server: $schema=run-file.schema.json",
    ),
)
def schema() -> None:
    """Print the run file's JSON Schema, for editors that check and complete YAML."""
    from trainer.config import schema as run_file_schema

    click.echo(run_file_schema.text(), nl=False)
