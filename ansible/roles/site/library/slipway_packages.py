"""Installs packages of Debian or Ubuntu after their names are in the host's record, and purges what the record has."""

from __future__ import annotations

DOCUMENTATION = """
module: slipway_packages
short_description: Install packages that a record can undo, and undo it
description:
  - Before C(apt-get) changes anything, the names of all packages that would come or go are in the record, so that a
    host that dies half-way can be given back, too. So are the system users that came with them.
  - Purging takes recorded packages only, and none that something else needs by now. What had been removed and not
    purged before is so again.
options:
  record:
    description: The folder of the host's record.
    type: path
    required: true
  state:
    description: C(present) or C(purged).
    choices: [present, purged]
    required: true
  names:
    description: Names, names with C(=VERSION), or paths of C(.deb) files.
    type: list
    elements: str
  start:
    description: Whether daemons may start when they are installed.
    type: bool
    default: true
  replace:
    description: Installed packages that may be removed where others conflict with them.
    type: list
    elements: str
  update:
    description: Whether to fetch the lists of packages in any case.
    type: bool
    default: false
  upgrade:
    description: Whether apt is asked for those that are there, too - for another version, older or newer.
    type: bool
    default: false
  default_release:
    description: As C(apt-get --target-release).
    type: str
    default: ""
author: The Slipway authors
"""
EXAMPLES = """
- slipway_packages: {record: /var/lib/slipway-site, state: present, names: [chrony], replace: [systemd-timesyncd]}
"""
RETURN = """
installed: {description: Which packages came., returned: when present, type: list}
purged: {description: Which packages went., returned: when purged, type: list}
exceptions: {description: Of each recorded package that stayed what needs it., returned: when purged, type: list}
"""

import os
import re
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.slipway_record import read, write

ENVIRONMENT = {"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}
ENVIRONMENT |= {"NEEDRESTART_SUSPEND": "1", "UCF_FORCE_CONFFOLD": "1"}
OPTIONS = [
    "-q", "-y", "--no-install-recommends",
    "-o", "Dpkg::Options::=--force-confdef", "-o", "Dpkg::Options::=--force-confold",
    "-o", "DPkg::Lock::Timeout=300",  # seconds: unattended upgrades may be at work, or an apt-get that lost its Ansible
    "-o", "APT::Keep-Downloaded-Packages=false",
    # What could not be unpacked again (`_unpack_again`) may go all the same.
    "-o", "Dpkg::Options::=--force-remove-reinstreq",
]  # fmt: skip
FRESH_SECONDS = 3600
"""How long lists of packages are taken as they are."""
WAITING_SECONDS = 300
"""How long to wait for another apt-get or dpkg to end."""
BUSY = "Could not get lock /var/lib/apt/lists"
"""What apt-get says while another one fetches the lists of packages."""
POLICY = Path("/usr/sbin/policy-rc.d")
# The policy holds while the apt-get with that process id lives: what a crash leaves is harmless.
HOLDING = """\
#!/bin/sh
# Slipway installs a package, whose daemon is configured before it starts.
kill -0 {pid} 2>/dev/null && exit 101
exit 0
"""
FIRST_PERSON = 1000
"""User ids from here on are those of people: adduser(8)."""


class Failed(Exception):
    """What apt or dpkg would not do; says what they said and what to do."""


@dataclass
class Plan:
    """What `apt-get --simulate` says that it would do."""

    new: list[str] = field(default_factory=list)
    upgraded: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)


def parse(simulated: str) -> Plan:
    """Read the output of `apt-get --simulate`."""
    plan = Plan()
    for line in simulated.splitlines():
        if found := re.match(r"Inst (\S+) (\[\S+\] )?\(", line):
            (plan.upgraded if found[2] else plan.new).append(_bare(found[1]))
        elif found := re.match(r"(?:Remv|Purg) (\S+) ", line + " "):
            plan.removed.append(_bare(found[1]))
    return plan


def _bare(name: str) -> str:
    """A package's name without its architecture."""
    return name.split(":")[0]


def run(*command: str, check: bool = True, cure: str = "") -> str:
    """Run a command; what it wrote."""
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, **ENVIRONMENT},
        check=False,
    )
    if check and done.returncode:
        said = "\n".join(done.stdout.strip().splitlines()[-15:])
        raise Failed(f"{' '.join(command[:2])} ends with {done.returncode}: {said}" + (f"\n{cure}" if cure else ""))
    return done.stdout


