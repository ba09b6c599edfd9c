"""Which runs can go on."""

from pathlib import Path

from trainer.errors import BadInput
from trainer.run import group
from trainer.run.directory import RunDirectory
from trainer.run.status import RESUMABLE


def check(folder: Path) -> None:
    """Find out whether a run, or a group of runs, can go on.

    Raises:
        BadInput: if there is none, it is finished, another version of slipway made it, or a process writes to it.
    """
    if not group.is_group(folder):
        run = RunDirectory.open(folder)
        run.check_resumable()
        with run.lock():
            return
    members = group.members(folder)
    unfinished = [member for member in members if member.status().state in RESUMABLE]
    if not unfinished and (folder / "evaluation.json").is_file():
        cure = "train a new group; `slipway evaluate` and `slipway report` still work on this one"
        raise BadInput("RUN", folder.name, "a group with runs that are not finished", cure)
    for member in unfinished:
        with member.lock():
            pass
