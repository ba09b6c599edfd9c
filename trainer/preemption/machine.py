"""Which cloud this machine belongs to, by what its firmware says: no network is asked."""

from pathlib import Path
from typing import Literal

DMI = Path("/sys/class/dmi/id")
"""Where Linux shows the firmware's tables (https://www.kernel.org/doc/Documentation/ABI/testing/sysfs-firmware-dmi)."""


def cloud(dmi: Path = DMI) -> Literal["ec2", "compute-engine"] | None:
    """The cloud, as `preemption.watch` names it; None on any other machine.

    EC2: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/identify_ec2_instances.html; its older machines, on Xen,
    have it in the firmware's version.
    Compute Engine: https://cloud.google.com/compute/docs/instances/detect-compute-engine.

    Args:
        dmi: the folder with the tables.
    """
    if _read(dmi / "sys_vendor") == "Amazon EC2" or _read(dmi / "bios_version").endswith(".amazon"):
        return "ec2"
    return "compute-engine" if _read(dmi / "product_name") == "Google Compute Engine" else None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
