"""A NAS and a trainer on two hosts: certificates, what is refused, the ways through the network, backups, and the undo.

Their kernel has neither an NFS server nor device mapper: no export is mounted here, and no volume opened. Nor has it
WireGuard, for which a program of user space stands in: what the role writes is shown with it, not the kernel's tunnel.
"""

import contextlib
import json
import os
import shlex
import socket
import ssl
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import yaml
from lab import site

PKI, PASSPHRASE, VAULT = "/etc/slipway-pki", "correct horse battery", "a vault's password"
MARKER = "marker-that-must-not-be-seen-on-the-wire"

pytestmark = [
    pytest.mark.deep,
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(os.geteuid() != 0, reason="hosts of their own need root"),
]


def openssl(*arguments, check=True):
    done = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True)
    assert not check or done.returncode == 0, done.stderr
    return done


class Nas:
    """Two hosts, and playbooks of the roles that are tested."""

    def __init__(self, lab):
        self.lab, self.hosts = lab, lab.hosts
        self.secrets = lab.inventory.parent / "secrets"
        self.vault = lab.folder / "vault"
        self.vault.write_text(VAULT)
        lab.write_inventory(
            {"nas": ["nas-1"], "gpu": ["gpu-1"]},
            nas_transport="stunnel", nas_server_unencrypted=True, nas_server_start=False, nas_client_start=False,
            nas_server_backup_target="/mnt/backup", nas_server_backup_keep=2,
        )  # fmt: skip

    def playbook(self, name, *plays):
        """Write a playbook: of each play the hosts, the roles, and what its tasks are."""
        path = self.lab.folder / f"{name}.yml"
        written = [
            {"name": hosts, "hosts": hosts, "become": True, "gather_facts": True, **keys} for hosts, keys in plays
        ]
        path.write_text(yaml.safe_dump(written, sort_keys=False))
        return path

    def play(self, playbook, *options, check=True, limit=None, **variables):
        extra = json.dumps({"certificates_passphrase": PASSPHRASE, **variables})
        limit = ["--limit", limit] if limit else []
        return self.lab.play(
            playbook, "--extra-vars", extra, "--vault-password-file", self.vault, *limit, *options, check=check
        )

    @property
    def certificates(self):
        return self.playbook("certificates", ("nas:gpu", {"roles": ["certificates"]}))

    @property
    def up(self):
        return self.playbook(
            "up",
            ("nas:gpu", {"roles": ["certificates", "wireguard"]}),
            ("nas", {"roles": ["nas_server"], "gather_facts": False}),
            ("gpu", {"roles": ["nas_client"], "gather_facts": False}),
        )

    def refusals(self, *cases):
        """What roles say that look at a host, and find that it will not do; nothing has changed.

        Args:
            cases: of each the host, the role, its variables, and commands before and after it.
        """
        plays = []
        for host, role, variables, *around in cases:
            before, after = (
                [{"command": command, "changed_when": False} for command in each] for each in around or ([], [])
            )
            given = {"certificates_passphrase": PASSPHRASE, **variables}
            look = {"include_role": {"name": role, "tasks_from": "preflight"}, "vars": given}
            kept = (
                "{{ said | default([]) + [(ansible_failed_result.results | default([ansible_failed_result])"
                " | selectattr('failed', 'defined') | selectattr('failed') | map(attribute='msg') | join(' '))] }}"
            )
            tasks = [
                {
                    "block": [*before, look, {"fail": {"msg": "it was not refused"}}],
                    "rescue": [{"set_fact": {"said": kept}}],
                    "always": after,
                }
            ]
            plays.append((host, {"tasks": tasks, "gather_facts": not plays or plays[-1][0] != host}))
        written = {"content": "{{ said | to_json }}", "dest": f"{self.lab.folder}/said-{{{{ inventory_hostname }}}}"}
        write = {"copy": written, "delegate_to": "localhost", "become": False, "changed_when": False}
        hosts = list(dict.fromkeys(case[0] for case in cases))
        plays.append((":".join(hosts), {"tasks": [write], "gather_facts": False}))
        # As variables of a task, and not of the command: those would go before what a case gives.
        options = ["--extra-vars", '{"site_recorded": true}', "--vault-password-file", self.vault]
        done = self.lab.play(self.playbook("look", *plays), *options)
        assert done.changed == 0, done.changes()
        said = {host: iter(json.loads((self.lab.folder / f"said-{host}").read_text())) for host in hosts}
        return [" ".join(next(said[case[0]]).split()) for case in cases]

    def pem(self, host, name="host.pem"):
        return self.hosts[host].run("cat", f"{PKI}/{name}").stdout

    def serial(self, host):
        path = self.lab.folder / "asked.pem"
        path.write_text(self.pem(host))
        return openssl("x509", "-in", path, "-noout", "-serial").stdout

    def verifies(self, host, by):
        """Whether a host's certificate is valid for another host that trusts what is in its ca.pem."""
        certificate, trusted = self.lab.folder / "shown.pem", self.lab.folder / "trusted.pem"
        certificate.write_text(self.pem(host))
        trusted.write_text(self.pem(by, "ca.pem"))
        done = openssl(
            *("verify", "-CAfile", trusted, "-x509_strict", "-purpose", "sslserver", "-verify_hostname", host),
            certificate,
            check=False,
        )
        return done.returncode == 0

    def other_certificate(self, name, *, days=2):
        """A certificate of the site's authority for somebody else; files of key and certificate."""
        key, request, certificate = (self.lab.folder / f"{name}.{end}" for end in ("key", "csr", "pem"))
        openssl(
            "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-keyout", key, "-out", request, "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}",
        )  # fmt: skip
        openssl(
            "x509", "-req", "-in", request, "-CA", self.secrets / "ca.pem", "-CAkey", self.secrets / "ca.key",
            "-passin", f"pass:{PASSPHRASE}", "-days", days, "-copy_extensions", "copy", "-out", certificate,
        )  # fmt: skip
        return key, certificate


@pytest.fixture(scope="module")
def nas():
    """The NAS and its trainer, after the roles were applied."""
    with site("nas", {"nas-1": "bookworm", "gpu-1": "bookworm"}, {"/dev/net/tun": "/dev/net/tun"}) as lab:
        made = Nas(lab)
        made.before = {name: state(host) for name, host in made.hosts.items()}
        # A disk for backups: a file system of its own is all that is asked for.
        lab.hosts["nas-1"].run("mkdir", "/mnt/backup")
        lab.hosts["nas-1"].run("mount", "-t", "tmpfs", "tmpfs", "/mnt/backup")
        made.first = made.play(made.up)
        yield made


