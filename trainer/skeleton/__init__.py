"""`slipway envs new`: a package with a small task that works, for its author to change."""

import importlib.util
import keyword
import re
from pathlib import Path
from string import Template

from trainer.errors import BadInput
from trainer.run.directory import make_folder

FILES = Path(__file__).parent / "files"
"""Templates: `$name` is the package, `$Name` the task's class."""
NAME = re.compile(r"[a-z][a-z0-9_]{0,49}")
ALLOWED = "a new module's name: lower-case letters, digits and underscores, beginning with a letter, at most 50"


def title(name: str) -> str:
    """The task's name: `room_heater` is `RoomHeater`."""
    return "".join(part.capitalize() for part in name.split("_"))


def env_id(name: str) -> str:
    """The id that trains it from the folder where the package lies."""
    return f"{name}:{name}/{title(name)}-v0"


def write(name: str, folder: Path) -> Path:
    """Write the package, whole or not at all.

    Args:
        name: the package's.
        folder: where its folder goes; made if need be.

    Returns:
        The package's folder.

    Raises:
        BadInput: if the name is no new module's, or the folder exists or cannot be made; nothing has been written then.
        SlipwayError: if the disk is full or fails.
    """
    if not NAME.fullmatch(name) or keyword.iskeyword(name) or name.endswith("_"):
        raise BadInput("NAME", name, ALLOWED, f"write {_mended(name)}")
    target = folder / name
    if target.exists():
        raise BadInput("NAME", name, f"a name that {folder} does not have yet", "choose another, or another --folder")
    if importlib.util.find_spec(name) is not None:
        allowed = "a name that no module here has, as one would hide the other"
        raise BadInput("NAME", name, allowed, f"write {name}_task")
    for parent in (folder, *folder.parents):
        if parent.exists() and not parent.is_dir():
            raise BadInput("--folder", str(folder), f"a folder; {parent} is a file", "name another folder")
    words = {"name": name, "Name": title(name)}
    make_folder(target, {path.stem: _filled(path, words) for path in sorted(FILES.glob("*.template"))} | _test(words))
    return target


def _filled(path: Path, words: dict[str, str]) -> bytes:
    return Template(path.read_text(encoding="utf-8")).substitute(words).encode()


def _test(words: dict[str, str]) -> dict[str, bytes]:
    """The tests, in a module that pytest finds and no other package's tests are called like."""
    return {f"test_{words['name']}.py": _filled(FILES / "tests", words)}


def _mended(name: str) -> str:
    """The nearest name that is allowed."""
    plain = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")[:45].lstrip("0123456789_") or "my"
    return plain if NAME.fullmatch(plain) and not keyword.iskeyword(plain) and plain != name else f"{plain}_task"
