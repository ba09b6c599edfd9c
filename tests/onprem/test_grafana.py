"""Role grafana on a Debian host: what it refuses, what it writes, and that it takes all of it back.

No registry that tests may use has Grafana itself. A package of the same name, folders, user, unit and settings stands
in for it; its server reads the configuration that the role wrote and answers over TLS by it. That shows what the role
does to a host and its systemd. It does not show that Grafana takes the configuration, logs in, or draws a dashboard.
"""

import configparser
import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from lab import site

ROOT = Path(__file__).parents[2]
HOME, DATA = "/etc/slipway-grafana", "/var/lib/slipway-grafana"
UNIT = "grafana-server.service"
PASSPHRASE = "a passphrase of the tests"
CONTROL = """\
Package: grafana
Version: 0.1
Architecture: all
Maintainer: nobody <nobody@example.org>
Depends: adduser, python3
Description: stands in for Grafana in tests
"""
POSTINST = """\
#!/bin/sh -e
getent passwd grafana >/dev/null || adduser --quiet --system --group --home /usr/share/grafana --no-create-home grafana
mkdir -p /var/lib/grafana /var/log/grafana
chown grafana:grafana /var/lib/grafana /var/log/grafana
[ -x /usr/sbin/policy-rc.d ] || systemctl start grafana-server.service
"""
DEFAULT = """\
CONF_FILE=/etc/grafana/grafana.ini
DATA_DIR=/var/lib/grafana
LOG_DIR=/var/log/grafana
PLUGINS_DIR=/var/lib/grafana/plugins
PROVISIONING_CFG_DIR=/etc/grafana/provisioning
"""
SERVICE = """\
[Unit]
Description=Grafana instance
[Service]
EnvironmentFile=/etc/default/grafana-server
User=grafana
Group=grafana
WorkingDirectory=/usr/share/grafana
RuntimeDirectory=grafana
ExecStart=/usr/share/grafana/bin/grafana server --config=${CONF_FILE} cfg:default.paths.data=${DATA_DIR}
CapabilityBoundingSet=
SystemCallFilter=@system-service
[Install]
WantedBy=multi-user.target
"""
SERVER = """\
#!/usr/bin/python3
import configparser, http.server, json, pathlib, re, ssl, sys
ini = configparser.ConfigParser(interpolation=None)
ini.read(next(each.split("=", 1)[1] for each in sys.argv if each.startswith("--config=")))
def value(section, key):
    text = ini[section][key]
    found = re.fullmatch(r"\\$__file\\{(.*)\\}", text)
    return pathlib.Path(found[1]).read_text().strip() if found else text
password = value("security", "admin_password"), value("security", "secret_key")
(pathlib.Path(value("paths", "data")) / "grafana.db").touch()
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/api/health" else 404)
        self.end_headers()
        self.wfile.write(json.dumps({"version": "0.1"}).encode())
server = http.server.ThreadingHTTPServer(("", int(value("server", "http_port"))), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(value("server", "cert_file"), value("server", "cert_key"))
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
"""
UP = """\
- hosts: monitor
  become: true
  gather_facts: true
  roles: [{role: grafana}]
"""
REFUSED = """\
- hosts: monitor
  become: true
  gather_facts: true
  tasks:
    - ansible.builtin.include_tasks: refused_one.yml
      loop: "{{ cases }}"
    - ansible.builtin.copy: {content: "{{ said | to_json }}", dest: "{{ inventory_dir }}/said.json"}
      delegate_to: localhost
      become: false
"""
REFUSED_ONE = """\
- block:
    - ansible.builtin.include_role: {name: grafana}
      vars:
        grafana_source: "{{ item.source }}"
        grafana_deb: "{{ item.deb }}"
        grafana_deb_sha256: "{{ item.sha256 }}"
  rescue:
    - ansible.builtin.set_fact:
        said: "{{ said | default([]) + [ansible_failed_result.msg] }}"
"""
DOWN = """\
- hosts: monitor
  become: true
  gather_facts: true
  vars: {site_state: leaving, grafana_state: absent}
  roles: [{role: grafana}]
- hosts: monitor
  become: true
  gather_facts: false
  vars: {site_state: absent}
  roles: [{role: site}]
"""
CERTIFICATE = """\
set -e
groupadd --system slipway-pki
install -d -m 750 -g slipway-pki /etc/slipway-pki
cd /etc/slipway-pki
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout host.key -out host.pem -days 2 \
  -subj /CN=monitor-1 -addext subjectAltName=DNS:monitor-1 2>/dev/null
cp host.pem ca.pem
chgrp slipway-pki *
chmod 640 *
"""
"""What role certificates would have made: here a host's certificate that is its own authority."""

