"""What NVIDIA's GPUs are doing, by the driver's own library (NVML).

Source: https://docs.nvidia.com/deploy/nvml-api/group__nvmlDeviceQueries.html
"""

import importlib
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
        self._gpus = [nvml.nvmlDeviceGetHandleByIndex(index) for index in range(nvml.nvmlDeviceGetCount())]

    @classmethod
    def found(cls) -> Self | None:
        """Those of this machine; None if there are none, no driver, or no package `nvidia-ml-py`."""
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
        for number, gpu in enumerate(self._gpus):
            for name, read in READINGS.items():
                try:
                    sample[sample_key(name, gpu=str(number))] = read(self._nvml, gpu)
                except self._nvml.NVMLError_NotSupported:  # such as the utilisation of one that is divided (MIG)
                    continue
        busy = [value for key, value in sample.items() if key.startswith("rl_gpu_utilization_ratio")]
        return {BUSIEST: max(busy), **sample} if busy else sample

    def close(self) -> None:
        """Let go of the driver."""
        self._nvml.nvmlShutdown()
