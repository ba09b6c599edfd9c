"""The root command, and what becomes of errors."""

import functools
import importlib.metadata
import importlib.util
import os
import sys
from collections.abc import Mapping, Sequence

import click

from trainer.cli.command import LazyGroup
from trainer.cli.usage import as_bad_input
from trainer.errors import ExitCode, SlipwayError

COMMANDS = {
    "train": "trainer.cli.commands.train:train",
    "resume": "trainer.cli.commands.resume:resume",
    "evaluate": "trainer.cli.commands.evaluate:evaluate",
    "compare": "trainer.cli.commands.compare:compare",
    "schedule": "trainer.cli.commands.schedule:schedule",
    "tune": "trainer.cli.commands.tune:tune",
    "simulate": "trainer.cli.commands.simulate:simulate",
    "report": "trainer.cli.commands.report:report",
    "runs": "trainer.cli.commands.runs:runs",
    "bundle": "trainer.cli.commands.bundle:bundle",
    "node": "trainer.cli.commands.node:node",
    "envs": "trainer.cli.commands.envs:envs",
    "presets": "trainer.cli.commands.presets:presets",
    "schema": "trainer.cli.commands.schema:schema",
    "doctor": "trainer.cli.commands.doctor:doctor",
    "completion": "trainer.cli.commands.completion:completion",
}
"""The trainer's commands in the order of the help, and where each is."""
LAST = ("presets", "schema", "doctor", "completion")
"""What comes after the commands of other packages."""

EXTENSIONS = "slipway.commands"
"""The entry points of slipway's own distribution that name commands of packages above this one."""

INTERRUPTED = 130
"""What a shell expects of a program that Ctrl-C ended: 128 + SIGINT."""

DEBUG = "SLIPWAY_DEBUG"


@functools.cache
def commands() -> Mapping[str, str]:
    """All commands: those of the trainer, and what this installation has besides."""
    try:
        found = importlib.metadata.distribution("slipway").entry_points.select(group=EXTENSIONS)
    except importlib.metadata.PackageNotFoundError:
        return COMMANDS
    there = {each.name: each.value for each in found if importlib.util.find_spec(each.module.partition(".")[0])}
    last = {name: COMMANDS[name] for name in LAST}
    return {name: where for name, where in {**COMMANDS, **there}.items() if name not in last} | last


def _version(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    del parameter
    if value and not context.resilient_parsing:
        from importlib.metadata import version

        click.echo(f"slipway {version('slipway')}")
        context.exit()


@click.command(
    cls=LazyGroup,
    where=commands,
    name="slipway",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 done, 1 fault, 2 bad input, 3 stopped by budget, 75 preempted (`slipway resume` goes on).",
    examples=(
        "slipway train lost-sales-ppo",
        "slipway train slipway/CartPole-v1 --seeds 5",
        "slipway runs list",
    ),
)
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Print the version."
)
def slipway() -> None:
    """Train reinforcement-learning agents, and measure, export and report them."""


def run(arguments: Sequence[str] | None = None) -> int:
    """Run a command line; every error becomes one message on standard error and an exit code.

    Args:
        arguments: those after the program's name; None takes the process's own.

    Returns:
        The exit code.
    """
    try:
        code = slipway.main(args=arguments, prog_name="slipway", standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.Exit as stop:
        return int(stop.exit_code)
    except (KeyboardInterrupt, click.exceptions.Abort):
        return _fail("interrupted", INTERRUPTED)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.ctx.get_help() if error.ctx else "")
    except click.ClickException as error:
        return _fail(str(as_bad_input(error)), ExitCode.BAD_INPUT)
    except SlipwayError as error:
        _debug()
        return _fail(str(error), error.exit_code)
    except BrokenPipeError:
        # The reader went away (`slipway runs list | head`): nobody is left to tell, and Python would at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.FAULT
    except Exception as error:
        _debug()
        reason = " ".join(str(error).split()) or "no message"
        return _fail(
            f"slipway failed unexpectedly: {type(error).__name__}: {reason}\n"
            f"  this is a fault of slipway; {DEBUG}=1 shows where it happened",
            ExitCode.FAULT,
        )
    else:
        return code if isinstance(code, int) else ExitCode.DONE
    return ExitCode.DONE


def _fail(message: str, code: int) -> int:
    click.echo(f"slipway: {message}", err=True)
    return code


def _debug() -> None:
    """Let the error through, with its traceback, if that was asked for."""
    if os.environ.get(DEBUG, "") not in ("", "0"):
        raise
