"""Keeps files and units of systemd as they are before the first change, and puts them back."""

from __future__ import annotations

DOCUMENTATION = """
module: slipway_kept
short_description: Keep files and units as they are, and put them back
description:
  - What is kept once stays as it was kept, however often this runs.
  - What was put back is no longer kept. What is not kept is left alone.
options:
  record:
    description: The folder of the host's record.
    type: path
    required: true
  state:
    description: C(kept) or C(restored).
    choices: [kept, restored]
    required: true
  paths:
    description: Files, links and folders. Of a folder there is kept whether it was there, its mode and its owner.
    type: list
    elements: path
  units:
    description: Units of systemd, with their suffix.
    type: list
    elements: str
  everything:
    description: Whether to put back all that is kept.
    type: bool
    default: false
author: The Slipway authors
"""
EXAMPLES = """
- slipway_kept: {record: /var/lib/slipway-site, state: kept, paths: [/etc/exports], units: [ssh.service]}
"""
RETURN = """
paths: {description: Which paths were kept or put back., returned: always, type: list}
units: {description: Which units were kept or put back., returned: always, type: list}
"""

import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.slipway_record import read, write


class Refused(Exception):
    """What cannot be put back as things are; says what to do."""


class Kept:
    """What is kept in a record's folder."""

    def __init__(self, record: Path, *, dry: bool) -> None:
        self.index, self.copies, self.dry = record / "kept.json", record / "kept", dry
        content = read(self.index)
        self.paths: dict[str, Any] = content.get("paths", {})
        self.units: dict[str, Any] = content.get("units", {})

    def save(self) -> None:
        """Write what is kept."""
        if not self.dry:
            write(self.index, {"paths": self.paths, "units": self.units})

    def keep_path(self, path: Path) -> bool:
        """Keep a path as it is now; whether that was new."""
        if str(path) in self.paths:
            return False
        entry: dict[str, Any] = {"kind": "absent"}
        if path.is_symlink():
            entry = {"kind": "link", "target": str(path.readlink())}
        elif path.exists():
            found = path.stat()
            kind = "folder" if path.is_dir() else "file"
            entry = {"kind": kind, "mode": stat.S_IMODE(found.st_mode), "owner": found.st_uid, "group": found.st_gid}
            if kind == "file" and not self.dry:
                entry["copy"] = self._copy(path)
        self.paths[str(path)] = entry
        return True

    def _copy(self, path: Path) -> str:
        """Copy a file into the record; the copy's name."""
        self.copies.mkdir(mode=0o700, parents=True, exist_ok=True)
        name = str(path).strip("/").replace("%", "%25").replace("/", "%2F")
        partly = self.copies / f".{name}"
        shutil.copy2(path, partly)
        with partly.open("rb") as file:
            os.fsync(file.fileno())
        partly.chmod(0o600)
        partly.replace(self.copies / name)
        return name

    def restore_path(self, path: Path) -> bool:
        """Put a path back as it was kept; whether it was kept."""
        entry = self.paths.get(str(path))
        if entry is None:
            return False
        if self.dry:
            return True
        if entry["kind"] == "folder" and path.is_dir() and not path.is_symlink():
            _give(path, entry)
        else:
            if entry["kind"] != "file" or path.is_symlink() or path.is_dir():
                _remove(path)
            if entry["kind"] == "link":
                path.parent.mkdir(parents=True, exist_ok=True)
                path.symlink_to(entry["target"])
            elif entry["kind"] == "folder":
                path.mkdir(parents=True)
                _give(path, entry)
            elif entry["kind"] == "file":
                path.parent.mkdir(parents=True, exist_ok=True)
                partly = path.with_name(f".{path.name}.slipway")
                shutil.copy2(self.copies / entry["copy"], partly)
                _give(partly, entry)
                partly.replace(path)
        del self.paths[str(path)]
        self.save()
        if "copy" in entry:
            (self.copies / entry["copy"]).unlink(missing_ok=True)
        return True

    def keep_unit(self, unit: str) -> bool:
        """Keep a unit's state as it is now; whether that was new."""
        if unit in self.units:
            return False
        self.units[unit] = {"enabled": _enabled(unit), "active": _active(unit)}
        return True

    def restore_unit(self, unit: str) -> bool:
        """Put a unit's state back as it was kept; whether it was kept."""
        entry = self.units.get(unit)
        if entry is None:
            return False
        if self.dry:
            return True
        now = _enabled(unit)
        if now:  # the unit may be gone, with its package
            _put_back(unit, now, entry)
        del self.units[unit]
        self.save()
        return True


