"""A whole site by `slipway onprem`: bare hosts become a NAS, trainers and a monitor; runs train; all goes back.

What containers cannot show is not asserted here: NFS in the kernel, LUKS, limits of memory, values of the kernel.
`slipway onprem` has Mitogen here; with SLIPWAY_LAB_STRATEGY=linear Ansible works as it does by itself.
"""

import hashlib
import itertools
import json
import os
import time
from pathlib import Path

import pytest
import yaml
from lab import ANSIBLE, Played, listens, site, strategy
from monitor_pages import Pages
from onprem_sites import objects, run
from processes import assert_same_training, finish, train
from test_grafana import package

DOWN = ANSIBLE / "teardown.yml"
PORTS = yaml.safe_load((ANSIBLE / "roles/site/defaults/main.yml").read_text())["site_ports"]
HOSTS = {"nas-1": "trixie", "gpu-1": "bookworm", "gpu-2": "bookworm", "monitor-1": "trixie"}
GROUPS = {"nas": ["nas-1"], "gpu": ["gpu-1", "gpu-2"], "monitor": ["monitor-1"]}
GROUP = {host: group for group, hosts in GROUPS.items() for host in hosts}

pytestmark = [
    pytest.mark.deep,
    pytest.mark.slow,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(os.geteuid() != 0, reason="hosts of their own need root"),
]


STORE, UID = "/srv/slipway", 64000
PASSPHRASE = "a passphrase of the tests"
TINY = {"agent.num_envs": 8, "agent.rollout_steps": 32, "agent.minibatch_size": 256, "evaluation.seeds": 2}
TINY |= {"evaluation.episodes_per_seed": 1, "checkpoint.interval_iterations": 1}
LONG = {**TINY, "budget.env_steps": 256 * 1000}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The site, when `slipway onprem up` has made it.

    No container mounts NFS: what trainers share lies in a folder of this machine, and the NAS is not started. Grafana
    is a package that stands in for it.
    """
    grafana = package(tmp_path_factory.mktemp("site"))
    variables = {
        "nas_transport": "stunnel", "nas_server_unencrypted": True, "nas_server_start": False, "nas_client_given": True,
        "trainer_wheelhouse": "/srv/wheelhouse", "trainer_gpu": False,
        "monitoring_scrape_seconds": 5, "monitoring_retention_gib": 1, "logs_rotate_mib": 1, "logs_free_gib": 1,
        "grafana_source": "deb", "grafana_deb": str(grafana),
        "grafana_deb_sha256": hashlib.sha256(grafana.read_bytes()).hexdigest(),
    }  # fmt: skip
    binds = {"/srv/wheelhouse": ANSIBLE.parent / ".tools/wheelhouse"}
    with site("site", HOSTS, binds, [STORE]) as made, pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLIPWAY_CA_PASSPHRASE", PASSPHRASE)
        patch.setenv("ANSIBLE_SSH_CONTROL_PATH_DIR", str(made.folder / "cp"))
        for name, value in strategy().items():
            patch.setenv(name, value)
        made.store = made.shared / STORE[1:]
        os.chown(made.store, UID, UID)
        made.write_inventory(GROUPS, **variables)
        made.pages = Pages(made.hosts["monitor-1"].address, made.inventory.parent / "secrets", PASSPHRASE)
        made.first = objects(onprem(made, "up", "--yes", "--json"))[-1]
        yield made


def onprem(whole, *words, code=0):
    """What `slipway onprem` prints."""
    command, *options = words
    return run(command, "--inventory", whole.inventory, *options, folder=whole.folder, code=code)[0]


def submit(whole, run_id, settings):
    """Give the site a run."""
    pairs = [item for key, value in settings.items() for item in ("--set", f"{key}={json.dumps(value)}")]
    entry = json.loads(onprem(whole, "run", "cartpole-ppo", *pairs, "--run-id", run_id, "--json"))
    assert (entry["run_id"], entry["state"]) == (run_id, "queued")


def wait(whole, done, seconds=300):
    """Wait until the entries of the queue, by their runs, are as a function wants them; asked as the service's user."""
    slipway = ["/opt/slipway/current/bin/slipway", "node", "queue", "--queue", f"{STORE}/queue", "--json"]
    end = time.monotonic() + seconds
    while True:
        said = json.loads(whole.hosts["gpu-2"].run("runuser", "-u", "slipway", "--", *slipway).stdout)
        found = {each["run_id"]: each for each in [*said["entries"], *said["ended"]]}
        if done(found):
            return found
        assert time.monotonic() < end, found
        time.sleep(1)


def test_all_hosts_are_made_at_once(whole):
    assert (whole.first["event"], whole.first["site"]) == ("up", "slipway")
    assert whole.first["changes"].keys() == HOSTS.keys()


