"""What roles base, firewall and nvidia are made of, without a host: tables, holes, and what is found of GPUs."""

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from onprem_sites import inventory

ROLES = Path(__file__).parents[2] / "ansible/roles"
ANSWERS = Path(__file__).parent / "nvidia_smi"
POINTS = yaml.safe_load((ROLES / "base/vars/main/points.yml").read_text())["base_points"]
SPEC = importlib.util.spec_from_file_location("filters", ROLES / "firewall/filter_plugins/firewall_filters.py")
FILTERS = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(FILTERS)
KINDS = {"sshd", "algorithms", "sysctl", "modules", "checks", "waiver", "elsewhere"}


def run(script, *arguments, given=None, path=None):
    """Run a program of a role; what it wrote."""
    environment = {**os.environ, "PATH": path or os.environ["PATH"]}
    command = [sys.executable, ROLES / script, *arguments]
    done = subprocess.run(command, input=given, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


# Points


def how(point):
    """How a point is done, or why it is not, as the README has it."""
    if "waiver" in point:
        return f"waived: {point['waiver']}"
    if "elsewhere" in point:
        return point["elsewhere"]
    if "checks" in point:
        return ", ".join(dict.fromkeys(f"`{Path(check['run'][0]).name}`" for check in point["checks"])) + " shows it"
    if "modules" in point:
        return ", ".join(f"`{name}`" for name in point["modules"])
    settings = point.get("sshd") or point.get("algorithms") or point["sysctl"]
    return ", ".join(
        f"`{name}`" if isinstance(value, list) or "{{" in value else f"`{name}` {value}"
        for name, value in settings.items()
    )


def table():
    """The README's table of points."""
    rows = [f"| {', '.join(point['ids'])} | {point['what']} | {how(point)} |" for point in POINTS]
    return "\n".join(["| points | what | how |", "|---|---|---|", *rows]) + "\n"


def test_the_readme_has_every_point():
    assert table() in (ROLES / "base/README.md").read_text(), f"\n{table()}"


def test_points_are_whole():
    for point in POINTS:
        assert len(KINDS & point.keys()) == 1, point
        assert point["ids"], point
    named = [each for point in POINTS for each in point["ids"] if each != "CIS 1.5.3"]  # in two parts
    assert len(named) == len(set(named))
    assert [each for each in named if not re.fullmatch(r"(sshd|sysctl|os)-\d\d\w?|CIS [\d.]+", each)] == []


# Holes

PORTS = yaml.safe_load(
    """
    ssh: {port: 22, protocol: tcp, to: [all], from: [operators], service: OpenSSH}
    nfs: {port: 2049, protocol: tcp, to: [nas], from: [gpu], service: NFS}
    metrics: {port: 9464, count: 16, protocol: tcp, to: [gpu], from: [monitor], service: metrics}
    tunnel: {port: 51820, protocol: udp, to: [nas, gpu], from: [nas, gpu], service: tunnel, when_transport: wireguard}
    inside: {port: 2049, protocol: tcp, to: [nas], from: [tunnel], service: NFS in it, when_transport: wireguard}
    loki: {port: 3100, protocol: tcp, to: [monitor], from: [all], service: Loki, loopback: true}
    """
)
GROUPS = {"nas": ["store"], "gpu": ["left", "right"], "monitor": ["store"]}
TUNNEL = {"store": "fd00::1", "left": "fd00::2", "right": "fd00::3"}
NAMES = {"store": "192.0.2.1", "left": "192.0.2.2", "right": "192.0.2.3"}


def holes(**changes):
    given = {"host": "left", "groups": GROUPS, "names": NAMES, "more": {}, "operators": ["198.51.100.0/24"]}
    given |= {"ports": PORTS, "transport": "", "tunnel": TUNNEL, "connection": ""} | changes
    return FILTERS.firewall_holes(given)


def sources(found):
    return {hole["name"]: hole["ipv4"] for hole in found["holes"]}


def test_each_host_has_the_holes_of_its_groups():
    assert holes()["errors"] == []
    assert sources(holes()) == {"ssh": ["198.51.100.0/24"], "metrics": ["192.0.2.1/32"]}
    assert sources(holes(host="store")) == {"ssh": ["198.51.100.0/24"], "nfs": ["192.0.2.2/31"]}
    ports = {hole["name"]: (hole["protocol"], hole["first"], hole["last"]) for hole in holes()["holes"]}
    assert ports == {"ssh": ("tcp", 22, 22), "metrics": ("tcp", 9464, 9479)}


def test_a_transport_opens_what_it_needs():
    assert sources(holes(transport="wireguard"))["tunnel"] == ["192.0.2.1/32", "192.0.2.3/32"]
    assert "tunnel" not in sources(holes(transport="stunnel"))
    inside = next(hole for hole in holes(transport="wireguard", host="store")["holes"] if hole["name"] == "inside")
    assert (inside["ipv4"], inside["ipv6"]) == ([], ["fd00::2/127"])


def test_names_are_resolved_and_more_addresses_are_known():
    found = holes(names={**NAMES, "store": "localhost"}, more={"store": ["2001:db8::/64", "192.0.2.9"]})
    metrics = next(hole for hole in found["holes"] if hole["name"] == "metrics")
    assert {"127.0.0.1/32", "192.0.2.9/32"} <= set(metrics["ipv4"])
    assert "2001:db8::/64" in metrics["ipv6"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"operators": []}, "site_operators: it is empty, and nobody could reach SSH."),
        ({"operators": ["office"]}, "site_operators: office is no address and no network."),
        (
            {"names": {**NAMES, "store": "store.invalid"}},
            "host store: store.invalid has no address. Set its ansible_host",
        ),
        ({"more": {"store": ["192.0.2.0/33"]}}, "firewall_addresses of store: 192.0.2.0/33 is no address"),
        (
            {"ports": {**PORTS, "ssh": {**PORTS["ssh"], "from": ["people"]}}},
            "site_ports.ssh: people is no group. Use nas,",
        ),
        (
            {"ports": {**PORTS, "ssh": {**PORTS["ssh"], "protocol": "icmp"}}},
            "site_ports.ssh: protocol icmp is not allowed.",
        ),
        (
            {"ports": {**PORTS, "nfs": {**PORTS["nfs"], "port": 0}}},
            "site_ports.nfs: 0 to 0 are no ports. Use 1 to 65535",
        ),
        (
            {"connection": "203.0.113.5 1 192.0.2.2 22"},
            "you connect from 203.0.113.5 to port 22 of left, which no hole",
        ),
        ({"connection": "198.51.100.7 1 192.0.2.2 2222"}, "see that site_ports.ssh has port 2222 to all"),
        ({"connection": "::ffff:203.0.113.5 1 ::ffff:192.0.2.2 22"}, "you connect from 203.0.113.5 to port 22"),
        ({"connection": "fe80::1%eth0 1 fe80::2%eth0 22"}, "you connect from fe80::1 to port 22"),
    ],
)
def test_what_makes_no_sense_or_locks_out_is_told(changes, words):
    errors = holes(**changes)["errors"]
    assert any(words in error for error in errors), errors


