"""`slipway runs`."""

import dataclasses
import json
from pathlib import Path

import click

from trainer.cli import output
from trainer.cli.command import Group
from trainer.cli.parameters import (
    DEFAULT_STORE,
    WholeNumber,
    json_option,
    level_option,
    quiet_option,
    run_argument,
    store_option,
)
from trainer.errors import ExitCode


@click.group(
    cls=Group,
    examples=(
        "slipway runs list",
        "slipway runs show my-run",
        "slipway runs logs my-run",
        "slipway runs pull s3://bucket/runs/my-run",
        "slipway runs push my-run gs://bucket/runs",
        "slipway runs verify s3://bucket/runs/my-run",
    ),
)
def runs() -> None:
    """Runs in a store."""


@runs.command(
    "list",
    examples=(
        "slipway runs list",
        "slipway runs list --store /mnt/nas/runs --json",
    ),
)
@store_option
@json_option
def list_(store: str, as_json: bool) -> None:
    """List the runs of a store, the newest first."""
    from trainer.metrics import formatting
    from trainer.run import summary
    from trainer.store import resolve
    from trainer.store.parallel import each

    place = resolve(store)
    found = each(lambda run_id: summary.at(place, run_id), place.run_ids())
    found.sort(key=lambda item: str(item["updated_at"] or ""), reverse=True)
    if as_json:
        output.print_json(found)
        return
    rows = []
    for item in found:
        gap, done, score = item["optimality_gap_ratio"], item["done_ratio"], item["score"]
        rows.append(
            (
                item["run_id"],
                item["state"],
                item["env_id"],
                "" if done is None else f"{100 * done:.0f} %",
                "" if score is None else formatting.number(score),
                "" if gap is None else formatting.percent(gap),
                item["updated_at"],
            )
        )
    output.print_table(("run", "state", "environment", "done", "score", "gap", "updated"), rows)
    if not found:
        there = "" if store == DEFAULT_STORE else f" --store {store}"
        click.echo(f"No runs in {store} yet: `slipway train lost-sales-ppo{there}` makes one.", err=True)


@runs.command(
    examples=(
        "slipway runs show my-run",
        "slipway runs show runs/my-run --json",
    ),
)
@run_argument
@store_option
@json_option
def show(run: str, store: str, as_json: bool) -> None:
    """Show one run: state, progress, result, files.

    RUN is a run directory, an address (s3://BUCKET/PREFIX/RUN), or the id of a run or a group of runs in the store.
    """
    from trainer.run import summary
    from trainer.run.located import locate

    at = locate(run, store)
    found = summary.of(at.store.glance(at.run_id), detailed=True, lock_tells=not at.store.is_shared)
    if at.store.is_shared:
        found["folder"] = at.shown
    if as_json:
        output.print_json(found)
    else:
        rows = [(key.replace("_", " "), _shown(value)) for key, value in found.items() if value not in (None, "", [])]
        output.print_table(("", ""), rows)


@runs.command(
    examples=(
        "slipway runs logs my-run",
        "slipway runs logs s3://bucket/runs/my-run --level warning",
        "slipway runs logs my-run --lines 20 --json",
        "slipway runs logs s3://bucket/runs/my-run --follow",
    ),
)
@run_argument
@level_option()
@click.option("--lines", type=WholeNumber(1, 1_000_000), metavar="N", help="Only the last N lines.")
@click.option("--follow", is_flag=True, help="Go on with what the run says, until it is over; Ctrl-C ends it.")
@store_option
@json_option
def logs(run: str, level: str, lines: int | None, follow: bool, store: str, as_json: bool) -> None:
    """Show what a run said: states, checkpoints, figures now and then, and whatever went wrong.

    Of a run in a bucket that is what it had said at its last commit. A group's runs are shown together. With --follow
    and --json each line is a JSON object; a run that was preempted is waited for.

    RUN is a run directory, an address (s3://BUCKET/PREFIX/RUN), or the id of a run or a group of runs in the store.
    """
    from trainer.logs import following, reading
    from trainer.logs.lines import Severity
    from trainer.run import group
    from trainer.run.located import locate

    at = locate(run, store)
    folder = at.store.glance(at.run_id)
    paths = [f"{member.folder.name}/" for member in group.members(folder)] if group.is_group(folder) else [""]

    def read(path: str) -> bytes:
        return at.store.read_file(at.run_id, path)

    least = Severity(level.upper())
    found = following.lines(read, paths, least)
    known, shown = found[:-lines] if lines else [], found[-lines:] if lines else found
    if as_json and not follow:
        output.print_json(shown)
        return
    seconds = following.SHARED_SECONDS if at.store.is_shared else following.LOCAL_SECONDS
    for line in following.follow(read, paths, least, seconds, known=known) if follow else shown:
        click.echo(json.dumps(line) if as_json else reading.words(line))