def test_a_second_application_changes_nothing(whole):
    again = objects(onprem(whole, "up", "--yes", "--json"))[-1]
    (said,) = Path(again["artifacts"]).rglob("stdout")
    assert Played(0, said.read_text()).changes() == []
    assert again["changes"] == {}


SERVICES = {
    "nas": [],
    "gpu": ["slipway-worker@0.service"],
    "monitor": ["prometheus.service", "prometheus-alertmanager.service"],
}


@pytest.mark.parametrize("name", HOSTS)
def test_services_run_and_none_has_failed(whole, name):
    host = whole.look(name)
    for unit in ("ssh.service", "slipway-firewall.service", *SERVICES[GROUP[name]]):
        assert host.service(unit).is_running, whole.hosts[name].log(unit)
        assert host.service(unit).is_enabled, unit
    assert host.check_output("systemctl --failed --no-legend --plain") == ""


@pytest.mark.parametrize("name", HOSTS)
def test_keys_are_for_those_who_need_them(whole, name):
    host = whole.look(name)
    key, folder = host.file("/etc/slipway-pki/host.key"), host.file("/etc/slipway-pki")
    assert (key.user, key.group, key.mode) == ("root", "slipway-pki", 0o640)
    assert (folder.user, folder.group, folder.mode) == ("root", "slipway-pki", 0o750)
    assert host.file("/var/lib/slipway-site").mode == 0o700


@pytest.mark.parametrize("name", HOSTS)
def test_whoever_comes_in_has_a_key_and_nothing_is_let_in_by_default(whole, name):
    host = whole.look(name)
    settings = host.check_output("sshd -T")
    assert "passwordauthentication no" in settings
    assert "policy drop" in host.check_output("nft list ruleset")


def test_both_trainers_train_and_what_they_measure_is_in_prometheus(whole):
    for number in range(2):
        submit(whole, f"long-{number}", LONG)
    found = wait(whole, lambda each: all(each[f"long-{number}"]["state"] == "running" for number in range(2)))
    assert len({found[f"long-{number}"]["host"] for number in range(2)}) == 2
    for number in range(2):
        of_run = f'on (instance) group_left (run_id) rl_run_info{{run_id="long-{number}"}}'
        (series,) = whole.pages.wait(f"rl_env_steps_total * {of_run} > 0", 120)
        assert series["metric"]["host"] == found[f"long-{number}"]["host"]
    submit(whole, "next", {**TINY, "budget.env_steps": 1024})


def test_a_trainer_that_loses_its_power_goes_on_to_the_same_bits(whole, tmp_path):
    status = whole.store / "runs/long-0/status.json"
    end = time.monotonic() + 120
    while not (status.exists() and json.loads(status.read_text()).get("last_checkpoint_step")):
        assert time.monotonic() < end
        time.sleep(0.1)
    found = wait(whole, lambda each: each["long-0"]["state"] == "running")
    host = whole.hosts[found["long-0"]["host"]]
    host.crash()
    host.boot()
    wait(whole, lambda each: each["long-0"]["state"] == "done", 600)
    assert json.loads(status.read_text())["resumes"] == 1
    code, output = finish(train(tmp_path, "long-0", LONG), 600)
    assert code == 0, output
    assert_same_training(whole.store / "runs/long-0", tmp_path / "long-0")


def test_the_next_run_starts_by_itself_and_results_are_where_all_see_them(whole):
    wait(whole, lambda each: {each[name]["state"] for name in ("long-1", "next")} == {"done"}, 600)
    for name in ("long-1", "next"):
        assert (whole.store / "runs" / name / "report.html").is_file()
    assert (whole.store / "runs/next").stat().st_uid == UID


def test_what_a_run_said_is_found_on_the_monitor(whole):
    lines = objects(onprem(whole, "logs", "--run", "next", "--since", "2h", "--json"))
    assert {line["run_id"] for line in lines} == {"next"}
    assert {line["host"] for line in lines} <= {"gpu-1", "gpu-2"}
    assert objects(onprem(whole, "logs", "--run", "next", "--level", "error", "--json")) == []


def test_the_state_of_the_site_is_told(whole):
    told = json.loads(onprem(whole, "status", "--json"))
    assert told["hosts"].keys() == HOSTS.keys()
    assert told["lost"] == {}
    assert {row["run_id"]: row["state"] for row in told["queue"]["rows"]} == dict.fromkeys(
        ("long-0", "long-1", "next"), "done"
    )
    assert all(days > 30 for host in told["hosts"].values() for days in host["certificates"].values())


