"""How a host is, as JSON, and what is different from how it was. Python's standard library alone: it runs anywhere.

python3 snapshot.py take [--out FILE]
python3 snapshot.py compare BEFORE [--now FILE] [--exceptions FILE]... [--json]

`compare` ends with 1 where a difference has no explanation.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import socket
import stat
import struct
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

FORMAT = 1
Section = dict[str, str]
"""What there is by name, each with what would tell a change of it."""

FOLDERS = (
    "/home", "/opt", "/root", "/srv", "/usr/local/bin", "/usr/local/lib", "/usr/local/sbin", "/usr/local/share",
    "/usr/sbin/policy-rc.d", "/var/cache", "/var/lib", "/var/log", "/var/spool", "/var/spool/cron",
)  # fmt: skip
"""Of these, what lies directly in them."""
STARTED = ("path", "service", "socket", "timer")
TYPES = ("automount", "mount", "path", "service", "slice", "socket", "swap", "target", "timer")
KERNEL_FILESYSTEMS = {
    "autofs", "binfmt_misc", "bpf", "cgroup", "cgroup2", "configfs", "debugfs", "devpts", "devtmpfs", "efivarfs",
    "fusectl", "hugetlbfs", "mqueue", "nfsd", "proc", "pstore", "ramfs", "rpc_pipefs", "securityfs", "sysfs", "tracefs",
}  # fmt: skip
"""systemd and the kernel mount these as they need them."""
COUNTERS = re.compile(
    r"(fs\.(aio-nr|dentry-state|file-nr|inode-.*|quota\..*|binfmt_misc\..*|mqueue\..*)"
    r"|kernel\.(ns_last_pid|random\..*|pty\.nr|tainted|perf_event_max_sample_rate|cad_pid|sched_.*|hotplug|keys\..*)"
    r"|kernel\.(core_uses_pid|spl\..*|numa_balancing.*|seccomp\.actions_.*)"
    r"|net\.(ipv4|ipv6)\.(conf|neigh)\.(?!all|default).*"
    r"|net\.(netfilter\.nf_conntrack_count|ipv4\.(tcp_fastopen_key|route\.flush)|ipv6\.route\.flush)"
    r"|net\.ipv6\..*\.stable_secret|vm\.(stat_refresh|drop_caches|compact_memory)|dev\..*|debug\..*|sunrpc\.transports|user\..*)"
)
"""Values of the kernel that count, that are random, or that belong to one network interface."""


def run(*command: str) -> str:
    """What a command writes; nothing where it is not there or fails."""
    try:
        return subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "LC_ALL": "C"},
        ).stdout
    except FileNotFoundError:
        return ""


def digest(content: bytes) -> str:
    """The first half of a sha256, in hex."""
    return hashlib.sha256(content).hexdigest()[:32]


def packages() -> Section:
    """Packages and their versions; what is removed but for its configuration is there, too."""
    listed = run("dpkg-query", "-W", "-f", "${binary:Package}\t${db:Status-Status} ${Version}\n")
    rows = (line.split("\t") for line in listed.splitlines())
    return {name: state.removeprefix("installed ") for name, state in rows if not state.startswith("not-installed")}


def manual() -> Section:
    """Packages that somebody asked for, and those that are held."""
    asked = dict.fromkeys(run("apt-mark", "showmanual").split(), "manual")
    return asked | {name: asked.get(name, "automatic") + ", held" for name in run("apt-mark", "showhold").split()}


def units() -> Section:
    """Units of systemd: whether they are enabled and, of those that an administrator may enable, whether active."""
    types = f"--type={','.join(TYPES)}"
    common = ["--no-legend", "--plain", "--no-pager", "--full"]
    files = dict(line.split()[:2] for line in run("systemctl", "list-unit-files", types, *common).splitlines())
    found = {name: state for name, state in files.items() if not name.endswith(".mount") or state != "generated"}
    for line in run("systemctl", "list-units", "--all", types, *common).splitlines():
        name, load, active = line.split()[:3]
        template = re.sub(r"@[^.]*\.", "@.", name)
        state = files.get(name, "" if name == template else files.get(template, ""))
        ours = state in {"enabled", "enabled-runtime", "disabled", "linked", "bad", ""} and load != "not-found"
        if active == "failed" or (ours and active == "active" and name.endswith(STARTED)):
            found[name] = f"{state or load}, {active}"
    return found


def users() -> Section:
    """Users, each with a digest of its password's entry."""
    shadow = {line.split(":")[0]: line for line in Path("/etc/shadow").read_text().splitlines()}
    rows = Path("/etc/passwd").read_text().splitlines()
    return {line.split(":")[0]: f"{line} {digest(shadow.get(line.split(':')[0], '').encode())}" for line in rows}


