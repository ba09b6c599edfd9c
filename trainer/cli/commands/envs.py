"""`slipway envs`."""

from pathlib import Path

import click

from trainer.cli import output
from trainer.cli.command import Group
from trainer.cli.parameters import complete_environment, json_option


@click.group(
    cls=Group,
    examples=(
        "slipway envs list",
        "slipway envs describe slipway/LostSales-v0",
    ),
)
def envs() -> None:
    """Environments to train on."""


@envs.command(
    "list",
    examples=(
        "slipway envs list",
        "slipway envs list --gymnasium --json",
    ),
)
@click.option("--gymnasium", is_flag=True, help="List what Gymnasium has registered here, too.")
@json_option
def list_(gymnasium: bool, as_json: bool) -> None:
    """List the environments. Any id that Gymnasium knows works too, as gymnasium:ID."""
    from trainer import environments

    found = environments.known(gymnasium)
    if as_json:
        output.print_json(found)
    else:
        rows = [(item["id"], item["family"], item["preset"], item["summary"]) for item in found]
        output.print_table(("environment", "family", "preset", "summary"), rows)
        if not gymnasium:
            click.echo("Any id that Gymnasium knows works too: gymnasium:Pendulum-v1 (--gymnasium lists them).")


@envs.command(
    examples=(
        "slipway envs describe slipway/LostSales-v0",
        "slipway envs describe gymnasium:Pendulum-v1 --json",
    ),
)
@click.argument("env_id", shell_complete=complete_environment)
@json_option
def describe(env_id: str, as_json: bool) -> None:
    """Describe an environment: parameters, spaces, score, optimum, baselines, and what it can tell an agent."""
    from trainer import environments

    found = environments.describe(env_id)
    if as_json:
        output.print_json(found)
        return
    parameters = found.pop("parameters")
    output.print_table(("", ""), [(key.replace("_", " "), _shown(value)) for key, value in found.items()])
    if parameters:
        click.echo("\nParameters (env.parameters in the run file):\n")
        columns = ("name", "default", "allowed", "meaning")
        output.print_table(columns, [(p["name"], p["default"], p["allowed"], p["help"]) for p in parameters])


@envs.command(
    examples=(
        "slipway envs new room_heater",
        "slipway envs new room_heater --folder tasks",
    ),
)
@click.argument("name")
@click.option("--folder", default=".", show_default=True, metavar="DIR", help="Where the package's folder goes.")
@json_option
def new(name: str, folder: str, as_json: bool) -> None:
    """Write a new task to start from: a package NAME with a model, its dynamics, tests and a README.

    It trains at once, by the id NAME:NAME/Name-v0, from the folder that it lies in.
    """
    from trainer import skeleton

    made = skeleton.write(name, Path(folder))
    env_id = skeleton.env_id(name)
    if as_json:
        output.print_json({"id": env_id, "folder": str(made), "files": sorted(path.name for path in made.iterdir())})
        return
    click.echo(f"Wrote {made}: {', '.join(sorted(path.name for path in made.iterdir()))}")
    go = "" if made.parent == Path() else f"cd {made.parent}; "
    click.echo(f"Test it:  {go}python -m pytest {name}")
    click.echo(f"Train it: {go}slipway train {env_id}")


def _shown(value: object) -> str:
    if value is None:
        return "not known"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return str(value)
