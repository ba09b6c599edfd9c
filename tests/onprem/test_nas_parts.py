"""What the roles of the NAS write for each way through the network, without a host: exports, mounts, peers, guards."""

import importlib.util
import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROLES = Path(__file__).parents[2] / "ansible/roles"
SPEC = importlib.util.spec_from_file_location("site_filters", ROLES / "site/filter_plugins/site_filters.py")
FILTERS = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(FILTERS)
TRANSPORTS = ("xprtsec", "stunnel", "wireguard")
TEMPLATES = {
    "nas_server": ("exports", "nfs.conf", "nfs-server.conf", "stunnel.conf", "guard.nft", "slipway-nas-backup"),
    "nas_client": ("store.mount", "guard.nft"),
    "wireguard": ("peers.conf", "guard.nft", "slipway-wireguard", "slipway-wireguard.service"),
}
ADDRESSES = {"nas-1": "192.0.2.10", "gpu-1": "192.0.2.21", "gpu-2": "2001:db8::22"}
NETWORK = "fd8e:51c4:a7d3::/64"
INSIDE = FILTERS.site_tunnel_addresses(NETWORK, dict.fromkeys(ADDRESSES, ""))["addresses"]


def play(folder, inventory, playbook, *, check=True, roles=ROLES):
    """Apply a playbook to this machine; what it said."""
    environment = {
        **os.environ,
        "ANSIBLE_CONFIG": str(ROLES.parent / "ansible.cfg"),
        "ANSIBLE_HOME": str(folder / "home"),
        "ANSIBLE_FILTER_PLUGINS": str(roles / "site/filter_plugins"),
        "ANSIBLE_ROLES_PATH": str(roles),
    }
    program = Path(sys.executable).with_name("ansible-playbook")
    done = subprocess.run([program, "-i", inventory, playbook], capture_output=True, text=True, env=environment)
    said = " ".join(f"{done.stdout}{done.stderr}".split())
    assert not check or done.returncode == 0, said
    return said


def render(folder, trainers=("gpu-1", "gpu-2")):
    """What all templates come to, by transport and host, and by role and name."""
    hosts = {name: {"ansible_host": ADDRESSES[name]} for name in ("nas-1", *trainers)}
    groups = {"nas": {"hosts": {"nas-1": None}}, "gpu": {"hosts": dict.fromkeys(trainers)}}
    common = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    given = {
        "site_secrets": str(folder), "nas_server_unencrypted": True, "nas_server_backup_target": "/mnt/backup",
        "nas_server_devices": {"results": [{"stdout": "7 /mnt/backup"}]},
        "wireguard_keys": "{{ dict(wireguard_peers | zip(wireguard_peers)) }}",
        "ansible_facts": {"distribution_release": "bookworm"},
    }  # fmt: skip
    inventory = folder / "hosts.yml"
    inventory.write_text(yaml.safe_dump({"all": {"hosts": hosts, "vars": common, "children": groups}}))
    plays = []
    for transport in TRANSPORTS:
        wanted = {
            f"{role}/{name}": f"{{{{ lookup('ansible.builtin.template', '{ROLES}/{role}/templates/{name}.j2') }}}}"
            for role, names in TEMPLATES.items()
            for name in names
        }
        written = {"content": "{{ wanted | to_json }}", "dest": f"{folder}/{transport}-{{{{ inventory_hostname }}}}"}
        files = [f"{ROLES}/{role}/{part}/main.yml" for role in ("site", *TEMPLATES) for part in ("defaults", "vars")]
        plays.append({
            "hosts": "all", "gather_facts": False, "vars_files": files,
            "tasks": [{"copy": written, "vars": {**given, "nas_transport": transport, "wanted": wanted}}],
        })  # fmt: skip
    playbook = folder / "render.yml"
    playbook.write_text(yaml.safe_dump(plays))
    play(folder, inventory, playbook)
    return {
        (transport, host): json.loads((folder / f"{transport}-{host}").read_text())
        for transport in TRANSPORTS
        for host in hosts
    }


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return render(tmp_path_factory.mktemp("made"))


