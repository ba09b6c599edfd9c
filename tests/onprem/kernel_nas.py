"""A NAS and a trainer with kernels of their own, and what tests do with them."""

import contextlib
import json
import mmap
import subprocess

import yaml
from capture import Wire

PASSPHRASE, VOLUME_PASSPHRASE = "correct horse battery", "the passphrase of the volume"
DEVICE, VOLUME = "/dev/ubdb", "slipway-nas"
SERVED, STORE, OPEN = "/srv/slipway-nas/slipway", "/srv/slipway", "/srv/open"
BACKUP = "/srv/backup"
"""On the disk of the system, which is another one."""
MARKER = b"marker-that-must-not-be-seen-in-clear\n"
TIMES = 2000
PACKAGES = [
    *("nfs-kernel-server", "ktls-utils", "cryptsetup-bin", "quota", "e2fsprogs", "rsync"),
    *("nfs-common", "python3-cryptography", "openssl"),
]
"""Of the roles, which find them."""
PORT = 2049
AS_SITE = ["setpriv", "--reuid=64000", "--regid=64000", "--clear-groups"]


class Nas:
    """The two machines, and playbooks of the roles.

    Args:
        lab: the site that they are.
        variables: of the inventory, beside the device and the limit.
    """

    def __init__(self, lab, **variables):
        self.lab, self.nas, self.trainer = lab, lab.hosts["nas-1"], lab.hosts["gpu-1"]
        self.secrets = lab.inventory.parent / "secrets"
        lab.write_inventory(
            {"nas": ["nas-1"], "gpu": ["gpu-1"]},
            **{"nas_server_device": DEVICE, "nas_server_key": "file", "nas_server_quota_gib": 1, **variables},
        )

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


@contextlib.contextmanager
def unmounted(nas):
    """While the trainer has nothing of the NAS: mounts of one server share a connection, so one more tells nothing."""
    units = ["slipway-nas-watch.timer", "srv-slipway.automount"]
    nas.trainer.run("systemctl", "stop", *units, "srv-slipway.mount")
    try:
        yield
    finally:
        nas.trainer.run("systemctl", "start", *units)


def limited(nas, words):
    """See that the limit of one GiB holds, and is told in these words."""

    def take(name, mib):
        return nas.trainer.run(*AS_SITE, "fallocate", f"--length={mib}MiB", f"{STORE}/{name}", check=False)

    assert take("most", 900).returncode == 0
    refused = take("more", 200)
    assert refused.returncode
    assert words in refused.stderr
    nas.trainer.run(*AS_SITE, "rm", "-f", f"{STORE}/most", f"{STORE}/more")
    assert take("more", 200).returncode == 0
    nas.trainer.run(*AS_SITE, "rm", f"{STORE}/more")


def write(machine, path):
    """Write a file full of markers, as the site's user."""
    script = f"import os\nwith open({path!r}, 'wb') as f: f.write({MARKER!r} * {TIMES}); os.fsync(f.fileno())"
    machine.run(*AS_SITE, "python3", "-c", script)


def carry(nas, folder, there, port=PORT):
    """Write a file full of markers on the trainer and read it again, both over the wire; what passed there.

    Args:
        folder: where the trainer has the NAS's folder.
        there: that folder on the NAS.
        port: by which it goes.
    """
    with Wire(nas.trainer.wire) as wire:
        write(nas.trainer, f"{folder}/marked")
        nas.trainer.run("sh", "-c", "echo 3 > /proc/sys/vm/drop_caches")
        here = nas.trainer.run(*AS_SITE, "sha256sum", f"{folder}/marked").stdout.split()[0]
    assert here == nas.nas.run("sha256sum", f"{there}/marked").stdout.split()[0]
    # It did pass here, both ways.
    assert len(wire.seen) > 2 * TIMES * len(MARKER)
    assert port.to_bytes(2, "big") in wire.seen
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
