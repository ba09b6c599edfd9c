#!/usr/bin/python3
"""Writes what `nvidia-smi -q -x` says as metrics, for the node exporter's textfile collector.

Usage: `slipway-gpu-metrics FILE` replaces FILE in one step; `-` in its place is standard output. With a second `-`, the
answer of nvidia-smi is taken from standard input.

If nvidia-smi fails, `nvidia_smi_up` is 0 and nothing else is there; what it said is in the journal. A value that a GPU
does not have (N/A) is left out.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path
from xml.etree import ElementTree

SECONDS = 10  # a GPU that has fallen off the bus lets nvidia-smi hang
UNITS = {"": 1, "C": 1, "W": 1, "%": 0.01, "MHz": 1e6, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "us": 1e-6}
GAUGE, COUNTER = "gauge", "counter"
# Name, kind, help, and where it is in the answer: of several places, the first that is there (drivers differ).
VALUES = [
    ("temperature_celsius", GAUGE, "Temperature of the GPU.", ["temperature/gpu_temp"]),
    ("memory_temperature_celsius", GAUGE, "Temperature of the GPU's memory.", ["temperature/memory_temp"]),
    (
        "power_draw_watts",
        GAUGE,
        "Power that the board draws, averaged by the driver.",
        ["gpu_power_readings/average_power_draw", "gpu_power_readings/power_draw", "power_readings/power_draw"],
    ),
    (
        "power_limit_watts",
        GAUGE,
        "The most power that the board may draw.",
        ["gpu_power_readings/current_power_limit", "power_readings/enforced_power_limit"],
    ),
    (
        "utilization_ratio",
        GAUGE,
        "Share of the last sampling period in which the GPU was at work.",
        ["utilization/gpu_util"],
    ),
    (
        "memory_utilization_ratio",
        GAUGE,
        "Share of the last sampling period in which its memory was read or written.",
        ["utilization/memory_util"],
    ),
    ("memory_total_bytes", GAUGE, "Memory of the GPU.", ["fb_memory_usage/total"]),
    ("memory_used_bytes", GAUGE, "Memory that is taken, by any process.", ["fb_memory_usage/used"]),
    ("memory_reserved_bytes", GAUGE, "Memory that the driver keeps for itself.", ["fb_memory_usage/reserved"]),
    ("sm_clock_hertz", GAUGE, "Clock of the processors.", ["clocks/sm_clock"]),
    ("memory_clock_hertz", GAUGE, "Clock of the memory.", ["clocks/mem_clock"]),
    ("fan_speed_ratio", GAUGE, "Speed of the fan as a share of its greatest.", ["fan_speed"]),
    ("pcie_replays_total", COUNTER, "Packets that had to be sent again over PCI Express.", ["pci/replay_counter"]),
    (
        "remapped_rows_correctable_total",
        COUNTER,
        "Rows of memory replaced after correctable errors.",
        ["remapped_rows/remapped_row_corr"],
    ),
    (
        "remapped_rows_uncorrectable_total",
        COUNTER,
        "Rows of memory replaced after uncorrectable errors.",
        ["remapped_rows/remapped_row_unc"],
    ),
]
FLAGS = [
    ("persistence_mode", "Whether the driver stays loaded without a client (1).", ["persistence_mode"], "Enabled"),
    ("ecc_mode", "Whether errors of memory are corrected (1).", ["ecc_mode/current_ecc"], "Enabled"),
    (
        "remapped_row_failure",
        "Whether a row of memory could not be replaced (1): the GPU must go.",
        ["remapped_rows/remapped_row_failure"],
        "Yes",
    ),
    (
        "remapped_row_pending",
        "Whether a row of memory is replaced with the next reset (1).",
        ["remapped_rows/remapped_row_pending"],
        "Yes",
    ),
]
SLOWDOWNS = ("sw_power_cap", "hw_slowdown", "hw_thermal_slowdown", "hw_power_brake_slowdown", "sw_thermal_slowdown")


def found(gpu: ElementTree.Element, places: list[str]) -> str | None:
    """What the first place has that is there and has a meaning."""
    for place in places:
        value = (gpu.findtext(place) or "").strip()
        if value and value != "N/A" and "deprecated" not in value:
            return value
    return None


def number(value: str | None) -> float | None:
    """`22437 MiB` in bytes, `13 C` in degrees, `30 %` as a share; None if it is no number."""
    match = re.fullmatch(r"(-?[\d.]+)\s*(\S*)", value or "")
    return float(match[1]) * UNITS[match[2]] if match and match[2] in UNITS else None


class Page:
    """Metrics in Prometheus' text format, each with its help once."""

    def __init__(self) -> None:
        self.metrics: dict[str, list[str]] = {}

    def add(self, name: str, kind: str, meaning: str, value: float, /, **labels: object) -> None:
        """Add a value; the name without its prefix."""
        head = [f"# HELP nvidia_smi_{name} {meaning}", f"# TYPE nvidia_smi_{name} {kind}"]
        escaped = {key: re.sub(r'([\\"])', r"\\\1", str(each)) for key, each in labels.items()}
        inside = ",".join(f'{key}="{each}"' for key, each in escaped.items())
        line = f"nvidia_smi_{name}{{{inside}}} {value:.15g}" if labels else f"nvidia_smi_{name} {value:.15g}"
        self.metrics.setdefault(name, head).append(line)

    def text(self) -> str:
        """All of them."""
        return "".join(f"{line}\n" for lines in self.metrics.values() for line in lines)


