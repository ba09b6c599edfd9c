"""The `slipway` command. Each command imports what it needs when it runs, so that `slipway --help` is quick."""

from typing import NoReturn


def main() -> NoReturn:
    """Run the command line, and exit with its code."""
    from trainer.cli import application

    raise SystemExit(application.run())
