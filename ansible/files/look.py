"""Looks at a host before anything of a site is on it: what it reaches, its clock, its disks. It changes nothing.

Takes one JSON object as its argument, and prints one. It runs on the host, with Python from 3.9 and nothing besides.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

SECONDS = 4.0
NO_ANSWER = f"no answer within {SECONDS:.0f} s"
LISTS = Path("/var/lib/apt/lists")
PORTS = {"http": 80, "https": 443, "ftp": 21}
LOCAL = ("file", "copy")
PROXY = re.compile(r'Acquire::(https?)::Proxy "([^"]+)";', re.IGNORECASE)


def unreached(host: str, port: int, *, open_needed: bool = False) -> str | None:
    """Why a port of another machine is not reached; None if it is.

    A refusal comes from the machine itself, so there is a route, and nothing on the way drops packets.
    """
    try:
        socket.create_connection((host, port), SECONDS).close()
    except ConnectionRefusedError:
        return "refused" if open_needed else None
    except socket.timeout:  # noqa: UP041 (of its own kind before Python 3.10)
        return NO_ANSWER
    except OSError as error:
        return str(error.strerror or error)
    return None


def archives() -> dict[str, tuple[str, int] | None]:
    """Host and port of each archive that apt fetches from, or of the proxy before it; None for one on this host."""
    settings = _printed("apt-config", "dump")
    proxies = {kind.lower(): uri for kind, uri in PROXY.findall(settings) if uri != "DIRECT"}
    found: dict[str, tuple[str, int] | None] = {}
    for uri in re.findall(r"^'([^']+)'", _printed("apt-get", "update", "--print-uris"), re.MULTILINE):
        parts = urlsplit(_mirror(uri))
        if parts.scheme in PORTS and parts.hostname:
            via = urlsplit(proxies.get(parts.scheme, parts.geturl()))
            found[parts.hostname] = (via.hostname or parts.hostname, via.port or PORTS.get(via.scheme, 80))
        elif parts.scheme in LOCAL:
            found[parts.scheme] = None
    return found


def _mirror(uri: str) -> str:
    """Where a list of mirrors leads to: its first one, if the list is a file, as clouds' images of Debian have it."""
    kind, _, rest = uri.partition(":")
    if kind not in {"mirror", "mirror+http", "mirror+https", "mirror+file"}:
        return uri
    if kind != "mirror+file":
        return f"{kind.partition('+')[2] or 'http'}:{rest}"
    path = Path("/", rest.partition("/dists/")[0].lstrip("/"))
    lines = path.read_text().splitlines() if path.is_file() else []
    return next((line.split()[0] for line in lines if line.strip() and not line.startswith("#")), uri)


def missing(names: list[str]) -> list[str]:
    """Packages that are in no archive; none where apt has no lists yet, as on a new machine: nobody can tell then."""
    if not names or not any(LISTS.glob("*_Packages*")):
        return []
    said = _printed("apt-cache", "policy", *names)
    candidates = dict(re.findall(r"^(\S+):\n(?:  .*\n)*?  Candidate: (\S+)", said, re.MULTILINE))
    return [name for name in names if candidates.get(name, "(none)") == "(none)"]


def firewall() -> bool:
    """Whether a site's firewall is loaded: it drops what the inventory did not have when it was."""
    return bool(shutil.which("nft") and _printed("nft", "list", "table", "inet", "slipway"))


def look(asked: dict[str, Any]) -> dict[str, Any]:
    """What this host finds.

    Args:
        asked: `now` (the operator's Unix time), `peers` (each with `address` and `port`), `paths` and `packages`.
    """
    skew = time.time() - asked["now"]
    known = archives()
    with ThreadPoolExecutor(32) as pool:
        peers = [(peer, pool.submit(unreached, peer["address"], peer["port"])) for peer in asked["peers"]]
        mirrors = [(name, pool.submit(unreached, *at, open_needed=True)) for name, at in known.items() if at]
        return {
            "skew": skew,
            "firewall": firewall(),
            "unreached": [
                {**peer, "why": why.result(), "dropped": why.result() == NO_ANSWER}
                for peer, why in peers
                if why.result()
            ],
            "silent": [{"archive": name, "why": why.result()} for name, why in mirrors if why.result()],
            "archives": len(known),
            "missing": missing(asked["packages"]),
            "free_mib": {path: shutil.disk_usage(path).free // 2**20 for path in asked["paths"]},
        }


def _printed(*command: str) -> str:
    environment = {**os.environ, "LC_ALL": "C"}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment).stdout


if __name__ == "__main__":
    sys.stdout.write(json.dumps(look(json.loads(sys.argv[1]))))