def lines(text):
    """The lines of a file that mean something."""
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def test_each_way_exports_to_those_that_come_by_it_alone(made):
    exported = {way: lines(made[way, "nas-1"]["nas_server/exports"]) for way in TRANSPORTS}
    assert [len(each) for each in exported.values()] == [1, 1, 1]
    clients = {way: [word.split("(") for word in each[0].split()[1:]] for way, each in exported.items()}
    assert [name for name, _ in clients["xprtsec"]] == ["192.0.2.21", "2001:db8::22"]
    assert [name for name, _ in clients["stunnel"]] == ["127.0.0.1"]
    assert [name for name, _ in clients["wireguard"]] == [INSIDE["gpu-1"], INSIDE["gpu-2"]]
    for way, found in clients.items():
        for _, options in found:
            assert "root_squash" in options
            assert ("xprtsec=mtls" in options) == (way == "xprtsec")
            assert ("insecure" in options) == (way == "stunnel")
    listens = {way: made[way, "nas-1"]["nas_server/nfs.conf"].partition("host=")[2].strip() for way in TRANSPORTS}
    assert listens == {"xprtsec": "", "stunnel": "127.0.0.1", "wireguard": INSIDE["nas-1"]}
    assert "Requires=slipway-wireguard.service" in made["wireguard", "nas-1"]["nas_server/nfs-server.conf"]


def test_without_trainers_nothing_is_exported_to_anybody(tmp_path):
    """A folder without clients would be exported to everybody; stunnel without names would let in all hosts."""
    alone = render(tmp_path, trainers=["nas-1"])
    for way in TRANSPORTS:
        assert lines(alone[way, "nas-1"]["nas_server/exports"]) == [], way
    assert "checkHost = nobody.invalid" in alone["stunnel", "nas-1"]["nas_server/stunnel.conf"]


def test_trainers_mount_by_the_way_that_is_asked_for(made):
    found = {way: lines(made[way, "gpu-1"]["nas_client/store.mount"]) for way in TRANSPORTS}
    sources = {way: next(line for line in each if line.startswith("What=")) for way, each in found.items()}
    assert sources == {
        "xprtsec": "What=192.0.2.10:/srv/slipway-nas/slipway",
        "stunnel": "What=127.0.0.1:/srv/slipway-nas/slipway",
        "wireguard": f"What=[{INSIDE['nas-1']}]:/srv/slipway-nas/slipway",
    }
    options = {way: next(line for line in each if line.startswith("Options=")) for way, each in found.items()}
    assert {way: each.split(",")[1] for way, each in options.items()} == {
        "xprtsec": "proto=tcp", "stunnel": "proto=tcp", "wireguard": "proto=tcp6",
    }  # fmt: skip
    assert "Requires=slipway-wireguard.service" in found["wireguard"]
    # A new certificate starts stunnel anew, and must not unmount.
    assert "Wants=slipway-nas-tunnel.service" in found["stunnel"]
    assert not any(line.startswith("Requires=") for line in found["stunnel"])


def test_trainers_know_the_nas_alone_and_the_nas_each_by_its_address(made):
    def peers(host):
        return [lines(part) for part in made["wireguard", host]["wireguard/peers.conf"].split("[Peer]")[1:]]

    assert made["wireguard", "nas-1"]["wireguard/peers.conf"].count("ListenPort = 51820") == 1
    assert "ListenPort" not in made["wireguard", "gpu-1"]["wireguard/peers.conf"]
    for part, name in zip(peers("nas-1"), ("gpu-1", "gpu-2"), strict=True):
        assert part == [f"PublicKey = {name}", f"AllowedIPs = {INSIDE[name]}/128"]
    for trainer in ("gpu-1", "gpu-2"):
        endpoint = ["Endpoint = 192.0.2.10:51820", "PersistentKeepalive = 25"]
        assert peers(trainer) == [["PublicKey = nas-1", f"AllowedIPs = {INSIDE['nas-1']}/128", *endpoint]]
    program = made["wireguard", "gpu-1"]["wireguard/slipway-wireguard"]
    assert f"ip address add {INSIDE['gpu-1']}/64 dev" in program
    for host in ADDRESSES:
        script = made["wireguard", host]["wireguard/slipway-wireguard"]
        subprocess.run(["bash", "-n"], input=script, text=True, check=True)