def state(host):
    """What the roles change on a host, and must give back. Packages are given back by the role `site`."""
    script = """
    systemctl list-unit-files --no-legend --plain | sort; getent passwd; getent group; ss -Hlnt | sort
    nft list ruleset 2>/dev/null; find /etc/systemd /usr/local /etc/slipway* /srv | sort; findmnt -n -o TARGET
    """
    return host.run("bash", "-c", script).stdout.splitlines()


def test_a_second_application_changes_nothing(nas):
    again = nas.play(nas.up)
    assert again.changes() == []
    assert again.changed == 0


def test_it_can_be_asked_what_would_change(nas):
    asked = nas.play(nas.up, "--check", nas_server_backup_keep=3)
    assert [line.split(": changed")[0] for line in asked.changes()] == [
        "nas_server : Copy what makes and restores backups"
    ]


def test_keys_stay_where_they_were_made_and_are_closed(nas):
    for host in nas.hosts.values():
        listed = host.run("stat", "--format=%n %A %U:%G", PKI, f"{PKI}/host.key", f"{PKI}/host.pem", f"{PKI}/ca.pem")
        assert listed.stdout.splitlines() == [
            f"{PKI} drwxr-x--- root:slipway-pki",
            f"{PKI}/host.key -rw-r----- root:slipway-pki",
            f"{PKI}/host.pem -rw-r----- root:slipway-pki",
            f"{PKI}/ca.pem -rw-r----- root:slipway-pki",
        ]
        assert not (host.root / PKI.strip("/") / "ca.key").exists()
    here = [path for path in nas.lab.inventory.parent.rglob("*") if path.is_file()]
    keys = {path.name: path.read_text() for path in here if "PRIVATE KEY" in path.read_text()}
    assert keys.keys() == {"ca.key"}
    assert keys["ca.key"].startswith("-----BEGIN ENCRYPTED PRIVATE KEY-----")
    assert (nas.secrets / "ca.key").stat().st_mode & 0o777 == 0o600
    assert nas.secrets.stat().st_mode & 0o777 == 0o700
    assert openssl("pkey", "-in", nas.secrets / "ca.key", "-passin", "pass:wrong password", check=False).returncode


def test_certificates_are_what_openssl_takes_and_no_more(nas):
    assert nas.verifies("nas-1", by="gpu-1")
    assert nas.verifies("gpu-1", by="nas-1")
    path = nas.lab.folder / "text.pem"
    path.write_text(nas.pem("gpu-1"))
    text = openssl("x509", "-in", path, "-noout", "-text").stdout
    assert f"DNS:gpu-1, IP Address:{nas.hosts['gpu-1'].address}" in text
    assert "TLS Web Server Authentication, TLS Web Client Authentication" in text
    assert "CA:FALSE" in text
    for host in nas.hosts.values():
        assert host.properties("slipway-pki.service")["ActiveState"] == "active"
        assert host.run("systemctl", "start", "slipway-pki-end.service").returncode == 0


def test_bad_passphrases_and_a_wrong_clock_are_refused(nas):
    cases = (
        ({"certificates_passphrase": "short"}, "certificates_passphrase: it has 5 characters"),
        ({"certificates_passphrase": "another passphrase"}, "certificates_passphrase: it does not open"),
        ({"certificates_clock_seconds": -1}, "Clock of gpu-1: it is"),
        ({"certificates_rotate": "sign"}, "certificates_rotate: sign is not the next step"),
    )
    said = nas.refusals(*(("gpu-1", "certificates", variables) for variables, _ in cases))
    assert [words in each or each for each, (_, words) in zip(said, cases, strict=True)] == [True] * len(cases)


EVIL = """#!/usr/bin/python3
# What someone has made of Python who took the host over: another request than the one that was asked for.
import json, pathlib, subprocess, sys
done = subprocess.run(["/usr/bin/python3", *sys.argv[1:]], stdout=subprocess.PIPE)
said = done.stdout
if b"BEGIN CERTIFICATE REQUEST" in said:
    answer = json.loads(said)
    answer["csr"] = pathlib.Path("/root/evil.csr").read_text()
    said = json.dumps(answer).encode()
sys.stdout.buffer.write(said)
sys.exit(done.returncode)
"""


def test_a_request_for_another_hosts_name_is_not_signed(nas):
    host, before = nas.hosts["gpu-1"], nas.serial("gpu-1")
    program = host.root / "usr/local/bin/evil"
    program.write_text(EVIL)
    program.chmod(0o755)
    inventory = nas.lab.inventory.read_text()
    changed = yaml.safe_load(inventory)
    changed["all"]["hosts"]["gpu-1"]["ansible_python_interpreter"] = "/usr/local/bin/evil"
    nas.lab.inventory.write_text(yaml.safe_dump(changed))
    names = ("-addext", "subjectAltName=DNS:gpu-1,DNS:nas-1", "-addext", "basicConstraints=critical,CA:TRUE")
    request = ("openssl", "req", "-new", "-key", f"{PKI}/host.key", "-subj", "/CN=gpu-1", *names)
    host.run(*request, "-out", "/root/evil.csr")
    try:
        said = nas.play(nas.certificates, limit="gpu-1", check=False)
    finally:
        nas.lab.inventory.write_text(inventory)
        program.unlink()
    words = "gpu-1: it asks for a certificate with other names or rights than its own"
    assert words in " ".join(said.output.split()), said.output
    assert said.returncode == 2
    assert nas.serial("gpu-1") == before


