"""The distribution's own driver on Debian hosts: built, pinned, held, taken up with a reboot, cured, and taken away.

The hosts are containers without a GPU. Real are the packages, the module that DKMS builds for the host's kernel, the
pin, the hold, the initial ram disk, the reboots and the removal. What stands in for the rest: a folder like /sys names
a GPU, and a unit writes there at each boot the version of the module that a kernel would load. No module is ever
loaded. And nvidia-persistenced, which ends where there is no GPU, is a sleep.
"""

import json
import os
import re
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from lab import Played, site

UP = """
- hosts: gpu
  become: true
  roles: [nvidia]
"""
DOWN = """
- hosts: gpu
  become: true
  vars: {site_state: leaving, nvidia_state: absent}
  roles: [nvidia]
- hosts: gpu
  become: true
  gather_facts: false
  vars: {site_state: absent}
  roles: [site]
"""
GPUS = "/opt/gpus"
LOADED = f"{GPUS}/sys/module/nvidia/version"
AT_BOOT = f"""[Service]
Type=oneshot
ExecStart=/bin/sh -c 'mkdir -p {GPUS}/sys/module/nvidia; \\
  modinfo -F version /lib/modules/*/updates/dkms/nvidia-current.ko* > {LOADED} || rm -rf {GPUS}/sys/module/nvidia'
[Install]
WantedBy=multi-user.target
"""
ASLEEP = "[Service]\nType=simple\nPIDFile=\nUser=\nExecStart=\nExecStart=/bin/sleep infinity\nExecStopPost=\n"
REBOOTS = 133
"""What nspawn ends with where the host reboots: to start it again is left to who started it."""
SOURCES, KEPT = "/etc/apt/sources.list", "/root/sources.list"
COMPONENTS = "contrib non-free non-free-firmware"

pytestmark = [
    pytest.mark.deep,
    pytest.mark.slow,
    pytest.mark.timeout(2400),
    pytest.mark.skipif(os.geteuid() != 0, reason="hosts of their own need root"),
]


class Lab:
    """A host with a kernel of its distribution, on which nothing else was installed."""

    def __init__(self, made, folder):
        self.made, self.host, self.boots = made, made.hosts["one"], 0
        self.playbooks = {name: folder / f"{name}.yml" for name in ("up", "down")}
        for name, text in (("up", UP), ("down", DOWN)):
            self.playbooks[name].write_text(text)

    def play(self, name, check=True, **variables):
        """Apply a playbook while the host may reboot."""
        # What runs is this machine's kernel: the host's own is the one that it has installed.
        (kernel,) = [each.name for each in (self.host.root / "lib/modules").iterdir()]
        own = {"nvidia_root": GPUS, "nvidia_kernel": kernel, "nvidia_source": "distribution"}
        given = json.dumps({**own, **variables})
        with ThreadPoolExecutor() as pool, self.made.start(self.playbooks[name], "--extra-vars", given) as process:
            reading = pool.submit(process.stdout.read)
            while process.poll() is None:
                if self.host.process.poll() == REBOOTS:
                    self.host.boot()
                    self.boots += 1
                time.sleep(0.2)
        played = Played(process.returncode, reading.result())
        if check:
            assert played.returncode == 0, played.output
        return played

    def text(self, *command):
        return self.host.run(*command).stdout.strip()

    @property
    def loaded(self):
        return self.text("cat", LOADED)


@pytest.fixture(scope="module", params=["bookworm", "trixie"])
def lab(request, tmp_path_factory):
    # Mitogen does not outlive a host's reboot.
    with pytest.MonkeyPatch.context() as patch, site("nvidia", {"one": request.param}) as made:
        patch.setenv("SLIPWAY_LAB_STRATEGY", "linear")
        made.write_inventory({"gpu": ["one"]})
        host = made.hosts["one"]
        for path, text in (
            (f"{GPUS}/sys/bus/pci/devices/0000:01:00.0/vendor", "0x10de\n"),
            (f"{GPUS}/sys/bus/pci/devices/0000:01:00.0/class", "0x030200\n"),
            ("/etc/systemd/system/at-boot.service", AT_BOOT),
            ("/etc/systemd/system/nvidia-persistenced.service.d/asleep.conf", ASLEEP),
        ):
            there = host.root / path.lstrip("/")
            there.parent.mkdir(parents=True, exist_ok=True)
            there.write_text(text)
        host.run("ln", "-s", "/usr", f"{GPUS}/usr")
        host.run("systemctl", "enable", "at-boot.service")
        host.run("apt-get", "update", "-q")
        kernel = ["linux-image-amd64", "initramfs-tools"]
        host.run("apt-get", "install", "-qy", "--no-install-recommends", *kernel, DEBIAN_FRONTEND="noninteractive")
        yield Lab(made, tmp_path_factory.mktemp("plays"))


def test_an_archive_without_the_driver_is_named(lab):
    said = lab.play("up", check=False)
    assert said.returncode == 2
    words = " ".join(said.output.split())
    assert f"this host has a GPU of NVIDIA, but its archives are without `{COMPONENTS}`" in words


