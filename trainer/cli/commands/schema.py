"""`slipway schema`."""

import click

from trainer.cli.command import Command


@click.command(
    cls=Command,
    examples=("slipway schema > run-file.schema.json",),
)
def schema() -> None:
    """Print the run file's JSON Schema, for editors.

    A run file that begins with `# yaml-language-server: $schema=run-file.schema.json` is checked as it is written.
    """
    from trainer.config import schema as run_file_schema

    click.echo(run_file_schema.text(), nl=False)
