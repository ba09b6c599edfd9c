"""`slipway evaluate`."""

import click

from trainer.cli import output
from trainer.cli.command import Command
from trainer.cli.parameters import WholeNumber, json_option, quiet_option, run_argument, store_option
from trainer.errors import ExitCode


@click.command(
    cls=Command,
    examples=(
        "slipway evaluate my-run",
        "slipway evaluate my-run --seeds 100 --episodes 10 --json",
    ),
)
@run_argument
@click.option(
    "--seeds", type=WholeNumber(2, 10_000), metavar="N", help="Held-out seeds; the run file's number if left out."
)
@click.option(
    "--episodes",
    type=WholeNumber(1, 100_000),
    metavar="N",
    help="Episodes on each seed; the run file's number if left out.",
)
@store_option
@json_option
@quiet_option
def evaluate(run: str, seeds: int | None, episodes: int | None, store: str, as_json: bool, quiet: bool) -> int:
    """Measure a run's policy on held-out seeds.

    The newest checkpoint's policy is measured beside the environment's baselines and its optimum.

    RUN is a run directory, an address (s3://BUCKET/PREFIX/RUN), or the id of a run or a group of runs in the store.
    """
    from trainer.run import group
    from trainer.run.located import locate

    at = locate(run, store)
    group.runs_of(at.store.glance(at.run_id))  # refuses another version's before anything is written
    from trainer import progress, session

    shown = progress.make(silent=quiet or as_json)
    outcome = session.evaluate(at, seeds=seeds, episodes_per_seed=episodes, progress=shown)
    output.finish(outcome, as_json, quiet)
    return ExitCode.DONE  # the policy is measured, however far the run has come