def test_an_expired_certificate_is_renewed(nas):
    host = nas.hosts["gpu-1"]
    request = host.run(
        *(
            "openssl",
            "req",
            "-new",
            "-key",
            f"{PKI}/host.key",
            "-subj",
            "/CN=gpu-1",
            "-addext",
            "subjectAltName=DNS:gpu-1",
        )
    ).stdout
    csr, pem = nas.lab.folder / "old.csr", nas.lab.folder / "old.pem"
    csr.write_text(request)
    openssl(
        "x509", "-req", "-in", csr, "-CA", nas.secrets / "ca.pem", "-CAkey", nas.secrets / "ca.key",
        "-passin", f"pass:{PASSPHRASE}", "-days", "-1", "-copy_extensions", "copy", "-out", pem,
    )  # fmt: skip
    (host.root / PKI.strip("/") / "host.pem").write_text(pem.read_text())
    assert not nas.verifies("gpu-1", by="nas-1")
    assert host.run("systemctl", "start", "slipway-pki-end.service", check=False).returncode != 0
    assert host.run("systemctl", "restart", "slipway-pki.service", check=False).returncode != 0
    host.run("systemctl", "restart", "slipway-nas-tunnel.service")  # as after a restart of the host
    shown = host.properties("slipway-nas-tunnel.service")["ExecMainStartTimestampMonotonic"]
    assert nas.play(nas.certificates, limit="gpu-1").changed
    assert nas.verifies("gpu-1", by="nas-1")
    host.run("systemctl", "start", "slipway-pki-end.service")
    # What shows the certificate was started anew.
    assert host.properties("slipway-nas-tunnel.service")["ExecMainStartTimestampMonotonic"] != shown


def test_a_restart_that_a_run_was_cut_off_before_is_made_up_for(nas):
    host, copy = nas.hosts["gpu-1"], nas.secrets / "hosts/gpu-1.pem"
    shown = host.properties("slipway-nas-tunnel.service")["ExecMainStartTimestampMonotonic"]
    given = {"certificates_names": ["other.example"]}
    extra = json.dumps({"certificates_passphrase": PASSPHRASE, **given})
    nas.lab.play_until(
        nas.certificates, "TASK [certificates : Write the units", "--extra-vars", extra,
        "--vault-password-file", nas.vault,
    )  # fmt: skip
    assert host.properties("slipway-nas-tunnel.service")["ExecMainStartTimestampMonotonic"] == shown
    # The new one is there, nobody shows it, and a rotation knows that.
    assert nas.pem("gpu-1") not in copy.read_text()
    # Asked what would change it says so, and changes nothing.
    assert nas.play(nas.certificates, "--check", **given).changes() != []
    assert host.properties("slipway-nas-tunnel.service")["ExecMainStartTimestampMonotonic"] == shown
    nas.play(nas.certificates, **given)
    assert host.properties("slipway-nas-tunnel.service")["ExecMainStartTimestampMonotonic"] != shown
    assert nas.pem("gpu-1") in copy.read_text()
    assert nas.play(nas.certificates, **given).changes() == []
    nas.play(nas.certificates)


def serve(host, address="127.0.0.1", unit="echo"):
    """A server where NFS would listen, on the NAS; it answers each line with the same."""
    program = (
        "import socket, socketserver as s\n"
        "class H(s.StreamRequestHandler):\n"
        "    def handle(self):\n"
        "        for line in self.rfile: self.wfile.write(line)\n"
        "s.ThreadingTCPServer.allow_reuse_address = True\n"
        f"s.ThreadingTCPServer.address_family = socket.AF_INET{'6' if ':' in address else ''}\n"
        f"s.ThreadingTCPServer(({address!r}, 2049), H).serve_forever()\n"
    )
    host.run("systemd-run", "--quiet", f"--unit={unit}", "python3", "-c", program)
    end = time.monotonic() + 20
    while ":2049" not in host.run("ss", "-Hlnt").stdout:
        assert time.monotonic() < end, host.log(unit)
        time.sleep(0.1)


ASK = (
    "import socket, sys\n"
    "s = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=int((sys.argv + [10])[4]))\n"
    "s.sendall(sys.argv[3].encode() + b'\\n'); print(s.makefile().readline().strip())\n"
)


@pytest.fixture(scope="module")
def echo(nas):
    serve(nas.hosts["nas-1"])
    return nas


@contextlib.contextmanager
def listening(nas):
    """All that goes between the hosts meanwhile."""
    seen, stop = bytearray(), threading.Event()
    ports = Path(f"/sys/class/net/{nas.lab.network.bridge}/brif")
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) as wire:
        wire.bind((next(ports.iterdir()).name, 0))
        wire.settimeout(0.2)

        def listen():
            while not stop.is_set():
                try:
                    seen.extend(wire.recv(65536))
                except TimeoutError:
                    continue

        thread = threading.Thread(target=listen)
        thread.start()
        try:
            yield seen
            time.sleep(0.5)
        finally:
            stop.set()
            thread.join()


def test_what_goes_through_the_tunnel_is_not_seen_on_the_wire(echo):
    trainer, address = echo.hosts["gpu-1"], echo.hosts["nas-1"].address
    with listening(echo) as seen:
        got = trainer.run("python3", "-c", ASK, "127.0.0.1", "20490", MARKER).stdout
        # The listener does hear what goes by: this goes in clear, to SSH.
        trainer.run("python3", "-c", ASK, address, "22", "SSH-2.0-in-clear")
    assert got.strip() == MARKER
    assert b"SSH-2.0-in-clear" in seen
    assert (20490).to_bytes(2, "big") in seen
    assert MARKER.encode() not in seen


def test_others_on_the_same_host_cannot_speak_to_the_nas(echo):
    for host, port in (("gpu-1", 20490), ("nas-1", 2049)):
        as_admin = [
            "setpriv",
            "--reuid=admin",
            "--regid=admin",
            "--clear-groups",
            "python3",
            "-c",
            ASK,
            "127.0.0.1",
            port,
            "x",
        ]
        refused = echo.hosts[host].run(*as_admin, check=False)
        assert refused.returncode != 0
        assert "ConnectionRefusedError" in refused.stderr
    assert echo.hosts["gpu-1"].run("python3", "-c", ASK, "127.0.0.1", "20490", "x").stdout == "x\n"


def test_nobody_answers_in_the_tunnels_place_while_it_is_down(echo):
    """The port is above 1023, so anybody may listen there; root's connection is the kernel's."""
    host = echo.hosts["gpu-1"]
    fake = "import socket; s = socket.create_server(('127.0.0.1', 20490)); s.accept()[0].sendall(b'mine\\n')"
    host.run("systemctl", "stop", "slipway-nas-tunnel")
    host.run("systemd-run", "--quiet", "--unit=fake", "--uid=admin", "python3", "-c", fake)
    time.sleep(1)
    assert "127.0.0.1:20490" in host.run("ss", "-Hlnt").stdout
    asked = host.run("python3", "-c", ASK, "127.0.0.1", "20490", "x", "3", check=False)
    host.run("systemctl", "stop", "fake")
    host.run("systemctl", "start", "slipway-nas-tunnel")
    assert "TimeoutError" in asked.stderr, asked.stdout


