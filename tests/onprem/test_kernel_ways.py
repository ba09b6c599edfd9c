"""The other ways to a NAS, and what opens its volume, with kernels of their own: stunnel, WireGuard; XFS; a TPM.

Both machines run Debian 13 on its Linux 6.12 as a program. The TPM is a program, too (swtpm), which speaks to the
kernel's driver: it shows that the roles, systemd and LUKS do with a TPM what they should, and nothing of chips.
"""

import functools
import os
import shlex

import pytest
from kernel_nas import (
    AS_SITE,
    DEVICE,
    MARKER,
    PACKAGES,
    SERVED,
    STORE,
    VOLUME,
    VOLUME_PASSPHRASE,
    Nas,
    carry,
    limited,
    write,
)
from lab import site
from machine import Machine

pytestmark = [
    pytest.mark.deep,
    pytest.mark.slow,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(os.geteuid() != 0, reason="machines of their own need root"),
]

STUNNEL, WIREGUARD = 20490, 51820
"""Ports of the ways."""
MORE = ["stunnel4", "nftables", "wireguard-tools", "xfsprogs", "swtpm", "tpm2-tools", "systemd-cryptsetup"]
CHIP = """\
[Unit]
Before=slipway-nas-volume.service
[Service]
ExecStartPre=/usr/sbin/modprobe tpm_vtpm_proxy
ExecStart=/usr/bin/swtpm chardev --vtpm-proxy --tpm2 --tpmstate dir=/var/lib/chip --flags startup-clear
ExecStartPost=/bin/sh -c 'until test -e /dev/tpmrm0; do sleep 0.1; done'
[Install]
WantedBy=multi-user.target
"""


@pytest.fixture(scope="module")
def nas():
    """A NAS with XFS on its volume, which its trainer reaches by stunnel."""
    machine = functools.partial(Machine, packages=[*PACKAGES, *MORE])
    with (
        pytest.MonkeyPatch.context() as patch,
        site("ways", {"nas-1": "trixie", "gpu-1": "trixie"}, kind=machine) as lab,
    ):
        patch.setenv("SLIPWAY_NAS_PASSPHRASE", VOLUME_PASSPHRASE)
        made = Nas(lab, nas_server_filesystem="xfs")
        made.up(nas_transport="stunnel")
        yield made


def mounted(nas):
    """What the trainer has mounted: of which kind, the NAS's address, options."""
    write(nas.trainer, f"{STORE}/first")  # which mounts it
    kind, options = nas.trainer.run("findmnt", "-n", "--real", "-o", "FSTYPE,OPTIONS", STORE).stdout.split()
    return kind, options.rpartition(",addr=")[2], options


def connects(machine, address, port, user):
    """Whether a user of a machine reaches a port."""
    script = f"import socket; socket.create_connection(({address!r}, {port}), 5)"
    as_user = ["setpriv", f"--reuid={user}", "--clear-groups", "python3", "-c", script]
    return not machine.run(*as_user, check=False).returncode


def test_the_kernel_mounts_through_stunnel_and_nothing_is_seen(nas):
    kind, address, options = mounted(nas)
    assert (kind, address) == ("nfs4", "127.0.0.1")
    assert f"port={STUNNEL}" in options
    assert "vers=4.2" in options
    assert MARKER.strip() not in carry(nas, STORE, SERVED, STUNNEL)


def test_past_stunnel_there_is_no_way(nas):
    assert nas.mount("port=2049").returncode
    assert not connects(nas.trainer, nas.nas.address, 2049, "root")
    # The tunnel's end on the trainer is the kernel's, who says whose files are whose.
    assert connects(nas.trainer, "127.0.0.1", STUNNEL, "root")
    assert not connects(nas.trainer, "127.0.0.1", STUNNEL, "nobody")


def test_xfs_is_in_the_volume_and_the_limit_holds(nas):
    shown = nas.nas.run("findmnt", "-n", "-o", "SOURCE,FSTYPE,OPTIONS", "/srv/slipway-nas").stdout.split()
    assert shown[:2] == [f"/dev/mapper/{VOLUME}", "xfs"]
    assert "prjquota" in shown[2].split(",")
    limited(nas, "No space left on device")  # which is how XFS says it of a project


