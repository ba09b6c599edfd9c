"""Looks how a host of a site is: units, certificates, disks, GPUs, and on the monitor the alerts. It changes nothing.

Takes one JSON object as its argument, and prints one. It runs on the host, with Python from 3.9 and nothing besides.
"""

from __future__ import annotations

import base64
import json
import shutil
import ssl
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

SECONDS = 10.0
UNITS = (
    "slipway*", "prometheus*.service", "grafana-server.service", "rsyslog.service", "nfs-server.service",
    "nftables.service", "tlshd.service", "ssh.service", "nvidia-persistenced.service", "loki.service",
)  # fmt: skip
SHORT_LIVED = (".timer", ".service", ".mount", ".path", ".socket")


def units() -> list[dict[str, str]]:
    """The site's units that are on the host; those that have done their work and ended are left out."""
    listed = _printed("systemctl", "list-units", "--all", "--plain", "--no-legend", "--no-pager", *UNITS)
    found = []
    for line in listed.splitlines():
        name, load, active, sub = [*line.lstrip("* \u25cf").split(None, 4), "", "", ""][:4]
        if load == "loaded" and name.endswith(SHORT_LIVED) and active != "inactive":
            found.append({"unit": name, "active": active, "sub": sub})
    return found


def certificates(folder: str) -> dict[str, float]:
    """Days until the certificates in a folder expire."""
    found = {}
    for path in sorted(Path(folder).glob("*.pem")):
        said = _printed("openssl", "x509", "-noout", "-enddate", "-in", str(path)).strip()
        if said.startswith("notAfter="):
            found[path.name] = round((ssl.cert_time_to_seconds(said.partition("=")[2]) - time.time()) / 86400, 1)
    return found


def disks(paths: list[str]) -> dict[str, dict[str, int]]:
    """Size and free space in MiB; a NAS that does not answer is left out."""
    found = {}
    for path in paths:
        # In a process of its own, which can be ended: whoever asks a NAS that is gone waits for ever.
        row = _printed("stat", "--file-system", "--format=%S %a %b", path).split()
        if len(row) == 3:
            block, free, size = map(int, row)
            found[path] = {"free_mib": block * free // 2**20, "size_mib": block * size // 2**20}
    return found


def gpus() -> dict[str, Any]:
    """`gpus`, each GPU's name, use and memory; `gpu_error` if the driver does not tell."""
    if shutil.which("nvidia-smi") is None:
        return {"gpus": []}
    names = ("name", "utilization.gpu", "memory.used", "memory.total")
    said = _printed("nvidia-smi", f"--query-gpu={','.join(names)}", "--format=csv,noheader").splitlines()
    rows = [list(map(str.strip, line.split(","))) for line in said]
    if any(len(row) != len(names) for row in rows):  # what is wrong it says here, too
        return {"gpus": [], "gpu_error": " ".join(said)[:200]}
    return {"gpus": [dict(zip(names, row)) for row in rows]}  # noqa: B905 (Python 3.9)


def alerts(asked: dict[str, Any]) -> dict[str, Any]:
    """What fires, as Prometheus on this host says; `error` if it does not answer."""
    try:
        # The certificate is in the host's name, and this asks it by its loopback address: the site's CA has to do.
        context = ssl.create_default_context(cafile=f"{asked['pki']}/ca.pem")
        context.check_hostname = False
        url = f"https://127.0.0.1:{asked['port']}/api/v1/alerts"
        password = Path(asked["password_file"]).read_text(encoding="utf-8").strip()
        login = base64.b64encode(f"{asked['user']}:{password}".encode()).decode()
        request = urllib.request.Request(url, headers={"Authorization": f"Basic {login}"})
        with urllib.request.urlopen(request, timeout=SECONDS, context=context) as answer:  # noqa: S310
            found = json.load(answer)["data"]["alerts"]
    except (OSError, ValueError, KeyError) as error:
        return {"error": f"Prometheus does not say: {error}"}
    shown = ("labels", "state", "activeAt", "annotations")
    return {"alerts": [{key: each.get(key) for key in shown} for each in found]}


def status(asked: dict[str, Any]) -> dict[str, Any]:
    """How this host is.

    Args:
        asked: `pki` (the folder of certificates), `paths`, and `prometheus` where it runs here.
    """
    found: dict[str, Any] = {
        "units": units(),
        "certificates": certificates(asked["pki"]),
        "disks": disks(asked["paths"]),
        **gpus(),
        "load": [round(each, 2) for each in map(float, Path("/proc/loadavg").read_text(encoding="ascii").split()[:3])],
    }
    if asked.get("prometheus"):
        found.update(alerts({"pki": asked["pki"], **asked["prometheus"]}))
    return found


def _printed(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout


if __name__ == "__main__":
    sys.stdout.write(json.dumps(status(json.loads(sys.argv[1]))))
