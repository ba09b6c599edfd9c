"""How commands print: JSON for programs, tables for people."""

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from trainer.session import Outcome


def print_json(value: Any) -> None:
    """Readable JSON on standard output."""
    click.echo(json.dumps(value, indent=2, allow_nan=False, default=str))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table on standard output: within the terminal's width, or as wide as it needs in a file or a pipe."""
    import io
    import sys

    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*columns, box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, show_header=any(columns))
    for row in rows:
        table.add_row(*(Text("" if cell is None else str(cell)) for cell in row))
    if sys.stdout.isatty():
        Console(file=sys.stdout).print(table)
    else:
        text = io.StringIO()
        Console(file=text, width=10_000).print(table)
        click.echo("\n".join(line.rstrip() for line in text.getvalue().splitlines()))


def finish(outcome: "Outcome", as_json: bool, quiet: bool) -> int:
    """Print what a command came to.

    Args:
        outcome: the session's.
        as_json: as JSON.
        quiet: print only the last line for people.

    Returns:
        The exit code.
    """
    if as_json:
        print_json(outcome.summary)
    else:
        for line in outcome.lines[-1:] if quiet else outcome.lines:
            click.echo(line)
    return int(outcome.exit_code)