def test_nothing_meant_for_the_tunnel_leaves_by_another_way(made):
    for host in ADDRESSES:
        guard = made["wireguard", host]["wireguard/guard.nft"]
        assert f'ip6 daddr {NETWORK} oifname != {{ "slipway-nas", "lo" }} drop' in guard
        assert ('iifname != "slipway-nas" tcp dport 2049 drop' in guard) == (host == "nas-1")
        assert ('oifname "slipway-nas" meta skuid != root reject' in guard) == (host != "nas-1")


def test_backups_look_whether_their_disk_is_there(made):
    assert "mountpoint --quiet /mnt/backup ||" in made["xprtsec", "nas-1"]["nas_server/slipway-nas-backup"]


def evaluate(folder, wanted, groups, **given):
    """What expressions come to on a host, with the variables of roles."""
    common = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable, "site_secrets": str(folder)}
    inventory, playbook = folder / "hosts.yml", folder / "evaluate.yml"
    hosts = {name: {"hosts": dict.fromkeys(names)} for name, names in groups.items()}
    inventory.write_text(yaml.safe_dump({"all": {"vars": common, "children": hosts}}))
    files = [f"{ROLES}/{role}/{part}/main.yml" for role in ("site", "nas_client") for part in ("defaults", "vars")]
    written = {"content": "{{ wanted | to_json }}", "dest": f"{folder}/evaluated-{{{{ inventory_hostname }}}}"}
    tasks = [{"copy": written, "vars": {**given, "wanted": wanted}}]
    playbook.write_text(yaml.safe_dump([{"hosts": "gpu", "gather_facts": False, "vars_files": files, "tasks": tasks}]))
    play(folder, inventory, playbook)
    return json.loads((folder / f"evaluated-{groups['gpu'][0]}").read_text())


UNITS = ["srv-slipway.mount", "srv-slipway.automount", "mnt-my\\x2dstore.mount", "mnt-my\\x2dstore.automount"]
THERE = {"files": [{"path": f"/etc/systemd/system/{name}"} for name in UNITS]}


@pytest.mark.parametrize(
    ("nas", "given", "dated"),
    [
        (["nas-1"], {}, ["mnt-my\\x2dstore"]),
        (["nas-1"], {"site_store": "/mnt/my-store"}, ["srv-slipway"]),
        (["nas-1"], {"nas_client_given": True}, ["mnt-my\\x2dstore", "srv-slipway"]),
        ([], {}, ["mnt-my\\x2dstore", "srv-slipway"]),
    ],
)
def test_a_mount_that_is_not_asked_for_any_more_is_known(tmp_path, nas, given, dated):
    wanted = {"dated": "{{ nas_client_dated_mounts }}", "folders": "{{ nas_client_folders | sort }}"}
    groups = {"nas": nas, "gpu": ["gpu-1"]}
    found = evaluate(tmp_path, wanted, groups, nas_client_there=THERE, **given)
    assert found == {"dated": dated, "folders": ["/mnt/my-store", "/srv/slipway"]}


@pytest.mark.parametrize(("nas", "given", "stays"), [(["nas-1"], False, False), ([], True, False), ([], False, True)])
def test_without_a_nas_runs_stay_on_their_trainer_and_that_is_said(tmp_path, nas, given, stays):
    wanted = {"proof": "{{ site_data }}", "said": "{{ site_stays.gpu }}", "removed": "{{ site_removed.gpu[0] }}"}
    found = evaluate(tmp_path, wanted, {"nas": nas, "gpu": ["gpu-1"]}, nas_client_given=given)
    assert [each["key"] for each in found["proof"]] == (["/srv/slipway"] if stays else [])
    assert found["said"] == (["runs and queue in /srv/slipway: the site has no NAS"] if stays else [])
    assert (found["removed"] == "the mount at /srv/slipway") == (not stays)