def states() -> dict[str, tuple[str, str]]:
    """Of each package that dpkg knows: its state and its version."""
    listed = run("dpkg-query", "-W", "-f", "${Package}\t${db:Status-Status}\t${Version}\n")
    return {name: (state, version) for name, state, version in (line.split("\t") for line in listed.splitlines())}


def accounts(path: str) -> dict[str, int]:
    """The users of /etc/passwd, or the groups of /etc/group, and their ids."""
    rows = (line.split(":") for line in Path(path).read_text().splitlines())
    return {row[0]: int(row[2]) for row in rows if len(row) > 2}


class Packages:
    """The packages of a host, and the record's part of them."""

    def __init__(self, record: Path) -> None:
        self.record, self.file, self.stamp = record, record / "packages.json", record / "lists-fetched"
        content = read(self.file)
        self.installed: list[str] = content.get("installed", [])
        # Of these the configuration was there before: somebody had removed them, and not purged.
        self.configured: list[str] = content.get("configured", [])
        self.replaced: list[dict[str, Any]] = content.get("replaced", [])
        # By name, with the packages that came in the same go.
        self.users: dict[str, list[str]] = content.get("users", {})
        self.groups: dict[str, list[str]] = content.get("groups", {})
        self.pending: dict[str, Any] = content.get("pending", {})

    def save(self) -> None:
        """Write the record."""
        names = ("installed", "configured", "replaced", "users", "groups", "pending")
        write(self.file, {name: getattr(self, name) for name in names})

    def missing(self, names: list[str]) -> list[str]:
        """Which of the packages that are asked for are not there as asked for."""
        there = states()

        def lacks(name: str) -> bool:
            wanted, _, version = name.partition("=")
            if "/" in name:
                wanted, version = (run("dpkg-deb", "-f", name, field).strip() for field in ("Package", "Version"))
            state, now = there.get(_bare(wanted), ("", ""))
            return state != "installed" or version not in {"", now}

        return [name for name in names if lacks(name)]

    def fetch_lists(self) -> str:
        """Fetch the lists of packages; what that said. An archive may fail while what is needed is found."""
        until = time.monotonic() + WAITING_SECONDS
        # A new machine fetches them by itself, and apt-get does not wait for that as it does for dpkg's lock.
        while BUSY in (said := run("apt-get", *OPTIONS, "-o", "Acquire::Retries=3", "update", check=False)):
            if time.monotonic() > until:
                return said
            time.sleep(3)
        if self.record.is_dir():
            self.stamp.touch()
        return said

    def plan(self, options: list[str], names: list[str], *, update: bool, dry: bool) -> Plan | None:
        """What installing would do, or nothing where the lists of packages do not tell and may not be fetched."""
        stale = not self.stamp.exists() or time.time() - self.stamp.stat().st_mtime > FRESH_SECONDS
        said = self.fetch_lists() if (update or stale) and not dry else ""
        command = ["apt-get", *OPTIONS, *options, "--simulate", "install", *names]
        try:
            return parse(run(*command))
        except Failed:
            if dry:
                return None
            said = said or self.fetch_lists()
            trouble = "\n".join(line for line in said.splitlines() if line.startswith(("E:", "W:", "Err:")))
            cure = "Is the archive in the host's apt sources, and can the host reach it?"
            return parse(run(*command, cure=f"{cure}\n{trouble}".strip()))

    def install(self, names: list[str], options: list[str], plan: Plan, *, start: bool) -> None:
        """Install packages, after the record has them."""
        there, manual = states(), set(run("apt-mark", "showmanual").split())
        known = {each["name"] for each in self.replaced}
        new = [name for name in plan.new if name not in {*self.installed, *known}]
        self.installed += new
        self.configured += [name for name in new if there.get(name, ("",))[0] == "config-files"]
        self.replaced += [
            {"name": name, "version": there[name][1], "manual": name in manual}
            for name in plan.removed
            if name not in {*known, *self.installed}
        ]
        if not self.pending:
            users, groups = (sorted(accounts(path)) for path in ("/etc/passwd", "/etc/group"))
            self.pending = {"users": users, "groups": groups}
        self.pending["packages"] = sorted({*self.pending.get("packages", []), *plan.new})
        self.save()
        command = ["apt-get", *OPTIONS, *options, "install", *names]
        (run if start else held)(*command)
        self.note_accounts()
        self.save()

    def note_accounts(self) -> None:
        """Note the system users and groups that have come since the packages' installation began."""
        if not self.pending:
            return
        for path, there, noted in (
            ("/etc/passwd", self.pending["users"], self.users),
            ("/etc/group", self.pending["groups"], self.groups),
        ):
            for name, number in accounts(path).items():
                if name not in there and number < FIRST_PERSON:
                    noted[name] = self.pending["packages"]
        self.pending = {}

    def purge(self) -> tuple[list[str], dict[str, str]]:
        """Purge what the record has; which packages went, and which stayed with who needs them."""
        heal()
        self._unpack_again()
        self.note_accounts()
        self.save()
        before = states()
        self._bring_back()
        stayed: dict[str, str] = {}
        going = [name for name in self.installed if states().get(name, ("not-installed", ""))[0] != "not-installed"]
        while going:
            plan = parse(run("apt-get", *OPTIONS, "--simulate", "purge", *going))
            others = sorted({*plan.removed} - {*self.installed})
            if not others:
                break
            needed = needs(others)
            held = [name for name in going if name in needed]
            if not held:
                raise Failed(f"packages: to purge {going} would remove {others}, too. Purge them by hand.")
            stayed |= {name: ", ".join(others) for name in held}
            going = [name for name in going if name not in needed]
        cure = "Mend that with apt-get on the host, and tear down again."
        if {*going} & {*self.configured}:
            run("apt-get", *OPTIONS, "remove", *going, cure=cure)
        if purging := [name for name in going if name not in self.configured]:
            run("apt-get", *OPTIONS, "purge", *purging, cure=cure)
        self._purge_orphans()
        self._drop_accounts(set(stayed))
        after = states()
        now = {name: after.get(name, ("not-installed", ""))[0] for name in before}
        gone = sorted(name for name, (state, _) in before.items() if now[name] not in {state, "installed"})
        self.installed, self.replaced = sorted(stayed), []
        self.configured = [name for name in self.configured if name in stayed]
        self.save()
        return gone, stayed

    def _unpack_again(self) -> None:
        """Unpack what dpkg was unpacking when the host died: until then it does not know all files of it."""
        flags = run("dpkg-query", "-W", "-f", "${Package}\t${db:Status-Eflag}\n")
        rows = (line.split("\t") for line in flags.splitlines())
        if half := [name for name, flag in rows if flag == "reinstreq" and name in self.installed]:
            self.fetch_lists()
            held("apt-get", *OPTIONS, "install", "--reinstall", *half, check=False)

    def _bring_back(self) -> None:
        """Install again what had to go for what was installed."""
        there = states()
        back = [each for each in self.replaced if there.get(each["name"], ("",))[0] != "installed"]
        if back:
            self.fetch_lists()
            run("apt-get", *OPTIONS, "install", *(each["name"] for each in back))
        for manual, mark in ((True, "manual"), (False, "auto")):
            if names := [each["name"] for each in back if each["manual"] is manual]:
                run("apt-mark", mark, *names)

    def _purge_orphans(self) -> None:
        """Purge what later versions of the recorded packages brought with them and nothing needs."""
        before = read(self.record / "before.json").get("packages")
        if before is None:
            return
        known = {_bare(name) for name in before}  # of libraries it has the architecture, too
        orphans = parse(run("apt-get", *OPTIONS, "--simulate", "autoremove")).removed
        if late := [name for name in orphans if name not in known]:
            run("apt-get", *OPTIONS, "purge", *late)

    def _drop_accounts(self, stayed: set[str]) -> None:
        """Remove the users and groups that came with packages which are gone."""
        for noted, path, command in ((self.users, "/etc/passwd", "userdel"), (self.groups, "/etc/group", "groupdel")):
            for name, packages in list(noted.items()):
                if name in accounts(path) and not stayed & set(packages):
                    run(command, name, cure="Stop what runs as it, and tear down again.")
                del noted[name]
                self.save()