def test_a_trainer_that_is_stopped_is_missed(whole):
    whole.hosts["gpu-2"].run("systemctl", "stop", "slipway-worker@0.service")
    whole.pages.wait('ALERTS{alertname="TrainerDown",alertstate="pending",host="gpu-2"}', 120)


def declared(source, target):
    """The ports of TCP that one host, or the operator, may reach on another."""
    who = {"operators"} if source == "operator" else {"all", GROUP[source]}
    for each in PORTS.values():
        there = each["protocol"] == "tcp" and not each.get("loopback")
        there = there and each.get("when_transport", "stunnel") == "stunnel"
        if there and {"all", GROUP[target]} & set(each["to"]) and who & set(each["from"]):
            yield from range(each["port"], each["port"] + each.get("count", 1))


SCAN = """
import json, resource, select, socket, sys
AT_ONCE, SECONDS = 5000, 2
most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, AT_ONCE + 100), most))
found, ports = [], list(range(1, int(sys.argv[2])))
while ports:
    tried = {}
    for port in ports[:AT_ONCE]:
        one = socket.socket()
        one.setblocking(False)
        one.connect_ex((sys.argv[1], port))
        tried[one.fileno()] = one, port
    del ports[:AT_ONCE]
    poll = select.poll()
    for number in tried:
        poll.register(number, select.POLLOUT)
    while answers := poll.poll(1000 * SECONDS):  # until nobody has answered for so long
        for number, _ in answers:
            poll.unregister(number)
            one, port = tried[number]
            if one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0:
                found.append(port)
    for one, _ in tried.values():
        one.close()
print(json.dumps(sorted(found)))
"""


@pytest.mark.parametrize(("source", "target"), list(itertools.permutations(HOSTS, 2)))
def test_a_scan_from_another_host_sees_declared_ports_alone(whole, source, target):
    said = whole.hosts[source].run("python3", "-c", SCAN, whole.hosts[target].address, "25000").stdout
    found = set(json.loads(said))
    assert found <= set(declared(source, target))
    assert source != "monitor-1" or PORTS["node_exporter"]["port"] in found  # or the scan would see nothing at all


@pytest.mark.parametrize("target", HOSTS)
def test_the_operator_reaches_what_is_declared(whole, target):
    ports = {22, 2049, 3000, 6514, 9090, 9093, 9100}
    open_ports = {port for port in ports if listens(whole.hosts[target].address, port)}
    assert 22 in open_ports
    assert open_ports <= set(declared("operator", target))


def test_an_alert_fires_when_a_trainer_was_stopped_for_minutes(whole):
    whole.pages.wait('ALERTS{alertname="TrainerDown",alertstate="firing",host="gpu-2"}', 420)
    told = json.loads(onprem(whole, "status", "--json"))
    alerts = [alert for host in told["hosts"].values() for alert in host.get("alerts", ())]
    assert ("TrainerDown", "firing") in {(alert["labels"]["alertname"], alert["state"]) for alert in alerts}
    whole.hosts["gpu-2"].run("systemctl", "start", "slipway-worker@0.service")


def test_trainings_go_on_without_the_monitor_which_is_made_anew_as_its_page_says(whole):
    monitor = whole.hosts["monitor-1"]
    monitor.crash()
    submit(whole, "alone", {**TINY, "budget.env_steps": 1024})
    wait(whole, lambda each: each["alone"]["state"] == "done")
    monitor.reinstall()
    whole.know_hosts()
    onprem(whole, "up", "--yes", "--json")
    for host in HOSTS:
        whole.pages.wait(f'up{{host="{host}"}} == 1', 120)
    assert whole.pages.ask("v1/query?query=up==0")["result"] == []


def test_teardown_wants_the_name_of_the_site(whole):
    before = {name: host.run("dpkg", "-l").stdout for name, host in whole.hosts.items()}
    onprem(whole, "down", "--json", code=2)
    onprem(whole, "down", "--confirm", "slipways", code=2)
    assert {name: host.run("dpkg", "-l").stdout for name, host in whole.hosts.items()} == before


def test_teardown_gives_all_hosts_back_and_proves_it(whole):
    *_, last = objects(onprem(whole, "down", "--confirm", "slipway", "--json"))
    assert (last["event"], last["hosts"].keys()) == ("down", HOSTS.keys())
    for name, host in whole.hosts.items():
        proof = json.loads((whole.inventory.parent / f"proofs/{name}.json").read_text())
        assert proof["unexplained"] == []
        assert not (host.root / "var/lib/slipway-site").exists()
    assert (whole.store / "runs/next/report.html").is_file()


def test_a_second_teardown_changes_nothing(whole):
    again = whole.play(DOWN, "--extra-vars", "teardown_confirmed=yes")
    assert again.changes() == []
    assert again.changed == 0