def test_guards_come_back_after_rules_of_the_operators_own(echo):
    for host, table in ((echo.hosts["nas-1"], "slipway_nas"), (echo.hosts["gpu-1"], "slipway_nas_client")):
        assert "flush ruleset" in host.run("cat", "/etc/nftables.conf").stdout
        for how in ("start", "restart", "reload"):
            host.run("systemctl", how, "nftables")
            assert "reject" in host.run("nft", "list", "table", "inet", table).stdout, how


def let_in(nas, key=None, certificate=None):
    """Whether the NAS answers one who shows this certificate, or none."""
    context = ssl.create_default_context(cafile=nas.secrets / "ca.pem")
    if key:
        context.load_cert_chain(certificate, key)
    try:
        with (
            socket.create_connection((nas.hosts["nas-1"].address, 20490), timeout=10) as plain,
            context.wrap_socket(plain, server_hostname="nas-1") as secure,
        ):
            secure.sendall(b"hello\n")
            return secure.recv(100) == b"hello\n"
    except (ssl.SSLError, ConnectionError):
        return False


def test_only_a_trainers_certificate_is_let_in(echo):
    # It is the name that counts: a certificate of the site for a trainer is let in, whoever has it.
    assert let_in(echo, *echo.other_certificate("gpu-1"))
    assert not let_in(echo)
    assert not let_in(echo, *echo.other_certificate("monitor"))
    assert not let_in(echo, *echo.other_certificate("gpu-1", days=-1))
    key, certificate = echo.lab.folder / "stranger.key", echo.lab.folder / "stranger.pem"
    openssl(
        *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key),
        *("-out", certificate, "-subj", "/CN=gpu-1", "-addext", "subjectAltName=DNS:gpu-1"),
    )
    assert not let_in(echo, key, certificate)


def test_nothing_but_the_tunnel_listens(echo):
    listening = {line.split()[3] for line in echo.hosts["nas-1"].run("ss", "-Hlnt").stdout.splitlines()}
    assert {each for each in listening if not each.endswith((":22", ":5355"))} == {"0.0.0.0:20490", "127.0.0.1:2049"}
    exports = echo.hosts["nas-1"].run("cat", "/etc/exports.d/slipway.exports").stdout.splitlines()[-1]
    assert exports.startswith("/srv/slipway-nas/slipway 127.0.0.1(rw,sync,sec=sys,root_squash,")
    conf = echo.hosts["nas-1"].run("cat", "/etc/nfs.conf.d/slipway.conf").stdout
    assert "vers3=n\nvers4=y\nvers4.0=n\nvers4.1=n\nvers4.2=y\n" in conf
    assert "host=127.0.0.1" in conf
    owner = echo.hosts["nas-1"].run("stat", "--format=%u:%g %a", "/srv/slipway-nas/slipway").stdout
    assert owner == "64000:64000 750\n"
    mount = echo.hosts["gpu-1"].run("systemctl", "cat", "srv-slipway.mount").stdout
    assert "What=127.0.0.1:/srv/slipway-nas/slipway" in mount
    assert "Options=vers=4.2,proto=tcp,hard,nodev,nosuid,noexec,noatime,timeo=600,retrans=2,port=20490" in mount
    assert (
        echo.hosts["gpu-1"].run("id", "slipway").stdout
        == "uid=64000(slipway) gid=64000(slipway) groups=64000(slipway)\n"
    )
    for host, units in (
        ("nas-1", ["slipway-nas-tls.service"]),
        ("gpu-1", ["srv-slipway.mount", "srv-slipway.automount"]),
    ):
        checked = echo.hosts[host].run("systemd-analyze", "verify", *units, check=False)
        assert checked.stderr == ""


def test_bad_settings_and_clear_mounts_are_refused(nas):
    none = {"nas_server_unencrypted": False}
    exports = ["bash -c \"echo '/home *(ro)' > /etc/exports.d/other.exports\""], ["rm /etc/exports.d/other.exports"]
    mounted = ["mount -t tmpfs tmpfs /srv/slipway"], ["umount /srv/slipway"]
    cases = (
        ("nas-1", none, "nas_server_device: it is empty. Give the disk"),
        ("nas-1", {"nas_server_device": "/dev/sdb"}, "both it and nas_server_unencrypted"),
        ("nas-1", {"nas_server_device": "/dev/nothing", **none}, "nas_server_device: /dev/nothing is not there"),
        ("nas-1", {"nas_server_device": "/etc/motd", **none}, "nas_server_device: /etc/motd is no block device"),
        ("nas-1", {"nas_server_device": "/dev/sdb", **none, "nas_server_format": "/dev/sda"}, "/dev/sda is not"),
        ("nas-1", {"nas_server_quota_gib": 5}, "nas_server_quota_gib: 5 is given"),
        ("nas-1", {"nas_server_clients": ["*", "10.0.0.0/8"]}, "nas_server_clients: *, 10.0.0.0/8 has something else"),
        ("nas-1", {"nas_server_transport": "xprtsec"}, "nas_transport: xprtsec needs Linux 6.5 and the"),
        ("nas-1", {"nas_server_transport": "wireguard"}, "nas_server_transport: wireguard is given for this role"),
        ("nas-1", {"nas_server_backup_keep": 0}, "nas_server_backup_keep: 0 would keep no backup"),
        ("nas-1", {"nas_server_start": True}, "its kernel has no NFS server"),
        ("nas-1", {"nas_server_backup_target": "/usr/local"}, "is on the same file system"),
        ("nas-1", {"nas_server_backup_target": "/nowhere"}, "/nowhere is not there"),
        ("nas-1", {}, "exports other folders already (/home *(ro))", *exports),
        ("gpu-1", {"nas_client_options": ["rsize=4096", "xprtsec=none", "soft"]}, "xprtsec=none, soft is not allowed"),
        ("gpu-1", {"nas_client_given": True}, "nas_client_given: nothing is mounted at /srv/slipway"),
        ("gpu-1", {"nas_client_start": True}, "its kernel has no NFS"),
        ("gpu-1", {"site_uid": 64001}, "site_uid: 64001 is to be the user slipway"),
        ("gpu-1", {}, "something else is mounted at /srv/slipway", *mounted),
    )  # fmt: skip
    roles = {"nas-1": "nas_server", "gpu-1": "nas_client"}
    said = nas.refusals(*((host, roles[host], variables, *around) for host, variables, _, *around in cases))
    assert [case[2] in each or each for each, case in zip(said, cases, strict=True)] == [True] * len(cases)


