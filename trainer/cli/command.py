"""Commands that show examples in their help, and groups that suggest the nearest command for a wrong one."""

import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click

from trainer.errors import BadInput, nearest


class Command(click.Command):
    """A command with examples.

    Args:
        examples: command lines, shown at the end of the help.
    """

    def __init__(self, *args: Any, examples: Sequence[str] = (), **keywords: Any) -> None:
        super().__init__(*args, **keywords)
        self.examples = tuple(examples)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples, then the epilog."""
        _write_examples(self.examples, formatter)
        super().format_epilog(ctx, formatter)


class Group(click.Group):
    """Commands below one name, with examples; without a command it prints its help.

    Args:
        examples: command lines, shown at the end of the help.
    """

    command_class = Command

    def __init__(self, *args: Any, examples: Sequence[str] = (), **keywords: Any) -> None:
        super().__init__(*args, **keywords)
        self.examples = tuple(examples)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples, then the epilog."""
        _write_examples(self.examples, formatter)
        super().format_epilog(ctx, formatter)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """Find the command, or suggest the nearest."""
        known = self.list_commands(ctx)
        if not ctx.resilient_parsing and args[0] not in known and not args[0].startswith("-"):
            near = nearest(args[0], known)
            cure = f"write `{ctx.command_path} {near}`" if near else f"see `{ctx.command_path} --help`"
            raise BadInput("command", args[0], ", ".join(known), cure)
        return super().resolve_command(ctx, args)


class LazyGroup(Group):
    """A group that imports a command when it is asked for.

    Args:
        where: gives the commands in the order of the help, and where each is: `package.module:name`.
    """

    def __init__(self, *args: Any, where: Callable[[], Mapping[str, str]], **keywords: Any) -> None:
        super().__init__(*args, **keywords)
        self._where = where

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All commands, in the order of the help."""
        del ctx
        return list(self._where())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command; None if there is none of that name."""
        del ctx
        if cmd_name not in self._where():
            return None
        module, name = self._where()[cmd_name].split(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command


def _write_examples(examples: Sequence[str], formatter: click.HelpFormatter) -> None:
    if examples:
        with formatter.section("Examples"):
            for example in examples:
                formatter.write(f"{'':{formatter.current_indent}}{example}\n")
