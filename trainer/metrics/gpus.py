"""What NVIDIA's GPUs are doing, by the driver's own library (NVML).

Source: https://docs.nvidia.com/deploy/nvml-api/group__nvmlDeviceQueries.html
"""

import importlib
import os
import re
from collections.abc import Callable, Mapping
from typing import Any, Self

from trainer.metrics.catalogue import sample_key

BUSIEST = "rl_gpu_busiest_utilization_ratio"
READINGS: Mapping[str, Callable[[Any, Any], float]] = {
    "rl_gpu_utilization_ratio": lambda nvml, gpu: nvml.nvmlDeviceGetUtilizationRates(gpu).gpu / 100,
    # The first version of this counts what the driver keeps for itself, too: 480 MiB of an idle H100.
    "rl_gpu_memory_used_bytes": lambda nvml, gpu: nvml.nvmlDeviceGetMemoryInfo(gpu, nvml.nvmlMemory_v2).used,
    "rl_gpu_power_watts": lambda nvml, gpu: nvml.nvmlDeviceGetPowerUsage(gpu) / 1000,
}
"""How each metric is read."""


class Gpus:
    """The GPUs that this process may see; at least one.

    Args:
        nvml: NVIDIA's module `pynvml`, initialised.
    """

    def __init__(self, nvml: Any) -> None:
        self._nvml = nvml
        gpus = {str(index): nvml.nvmlDeviceGetHandleByIndex(index) for index in range(nvml.nvmlDeviceGetCount())}
        self._gpus = self._visible(gpus, os.environ.get("CUDA_VISIBLE_DEVICES"))

    def _visible(self, gpus: dict[str, Any], told: str | None) -> dict[str, Any]:
        """Those that CUDA shows this process: the driver's own library shows all of them.

        Source: https://docs.nvidia.com/cuda/cuda-c-programming-guide/index.html#cuda-environment-variables
        """
        counted = os.environ.get("CUDA_DEVICE_ORDER") == "PCI_BUS_ID"  # as the driver counts
        if told is None or "MIG-" in told or (re.match(r"\s*\d", told) and not counted):
            return gpus
        found: dict[str, Any] = {}
        for name in map(str.strip, told.split(",")):
            named = [number for number, gpu in gpus.items() if name == number or self._is(gpu, name)]
            if not named:  # CUDA takes none from here on
                break
            found[named[0]] = gpus[named[0]]
        return found

    def _is(self, gpu: Any, name: str) -> bool:
        """Whether a GPU has a UUID, or one that begins so."""
        return name.startswith("GPU-") and self._nvml.nvmlDeviceGetUUID(gpu).startswith(name)

    @classmethod
    def found(cls) -> Self | None:
        """Those of this machine; None if it may see none, or there is no driver or no package `nvidia-ml-py`."""
        try:
            nvml = importlib.import_module("pynvml")
        except ImportError:
            return None
        try:
            nvml.nvmlInit()
        except nvml.NVMLError:
            return None
        try:
            found = cls(nvml)
        except nvml.NVMLError:
            found = None
        if found is None or not found._gpus:
            nvml.nvmlShutdown()
            return None
        return found

    def sample(self) -> dict[str, float]:
        """Each metric that a GPU can tell, by sample key.

        Raises:
            Exception: if the driver fails.
        """
        sample: dict[str, float] = {}
        for number, gpu in self._gpus.items():
            for name, read in READINGS.items():
                try:
                    sample[sample_key(name, gpu=number)] = read(self._nvml, gpu)
                except self._nvml.NVMLError_NotSupported:  # such as the utilisation of one that is divided (MIG)
                    continue
        busy = [value for key, value in sample.items() if key.startswith("rl_gpu_utilization_ratio")]
        return {BUSIEST: max(busy), **sample} if busy else sample

    def close(self) -> None:
        """Let go of the driver."""
        self._nvml.nvmlShutdown()
