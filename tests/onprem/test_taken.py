"""Services are restarted by what they have read, and not by what a run has changed: one that is cut off loses none."""

import subprocess

import pytest
import yaml
from test_nas_parts import ROLES

SHARED = yaml.safe_load((ROLES / "site/vars/main.yml").read_text())
BY_CHANGES = {
    "Read the units", "Read the units of the mount",  # they are read before a unit is started, too
    "Restart Grafana",  # after a package
    "Write the initial ram disk", "Reboot into the new driver",
    "Train",  # and by a stamp of its own
}  # fmt: skip
"""Handlers that may be told by the task that has changed something."""


def tasks(path):
    """All tasks of a file, those of its blocks as well."""
    waiting = list(yaml.safe_load(path.read_text()) or [])
    while waiting:
        task = waiting.pop(0)
        yield task
        waiting += [*task.get("block", []), *task.get("rescue", []), *task.get("always", [])]


@pytest.mark.parametrize("role", sorted(path.name for path in ROLES.iterdir()))
def test_restarts_go_by_a_stamp(role):
    """What is notified by a file that was written is forgotten when a run is cut off before its handlers."""
    for path in sorted((ROLES / role / "tasks").glob("*.yml")):
        for task in tasks(path):
            if task.get("notify", "Read the units") not in BY_CHANGES:
                assert path == ROLES / "site/tasks/take.yml", (path, task["name"])


def test_a_stamp_knows_what_has_changed_since(tmp_path):
    stamp, one, two = tmp_path / "stamp", tmp_path / "one", tmp_path / "two"

    def same():
        return subprocess.run([*SHARED["site_stamp_same"], stamp, one, two]).returncode == 0

    def take():
        subprocess.run([*SHARED["site_stamp_write"], stamp, one, two], check=True)

    assert same()  # there is nothing, and nothing was taken
    one.write_text("a")
    assert not same()
    assert not same()  # it stays so until it is taken
    take()
    assert same()
    two.write_text("b")
    assert not same()
    take()
    # Somebody has written it, and it was put right: the service may have read what was there meanwhile.
    one.write_text("other")
    one.write_text("a")
    assert not same()
    take()
    assert same()
    one.unlink()
    assert not same()
    take()
    assert same()
    assert stamp.stat().st_mode & 0o777 == 0o600
