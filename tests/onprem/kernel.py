"""A Debian on a kernel of its own, user-mode Linux, for what containers merely accept, such as a limit of memory."""

import contextlib
import os
import shutil
import signal
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
KERNEL = ROOT / ".tools/kernel"
MODULES = KERNEL / "lib/modules"
DISK_BYTES = 3 << 30
"""Of a disk; it takes the space that is written to."""
MEMORY_MIB = 768

CHECK = """\
[Unit]
Description=What the test wants to know
Requires=test.mount
After=test.mount multi-user.target

[Service]
Type=oneshot
ExecStart=/bin/bash /test/check.sh
ExecStopPost=/bin/systemctl --no-block poweroff
StandardOutput=file:/test/output
StandardError=inherit
TimeoutStartSec=600
"""
"""It can see the host's folder at /test, and the machine goes off when it has ended."""


def empty(disk):
    """Make a disk with nothing on it."""
    with disk.open("wb") as file:
        file.truncate(DISK_BYTES)


def install(tree, disk):
    """Make a disk with what is in a folder; as on other machines, its file system outlives a loss of power."""
    empty(disk)
    subprocess.run(["mkfs.ext4", "-q", "-F", "-d", tree, disk], check=True)


def start(disk, console, *more, memory_mib=MEMORY_MIB):
    """Start a machine from a disk. It keeps its memory in /dev/shm.

    Args:
        console: what it writes to.
        more: of the kernel's command line.
    """
    assert KERNEL.is_dir(), f"{KERNEL} is missing: make .tools/.kernel"
    machine = [f"mem={memory_mib}M", f"ubd0={disk}", "root=/dev/ubda", "rw", "con=null", "con0=null,fd:1", "panic=1"]
    return subprocess.Popen(
        ["./linux", *machine, *more],
        stdin=subprocess.DEVNULL,
        stdout=console,
        stderr=subprocess.STDOUT,
        cwd=KERNEL,
        env={**os.environ, "LD_LIBRARY_PATH": "lib/host"},
        start_new_session=True,
    )


def stop(process):
    """As if its power were cut."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def boot(base, folder, script, files, seconds=300):
    """Boot, run a script as root, switch off.

    Args:
        base: the folder that `image.sh` made.
        folder: for the disk and what is written; there is none of that name yet.
        script: of bash; /test is `folder / "test"`, which it may write to.
        files: contents of files by their paths there, put over those of the image.
        seconds: until it must have ended.

    Returns:
        What the script wrote, and the console.
    """
    tree, test, disk = folder / "tree", folder / "test", folder / "disk"
    test.mkdir(parents=True)
    (test / "check.sh").write_text(script)
    units = "etc/systemd/system"
    own = {
        f"{units}/test.mount": "[Mount]\nWhat=none\nWhere=/test\nType=hostfs\nOptions=" + f"{test}\n",
        f"{units}/check.service": CHECK,
        "etc/fstab": "",
    }
    subprocess.run(["cp", "--archive", "--reflink=auto", base, tree], check=True)
    try:
        for path, content in {**own, **files}.items():
            (tree / path).parent.mkdir(parents=True, exist_ok=True)
            (tree / path).write_text(content)
        wants = tree / units / "multi-user.target.wants"
        wants.mkdir(parents=True, exist_ok=True)
        (wants / "check.service").symlink_to("../check.service")
        install(tree, disk)
    finally:
        shutil.rmtree(tree)
    with (folder / "console").open("wb") as console:
        process = start(disk, console, "systemd.mask=systemd-udevd.service")
        try:
            process.wait(seconds)
        finally:
            stop(process)
    said, shown = test / "output", (folder / "console").read_text(errors="replace")
    assert said.exists(), f"exit code {process.returncode}\n{shown[-5000:]}"
    return said.read_text(), shown