# Addresses in the tunnel


def test_an_address_stays_when_other_hosts_come_and_go():
    alone = FILTERS.site_tunnel_addresses(NETWORK, {"gpu-2": ""})
    assert alone["errors"] == []
    assert alone["addresses"]["gpu-2"] == INSIDE["gpu-2"]
    assert len(set(INSIDE.values())) == len(INSIDE)
    old = FILTERS.site_tunnel_addresses("10.86.0.0/16", {**dict.fromkeys(ADDRESSES, ""), "gpu-3": "10.86.0.3"})
    assert (old["errors"], old["addresses"]["gpu-3"], old["prefix"]) == ([], "10.86.0.3", 16)
    assert all(address.startswith("10.86.") for address in old["addresses"].values())
    assert FILTERS.site_within(["fe80::1%eth0", INSIDE["gpu-1"], "10.0.0.1"], NETWORK) == [INSIDE["gpu-1"]]


@pytest.mark.parametrize(
    ("network", "given", "words"),
    [
        ("10.86.0.1/24", {}, "site_tunnel_network: 10.86.0.1/24 is no network."),
        ("10.86.0.0/30", {"a": "", "b": "", "c": ""}, "10.86.0.0/30 is too small for 3 hosts."),
        ("10.86.0.0/24", {"a": "10.87.0.1"}, "site_tunnel_address of a: 10.87.0.1 is no address in 10.86.0.0/24."),
        ("10.86.0.0/24", {"a": "10.86.0.7", "b": "10.86.0.7"}, "a and b both have 10.86.0.7. Give one of them"),
    ],
)
def test_addresses_that_make_no_sense_are_told(network, given, words):
    errors = FILTERS.site_tunnel_addresses(network, given)["errors"]
    assert any(words in error for error in errors), errors


def test_ports_of_different_ways_do_not_clash():
    ports = yaml.safe_load((ROLES / "site/defaults/main.yml").read_text())["site_ports"]
    assert FILTERS.site_port_clashes(ports) == []
    ports["mine"] = {"port": 2049, "protocol": "tcp"}
    assert FILTERS.site_port_clashes(ports) == [
        "mine and nfs both claim tcp port 2049",
        "mine and wireguard_nfs both claim tcp port 2049",
    ]


# The device


def luks(label):
    """The beginning of a LUKS2 volume, as blkid knows it."""
    return b"LUKS\xba\xbe" + struct.pack(">HQQ48s", 2, 16384, 1, label.encode()) + b"\1" * 4000


SWAP = bytes(1024) + struct.pack("<II", 1, 255) + bytes(3054) + b"SWAPSPACE2"
MAY_BE_OURS = "does not begin as this site's volume does, and there is a copy of that one's header"
KEPT = {"nas_server_header": "{{ site_secrets }}/kept.luks-header"}
DEVICES = {
    "blank": (b"", {}, ""),
    "blank, perhaps a header": (b"", KEPT, MAY_BE_OURS),
    "named, perhaps ours": (b"\1" * 4096, {"nas_server_format": "{{ nas_server_device }}", **KEPT}, MAY_BE_OURS),
    "kept": (luks("slipway-nas"), KEPT, ""),
    "begun, another kept": (luks("slipway-nas.begun"), KEPT, ""),
    "unknown": (b"\1" * 4096, {}, "has something on it (data of no kind that is known), and is not formatted."),
    "swap": (SWAP, {}, "has something on it (swap), and is not formatted."),
    "named": (b"\1" * 4096, {"nas_server_format": "{{ nas_server_device }}"}, ""),
    "stranger": (luks("other"), {}, "has something on it (crypto_LUKS), and is not formatted."),
    "ours": (luks("slipway-nas"), {}, ""),
    "begun": (luks("slipway-nas.begun"), {}, ""),
    "TPM": (b"", {"nas_server_key": "tpm"}, "nas_server_key: tpm is asked for, and systemd of nas-1 is built without"),
}
"""What is on a disk, what is set, and what the look at it says; nothing: it may go on."""


