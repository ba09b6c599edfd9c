"""A driver that is given, on a host: what is not asked for any more goes at once, and the rest with the site."""

import json
import os

import pytest
from lab import site
from test_nvidia_driver import DOWN, GPUS, UP

LIBRARY = "usr/lib/x86_64-linux-gnu/libnvidia-ml.so.580.1.2"
OURS = "find /etc /usr/local /var/lib/prometheus -name 'slipway-*' -not -path '/etc/slipway*' 2>/dev/null | sort"

pytestmark = [
    pytest.mark.deep,
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(os.geteuid() != 0, reason="hosts of their own need root"),
]


def test_what_is_not_asked_for_any_more_goes(tmp_path):
    with site("given", {"one": "trixie"}) as lab:
        lab.write_inventory({"gpu": ["one"]})
        host = lab.hosts["one"]
        gpu = f"{GPUS}/sys/bus/pci/devices/0000:01:00.0"
        for path, text in (
            (f"{gpu}/vendor", "0x10de\n"),
            (f"{gpu}/class", "0x030200\n"),
            (f"{GPUS}/sys/module/nvidia/version", "580.1.2\n"),
            (f"{GPUS}/{LIBRARY}", ""),
            ("/usr/bin/nvidia-smi", "#!/bin/sh\nexit 9\n"),
        ):
            there = host.root / path.lstrip("/")
            there.parent.mkdir(parents=True, exist_ok=True)
            there.write_text(text)
        host.run("chmod", "755", "/usr/bin/nvidia-smi")
        for name, text in (("up", UP), ("down", DOWN)):
            (tmp_path / f"{name}.yml").write_text(text)

        def play(name, **variables):
            given = {"nvidia_root": GPUS, "nvidia_source": "given", **variables}
            return lab.play(tmp_path / f"{name}.yml", "--extra-vars", json.dumps(given))

        play("up")
        assert "slipway-gpu-metrics.timer" in host.run("bash", "-c", OURS).stdout
        # What a driver that was not given has left, and holds.
        record = host.run("bash", "-c", "echo /var/lib/slipway-site/nvidia").stdout.strip()
        host.run("bash", "-c", f"apt-mark hold tar && echo tar > {record}/held && echo x > {record}/wanted")
        for name in ("preferences.d/slipway-nvidia", "sources.list.d/slipway-nvidia.sources"):
            host.run("touch", f"/etc/apt/{name}")
        play("up", nvidia_metrics=False)
        assert host.run("bash", "-c", OURS).stdout.split() == ["/etc/modprobe.d/slipway-nvidia.conf"]
        assert host.run("apt-mark", "showhold").stdout == ""
        assert play("up", nvidia_metrics=False).changes() == []
        play("up")
        play("down")
        proof = json.loads((lab.inventory.parent / "proofs/one.json").read_text())
        assert proof["unexplained"] == []
        assert play("down").changes() == []
