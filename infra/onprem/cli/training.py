"""`slipway onprem run`."""

import json
import tempfile
import time
from typing import TYPE_CHECKING, Any

import click

from infra.onprem.cli.options import Chosen, Patience, open_site, say, site_options
from trainer.cli import person
from trainer.cli.command import Command
from trainer.cli.parameters import complete_source, json_option, quiet_option, submission_options
from trainer.errors import MISSING, BadInput, ExitCode, SlipwayError
from trainer.queue.states import ENDED_BY, ENDS

if TYPE_CHECKING:
    from infra.onprem.site import Site

WATCH_SECONDS = 10.0
ABSENT_LOOKS = 30
"""How often a run is looked for that the queue does not have: a trainer may see another's a minute late."""
SUBMIT = "Submit it"
"""The task of `ansible/run.yml` that puts the run into the queue."""
EXIT_CODES = {str(state): code for code, state in ENDED_BY.items()}
"""Exit codes for how an entry of the queue may end; any other end is a fault."""


@click.command(
    cls=Command,
    examples=(
        "slipway onprem run lost-sales-ppo --inventory site",
        "slipway onprem run run.yaml -i site --set agent.learning_rate=3e-4 --run-id mine --watch",
        "slipway onprem run -i site --run-id mine --watch",
        "slipway onprem run run.yaml -i site --seeds 5 --gpu",
    ),
)
@click.argument("runfile", required=False, metavar="[RUNFILE|PRESET|ENV_ID]", shell_complete=complete_source)
@site_options
@submission_options
@click.option("--gpu", is_flag=True, help="Only a host with a GPU takes it.")
@click.option("--watch", is_flag=True, help="Follow it to its end; Ctrl-C leaves it training.")
@json_option
@quiet_option
def run(
    runfile: str | None,
    chosen: Chosen,
    settings: tuple[str, ...],
    seed: int | None,
    seeds: int,
    run_id: str | None,
    priority: int,
    gpu: bool,
    watch: bool,
    as_json: bool,
    quiet: bool,
) -> int:
    """Put a run into the site's queue; a trainer that is free takes it, and results are on the NAS.

    All that is wrong with the run file is said here, before anything is sent. With --watch the exit code is the run's;
    while the site is not reached it is looked for again. --watch and --run-id without a run file follow a run that is
    in the queue already. With --json each line is a JSON object.
    """
    from trainer.config import check, load, source
    from trainer.run import group, ids

    # Progress of a short playbook is no use to a script.
    quiet = quiet or as_json
    if runfile is None and watch and run_id is not None:
        site = open_site(chosen, as_json=False, quiet=quiet)
        return _watch(site, _find(site, run_id), as_json)
    if runfile is None:
        allowed = "a run file, a preset or an environment; or --watch and --run-id, to follow a run that is queued"
        raise BadInput("RUNFILE", MISSING, allowed, "name one: `slipway presets list` has some")
    run_file = source.run_file(runfile, settings, seed)
    group.with_seeds(run_file, seeds)
    check.check(run_file)
    # It has a name before it is sent: sent a second time, after an answer that was lost, it is refused.
    name = ids.check(run_id) if run_id is not None else ids.new(run_file)
    site = open_site(chosen, as_json=False, quiet=quiet)
    given = {"run_id": name, "run_seeds": seeds, "run_priority": priority, "run_gpu": gpu}
    entry = _submit(site, load.dump(run_file), given)
    if watch:
        return _watch(site, entry, as_json)
    if as_json:
        _print(entry)
    else:
        click.echo(f"{name} is queued. Watch it: slipway onprem run -i {chosen.inventory} --run-id {name} --watch")
    return ExitCode.DONE


def _submit(site: "Site", text: str, given: dict[str, Any]) -> dict[str, Any]:
    """Submit on a trainer; the queue's entry.

    Raises:
        Unfit: if the queue refuses it.
        SlipwayError: if no trainer is reached, or its queue is not.
    """
    from infra.onprem import site as sites
    from infra.onprem.playbooks import GPU

    name = given["run_id"]
    unsure = f"{name} may be in the queue all the same: `slipway onprem status` shows it"
    with tempfile.NamedTemporaryFile("w", prefix="slipway-run-", suffix=".yaml", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        variables = {**given, "run_file": file.name, "run_by": person.at_host()}
        try:
            result = sites.tell(site, "run", title=f"submitting to {site.name}", variables=variables)
        except KeyboardInterrupt:
            say(unsure)
            raise
    if not result.told:
        is_sent = any(each.task == SUBMIT for each in result.problems)
        sites.insist(site, result, "run", unsure if is_sent else sites.UNCHANGED)
        raise sites.Unfit(f"{site.name}: no host of group {GPU} is left to submit on\n  fix:     mend --limit")
    host, _, told = result.told[-1]
    if int(told["code"]):
        kind = sites.Unfit if int(told["code"]) == ExitCode.BAD_INPUT else SlipwayError
        raise kind(f"{host} refuses the run: {str(told['said']).strip().removeprefix('slipway: ')}")
    entry: dict[str, Any] = _loaded(told["entry"])
    return entry


def _find(site: "Site", run_id: str) -> dict[str, Any]:
    """The newest entry of a run.

    Raises:
        BadInput: if the queue has none.
        SlipwayError: if the queue is not known.
    """
    from infra.onprem import state

    rows = state.queue(site).rows
    for row in rows:
        if row["run_id"] == run_id:
            return dict(row)
    known = ", ".join(dict.fromkeys(str(row["run_id"]) for row in rows)) or "none yet"
    raise BadInput("--run-id", run_id, f"a run that the queue has: {known}", "see `slipway onprem status`")


def _watch(site: "Site", entry: dict[str, Any], as_json: bool) -> int:
    """Follow an entry to its end; its exit code. The queue may have older ones of the same run.

    Raises:
        SlipwayError: if it vanishes from the queue.
    """
    from infra.onprem import state

    same = ("run_id", "submitted_at")
    patience = Patience(lambda text: _print({"message": text}, "trouble") if as_json else say(text))
    seen, absent = None, 0
    while absent < ABSENT_LOOKS:
        try:
            rows = state.queue(site).rows
        except SlipwayError as error:
            patience(error)
        else:
            patience.over()
            found = next((row for row in rows if all(row[name] == entry[name] for name in same)), None)
            absent = absent + 1 if found is None else 0
            shown = None if found is None else (found["state"], found["host"], found["message"])
            if found is not None and shown != seen:
                seen = shown
                if as_json:
                    _print(dict(found))
                else:
                    where = f" on {found['host']}, slot {found['slot']}" if found["host"] else ""
                    words = f"{found['since']} {found['run_id']}: {found['state']}{where} {found['message']}"
                    say(words.rstrip())
                if found["state"] in ENDS:
                    return EXIT_CODES.get(found["state"], ExitCode.FAULT)
        time.sleep(WATCH_SECONDS)
    raise SlipwayError(f"{entry['run_id']} is not in the queue of {site.name} any more: somebody has removed it")


def _print(said: dict[str, Any], event: str = "run") -> None:
    click.echo(json.dumps({"event": event, **said}))


def _loaded(value: Any) -> Any:
    """What a task told as JSON: Ansible may have made data of it already."""
    return json.loads(value) if isinstance(value, str) else value
