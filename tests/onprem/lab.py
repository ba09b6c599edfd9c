"""Real Debian hosts with their own systemd, in systemd-nspawn: each is a layer over one image, gone when it is left.

They share the network of this machine. Limits of memory and tasks are set in them, but not enforced by every kernel.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LANG": "C.UTF-8",
    "HOME": "/root",
}
CGROUPS = Path("/sys/fs/cgroup")
BOOT_SECONDS = 60


class Host:
    """A host that runs while this is entered.

    Args:
        name: its own on this machine.
        image: the folder that `image.sh` made.
        folder: an empty folder, on a file system that overlayfs can write to.
        binds: folders of this machine that it reads: where it sees them, and where they are.
    """

    def __init__(self, name, image, folder, binds):
        self.name, self.image, self.folder = name, image, folder
        self.root = folder / "root"
        self.binds = [f"--bind-ro={there}:{here}" for here, there in binds.items()]
        self.process = None
        self.leader = None

    def __enter__(self):
        for name in ("root", "upper", "work"):
            (self.folder / name).mkdir(parents=True)
        layers = f"lowerdir={self.image},upperdir={self.folder / 'upper'},workdir={self.folder / 'work'}"
        subprocess.run(["mount", "-t", "overlay", "overlay", "-o", layers, self.root], check=True)
        try:
            (self.root / "etc/hostname").write_text(f"{self.name}\n")
            self.boot()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if self.process is not None:
            if self.process.poll() is None and self.leader:
                os.kill(self.leader, signal.SIGRTMIN + 4)  # systemd(1): poweroff.target
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(30)
            self.process.kill()
            self.process.wait()
        subprocess.run(["umount", "--lazy", self.root], check=True)
        shutil.rmtree(self.folder)
        for hierarchy in self._hierarchies():
            for group in sorted((hierarchy / self._group).rglob("*/"), reverse=True):
                with contextlib.suppress(OSError):
                    group.rmdir()
            with contextlib.suppress(OSError):
                (hierarchy / self._group).rmdir()

    def run(self, *command, check=True, **environment):
        """Run a command on the host as root; its output is text."""
        variables = [f"{key}={value}" for key, value in {**ENVIRONMENT, **environment}.items()]
        enter = ["nsenter", f"--target={self.leader}", "--all", "--wd", "env", "--ignore-environment", *variables]
        done = subprocess.run([*enter, *map(str, command)], capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if check:
            assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done

    def properties(self, unit):
        """What systemd knows of a unit."""
        shown = self.run("systemctl", "show", unit).stdout
        return dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)

    def wait(self, unit, done, seconds=120):
        """Wait until a unit's properties are as a function wants them."""
        end = time.monotonic() + seconds
        while not done(found := self.properties(unit)):
            assert time.monotonic() < end, f"{unit}: {found}\n{self.log(unit)}"
            time.sleep(0.3)
        return found

    def log(self, unit):
        """What a unit wrote, by itself."""
        return self.run("journalctl", "--unit", unit, "--output=cat", "--no-pager").stdout

    @property
    def _group(self):
        return f"lab-{self.name}"

    @staticmethod
    def _hierarchies():
        """The cgroup hierarchies that systemd needs: one on most machines, two on those in hybrid mode."""
        hybrid = [CGROUPS / name for name in ("systemd", "unified") if (CGROUPS / name).is_dir()]
        return hybrid or [CGROUPS]

    def boot(self):
        """Switch it on; what it wrote before is there."""
        # Without a machined each host must have a control group of its own.
        scopes = [hierarchy / self._group for hierarchy in self._hierarchies()]
        for scope in scopes:
            scope.mkdir(exist_ok=True)
        joined = " && ".join(f"echo $$ > {scope}/cgroup.procs" for scope in scopes)
        options = ["--quiet", f"--directory={self.root}", f"--machine={self.name}", "--register=no", "--keep-unit"]
        options += ["--resolv-conf=copy-host", "--timezone=off", "--link-journal=no", "--console=pipe", "--boot"]
        with (self.folder / "console.log").open("wb") as console:
            self.process = subprocess.Popen(
                ["bash", "-c", f'{joined} && exec systemd-nspawn "$@"', "boot", *options, *self.binds],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
                env={**os.environ, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"},
                start_new_session=True,
            )
        end = time.monotonic() + BOOT_SECONDS
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        while time.monotonic() < end and self.process.poll() is None:
            found = children.read_text().split()
            if found:
                self.leader = int(found[0])
                state = self.run("systemctl", "is-system-running", check=False).stdout.strip()
                if state in ("running", "degraded"):
                    return
            time.sleep(0.1)
        raise AssertionError(f"{self.name} does not boot:\n{(self.folder / 'console.log').read_text(errors='replace')}")
