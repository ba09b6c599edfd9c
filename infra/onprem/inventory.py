"""The inventory: read by Ansible itself, and all that is wrong with it found without touching a host.

`ansible-inventory` runs as a program of its own: it merges group_vars and opens vaults as the playbooks will.
"""

import dataclasses
import difflib
import fnmatch
import ipaddress
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from infra.onprem import playbooks, ports
from infra.onprem.passwords import Passwords
from infra.onprem.playbooks import ALL, GPU, GROUPS, MONITOR, NAS
from trainer.errors import MISSING, BadInput, BadInputs, nearest
from trainer.run import files

FILE = "hosts.yml"
VAULT_OPTIONS = "--vault-password-file FILE or --ask-vault-pass"
STRATEGY, LINEAR = "ANSIBLE_STRATEGY", "linear"
STRATEGIES = (LINEAR, "mitogen_linear")
"""Those that were tried: how Ansible takes hosts through tasks."""
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?")
_LOCKED = re.compile(r"no vault secrets found|Decryption failed|vault password", re.IGNORECASE)
_VAULTED = "__ansible_vault"
EXPRESSION = "{{"
_KINDS = {"bool": "true or false", "int": "a whole number", "dict": "a mapping"}
"""Kinds of variables that not every value is of, in words."""
TYPO = 0.8
"""How like a known variable one that no role knows is, from 0 to 1, to be taken for a slip."""


class VaultLocked(BadInput):
    """An encrypted variable cannot be opened."""


@dataclasses.dataclass(frozen=True)
class Inventory:
    """A site's hosts, and what its operator decided.

    Attributes:
        path: the file.
        name: the site's.
        hosts: variables by host, those of its groups among them.
        groups: hosts by group, `all` too.
        chosen: the hosts that the limit leaves.
        ports: the table of ports.
    """

    path: Path
    name: str
    hosts: Mapping[str, Mapping[str, Any]]
    groups: Mapping[str, list[str]]
    chosen: tuple[str, ...]
    ports: tuple[ports.Port, ...]

    def address(self, host: str) -> str:
        """Where a host is."""
        return str(self.hosts[host].get("ansible_host", host))

    def words(self) -> str:
        """The chosen hosts by group, for people."""
        chosen = {group: [host for host in self.groups.get(group, ()) if host in self.chosen] for group in GROUPS}
        return "; ".join(f"{group}: {', '.join(hosts)}" for group, hosts in chosen.items() if hosts)

    @property
    def is_whole(self) -> bool:
        """Whether no host is left out."""
        return len(self.chosen) == len(self.groups[ALL])


def locate(path: Path) -> Path:
    """The file of an inventory, which may be given by its folder.

    Raises:
        BadInput: if there is none.
    """
    found = path / FILE if os.path.isdir(path) else path  # noqa: PTH112  (Path's raises where it may not look)
    if not files.is_file(found):
        cure = "write the path of an inventory; `slipway onprem init FOLDER` makes one"
        raise BadInput("--inventory", str(path), f"an inventory file, or a folder with {FILE}", cure)
    return found


def load(path: Path, limit: str | None, passwords: Passwords) -> Inventory:
    """Read an inventory.

    Args:
        path: the file.
        limit: hosts or groups, as Ansible's `--limit`.
        passwords: what opens encrypted variables.

    Raises:
        VaultLocked: if the password is missing or wrong.
        BadInputs: for everything that is wrong, together.
    """
    found = _ask(path, passwords)
    hosts: dict[str, Mapping[str, Any]] = found.get("_meta", {}).get("hostvars", {})
    groups = _groups(found, hosts)
    hosts = {**hosts, **{name: {} for name in groups[ALL] if name not in hosts}}  # Ansible lists those with variables
    _check_vault(hosts, passwords)
    errors = [*_check_hosts(hosts, groups), *_check_limit(limit, hosts, groups), *_check_variables(hosts, groups)]
    errors += [*_check_strategy(), *_check_shadowed(path)]
    shared = next(iter(hosts.values()), {})
    table = shared.get(ports.TABLE, ports.shipped())
    rows, wrong = ports.read(table) if isinstance(table, Mapping) else ([], [])
    errors += [*wrong, *_check_slots(hosts, groups, rows)]
    name = str(shared.get("site_name") or playbooks.defaults("site").get("site_name") or "slipway")
    if EXPRESSION not in name and not _NAME.fullmatch(name):
        allowed = "1 to 40 small letters, digits and dashes"
        errors.append(BadInput("site_name", name, allowed, "set site_name in group_vars/all/main.yml"))
    if errors:
        raise BadInputs(errors)
    return Inventory(path, name, hosts, groups, tuple(_matching(limit, hosts, groups)), tuple(rows))


