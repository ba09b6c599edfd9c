"""What is said of the machine: of this one, compared with what its kernel says, and of GPUs through NVIDIA's bindings.

Where there is no driver, a stand-in answers in its place (`nvml_driver`).
"""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
from nvml_driver import GPU_IS_LOST, Driver

from trainer.metrics import catalogue
from trainer.metrics.catalogue import Group
from trainer.metrics.gpus import Gpus
from trainer.metrics.host import APART_SECONDS, Host

needs_bindings = pytest.mark.skipif(importlib.util.find_spec("pynvml") is None, reason="nvidia-ml-py is not installed")


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def host(folder, gpus=lambda: None, **keywords):
    said, clock = [], Clock()
    return Host(folder, said.append, clock, gpus, **keywords), clock, said


def test_this_machine_is_measured(tmp_path):
    watched, clock, said = host(tmp_path)
    busy = sum(number * number for number in range(3_000_000))  # some time of a processor
    assert busy
    clock.now += APART_SECONDS
    sample = watched.sample()
    assert list(sample) == ["rl_cpu_utilization_ratio", "rl_memory_used_ratio", "rl_disk_free_bytes"]
    assert 0 < sample["rl_cpu_utilization_ratio"] <= 1
    lines = Path("/proc/meminfo").read_text().splitlines()
    memory = {line.split(":")[0]: int(line.split()[1]) for line in lines}
    assert sample["rl_memory_used_ratio"] == pytest.approx(1 - memory["MemAvailable"] / memory["MemTotal"], abs=0.2)
    disk = os.statvfs(tmp_path)
    assert sample["rl_disk_free_bytes"] == pytest.approx(disk.f_bavail * disk.f_frsize, rel=0.2)
    assert said == []


def test_samples_are_a_second_apart(tmp_path):
    watched, clock, _ = host(tmp_path)
    assert watched.sample() == {}
    clock.now += APART_SECONDS
    assert watched.sample()
    clock.now += APART_SECONDS / 2
    assert watched.sample() == {}
    clock.now += APART_SECONDS / 2
    assert watched.sample()


