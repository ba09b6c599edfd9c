"""What a site makes of role `trainer` by its groups and by what a host had before, without a host."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ANSIBLE = Path(__file__).parents[2] / "ansible"
ROLES = ANSIBLE / "roles"
FACTS = {"distribution": "Debian", "distribution_version": "12.8", "service_mgr": "systemd"}


def play(folder, groups, tasks, **variables):
    """Apply tasks to hosts that are names for this machine; what Ansible said, and its exit code."""
    common = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    children = {name: {"hosts": dict.fromkeys(hosts)} for name, hosts in groups.items()}
    inventory, playbook = folder / "hosts.yml", folder / "play.yml"
    inventory.write_text(yaml.safe_dump({"all": {"vars": common, "children": children}}))
    files = [f"{ROLES}/{role}/{part}/main.yml" for role in ("site", "trainer") for part in ("defaults", "vars")]
    files = [*files, f"{ANSIBLE}/vars/trainer.yml"]
    playbook.write_text(
        yaml.safe_dump([{"hosts": "gpu", "gather_facts": False, "vars_files": files, "tasks": tasks}], sort_keys=False)
    )
    environment = {**os.environ, "ANSIBLE_HOME": str(folder / "home"), "ANSIBLE_ROLES_PATH": str(ROLES)}
    environment |= {"ANSIBLE_CONFIG": str(ANSIBLE / "ansible.cfg")}
    environment |= {"ANSIBLE_FILTER_PLUGINS": str(ROLES / "site/filter_plugins")}
    program = Path(sys.executable).with_name("ansible-playbook")
    command = [program, "-i", inventory, "-e", json.dumps(variables), playbook]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    return done.returncode, done.stdout + done.stderr


SITES = {
    "NAS": ({"nas": ["nas-1"], "gpu": ["gpu-1"]}, {}, True),
    "NAS that trains": ({"nas": ["gpu-1"], "gpu": ["gpu-1"]}, {}, True),
    "mount of the operator's": ({"gpu": ["gpu-1"]}, {"nas_client_given": True}, True),
    "no NAS": ({"gpu": ["gpu-1"]}, {}, False),
    "no NAS, but its group": ({"nas": [], "gpu": ["gpu-1"]}, {}, False),
}


@pytest.mark.parametrize("case", SITES)
def test_workers_wait_for_a_mount_where_there_is_to_be_one(case, tmp_path):
    groups, variables, is_mounted = SITES[case]
    unit = f"{{{{ lookup('ansible.builtin.template', '{ROLES}/trainer/templates/slipway-worker@.service.j2') }}}}"
    wanted = {"mount": "{{ trainer_mount }}", "unit": unit, "left": "{{ site_data | map(attribute='key') | list }}"}
    code, said = play(
        tmp_path,
        groups,
        [{"copy": {"content": "{{ wanted | to_json }}", "dest": f"{tmp_path}/made"}, "vars": {"wanted": wanted}}],
        trainer_manifest={"environment": "1", "gpu": False},
        **variables,
    )
    assert code == 0, said
    made = json.loads((tmp_path / "made").read_text())
    lines = made["unit"].splitlines()
    writable = next(line for line in lines if line.startswith("ReadWritePaths="))
    assert made["mount"] == ("/srv/slipway" if is_mounted else "")
    assert ("RequiresMountsFor=/srv/slipway" in lines) == is_mounted
    assert writable == f"ReadWritePaths={'/srv/slipway' if is_mounted else '/srv/slipway/queue /srv/slipway/runs'}"
    assert ("/srv/slipway" in made["left"]) != is_mounted  # `down` keeps runs, and says so


@pytest.mark.parametrize(
    ("has_results", "is_recorded", "code"), [(False, False, 0), (True, True, 0), (True, False, 2)]
)  # fmt: skip
def test_results_of_before_are_refused_before_anything_changes(has_results, is_recorded, code, tmp_path):
    home, record = tmp_path / "lib/slipway", tmp_path / "record"
    record.mkdir()
    if has_results:
        (home / "runs").mkdir(parents=True)
    if is_recorded:
        (record / "before.json").write_text("{}")
    look = {"include_role": {"name": "site", "tasks_from": "preflight"}}
    look["vars"] = {"site_home": str(home), "site_record": str(record), "ansible_facts": FACTS}
    found, said = play(tmp_path, {"gpu": ["gpu-1"]}, [look], site_operators=["192.0.2.0/24"])
    assert found == code, said
    assert (f"{home}: it is there already on gpu-1" in said) == bool(code)
