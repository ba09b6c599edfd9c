"""`slipway runs`."""

import click

from trainer.cli import output
from trainer.cli.command import Group
from trainer.cli.parameters import find_run, json_option, run_argument, store_option


@click.group(
    cls=Group,
    examples=(
        "slipway runs list",
        "slipway runs show my-run",
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
    found = [summary.of(folder, lock_tells=not place.is_shared) for folder in each(place.glance, place.run_ids())]
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
        click.echo(f"No runs in {store} yet: `slipway train lost-sales-ppo` makes one.", err=True)


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


def _shown(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
