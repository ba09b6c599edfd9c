"""`slipway resume`."""

import click

from trainer.cli import output
from trainer.cli.command import Command
from trainer.cli.parameters import json_option, quiet_option, run_argument, store_option


@click.command(
    cls=Command,
    examples=(
        "slipway resume lostsales-ppo-20261124-101500-3fa91c",
        "slipway resume /mnt/nas/runs/my-run --json",
        "slipway resume s3://bucket/runs/my-run",
    ),
)
@run_argument
@store_option
@click.option(
    "--take-over",
    is_flag=True,
    help="Do not wait for a sign of life from the machine that held the run last: it is known to be gone.",
)
@json_option
@quiet_option
def resume(run: str, store: str, take_over: bool, as_json: bool, quiet: bool) -> int:
    """Go on with a stopped run, exactly where its checkpoint is.

    The newest checkpoint that is whole counts, however the run ended. Any machine can go on with a run that lives in a
    bucket; a machine that wakes up after that writes nothing more to it.

    RUN is a run directory, an address (s3://BUCKET/PREFIX/RUN), or the id of a run or a group of runs in the store.
    """
    from trainer import progress, session
    from trainer.run.located import locate

    at = locate(run, store)

    outcome = session.resume(at, take_over=take_over, progress=progress.make(silent=quiet or as_json))
    return output.finish(outcome, as_json, quiet)
