"""Draw dashboards as pictures: `python -m infra.onprem.preview URL [--out FOLDER]`."""

import getpass
import json
import os
import sys
import time
from pathlib import Path

import click

from infra.onprem.dashboards import PAGES, render
from infra.onprem.preview.asking import Prometheus
from infra.onprem.preview.drawing import draw
from trainer.errors import BadInput, SlipwayError

PASSWORD = "SLIPWAY_PROMETHEUS_PASSWORD"  # noqa: S105  the name of a variable


@click.command()
@click.argument("url")
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), default=Path(), help="Folder for the pictures."
)
@click.option("--dashboard", "names", multiple=True, type=click.Choice(list(PAGES)), help="Which; all, left out.")
@click.option("--minutes", type=click.FloatRange(min=0.5), default=60.0, show_default=True, help="How far back.")
@click.option("--ca", type=click.Path(path_type=Path, exists=True), help="CA that signed Prometheus' certificate.")
@click.option("--user", help=f"For basic authentication; the password is in {PASSWORD}, or asked for.")
def main(url: str, out: Path, names: tuple[str, ...], minutes: float, ca: Path | None, user: str | None) -> None:
    """Draw dashboards from what the Prometheus at URL has, as OUT/NAME.png."""
    password = (os.environ.get(PASSWORD) or getpass.getpass("Password: ")) if user else ""
    try:
        prometheus = Prometheus(url, ca, user, password)
        try:
            out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            allowed = f"a folder that this user may write ({error.strerror})"
            raise BadInput("--out", str(out), allowed, "choose another one") from error
        end = time.time()
        for name in names or PAGES:
            figure = draw(json.loads(render(name)), prometheus, end - 60 * minutes, end)
            figure.savefig(out / f"{name}.png")
            click.echo(out / f"{name}.png")
    except SlipwayError as error:
        click.echo(f"preview: {error}", err=True)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
