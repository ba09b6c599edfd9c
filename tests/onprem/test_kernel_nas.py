"""A NAS and a trainer, each with a kernel of its own, made by the roles: what is mounted, seen on the wire, refused.

The kernel is Linux 6.12 of Debian 13 as a program. Disks are files of this machine, and wires its links:
both are searched for a marker, and both are searched where it must be found, so that to find nothing says something.
"""

import functools
import os
import subprocess
import time

import kernel
import pytest
from kernel_nas import (
    AS_SITE,
    BACKUP,
    DEVICE,
    MARKER,
    OPEN,
    PACKAGES,
    SERVED,
    STORE,
    TIMES,
    VOLUME,
    VOLUME_PASSPHRASE,
    Nas,
    carry,
    limited,
    on_disk,
    opens,
    stranger,
    unmounted,
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

WRITER = f"""
number=0
while number=$((number + 1)); do
  echo $number >> {STORE}/steps && sync {STORE}/steps && echo $number > /var/tmp/told
done
"""
"""Numbers go to the NAS, one after the other; what it said is written is told here."""


@pytest.fixture(scope="module")
def nas():
    """The NAS and its trainer, after the roles were applied."""
    with (
        pytest.MonkeyPatch.context() as patch,
        site(
            "kernel", {"nas-1": "trixie", "gpu-1": "trixie"}, kind=functools.partial(Machine, packages=PACKAGES)
        ) as lab,
    ):
        patch.setenv("SLIPWAY_NAS_PASSPHRASE", VOLUME_PASSPHRASE)
        made = Nas(lab, nas_transport="xprtsec", nas_server_backup_target=BACKUP)
        made.nas.run("install", "-d", "-m", "0700", BACKUP)
        made.up()
        yield made


def test_the_kernels_are_real(nas):
    for machine in (nas.nas, nas.trainer):
        assert machine.run("uname", "-r").stdout.startswith("6.12.")
        assert machine.run("systemd-detect-virt", check=False).stdout == "uml\n"
        assert machine.run("systemctl", "--failed", "--plain", "--no-legend").stdout == ""


def test_a_second_application_changes_nothing(nas):
    again = nas.up()
    assert again.changes() == []
    assert again.changed == 0


def test_nothing_of_a_file_is_seen_on_the_wire(nas):
    mounted = nas.trainer.run("findmnt", "-n", "--real", "-o", "FSTYPE,SOURCE,OPTIONS", STORE).stdout
    assert mounted.split()[:2] == ["nfs4", f"{nas.nas.address}:{SERVED}"]
    assert "vers=4.2" in mounted
    assert "xprtsec=mtls" in mounted
    assert MARKER.strip() not in carry(nas, STORE, SERVED)


def test_the_same_sniff_sees_a_file_that_goes_in_clear(nas):
    nas.nas.run("install", "-d", "-o", "64000", "-g", "64000", OPEN)
    exported = f"{nas.trainer.address}:{OPEN}"
    nas.nas.run("exportfs", "-o", "rw,sync,sec=sys,no_subtree_check,fsid=7,xprtsec=none", exported)
    try:
        with unmounted(nas):
            given = "vers=4.2,proto=tcp,xprtsec=none"
            nas.trainer.run("mount", "-t", "nfs4", "-o", given, f"{nas.nas.address}:{OPEN}", "/mnt")
            try:
                assert carry(nas, "/mnt", OPEN).count(MARKER.strip()) > TIMES
            finally:
                nas.trainer.run("umount", "/mnt")
    finally:
        nas.nas.run("exportfs", "-u", exported)


def test_a_mount_in_clear_or_without_a_certificate_is_refused(nas):
    with unmounted(nas):
        assert nas.mount("xprtsec=mtls").returncode == 0
        for options in (["xprtsec=none"], ["xprtsec=tls"], []):
            refused = nas.mount(*options)
            assert refused.returncode == 32, options
            assert "Operation not permitted" in refused.stderr
        assert nas.mount("xprtsec=mtls").returncode == 0


def test_a_strangers_certificate_is_refused(nas):
    with unmounted(nas):
        assert nas.mount("xprtsec=mtls").returncode == 0
        with stranger(nas, nas.trainer, "gpu-1", "/etc/slipway-nas-client"):
            assert nas.mount("xprtsec=mtls").returncode
        assert nas.mount("xprtsec=mtls").returncode == 0
        # One that says that it is the NAS gets nothing of the trainer's.
        with stranger(nas, nas.nas, "nas-1", "/etc/slipway-nas"):
            assert nas.mount("xprtsec=mtls").returncode
        assert nas.mount("xprtsec=mtls").returncode == 0


def test_root_of_a_trainer_is_nobody(nas):
    refused = nas.trainer.run("ls", STORE, check=False)
    assert "Permission denied" in refused.stderr
    assert nas.trainer.run(*AS_SITE, "ls", STORE).returncode == 0


def test_the_limit_holds(nas):
    limited(nas, "Disk quota exceeded")


def test_what_is_written_is_encrypted_on_the_disk(nas):
    status = nas.nas.run("cryptsetup", "status", VOLUME).stdout
    assert "LUKS2" in status
    assert "aes-xts-plain64" in status
    assert DEVICE in status
    mounted = nas.nas.run("findmnt", "-n", "-o", "SOURCE,OPTIONS", "/srv/slipway-nas").stdout
    assert mounted.startswith(f"/dev/mapper/{VOLUME} ")
    assert {"nodev", "nosuid", "noexec", "prjquota"} <= set(mounted.split()[1].split(","))
    nas.nas.run("install", "-d", "-o", "64000", "-g", "64000", OPEN)
    for folder in (SERVED, OPEN):
        write(nas.nas, f"{folder}/lying")
    assert not on_disk(nas.nas.data)
    assert on_disk(nas.nas.system)


def test_only_the_passphrase_opens_the_volume(nas, monkeypatch):
    assert opens(nas, VOLUME_PASSPHRASE)
    assert not opens(nas, "another passphrase")
    monkeypatch.setenv("SLIPWAY_NAS_PASSPHRASE", "another passphrase")
    refused = nas.play("wrong", ("nas", ["nas_server"]), check=False)
    assert "the passphrase does not open the volume on /dev/ubdb" in " ".join(refused.output.split()), refused.output
    assert refused.changed == 0


MAY_BE_OURS = "does not begin as this site's volume does, and there is a copy of that one's header"


def bring_header(nas):
    """Copy the header that the operator's machine keeps to the NAS."""
    copy = nas.secrets / f"nas-1-{VOLUME}.luks-header"
    subprocess.run(["scp", "-q", "-F", nas.lab.ssh_config, copy, f"admin@{nas.nas.address}:header"], check=True)


def test_a_lost_key_and_a_damaged_header_are_made_good_as_the_page_says(nas):
    write(nas.trainer, f"{STORE}/safe")
    nas.nas.run("rm", "/etc/slipway-nas/volume.key")
    nas.nas.run("sync")
    nas.nas.crash()
    with nas.nas.data.open("r+b") as disk:
        disk.write(bytes(2 * 16384))  # both copies that LUKS2 has on the disk
    nas.nas.boot()
    assert nas.nas.run("cryptsetup", "isLuks", DEVICE, check=False).returncode
    # Without the volume nothing is served.
    assert nas.nas.run("findmnt", "/srv/slipway-nas", check=False).returncode
    assert nas.trainer.run(*AS_SITE, "timeout", "20", "ls", STORE, check=False).returncode
    # Not even the word that allows to format another disk has the role format this one.
    refused = nas.play("damaged", ("nas", ["nas_server"]), check=False, nas_server_format=DEVICE)
    assert MAY_BE_OURS in " ".join(refused.output.split()), refused.output
    assert refused.changed == 0
    bring_header(nas)
    nas.nas.run("cryptsetup", "luksHeaderRestore", "--batch-mode", "--header-backup-file=/home/admin/header", DEVICE)
    nas.up()
    nas.nas.run("cryptsetup", "open", "--test-passphrase", "--key-file=/etc/slipway-nas/volume.key", DEVICE)
    again = f"until head -n1 {STORE}/safe; do sleep 2; done"
    assert nas.trainer.run(*AS_SITE, "timeout", "240", "sh", "-c", again).stdout.encode() == MARKER


def told(nas):
    """The last number that the writer was told is written."""
    return int(nas.trainer.run("cat", "/var/tmp/told", check=False).stdout or 0)


def await_told(nas, number, seconds=300):
    """Wait until it was told so of that number."""
    end = time.monotonic() + seconds
    while told(nas) < number:
        assert time.monotonic() < end, f"{told(nas)} of {number}"
        time.sleep(1)


def test_who_writes_waits_for_a_nas_that_lost_its_power_and_loses_nothing(nas):
    write(nas.trainer, f"{STORE}/kept")
    nas.trainer.run("systemd-run", "--quiet", "--unit=writer", *AS_SITE, "sh", "-c", WRITER)
    await_told(nas, 3)
    nas.nas.crash()
    before = told(nas)
    nas.nas.boot()
    # Its key file opens the volume, and the trainer's mount is hard: it waits, and mounts nothing anew.
    await_told(nas, before + 3)
    nas.trainer.run("systemctl", "stop", "writer")
    numbers = [int(line) for line in nas.nas.run("cat", f"{SERVED}/steps").stdout.split()]
    assert numbers[: told(nas)] == list(range(1, told(nas) + 1))
    assert nas.trainer.run(*AS_SITE, "head", "-n1", f"{STORE}/kept").stdout.encode() == MARKER
    assert "xprtsec=mtls" in nas.trainer.run("findmnt", "-n", "--real", "-o", "OPTIONS", STORE).stdout


def test_a_dead_disk_is_replaced_and_the_backup_restored_as_the_page_says(nas):
    write(nas.trainer, f"{STORE}/kept")
    assert "1 copies" in nas.nas.run("slipway-nas-backup", "make").stdout
    write(nas.trainer, f"{STORE}/since")
    # In a worker's place: its signs of life, each second.
    beats = f"while sleep 1; do mkdir -p {STORE}/queue && date --rfc-3339=ns > {STORE}/queue/beat; done"
    nas.trainer.run("systemd-run", "--quiet", "--unit=slipway-worker@0", *AS_SITE, "sh", "-c", beats)
    nas.nas.crash()
    kernel.empty(nas.nas.data)
    nas.nas.boot()
    nas.trainer.run("systemctl", "stop", "slipway-worker@*")
    refused = nas.play("new-disk", ("nas", ["nas_server"]), check=False)
    assert MAY_BE_OURS in " ".join(refused.output.split()), refused.output
    (nas.secrets / f"nas-1-{VOLUME}.luks-header").rename(nas.secrets / "dead-disk.luks-header")
    nas.up()
    assert nas.nas.run("ls", SERVED).stdout == ""
    nas.nas.run("slipway-nas-backup", "restore", "latest")
    assert f"is the same as {SERVED}" in nas.nas.run("slipway-nas-backup", "verify", "latest").stdout
    # The trainer's mount is stale, and is made anew by itself.
    again = f"until head -n1 {STORE}/kept; do sleep 2; done"
    assert nas.trainer.run(*AS_SITE, "timeout", "240", "sh", "-c", again).stdout.encode() == MARKER
    assert not nas.trainer.run(*AS_SITE, "ls", STORE).stdout.count("since")
    bring_header(nas)
    of_copy, of_disk = (nas.nas.run("cryptsetup", "luksUUID", each).stdout for each in ("/home/admin/header", DEVICE))
    assert of_copy == of_disk


def down(nas, **variables):
    """Take it back, as `teardown.yml` does."""
    absent = {f"{role}_state": "absent" for role in ("nas_client", "nas_server", "certificates")}
    roles = ("gpu", ["nas_client"]), ("nas", ["nas_server"]), ("nas:gpu", ["certificates"])
    return nas.play("down", *roles, site_state="leaving", **absent, **variables)


def test_taken_down_the_volume_is_closed_and_its_data_stay(nas):
    said = down(nas)
    assert "The data stay, encrypted, on /dev/ubdb; the passphrase opens it." in " ".join(said.output.split())
    assert nas.nas.run("lsblk", "--noheadings", "--output=TYPE", DEVICE).stdout.split() == ["disk"]
    assert nas.nas.run("exportfs").stdout == ""  # its packages were there before: the server is as they left it
    header = nas.secrets / f"nas-1-{VOLUME}.luks-header"
    assert header.is_file()
    assert not opens(nas, "another passphrase")
    assert nas.nas.run("test", "-e", "/etc/slipway-nas/volume.key", check=False).returncode
    script = (
        f"printf %s '{VOLUME_PASSPHRASE}' | cryptsetup open --key-file=- {DEVICE} looked && "
        "mount -o ro /dev/mapper/looked /mnt && head -n1 /mnt/slipway/kept; umount /mnt; cryptsetup close looked"
    )
    assert nas.nas.run("bash", "-c", script).stdout.encode() == MARKER
    # Destroyed for good: neither the passphrase nor a copy of the header on the operator's machine is left.
    said = down(nas, nas_server_shred=VOLUME)
    assert "The data of /dev/ubdb are destroyed." in " ".join(said.output.split())
    assert not header.exists()
    assert nas.nas.run("cryptsetup", "isLuks", DEVICE, check=False).returncode
    assert nas.nas.run("wipefs", "--no-act", DEVICE).stdout == ""
