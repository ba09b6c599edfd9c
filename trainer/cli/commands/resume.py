"""`slipway resume`."""

import click

from trainer.cli import output
from trainer.cli.command import Command
from trainer.cli.parameters import find_run, json_option, quiet_option, run_argument, store_option


@click.command(
    cls=Command,
    examples=(
        "slipway resume lostsales-ppo-20261124-101500-3fa91c",
        "slipway resume /mnt/nas/runs/my-run --json",
    ),
)
@run_argument
@store_option
@json_option
@quiet_option
def resume(run: str, store: str, as_json: bool, quiet: bool) -> int:
    """Go on with a stopped run, exactly where its checkpoint is.

    The newest checkpoint that is whole counts, however the run ended.

    RUN is a run directory, or the id of a run or a group of runs in the store.
    """
    from trainer.run import resumable

    folder = find_run(run, store)
    resumable.check(folder)
    from trainer import progress, session

    outcome = session.resume(folder, progress=progress.make(silent=quiet or as_json))
    return output.finish(outcome, as_json, quiet)
