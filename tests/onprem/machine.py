"""Debian machines with a kernel of their own, user-mode Linux, in a site's network: for what containers do not have."""

import contextlib
import shlex
import shutil
import subprocess
import time

import kernel
from lab import ENVIRONMENT, Host, listens

BOOT_SECONDS = 180
MEMORY_MIB = 1024


class Machine(Host):
    """A host with a kernel of its own and a second disk with nothing on it, /dev/ubdb. For `lab.site`.

    Args:
        packages: what it has besides its image: to install takes minutes on the machine itself.

    Attributes:
        wire: its interface on this machine: all that it says and hears passes there.
        system, data: the files that its disks are.
    """

    interface = "vec0"

    def __init__(self, *arguments, packages=(), **keys):
        super().__init__(*arguments, **keys)
        self.packages = packages
        self.number = int(self.address.rsplit(".", 1)[1])
        self.wire = f"{self.network.bridge}-{self.number}"
        self.system, self.data = self.folder / "system", self.folder / "data"
        self.known, self.control = self.folder / "known_hosts", self.folder / "control"
        self.master = None

    def __exit__(self, *_):
        with contextlib.ExitStack() as stack:
            stack.callback(super().__exit__)
            stack.callback(subprocess.run, ["ip", "link", "delete", self.wire], stderr=subprocess.DEVNULL)
            if self.process is not None:
                self.crash()

    def boot(self):
        """Switch it on; what it wrote before is there."""
        if not self.system.exists():
            self._install()
        # Without gro=1 it drops all that this machine sends in pieces larger than a frame.
        network = f"{self.interface}:transport=tap,ifname={self.wire},gro=1,mac=02:00:00:00:00:{self.number:02x}"
        with (self.folder / "console.log").open("ab") as console:
            self.process = kernel.start(self.system, console, f"ubd1={self.data}", network, memory_mib=MEMORY_MIB)
        end = time.monotonic() + BOOT_SECONDS
        while time.monotonic() < end and self.process.poll() is None:
            if listens(self.address, 22):
                # One connection for all commands: to log in takes a second.
                self.master = subprocess.Popen([*self._ssh, "-M", "-N"], stdin=subprocess.DEVNULL)
                while time.monotonic() < end and self.master.poll() is None and not self.control.exists():
                    time.sleep(0.1)
                self.run("systemctl", "is-system-running", "--wait", check=False)
                return
            time.sleep(0.1)
        shown = (self.folder / "console.log").read_text(errors="replace")
        raise AssertionError(f"{self.name} does not boot:\n{shown[-5000:]}")

    def run(self, *command, check=True, **environment):
        """Run a command on the machine as root; its output is text."""
        variables = [f"{key}={value}" for key, value in {**ENVIRONMENT, **environment}.items()]
        line = shlex.join(["sudo", "env", "--ignore-environment", *variables, *map(str, command)])
        done = subprocess.run([*self._ssh, line], capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if check:
            assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done

    def crash(self):
        """As if its power were cut: nothing of it gets to say a word. What was written is there for the next boot."""
        if self.master is not None:
            self.master.kill()
            self.master.wait()
            self.control.unlink(missing_ok=True)
        kernel.stop(self.process)

    @property
    def _ssh(self):
        options = ["BatchMode=yes", "IdentitiesOnly=yes", "ConnectTimeout=20", "LogLevel=ERROR"]
        options += [f"UserKnownHostsFile={self.known}", f"ControlPath={self.control}"]
        given = [argument for option in options for argument in ("-o", option)]
        return ["ssh", "-i", self.network.key, *given, f"admin@{self.address}"]

    def _install(self):
        """Make its disks of the image and what was written over it, and plug it in."""
        (self.root / "etc/fstab").write_text("")
        with (self.root / "etc/hosts").open("a") as hosts:
            hosts.write(f"127.0.1.1 {self.hostname}\n")
        # Each of these takes half a second whenever systemd reads its units anew, and has nothing to say here.
        generators = self.root / "usr/lib/systemd/system-generators"
        without = self.root / "etc/systemd/system-generators"
        without.mkdir(exist_ok=True)
        for each in generators.glob("systemd-*"):
            if each.name != "systemd-fstab-generator":
                (without / each.name).symlink_to("/dev/null")
        shutil.copytree(kernel.MODULES, self.root / "usr/lib/modules", dirs_exist_ok=True)
        # What Debian's other kernels have without asking.
        (self.root / "etc/modules-load.d/keys.conf").write_text("x509_key_parser\necdsa_generic\n")
        key = (self.root / "etc/ssh/ssh_host_ed25519_key.pub").read_text().split()[:2]
        self.known.write_text(f"{self.address} {' '.join(key)}\n")
        if self.packages:
            apt = "apt-get -q update && DEBIAN_FRONTEND=noninteractive apt-get -qy install --no-install-recommends"
            into = ["chroot", self.root, "env", "-i", f"PATH={ENVIRONMENT['PATH']}", "sh", "-c", f'{apt} "$@"', "apt"]
            done = subprocess.run([*into, *self.packages], capture_output=True, text=True)
            assert done.returncode == 0, done.stdout + done.stderr
        kernel.empty(self.data)
        kernel.install(self.root, self.system)
        for what in (f"tuntap add dev {self.wire} mode tap", f"link set {self.wire} master {self.network.bridge} up"):
            subprocess.run(["ip", *what.split()], check=True)
