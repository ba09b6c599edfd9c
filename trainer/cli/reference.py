"""The commands as a page of the docs: `python -m trainer.cli.reference > docs/reference/cli.md`."""

import inspect
import sys
from collections.abc import Iterator

import click

from trainer.cli.application import slipway
from trainer.cli.command import Command, Group

_HEADER = """\
# Command line

Generated from `trainer/cli/` by `python -m trainer.cli.reference`; do not edit.

Results go to standard output, progress and errors to standard error. Everything that can be mended is told in one
message with the field, its value, what is allowed and how to mend it; nothing has been written then.

| Exit code | Means |
|---|---|
| 0 | done |
| 1 | a fault; `SLIPWAY_DEBUG=1` shows where. Of `slipway compare --require`: the requirement does not hold |
| 2 | bad input |
| 3 | stopped by its budget of time or money |
| 75 | preempted by Ctrl-C, SIGTERM or a cloud's notice: `slipway resume` goes on |
| 130 | Ctrl-C before training began |
"""


def page() -> str:
    """The page, in Markdown."""
    root = click.Context(slipway, info_name="slipway")
    return _HEADER + "".join(_section(context) for context in walk(root) if context is not root)


def walk(context: click.Context) -> Iterator[click.Context]:
    """A command's context, then those of all commands below it, in the order of the help."""
    yield context
    if isinstance(context.command, click.Group):
        for name in context.command.list_commands(context):
            command = context.command.get_command(context, name)
            if command is not None:
                yield from walk(click.Context(command, parent=context, info_name=name))


def _section(context: click.Context) -> str:
    command = context.command
    if not isinstance(command, Command | Group):
        raise TypeError(f"{context.command_path} is no command of ours")
    parts = [f"\n## `{context.command_path}`\n", _text(command.help or "")]
    if isinstance(command, Command):
        parts.append(f"```\n{command.get_usage(context).removeprefix('Usage: ')}\n```\n")
        rows = [record for parameter in command.params if (record := parameter.get_help_record(context))]
        if rows:
            table = "".join(f"| `{_cell(names)}` | {_cell(meaning)} |\n" for names, meaning in rows)
            parts.append(f"| Option | Meaning |\n|---|---|\n{table}")
    else:
        below = [f"`{name}`" for name in command.list_commands(context)]
        parts.append(f"Commands: {', '.join(below)}.\n")
    parts.append("```bash\n" + "\n".join(command.examples) + "\n```\n")
    return "\n".join(parts)


def _text(help_text: str) -> str:
    return inspect.cleandoc(help_text) + "\n"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(page())