DISK = "/var/tmp/disk.img"


def opens(host, passphrase):
    """Whether a passphrase opens the volume."""
    command = f"printf %s '{passphrase}' | cryptsetup open --test-passphrase --key-file=- {DISK}"
    return host.run("bash", "-c", command, check=False).returncode == 0


def volume(nas, **variables):
    """Format what is to be the volume, on a file: the tasks that the role has for it."""
    tasks = [{"include_role": {"name": "nas_server", "tasks_from": part}} for part in ("format", "header")]
    playbook = nas.playbook("volume", ("nas", {"tasks": tasks}))
    return nas.play(playbook, site_recorded=True, nas_server_device=DISK, **variables)


def test_a_volume_is_encrypted_and_opened_by_its_passphrase_alone(nas):
    host = nas.hosts["nas-1"]
    key = nas.secrets / "nas.key"
    encrypt = [Path(sys.executable).with_name("ansible-vault"), "encrypt", "--vault-password-file", nas.vault]
    subprocess.run([*encrypt, "--output", key], input=b"the passphrase\n", check=True, capture_output=True)
    host.run("apt-get", "install", "-qy", "--no-install-recommends", "cryptsetup-bin", DEBIAN_FRONTEND="noninteractive")
    host.run("truncate", "--size=64M", DISK)
    assert volume(nas).changed
    dump = host.run("cryptsetup", "luksDump", DISK).stdout
    assert "Version:       \t2" in dump
    # It is the site's own, which is never formatted again, when there is a file system in it.
    assert "slipway-nas.begun" in dump
    assert "argon2id" in dump
    assert opens(host, "the passphrase")
    assert not opens(host, "another one")
    # A damaged header is put back from the operator's copy.
    host.run("dd", "if=/dev/zero", f"of={DISK}", "bs=1M", "count=16", "conv=notrunc")
    assert host.run("cryptsetup", "isLuks", DISK, check=False).returncode
    header = nas.secrets / "nas-1-slipway-nas.luks-header"
    assert header.stat().st_mode & 0o777 == 0o600
    (host.root / "var/tmp/header").write_bytes(header.read_bytes())
    host.run("cryptsetup", "luksHeaderRestore", "--batch-mode", DISK, "--header-backup-file=/var/tmp/header")
    assert opens(host, "the passphrase")
    # Another volume's header takes its place, and the copy that may be the only one of this stays.
    old = header.read_bytes()
    assert volume(nas).changed
    kept = list(nas.secrets.glob("nas-1-slipway-nas.luks-header.until-*"))
    assert [each.read_bytes() == old for each in kept] == [True]
    (host.root / "var/tmp/header").write_bytes(header.read_bytes())
    uuids = {host.run("cryptsetup", "luksUUID", each).stdout for each in (DISK, "/var/tmp/header")}
    assert len(uuids) == 1
    # What there is a copy of is not copied again.
    tasks = [{"include_role": {"name": "nas_server", "tasks_from": "header"}}]
    again = nas.playbook("header", ("nas", {"tasks": tasks}))
    assert nas.play(again, site_recorded=True, nas_server_device=DISK).changed == 0


def write(host, name, content):
    """Write a file of the site's folder, as a trainer does."""
    path = f"/srv/slipway-nas/slipway/{name}"
    command = f"mkdir -p $(dirname {path}) && printf %s '{content}' > {path}"
    host.run("setpriv", "--reuid=64000", "--regid=64000", "--clear-groups", "bash", "-c", command)


def test_a_backup_brings_files_back(nas):
    host = nas.hosts["nas-1"]
    backup = "/usr/local/sbin/slipway-nas-backup"
    assert host.run("systemctl", "is-enabled", "slipway-nas-backup.timer").stdout == "enabled\n"
    write(host, "runs/a/checkpoint", "first")
    write(host, "runs/b/checkpoint", "other")
    host.run("systemctl", "start", "slipway-nas-backup.service")
    assert "the same as" in host.run(backup, "verify", "latest").stdout
    first = host.run(backup, "list").stdout.split()[-1]
    time.sleep(1.1)  # a copy has its second as a name
    write(host, "runs/a/checkpoint", "second")
    host.run("systemctl", "start", "slipway-nas-backup.service")
    assert "runs/a/checkpoint" in host.run(backup, "verify", first, check=False).stdout
    # What has not changed is stored once.
    links = host.run("bash", "-c", "stat --format=%h /mnt/backup/slipway/*/runs/b/checkpoint").stdout.split()
    assert links == ["2", "2"]
    # The disk is dead, and a new one is there.
    host.run("bash", "-c", "rm -r /srv/slipway-nas/slipway/runs")
    host.run(backup, "restore", "latest")
    assert host.run("cat", "/srv/slipway-nas/slipway/runs/a/checkpoint").stdout == "second"
    assert host.run("stat", "--format=%u:%g", "/srv/slipway-nas/slipway/runs/a/checkpoint").stdout == "64000:64000\n"
    assert "the same as" in host.run(backup, "verify", "latest").stdout
    # One file of an earlier day, and no other.
    host.run(backup, "restore", first, "runs/a/checkpoint")
    assert host.run("cat", "/srv/slipway-nas/slipway/runs/a/checkpoint").stdout == "first"
    for arguments, words in (
        (["restore", "yesterday"], "there is no copy 'yesterday'"),
        (["restore", "latest", "runs/c"], "'runs/c' is not in"),
        (["restore"], "restore which copy?"),
        ([], "make, list, restore"),
    ):
        refused = host.run(backup, *arguments, check=False)
        assert (refused.returncode, words in refused.stderr) == (2, True), refused.stderr
    # Without the disk for them there is no backup, nor copies that fill the disk of the system.
    host.run("mount", "--bind", "/mnt/backup", "/media")
    host.run("umount", "/mnt/backup")
    refused = host.run(backup, "make", check=False)
    # Nor is what makes them written anew without that: the disk below the folder, here another one, is not the one.
    host.run("mount", "-t", "tmpfs", "tmpfs", "/mnt")
    host.run("mkdir", "/mnt/backup")
    (said,) = nas.refusals(("nas-1", "nas_server", {}))
    host.run("umount", "/mnt")
    host.run("mount", "--bind", "/media", "/mnt/backup")
    host.run("umount", "/media")
    assert "is on what is mounted at /mnt, and backups were set up with /mnt/backup, which is not mounted" in said
    assert (refused.returncode, "/mnt/backup is not mounted" in refused.stderr) == (2, True), refused.stderr
    time.sleep(1.1)
    host.run("systemctl", "start", "slipway-nas-backup.service")
    assert len(host.run(backup, "list").stdout.split()) == 2
    assert first not in host.run(backup, "list").stdout
    # While a worker writes its signs of life nobody can tell that both are the same, drained or not.
    beats = "while sleep 0.1; do date --rfc-3339=ns > /srv/slipway-nas/slipway/queue/workers/one.json; done"
    write(host, "queue/workers/one.json", "0")
    time.sleep(1.1)
    host.run("systemctl", "start", "slipway-nas-backup.service")
    as_site = ["setpriv", "--reuid=64000", "--regid=64000", "--clear-groups"]
    host.run("systemd-run", "--quiet", "--unit=slipway-worker@0", *as_site, "bash", "-c", beats)
    host.run(backup, "restore", "latest")
    time.sleep(0.5)
    assert "queue/workers/one.json" in host.run(backup, "verify", "latest", check=False).stdout
    host.run("systemctl", "stop", "slipway-worker@*")
    host.run(backup, "restore", "latest")
    assert "the same as" in host.run(backup, "verify", "latest").stdout


