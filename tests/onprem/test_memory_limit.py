"""A training that takes too much memory is ended by the kernel, alone. Containers accept a limit, and keep none."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import kernel
import pytest
import yaml

ROOT = Path(__file__).parents[2]
IMAGE, ROLE = ROOT / ".tools/hosts/bookworm", ROOT / "ansible/roles/trainer"
LIMIT_MIB = 96

pytestmark = [
    pytest.mark.deep,
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(os.geteuid() != 0, reason="an image of a disk with its owners needs root"),
]

TAKE = """\
import sys
taken = [bytearray(b"x" * (1 << 20)) for _ in range(int(sys.argv[1]))]
print("has", len(taken), flush=True)
"""
INSTEAD = """\
[Service]
ExecStart=
ExecStart=/usr/bin/python3 /opt/take.py ${MIB}
EnvironmentFile=/opt/mib
RestartSec=100ms
"""
"""The unit as the role writes it, but for what it starts."""

SCRIPT = """\
useradd --system slipway
systemd-run --quiet --unit=bystander sleep 1000
end() {
  systemctl start slipway-train.service
  for _ in $(seq 600); do
    case $(systemctl show --property=ActiveState --value slipway-train.service) in inactive|failed) break;; esac
    sleep 0.2
  done
}
for mib in 32 300; do
  echo "MIB=$mib" > /opt/mib
  end
  echo "$mib $(systemctl show --property=Result --property=NRestarts --property=MemoryMax --property=ExecMainStatus \\
    slipway-train.service | sort | tr '\\n' ' ')"
  # After a success it may be forgotten already.
  systemctl reset-failed slipway-train.service 2>/dev/null
done
echo "journal $(journalctl --no-pager --output=cat | grep --count 'has 300')"
echo "killed $(journalctl --no-pager --dmesg --output=cat | grep --count 'Memory cgroup out of memory')"
echo "bystander $(systemctl is-active bystander)"
"""


@pytest.fixture(scope="module")
def unit(tmp_path_factory):
    """The unit of a training, as the role writes it for a limit."""
    folder = tmp_path_factory.mktemp("unit")
    manifest = {"run_id": "big", "environment": "1", "gpu": False, "wheel": "w", "wheelhouse": False, "seeds": 1}
    variables = {"trainer_manifest": manifest, "trainer_memory_max": f"{LIMIT_MIB}M"}
    variables["ansible_python_interpreter"] = sys.executable
    task = {"ansible.builtin.template": {"src": f"{ROLE}/templates/slipway-train.service.j2", "dest": f"{folder}/unit"}}
    files = [f"{ROLE}/defaults/main.yml", f"{ROLE}/vars/main.yml"]
    play = {"hosts": "localhost", "connection": "local", "gather_facts": False, "vars_files": files, "tasks": [task]}
    (folder / "play.yml").write_text(yaml.safe_dump([play]))
    command = [Path(sys.executable).with_name("ansible-playbook"), "-i", "localhost,", "-e", json.dumps(variables)]
    subprocess.run([*command, folder / "play.yml"], check=True, capture_output=True, cwd=folder)
    return (folder / "unit").read_text()


def test_a_training_that_takes_too_much_memory_is_ended_alone(unit, tmp_path):
    assert f"MemoryMax={LIMIT_MIB}M" in unit
    files = {
        "etc/systemd/system/slipway-train.service": unit,
        "etc/systemd/system/slipway-train.service.d/instead.conf": INSTEAD,
        "opt/take.py": TAKE,
        "opt/mib": "MIB=0\n",
    }
    said, _ = kernel.boot(IMAGE, tmp_path / "machine", SCRIPT, files)
    small, big, *rest = said.splitlines()
    limit = f"MemoryMax={LIMIT_MIB << 20}"
    assert small == f"32 ExecMainStatus=0 {limit} NRestarts=0 Result=success "
    # systemd may count the restart that it refuses: five were killed in any case.
    # And on a busy machine it sees the end before the kernel tells it why; the kernel's own count follows.
    assert re.fullmatch(rf"300 ExecMainStatus=9 {limit} NRestarts=[45] Result=(oom-kill|signal) ", big)
    assert rest == ["journal 0", "killed 5", "bystander active"]
