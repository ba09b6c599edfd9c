"""What a training's unit leaves of a machine is enough for CUDA: on a machine that has a GPU.

In place of the unit: a /dev of its own with the files that are named, another user, no capabilities, no new privileges.
Not shown: its filter of system calls.
"""

import os
import subprocess
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parents[2] / "ansible/roles/trainer/files/gpu_devices.sh"
DEVICES = ("null", "zero", "full", "random", "urandom", "tty", "nvidiactl", "nvidia0")
CUDA = """
import ctypes
cuda = ctypes.CDLL("libcuda.so.1")
context, memory = ctypes.c_void_p(), ctypes.c_void_p()
assert (code := cuda.cuInit(0)) == 0, code
assert cuda.cuDevicePrimaryCtxRetain(ctypes.byref(context), 0) == 0
assert cuda.cuCtxSetCurrent(context) == 0
assert cuda.cuMemAlloc_v2(ctypes.byref(memory), ctypes.c_size_t(1 << 20)) == 0
"""
UNKNOWN = 999
"""CUDA_ERROR_UNKNOWN, https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__TYPES.html"""

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="a /dev of its own needs root"),
    pytest.mark.skipif(not Path("/dev/nvidiactl").exists(), reason="this machine has no NVIDIA driver"),
]


def within(folder, script):
    """Run a shell's commands where /dev has a few files, and more can be made; of them `limited` tries CUDA."""
    limited = "setpriv --reuid=65534 --regid=65534 --clear-groups --no-new-privs --bounding-set=-all --inh-caps=-all"
    lines = [
        "set -e",
        f"mount -t tmpfs tmpfs {folder}",
        *(f"touch {folder}/{name}; mount --bind /dev/{name} {folder}/{name}" for name in DEVICES),
        f"mount --rbind {folder} /dev",
        f'limited() {{ {limited} /usr/bin/python3 -c "$CUDA"; }}',
        script,
    ]
    command = ["unshare", "--mount", "bash", "-c", "\n".join(lines)]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, "CUDA": CUDA})


def test_without_the_file_of_unified_memory_cuda_does_not_begin(tmp_path):
    found = within(tmp_path, "limited")
    assert found.returncode == 1
    assert f"AssertionError: {UNKNOWN}" in found.stderr


def test_with_those_that_the_unit_makes_it_does(tmp_path):
    unit = f"setpriv --no-new-privs --bounding-set=-all,+sys_module,+mknod --inh-caps=-all sh {PROGRAM}"
    found = within(tmp_path, f"{unit}\n{unit}\nlimited\nstat --format='%a %U' /dev/nvidia-uvm /dev/nvidia-uvm-tools")
    assert found.returncode == 0, found.stderr
    assert found.stdout.count("GPU 0: NVIDIA") == 2
    assert found.stdout.splitlines()[-2:] == ["666 root", "666 root"]