@runs.command(
    examples=(
        "slipway runs pull s3://bucket/runs/my-run",
        "slipway runs pull my-run copy --store gs://bucket/runs",
    ),
)
@run_argument
@click.argument("folder", required=False)
@store_option
@json_option
@quiet_option
def pull(run: str, folder: str | None, store: str, as_json: bool, quiet: bool) -> None:
    """Make a run directory here of a run in a store.

    FOLDER is the new run directory; runs/ID if left out. The run in the store stays, and nobody is kept from going on
    with it there.

    RUN is an address (s3://BUCKET/PREFIX/RUN), or the id of a run or a group of runs in the store.
    """
    from trainer.cli import transfer
    from trainer.run.located import locate

    at = locate(run, store)
    target = Path(folder) if folder is not None else Path(DEFAULT_STORE) / at.run_id
    with transfer.shown(f"Pulling {at.run_id}", silent=quiet or as_json) as received:
        at.store.pull(at.run_id, target, received)
    if as_json:
        output.print_json({"run": at.shown, "folder": str(target)})
    else:
        click.echo(f"{at.shown} is in {target}.")


@runs.command(
    examples=(
        "slipway runs push runs/my-run s3://bucket/runs",
        "slipway runs push my-run gs://bucket/runs --json",
    ),
)
@run_argument
@click.argument("to", metavar="STORE")
@store_option
@json_option
@quiet_option
def push(run: str, to: str, store: str, as_json: bool, quiet: bool) -> None:
    """Copy a run into another store.

    The copy has the same id, and `slipway resume` goes on with it there. What was stays.

    RUN is a run directory, an address (s3://BUCKET/PREFIX/RUN), or the id of a run or a group of runs in the store.
    STORE is a folder, s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, or nas:// and an absolute path.
    """
    from trainer.cli import transfer
    from trainer.run import group
    from trainer.run.located import Located, locate
    from trainer.store import resolve

    at = locate(run, store)
    key = group.runs_of(at.store.glance(at.run_id))[0].run_file().store_encryption_key
    place = resolve(to, key if to.startswith(("s3://", "gs://")) else None)
    place.check_writable()
    place.check_free(at.run_id)
    with transfer.shown(f"Fetching {at.run_id}", silent=quiet or as_json) as received:
        folder = at.store.fetch(at.run_id, received)
    with transfer.shown(f"Pushing {at.run_id}", silent=quiet or as_json) as sent:
        place.push(at.run_id, folder, sent)
    copy = Located(place, at.run_id)
    if as_json:
        output.print_json({"run": at.shown, "copy": copy.shown})
    else:
        click.echo(f"{at.shown} is in {copy.shown} too.")


@runs.command(
    examples=(
        "slipway runs verify my-run",
        "slipway runs verify s3://bucket/runs/my-run --json",
    ),
)
@run_argument
@store_option
@json_option
def verify(run: str, store: str, as_json: bool) -> int:
    """Read all of a run, and compare it with its checksums.

    In a bucket that is every file; in a folder its checkpoints. The exit code is 1 if something is missing or damaged.

    RUN is a run directory, an address (s3://BUCKET/PREFIX/RUN), or the id of a run or a group of runs in the store.
    """
    from trainer.run.located import locate

    at = locate(run, store)
    found = at.store.verify(at.run_id)
    if as_json:
        output.print_json({"run": at.shown, "whole": found.whole, **dataclasses.asdict(found)})
    else:
        for kind in ("missing", "wrong"):
            for line in getattr(found, kind):
                click.echo(f"{kind}: {line}")
        if found.orphaned:
            click.echo(f"{len(found.orphaned)} objects belong to no entry; the next holder removes them.")
        click.echo(
            f"{at.shown}: {found.files} files, {found.bytes:,} bytes, {'whole' if found.whole else 'NOT whole'}."
        )
    return ExitCode.DONE if found.whole else ExitCode.FAULT


def _shown(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