def test_a_nas_that_trains_gives_its_trainer_back_while_it_serves(nas):
    host = nas.hosts["nas-1"]
    assert host.properties("slipway-nas-tls.service")["ActiveState"] == "active"
    leave = nas.playbook("leave", ("nas", {"roles": ["nas_client"]}))
    nas.play(leave, nas_client_state="absent", site_state="leaving")
    assert host.properties("slipway-nas-tls.service")["ActiveState"] == "active"
    assert host.run("id", "slipway-nas").returncode == 0
    # And the other way: a trainer that was the NAS before.
    leave = nas.playbook("leave", ("gpu", {"roles": ["nas_server"]}))
    nas.play(leave, nas_server_state="absent", site_state="leaving")
    assert nas.hosts["gpu-1"].properties("slipway-nas-tunnel.service")["ActiveState"] == "active"


def mounts(host):
    """What is there of units that mount the site's folder, and what would start them."""
    found = host.run("find", "/etc/systemd/system", "-name", "srv-*mount").stdout
    return sorted(found.split())


def test_a_mount_that_is_not_asked_for_any_more_goes(nas):
    """A NAS of another make, and another folder of the site: the old NAS is not mounted at the host's next start."""
    host = nas.hosts["gpu-1"]
    system = "/etc/systemd/system"
    host.run("systemctl", "enable", "srv-slipway.automount")
    assert mounts(host) == [
        f"{system}/remote-fs.target.wants/srv-slipway.automount",
        f"{system}/srv-slipway.automount", f"{system}/srv-slipway.mount",
    ]  # fmt: skip
    trainer = nas.playbook("trainer", ("gpu", {"roles": ["nas_client"]}))
    # Of an own mount nothing is known but that it has the unit's name.
    host.run("mount", "-t", "tmpfs", "tmpfs", "/srv/slipway")
    refused = nas.play(trainer, check=False, site_store="/srv/other")
    words = " ".join(refused.output.split())
    assert "The NAS is mounted still on gpu-1 as it was asked for before (srv-slipway.mount)" in words
    nas.play(trainer, nas_client_given=True)
    assert mounts(host) == []
    assert host.run("findmnt", "-n", "-o", "FSTYPE", "/srv/slipway").stdout == "tmpfs\n"
    assert nas.play(trainer, nas_client_given=True).changes() == []
    host.run("umount", "/srv/slipway")
    nas.play(trainer)
    host.run("systemctl", "enable", "srv-slipway.automount")
    nas.play(trainer, site_store="/srv/other")
    assert mounts(host) == [f"{system}/srv-other.automount", f"{system}/srv-other.mount"]
    assert nas.play(trainer, site_store="/srv/other").changes() == []
    # What is not asked for by its name any more goes with the site, too.
    host.run("systemctl", "enable", "srv-other.automount")
    nas.play(trainer, nas_client_state="absent", site_state="leaving")
    assert mounts(host) == []
    nas.play(nas.up)
    assert nas.play(nas.up).changes() == []


def test_the_authority_is_replaced_without_a_gap(nas):
    old = (nas.secrets / "ca.pem").read_text()
    nas.play(nas.certificates, certificates_rotate="begin")
    assert (nas.secrets / "ca.pem").read_text() == old
    assert all(nas.pem(host, "ca.pem").count("BEGIN CERTIFICATE") == 2 for host in nas.hosts)
    serial = nas.serial("gpu-1")
    # One host has the new authority's certificate, and the other one's is of the old one: each takes the other's.
    nas.play(nas.certificates, limit="gpu-1", certificates_rotate="sign")
    assert nas.serial("gpu-1") != serial
    assert nas.verifies("gpu-1", by="nas-1")
    assert nas.verifies("nas-1", by="gpu-1")
    (said,) = nas.refusals(("nas-1", "certificates", {"certificates_rotate": "finish"}))
    assert "nas-1 has no certificate of the new authority yet" in said
    nas.play(nas.certificates)
    nas.play(nas.certificates, certificates_rotate="finish")
    assert all(nas.pem(host, "ca.pem").count("BEGIN CERTIFICATE") == 1 for host in nas.hosts)
    assert nas.verifies("gpu-1", by="nas-1")
    assert nas.verifies("nas-1", by="gpu-1")
    assert old not in nas.pem("nas-1", "ca.pem")
    assert nas.play(nas.certificates).changed == 0


WIREGUARD = "/etc/slipway-wireguard"