def test_one_who_connects_from_where_operators_are_stays_in():
    for client in ("198.51.100.7", "::ffff:198.51.100.7"):
        assert holes(connection=f"{client} 50022 192.0.2.2 22")["errors"] == []


# GPUs


def machine(folder, files):
    """A folder with files as /sys has them."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return json.loads(run("nvidia/files/detect.py", folder))


# As /sys has a graphics card, its sound, a bridge, and the display controller of a server's remote console.
DEVICES = {
    "sys/bus/pci/devices/0000:01:00.0/vendor": b"0x10de\n",
    "sys/bus/pci/devices/0000:01:00.0/class": b"0x030200\n",
    "sys/bus/pci/devices/0000:01:00.1/vendor": b"0x10de\n",
    "sys/bus/pci/devices/0000:01:00.1/class": b"0x040300\n",
    "sys/bus/pci/devices/0000:02:00.0/vendor": b"0x8086\n",
    "sys/bus/pci/devices/0000:02:00.0/class": b"0x060400\n",
    "sys/bus/pci/devices/0000:03:00.0/vendor": b"0x1a03\n",
    "sys/bus/pci/devices/0000:03:00.0/class": b"0x030000\n",
}
LIBRARY = "usr/lib/x86_64-linux-gnu/libnvidia-ml.so"
SECURE = "sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"


def test_a_gpu_is_found_by_vendor_and_class(tmp_path):
    found = machine(tmp_path, DEVICES)
    assert found["gpus"] == ["0000:01:00.0"]
    assert (found["loaded"], found["library"], found["mismatch"], found["nouveau"]) == ("", "", False, False)


def test_a_machine_without_one_is_known(tmp_path):
    assert machine(tmp_path, {})["gpus"] == []


def test_a_module_that_does_not_go_with_the_library_is_found(tmp_path):
    driver = {"sys/module/nvidia/version": b"535.247.01\n", f"{LIBRARY}.535.247.01": b"", f"{LIBRARY}.1": b""}
    assert machine(tmp_path, DEVICES | driver)["mismatch"] is False
    found = machine(tmp_path, {f"{LIBRARY}.535.261.03": b""})
    assert (found["loaded"], found["library"], found["mismatch"]) == ("535.247.01", "535.261.03", True)


def test_nouveau_and_secure_boot_are_found(tmp_path):
    found = machine(tmp_path, DEVICES | {"sys/module/nouveau/refcnt": b"0", SECURE: b"\6\0\0\0\1"})
    assert (found["nouveau"], found["secure_boot"]) == (True, True)
    assert machine(tmp_path, {SECURE: b"\6\0\0\0\0"})["secure_boot"] is False


def metrics(answer):
    lines = run("nvidia/files/gpu_metrics.py", "-", "-", given=answer).splitlines()
    return dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))


@pytest.mark.parametrize(("holder", "taken"), [("me", ""), ("me", "another"), (None, "another")])
def test_a_reboot_takes_the_lock_and_the_role_takes_it_again_or_stops(tmp_path, holder, taken):
    """The role's own tasks, but for the reboot: that makes /run empty, and somebody else may be quick."""
    lock = tmp_path / "site.lock"
    lock.symlink_to("me")
    tasks = yaml.safe_load((ROLES / "nvidia/tasks/reboot.yml").read_text())
    assert tasks.pop()["name"] == "Insist on it"  # the driver, of which there is none here
    (reboot,) = (task for task in tasks if "ansible.builtin.reboot" in task)
    del reboot["ansible.builtin.reboot"]
    reboot["ansible.builtin.command"] = {"argv": ["sh", "-c", f"rm {lock}; [ -z '{taken}' ] || ln -s '{taken}' {lock}"]}
    play = {"name": "Reboot", "hosts": "all", "gather_facts": False, "tasks": tasks}
    play["vars"] = {
        **({"lock_holder": holder} if holder else {}),  # only `slipway onprem` has one
        "site_lock": str(lock),
        "nvidia_reboot": True,
        "nvidia_detect_command": ["true"],
    }
    (tmp_path / "play.yml").write_text(yaml.safe_dump([play], sort_keys=False))
    path = inventory(tmp_path / "site", {"gpu": ["one"]})
    command = [Path(sys.executable).with_name("ansible-playbook"), "-i", path, tmp_path / "play.yml"]
    done = subprocess.run(command, capture_output=True, text=True)
    stopped = holder is not None and taken != ""
    assert str(lock.readlink()) == (taken or holder), done.stdout
    assert done.returncode == (2 if stopped else 0), done.stdout
    assert ("then it was taken by another. Wait" in done.stdout) == stopped


