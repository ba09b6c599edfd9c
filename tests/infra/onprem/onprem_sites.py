"""Small sites on this machine: Ansible is real, the hosts are names for this machine, and playbooks are a few tasks."""

import json
import os
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[3]
LOCAL = {"ansible_connection": "local", "ansible_become": False, "ansible_python_interpreter": sys.executable}
OPERATORS = {"site_operators": ["192.0.2.0/24"]}
SLIPWAY = [
    sys.executable,
    "-c",
    # The entry point, also where slipway was installed before it had one.
    "import sys; from trainer.cli import application;"
    " application.COMMANDS.setdefault('onprem', 'infra.onprem.cli:onprem'); sys.exit(application.run())",
    "onprem",
]


def inventory(folder, groups, hosts=None, **variables):
    """Write an inventory; gives its path.

    Args:
        folder: where.
        groups: names of hosts by the names of groups.
        hosts: variables of hosts by their names.
        variables: of all; those of `LOCAL` besides.
    """
    folder.mkdir(exist_ok=True, parents=True)
    children = {name: {"hosts": {host: (hosts or {}).get(host) for host in names}} for name, names in groups.items()}
    content = {"all": {"vars": {**LOCAL, **OPERATORS, **variables}, "children": children}}
    path = folder / "hosts.yml"
    path.write_text(yaml.safe_dump(content))
    return path


def playbooks(folder, **tasks):
    """A folder of playbooks, each of one play with these tasks; what takes locks is slipway's own."""
    folder.mkdir(exist_ok=True)
    for name, listed in {"check": [], "teardown": [], **tasks}.items():
        play = {"name": name, "hosts": "all", "gather_facts": False, "tasks": listed}
        (folder / f"{name}.yml").write_text(yaml.safe_dump([play], sort_keys=False))
    for name in ("lock", "unlock"):
        (folder / f"{name}.yml").write_text((ROOT / f"ansible/{name}.yml").read_text())
    return folder


def start(*arguments, folder, **environment):
    """Start `slipway onprem` as its own process."""
    return subprocess.Popen(
        [*SLIPWAY, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "XDG_STATE_HOME": str(folder / "state"), **environment},
        cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip


def run(*arguments, folder, code=0, entered="", **environment):
    """Run `slipway onprem` to its end; gives standard output and standard error."""
    process = start(*arguments, folder=folder, **environment)
    out, err = process.communicate(entered)
    assert process.returncode == code, (arguments, out, err)
    assert "Traceback" not in err
    return out, err


def rest(process):
    """What a process still says, to its end."""
    with process:
        return process.stdout.read(), process.stderr.read()


def objects(text):
    """The JSON objects of lines."""
    return [json.loads(line) for line in text.splitlines()]
