"""`slipway report`."""

import click

from trainer.cli import output
from trainer.cli.command import Command
from trainer.cli.parameters import json_option, run_argument, store_option
from trainer.errors import ExitCode


@click.command(
    cls=Command,
    examples=(
        "slipway report my-run",
        "slipway report runs/my-run --json",
    ),
)
@run_argument
@store_option
@json_option
def report(run: str, store: str, as_json: bool) -> int:
    """Write a run's report.html anew.

    One page that needs no network: curves, evaluation, policy, run file, provenance.

    RUN is a run directory, an address (s3://BUCKET/PREFIX/RUN), or the id of a run or a group of runs in the store.
    """
    from trainer.run import group
    from trainer.run.located import locate

    at = locate(run, store)
    group.runs_of(at.store.glance(at.run_id))  # refuses another version's before anything is written
    from trainer import progress, session

    output.finish(session.report(at, progress=progress.make(silent=as_json)), as_json, quiet=False)
    return ExitCode.DONE  # the page is there, however far the run has come