def test_an_answer_of_nvidia_smi_becomes_metrics():
    found = metrics((ANSWERS / "two-a5000.xml").read_text())
    assert found["nvidia_smi_up"] == "1"
    assert found["nvidia_smi_gpus"] == "2"
    assert {key: float(value) for key, value in found.items() if 'gpu="0"' in key and '{gpu="0"}' in key} == {
        'nvidia_smi_temperature_celsius{gpu="0"}': 13,
        'nvidia_smi_power_draw_watts{gpu="0"}': 6.41,
        'nvidia_smi_power_limit_watts{gpu="0"}': 230,
        'nvidia_smi_utilization_ratio{gpu="0"}': 0,
        'nvidia_smi_memory_utilization_ratio{gpu="0"}': 0,
        'nvidia_smi_memory_total_bytes{gpu="0"}': 24564 << 20,
        'nvidia_smi_memory_used_bytes{gpu="0"}': 22437 << 20,
        'nvidia_smi_memory_reserved_bytes{gpu="0"}': 450 << 20,
        'nvidia_smi_sm_clock_hertz{gpu="0"}': 210e6,
        'nvidia_smi_memory_clock_hertz{gpu="0"}': 405e6,
        'nvidia_smi_fan_speed_ratio{gpu="0"}': 0.3,
        'nvidia_smi_pcie_replays_total{gpu="0"}': 0,
        'nvidia_smi_remapped_rows_correctable_total{gpu="0"}': 0,
        'nvidia_smi_remapped_rows_uncorrectable_total{gpu="0"}': 0,
        'nvidia_smi_persistence_mode{gpu="0"}': 1,
        'nvidia_smi_ecc_mode{gpu="0"}': 0,
        'nvidia_smi_remapped_row_failure{gpu="0"}': 0,
        'nvidia_smi_remapped_row_pending{gpu="0"}': 0,
    }
    assert found['nvidia_smi_power_draw_watts{gpu="1"}'] == "13.6"
    info = next(key for key in found if key.startswith("nvidia_smi_gpu_info") and 'gpu="1"' in key)
    assert 'pci_bus_id="00000000:C1:00.0"' in info
    assert 'driver_version="590.44.01"' in info
    assert found['nvidia_smi_slowdown{gpu="1",reason="hw_thermal_slowdown"}'] == "0"
    assert [key for key in found if "ecc_errors" in key] == []  # they are not counted while it is off


