"""What NVIDIA's archive has. Arguments: its address, the name of its key's file, and names of packages. Prints JSON.

- `why`: why it cannot be told, or ""
- `lacking`: packages that it does not have
- `branches`: those that a package keeps apt on
- `versions`: of the first package of the driver
"""

import gzip
import json
import re
import sys
import urllib.request

SECONDS = 30
PINNING = "nvidia-driver-pinning-"


def fetch(url: str) -> bytes:
    """What is at an address."""
    with urllib.request.urlopen(url, timeout=SECONDS) as answer:  # noqa: S310 (of the inventory)
        return bytes(answer.read())


def look(address: str, key: str, names: list[str]) -> dict[str, object]:
    """What the archive has of packages."""
    try:
        fetch(address + key)
        listed = gzip.decompress(fetch(address + "Packages.gz")).decode()
    except (OSError, EOFError, ValueError) as error:
        return {"why": f"{key} and Packages.gz: {error}", "lacking": [], "branches": [], "versions": []}
    found = re.findall(r"^Package: (\S+)\n(?:.+\n)*?Version: (\S+)", listed, re.MULTILINE)
    there = {name for name, _ in found}
    branches = {name[len(PINNING) :] for name in there if re.fullmatch(PINNING + r"\d+", name)}
    first = next((name for name in names if not name.startswith(PINNING)), "")
    return {
        "why": "",
        "lacking": [name for name in names if name not in there],
        "branches": sorted(branches, key=int),
        "versions": sorted({version for name, version in found if name == first}),
    }


sys.stdout.write(json.dumps(look(sys.argv[1], sys.argv[2], sys.argv[3:])))