@pytest.fixture
def disks(tmp_path):
    """A block device for each case, on a file."""
    made = {}
    try:
        for name, (content, _, _) in DEVICES.items():
            file = tmp_path / name
            file.write_bytes(content)
            os.truncate(file, 2 << 20)
            made[name] = subprocess.run(
                ["losetup", "--find", "--show", file], capture_output=True, text=True, check=True
            ).stdout.strip()
        yield made
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no loop devices: {error}")
    finally:
        for device in made.values():
            subprocess.run(["losetup", "--detach", device], check=True)


@pytest.mark.timeout(900)
@pytest.mark.skipif(os.geteuid() != 0, reason="loop devices need root")
def test_a_disk_with_anything_on_it_is_not_formatted(tmp_path, disks, monkeypatch):
    monkeypatch.setenv("SLIPWAY_NAS_PASSPHRASE", "correct horse battery")
    (tmp_path / "kept.luks-header").write_bytes(luks("slipway-nas"))
    enroll = tmp_path / "systemd-cryptenroll"
    enroll.write_text("#!/bin/sh\necho 'TPM2 not supported on this build.' >&2; exit 1\n")
    enroll.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    tasks = []
    for name, (_, given, _) in DEVICES.items():
        look = {"include_role": {"name": "nas_server", "tasks_from": "preflight_device"}}
        look["vars"] = {"nas_server_device": disks[name], **given}
        kept = {"set_fact": {"said": "{{ said | combine({name: ansible_failed_result.msg}) }}"}, "vars": {"name": name}}
        found = "{{ states | combine({name: [nas_server_is_ours, nas_server_is_begun]}) }}"
        state = {"set_fact": {"states": found}, "vars": {"name": name}}
        tasks.append({"block": [look], "rescue": [kept], "always": [state]})
    write = {"copy": {"content": "{{ [said, states] | to_json }}", "dest": f"{tmp_path}/said"}}
    variables = {"said": {}, "states": {}, "site_recorded": True, "site_secrets": str(tmp_path)}
    given = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable, **variables}
    inventory, playbook = tmp_path / "hosts.yml", tmp_path / "look.yml"
    inventory.write_text(yaml.safe_dump({"nas": {"hosts": {"nas-1": given}}}))
    playbook.write_text(yaml.safe_dump([{"hosts": "nas", "gather_facts": False, "tasks": [*tasks, write]}]))
    play(tmp_path, inventory, playbook)
    said, states = json.loads((tmp_path / "said").read_text())
    assert said.keys() == {name for name, (_, _, words) in DEVICES.items() if words}, said
    for name, words in said.items():
        assert DEVICES[name][2] in " ".join(words.split())
    assert {name: each for name, each in states.items() if any(each)} == {
        "ours": [True, False], "kept": [True, False], "begun": [False, True], "begun, another kept": [False, True],
    }  # fmt: skip


# Certificates, and what of them is on the operator's machine ----------------------------------------------------------


def operate(folder, tasks, hosts=("nas-1",), check=True, **variables):
    """Have roles do a part of theirs on this machine, whose folder of secrets is `folder`; what Ansible said."""
    common = {
        "ansible_connection": "local", "ansible_python_interpreter": sys.executable, "site_recorded": True,
        "site_secrets": str(folder), "certificates_passphrase": "correct horse battery", **variables,
    }  # fmt: skip
    inventory, playbook = folder / "hosts.yml", folder / "tasks.yml"
    inventory.write_text(yaml.safe_dump({"all": {"hosts": dict.fromkeys(hosts), "vars": common}}))
    files = [
        f"{ROLES}/{role}/{part}/main.yml"
        for role in ("site", "certificates", "wireguard")
        for part in ("defaults", "vars")
    ]
    # What the inventory has goes before what roles have by default, as it is a variable of the play's here.
    written = {"hosts": "all", "gather_facts": False, "vars_files": files, "tasks": [{"set_fact": common}, *tasks]}
    playbook.write_text(yaml.safe_dump([written]))
    return play(folder, inventory, playbook, check=check)


