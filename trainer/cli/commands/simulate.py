"""`slipway simulate`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trainer.cli import output
from trainer.cli.command import Command
from trainer.cli.parameters import (
    WholeNumber,
    Word,
    complete_environment,
    find_run,
    json_option,
    quiet_option,
    store_option,
)
from trainer.errors import BadInput

if TYPE_CHECKING:
    from trainer.config.models import RunFile
    from trainer.run.directory import RunDirectory

HELD_OUT, TRAINING = "held-out", "training"
SEEDS = 1 << 30
MOST_EPISODES = 1_000_000
PARAMETERS = "env.parameters."


@click.command(
    cls=Command,
    examples=(
        "slipway simulate slipway/LostSales-v0 --policy capped-base-stock --episodes 100",
        "slipway simulate slipway/CartPole-v1 --policy my-run --episodes 10 --video pole.mp4 --out pole",
        "slipway simulate gymnasium:Pendulum-v1 --episodes 5 --json",
    ),
)
@click.argument("env_id", shell_complete=complete_environment)
@click.option(
    "--policy",
    default="random",
    show_default=True,
    metavar="random|BASELINE|RUN",
    help="Who acts: chance, one of the task's baselines, or a run's newest checkpoint.",
)
@click.option(
    "--episodes", type=WholeNumber(1, MOST_EPISODES), default=10, show_default=True, metavar="N", help="How many."
)
@click.option("--sampled", is_flag=True, help="A run's policy draws its actions; else it takes the most likely.")
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="Set a parameter of the task: env.parameters.NAME and a YAML value. May be given often.",
)
@click.option(
    "--seed",
    type=WholeNumber(0, SEEDS - 1),
    default=0,
    show_default=True,
    metavar="N",
    help="The first episode's seed; the others follow.",
)
@click.option(
    "--split",
    type=Word(HELD_OUT, TRAINING),
    default=HELD_OUT,
    show_default=True,
    metavar=f"[{HELD_OUT}|{TRAINING}]",
    help="Seeds that training never meets, or those that it may draw.",
)
@click.option("--out", default="simulation", show_default=True, metavar="FOLDER", help="Where the files go.")
@click.option("--video", metavar="FILE.mp4", help="Film the first episode, too.")
@store_option
@json_option
@quiet_option
def simulate(
    env_id: str,
    policy: str,
    episodes: int,
    sampled: bool,
    settings: tuple[str, ...],
    seed: int,
    split: str,
    out: str,
    video: str | None,
    store: str,
    as_json: bool,
    quiet: bool,
) -> None:
    """Play episodes and record them: trajectories.parquet, summary.json and a video.

    The task's parameters are shown by `slipway envs describe ENV_ID`. Where a run acts, they are the run's.
    """
    if seed + episodes > SEEDS:
        raise BadInput("--episodes", episodes, f"at most {SEEDS - seed}, as --seed is {seed}", "play fewer")
    folder, film = _free_folder(out), _free_video(video)
    run_file, run = _resolve(env_id, policy, settings, store)
    if sampled and run is None:
        raise BadInput("--sampled", True, f"a run's policy to sample; --policy is {policy}", "leave --sampled out")
    from trainer import backend

    backend.prepare()
    from envs.seeding import Split
    from trainer.simulation import session

    def say(text: str) -> None:
        if not (quiet or as_json):
            click.echo(text, err=True)

    which = Split.HELD_OUT if split == HELD_OUT else Split.TRAIN
    request = session.Request(run_file, policy, run, sampled, episodes, seed, which, folder, film)
    found = session.simulate(request, say)
    if as_json:
        output.print_json(found)
        return
    for line in _lines(found):
        click.echo(line)


def _lines(found: dict[str, Any]) -> list[str]:
    from trainer.metrics import formatting

    mean, name = found["mean_score"], found["score"]["name"]
    score = formatting.number(mean["value"])
    if mean["ci_low"] is not None:
        low, value, high = formatting.apart(mean["ci_low"], mean["value"], mean["ci_high"])
        score = f"{value} (95 % interval {low} to {high})"
    first = f"{found['episodes']} episodes of {found['policy']}, {found['steps']} steps; mean {name} {score}."
    return [first, *(f"{kind.capitalize()}: {path}" for kind, path in found["files"].items())]


def _resolve(env_id: str, policy: str, settings: tuple[str, ...], store: str) -> "tuple[RunFile, RunDirectory | None]":
    """The task with its parameters, and the run that acts, if one does."""
    from trainer.config import check, load, overrides
    from trainer.run import group

    for setting in settings:
        if not setting.strip().startswith(PARAMETERS):
            cure = f"write --set {PARAMETERS}NAME=VALUE; see `slipway envs describe {env_id}`"
            raise BadInput("--set", setting, "a parameter of the task", cure)
    named = load.validate(overrides.apply({"env": {"id": env_id}}, settings))
    check.check(named)  # refuses an unknown id or parameter before anything else
    baselines = [] if env_id.startswith(check.GYMNASIUM) else _baselines(named)
    if policy == "random" or policy in baselines:
        return named, None
    try:
        folder = find_run(policy, store)
    except BadInput as error:
        allowed = f"random, {''.join(f'{name}, ' for name in baselines)}or a run"
        raise BadInput("--policy", policy, allowed, error.cure) from None
    if group.is_group(folder):
        member = group.members(folder)[0].run_id
        raise BadInput("--policy", policy, "one run, not a group", f"name one of its runs, such as {member}")
    from trainer.run.directory import RunDirectory

    run = RunDirectory.open(folder)
    theirs = run.run_file()
    if theirs.env.id != env_id:
        raise BadInput("--policy", policy, f"a run on {env_id}; it is on {theirs.env.id}", f"simulate {theirs.env.id}")
    given = {"env": {"id": env_id, "parameters": dict(theirs.env.parameters)}}
    run_file = load.validate(overrides.apply(given, settings))
    check.check(run_file)
    return run_file, run


def _baselines(run_file: "RunFile") -> list[str]:
    from trainer.config import check

    return list(check.make_task(run_file.env.id, dict(run_file.env.parameters)).baselines())


def _free_folder(out: str) -> Path:
    """The folder for the files.

    Raises:
        BadInput: if it is a file, or has such files already.
    """
    folder = Path(out)
    if folder.exists() and not folder.is_dir():
        raise BadInput("--out", out, "a folder; this is a file", "name another")
    for name in ("trajectories.parquet", "summary.json"):
        if (folder / name).exists():
            raise BadInput("--out", out, f"a folder without {name}, which is not overwritten", "name another folder")
    return folder


def _free_video(video: str | None) -> Path | None:
    """The file for the video.

    Raises:
        BadInput: if its name does not end in .mp4, it exists, or its folder does not.
    """
    if video is None:
        return None
    path = Path(video)
    if path.suffix != ".mp4":
        raise BadInput("--video", video, "a file whose name ends in .mp4", f"write --video {path.stem or 'film'}.mp4")
    if path.exists() or not path.parent.is_dir():
        allowed = "a new file in a folder that is there"
        raise BadInput("--video", video, allowed, "name another file, or make the folder")
    return path