@pytest.fixture(scope="module")
def driven(lab):
    """The host with the driver."""
    lab.host.run("cp", "--archive", SOURCES, KEPT)
    lab.host.run("sed", "-i", rf"s/^\(deb .*\|Components:.*\) main.*/\1 main {COMPONENTS}/", SOURCES)
    lab.host.run("apt-get", "update", "-q")
    lab.play("up")
    return lab


def test_the_module_is_built_and_goes_with_the_library(driven):
    assert driven.boots == 1
    assert re.fullmatch(r"nvidia-current/[\d.]+, \S+, x86_64: installed", driven.text("dkms", "status"))
    (library,) = (driven.host.root / "usr/lib/x86_64-linux-gnu/nvidia/current").glob("libnvidia-ml.so.*.*")
    assert library.name.removeprefix("libnvidia-ml.so.") == driven.loaded


def test_nouveau_is_kept_away_from_the_initial_ram_disk_on(driven):
    listed = driven.text("bash", "-c", "lsinitramfs /boot/initrd.img-*")
    assert "etc/modprobe.d/slipway-nvidia.conf" in listed
    shown = driven.text("modprobe", "--showconfig")
    assert "blacklist nouveau" in shown
    assert "options nouveau modeset=0" in shown


def test_the_driver_is_held_and_the_rest_is_not(driven):
    held = set(driven.text("apt-mark", "showhold").split())
    assert {"nvidia-kernel-dkms", "nvidia-smi", "libcuda1", "libnvidia-ml1", "firmware-nvidia-gsp"} <= held
    assert not held & {"linux-headers-amd64", "linux-image-amd64", "dkms"}


def test_a_second_application_changes_nothing(driven):
    boots = driven.boots
    again = driven.play("up")
    assert (again.changes(), again.changed, driven.boots) == ([], 0, boots)


def test_a_driver_without_a_gpu_is_told_as_one_that_fails(driven):
    """The real nvidia-smi, which finds no device."""
    driven.host.run("systemctl", "start", "slipway-gpu-metrics.service")
    page = driven.text("cat", "/var/lib/prometheus/node-exporter/slipway-gpu.prom")
    assert page.splitlines()[-1] == "nvidia_smi_up 0"
    assert "nvidia-smi: NVIDIA-SMI has failed" in driven.host.log("slipway-gpu-metrics.service")


def test_a_module_that_is_older_than_the_library_is_cured_by_a_reboot(driven):
    boots, right = driven.boots, driven.loaded
    (driven.host.root / LOADED.lstrip("/")).write_text("535.54.03\n")
    refused = driven.play("up", check=False, nvidia_reboot=False)
    assert refused.returncode == 2
    words = " ".join(refused.output.split())
    assert f"takes effect with the next boot (module 535.54.03, library {right}), and nvidia_reboot is false" in words
    assert driven.boots == boots
    driven.play("up")
    assert (driven.boots, driven.loaded) == (boots + 1, right)


def test_a_version_is_pinned(driven):
    version = f"{driven.loaded}*"
    driven.play("up", nvidia_version=version)
    assert re.search(rf"Candidate: {re.escape(driven.loaded)}\S+\n", driven.text("apt-cache", "policy", "libcuda1"))
    assert " 1001\n" in driven.text("apt-cache", "policy", "libcuda1")
    assert "libcuda1" in driven.text("apt-mark", "showhold").split()
    assert "libcuda1" in driven.text("apt-mark", "showhold").split()
    gone = driven.play("up", check=False, nvidia_version="1.2.3*")
    assert gone.returncode == 2
    words = " ".join(gone.output.split())
    assert "nvidia_version: 1.2.3* is in none of the archives, which have " in words
    assert f"{driven.loaded}-" in words
    assert gone.changed == 0
    again = driven.play("up", nvidia_version=version)
    assert again.changes() == []
    old = driven.play("up", check=False, nvidia_kernel="6.1.0-1-amd64")
    assert (old.returncode, old.changed) == (2, 0)
    words = " ".join(old.output.split())
    assert "archives are without linux-headers-6.1.0-1-amd64, so that no driver is built" in words
    # Without it the pin goes, and the timer with its metrics.
    driven.play("up", nvidia_metrics=False)
    assert " 1001\n" not in driven.text("apt-cache", "policy", "libcuda1")
    assert driven.text("bash", "-c", "ls /etc/systemd/system/*/slipway-gpu* /usr/local/sbin/slipway-gpu* || true") == ""
    assert driven.play("up", nvidia_metrics=False).changes() == []


def test_all_of_it_goes_again(driven):
    driven.host.run("mv", KEPT, SOURCES)  # what the test itself has changed
    driven.play("down")
    proof = json.loads((driven.made.inventory.parent / "proofs/one.json").read_text())
    assert proof["unexplained"] == []
    assert driven.text("apt-mark", "showhold") == ""
    assert driven.text("bash", "-c", "dpkg-query -W -f '${Package}\n' | grep -E 'nvidia|dkms|libcuda' || true") == ""
    assert "slipway-nvidia" not in driven.text("bash", "-c", "lsinitramfs /boot/initrd.img-*")
    assert driven.text("bash", "-c", "ls -d /lib/modules/*/updates/dkms/nvidia* 2>/dev/null || true") == ""
    again = driven.play("down")
    assert again.changes() == []
