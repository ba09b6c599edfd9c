"""Real Debian and Ubuntu hosts with their own systemd, in nspawn: each is a layer over one image, gone when it is left.

They share the network of this machine, have a link to it alone, or are a site: on a network of their own, with SSH.
Limits of memory and tasks are set in them, but not enforced by every kernel.
"""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import ansible_mitogen
import testinfra
import yaml
from package_cache import PackageCache

ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LANG": "C.UTF-8",
    "HOME": "/root",
}
CGROUPS = Path("/sys/fs/cgroup")
BOOT_SECONDS = 60
ROOT = Path(__file__).parents[2]
ANSIBLE, IMAGES = ROOT / "ansible", ROOT / ".tools/hosts"
MITOGEN = {
    "ANSIBLE_STRATEGY": "mitogen_linear",
    "ANSIBLE_STRATEGY_PLUGINS": f"{Path(ansible_mitogen.__file__).parent}/plugins/strategy",
}
"""By which Ansible keeps a Python process on each host, instead of starting one per task."""
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


def strategy():
    """Environment variables by which Ansible works with Mitogen; none with SLIPWAY_LAB_STRATEGY=linear."""
    return {"linear": {}, "mitogen": MITOGEN}[os.environ.get("SLIPWAY_LAB_STRATEGY", "mitogen")]


def listens(address, port):
    """Whether somebody listens at a port of TCP."""
    with contextlib.suppress(OSError), socket.create_connection((address, port), timeout=1):
        return True
    return False


class Network:
    """A network of hosts while this is entered: a bridge on this machine, and no way out but a proxy for packages.

    Args:
        folder: for the key of `admin` on its hosts.

    Attributes:
        address: this machine's in it.
    """

    def __init__(self, folder):
        self.bridge, self.key = f"labs{os.getpid()}", folder / "key"
        self.address = self.packages = None

    def __enter__(self):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.key], check=True)
        taken = subprocess.run(["ip", "-4", "route"], capture_output=True, text=True, check=True).stdout
        # One of the 16384 networks of 256 addresses in 10.128.0.0/10: tests of several people may run at once.
        numbers = (number % 16384 for number in range(os.getpid(), os.getpid() + 16384))
        prefixes = (f"10.{128 + number // 256}.{number % 256}" for number in numbers)
        self.prefix = next(prefix for prefix in prefixes if f"{prefix}." not in taken)
        self.address = f"{self.prefix}.1"
        for command in (
            f"link add {self.bridge} type bridge",
            f"address add {self.address}/24 dev {self.bridge}",
            f"link set {self.bridge} up",
        ):
            subprocess.run(["ip", *command.split()], check=True)
        try:
            self.packages = PackageCache(self.address).__enter__()
        except BaseException:
            self._drop()
            raise
        return self

    def __exit__(self, *_):
        self.packages.__exit__()
        self._drop()

    def _drop(self):
        subprocess.run(["ip", "link", "delete", self.bridge], check=True)


class Played:
    """What became of a playbook.

    Attributes:
        hosts: of each host the numbers of its recap, such as `changed`.
    """

    def __init__(self, returncode, output):
        self.returncode, self.output = returncode, output
        recap = output.partition("PLAY RECAP")[2]
        rows = re.findall(r"^(\S+) +: (.*)$", recap, re.MULTILINE)
        self.hosts = {host: {key: int(n) for key, n in re.findall(r"(\w+)=(\d+)", row)} for host, row in rows}

    @property
    def changed(self):
        """How many tasks have changed something, on all hosts."""
        return sum(each["changed"] for each in self.hosts.values())

    def changes(self):
        """The names of tasks that have changed something, each with its host: for a test that expects none."""
        task, found = "", []
        for line in self.output.splitlines():
            if line.startswith(("TASK [", "RUNNING HANDLER [")):
                task = line.split("[", 1)[1].rsplit("]", 1)[0]
            elif re.match(r"(changed|fatal|failed): \[", line):
                found.append(f"{task}: {line[:400]}")
        return found