def of_role(role, name):
    return {"include_role": {"name": role, "tasks_from": name}}


def test_a_host_asks_for_the_names_that_it_is_told_to_however_its_address_is_written(tmp_path):
    addresses = ["2001:0DB8:0::21", "2001:db8::21", "FE80::1%eth0", "192.0.2.21", "gpu-1.example"]
    request = {
        "privatekey_path": f"{tmp_path}/host.key", "common_name": "{{ inventory_hostname }}",
        "subject_alt_name": "{{ certificates_san }}",
    }  # fmt: skip
    key = {"path": f"{tmp_path}/host.key", "type": "ECC", "curve": "secp256r1"}
    asked = "(asked.csr | community.crypto.openssl_csr_info).subject_alt_name"
    tasks = [
        {"community.crypto.openssl_privatekey": key, "run_once": True},
        {"community.crypto.openssl_csr_pipe": request, "register": "asked"},
        {"assert": {"that": [f"{asked} | sort == certificates_san | sort", "certificates_san | length == 2"]}},
    ]
    hosts = [f"host-{number}" for number in range(len(addresses))]
    operate(
        tmp_path, tasks, hosts, ansible_host=f"{{{{ {dict(zip(hosts, addresses, strict=True))}[inventory_hostname] }}}}"
    )


@pytest.mark.slow
def test_an_authority_that_was_cut_off_before_its_certificate_is_gone_on_with(tmp_path):
    make = [of_role("certificates", "preflight"), of_role("certificates", "authority")]
    operate(tmp_path, make)
    key = (tmp_path / "ca.key").read_text()
    (tmp_path / "ca.pem").unlink()
    operate(tmp_path, make)
    assert (tmp_path / "ca.key").read_text() == key
    # One that has signed something was there whole: its certificate is lost.
    (tmp_path / "hosts/nas-1.pem").write_text((tmp_path / "ca.pem").read_text())
    (tmp_path / "ca.pem").unlink()
    assert "only one is there. Put the other one back" in operate(tmp_path, make, check=False)


def part(role, since):
    """The tasks of a role's undo from one on, those in its blocks as well."""
    tasks = yaml.safe_load((ROLES / role / "tasks/absent.yml").read_text())
    tasks = [task for each in tasks for task in each.get("block", [each])]
    names = [task["name"] for task in tasks]
    return [
        task
        for task in tasks[names.index(since) :]
        if task.get("delegate_to") == "localhost" or "debug" in str([*task])
    ]


@pytest.mark.slow
def test_the_authority_goes_with_the_last_host_of_the_inventory(tmp_path):
    """Hosts that were renamed, or taken out of it, have left copies; one that is in it keeps the authority."""
    tasks = part("certificates", "Forget the host on the operator's machine")
    tasks += part("wireguard", "Forget the host's public key on the operator's machine")
    for folder, end in (("hosts", "pem"), ("wireguard", "pub")):
        (tmp_path / folder).mkdir()
        for host in ("nas-1", "gpu-1.example", "old-name"):
            (tmp_path / folder / f"{host}.{end}").touch()
    (tmp_path / "ca.key").touch()
    hosts = ("nas-1", "gpu-1.example")
    limited = [{**task, "when": f"inventory_hostname == 'nas-1' and ({task.get('when', True)})"} for task in tasks]
    said = operate(tmp_path, limited, hosts)
    assert "old-name" not in said
    assert (tmp_path / "ca.key").exists()
    assert (tmp_path / "wireguard/gpu-1.example.pub").exists()
    said = operate(tmp_path, tasks, hosts)
    assert "old-name: had a certificate of this authority, and no host of the inventory has that name any more" in said
    assert [path for name in ("ca.key", "hosts", "wireguard") if (path := tmp_path / name).exists()] == []
    assert "had a certificate" not in operate(tmp_path, tasks, hosts)
