"""What role `nvidia` finds out before it changes anything, and what it installs in which order, without a host."""

import gzip
import http.server
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import yaml

ROLES = Path(__file__).parents[2] / "ansible/roles"
PACKAGES = """Package: nvidia-driver-pinning-590
Architecture: all
Version: 590-1

Package: nvidia-driver-pinning-590.48.01
Version: 590.48.01-1

Package: nvidia-driver-pinning-595
Version: 595-1

Package: nvidia-open
Architecture: amd64
Version: 590.48.01-1

Package: nvidia-open
Architecture: amd64
Version: 595.71.05-1
"""
APT_CACHE = """#!/bin/sh
case "$*" in *linux-headers-amd64|*linux-headers-6.12.48+deb13-amd64) exit 0;; esac
exit 100
"""


@pytest.fixture
def archive(tmp_path):
    """NVIDIA's archive for Debian 13, as far as it is looked into."""
    folder = tmp_path / "archive/debian13/x86_64"
    folder.mkdir(parents=True)
    (folder / "8793F200.pub").write_text("a key")
    (folder / "Packages.gz").write_bytes(gzip.compress(PACKAGES.encode()))

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def __init__(self, *arguments):
            super().__init__(*arguments, directory=tmp_path / "archive")

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def play(folder, tasks, files=(), **variables):
    """Apply tasks to this machine, with files of variables."""
    inventory, playbook = folder / "hosts.yml", folder / "look.yml"
    given = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable, "site_recorded": True}
    inventory.write_text(yaml.safe_dump({"gpu": {"hosts": {"gpu-1": {**given, **variables}}}}))
    plays = [{"hosts": "gpu", "gather_facts": False, "vars_files": list(files), "tasks": tasks}]
    playbook.write_text(yaml.safe_dump(plays))
    environment = {
        **os.environ,
        "PATH": f"{folder}:{os.environ['PATH']}",
        "ANSIBLE_CONFIG": str(ROLES.parent / "ansible.cfg"),
        "ANSIBLE_HOME": str(folder / "home"),
        "ANSIBLE_ROLES_PATH": str(ROLES),
    }
    program = Path(sys.executable).with_name("ansible-playbook")
    done = subprocess.run([program, "-i", inventory, playbook], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr


def facts(release="13", kernel="6.12.48+deb13-amd64", distribution="Debian"):
    return {
        "distribution": distribution, "distribution_version": release, "distribution_major_version": release,
        "distribution_release": "trixie", "kernel": kernel, "python": {"executable": sys.executable},
    }  # fmt: skip


def test_what_no_driver_can_be_had_for_is_found_before_anything_changes(tmp_path, archive):
    gpu = tmp_path / "root/sys/bus/pci/devices/0000:01:00.0"
    gpu.mkdir(parents=True)
    (gpu / "vendor").write_text("0x10de\n")
    (gpu / "class").write_text("0x030200\n")
    (tmp_path / "apt-cache").write_text(APT_CACHE)
    (tmp_path / "apt-cache").chmod(0o755)
    record = tmp_path / "record"
    record.mkdir()
    (record / "wanted").write_text(json.dumps({"archive": [], "source": "nvidia", "version": ""}))
    nvidia = {"nvidia_source": "nvidia", "nvidia_repository": archive, "nvidia_branch": "590"}
    cases = {
        "good": ({**nvidia}, ""),
        "good version": ({**nvidia, "nvidia_version": "590.*"}, ""),
        "branch": (
            {**nvidia, "nvidia_branch": "580"},
            "has no nvidia-driver-pinning-580. Of branches it has 590, 595. Set nvidia_branch to one of them",
        ),
        "version": (
            {**nvidia, "nvidia_version": "580.*"},
            "nvidia_version: 580.* is in none of the archives, which have 590.48.01-1, 595.71.05-1.",
        ),
        "key": (
            {**nvidia, "nvidia_repository_key": "3bf863cc.pub"},
            "not reached (3bf863cc.pub and Packages.gz: HTTP",
        ),
        "away": (
            {**nvidia, "nvidia_repository": "http://127.0.0.1:1"},
            "not reached (8793F200.pub and Packages.gz:",
        ),
        "kernel": (
            {**nvidia, "ansible_facts": facts(kernel="6.12.41+deb13-amd64")},
            "Kernel: this host runs Linux 6.12.41+deb13-amd64, and its archives are without"
            " linux-headers-6.12.41+deb13-amd64, so that no driver is built for it. Upgrade the kernel"
            " (`apt-get install linux-image-amd64`) and reboot first",
        ),
        "back": ({"nvidia_source": "distribution"}, "packages do not go back to the distribution's"),
    }
    tasks = []
    for name, (given, _) in cases.items():
        own = {"ansible_facts": facts(), "nvidia_root": f"{tmp_path}/root", "nvidia_record": str(record)}
        look = {"include_role": {"name": "nvidia", "tasks_from": "preflight"}, "vars": {**own, **given}}
        kept = {"set_fact": {"said": "{{ said | combine({name: ansible_failed_result.msg}) }}"}, "vars": {"name": name}}
        tasks.append({"block": [look], "rescue": [kept]})
    tasks.append({"copy": {"content": "{{ said | to_json }}", "dest": f"{tmp_path}/said"}})
    play(tmp_path, tasks, said={})
    said = {name: " ".join(words.split()) for name, words in json.loads((tmp_path / "said").read_text()).items()}
    assert said.keys() == {name for name, (_, words) in cases.items() if words}, said
    assert [cases[name][1] in words or words for name, words in said.items()] == [True] * len(said)


def evaluated(folder, cases, **wanted):
    """What expressions come to with the role's variables, for each case's own."""
    files = [str(ROLES / name / part / "main.yml") for name in ("site", "nvidia") for part in ("defaults", "vars")]
    tasks = []
    for number, given in enumerate(cases):
        written = {"content": "{{ wanted | to_json }}", "dest": f"{folder}/found-{number}"}
        tasks.append({"copy": written, "vars": {**given, "wanted": wanted}})
    play(folder, tasks, files, site_secrets=str(folder))
    return [json.loads((folder / f"found-{number}").read_text()) for number in range(len(cases))]


def test_a_driver_does_not_move_with_the_kernel_and_its_branch_is_kept_before_it_comes(tmp_path):
    kernels = [facts(kernel="6.12.41+deb13-amd64"), facts(kernel="6.12.48+deb13-amd64"), facts("12")]
    names = {"headers": "{{ nvidia_headers }}", "first": "{{ nvidia_pinning }}", "then": "{{ nvidia_driver }}"}
    wanted = {**names, "recorded": "{{ nvidia_wanted }}", "key": "{{ nvidia_repository_key }}"}
    cases = [{"nvidia_source": "nvidia", "ansible_facts": each} for each in kernels]
    one, other, older = evaluated(tmp_path, cases, **wanted)
    assert one["headers"] == ["linux-headers-amd64", "linux-headers-6.12.41+deb13-amd64"]
    assert (one["first"], one["then"]) == (["nvidia-driver-pinning-580"], ["nvidia-open"])
    assert one["recorded"] == other["recorded"]
    assert (one["key"], older["key"]) == ("8793F200.pub", "3bf863cc.pub")
    tasks = yaml.safe_load((ROLES / "nvidia/tasks/install.yml").read_text())
    block = next(task["block"] for task in tasks if task["name"] == "Install what was asked for")
    installed = [task["vars"] for task in block if "site_packages" in task.get("vars", {})]
    assert [each["site_packages"] for each in installed] == ["{{ nvidia_pinning }}", "{{ nvidia_driver }}"]
    assert installed[-1]["site_packages_upgrade"] is True


PIN = ["preferences.d/slipway-nvidia"]
ARCHIVE = ["sources.list.d/slipway-nvidia.sources", "keyrings/slipway-nvidia.asc"]


def test_what_is_not_asked_for_any_more_goes(tmp_path):
    cases = [
        ({}, PIN + ARCHIVE),
        ({"nvidia_version": "580.*"}, ARCHIVE),
        ({"nvidia_source": "nvidia"}, PIN),
        ({"nvidia_source": "nvidia", "nvidia_version": "580.*"}, []),
        ({"nvidia_source": "given", "nvidia_version": "580.*"}, PIN + ARCHIVE),
    ]
    given = [{**each, "ansible_facts": facts()} for each, _ in cases]
    found = evaluated(tmp_path, given, dated="{{ nvidia_dated }}")
    assert [each["dated"] for each in found] == [[f"/etc/apt/{name}" for name in dated] for _, dated in cases]
