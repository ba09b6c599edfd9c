"""A stand-in for the library of NVIDIA's driver, below NVIDIA's own bindings: what it shows is that the bindings are
called as they want, not that a driver answers so."""

import ctypes
import importlib

Number = ctypes.POINTER(ctypes.c_uint)
NOT_SUPPORTED, GPU_IS_LOST = 3, 15
"""nvmlReturn_t, https://docs.nvidia.com/deploy/nvml-api/group__nvmlDeviceEnumvs.html"""


class Driver:
    """The functions of `libnvidia-ml.so.1` that are asked for, as C calls them.

    Attributes:
        gpus: of each GPU: utilisation in percent, memory used in bytes, power in milliwatts; None: not supported.
        broken: the code that every reading fails with; 0: none.
        open: how many have initialised it and not let go.
    """

    def __init__(self, gpus):
        self.gpus, self.broken, self.open = gpus, 0, 0
        nvml = importlib.import_module("pynvml")
        utilization, memory = (ctypes.POINTER(kind) for kind in (nvml.c_nvmlUtilization_t, nvml.c_nvmlMemory_v2_t))
        device = nvml.c_nvmlDevice_t
        self.nvmlInitWithFlags = self._function(self._enter, ctypes.c_uint)
        self.nvmlShutdown = self._function(self._leave)
        self.nvmlDeviceGetCount_v2 = self._function(self._count, Number)
        self.nvmlDeviceGetHandleByIndex_v2 = self._function(self._handle, ctypes.c_uint, ctypes.POINTER(device))
        self.nvmlDeviceGetUtilizationRates = self._function(self._utilization, ctypes.c_void_p, utilization)
        self.nvmlDeviceGetMemoryInfo_v2 = self._function(self._memory, ctypes.c_void_p, memory)
        self.nvmlDeviceGetUUID = self._function(self._uuid, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint)
        self.nvmlDeviceGetPowerUsage = self._function(self._power, ctypes.c_void_p, Number)

    def install(self, monkeypatch):
        """Be what the bindings find as the driver's library, until the test ends."""
        nvml = importlib.import_module("pynvml")
        monkeypatch.setattr(nvml, "nvmlLib", self)
        monkeypatch.setattr(nvml, "_nvmlGetFunctionPointer_cache", {})

    def _function(self, python, *arguments):
        return ctypes.CFUNCTYPE(ctypes.c_int, *arguments)(python)

    def _enter(self, flags):
        assert flags == 0
        self.open += 1
        return 0

    def _leave(self):
        self.open -= 1
        return 0

    def _count(self, count):
        count[0] = len(self.gpus)
        return 0

    def _handle(self, index, handle):
        # A handle is an address that means something to the driver alone; none is null.
        ctypes.cast(handle, ctypes.POINTER(ctypes.c_void_p))[0] = 1000 + index
        return 0

    def _uuid(self, handle, found, size):
        text = f"GPU-{handle - 1000:08x}-0000-0000-0000-000000000000\0".encode()
        assert len(text) <= size
        ctypes.memmove(found, text, len(text))
        return 0

    def _reading(self, handle, which):
        return self.broken, self.gpus[handle - 1000][which]

    def _utilization(self, handle, found):
        code, value = self._reading(handle, 0)
        if code or value is None:
            return code or NOT_SUPPORTED
        found[0].gpu, found[0].memory = value, 99
        return 0

    def _memory(self, handle, found):
        code, value = self._reading(handle, 1)
        if code:
            return code
        found[0].total, found[0].reserved, found[0].used = 80 << 30, 480 << 20, value
        found[0].free = found[0].total - found[0].reserved - value
        return 0

    def _power(self, handle, found):
        code, value = self._reading(handle, 2)
        if code or value is None:
            return code or NOT_SUPPORTED
        found[0] = value
        return 0