def test_a_second_application_changes_nothing(nas):
    again = nas.up(nas_transport="stunnel")
    assert again.changes() == []


def await_file(nas, name, seconds=240):
    """Wait until the trainer reads a file of the NAS."""
    again = f"until head -n1 {STORE}/{name}; do sleep 2; done"
    assert nas.trainer.run(*AS_SITE, "timeout", seconds, "sh", "-c", again).stdout.encode() == MARKER


def by_wireguard(nas, **variables):
    """Apply all roles for WireGuard."""
    roles = ("nas:gpu", ["certificates", "wireguard"]), ("nas", ["nas_server"]), ("gpu", ["nas_client"])
    return nas.play("wireguard", *roles, nas_transport="wireguard", **variables)


def test_the_kernels_wireguard_carries_it_and_nothing_is_seen(nas):
    write(nas.trainer, f"{STORE}/before")
    # As the role says, if it is not done.
    nas.trainer.run("systemctl", "stop", "srv-slipway.automount", "srv-slipway.mount")
    by_wireguard(nas)
    for machine in (nas.nas, nas.trainer):
        assert " wireguard " in machine.run("ip", "-details", "link", "show", "type", "wireguard").stdout
        assert "wireguard" in machine.run("lsmod").stdout
    await_file(nas, "before")
    kind, address, _ = mounted(nas)
    assert kind == "nfs4"
    assert address in nas.nas.run("ip", "address", "show", "type", "wireguard").stdout
    assert MARKER.strip() not in carry(nas, STORE, SERVED, WIREGUARD)


def test_past_wireguard_there_is_no_way(nas):
    assert nas.mount("port=2049").returncode
    assert not connects(nas.trainer, nas.nas.address, 2049, "root")
    _, inside, _ = mounted(nas)
    assert connects(nas.trainer, inside, 2049, "root")
    assert not connects(nas.trainer, inside, 2049, "nobody")


def test_a_tpm_opens_the_volume_after_a_loss_of_power(nas):
    nas.nas.run("install", "--directory", "--mode=700", "/var/lib/chip")
    nas.nas.run("sh", "-c", f"printf %s {shlex.quote(CHIP)} > /etc/systemd/system/chip.service")
    nas.nas.run("systemctl", "daemon-reload")
    nas.nas.run("systemctl", "enable", "--now", "chip.service")
    by_wireguard(nas, nas_server_key="tpm")
    assert "systemd-tpm2" in nas.nas.run("cryptsetup", "luksDump", DEVICE).stdout
    assert nas.nas.run("test", "-e", "/etc/slipway-nas/volume.key", check=False).returncode  # none lies about any more
    write(nas.trainer, f"{STORE}/sealed")
    nas.nas.run("sync")
    nas.nas.crash()
    nas.nas.boot()
    assert nas.nas.run("findmnt", "/srv/slipway-nas", check=False).returncode == 0, nas.nas.log("slipway-nas-volume")
    await_file(nas, "sealed")


def test_another_tpm_opens_nothing_until_it_is_made_good_as_the_page_says(nas):
    nas.nas.run("sh", "-c", "rm -r /var/lib/chip && install --directory --mode=700 /var/lib/chip && sync")
    nas.nas.crash()
    nas.nas.boot()
    opens = ["cryptsetup", "open", "--test-passphrase", "--token-only", DEVICE]
    nas.nas.run("test", "-e", "/dev/tpmrm0")
    assert nas.nas.run(*opens, check=False).returncode
    assert nas.nas.run("findmnt", "/srv/slipway-nas", check=False).returncode
    by_wireguard(nas, nas_server_key="tpm")  # the passphrase opens it
    await_file(nas, "sealed")
    nas.nas.run("systemd-cryptenroll", "--wipe-slot=tpm2", DEVICE)
    by_wireguard(nas, nas_server_key="tpm")
    assert nas.nas.run(*opens).returncode == 0
