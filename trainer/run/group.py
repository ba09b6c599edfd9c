"""A group: runs that differ by their training seed alone, in one directory (`slipway train --seeds 5`)."""

from collections.abc import Sequence
from pathlib import Path

from trainer.config.models import TRAINING_SEEDS, RunFile
from trainer.errors import BadInput, SlipwayError
from trainer.run import files, ids
from trainer.run.directory import RunDirectory, first_files, make_folder
from trainer.run.status import FORMAT
from trainer.store.base import Store

GROUP = "group.json"


def is_group(folder: Path) -> bool:
    """Whether a folder holds a group."""
    return (folder / GROUP).is_file()


def with_seeds(run_file: RunFile, count: int) -> list[RunFile]:
    """The members' run files: consecutive seeds from the run file's own.

    Args:
        run_file: the first member's.
        count: how many.

    Raises:
        BadInput: if there are not that many seeds.
    """
    most = TRAINING_SEEDS - run_file.seed
    if not 1 <= count <= most:
        raise BadInput("--seeds", count, f"from 1 to {most}, as seed is {run_file.seed}", "set fewer, or a lower seed")
    return [run_file.model_copy(update={"seed": run_file.seed + number}) for number in range(count)]


def create(store: Store, run_id: str, members: Sequence[RunFile]) -> Path:
    """A new group with all its members queued, which appear in one step.

    Args:
        store: where.
        run_id: the group's name.
        members: their run files, each with its own seed.

    Returns:
        The group's folder.

    Raises:
        BadInput: if the id is not allowed or taken, or the store cannot be written; nothing has been written then.
    """
    ids.check(run_id)
    store.check_writable()
    names = [f"seed-{member.seed}" for member in members]
    said = {"format": FORMAT, "members": names, "training_seeds": [member.seed for member in members]}
    content = {GROUP: files.encode(said)}
    for name, member in zip(names, members, strict=True):
        for file, data in first_files(f"{run_id}/{name}", member).items():
            content[f"{name}/{file}"] = data
    folder = store.folder(run_id)
    make_folder(folder, content)
    return folder


def members(folder: Path) -> list[RunDirectory]:
    """The runs of a group.

    Raises:
        BadInput: if the group or one of its runs is of another version, or not there.
        SlipwayError: if `group.json` cannot be read.
    """
    said = files.read_json(folder / GROUP)
    if said.get("format") != FORMAT:
        cure = "use the version of slipway that made it"
        raise BadInput("RUN", str(folder), f"a group of format {FORMAT}; this has {said.get('format')!r}", cure)
    names = said.get("members")
    if not isinstance(names, list) or not names:
        raise SlipwayError(f"{folder / GROUP} names no members")
    return [RunDirectory.open(folder / str(name)) for name in names]


def runs_of(folder: Path) -> list[RunDirectory]:
    """The runs of a group, or the one run that the folder is.

    Raises:
        BadInput: if one of them is of another version, or not there.
        SlipwayError: if `group.json` cannot be read.
    """
    return members(folder) if is_group(folder) else [RunDirectory.open(folder)]