def test_drivers_name_things_differently():
    found = metrics((ANSWERS / "a10g.xml").read_text())
    assert found['nvidia_smi_power_draw_watts{gpu="0"}'] == "25.58"
    assert found['nvidia_smi_power_limit_watts{gpu="0"}'] == "300"
    assert found['nvidia_smi_slowdown{gpu="0",reason="sw_power_cap"}'] == "0"
    assert found['nvidia_smi_ecc_errors_total{gpu="0",memory="dram",error="uncorrectable"}'] == "0"
    assert 'nvidia_smi_memory_temperature_celsius{gpu="0"}' not in found


def test_an_h100_at_its_limit_of_power_is_told():
    found = metrics((ANSWERS / "h100.xml").read_text())
    slowdowns = {key.split('reason="')[1].rstrip('"}'): value for key, value in found.items() if "slowdown{" in key}
    assert slowdowns.pop("sw_power_cap") == "1"
    assert set(slowdowns.values()) == {"0"}
    assert float(found['nvidia_smi_power_draw_watts{gpu="0"}']) == pytest.approx(700, rel=0.01)
    assert found['nvidia_smi_utilization_ratio{gpu="0"}'] == "1"
    assert {key.split("{")[1] for key in found if "ecc_errors" in key} == {
        'gpu="0",memory="sram",error="correctable"}',
        'gpu="0",memory="sram",error="uncorrectable_parity"}',
        'gpu="0",memory="sram",error="uncorrectable_secded"}',
        'gpu="0",memory="dram",error="correctable"}',
        'gpu="0",memory="dram",error="uncorrectable"}',
    }
    assert 'nvidia_smi_fan_speed_ratio{gpu="0"}' not in found  # the server's fans cool it


def test_a_gpu_in_trouble_is_told():
    answer = (ANSWERS / "a10g.xml").read_text()
    answer = answer.replace("<remapped_row_failure>No<", "<remapped_row_failure>Yes<")
    answer = answer.replace("hw_slowdown>Not Active<", "hw_slowdown>Active<")
    answer = answer.replace("<dram_uncorrectable>0<", "<dram_uncorrectable>7<")
    found = metrics(answer.replace("NVIDIA A10G", "NVIDIA &quot;A10G&quot; \\"))
    assert found['nvidia_smi_remapped_row_failure{gpu="0"}'] == "1"
    assert found['nvidia_smi_slowdown{gpu="0",reason="hw_slowdown"}'] == "1"
    assert found['nvidia_smi_ecc_errors_total{gpu="0",memory="dram",error="uncorrectable"}'] == "7"
    assert any(r'name="NVIDIA \"A10G\" \\"' in key for key in found)


@pytest.mark.parametrize("answer", ["", "No devices were found", "<nvidia_smi_log>"])
def test_no_answer_is_told(answer):
    assert metrics(answer) == {"nvidia_smi_up": "0"}


def test_a_driver_that_refuses_is_told(tmp_path):
    """As nvidia-smi says it when the library was replaced under a running driver."""
    program = tmp_path / "nvidia-smi"
    program.write_text('#!/bin/sh\necho "Failed to initialize NVML: Driver/library version mismatch"\nexit 18\n')
    program.chmod(0o755)
    out = tmp_path / "gpu.prom"
    run("nvidia/files/gpu_metrics.py", out, path=f"{tmp_path}:/usr/bin:/bin")
    assert out.read_text().splitlines()[-1] == "nvidia_smi_up 0"
    assert (out.stat().st_mode & 0o777, [path.name for path in tmp_path.iterdir() if ".slipway" in path.name]) == (
        0o644,
        [],
    )