def groups() -> Section:
    """Groups and their members."""
    return {line.split(":")[0]: line for line in Path("/etc/group").read_text().splitlines()}


def sockets() -> Section:
    """What listens: protocol, address and port, and the program's name."""
    owners = dict(_owners())
    found = {}
    for name in ("tcp", "tcp6", "udp", "udp6"):
        table = Path("/proc/net", name)
        listening = "0A" if name.startswith("tcp") else "07"  # TCP_LISTEN; of UDP, TCP_CLOSE: bound, and not connected
        for line in table.read_text().splitlines()[1:] if table.exists() else []:
            row = line.split()
            if row[3] == listening:
                address, port = row[1].split(":")
                found[f"{name[:3]} {_address(address)} {int(port, 16)}"] = owners.get(row[9], "unknown")
    return found


def _address(text: str) -> str:
    """An address as /proc/net writes it: words of four bytes, each in the machine's order."""
    words = [int(text[start : start + 8], 16) for start in range(0, len(text), 8)]
    packed = struct.pack(f"={len(words)}I", *words)
    return socket.inet_ntop(socket.AF_INET if len(packed) == 4 else socket.AF_INET6, packed)


def _owners() -> Iterator[tuple[str, str]]:
    """The inode of each socket, and the name of a program that has it open."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            name = (process / "comm").read_text().strip()
            for descriptor in (process / "fd").iterdir():
                if found := re.fullmatch(r"socket:\[(\d+)\]", str(descriptor.readlink())):
                    yield found[1], name
        except OSError:  # it has ended
            continue


def mounts() -> Section:
    """What is mounted, but for what the kernel shows of itself."""
    found = {}
    for line in Path("/proc/1/mountinfo").read_text().splitlines():
        left, right = line.split(" - ")
        place, options = left.split()[4:6]
        kind, source, _ = (right + " ").split(" ", 2)
        if kind not in KERNEL_FILESYSTEMS:
            found[place] = f"{kind} {source} {options}"
    return found


def rules() -> Section:
    """Tables of nftables, without their counters."""
    said = run("nft", "--stateless", "list", "ruleset")
    tables = re.findall(r"^table (.+?) \{$(.*?)^\}$", said, re.MULTILINE | re.DOTALL)
    return {name: digest(body.encode()) for name, body in tables}


def files() -> Section:
    """All below /etc: content, mode and owner."""
    found = {}
    for place, inside, names in os.walk("/etc"):
        for name in (*inside, *names):
            path = Path(place, name)
            try:
                status = path.lstat()
                what = f"{stat.S_IMODE(status.st_mode):04o} {status.st_uid}:{status.st_gid}"
                if stat.S_ISLNK(status.st_mode):
                    what = f"link {path.readlink()}"
                elif stat.S_ISREG(status.st_mode):
                    what += f" {digest(path.read_bytes())}"
            except OSError:  # it has just gone
                continue
            found[str(path)] = what
    return found


def folders() -> Section:
    """What lies where services have their programs, data and logs: names, kinds, modes and owners."""
    found = {}
    for folder in map(Path, FOLDERS):
        inside = folder.iterdir() if folder.is_dir() else [folder] if folder.exists() else []
        for path in inside:
            status = path.lstat()
            kind = "folder" if stat.S_ISDIR(status.st_mode) else "link" if stat.S_ISLNK(status.st_mode) else "file"
            found[str(path)] = f"{kind} {stat.S_IMODE(status.st_mode):04o} {status.st_uid}:{status.st_gid}"
    return found


def sysctl() -> Section:
    """Values of the kernel that somebody may have set."""
    found = {}
    for place, _, names in os.walk("/proc/sys"):
        for name in names:
            path = Path(place, name)
            key = str(path.relative_to("/proc/sys")).replace("/", ".")
            if COUNTERS.fullmatch(key) is None:
                try:
                    found[key] = " ".join(path.read_text().split())
                except (OSError, UnicodeDecodeError):
                    continue
    return found


SECTIONS = {
    "packages": packages, "manual": manual, "units": units, "users": users, "groups": groups, "sockets": sockets,
    "mounts": mounts, "rules": rules, "files": files, "folders": folders, "sysctl": sysctl,
}  # fmt: skip


def take() -> dict[str, Any]:
    """How this host is."""
    return {"format": FORMAT, **{name: section() for name, section in SECTIONS.items()}}


def differences(before: dict[str, Any], after: dict[str, Any]) -> Iterator[dict[str, str]]:
    """Everything that is not as it was: its section and key, the kind of change, and both values."""
    for section in SECTIONS:
        old, new = before.get(section, {}), after.get(section, {})
        for key in sorted({*old, *new}):
            if old.get(key) != new.get(key):
                change = "added" if key not in old else "removed" if key not in new else "changed"
                values = {"before": old.get(key, ""), "after": new.get(key, "")}
                yield {"section": section, "key": key, "change": change, **values}


def explain(found: dict[str, str], exceptions: Iterable[dict[str, str]]) -> str:
    """The reason of the first exception that a difference is one of; nothing where there is none."""
    for each in exceptions:
        same = each["section"] == found["section"] and each.get("change") in (None, found["change"])
        patterns = {part: each[part] for part in ("key", "before", "after") if part in each}
        if same and all(re.fullmatch(pattern, found.get(part, "")) for part, pattern in patterns.items()):
            return each["reason"]
    return recovered(found)


def recovered(found: dict[str, str]) -> str:
    """Why it is no fault that a unit differs which had failed before and does not now; nothing for all others."""
    state, failed, _ = found.get("before", "").partition(", failed")
    gone = found["change"] == "removed" and state in {"loaded", "not-found"}  # it was without a file
    well = found["change"] == "changed" and found.get("after") in {state, f"{state}, active"}
    return "it had failed before, and does not now" if found["section"] == "units" and failed and (gone or well) else ""


def of_another_kernel(before: dict[str, Any], after: dict[str, Any]) -> list[dict[str, str]]:
    """Exceptions for a host that runs another kernel than before: which values that has is its own."""
    one, other = (each.get("sysctl", {}).get("kernel.osrelease", "") for each in (before, after))
    reason = f"another kernel runs, {other} after {one}"
    kinds = {"added": ".*", "removed": ".*", "changed": r"kernel\.(cap_last_cap|osrelease|version)"}
    if one == other:
        return []
    return [{"section": "sysctl", "key": key, "change": kind, "reason": reason} for kind, key in kinds.items()]


def owner(found: dict[str, str]) -> str:
    """The package that a file or unit which differs belongs to."""
    if found["section"] not in {"files", "units"}:
        return ""
    paths = [found["key"]] if found["section"] == "files" else [f"{place}/{found['key']}" for place in UNIT_FOLDERS]
    return next((said.split(":")[0] for path in paths if (said := run("dpkg-query", "--search", path))), "")


UNIT_FOLDERS = ("/lib/systemd/system", "/usr/lib/systemd/system")


def compare(before: dict[str, Any], after: dict[str, Any], exceptions: list[dict[str, str]]) -> dict[str, Any]:
    """All differences: those that have an explanation, each with its reason, and those that have none."""
    explained: list[dict[str, str]] = []
    unexplained: list[dict[str, str]] = []
    of_packages: dict[str, str] = {}
    exceptions = exceptions + of_another_kernel(before, after)
    for found in differences(before, after):
        reason = explain(found, exceptions)
        name = found["key"].split(":")[0]
        if reason and found["section"] == "packages":
            of_packages[name] = reason
        if not reason and of_packages and (package := owner(found)) in of_packages:
            reason = f"of package {package}: {of_packages[package]}"
        (explained if reason else unexplained).append({**found, **({"reason": reason} if reason else {})})
    return {"explained": explained, "unexplained": unexplained}


def words(found: dict[str, str]) -> str:
    """A difference as a line."""
    values = {"added": found["after"], "removed": found["before"], "changed": f"{found['before']} -> {found['after']}"}
    return f"{found['section']}: {found['key']}: {found['change']}: {values[found['change']]}"


def main() -> int:
    """Take or compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    taking = commands.add_parser("take")
    taking.add_argument("--out", type=Path)
    comparing = commands.add_parser("compare")
    comparing.add_argument("before", type=Path)
    comparing.add_argument("--now", type=Path)
    comparing.add_argument("--exceptions", type=Path, action="append", default=[])
    comparing.add_argument("--json", action="store_true")
    given = parser.parse_args()
    if given.command == "take":
        text = json.dumps(take(), indent=0, sort_keys=True)
        if given.out is None:
            sys.stdout.write(f"{text}\n")
        else:
            partly = given.out.with_name(f".{given.out.name}")
            partly.touch(mode=0o600)
            partly.write_text(text)
            partly.replace(given.out)
        return 0
    before = json.loads(given.before.read_text())
    after = json.loads(given.now.read_text()) if given.now else take()
    exceptions = [each for path in given.exceptions for each in json.loads(path.read_text())]
    result = compare(before, after, exceptions)
    if given.json:
        sys.stdout.write(json.dumps(result) + "\n")
    else:
        for found in result["explained"]:
            sys.stdout.write(f"explained: {words(found)}: {found['reason']}\n")
        for found in result["unexplained"]:
            sys.stdout.write(f"UNEXPLAINED: {words(found)}\n")
    return 1 if result["unexplained"] else 0


if __name__ == "__main__":
    sys.exit(main())