@pytest.fixture(scope="module")
def tunnel(echo):
    """The same site, when it goes to another way through the network."""
    echo.hosts["nas-1"].run("systemctl", "stop", "echo")
    echo.wireguard = {"nas_transport": "wireguard", "wireguard_start": False}
    echo.changed = echo.play(echo.up, "-vvv", **echo.wireguard)
    return echo


def test_of_the_way_before_nothing_is_left(tunnel):
    for host in tunnel.hosts.values():
        assert "slipway_nas" not in host.run("nft", "list", "ruleset").stdout
        assert "20490" not in host.run("ss", "-Hlnt").stdout
        found = host.run(
            "find", "/etc", "-name", "*stunnel.conf", "-path", "*slipway*", "-o", "-name", "slipway-nas-t*"
        )
        assert found.stdout == ""
    assert tunnel.play(tunnel.up, **tunnel.wireguard).changes() == []


def test_private_keys_stay_on_their_hosts_and_public_ones_go_to_the_others(tunnel):
    public = {}
    for name, host in tunnel.hosts.items():
        listed = host.run("stat", "--format=%n %a %U:%G", WIREGUARD, f"{WIREGUARD}/private.key").stdout.splitlines()
        assert listed == [f"{WIREGUARD} 700 root:root", f"{WIREGUARD}/private.key 600 root:root"]
        private = host.run("cat", f"{WIREGUARD}/private.key").stdout.strip()
        public[name] = host.run("bash", "-c", f"wg pubkey < {WIREGUARD}/private.key").stdout.strip()
        assert (tunnel.secrets / f"wireguard/{name}.pub").read_text().strip() == public[name]
        assert private not in tunnel.changed.output
        files = [path for path in tunnel.lab.inventory.parent.rglob("*") if path.is_file()]
        assert [path for path in files if private.encode() in path.read_bytes()] == []
        assert host.run("grep", "-rl", private, "/etc", "/usr/local", "/root").stdout.split() == [
            f"{WIREGUARD}/private.key"
        ]
    for name, other in (("nas-1", "gpu-1"), ("gpu-1", "nas-1")):
        peers = tunnel.hosts[name].run("cat", f"{WIREGUARD}/peers.conf").stdout
        assert peers.count("[Peer]") == 1
        assert f"PublicKey = {public[other]}" in peers


def test_a_kernel_without_wireguard_and_an_unfit_network_are_refused(tunnel):
    given = {**tunnel.wireguard, "site_tunnel_network": "10.0.0.0/8"}
    cases = [("gpu-1", "wireguard", given)]
    wanted = ["site_tunnel_network: gpu-1 has the address"]
    if not Path("/sys/module/wireguard").exists():
        cases.append(("gpu-1", "wireguard", {**tunnel.wireguard, "wireguard_start": True}))
        wanted.append("nas_transport: wireguard needs the kernel's module wireguard")
    said = tunnel.refusals(*cases)
    assert [words in each or each for each, words in zip(said, wanted, strict=True)] == [True] * len(cases)


def test_a_trainer_that_the_nas_does_not_know_is_told_to_name_both(tunnel):
    host = tunnel.hosts["gpu-1"]
    host.run("rm", f"{WIREGUARD}/private.key")
    said = tunnel.play(tunnel.up, limit="gpu-1", check=False, **tunnel.wireguard)
    words = "nas-1 does not have the key of gpu-1 yet, and would not answer it. Apply the site to both"
    assert (said.returncode, words in " ".join(said.output.split())) == (2, True), said.output
    # The NAS learns it, and its trainer goes by what this machine knows of the NAS.
    tunnel.play(tunnel.up, limit="nas-1", **tunnel.wireguard)
    tunnel.play(tunnel.up, limit="gpu-1", **tunnel.wireguard)
    assert tunnel.play(tunnel.up, **tunnel.wireguard).changes() == []
    (tunnel.secrets / "wireguard/nas-1.pub").rename(tunnel.lab.folder / "nas-1.pub")
    said = tunnel.play(tunnel.up, limit="gpu-1", check=False, **tunnel.wireguard)
    (tunnel.lab.folder / "nas-1.pub").rename(tunnel.secrets / "wireguard/nas-1.pub")
    assert "the public key of nas-1 is not known on this machine" in " ".join(said.output.split())


USER_SPACE = """#!/bin/bash
# In place of `ip`, where the kernel has no WireGuard: a program of user space makes the interface.
[ "$1 $2" != "link add" ] || exec wireguard-go "$4"
exec /usr/sbin/ip "$@"
"""
FREER = """[Service]
# That program needs a device, and a folder for its socket.
PrivateDevices=no
RuntimeDirectory=wireguard
RuntimeDirectoryPreserve=yes
Environment=PATH=/opt/user-space:/usr/sbin:/usr/bin
"""


@pytest.fixture(scope="module")
def connected(tunnel):
    """The tunnel by its unit, with WireGuard in user space, and a server where NFS would listen, at all addresses."""
    if not Path("/dev/net/tun").exists():
        pytest.skip("this machine has no /dev/net/tun for WireGuard in user space")
    server = tunnel.hosts["nas-1"]
    serve(server, "::", "echo6")
    # Without the tunnel's rules it is reached in clear.
    assert tunnel.hosts["gpu-1"].run("python3", "-c", ASK, server.address, "2049", "x").stdout == "x\n"
    for host in tunnel.hosts.values():
        install = "apt-get install -qy --no-install-recommends wireguard-go"
        host.run(*install.split(), DEBIAN_FRONTEND="noninteractive")
        for path, text in (
            ("opt/user-space/ip", USER_SPACE),
            ("run/systemd/system/slipway-wireguard.service.d/a.conf", FREER),
        ):
            host.run("bash", "-c", f"mkdir -p $(dirname /{path}) && printf %s {shlex.quote(text)} > /{path}")
        host.run("chmod", "755", "/opt/user-space/ip")
        host.run("systemctl", "daemon-reload")
        assert host.run("systemd-analyze", "verify", "slipway-wireguard.service").stderr == ""
        started = host.run("systemctl", "start", "slipway-wireguard", check=False)
        assert started.returncode == 0, host.log("slipway-wireguard")
    shown = server.run("ip", "-json", "address", "show", "dev", "slipway-nas").stdout
    (tunnel.inside,) = [each["local"] for each in json.loads(shown)[0]["addr_info"] if each["scope"] == "global"]
    yield tunnel
    server.run("systemctl", "stop", "echo6")