def _ask(path: Path, passwords: Passwords) -> dict[str, Any]:
    """What `ansible-inventory` says."""
    answer = None if passwords.vault is None else f"{passwords.vault}\n"
    command = ["ansible-inventory", "--inventory", str(path), "--list", *passwords.vault_options()]
    done = _run(command, answer)
    if done.returncode:
        said = " ".join(line for line in done.stderr.splitlines() if not line.startswith(("Vault", "Warning:")))
        if _LOCKED.search(said):
            raise _locked(passwords, "the inventory's encrypted files")
        allowed = "an inventory that Ansible can read"
        raise BadInput("--inventory", str(path), allowed, f"mend what Ansible says of it: {said[-600:].strip()}")
    loaded: dict[str, Any] = json.loads(done.stdout)
    return loaded


def _run(command: list[str], answer: str | None) -> subprocess.CompletedProcess[str]:
    """Run a program of Ansible's; without a terminal of its own it reads a password from its input."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    quiet = {
        "ANSIBLE_NOCOLOR": "True",
        "ANSIBLE_INVENTORY_UNPARSED_FAILED": "True",
        "ANSIBLE_VERBOSITY": "0",
        "PYTHONWARNINGS": "ignore",
    }
    try:
        return subprocess.run(  # noqa: S603 (Ansible's own programs)
            command, input=answer or "", capture_output=True, text=True, check=False, start_new_session=True,
            env={**os.environ, **quiet, "PATH": path},
        )  # fmt: skip
    except FileNotFoundError as error:
        cure = "install slipway with the extra `onprem`: uv sync --extra onprem"
        raise BadInput(command[0], MISSING, "Ansible's programs on the PATH", cure) from error


def _locked(passwords: Passwords, what: str) -> VaultLocked:
    given = passwords.vault is not None or passwords.vault_file is not None
    if given:
        return VaultLocked("vault", f"a password that does not open {what}", "the vault's own", "give the right one")
    return VaultLocked("vault", f"locked, and {what} need it", "the vault's password", f"write {VAULT_OPTIONS}")


def _check_vault(hosts: Mapping[str, Mapping[str, Any]], passwords: Passwords) -> None:
    """Variables that are encrypted one by one stay so in what Ansible lists: try to open one."""
    for variables in hosts.values():
        for name, value in variables.items():
            if not isinstance(value, Mapping) or _VAULTED not in value:
                continue
            with tempfile.NamedTemporaryFile("w", prefix="slipway-vault-") as sealed:
                sealed.write(str(value[_VAULTED]))
                sealed.flush()
                answer = None if passwords.vault is None else f"{passwords.vault}\n"
                done = _run(["ansible-vault", "view", *passwords.vault_options(), sealed.name], answer)
            if done.returncode:
                raise _locked(passwords, f"encrypted variables such as {name}")
            return


def _groups(found: Mapping[str, Any], hosts: Mapping[str, Any]) -> dict[str, list[str]]:
    """All hosts of each group, those of its children too."""

    def members(group: str, seen: frozenset[str] = frozenset()) -> set[str]:
        entry = found.get(group, {})
        below = (each for each in entry.get("children", ()) if each not in seen)
        return {*entry.get("hosts", ()), *(host for each in below for host in members(each, seen | {group}))}

    groups = {group: sorted(members(group)) for group in found if group != "_meta"}
    return {**groups, ALL: sorted({*hosts, *members(ALL)})}


def _check_hosts(hosts: Mapping[str, Mapping[str, Any]], groups: Mapping[str, list[str]]) -> Iterator[BadInput]:
    """Each host has a task and an address of its own."""
    for name in groups[ALL]:
        if any(name in groups.get(group, ()) for group in GROUPS):
            continue
        others = [group for group in groups if group not in (ALL, "ungrouped") and name in groups[group]]
        value = f"in group {', '.join(others)}" if others else "in no group"
        near = nearest(others[0], GROUPS) if others else None
        cure = f"rename the group {others[0]} to {near}" if near else "put it into one of them"
        yield BadInput(name, value, f"a host in one of the groups {', '.join(GROUPS)}", cure)
    if not groups.get(GPU):
        yield BadInput(GPU, MISSING, "a group with a host or more, which train", f"add a group {GPU} to the inventory")
    for group in (NAS, MONITOR):
        if len(groups.get(group, ())) > 1:
            yield BadInput(group, ", ".join(groups[group]), "one host at most", f"leave one host in the group {group}")
    seen: dict[str, str] = {}
    for name in groups[ALL]:
        address = str(hosts.get(name, {}).get("ansible_host", name))
        if address in seen:
            allowed = f"an address of its own; {seen[address]} has this one"
            yield BadInput(f"{name}: ansible_host", address, allowed, "give one of them its right address")
        seen.setdefault(address, name)


def _check_limit(limit: str | None, hosts: Mapping[str, Any], groups: Mapping[str, list[str]]) -> Iterator[BadInput]:
    known = [*groups, *hosts]
    if limit is not None and set(limit) & set("~[@"):
        allowed = "names of hosts and groups, with * and ?, each with ! or & before it"
        yield BadInput("--limit", limit, allowed, f"write them out: {', '.join(sorted(hosts))}")
        return
    unknown = [term for term in _terms(limit) if not fnmatch.filter(known, term.lstrip("!&"))]
    for term in unknown:
        near = nearest(term.lstrip("!&"), known)
        yield BadInput("--limit", term, ", ".join(sorted(set(known) - {"ungrouped"})), f"write {near or 'one of them'}")
    if limit is not None and not unknown and not list(_matching(limit, hosts, groups)):
        yield BadInput("--limit", limit, "a pattern that leaves a host", "write a host's or a group's name")


def _terms(limit: str | None) -> list[str]:
    """The parts of a pattern."""
    return [part.strip() for part in re.split(r"[,:]", limit or "") if part.strip()]


def _matching(limit: str | None, hosts: Mapping[str, Any], groups: Mapping[str, list[str]]) -> Iterator[str]:
    """The hosts that a pattern leaves, in the inventory's order."""
    terms = _terms(limit)
    if not terms:
        yield from hosts
        return

    def named(term: str, host: str) -> bool:
        pattern = term.lstrip("!&")
        inside = (group for group, members in groups.items() if host in members)
        return any(fnmatch.fnmatchcase(each, pattern) for each in (host, *inside))

    plain = [term for term in terms if term[0] not in "!&"]
    for host in hosts:
        wanted = not plain or any(named(term, host) for term in plain)
        kept = all(named(term, host) for term in terms if term.startswith("&"))
        if wanted and kept and not any(named(term, host) for term in terms if term.startswith("!")):
            yield host