def needs(names: list[str]) -> set[str]:
    """All that packages depend on, whatever alternative is there."""
    options = ["--recurse", "--installed", "--no-recommends", "--no-suggests", "--no-conflicts", "--no-breaks"]
    said = run("apt-cache", "depends", *options, "--no-replaces", "--no-enhances", *names)
    return {_bare(line.strip()) for line in said.splitlines() if line and line[0] not in " |<"}


def heal(*, start: bool = True) -> None:
    """Finish what a dpkg that was interrupted has left; what cannot be finished can be purged all the same."""
    command = ["dpkg", "--configure", "-a", "--force-confold"]
    until = time.monotonic() + WAITING_SECONDS
    while run("dpkg", "--audit", check=False).strip():
        said = run(*command, check=False) if start else held(*command, check=False)
        if "lock" not in said or time.monotonic() > until:
            break
        time.sleep(2)


def held(*command: str, check: bool = True) -> str:
    """Run a command of apt or dpkg while no daemon may start; what it wrote."""
    aside = POLICY.with_name("policy-rc.d.before-slipway")
    if (POLICY.exists() or POLICY.is_symlink()) and not _ours():
        POLICY.rename(aside)
    # The heredoc's $$ is the shell's process id, which the command that it becomes keeps.
    script = f'cat > {POLICY} <<END\n{HOLDING.format(pid="$$")}END\nchmod 755 {POLICY}; exec "$@"'
    try:
        return run("sh", "-c", script, "sh", *command, check=check)
    finally:
        tidy()


