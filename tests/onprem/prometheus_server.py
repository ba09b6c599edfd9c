"""Debian's Prometheus, Alertmanager and node exporter as processes of a test, from `.tools/prometheus`."""

import contextlib
import json
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import yaml

UNPACKED = Path(__file__).parents[2] / ".tools/prometheus"
START_SECONDS = 60


def program(name):
    """Where a program is, such as `promtool`."""
    found = UNPACKED / "usr/bin" / name
    assert found.is_file(), f"{found} is missing: make .tools/.prometheus"
    return found


def free_port():
    """A port that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def fetch(url):
    """What an address answers with."""
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.read().decode()


@contextlib.contextmanager
def serving(folder, name, arguments, ready):
    """A program that runs while this is entered; it is there once the address `ready` answers."""
    log, command = folder / f"{name}.log", [program(name), *arguments]
    with log.open("w") as output, subprocess.Popen(command, cwd=UNPACKED, stdout=output, stderr=output) as run:
        try:
            end = time.monotonic() + START_SECONDS
            while True:
                assert run.poll() is None, log.read_text()
                with contextlib.suppress(OSError):  # HTTPError is one: it answers, and is not ready
                    fetch(ready)
                    break
                assert time.monotonic() < end, log.read_text()
                time.sleep(0.1)
            yield run
        finally:
            run.kill()


@contextlib.contextmanager
def node_exporter(folder, *arguments):
    """The address of this machine's node exporter."""
    address = f"127.0.0.1:{free_port()}"
    arguments = [f"--web.listen-address={address}", *arguments]
    with serving(folder, "prometheus-node-exporter", arguments, f"http://{address}/metrics"):
        yield address


@contextlib.contextmanager
def alertmanager(folder, config=None):
    """The address of an Alertmanager; without a configuration it tells no one."""
    address = f"127.0.0.1:{free_port()}"
    path = folder / "alertmanager.yml"
    path.write_text(yaml.safe_dump(config or {"route": {"receiver": "none"}, "receivers": [{"name": "none"}]}))
    arguments = [f"--config.file={path}", f"--storage.path={folder / 'alertmanager'}", "--cluster.listen-address="]
    arguments += [f"--web.listen-address={address}"]
    with serving(folder, "prometheus-alertmanager", arguments, f"http://{address}/-/ready"):
        yield address


class Prometheus:
    """A Prometheus that scrapes while this is entered.

    Args:
        folder: for its data, configuration and log.
        jobs: `scrape_configs`, as in its configuration.
        rules: rule files, by their paths.
        alertmanagers: their addresses.
        interval: between scrapes, and evaluations of rules.

    Attributes:
        address: where it listens: host and port.
    """

    def __init__(self, folder, jobs, *, rules=(), alertmanagers=(), interval="1s"):
        self.folder = folder
        self.address = f"127.0.0.1:{free_port()}"
        self.config = {
            "global": {"scrape_interval": interval, "scrape_timeout": interval, "evaluation_interval": interval},
            "rule_files": [str(path) for path in rules],
            "alerting": {"alertmanagers": [{"static_configs": [{"targets": list(alertmanagers)}]}]},
            "scrape_configs": jobs,
        }
        self._running = contextlib.ExitStack()

    def __enter__(self):
        path = self.folder / "prometheus.yml"
        path.write_text(yaml.safe_dump(self.config))
        arguments = [f"--config.file={path}", f"--storage.tsdb.path={self.folder / 'data'}", "--log.level=warn"]
        arguments += [f"--web.listen-address={self.address}"]
        self._running.enter_context(serving(self.folder, "prometheus", arguments, f"http://{self.address}/-/ready"))
        return self

    def __exit__(self, *error):
        self._running.close()

    def get(self, path, **parameters):
        """The data of an answer of its API, such as `targets` or `alerts`."""
        try:
            answer = fetch(f"http://{self.address}/api/v1/{path}?{urllib.parse.urlencode(parameters)}")
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{parameters}: {error.read().decode()}") from error
        return json.loads(answer)["data"]

    def query(self, expression):
        """The series that an expression has now: each a dictionary of `metric`, its labels, and `value`."""
        return self.get("query", query=expression)["result"]

    def wait(self, expression, seconds=30):
        """The series of an expression, once it has some."""
        end = time.monotonic() + seconds
        while not (found := self.query(expression)):
            assert time.monotonic() < end, f"no series within {seconds} s: {expression}"
            time.sleep(0.2)
        return found
