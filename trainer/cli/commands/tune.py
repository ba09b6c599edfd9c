"""`slipway tune`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from trainer.cli import output
from trainer.cli.command import Command
from trainer.cli.parameters import STORE_VARIABLE, WholeNumber, Word, complete_source, json_option, quiet_option
from trainer.errors import BadInput
from trainer.tuning.pruning import PRUNERS

if TYPE_CHECKING:
    from trainer.tuning.study import Settings


@click.command(
    cls=Command,
    examples=(
        "slipway tune slipway/CartPole-v1 --trials 50 --workers 2",
        "slipway tune run.yaml --space space.yaml --trials 100 --study wide",
        "slipway tune run.yaml --space agent.learning_rate='{low: 1e-5, high: 1e-2, log: true}'",
        "slipway tune runs/wide --trials 200",
    ),
)
@click.argument("runfile", shell_complete=complete_source)
@click.option(
    "--space",
    "space",
    multiple=True,
    metavar="FILE|KEY=RANGE",
    help="What varies: a YAML file, or one key with a range or a list of values; repeatable. Left out: the space that "
    "ships for the run file's algorithm.",
)
@click.option("--trials", type=WholeNumber(1, 100_000), default=20, show_default=True, help="Trials in all.")
@click.option("--workers", type=WholeNumber(1, 1024), default=1, show_default=True, help="Trials at the same time.")
@click.option("--study", "name", metavar="NAME", help="The study's name in the store; it goes on if it is there.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Set a key of the run file; repeatable.")
@click.option("--seed", type=WholeNumber(0, (1 << 30) - 1), default=0, show_default=True, help="Of the search.")
@click.option(
    "--pruner",
    type=Word(*PRUNERS),
    default=PRUNERS[0],
    show_default=True,
    metavar=f"[{'|'.join(PRUNERS)}]",
    help="Which trials end early: those below the median of others, or those that successive halving leaves behind.",
)
@click.option(
    "--parts",
    type=WholeNumber(1, 1000),
    help="How often a trial's score is looked at, the last time at its end (10, or each iteration if there are fewer).",
)
@click.option("--store", metavar="URI", envvar=STORE_VARIABLE, show_envvar=True, help="Where studies are kept.")
@json_option
@quiet_option
@click.pass_context
def tune(
    context: click.Context,
    runfile: str,
    space: tuple[str, ...],
    trials: int,
    workers: int,
    name: str | None,
    settings: tuple[str, ...],
    seed: int,
    pruner: str,
    parts: int | None,
    store: str | None,
    as_json: bool,
    quiet: bool,
) -> int:
    """Search for better hyperparameters.

    Takes what `slipway train` takes, and trains it many times with other values, drawn by Optuna's TPE from those that
    did well. Trials that fall behind end early. Scores come from episodes that neither trainings nor evaluations take.

    RUNFILE may also be a study's folder: it goes on, until it has as many trials as --trials says.
    Ctrl-C or SIGTERM stops; trials that were being trained go on from their checkpoints then.
    """
    from trainer.tuning import study

    folder, wished = Path(runfile), None
    if study.is_study(folder):
        given = [
            option for option in ("space", "settings", "seed", "pruner", "parts", "name") if _is_given(context, option)
        ]
        if given:
            option = {"settings": "--set", "name": "--study"}.get(given[0], f"--{given[0]}")
            value = context.params[given[0]]
            shown = ", ".join(value) if isinstance(value, tuple) else value
            raise BadInput(option, shown, f"nothing, as {folder} is a study that has its own", f"leave {option} out")
    else:
        folder, wished = _new(runfile, settings, store, name, space, seed, pruner, parts)
    from trainer.tuning import session

    came = session.tune(folder, wished, trials=trials, workers=workers, silent=quiet or as_json)
    return output.finish(came, as_json, quiet)


def _new(
    runfile: str,
    settings: tuple[str, ...],
    store: str | None,
    name: str | None,
    space: tuple[str, ...],
    seed: int,
    pruner: str,
    parts: int | None,
) -> "tuple[Path, Settings]":
    """The folder and the settings of a study that a run file begins, or goes on with by its name.

    Raises:
        BadInput: for everything that is wrong with what was given; nothing has been written.
    """
    from trainer.config import check, source
    from trainer.run import ids
    from trainer.run.directory import check_free
    from trainer.store import resolve
    from trainer.tuning import session, study
    from trainer.tuning import space as spaces

    run_file = source.run_file(runfile, settings, None, store)
    found = spaces.parse(space, run_file) if space else spaces.default(run_file)
    wished = session.settings_of(run_file, found, seed, pruner, parts)
    place = resolve(run_file.store)
    if place.is_shared:
        allowed = "a folder of this machine, as a study is a database there"
        raise BadInput("store", run_file.store, allowed, "give a folder with --store, and push the best run later")
    folder = place.folder(ids.check(name) if name is not None else f"tune-{ids.new(run_file)}")
    if study.is_study(folder):
        study.check_same(folder, wished)
        return folder, wished
    check_free(folder)
    place.check_writable()
    check.check(run_file)
    return folder, wished


def _is_given(context: click.Context, parameter: str) -> bool:
    from click.core import ParameterSource

    return context.get_parameter_source(parameter) is ParameterSource.COMMANDLINE