def describe(page: Page, gpu: ElementTree.Element, index: int, driver: str) -> None:
    """Add what is known of a GPU."""
    labels = {
        "uuid": gpu.findtext("uuid", ""),
        "name": gpu.findtext("product_name", ""),
        "pci_bus_id": gpu.get("id", ""),
    }
    page.add("gpu_info", GAUGE, "What the GPU is.", 1, gpu=index, **labels, driver_version=driver)
    for name, kind, meaning, places in VALUES:
        if (value := number(found(gpu, places))) is not None:
            page.add(name, kind, meaning, value, gpu=index)
    for name, meaning, places, yes in FLAGS:
        if (word := found(gpu, places)) is not None:
            page.add(name, GAUGE, meaning, word == yes, gpu=index)
    for reason in SLOWDOWNS:
        places = [f"clocks_{name}_reasons/clocks_{name}_reason_{reason}" for name in ("event", "throttle")]
        if (word := found(gpu, places)) is not None:
            meaning = "Whether the clock is held down for this reason (1)."
            page.add("slowdown", GAUGE, meaning, word == "Active", gpu=index, reason=reason)
    for count in gpu.findall("ecc_errors/aggregate/*"):
        match = re.fullmatch(r"(sram|dram)_(correctable|uncorrectable(?:_\w+)?)", count.tag)
        if match and (value := number((count.text or "").strip())) is not None:
            meaning = "Errors of memory in the GPU's life."
            page.add("ecc_errors_total", COUNTER, meaning, value, gpu=index, memory=match[1], error=match[2])


def complain(words: object) -> None:
    """Tell the journal."""
    sys.stderr.write(f"nvidia-smi: {' '.join(str(words).split())}\n")


def ask() -> str:
    """What nvidia-smi answers; nothing if it cannot."""
    command = ["nvidia-smi", "-q", "-x"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        complain(error)
        return ""
    if done.returncode != 0:
        complain(done.stdout + done.stderr)
        return ""
    return done.stdout


def render(answer: str) -> str:
    """The metrics that are in an answer."""
    page = Page()
    log = None
    if answer:
        try:
            log = ElementTree.fromstring(answer)  # noqa: S314 (it comes from the driver)
        except ElementTree.ParseError as error:
            complain(f"its answer is no XML: {error}")
    page.add("up", GAUGE, "Whether nvidia-smi could ask the driver (1).", log is not None)
    if log is not None:
        gpus = log.findall("gpu")
        page.add("gpus", GAUGE, "GPUs that the driver has.", len(gpus))
        for index, gpu in enumerate(gpus):
            describe(page, gpu, index, log.findtext("driver_version", ""))
    return page.text()


def main() -> int:
    """Write them."""
    if len(sys.argv) not in (2, 3) or sys.argv[2:] not in ([], ["-"]):
        sys.stderr.write(__doc__)
        return 2
    text = render(sys.stdin.read() if sys.argv[2:] else ask())
    if sys.argv[1] == "-":
        sys.stdout.write(text)
        return 0
    out = Path(sys.argv[1])
    with tempfile.NamedTemporaryFile("w", dir=out.parent, prefix=".slipway-gpu.", delete=False) as file:
        file.write(text)
    Path(file.name).chmod(0o644)
    Path(file.name).replace(out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
