"""Click's errors about the command line, in the same words as every other bad input."""

import click

from trainer.errors import BadInput, nearest


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
        case click.BadOptionUsage():
            return BadInput(error.option_name, _without(error.message), "as the help says", see)
        case click.MissingParameter():
            name = _name(error.param)
            return BadInput(name, "nothing", f"`{command}` needs {name}", see)
        case click.BadParameter():
            return BadInput(_name(error.param), _without(error.message), "as the help says", see)
        case _:
            return BadInput("command line", _without(error.format_message()), f"what `{command} --help` says", see)


def _options(context: click.Context | None) -> list[str]:
    if context is None:
        return []
    return [name for parameter in context.command.get_params(context) for name in parameter.opts if name[:2] == "--"]


def _name(parameter: click.Parameter | None) -> str:
    if parameter is None:
        return "command line"
    return parameter.opts[0] if isinstance(parameter, click.Option) else parameter.human_readable_name


def _without(message: str) -> str:
    return message.removesuffix(".")
