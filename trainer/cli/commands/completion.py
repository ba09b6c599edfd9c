"""`slipway completion`."""

import click

from trainer.cli.command import Command
from trainer.cli.parameters import Word

SHELLS = ("bash", "zsh", "fish")


@click.command(
    cls=Command,
    examples=(
        "slipway completion bash > ~/.local/share/bash-completion/completions/slipway",
        'slipway completion zsh > "${fpath[1]}/_slipway"',
        "slipway completion fish > ~/.config/fish/completions/slipway.fish",
    ),
)
@click.argument("shell", type=Word(*SHELLS), metavar="[bash|zsh|fish]")
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print a script that completes commands in your shell.

    It completes options, presets, environments and runs, too.
    """
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    if kind is None:
        raise AssertionError(f"click knows no {shell}")
    click.echo(kind(context.find_root().command, {}, "slipway", "_SLIPWAY_COMPLETE").source())
