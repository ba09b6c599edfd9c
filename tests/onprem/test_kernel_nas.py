"""A NAS and a trainer, each with a kernel of its own, made by the roles: what is mounted, seen on the wire, refused.

The kernel is Linux 6.12 of Debian 13 as a program. Disks are files of this machine, and wires its links:
both are searched for a marker, and both are searched where it must be found, so that to find nothing says something.
"""

import contextlib
import functools
import json
import mmap
import os
import subprocess

import pytest
import yaml
from capture import Wire
from lab import site
from machine import Machine

PASSPHRASE, VOLUME_PASSPHRASE = "correct horse battery", "the passphrase of the volume"
DEVICE, VOLUME = "/dev/ubdb", "slipway-nas"
SERVED, STORE, OPEN = "/srv/slipway-nas/slipway", "/srv/slipway", "/srv/open"
MARKER = b"marker-that-must-not-be-seen-in-clear\n"
TIMES = 2000
PACKAGES = [
    *("nfs-kernel-server", "ktls-utils", "cryptsetup-bin", "quota", "e2fsprogs"),
    *("nfs-common", "python3-cryptography", "openssl"),
]
"""Of the roles, which find them."""
AS_SITE = ["setpriv", "--reuid=64000", "--regid=64000", "--clear-groups"]

pytestmark = [
    pytest.mark.deep,
    pytest.mark.slow,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(os.geteuid() != 0, reason="machines of their own need root"),
]


class Nas:
    """The two machines, and playbooks of the roles."""

    def __init__(self, lab):
        self.lab, self.nas, self.trainer = lab, lab.hosts["nas-1"], lab.hosts["gpu-1"]
        self.secrets = lab.inventory.parent / "secrets"
        lab.write_inventory(
            {"nas": ["nas-1"], "gpu": ["gpu-1"]},
            nas_transport="xprtsec", nas_server_device=DEVICE, nas_server_key="file", nas_server_quota_gib=1,
        )  # fmt: skip

    def play(self, name, *plays, check=True, **variables):
        """Apply roles to hosts: of each play the hosts, and the roles."""
        path = self.lab.folder / f"{name}.yml"
        # Facts take long, and roles ask for few of them.
        facts = {"gather_facts": True, "gather_subset": ["!all"]}
        written = [{"name": hosts, "hosts": hosts, "become": True, **facts, "roles": roles} for hosts, roles in plays]
        path.write_text(yaml.safe_dump(written, sort_keys=False))
        extra = json.dumps({"certificates_passphrase": PASSPHRASE, **variables})
        return self.lab.play(path, "--extra-vars", extra, check=check)

    def up(self, **keys):
        return self.play("up", ("nas:gpu", ["certificates"]), ("nas", ["nas_server"]), ("gpu", ["nas_client"]), **keys)

    def mount(self, *options, what=SERVED):
        """Try to mount a folder of the NAS on the trainer; unmounted at once where that worked."""
        given = ",".join(("vers=4.2", "proto=tcp", "soft", "timeo=50", "retrans=1", "retry=0", *options))
        source = f"{self.nas.address}:{what}"
        tried = self.trainer.run("timeout", "90", "mount", "-t", "nfs4", "-o", given, source, "/mnt", check=False)
        if not tried.returncode:
            self.trainer.run("umount", "/mnt")
        return tried


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
        made = Nas(lab)
        made.up()
        yield made


@contextlib.contextmanager
def unmounted(nas):
    """While the trainer has nothing of the NAS: mounts of one server share a connection, so one more tells nothing."""
    units = ["slipway-nas-watch.timer", "srv-slipway.automount"]
    nas.trainer.run("systemctl", "stop", *units, "srv-slipway.mount")
    try:
        yield
    finally:
        nas.trainer.run("systemctl", "start", *units)


def write(machine, path):
    """Write a file full of markers, as the site's user."""
    script = f"import os\nwith open({path!r}, 'wb') as f: f.write({MARKER!r} * {TIMES}); os.fsync(f.fileno())"
    machine.run(*AS_SITE, "python3", "-c", script)