def _give(path: Path, entry: dict[str, Any]) -> None:
    """Give a path its owner and mode."""
    os.chown(path, entry["owner"], entry["group"])
    path.chmod(entry["mode"])


def _remove(path: Path) -> None:
    """Remove what was not there, but never through a mount."""
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.is_dir():
        inside = [mount for mount in _mounts() if mount == path or path in mount.parents]
        if inside:
            raise Refused(f"{path} was not there before, and {inside[0]} is mounted in it. Unmount it first.")
        shutil.rmtree(path)
    elif path.exists():
        path.unlink()


def _mounts() -> Iterator[Path]:
    """Where something is mounted."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        yield Path(line.split()[4].encode().decode("unicode_escape"))


def _systemctl(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["systemctl", *arguments], capture_output=True, text=True, check=False)


def _enabled(unit: str) -> str:
    """What `systemctl is-enabled` says; nothing where there is no such unit."""
    said = _systemctl("is-enabled", unit).stdout.strip()
    return "" if said == "not-found" else said


def _active(unit: str) -> bool:
    return _systemctl("is-active", unit).stdout.strip() in {"active", "activating", "reloading"}


def _put_back(unit: str, now: str, entry: dict[str, Any]) -> None:
    """Bring a unit that is there from how it is now to how it was."""
    before = entry["enabled"]
    steps: list[list[str]] = []
    if now.startswith("masked") and not before.startswith("masked"):
        steps.append(["unmask", unit])
    if before in {"enabled", "enabled-runtime"} and now not in {"enabled", "enabled-runtime"}:
        steps.append(["enable", unit])
    if before in {"disabled", ""} and now in {"enabled", "enabled-runtime"}:
        steps.append(["disable", unit])
    if entry["active"] != _active(unit):
        steps.append(["start" if entry["active"] else "stop", unit])
    if before.startswith("masked") and not now.startswith("masked"):
        steps.append(["mask", unit])
    for step in steps:
        done = _systemctl(*step)
        if done.returncode:
            said = (done.stderr or done.stdout).strip()
            raise Refused(f"systemctl {' '.join(step)} fails: {said} See journalctl --unit {unit}.")


def main() -> None:
    """Run as a module of Ansible."""
    module = AnsibleModule(
        {
            "record": {"type": "path", "required": True},
            "state": {"choices": ["kept", "restored"], "required": True},
            "paths": {"type": "list", "elements": "path", "default": []},
            "units": {"type": "list", "elements": "str", "default": []},
            "everything": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    given = module.params
    kept = Kept(Path(given["record"]), dry=module.check_mode)
    paths, units = given["paths"], given["units"]
    done: dict[str, list[str]] = {}
    try:
        for path in paths:
            if not path.startswith("/"):
                raise Refused(f"path: {path!r} is not allowed. Give an absolute path.")
        if given["state"] == "kept":
            done = {
                "paths": [path for path in paths if kept.keep_path(Path(path))],
                "units": [unit for unit in units if kept.keep_unit(unit)],
            }
            if any(done.values()):
                kept.save()
        else:
            if given["everything"]:
                # What lies inside a folder comes back before the folder goes.
                paths, units = sorted(kept.paths, reverse=True), sorted(kept.units)
            done = {
                "paths": [path for path in paths if kept.restore_path(Path(path))],
                "units": [unit for unit in units if kept.restore_unit(unit)],
            }
    except (Refused, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=any(done.values()), **done)


if __name__ == "__main__":
    main()
