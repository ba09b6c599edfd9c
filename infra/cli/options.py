"""Options that the commands of a site share."""

import datetime as dt
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from trainer.errors import BadInput

if TYPE_CHECKING:
    from infra.operations.stacks import Site

F = TypeVar("F", bound=Callable[..., Any])
PACK = Path(__file__).parents[1] / "policy"
PACK_VARIABLE = "SLIPWAY_POLICY_PACK"
STACK_VARIABLE = "SLIPWAY_STACK"
MOST_DAYS = 3650
_SINCE = re.compile(r"([0-9]{1,12})([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class Ago(click.ParamType[dt.timedelta]):
    """A time that has passed: `30m`, `2h`, `7d`."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> dt.timedelta:
        """The time.

        Raises:
            BadInput: if it is none, or longer than anybody keeps logs.
        """
        del param, ctx
        if isinstance(value, dt.timedelta):
            return value
        match = _SINCE.fullmatch(str(value))
        seconds = int(match[1]) * _SECONDS[match[2]] if match else 0
        if not match or seconds > MOST_DAYS * _SECONDS["d"]:
            raise BadInput("--since", value, f"a number and s, m, h or d, up to {MOST_DAYS}d", "write --since 2h")
        return dt.timedelta(seconds=seconds)


def site_options(function: F) -> F:
    """`--stack` and `--directory`: which site."""
    function = click.option(
        "--directory",
        type=click.Path(path_type=Path),
        default=Path(),
        show_default="the working folder",
        metavar="FOLDER",
        help="Where slipway's Pulumi.yaml and the stack's configuration are.",
    )(function)
    return click.option(
        "--stack",
        envvar=STACK_VARIABLE,
        show_envvar=True,
        metavar="NAME",
        help="The site; left out, the stack that `pulumi stack select` has chosen.",
    )(function)


def policy_option(function: F) -> F:
    """`--policy-pack`: what a change is held against."""
    return click.option(
        "--policy-pack",
        envvar=PACK_VARIABLE,
        show_envvar=True,
        type=click.Path(path_type=Path),
        default=PACK,
        show_default="slipway's own",
        metavar="FOLDER",
        help="The policy pack that the change is held against.",
    )(function)


def since_option(function: F) -> F:
    """`--since`, of logs."""
    return click.option(
        "--since", type=Ago(), default="1h", show_default=True, metavar="TIME", help="How far back: 30m, 2h, 7d."
    )(function)


def open_site(stack: str | None, directory: Path) -> "Site":
    """The site that the options mean; see `infra.operations.stacks.open_site`."""
    from infra.operations import stacks

    return stacks.open_site(stack, directory)


def say(text: str) -> None:
    """Tell people, on standard error."""
    click.echo(text, err=True)
