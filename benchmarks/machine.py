"""What the figures were measured on."""

import os
import platform
from typing import Any

import psutil

from trainer.run import provenance


def about() -> dict[str, Any]:
    """Processor, cores, memory, system and versions, for results.json."""
    return {
        "cpu": provenance.cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "load_average": round(os.getloadavg()[0], 2),
    }


def kind(about: dict[str, Any]) -> str:
    """What does not change from hour to hour."""
    return (
        f"{about['cpu']}, {about['cores']} cores, {about['memory_gib']} GiB, {about['system']},"
        f" Python {about['python']}"
    )


def words(about: dict[str, Any]) -> str:
    """All of it as a line."""
    return f"{kind(about)}; load average {about['load_average']} at the start"
