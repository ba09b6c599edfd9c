"""What this machine can do, and how to mend what it cannot: `slipway doctor`."""

import dataclasses
import enum
import importlib.util
import os
import platform
import shutil
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

from trainer import backend
from trainer.errors import SlipwayError
from trainer.preemption import machine
from trainer.run import provenance
from trainer.store import resolve

GIB = 1 << 30
ENOUGH_MEMORY_BYTES = 2 * GIB
"""TensorFlow and what XLA compiles take about 1 GiB."""
ENOUGH_SPACE_BYTES = GIB

OPTIONAL = {
    "box2d": ("Box2D", "Gymnasium's LunarLander and its kin", "uv sync --extra box2d"),
}
"""Extras: the module that shows one is there, what it is for, and the command that installs it."""


class Level(enum.StrEnum):
    """How bad a finding is."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclasses.dataclass(frozen=True)
class Check:
    """One finding.

    Attributes:
        name: what was looked at.
        level: `fail` where training needs it.
        found: what there is.
        cure: what to do; empty where all is well.
    """

    name: str
    level: Level
    found: str
    cure: str = ""

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        return dataclasses.asdict(self)


def examine(store: str) -> list[Check]:
    """All findings. Imports TensorFlow, which takes some seconds.

    Args:
        store: the URI of the store that runs would go to.
    """
    checks: list[tuple[str, Callable[[], Check | list[Check]]]] = [
        ("processor", _processor),
        ("memory", _memory),
        ("python", _python),
        ("packages", _packages),
        ("tensorflow", _tensorflow),
        ("compilation cache", _cache),
        ("store", lambda: _store(store)),
        ("preemption", _preemption),
        ("extras", _extras),
    ]
    found: list[Check] = []
    for name, check in checks:
        try:
            result = check()
        except Exception as error:  # a check that breaks is a finding, and the others are still of use
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            result = Check(
                name, Level.FAIL, f"could not be found out ({reason})", "run with SLIPWAY_DEBUG=1 slipway train"
            )
        found.extend(result if isinstance(result, list) else [result])
    return found


def _processor() -> Check:
    count, present = provenance.cpu_count(), os.cpu_count() or 1
    usable = f"{count} cores" if count == present else f"{count} of {present} cores usable"
    return Check("processor", Level.OK, f"{provenance.cpu_model()}, {usable}")


def _memory() -> Check:
    memory = psutil.virtual_memory()
    found = f"{memory.available / GIB:.1f} of {memory.total / GIB:.1f} GiB free"
    if memory.available < ENOUGH_MEMORY_BYTES:
        return Check("memory", Level.WARN, found, "end other programs; training takes about 1 GiB")
    return Check("memory", Level.OK, found)


def _python() -> Check:
    version = platform.python_version()
    if not version.startswith("3.11."):
        return Check("python", Level.FAIL, version, "run `uv sync`, which gets Python 3.11")
    return Check("python", Level.OK, version)


def _packages() -> list[Check]:
    """Versions as `pyproject.toml` asks for them."""
    from packaging.requirements import Requirement

    checks = []
    for text in metadata.requires("slipway") or []:
        requirement = Requirement(text)
        if requirement.marker is not None and "extra" in str(requirement.marker):
            continue
        wanted = str(requirement.specifier) or "any version"
        try:
            version = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            checks.append(Check(requirement.name, Level.FAIL, f"not installed; needed: {wanted}", "run `uv sync`"))
            continue
        if not requirement.specifier.contains(version, prereleases=True):
            checks.append(Check(requirement.name, Level.FAIL, f"{version}; needed: {wanted}", "run `uv sync`"))
    named = ("slipway", "tensorflow", "tf-agents", "gymnasium")
    versions = ", ".join(f"{name} {version}" for name, version in provenance.versions(named).items())
    return [Check("packages", Level.OK, versions), *checks]


def _tensorflow() -> list[Check]:
    """Whether TensorFlow computes and compiles, and which GPUs it sees."""
    backend.prepare()
    import tensorflow as tf

    @tf.function(jit_compile=True, autograph=False)
    def double(x: Any) -> Any:
        return x + x

    if float(double(tf.constant(2.0))) != 4.0:
        return [Check("tensorflow", Level.FAIL, "2 + 2 is not 4", "run `uv sync --reinstall`")]
    checks = [Check("tensorflow", Level.OK, f"{tf.__version__} computes and compiles")]
    names = [device["name"] for device in provenance.accelerators()]
    if names:
        checks.append(Check("gpu", Level.OK, ", ".join(names)))
    elif shutil.which("nvidia-smi"):
        cure = "run `uv sync --extra gpu`, and see that `nvidia-smi` shows a driver"
        checks.append(Check("gpu", Level.WARN, "this machine has one that TensorFlow cannot use", cure))
    else:
        checks.append(Check("gpu", Level.OK, "none; training runs on the processor"))
    return checks


def _cache() -> Check:
    name, folder = "compilation cache", backend.cache_folder()
    if os.environ.get("SLIPWAY_XLA_CACHE", "").lower() == "off":
        return Check(name, Level.WARN, "off", "unset SLIPWAY_XLA_CACHE: later runs then start sooner")
    below = next(path for path in (folder, *folder.parents) if path.exists())
    if not os.access(below, os.W_OK):
        return Check(name, Level.WARN, f"{folder} cannot be written", "set XDG_CACHE_HOME to a folder that can be")
    return Check(name, Level.OK, f"{folder}, {_size(folder) / (1 << 20):.1f} MiB")


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _store(uri: str) -> list[Check]:
    try:
        store = resolve(uri)
        store.check_writable()
    except SlipwayError as error:
        lines = [line.strip() for line in str(error).splitlines()]
        cure = next((line.removeprefix("fix:").strip() for line in lines if line.startswith("fix:")), "")
        return [Check("store", Level.FAIL, " ".join(lines[:2]), cure)]
    free = store.free_bytes()
    if free is None:
        return [Check("store", Level.OK, f"{uri} can be written")]
    found = f"{uri} can be written, {free / GIB:.1f} GiB free"
    if free < ENOUGH_SPACE_BYTES:
        return [Check("store", Level.WARN, found, "make room, or give another folder with --store")]
    return [Check("store", Level.OK, found)]


def _preemption() -> Check:
    cloud = machine.cloud()
    found = f"notices of {cloud} are watched" if cloud else "this machine is no cloud's: signals alone are watched"
    return Check("preemption", Level.OK, found)


def _extras() -> list[Check]:
    checks = []
    for extra, (module, purpose, command) in OPTIONAL.items():
        there = importlib.util.find_spec(module) is not None
        found = f"{purpose}: {'there' if there else 'not installed'}"
        checks.append(Check(f"extra {extra}", Level.OK, found, "" if there else f"if you want it: `{command}`"))
    return checks
