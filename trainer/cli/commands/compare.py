"""`slipway compare`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from trainer.cli import output
from trainer.cli.command import Command
from trainer.cli.parameters import Word, complete_run, find_run, json_option, store_option
from trainer.errors import BadInput, ExitCode

if TYPE_CHECKING:
    from trainer.evaluation.comparison import Comparison

BETTER, NOT_WORSE = "better", "not-worse"


@click.command(
    cls=Command,
    examples=(
        "slipway compare old new",
        "slipway compare old new newer --html comparison.html",
        "slipway compare old new --require better --json",
    ),
)
@click.argument("runs", nargs=-1, metavar="RUN RUN...", shell_complete=complete_run)
@click.option("--html", metavar="FILE", type=click.Path(), help="Write one page with intervals and profiles.")
@click.option(
    "--require",
    type=Word(BETTER, NOT_WORSE),
    metavar=f"[{BETTER}|{NOT_WORSE}]",
    help="Exit with 1 unless each further run is shown to be better than the first, or is not shown to be worse. "
    "Neither holds where nothing can be told, as of a single training run.",
)
@store_option
@json_option
def compare(runs: tuple[str, ...], html: str | None, require: str | None, store: str, as_json: bool) -> int:
    """Compare runs or groups of runs of the same task with the first one.

    Says of each whether it is better, how sure that is, and how many training seeds would tell. All must have been
    evaluated on the same held-out seeds.

    RUN is a run directory, or the id of a run or a group of runs in the store.
    """
    from trainer.evaluation import comparison, contenders
    from trainer.report import comparison_words as words
    from trainer.run import files

    page = _free(html) if html is not None else None
    match = contenders.read([find_run(run, store) for run in runs])
    found = comparison.compare(match)
    if page is not None:
        from trainer.report import comparison_page

        files.write(page, comparison_page.render(found).encode())
    verdicts = [words.verdict(each, match) for each in found.verdicts]
    if as_json:
        said = comparison.to_json(found)
        for each, text in zip(said["verdicts"], verdicts, strict=True):
            each["text"] = text
        output.print_json({**said, "html": str(page) if page else None})
    else:
        _print(found, verdicts)
        if page is not None:
            click.echo(f"Comparison: {page}")
    passing = {
        BETTER: {comparison.Finding.BETTER},
        NOT_WORSE: {comparison.Finding.BETTER, comparison.Finding.NO_DIFFERENCE},
    }
    holds = require is None or all(each.finding in passing[require] for each in found.verdicts)
    return ExitCode.DONE if holds else ExitCode.FAULT


def _print(found: "Comparison", verdicts: list[str]) -> None:
    from trainer.metrics import formatting
    from trainer.report import comparison_words as words

    rows = []
    for result in found.results:
        gap = "" if result.gap is None else formatting.percent(result.gap.value)
        runs = len(result.contender.scores)
        rows.append(
            (result.contender.name, runs, words.with_interval(result.mean), words.with_interval(result.iqm), gap)
        )
    output.print_table(("run", "training runs", f"mean {found.match.score['name']}", "IQM", "gap"), rows)
    click.echo("")
    for text in verdicts:
        click.echo(text)


def _free(html: str) -> Path:
    """Where the page goes.

    Raises:
        BadInput: if it could not be written.
    """
    path = Path(html)
    if path.is_dir() or not path.parent.is_dir():
        raise BadInput("--html", html, "a file in a folder that is there", "make the folder, or name another file")
    return path
