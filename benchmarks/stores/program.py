"""What the programs that measure stores share: processors are divided, stores stand, the figures are reported."""

import importlib.metadata
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import timing
from benchmarks.stores.standing import divide, standing

PACKAGES = ("slipway", "tensorflow", "boto3", "google-cloud-storage", "moto")


def report(measure: Callable[[dict[str, str]], dict[str, Any]], prepare: Callable[[], object] = lambda: None) -> None:
    """Measure with all stores standing, and write the worker's line.

    Args:
        measure: gives each store's figures, given the addresses by the stores' names.
        prepare: called first, on the processors of what is measured.
    """
    mine, others = divide()
    os.sched_setaffinity(0, mine)
    prepare()
    with tempfile.TemporaryDirectory() as folder, standing(Path(folder), others) as places:
        stores = measure(places)
    timing.report(
        {
            "stores": stores,
            "processors": {"measured": sorted(mine), "servers": sorted(others)},
            "versions": {name: importlib.metadata.version(name) for name in PACKAGES},
        }
    )
