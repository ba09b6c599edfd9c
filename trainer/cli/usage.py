"""Click's errors about the command line, in the same words as every other bad input."""

import re

import click

from trainer.errors import MISSING, BadInput, nearest

_EXTRA = re.compile(r"unexpected extra arguments? \((.*)\)")


def as_bad_input(error: click.ClickException) -> BadInput:
    """The same error with field, value, what is allowed and what to do."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    command = context.command_path if context else "slipway"
    see = f"see `{command} --help`"
    match error:
        case click.NoSuchOption():
            known = _options(context)
            near = nearest(error.option_name, known)
            return BadInput("option", error.option_name, ", ".join(known), f"write {near}" if near else see)
        case click.BadOptionUsage() if "requires" in error.message:
            return BadInput(error.option_name, MISSING, "a value after it", f"write {error.option_name} VALUE")
        case click.BadOptionUsage():
            return BadInput(
                error.option_name, "a value", "the option alone, without a value", f"write {error.option_name}"
            )
        case click.MissingParameter():
            name = _name(error.param)
            return BadInput(name, MISSING, f"`{command}` needs {name}", see)
        case _:
            return _other(error, see)


def _other(error: click.ClickException, see: str) -> BadInput:
    """Whatever else click finds; an argument too many is the one that happens."""
    message = error.format_message()
    extra = _EXTRA.search(message)
    if extra is not None:
        return BadInput("argument", extra[1], "no further argument", f"take it out, or put it in quotes; {see}")
    return BadInput("command line", message.removesuffix("."), "what the help says", see)


def _options(context: click.Context | None) -> list[str]:
    if context is None:
        return []
    return [name for parameter in context.command.get_params(context) for name in parameter.opts if name[:2] == "--"]


def _name(parameter: click.Parameter | None) -> str:
    if parameter is None:
        return "command line"
    return parameter.opts[0] if isinstance(parameter, click.Option) else parameter.human_readable_name