pytestmark = [
    pytest.mark.deep,
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(os.geteuid() != 0, reason="hosts of their own need root"),
]


def package(folder):
    """A package in the shape of Grafana's."""
    tree = folder / "grafana"
    files = {
        "DEBIAN/control": (CONTROL, 0o644),
        "DEBIAN/conffiles": ("/etc/default/grafana-server\n/etc/grafana/grafana.ini\n", 0o644),
        "DEBIAN/postinst": (POSTINST, 0o755),
        "etc/default/grafana-server": (DEFAULT, 0o644),
        "etc/grafana/grafana.ini": ("# its own\n", 0o640),
        "lib/systemd/system/grafana-server.service": (SERVICE, 0o644),
        "usr/share/grafana/bin/grafana": (SERVER, 0o755),
    }
    for name, (content, mode) in files.items():
        path = tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        path.chmod(mode)
    made = folder / "grafana.deb"
    subprocess.run(["dpkg-deb", "--build", "--root-owner-group", "-Zgzip", tree, made], check=True, capture_output=True)
    return made


def vault(content):
    """A file as the roles keep passwords."""
    script = "import sys; from ansible.parsing.vault import VaultLib, VaultSecret as S;"
    script += "l = VaultLib([('default', S(sys.argv[1].encode()))]); print(l.encrypt(sys.argv[2]).decode(), end='')"
    command = [sys.executable, "-c", script, PASSPHRASE, content]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


class Monitor:
    """A monitor host, with what the role needs beforehand."""

    def __init__(self, made, folder):
        self.site, self.folder, self.host = made, folder, made.hosts["monitor-1"]
        self.deb = package(folder)
        self.secrets = made.inventory.parent / "secrets"
        plays = {"up": UP, "refused": REFUSED, "refused_one": REFUSED_ONE, "down": DOWN}
        for name, play in plays.items():
            (folder / f"{name}.yml").write_text(play)
        made.write_inventory({"monitor": ["monitor-1"], "gpu": ["monitor-1"]}, site_ca_passphrase=PASSPHRASE)
        self.secrets.mkdir(mode=0o700)
        (self.secrets / "monitoring-password").write_text(vault("of-prometheus"))

    def play(self, name, **variables):
        return self.site.play(self.folder / f"{name}.yml", "--extra-vars", json.dumps(variables))

    def up(self):
        digest = hashlib.sha256(self.deb.read_bytes()).hexdigest()
        return self.play("up", grafana_source="deb", grafana_deb=str(self.deb), grafana_deb_sha256=digest)

    def refused(self, *cases):
        """What the role says to each of some sources: a source, a package and its sha256."""
        named = [dict(zip(("source", "deb", "sha256"), case, strict=True)) for case in cases]
        played = self.play("refused", cases=named)
        assert [each for each in played.changes() if each.startswith("grafana :") and "changed:" in each] == []
        return json.loads((self.site.inventory.parent / "said.json").read_text())

    def read(self, path):
        return self.host.run("cat", path).stdout

    def modes(self, *paths):
        return self.host.run("stat", "--format=%U:%G %a", *paths).stdout.splitlines()


@pytest.fixture(scope="module")
def monitor(tmp_path_factory):
    """A host on which the role was refused, applied, and applied again."""
    with site("grafana", {"monitor-1": "bookworm"}) as made:
        found = Monitor(made, tmp_path_factory.mktemp("grafana"))
        found.host.run("bash", "-c", CERTIFICATE)
        found.said = found.refused(
            ("repository", "", ""),
            ("deb", str(found.deb), "0" * 64),
            ("deb", "/no/such.deb", "0" * 64),
            ("deb", "grafana.rpm", ""),
            ("deb", "http://127.0.0.1:1/grafana.deb", "0" * 64),
            ("installed", "", ""),
        )
        found.nothing_done = found.host.run("ls", HOME, check=False).returncode != 0
        found.first = found.up()
        found.second = found.up()
        yield found