def test_what_cannot_be_measured_is_told_once_and_left_out(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    watched, clock, said = host(folder)
    folder.rmdir()
    for _ in range(3):
        clock.now += APART_SECONDS
        assert set(watched.sample()) == {"rl_cpu_utilization_ratio", "rl_memory_used_ratio"}
    assert len(said) == 1
    assert "The machine's disk cannot be watched" in said[0]
    assert "training goes on" in said[0]


def test_a_machine_without_a_driver_has_no_gpus():
    """In a process that finds neither driver nor bindings, and in one that finds what this one does."""
    for hidden in ("sys.modules['pynvml'] = None; ", ""):
        program = f"import sys; {hidden}from trainer.metrics.gpus import Gpus; print(Gpus.found())"
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        if hidden or not Path("/dev/nvidiactl").exists():
            assert done.stdout == "None\n"


@needs_bindings
def test_each_gpu_and_the_busiest_are_told_in_base_units(tmp_path, monkeypatch):
    driver = Driver([(7, 3 << 30, 61_500), (93, 70 << 30, 688_123)])
    driver.install(monkeypatch)
    watched, clock, said = host(tmp_path, Gpus.found)
    clock.now += APART_SECONDS
    sample = watched.sample()
    assert {key: value for key, value in sample.items() if "gpu" in key} == {
        "rl_gpu_busiest_utilization_ratio": 0.93,
        'rl_gpu_utilization_ratio{gpu="0"}': 0.07,
        'rl_gpu_memory_used_bytes{gpu="0"}': 3 << 30,
        'rl_gpu_power_watts{gpu="0"}': 61.5,
        'rl_gpu_utilization_ratio{gpu="1"}': 0.93,
        'rl_gpu_memory_used_bytes{gpu="1"}': 70 << 30,
        'rl_gpu_power_watts{gpu="1"}': 688.123,
    }
    of_the_catalogue = {catalogue.parse(key).metric.name for key in sample}
    assert of_the_catalogue == {metric.name for metric in catalogue.METRICS if metric.group is Group.HOST}
    assert said == []
    watched.close()
    assert driver.open == 0


@needs_bindings
@pytest.mark.parametrize(
    ("usable", "visible", "told"), [(0, None, 1), (0, "0", 1), (0, "", 0), (0, "-1", 0), (2, None, 0), (None, None, 0)]
)
def test_gpus_that_nobody_can_train_on_are_told(tmp_path, monkeypatch, usable, visible, told):
    Driver([(0, 0, 0), (0, 0, 0)]).install(monkeypatch)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    _, _, said = host(tmp_path, Gpus.found, usable_gpus=usable)
    assert len(said) == told
    assert all("a GPU that TensorFlow cannot use" in line for line in said)


@needs_bindings
@pytest.mark.parametrize(
    ("visible", "order", "shown"),
    [
        ("1", "PCI_BUS_ID", "1"), ("2,0", "PCI_BUS_ID", "20"), ("0,-1,1", "PCI_BUS_ID", "0"), ("7", "PCI_BUS_ID", ""),
        ("GPU-00000002-0000-0000-0000-000000000000", None, "2"), ("GPU-00000001,GPU-00000000", None, "10"),
        ("-1", None, ""), ("", None, ""), (None, "PCI_BUS_ID", "012"),
        # CUDA may count otherwise; parts of a GPU are not told apart.
        ("1", None, "012"), ("MIG-00000001", None, "012"),
    ],
)  # fmt: skip
def test_a_run_tells_of_the_gpus_that_it_may_use(monkeypatch, visible, order, shown):
    driver = Driver([(10 * number, 1, 1) for number in range(3)])
    driver.install(monkeypatch)
    for name, value in (("CUDA_VISIBLE_DEVICES", visible), ("CUDA_DEVICE_ORDER", order)):
        monkeypatch.setenv(name, value) if value is not None else monkeypatch.delenv(name, raising=False)
    gpus = Gpus.found()
    assert (gpus is None) == (shown == "")
    if gpus is None:
        assert driver.open == 0
        return
    sample = gpus.sample()
    named = [key for key in sample if key.startswith("rl_gpu_utilization_ratio")]
    assert named == [f'rl_gpu_utilization_ratio{{gpu="{number}"}}' for number in shown]
    assert sample["rl_gpu_busiest_utilization_ratio"] == max(int(number) for number in shown) / 10


@needs_bindings
def test_what_a_gpu_cannot_tell_is_left_out(tmp_path, monkeypatch):
    Driver([(None, 5, None)]).install(monkeypatch)  # such as one that is divided
    watched, clock, said = host(tmp_path, Gpus.found)
    clock.now += APART_SECONDS
    assert [key for key in watched.sample() if "gpu" in key] == ['rl_gpu_memory_used_bytes{gpu="0"}']
    assert said == []


@needs_bindings
def test_a_gpu_that_is_lost_does_not_stop_the_training(tmp_path, monkeypatch):
    driver = Driver([(50, 5, 5)])
    driver.install(monkeypatch)
    watched, clock, said = host(tmp_path, Gpus.found)
    driver.broken = GPU_IS_LOST
    for _ in range(2):
        clock.now += APART_SECONDS
        assert set(watched.sample()) == {"rl_cpu_utilization_ratio", "rl_memory_used_ratio", "rl_disk_free_bytes"}
    assert len(said) == 1
    assert "GPUs cannot be watched" in said[0]
    watched.close()


@needs_bindings
def test_a_driver_without_gpus_is_let_go(monkeypatch):
    driver = Driver([])
    driver.install(monkeypatch)
    assert Gpus.found() is None
    assert driver.open == 0


@needs_bindings
@pytest.mark.skipif(not Path("/dev/nvidiactl").exists(), reason="this machine has no NVIDIA driver")
def test_the_gpus_of_this_machine_answer(tmp_path):
    gpus = Gpus.found()
    assert gpus is not None
    sample = gpus.sample()
    gpus.close()
    assert sample
    for key, value in sample.items():
        metric = catalogue.parse(key).metric
        assert metric.group is Group.HOST
        assert 0 <= value <= {"ratio": 1, "bytes": 1 << 40, "watts": 5000}[metric.unit]
