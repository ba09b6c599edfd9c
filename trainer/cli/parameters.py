"""Arguments and options that several commands share, with their completion."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from trainer.errors import BadInput, nearest

F = TypeVar("F", bound=Callable[..., Any])

STORE_VARIABLE = "SLIPWAY_STORE"
DEFAULT_STORE = "runs"


class WholeNumber(click.ParamType[int]):
    """A whole number within bounds.

    Args:
        low: the least.
        high: the greatest.
    """

    name = "integer"

    def __init__(self, low: int, high: int) -> None:
        self.low, self.high = low, high

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number.

        Raises:
            BadInput: if it is none, or out of bounds.
        """
        del ctx
        try:
            number = int(str(value))
        except ValueError:
            number = self.low - 1
        if not self.low <= number <= self.high:
            field = param.opts[0] if param else "number"
            allowed = f"a whole number from {self.low} to {self.high}"
            raise BadInput(field, str(value), allowed, f"write {field} N with such a number")
        return number


class Number(click.ParamType[float]):
    """A number within bounds.

    Args:
        low: the least.
        high: the greatest.
    """

    name = "number"

    def __init__(self, low: float, high: float) -> None:
        self.low, self.high = low, high

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number.

        Raises:
            BadInput: if it is none, or out of bounds.
        """
        del ctx
        try:
            number = float(str(value))
        except ValueError:
            number = self.low - 1
        if not self.low <= number <= self.high:
            field = param.opts[0] if param else "number"
            allowed = f"a number from {self.low:g} to {self.high:g}"
            raise BadInput(field, str(value), allowed, f"write {field} with such a number")
        return number


class Word(click.ParamType[str]):
    """One of some words.

    Args:
        words: which.
    """

    name = "word"

    def __init__(self, *words: str) -> None:
        self.words = words

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The word.

        Raises:
            BadInput: if it is none of them.
        """
        del ctx
        if value not in self.words:
            field = (
                param.opts[0] if isinstance(param, click.Option) else str(param.name).upper() if param else "argument"
            )
            near = nearest(str(value), self.words)
            raise BadInput(field, value, " or ".join(self.words), f"write {near or self.words[0]}")
        return str(value)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """The words that begin so."""
        del ctx, param
        return _beginning(self.words, incomplete)


def json_option(function: F) -> F:
    """`--json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON on standard output, and nothing else.")(
        function
    )


def quiet_option(function: F) -> F:
    """`--quiet`."""
    return click.option("--quiet", "-q", is_flag=True, help="Show no progress.")(function)


def training_options(function: F) -> F:
    """`--set`, `--seed`, `--seeds`: how a run file is changed, and how many runs are trained of it."""
    return _all(
        function,
        click.option(
            "--set",
            "settings",
            multiple=True,
            metavar="KEY=VALUE",
            help="Set a key of the run file, by its dotted name and a YAML value. May be given often.",
        ),
        click.option("--seed", type=WholeNumber(0, (1 << 30) - 1), metavar="N", help="The training seed."),
        click.option(
            "--seeds",
            type=WholeNumber(1, 1000),
            default=1,
            metavar="N",
            help="Train N runs on consecutive seeds, and report across them.",
        ),
    )


def submission_options(function: F) -> F:
    """What is said of a run that a site's queue gets: `training_options`, `--run-id`, `--priority`."""
    return _all(
        function,
        training_options,
        click.option(
            "--run-id", metavar="ID", help="The run's id; one is made if left out. A run that is there goes on."
        ),
        click.option(
            "--priority",
            type=WholeNumber(-1000, 1000),
            default=0,
            show_default=True,
            metavar="N",
            help="Runs of a higher one come first.",
        ),
    )


def level_option(more: str = "") -> Callable[[F], F]:
    """`--level`, of lines of logs.

    Args:
        more: what else there is to say of it.
    """
    return click.option(
        "--level",
        type=Word("info", "notice", "warning", "error"),
        default="info",
        show_default=True,
        metavar="LEVEL",
        help=f"Show lines that matter at least so much{more}.",
    )


def _all(function: F, *options: Callable[[F], F]) -> F:
    """A function with options, in the order of the help."""
    for option in reversed(options):
        function = option(function)
    return function


def store_option(function: F) -> F:
    """`--store`, for commands that look runs up."""
    return click.option(
        "--store",
        default=DEFAULT_STORE,
        show_default=True,
        envvar=STORE_VARIABLE,
        show_envvar=True,
        metavar="URI",
        help="Where to look for run ids: a folder, s3://, gs:// or nas://.",
    )(function)


def run_argument(function: F) -> F:
    """RUN: a run directory, a run's address, or its id in the store."""
    return click.argument("run", shell_complete=complete_run)(function)


def find_run(run: str, store: str) -> Path:
    """A folder with a run or a group of runs, for those who read it; fetched first if the store is elsewhere.

    Args:
        run: its path, its address, or its id in the store.
        store: the store's URI.

    Raises:
        BadInput: if there is none.
    """
    from trainer.cli import transfer
    from trainer.run.located import locate

    at = locate(run, store)
    if not at.store.is_shared:
        return at.folder
    with transfer.shown(f"Fetching {at.run_id}") as received:
        return at.store.fetch(at.run_id, received)


def complete_run(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Ids of runs in the store, and folders."""
    import os

    from trainer.store import resolve

    del param
    store = ctx.params.get("store") or os.environ.get(STORE_VARIABLE, DEFAULT_STORE)
    found = _beginning(resolve(store).run_ids(), incomplete)
    return found or [CompletionItem(incomplete, type="dir")]


def complete_source(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Presets, environments and files: what `slipway train` takes."""
    from trainer.config import presets

    found = _beginning(presets.names(), incomplete) + complete_environment(ctx, param, incomplete)
    return found or [CompletionItem(incomplete, type="file")]


def complete_environment(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Ids of environments; Gymnasium's own once `gymnasium:` is written."""
    from envs import registry

    del ctx, param
    found = _beginning(registry.names(), incomplete)
    if not incomplete.startswith("gymnasium:"):
        return found + _beginning(["gymnasium:"], incomplete)
    import gymnasium

    return _beginning([f"gymnasium:{name}" for name in gymnasium.registry], incomplete)


def complete_preset(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of presets."""
    from trainer.config import presets

    del ctx, param
    return _beginning(presets.names(), incomplete)


def _beginning(words: Any, incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(word) for word in words if word.startswith(incomplete)]