def asks(host, address, port=2049, *before, words="x"):
    """Whether a server of the NAS answers a host, and what it says if not."""
    command = [*before, "python3", "-c", ASK, address, port, words, 3]
    done = host.run(*command, check=False)
    return True if done.stdout == f"{words}\n" else done.stderr.strip().splitlines()[-1:]


def await_answer(host, address, seconds=60):
    """Wait for one: WireGuard tries a new handshake after five seconds, and after 15 where it had one before."""
    end = time.monotonic() + seconds
    while (said := asks(host, address)) is not True:
        assert time.monotonic() < end, said


def test_nfs_goes_through_the_tunnel_and_by_no_other_way(connected):
    server, trainer = connected.hosts["nas-1"], connected.hosts["gpu-1"]
    with listening(connected) as seen:
        assert asks(trainer, connected.inside, words=MARKER) is True
    assert (51820).to_bytes(2, "big") in seen
    assert MARKER.encode() not in seen
    # In clear, from the NAS itself, and from a machine that is none of the site's.
    assert asks(trainer, server.address) is not True
    assert asks(server, "127.0.0.1") is not True
    with pytest.raises(TimeoutError):
        socket.create_connection((server.address, 2049), timeout=3)
    # Through it nothing else, and for nobody else.
    assert "TimeoutError" in str(asks(trainer, connected.inside, 22))
    assert "Refused" in str(
        asks(trainer, connected.inside, 2049, "setpriv", "--reuid=admin", "--regid=admin", "--clear-groups")
    )


def test_who_has_another_key_gets_nothing(connected):
    trainer = connected.hosts["gpu-1"]
    trainer.run("bash", "-c", "wg set slipway-nas private-key <(wg genkey)")
    assert "TimeoutError" in str(asks(trainer, connected.inside))
    trainer.run("systemctl", "reload", "slipway-wireguard")
    await_answer(trainer, connected.inside)
    # Its key is right, and the NAS has taken it off its list.
    server = connected.hosts["nas-1"]
    server.run("cp", f"{WIREGUARD}/peers.conf", "/var/tmp/peers.conf")
    server.run("bash", "-c", f"sed -i '/Peer/,$d' {WIREGUARD}/peers.conf && systemctl reload slipway-wireguard")
    assert "TimeoutError" in str(asks(trainer, connected.inside))
    server.run("bash", "-c", f"cat /var/tmp/peers.conf > {WIREGUARD}/peers.conf && systemctl reload slipway-wireguard")
    await_answer(trainer, connected.inside)


def test_a_peer_that_a_run_was_cut_off_before_is_made_up_for(connected):
    trainer, server = connected.hosts["gpu-1"], connected.hosts["nas-1"]
    server.run("bash", "-c", f"sed -i '/Peer/,$d' {WIREGUARD}/peers.conf && systemctl reload slipway-wireguard")
    for host in connected.hosts.values():  # the module is there, in user space
        host.run("ln", "-s", "/bin/true", "/usr/local/sbin/modprobe")
    only = connected.playbook("wireguard", ("nas:gpu", {"roles": ["wireguard"]}))
    given = {**connected.wireguard, "wireguard_start": True}
    extra = json.dumps({"certificates_passphrase": PASSPHRASE, **given})
    words = "TASK [wireguard : Copy what makes and ends it"
    connected.lab.play_until(only, words, "--extra-vars", extra, "--vault-password-file", connected.vault)
    assert "[Peer]" in server.run("cat", f"{WIREGUARD}/peers.conf").stdout
    assert asks(trainer, connected.inside) is not True
    connected.play(only, **given)
    await_answer(trainer, connected.inside)
    assert connected.play(only, **given).changes() == []
    for host in connected.hosts.values():
        host.run("rm", "/usr/local/sbin/modprobe")


def test_without_the_tunnel_nothing_leaves_in_clear(connected):
    trainer = connected.hosts["gpu-1"]
    trainer.run("ip", "-6", "address", "add", "fd00:1::2/64", "dev", "host0")
    trainer.run("ip", "-6", "route", "add", "default", "dev", "host0")
    trainer.run("systemctl", "stop", "slipway-wireguard")
    inside = socket.inet_pton(socket.AF_INET6, connected.inside)
    with listening(connected) as seen:
        assert asks(trainer, connected.inside) is not True
    # It is not even asked for: neither a packet, nor who has the address.
    assert inside not in seen
    trainer.run("systemctl", "restart", "nftables")
    assert "slipway_wireguard" in trainer.run("nft", "list", "ruleset").stdout
    trainer.run("systemctl", "start", "slipway-wireguard")
    await_answer(trainer, connected.inside)


def test_all_is_given_back_but_the_data(nas, tunnel):
    states = ("certificates", "wireguard", "nas_server", "nas_client")
    variables = {**nas.wireguard, **{f"{role}_state": "absent" for role in states}, "site_state": "leaving"}
    for host in nas.hosts.values():
        host.run("rm", "-rf", "/opt/user-space", "/run/systemd/system/slipway-wireguard.service.d")
    down = nas.playbook(
        "down",
        ("gpu", {"roles": ["nas_client"]}),
        ("nas", {"roles": ["nas_server"]}),
        ("nas:gpu", {"roles": ["wireguard", "certificates"]}),
    )
    said = nas.play(down, check=False, nas_server_shred="slipway", **variables)
    assert "nas_server_shred: slipway is not the volume's name" in " ".join(said.output.split())
    done = nas.play(down, **variables)
    assert "The data stay in /srv/slipway-nas/slipway. Backups stay in /mnt/backup." in " ".join(done.output.split())
    assert nas.hosts["nas-1"].run("cat", "/srv/slipway-nas/slipway/runs/b/checkpoint").stdout == "other"
    assert [*nas.secrets.glob("ca*"), *nas.secrets.glob("wireguard*")] == []
    assert nas.play(down, **variables).changed == 0
    for name, host in nas.hosts.items():
        left = set(state(host)) - set(nas.before[name])
        print(name, sorted(left))
        ours = [line for line in left if "slipway" in line and not line.startswith("/srv")]
        assert ours == []
        assert host.run("ip", "link", "show", "slipway-nas", check=False).returncode != 0
