"""`slipway onprem init`."""

import shutil
from pathlib import Path

import click

from infra.onprem import playbooks
from trainer.cli.command import Command
from trainer.errors import BadInput, SlipwayError


@click.command(cls=Command, examples=("slipway onprem init site",))
@click.argument("folder", type=click.Path(path_type=Path))
def init(folder: Path) -> None:
    """Copy an example of an inventory into a new FOLDER, to be filled in."""
    allowed = "a folder that this user may write, and that is empty or not there yet"
    try:
        is_taken = folder.exists() and (not folder.is_dir() or any(folder.iterdir()))
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput("FOLDER", str(folder), f"{allowed} ({error.strerror})", "choose another one") from error
    if is_taken:
        raise BadInput("FOLDER", str(folder), allowed, "choose another one")
    try:
        shutil.copytree(playbooks.EXAMPLE, folder, dirs_exist_ok=True)
        (folder / "secrets").mkdir(mode=0o700)
    except OSError as error:
        raise SlipwayError(f"cannot write {folder}: {error.strerror or error}") from error
    click.echo(f"Wrote {folder}: set the hosts in hosts.yml, and the rest in group_vars/all/main.yml.")
    click.echo(f"Then: slipway onprem check --inventory {folder}")