def carry(nas, folder, there):
    """Write a file full of markers on the trainer and read it again, both over the wire; what passed there.

    Args:
        folder: where the trainer has the NAS's folder.
        there: that folder on the NAS.
    """
    with Wire(nas.trainer.wire) as wire:
        write(nas.trainer, f"{folder}/marked")
        nas.trainer.run("sh", "-c", "echo 3 > /proc/sys/vm/drop_caches")
        here = nas.trainer.run(*AS_SITE, "sha256sum", f"{folder}/marked").stdout.split()[0]
    assert here == nas.nas.run("sha256sum", f"{there}/marked").stdout.split()[0]
    # It did pass here, both ways: by NFS's port.
    assert len(wire.seen) > 2 * TIMES * len(MARKER)
    assert (2049).to_bytes(2, "big") in wire.seen
    return bytes(wire.seen)


def on_disk(disk):
    """Whether a disk has a marker anywhere."""
    with disk.open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as content:
        return content.find(MARKER) >= 0


def opens(nas, passphrase):
    """Whether a passphrase opens the volume."""
    command = f"printf %s '{passphrase}' | cryptsetup open --test-passphrase --key-file=- {DEVICE}"
    tried = nas.nas.run("bash", "-c", command, check=False)
    assert tried.returncode in (0, 2), tried.stderr  # 2: no key available with this passphrase
    return not tried.returncode


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


@contextlib.contextmanager
def stranger(nas, machine, name, folder):
    """While a machine shows a certificate with the right names that another authority has signed."""
    stem = nas.lab.folder / "stranger"
    names = f"subjectAltName=DNS:{name},IP:{machine.address}"
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-keyout", f"{stem}.key", "-out", f"{stem}.pem", "-subj", f"/CN={name}", "-addext", names,
        ],
        check=True, capture_output=True,
    )  # fmt: skip
    for end in ("key", "pem"):
        content = stem.with_suffix(f".{end}").read_text()
        machine.run("sh", "-c", f"umask 077; printf %s '{content}' > /root/stranger.{end}")
    conf = f"{folder}/tlshd.conf"
    machine.run("cp", "-p", conf, "/root/tlshd.conf")
    machine.run("sed", "-i", "s|=/etc/slipway-pki/host[.]|=/root/stranger.|", conf)
    machine.run("systemctl", "restart", "tlshd")
    try:
        yield
    finally:
        machine.run("cp", "-p", "/root/tlshd.conf", conf)
        machine.run("systemctl", "restart", "tlshd")


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
    def take(name, mib):
        return nas.trainer.run(*AS_SITE, "fallocate", f"--length={mib}MiB", f"{STORE}/{name}", check=False)

    assert take("most", 900).returncode == 0
    refused = take("more", 200)
    assert refused.returncode
    assert "Disk quota exceeded" in refused.stderr
    nas.trainer.run(*AS_SITE, "rm", "-f", f"{STORE}/most", f"{STORE}/more")
    assert take("more", 200).returncode == 0
    nas.trainer.run(*AS_SITE, "rm", f"{STORE}/more")


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


def test_a_training_goes_on_after_a_power_cut_of_the_nas(nas):
    write(nas.trainer, f"{STORE}/kept")
    nas.nas.crash()
    nas.nas.boot()
    # Its key file opens the volume, and the trainer's mount is hard: it waits, and mounts nothing anew.
    found = nas.trainer.run(*AS_SITE, "timeout", "240", "head", "-n1", f"{STORE}/kept")
    assert found.stdout.encode() == MARKER
    assert "xprtsec=mtls" in nas.trainer.run("findmnt", "-n", "--real", "-o", "OPTIONS", STORE).stdout


def down(nas, **variables):
    """Take it back, as `teardown.yml` does."""
    absent = {f"{role}_state": "absent" for role in ("nas_client", "nas_server", "certificates")}
    roles = ("gpu", ["nas_client"]), ("nas", ["nas_server"]), ("nas:gpu", ["certificates"])
    return nas.play("down", *roles, site_state="leaving", **absent, **variables)


def test_taken_down_the_volume_is_closed_and_its_data_stay(nas):
    said = down(nas)
    assert "The data stay, encrypted, on /dev/ubdb; the passphrase opens it." in " ".join(said.output.split())
    assert nas.nas.run("lsblk", "--noheadings", "--output=TYPE", DEVICE).stdout.split() == ["disk"]
    assert nas.nas.run("cat", "/proc/fs/nfsd/threads", check=False).stdout.strip() in ("", "0")
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