def test_what_cannot_be_had_is_refused_with_the_cure_before_anything_changes(monitor):
    repository, other, missing, unclear, unreachable, installed = monitor.said
    assert "Grafana: monitor-1 cannot reach https://apt.grafana.com/dists/stable/InRelease" in repository
    assert "set grafana_source=deb, grafana_deb and grafana_deb_sha256; or install it yourself" in repository
    assert f"{monitor.deb} has the sha256 {hashlib.sha256(monitor.deb.read_bytes()).hexdigest()}, and not 0000" in other
    assert "/no/such.deb is not there" in missing
    assert 'grafana_deb: "grafana.rpm" with grafana_deb_sha256 "" is not allowed' in unclear
    assert "monitor-1 cannot reach http://127.0.0.1:1/grafana.deb" in unreachable
    assert "package grafana is not installed on monitor-1" in installed
    assert monitor.nothing_done


def test_a_second_application_changes_nothing(monitor):
    assert monitor.second.changes() == []
    assert monitor.second.changed == 0


def test_it_serves_with_the_hosts_certificate(monitor):
    properties = monitor.host.properties(UNIT)
    assert (properties["ActiveState"], properties["UnitFileState"]) == ("active", "enabled")
    told = f"--connect-to monitor-1:3000:{monitor.host.address}:3000 https://monitor-1:3000/api/health"
    authority = monitor.folder / "ca.pem"
    authority.write_text(monitor.read("/etc/slipway-pki/ca.pem"))
    command = ["curl", "--silent", "--show-error", "--fail", "--cacert", authority, *told.split()]
    assert json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)["version"] == "0.1"


def test_its_configuration_is_shut(monitor):
    ini = configparser.ConfigParser(interpolation=None)
    ini.read_string(monitor.read(f"{HOME}/grafana.ini"))
    wanted = {
        "server": {"protocol": "https", "http_port": "3000", "min_tls_version": "TLS1.2"},
        "security": {"cookie_secure": "true", "cookie_samesite": "strict", "disable_gravatar": "true"},
        "auth.anonymous": {"enabled": "false"},
        "users": {"allow_sign_up": "false", "allow_org_create": "false"},
        "analytics": {"reporting_enabled": "false", "check_for_updates": "false", "check_for_plugin_updates": "false"},
        "snapshots": {"external_enabled": "false"},
        "paths": {"data": DATA, "provisioning": f"{HOME}/provisioning"},
    }
    for section, keys in wanted.items():
        assert {key: ini[section][key] for key in keys} == keys
    assert ini["server"]["root_url"] == f"https://{monitor.host.address}:3000/"


def test_secrets_are_in_files_of_their_own_alone(monitor):
    names = ("admin-password", "prometheus-password", "database-key")
    secrets = {name: monitor.read(f"{HOME}/secrets/{name}").strip() for name in names}
    assert secrets["prometheus-password"] == "of-prometheus"
    assert len(secrets["admin-password"]) == 32
    assert len(secrets["database-key"]) == 48
    kept = (monitor.secrets / "grafana-password").read_text()
    assert kept.startswith("$ANSIBLE_VAULT;")
    paths = [f"{HOME}/{each}" for each in ("grafana.ini", "environment", "provisioning/datasources/slipway.yml")]
    paths += ["/etc/systemd/system/grafana-server.service.d/slipway.conf"]
    said = [*map(monitor.read, paths), kept, monitor.first.output, monitor.host.log(UNIT)]
    for name, secret in secrets.items():
        assert not [text for text in said if secret in text], name
    assert monitor.modes(HOME, f"{HOME}/secrets", *(f"{HOME}/secrets/{name}" for name in names)) == [
        "root:grafana 750",
        "root:grafana 750",
        *["root:grafana 640"] * 3,
    ]


