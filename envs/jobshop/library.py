"""The instances that ship, by name, and the ones in files. Imports no TensorFlow."""

import csv
import functools
import types
from collections.abc import Mapping
from pathlib import Path

from envs.jobshop import jsplib, taillard
from envs.jobshop.schedule import Instance

FOLDER = Path(__file__).parent / "instances"
LARGEST_FILE_BYTES = 1_000_000


@functools.lru_cache
def optimal_makespans() -> Mapping[str, int]:
    """The optimal makespans of instances that ship, by name; each is proved in the literature. None of ta21 to ta30.

    The figures are in `instances/makespans.csv`: those of JSPLIB (https://github.com/tamy0612/JSPLIB, instances.json),
    and of J. J. van Hoorn, "The current state of bounds on benchmark instances of the job-shop scheduling problem",
    Journal of Scheduling 21(1), 2018, for ta01 to ta10.
    """
    return types.MappingProxyType({row["name"]: int(row["makespan"]) for row in _rows() if row["optimal"] == "yes"})


@functools.lru_cache
def best_known_makespans() -> Mapping[str, int]:
    """The shortest makespan that is known of each instance that ships, by name; the optimal one where that is proved.

    Those of ta21 to ta30 are of van Hoorn 2018, like those of ta01 to ta10; later work may have shortened some by a
    unit or two.
    """
    return types.MappingProxyType({row["name"]: int(row["makespan"]) for row in _rows()})


def _rows() -> list[dict[str, str]]:
    with (FOLDER / "makespans.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def names() -> list[str]:
    """The names of the instances that ship."""
    return list(best_known_makespans())


@functools.lru_cache
def named(name: str) -> Instance:
    """An instance that ships; its arrays are shared and cannot be written to.

    Args:
        name: one of `names()`.
    """
    if name in taillard.SEEDS_15 or name in taillard.SEEDS_20:
        found = taillard.named(name)
    else:
        found = jsplib.parse((FOLDER / f"{name}.txt").read_text(encoding="utf-8"))
    found.machines.setflags(write=False)
    found.durations.setflags(write=False)
    return found


def read(path: str) -> Instance:
    """The instance in a file.

    Raises:
        OSError: if it cannot be read.
        UnicodeError: if it is no text.
        jsplib.Malformed: if it is no instance, or so large that it cannot be one.
    """
    if not Path(path).is_file():  # a pipe would be waited for
        raise FileNotFoundError(path)
    with Path(path).open("rb") as file:
        content = file.read(LARGEST_FILE_BYTES + 1)
    if len(content) > LARGEST_FILE_BYTES:
        raise jsplib.Malformed(1, 1, "a longer file", f"a file of up to {LARGEST_FILE_BYTES} bytes")
    return jsplib.parse(content.decode("utf-8").replace("\r\n", "\n"))