def _check_variables(hosts: Mapping[str, Mapping[str, Any]], groups: Mapping[str, list[str]]) -> Iterator[BadInput]:
    """Variables of the roles: what must be set, what values may be, and names that no role knows."""
    for role, group in playbooks.ROLES.items():
        known = {each.name: each for each in playbooks.variables(role)}
        members = [host for host in groups.get(group, ()) if host in hosts]
        for variable in known.values():
            yield from _check_variable(variable, members, hosts)
        yield from _unknown(role, known, hosts)
    yield from _check_operators(hosts)


def _check_variable(
    variable: playbooks.Variable, members: list[str], hosts: Mapping[str, Mapping[str, Any]]
) -> Iterator[BadInput]:
    without = [host for host in members if variable.required and hosts[host].get(variable.name) in (None, "", [])]
    if without and variable.name != "site_operators":
        where = "" if len(without) == len(members) else f" (of {', '.join(without)})"
        allowed = f"{variable.kind}: {variable.meaning}" if variable.meaning else variable.kind
        yield BadInput(f"{variable.name}{where}", MISSING, allowed, "set it in the inventory or its group_vars")
    wrong: dict[str, str] = {}
    for host in members:
        value = hosts[host].get(variable.name)
        plain = isinstance(value, str | int | float | bool) and EXPRESSION not in str(value)
        if plain and (value not in variable.choices if variable.choices else not _is_a(variable.kind, value)):
            wrong.setdefault(str(value), host)
    for text, host in wrong.items():
        allowed = ", ".join(map(str, variable.choices)) or _KINDS[variable.kind]
        near = nearest(text, map(str, variable.choices)) or next(iter(variable.choices), allowed)
        yield BadInput(f"{host}: {variable.name}", text, allowed, f"write {near}")