def test_the_data_source_is_the_sites_prometheus(monitor):
    (source,) = yaml.safe_load(monitor.read(f"{HOME}/provisioning/datasources/slipway.yml"))["datasources"]
    assert (source["uid"], source["url"]) == ("slipway-prometheus", "https://localhost:9090")
    assert source["basicAuth"] is True
    assert source["basicAuthUser"] == "slipway"
    assert source["jsonData"] == {
        "httpMethod": "POST", "timeInterval": "15s", "tlsAuthWithCACert": True, "serverName": "monitor-1",
    }  # fmt: skip
    assert source["secureJsonData"] == {
        "basicAuthPassword": f"$__file{{{HOME}/secrets/prometheus-password}}",
        "tlsCACert": "$__file{/etc/slipway-pki/ca.pem}",
    }
    for text in source["secureJsonData"].values():
        path = re.fullmatch(r"\$__file\{(.*)\}", text)[1]
        # As whom it runs: in the group of the host's key, too.
        monitor.host.run("setpriv", "--reuid=grafana", "--regid=grafana", "--groups=slipway-pki", "cat", path)


def test_the_dashboards_are_there(monitor):
    (provider,) = yaml.safe_load(monitor.read(f"{HOME}/provisioning/dashboards/slipway.yml"))["providers"]
    assert (provider["folder"], provider["allowUiUpdates"]) == ("slipway", False)
    folder = ROOT / "ansible/roles/grafana/files/dashboards"
    found = monitor.host.run("ls", provider["options"]["path"]).stdout.split()
    assert found == sorted(path.name for path in folder.iterdir())
    for name in found:
        assert monitor.read(f"{provider['options']['path']}/{name}") == (folder / name).read_text()


def test_the_service_is_hardened_and_keeps_its_data_apart(monitor):
    said = monitor.host.run("systemd-analyze", "security", "--no-pager", UNIT, check=False).stdout
    assert float(re.search(r"Overall exposure level for .*: ([\d.]+)", said)[1]) <= 2.0, said
    assert monitor.modes(DATA, f"{DATA}/grafana.db") == ["grafana:grafana 750", "grafana:grafana 600"]
    assert monitor.host.run("ls", "/var/lib/grafana").stdout == ""
    assert monitor.read("/etc/grafana/grafana.ini") == "# its own\n"
    assert "slipway-pki.service" in monitor.host.properties(UNIT)["PartOf"]


def test_what_a_play_that_was_cut_off_has_not_restarted_is_restarted(monitor):
    before = monitor.host.properties(UNIT)["ActiveEnterTimestamp"]
    monitor.host.run("touch", f"{HOME}/grafana.ini")  # written, and not read
    monitor.up()
    assert monitor.host.properties(UNIT)["ActiveEnterTimestamp"] != before
    assert monitor.up().changes() == []


def test_what_was_taken_back_by_the_role_alone_is_made_again(monitor):
    """The package is still there: it goes with the host's record."""
    monitor.play("up", grafana_state="absent")
    assert monitor.host.run("ls", HOME, "/var/lib/grafana", check=False).stdout == ""
    assert monitor.play("up", grafana_state="absent").changed == 0
    monitor.up()
    assert monitor.host.properties(UNIT)["ActiveState"] == "active"


def test_it_is_taken_back_and_a_second_time_is_none(monitor):
    """The last but one: the proof that nothing else differs is role site's own."""
    monitor.play("down")
    for path in (HOME, DATA, "/var/lib/grafana", "/var/log/grafana", "/etc/grafana", "/usr/share/grafana"):
        assert monitor.host.run("ls", path, check=False).returncode != 0, path
    assert monitor.host.run("getent", "passwd", "grafana", check=False).returncode != 0
    assert monitor.host.properties(UNIT)["LoadState"] == "not-found"
    assert monitor.play("down").changed == 0


def test_a_database_that_is_of_no_site_is_left_alone(monitor):
    monitor.host.run("mkdir", "/var/lib/grafana")
    monitor.host.run("touch", "/var/lib/grafana/grafana.db")
    digest = hashlib.sha256(monitor.deb.read_bytes()).hexdigest()
    (said,) = monitor.refused(("deb", str(monitor.deb), digest))
    assert "Grafana: /var/lib/grafana is not empty, and is not of this site" in " ".join(said.split())
    monitor.play("down")
    monitor.host.run("test", "-f", "/var/lib/grafana/grafana.db")
