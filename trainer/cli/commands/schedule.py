"""`slipway schedule`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from trainer.cli import output
from trainer.cli.command import Command
from trainer.cli.parameters import Number, WholeNumber, complete_run, find_run, json_option, store_option
from trainer.errors import BadInput

if TYPE_CHECKING:
    from envs.jobshop.schedule import Instance

ENV_ID = "slipway/JobShop-v0"
MOST_SAMPLES = 1 << 16
SEEDS = 1 << 30


def complete_instance(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of instances that ship, and files."""
    from envs.jobshop import library

    del ctx, param
    found = [CompletionItem(name) for name in library.names() if name.startswith(incomplete)]
    return found or [CompletionItem(incomplete, type="file")]


@click.command(
    cls=Command,
    examples=(
        "slipway schedule my-run ta01",
        "slipway schedule my-run shop.txt other.txt --samples 64 --mirror --out schedules",
        "slipway schedule my-run ft10 la16 --samples 128 --json",
    ),
)
@click.argument("run", shell_complete=complete_run)
@click.argument("instances", nargs=-1, metavar="INSTANCE...", shell_complete=complete_instance)
@click.option(
    "--samples",
    type=WholeNumber(1, MOST_SAMPLES),
    default=1,
    show_default=True,
    metavar="N",
    help="Draw so many schedules and keep the shortest; 1: one schedule, of the most likely choices.",
)
@click.option(
    "--mirror",
    is_flag=True,
    help="Also schedule the work backwards from its end: one more schedule, or half of the samples.",
)
@click.option(
    "--seed", type=WholeNumber(0, SEEDS - 1), default=0, show_default=True, metavar="N", help="Of what is drawn."
)
@click.option(
    "--temperature",
    type=Number(0.01, 100),
    default=1.0,
    show_default=True,
    metavar="T",
    help="Of what is drawn: below 1 likely choices become likelier, above 1 less so.",
)
@click.option(
    "--delay",
    type=Number(0, 1),
    metavar="SHARE",
    help="How long a machine may wait (env.parameters.delay); as in the run if left out.",
)
@click.option("--out", metavar="FOLDER", help="Write each schedule there, as JSON, CSV and a Gantt chart in PNG.")
@store_option
@json_option
def schedule(
    run: str,
    instances: tuple[str, ...],
    samples: int,
    mirror: bool,
    seed: int,
    temperature: float,
    delay: float | None,
    out: str | None,
    store: str,
    as_json: bool,
) -> None:
    """Schedule job-shop instances with a run's policy.

    RUN is a run on slipway/JobShop-v0; one with permutation-equivariant networks fits instances of any size.
    INSTANCE is the name of one that ships, such as ta01, or a file in JSPLIB's format.
    """
    if mirror and samples > 1 and samples % 2:
        cure = f"write --samples {samples + 1}"
        raise BadInput("--samples", samples, "an even number, as --mirror takes half of them", cure)
    named = _instances(instances)
    folder = _free(out, [name for name, _ in named]) if out is not None else None
    from trainer.run import group
    from trainer.run.directory import RunDirectory

    found = find_run(run, store)
    if group.is_group(found):
        member = group.members(found)[0].run_id
        raise BadInput("RUN", run, "one run, not a group", f"name one of its runs, such as {member}")
    from trainer import backend

    backend.prepare()
    from trainer.evaluation import schedules

    dispatcher = schedules.Dispatcher.of_run(RunDirectory.open(found))
    plan = schedules.Plan(samples, mirror, seed, temperature, delay)
    made = [dispatcher.scheduled(name, work, plan) for name, work in named]
    said = [each.said() for each in made]
    if folder is not None:
        for each, row in zip(made, said, strict=True):
            row["files"] = each.write(folder)
    if as_json:
        output.print_json(said)
        return
    columns = ("instance", "size", "makespan", "lower bound", "best known", "gap")
    output.print_table(
        columns,
        (
            (
                each.name,
                f"{each.instance.jobs} x {each.instance.machine_count}",
                each.makespan,
                each.bound,
                each.best_known,
                "" if each.gap is None else f"{100 * each.gap:.1f} % over the {row['gap_to'].replace('_', ' ')}",
            )
            for each, row in zip(made, said, strict=True)
        ),
    )
    if folder is not None:
        click.echo(f"Schedules: {folder}")


def _instances(given: Sequence[str]) -> "list[tuple[str, Instance]]":
    """The instances, by the names that their files get.

    Raises:
        BadInput: if there are none, one is no instance, or two have the same name.
    """
    from envs import registry
    from envs.jobshop import library, model
    from envs.parameters import ParameterError
    from trainer.errors import MISSING, nearest

    if not given:
        raise BadInput("INSTANCE", MISSING, f"{', '.join(library.names())}, or a file", "name one after RUN")
    found: dict[str, Instance] = {}
    for one in given:
        try:
            work = model.fixed_instance(registry.check(ENV_ID, instance=one))
        except ParameterError as error:
            near = nearest(one, library.names())
            mend = "mend the file there" if error.value != one else "name a file that is there"
            raise BadInput("INSTANCE", error.value, error.allowed, f"write {near}" if near else mend) from None
        name = one if one in library.names() else Path(one).stem
        if work is None:
            raise BadInput("INSTANCE", one, f"{', '.join(library.names())}, or a file", "name one")
        if name in found or (name != one and name in library.names()):
            raise BadInput("INSTANCE", one, f"names that differ; {name} is taken", "rename the file")
        found[name] = work
    return list(found.items())


def _free(out: str, names: Sequence[str]) -> Path:
    """The folder for the files.

    Raises:
        BadInput: if it is a file, or has such files already.
    """
    folder = Path(out)
    if folder.exists() and not folder.is_dir():
        raise BadInput("--out", out, "a folder; this is a file", "name another")
    for name in names:
        for kind in ("json", "csv", "png"):
            if (folder / f"{name}.{kind}").exists():
                allowed = f"a folder without {name}.{kind}, which is not overwritten"
                raise BadInput("--out", out, allowed, "name another folder")
    return folder