class Site:
    """Hosts on a network of their own that Ansible reaches by SSH, as `admin`, who may become root.

    Attributes:
        hosts: by the name in the inventory.
        inventory: the inventory's path. Secrets and proofs go into its folder.
        network: whose `address` is this machine's, as the hosts see it: the operator's.
        shared: the folder below which the folders are that all hosts write to, by their paths on the hosts.
    """

    def __init__(self, folder, network, hosts):
        self.folder, self.network, self.hosts, self.shared = folder, network, hosts, folder / "shared"
        self.inventory = folder / "inventory/hosts.yml"
        self.inventory.parent.mkdir()
        self._known = folder / "known_hosts"
        self.know_hosts()
        self.ssh_config = folder / "ssh_config"
        self.ssh_config.write_text(
            f"Host *\n  User admin\n  IdentityFile {network.key}\n  IdentitiesOnly yes\n"
            f"  UserKnownHostsFile {self._known}\n  HostKeyAlgorithms ssh-ed25519\n  StrictHostKeyChecking yes\n"
        )

    def know_hosts(self):
        """Take the keys by which hosts show who they are, as they are now."""
        keys = [(host, host.root / "etc/ssh/ssh_host_ed25519_key.pub") for host in self.hosts.values()]
        lines = (f"{host.address} {' '.join(key.read_text().split()[:2])}\n" for host, key in keys)
        self._known.write_text("".join(lines))

    def write_inventory(self, groups, **variables):
        """Write the inventory: the hosts of each group, and variables of all; a host that is in none is left out.

        Args:
            groups: names of hosts by the names of groups.
            variables: besides those that say how to reach hosts, and who the operator is.
        """
        named = {name for names in groups.values() for name in names}
        addresses = {name: {"ansible_host": host.address} for name, host in self.hosts.items() if name in named}
        everything = {
            "ansible_user": "admin",
            "ansible_ssh_common_args": f"-F {self.ssh_config}",
            "ansible_python_interpreter": "/usr/bin/python3",
            "site_operators": [f"{self.network.address}/32"],
            **variables,
        }
        children = {group: {"hosts": dict.fromkeys(names)} for group, names in groups.items()}
        content = {"all": {"hosts": addresses, "vars": everything, "children": children}}
        self.inventory.write_text(yaml.safe_dump(content, sort_keys=False))

    def start(self, playbook, *options):
        """Start a playbook, in a process group of its own; its output can be read."""
        (self.folder / "home").mkdir(exist_ok=True)
        environment = {
            **os.environ,
            **strategy(),
            "ANSIBLE_CONFIG": str(ANSIBLE / "ansible.cfg"),
            "ANSIBLE_ROLES_PATH": str(ANSIBLE / "roles"),
            "ANSIBLE_HOME": str(self.folder / "home"),
            "ANSIBLE_SSH_CONTROL_PATH_DIR": str(self.folder / "cp"),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_INVENTORY_UNPARSED_FAILED": "1",
        }
        command = [
            Path(sys.executable).with_name("ansible-playbook"),
            "--inventory",
            self.inventory,
            playbook,
            *options,
        ]
        return subprocess.Popen(
            list(map(str, command)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment,
            start_new_session=True,
        )

    def play(self, playbook, *options, check=True):
        """Apply a playbook, and see what became of it."""
        with self.start(playbook, *options) as process:
            try:
                output = process.stdout.read()
            except BaseException:  # such as Ctrl-C: the play is of another process group, and would go on
                os.killpg(process.pid, signal.SIGTERM)
                raise
        played = Played(process.returncode, output)
        if check:
            assert played.returncode == 0, output
        return played

    def play_until(self, playbook, words, *options):
        """Apply a playbook and kill it as soon as it says certain words; what it had said."""
        said = []
        with self.start(playbook, *options) as process:
            for line in process.stdout:
                said.append(line)
                if words in line:
                    break
            else:
                raise AssertionError(f"it never said {words!r}:\n{''.join(said)}")
            os.killpg(process.pid, signal.SIGKILL)
        return "".join(said)

    def look(self, name):
        """A host as pytest-testinfra sees it, as root."""
        return testinfra.get_host(f"ssh://admin@{self.hosts[name].address}", ssh_config=str(self.ssh_config), sudo=True)


@contextlib.contextmanager
def site(name, hosts, binds=None, shared=(), kind=None):
    """A site of bare hosts.

    Args:
        name: its own on this machine.
        hosts: the suite of each host, of Debian or Ubuntu, by its name in the inventory.
        binds: folders of this machine that all of them read: where they see them, and where they are.
        shared: where each has a folder that all of them write to, as if it were mounted from a NAS of another make.
        kind: what each is, if not a `Host`.
    """
    for suite in {*hosts.values()}:
        assert (IMAGES / suite).is_dir(), f"{IMAGES / suite} is missing: make .tools/.hosts"
    with disk(name) as place, Network(place) as network, contextlib.ExitStack() as stack:
        made = {
            each: (kind or Host)(
                f"{each}-{os.getpid()}", [IMAGES / suite], place / each, binds or {},
                network=network, address=f"{network.prefix}.{number}", hostname=each,
            )
            for number, (each, suite) in enumerate(hosts.items(), 11)
        }  # fmt: skip
        for here in shared:
            folder = place / "shared" / str(here).strip("/")
            folder.mkdir(parents=True)
            for host in made.values():
                host.binds.append(f"--bind={folder}:{here}")
        with ThreadPoolExecutor() as pool:
            entering = [(host, pool.submit(host.__enter__)) for host in made.values()]
        for host, entered in entering:
            if entered.exception() is None:
                stack.push(host)
        for _, entered in entering:
            entered.result()
        yield Site(place, network, made)


class Host:
    """A host that runs while this is entered.

    Args:
        name: its own on this machine.
        layers: what it has from the start, the uppermost first; the last is the folder that `image.sh` made.
        folder: one that is not there yet, on a file system that overlayfs can write to.
        binds: folders of this machine that it reads: where it sees them, and where they are.
        offline: whether its network is a link to this machine and nothing more, without a route to anything else.
        network, address: the network of a site that it is in, and its address there. It then has SSH.
        hostname: what it calls itself, if not its name.

    Attributes:
        near, far: the addresses of that link's ends, this machine's and the host's.
        interface: what it calls its network.
    """

    interface = "host0"

    def __init__(self, name, layers, folder, binds, *, offline=False, network=None, address=None, hostname=None):
        self.name, self.layers, self.folder, self.offline = name, layers, folder, offline
        self.network, self.address, self.hostname = network, address, hostname or name
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
            (self.root / "etc/hostname").write_text(f"{self.hostname}\n")
            if self.network:
                self._join()
            self.boot()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if self.process is not None:
            if self.process.poll() is None and self.leader:
                os.kill(self.leader, signal.SIGRTMIN + 4)  # systemd(1): poweroff.target
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                # Without nspawn it would live on: with its process 1 go all others of its namespace.
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self.leader or self.process.pid, signal.SIGKILL)
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
        options += ["--timezone=off", "--link-journal=no", "--console=pipe", "--boot"]
        options += [f"--resolv-conf={'off' if self.network else 'copy-host'}"]
        if self.offline:
            options += ["--private-network"]
        if self.network:
            options += [f"--network-bridge={self.network.bridge}"]
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
                if state in ("running", "degraded") and (not self.network or listens(self.address, 22)):
                    return self._link() if self.offline else None
            time.sleep(0.1)
        raise AssertionError(f"{self.name} does not boot:\n{(self.folder / 'console.log').read_text(errors='replace')}")

    def crash(self):
        """As if its power were cut: nothing of it gets to say a word. What was written is there for the next boot."""
        os.kill(self.leader, signal.SIGKILL)  # with process 1 go all others of its namespace
        self.process.wait()

    def reinstall(self):
        """As if one that is off got a new disk: the bare system, which shows itself by other keys of SSH."""
        subprocess.run(["umount", "--lazy", self.root], check=True)
        for each in (self.root, self.upper, self.folder / "work"):
            shutil.rmtree(each)
        self.__enter__()

    def _join(self):
        """Write what an installer would have: the network, a key for `admin`, and how apt gets its packages."""
        etc, network = self.root / "etc", self.network
        # Ubuntu's sshd is started by the first connection, from 22.10 on.
        socket = (self.root / "usr/lib/systemd/system/ssh.socket").read_text()
        by_socket = ("sockets.target.wants/ssh.socket", "ssh.service.requires/ssh.socket")
        ssh = by_socket if "RequiredBy=ssh.service" in socket else ("multi-user.target.wants/ssh.service",)
        for enabled in ("multi-user.target.wants/systemd-networkd.service", *ssh):
            link = etc / "systemd/system" / enabled
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(f"/lib/systemd/system/{link.name}")
        (etc / "systemd/network").mkdir(exist_ok=True)
        (etc / "systemd/network/10-host0.network").write_text(
            f"[Match]\nName={self.interface}\n[Network]\nAddress={self.address}/24\nGateway={network.address}\n"
            "LinkLocalAddressing=no\nIPv6AcceptRA=no\n"
        )
        (etc / "apt/apt.conf.d/00packages").write_text(f'Acquire::http::Proxy "{network.packages.url}";\n')
        (etc / "resolv.conf").unlink(missing_ok=True)  # it may be a link to what is made at boot
        (etc / "resolv.conf").write_text("")
        keys = self.root / "home/admin/.ssh"
        keys.mkdir(mode=0o700)
        (keys / "authorized_keys").write_text(network.key.with_suffix(".pub").read_text())
        owner = (self.root / "home/admin").stat()
        for path in (keys, keys / "authorized_keys"):
            os.chown(path, owner.st_uid, owner.st_gid)
        subprocess.run(["ssh-keygen", "-q", "-A", "-f", self.root], check=True)

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