def _is_a(kind: str, value: Any) -> bool:
    """Whether Ansible takes a value for one of a kind, as it will on the hosts: 'yes' is a bool, '3' an int."""
    from ansible.module_utils.common import validation

    takes = {"bool": validation.check_type_bool, "int": validation.check_type_int, "dict": validation.check_type_dict}
    try:
        takes.get(kind, str)(value)
    except (TypeError, ValueError):
        return False
    return True


def _unknown(
    role: str, known: Mapping[str, playbooks.Variable], hosts: Mapping[str, Mapping[str, Any]]
) -> Iterator[BadInput]:
    """A name that begins as a role's do, is none of them, and is near one."""
    if not known:
        return
    for name in sorted({each for variables in hosts.values() for each in variables}):
        if not name.startswith(f"{role}_") or name in known or name in playbooks.SHARED:
            continue
        near = difflib.get_close_matches(name, known, n=1, cutoff=TYPO)
        others = {each.name for other in playbooks.ROLES for each in playbooks.variables(other)}
        if near and name not in others:
            yield BadInput(name, "a variable that does not exist", f"a variable of {role}", f"write {near[0]}")


def _check_strategy() -> Iterator[BadInput]:
    """Of the strategies that an operator may choose: one that keeps hosts in step, and that Ansible finds."""
    name = os.environ.get(STRATEGY, LINEAR)
    if name not in STRATEGIES:
        cure = "leave it out, or write one of these: what one host makes others use, so hosts go through tasks together"
        yield BadInput(STRATEGY, name, " or ".join(STRATEGIES), cure)
    elif name != LINEAR:
        listed = json.loads(_run(["ansible-config", "dump", "--format", "json"], None).stdout)
        folders = next(each["value"] for each in listed if each.get("name") == "DEFAULT_STRATEGY_PLUGIN_PATH")
        if not any((Path(folder) / f"{name}.py").is_file() for folder in folders):
            cure = "install the extra `mitogen`, and name the folder of its strategies"
            yield BadInput(f"{STRATEGY}_PLUGINS", ":".join(folders), f"a folder with {name}.py", cure)


def _check_slots(
    hosts: Mapping[str, Mapping[str, Any]], groups: Mapping[str, list[str]], rows: list[ports.Port]
) -> Iterator[BadInput]:
    """Each slot of a trainer serves its metrics at a port of its own."""
    known = next((row.count for row in rows if row.name == "trainer_metrics"), None)
    for host in groups.get(GPU, ()):
        slots = hosts.get(host, {}).get("trainer_slots")
        if known is not None and isinstance(slots, int) and not 1 <= slots <= known:
            allowed = f"1 to {known}, the ports of {ports.TABLE}.trainer_metrics"
            yield BadInput(f"{host}: trainer_slots", slots, allowed, "give fewer, or the table's entry a larger count")


def _check_shadowed(path: Path) -> Iterator[BadInput]:
    """Of a file and a folder of one name Ansible reads the folder alone, and says nothing of the file."""
    for folder in (path.parent / "group_vars", path.parent / "host_vars"):
        for file in sorted(folder.glob("*.y*ml")) + sorted(folder.glob("*.json")):
            beside = file.with_suffix("")
            if beside.is_dir():
                allowed = f"variables in {folder.name}/{beside.name}/, which is read in its place"
                yield BadInput(f"{folder.name}/{file.name}", str(file), allowed, f"move it into {beside}")


def _check_operators(hosts: Mapping[str, Mapping[str, Any]]) -> Iterator[BadInput]:
    """Who may come in: without it the firewall would keep everybody out."""
    allowed = "a list of networks such as 192.0.2.0/24, which may reach SSH and the dashboards"
    for host, variables in hosts.items():
        found = variables.get("site_operators")
        if not found:
            yield BadInput("site_operators", MISSING, allowed, "set site_operators in group_vars/all/main.yml")
            return
        for network in found if isinstance(found, list) else [found]:
            if EXPRESSION in str(network):
                continue
            try:
                ipaddress.ip_network(str(network), strict=False)
            except ValueError:
                yield BadInput(f"{host}: site_operators", network, allowed, "write an address or a network")
                return
