"""`slipway train`."""

from typing import TYPE_CHECKING

import click

from trainer.cli import output
from trainer.cli.command import Command
from trainer.cli.parameters import (
    STORE_VARIABLE,
    complete_source,
    json_option,
    quiet_option,
    training_options,
)
from trainer.errors import ExitCode

if TYPE_CHECKING:
    from trainer.run.located import Located


@click.command(
    cls=Command,
    examples=(
        "slipway train lost-sales-ppo",
        "slipway train run.yaml --set agent.learning_rate=3e-4 --seed 7",
        "slipway train gymnasium:Pendulum-v1 --set budget.env_steps=200_000",
        "slipway train slipway/CartPole-v1 --seeds 5 --store s3://bucket/runs",
    ),
)
@click.argument("runfile", required=False, metavar="[RUNFILE|PRESET|ENV_ID]", shell_complete=complete_source)
@training_options
@click.option(
    "--store",
    envvar=STORE_VARIABLE,
    show_envvar=True,
    metavar="URI",
    help="Where the run is kept: a folder, s3://, gs:// or nas://.",
)
@click.option("--run-id", metavar="ID", help="The run's id; one is made if left out.")
@click.option("--or-resume", is_flag=True, help="Go on with the run of this --run-id if the store has it already.")
@click.option("--dry-run", is_flag=True, help="Check everything, print the resolved run file, and write nothing.")
@json_option
@quiet_option
def train(
    runfile: str | None,
    settings: tuple[str, ...],
    seed: int | None,
    seeds: int,
    store: str | None,
    run_id: str | None,
    or_resume: bool,
    dry_run: bool,
    as_json: bool,
    quiet: bool,
) -> int:
    """Train an agent; evaluate, export and report it.

    Takes a run file in YAML, the name of a preset, or the id of an environment, which gets its preset.
    Ctrl-C or SIGTERM saves a checkpoint and stops; `slipway resume` goes on exactly there. With --or-resume the same
    command does both, and nothing more once the run is finished; while another machine or process holds the run it ends
    with exit code 75, to be tried again.
    """
    from trainer.config import check, load, source
    from trainer.run import existing, group, ids
    from trainer.store import resolve

    # All this is refused before TensorFlow is imported where it can be, so that a mistake shows at once.
    run_file = source.run_file(runfile, settings, seed, store)
    group.with_seeds(run_file, seeds)
    place = resolve(run_file.store, run_file.store_encryption_key)
    if or_resume and not dry_run and (at := existing.find(place, run_id, run_file, seeds)):
        return _go_on(at, as_json, quiet)
    place.check_writable()
    if run_id is not None:
        place.check_free(ids.check(run_id))
    check.check(run_file)
    if dry_run:
        if as_json:
            output.print_json(run_file.model_dump(mode="json"))
        else:
            click.echo(load.dump(run_file), nl=False)
        return 0
    from trainer import progress, session

    shown = progress.make(silent=quiet or as_json)
    outcome = session.train(run_file, run_id=run_id, training_seeds=seeds, progress=shown)
    return output.finish(outcome, as_json, quiet)


def _go_on(at: "Located", as_json: bool, quiet: bool) -> int:
    """Resume a run, unless it is finished."""
    from trainer.run import existing
    from trainer.store.told import Told

    if existing.is_finished(at):
        at.store.settle(at.run_id, Told())
        if as_json:
            output.print_json({"run": at.shown, "state": "finished"})
        else:
            click.echo(f"{at.run_id} is finished already.")
        return 0
    from trainer import progress, session
    from trainer.run.directory import Locked
    from trainer.store.lease import Held

    try:
        outcome = session.resume(at, progress=progress.make(silent=quiet or as_json))
    except (Held, Locked) as held:
        # Who held it last has not gone yet: a service tries again, and nothing is over.
        click.echo(f"slipway: {held}", err=True)
        return ExitCode.PREEMPTED
    return output.finish(outcome, as_json, quiet)
