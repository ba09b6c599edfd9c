"""What the machine is doing while it trains: processors, memory, disk, GPUs."""

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from trainer.metrics.gpus import Gpus

APART_SECONDS = 1.0
"""Samples are at least so far apart: rows may come every few milliseconds, and GPU drivers average over a second."""

HIDDEN = ("", "-1")
"""Values of CUDA_VISIBLE_DEVICES by which somebody wants no GPU used."""

Sample = dict[str, float]


class Host:
    """Samples this machine when it is asked, now and then. What cannot be measured is left out, and told once.

    Args:
        folder: whose disk is watched.
        tell: takes a message for people.
        clock: seconds from any origin.
        gpus: finds this machine's.
        usable_gpus: how many of them TensorFlow can use; None: not known. None of some is told.
    """

    def __init__(
        self,
        folder: Path,
        tell: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
        gpus: Callable[[], Gpus | None] = Gpus.found,
        usable_gpus: int | None = None,
    ) -> None:
        self._folder, self._tell, self._clock = folder, tell, clock
        self._gpus = gpus()
        self._sources: dict[str, Callable[[], Sample]] = {"processors": _cpu, "memory": _memory, "disk": self._disk}
        if self._gpus is not None:
            self._sources["GPUs"] = self._gpus.sample
            if usable_gpus == 0 and os.environ.get("CUDA_VISIBLE_DEVICES") not in HIDDEN:
                tell("This machine has a GPU that TensorFlow cannot use: its processors train. See `slipway doctor`.")
        self._guarded("processors")  # what it says next is since now
        self._sampled_at = clock()

    def sample(self) -> Sample:
        """The metrics of the group `host`, by sample key; empty if the last sample was just now."""
        now = self._clock()
        if now - self._sampled_at < APART_SECONDS:
            return {}
        self._sampled_at = now
        return {key: value for name in list(self._sources) for key, value in self._guarded(name).items()}

    def close(self) -> None:
        """Let go of the GPUs' driver."""
        if self._gpus is not None:
            with contextlib.suppress(Exception):
                self._gpus.close()

    def _guarded(self, name: str) -> Sample:
        if name not in self._sources:
            return {}
        try:
            return self._sources[name]()
        except Exception as error:  # a watcher's fault of any kind must not stop the training
            del self._sources[name]
            self._tell(f"The machine's {name} cannot be watched ({error}); training goes on without that.")
            return {}

    def _disk(self) -> Sample:
        return {"rl_disk_free_bytes": psutil.disk_usage(str(self._folder)).free}


def _cpu() -> Sample:
    """Of the time since the call before."""
    return {"rl_cpu_utilization_ratio": psutil.cpu_percent() / 100}


def _memory() -> Sample:
    memory = psutil.virtual_memory()
    return {"rl_memory_used_ratio": 1 - memory.available / memory.total}
