"""`provenance.json`: what made a run, for whoever wants to make it again."""

import hashlib
import importlib.metadata
import os
import platform
import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil

from trainer import backend
from trainer.run.status import FORMAT, now

ROOT = Path(__file__).resolve().parents[2]
"""The folder that holds the packages: the clone's, or site-packages."""

PACKAGES = (
    "slipway",
    "tensorflow",
    "tf-keras",
    "tf-agents",
    "tensorflow-probability",
    "gymnasium",
    "numpy",
    "scipy",
    "safetensors",
    "pydantic",
)


def collect(price_usd_per_hour: float | None) -> dict[str, Any]:
    """Everything about code, packages and machine that can be found out here.

    Args:
        price_usd_per_hour: of this machine, as the run file says; None: not known.
    """
    return {
        "format": FORMAT,
        "created_at": now(),
        "command": sys.argv,
        "git": git(ROOT),
        "lock_file_sha256": sha256(ROOT / "uv.lock"),
        "python": platform.python_version(),
        "packages": versions(PACKAGES),
        "host": {
            "name": socket.gethostname(),
            "system": platform.platform(),
            "cpu_model": cpu_model(),
            "cpu_count": cpu_count(),
            "memory_bytes": psutil.virtual_memory().total,
        },
        "accelerators": accelerators(),
        "instance_type": None,  # found out by the cloud's node playbook, not guessed here
        "price_usd_per_hour": price_usd_per_hour,
    }


def git(folder: Path) -> dict[str, Any] | None:
    """The revision of a clone, and whether it has changes that are not committed; None if it is no clone."""
    if not (folder / ".git").exists():
        return None
    try:
        revision, changes = (
            subprocess.run(  # noqa: S603 (fixed arguments)
                ["git", "-C", str(folder), *arguments],  # noqa: S607 (the user's own git)
                capture_output=True,
                text=True,
                timeout=20,
                check=True,
            ).stdout.strip()
            for arguments in (["rev-parse", "HEAD"], ["status", "--porcelain"])
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return {"revision": revision, "dirty": bool(changes)}


def sha256(path: Path) -> str | None:
    """A file's checksum; None if it cannot be read."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return None


def versions(packages: tuple[str, ...]) -> dict[str, str]:
    """The versions of those packages that are installed."""
    found = {}
    for name in packages:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def cpu_model() -> str:
    """The processor's name."""
    match = re.search(r"^model name\s*:\s*(.+)$", backend.processor(), re.MULTILINE)
    return match[1] if match else platform.processor() or platform.machine()


def cpu_count() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0))


def accelerators() -> list[dict[str, Any]]:
    """The GPUs that TensorFlow can use, each with its name and compute capability."""
    backend.prepare()
    import tensorflow as tf

    found = []
    for device in tf.config.list_physical_devices("GPU"):
        details = tf.config.experimental.get_device_details(device)
        capability = details.get("compute_capability")
        name = str(details.get("device_name", device.name))
        found.append({"name": name, "compute_capability": ".".join(map(str, capability)) if capability else None})
    return found
