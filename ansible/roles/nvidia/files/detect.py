"""What a machine has of NVIDIA's. Argument: the folder above sys and usr. Prints JSON.

- `gpus`: PCI addresses of display controllers (class 0x03) by NVIDIA (vendor 0x10de)
- `loaded`: version of the kernel module that is loaded, or ""
- `library`: version of NVML's library on disk, or ""
- `mismatch`: whether these two differ, so that NVML refuses to work
- `nouveau`: whether the free driver has taken the GPUs
- `secure_boot`: whether the kernel takes signed modules only
"""

import json
import re
import sys
from pathlib import Path

VENDOR, CLASS = "0x10de", "0x03"
SECURE_BOOT = "sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
LIBRARIES = ("usr/lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu/nvidia/current", "usr/lib64")


def read(path: Path) -> str:
    """What a file has; nothing where there is none."""
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def order(version: str) -> list[int]:
    """A version as numbers, to compare."""
    return [int(number) for number in re.findall(r"\d+", version)]


def detect(root: Path) -> dict[str, object]:
    """What lies below a folder."""
    devices = sorted((root / "sys/bus/pci/devices").glob("*"))
    loaded = read(root / "sys/module/nvidia/version")
    files = [file.name for folder in LIBRARIES for file in (root / folder).glob("libnvidia-ml.so.*.*")]
    library = max((name.removeprefix("libnvidia-ml.so.") for name in files), key=order, default="")
    variable = root / SECURE_BOOT
    return {
        "gpus": [
            each.name for each in devices if read(each / "vendor") == VENDOR and read(each / "class").startswith(CLASS)
        ],
        "loaded": loaded,
        "library": library,
        "mismatch": bool(loaded and library and loaded != library),
        "nouveau": (root / "sys/module/nouveau").exists(),
        # Four bytes of attributes come first.
        "secure_boot": variable.exists() and variable.read_bytes()[4:] == b"\1",
    }


sys.stdout.write(json.dumps(detect(Path(sys.argv[1]))))