def tidy() -> None:
    """Remove the policy that keeps daemons from starting, and put back one that was there."""
    aside = POLICY.with_name("policy-rc.d.before-slipway")
    if _ours():
        POLICY.unlink()
    if aside.exists() or aside.is_symlink():
        aside.rename(POLICY)


def _ours() -> bool:
    return POLICY.is_file() and "# Slipway installs" in POLICY.read_text(errors="replace")


def present(module: AnsibleModule, packages: Packages, given: dict[str, Any]) -> dict[str, Any]:
    """Install what is missing."""
    names = given["names"] if given["upgrade"] else packages.missing(given["names"])
    if not names:
        return {"changed": False, "installed": []}
    dry = module.check_mode
    options = ["--target-release", given["default_release"]] if given["default_release"] else []
    options += ["--allow-downgrades"] if given["upgrade"] else []
    if not dry:
        tidy()
        heal(start=given["start"])
    plan = packages.plan(options, names, update=given["update"], dry=dry)
    if plan is None:
        return {"changed": True, "installed": names, "msg": "What else would come is not known before apt-get update."}
    if unwanted := sorted({*plan.removed} - {*given["replace"]} - {*packages.installed}):
        raise Failed(
            f"packages: to install {', '.join(names)} would remove {', '.join(unwanted)}. Remove them yourself if you "
            "can do without, and try again."
        )
    if not dry and (plan.new or plan.upgraded or plan.removed):
        packages.install(names, options, plan, start=given["start"])
    return {"changed": bool(plan.new or plan.upgraded), "installed": plan.new, "upgraded": plan.upgraded}


def purged(module: AnsibleModule, packages: Packages) -> dict[str, Any]:
    """Purge what the record has."""
    if not (packages.installed or packages.replaced or packages.users or packages.groups or packages.pending):
        return {"changed": False, "purged": [], "exceptions": []}
    if module.check_mode:
        return {"changed": True, "purged": packages.installed, "exceptions": []}
    tidy()
    gone, stayed = packages.purge()
    exceptions = [
        {"section": section, "key": f"{re.escape(name)}(:.*)?", "reason": f"needed by {others}"}
        for name, others in stayed.items()
        for section in ("packages", "manual")
    ]
    return {"changed": bool(gone), "purged": gone, "exceptions": exceptions}


def main() -> None:
    """Run as a module of Ansible."""
    module = AnsibleModule(
        {
            "record": {"type": "path", "required": True},
            "state": {"choices": ["present", "purged"], "required": True},
            "names": {"type": "list", "elements": "str", "default": []},
            "start": {"type": "bool", "default": True},
            "replace": {"type": "list", "elements": "str", "default": []},
            "update": {"type": "bool", "default": False},
            "upgrade": {"type": "bool", "default": False},
            "default_release": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    packages = Packages(Path(module.params["record"]))
    try:
        state = module.params["state"]
        result = present(module, packages, module.params) if state == "present" else purged(module, packages)
    except (Failed, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
