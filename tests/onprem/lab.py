"""Real Debian hosts with their own systemd, in systemd-nspawn: each is a layer over one image, gone when it is left.

They share the network of this machine, or have a link to it alone. Limits of memory and tasks are set in
them, but not enforced by every kernel.
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
DISK_BYTES = 16 << 30
"""Of a disk of its own; it takes the space that is written to."""


@contextlib.contextmanager
def disk(name):
    """A disk of its own for hosts, which goes in one piece: to remove an environment's files one by one takes minutes.

    Where no file can be mounted it is a folder.

    Args:
        name: its own on this machine.
    """
    folder = Path(os.environ.get("SLIPWAY_LAB", "/var/tmp")) / f"slipway-{name}-{os.getpid()}"
    image = folder.with_suffix(".img")
    folder.mkdir()
    try:
        with image.open("wb") as file:
            file.truncate(DISK_BYTES)
        subprocess.run(["mkfs.ext4", "-q", "-O", "^has_journal", "-E", "nodiscard", image], check=True)
        # Nothing on it must outlive this machine.
        mounted = not subprocess.run(["mount", "-o", "loop,nobarrier,noatime", image, folder]).returncode
        try:
            yield folder
        finally:
            if mounted:
                subprocess.run(["umount", "--lazy", folder], check=True)
    finally:
        image.unlink(missing_ok=True)
        shutil.rmtree(folder)


class Host:
    """A host that runs while this is entered.

    Args:
        name: its own on this machine.
        layers: what it has from the start, the uppermost first; the last is the folder that `image.sh` made.
        folder: one that is not there yet, on a file system that overlayfs can write to.
        binds: folders of this machine that it reads: where it sees them, and where they are.
        offline: whether its network is a link to this machine and nothing more, without a route to anything else.

    Attributes:
        near, far: the addresses of that link's ends, this machine's and the host's.
    """

    def __init__(self, name, layers, folder, binds, *, offline=False):
        self.name, self.layers, self.folder, self.offline = name, layers, folder, offline
        self.root, self.upper = folder / "root", folder / "upper"
        self.binds = [f"--bind-ro={there}:{here}" for here, there in binds.items()]
        self.process = None
        self.leader = None
        # One of the 4096 networks of four addresses in 169.254.64.0/18: tests of several people may run at once.
        block, last = divmod(4 * (os.getpid() % 4096), 256)
        self.near, self.far = (f"169.254.{64 + block}.{last + end}" for end in (1, 2))

    def __enter__(self):
        for name in ("root", "upper", "work"):
            (self.folder / name).mkdir(parents=True)
        lower = ":".join(map(str, self.layers))
        layers = f"lowerdir={lower},upperdir={self.upper},workdir={self.folder / 'work'}"
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
        if self.offline:
            options += ["--private-network"]
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
                    return self._link() if self.offline else None
            time.sleep(0.1)
        raise AssertionError(f"{self.name} does not boot:\n{(self.folder / 'console.log').read_text(errors='replace')}")

    def _link(self):
        """Give it a link to this machine; it goes with the host."""
        near = f"lab{self.leader}"
        for command in (
            f"link add {near} type veth peer name host0 netns {self.leader}",
            f"address add {self.near}/30 dev {near}",
            f"link set {near} up",
        ):
            subprocess.run(["ip", *command.split()], check=True)
        for command in (f"address add {self.far}/30 dev host0", "link set host0 up", "link set lo up"):
            self.run("ip", *command.split())
