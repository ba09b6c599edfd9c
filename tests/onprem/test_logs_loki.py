"""A real Loki on the monitor gets what the monitor collects, and misses nothing while it is away."""

import json
import os
import time
import urllib.parse

import pytest
import yaml
from lab import ROOT, site
from test_logs import PLAY, Lab, line

from trainer.logs.lines import Severity

LOKI = ROOT / ".tools/loki"
URL = "http://127.0.0.1:3100"
CONFIGURATION = {
    "auth_enabled": False,
    "analytics": {"reporting_enabled": False},
    "server": {"http_listen_address": "127.0.0.1", "grpc_listen_address": "127.0.0.1"},
    "common": {
        "instance_addr": "127.0.0.1",
        "path_prefix": "/var/lib/loki",
        "replication_factor": 1,
        "ring": {"kvstore": {"store": "inmemory"}},
        "storage": {
            "filesystem": {"chunks_directory": "/var/lib/loki/chunks", "rules_directory": "/var/lib/loki/rules"}
        },
    },
    "ingester": {"lifecycler": {"min_ready_duration": "0s", "final_sleep": "0s"}},
    "schema_config": {
        "configs": [
            {
                "from": "2024-01-01",
                "store": "tsdb",
                "object_store": "filesystem",
                "schema": "v13",
                "index": {"prefix": "index_", "period": "24h"},
            }
        ]
    },
}

pytestmark = [
    pytest.mark.deep,
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(os.geteuid() != 0, reason="hosts of their own need root"),
]


class LokiLab(Lab):
    """A host that is trainer, monitor and Loki's."""

    def start(self):
        command = [
            "systemd-run",
            "--quiet",
            "--collect",
            "--unit=loki",
            "/srv/loki/loki",
            "-config.file=/root/loki.yml",
        ]
        self.monitor.run(*command)
        self.until(lambda: self.monitor.run("curl", "--silent", f"{URL}/ready", check=False).stdout.strip() == "ready")

    def until(self, done, seconds=60):
        end = time.monotonic() + seconds
        while not done():
            assert time.monotonic() < end, self.monitor.log("slipway-logs.service")[-3000:]
            time.sleep(0.3)

    def ask(self, query):
        """The lines that a query of LogQL finds, by time."""
        asked = urllib.parse.urlencode({"query": query, "limit": 5000, "direction": "forward", "since": "24h"})
        said = self.monitor.run("curl", "--silent", "--fail", f"{URL}/loki/api/v1/query_range?{asked}").stdout
        found = [value for stream in json.loads(said)["data"]["result"] for value in stream["values"]]
        return [text for _, text in sorted(found)]


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    assert (LOKI / "loki").is_file(), f"{LOKI} is missing: make .tools/.loki"
    with site("loki", {"monitor": "bookworm"}, {"/srv/loki": LOKI}) as made:
        made.write_inventory({"gpu": ["monitor"], "monitor": ["monitor"]}, logs_free_gib=1, logs_loki_url=URL)
        made.hosts["gpu-1"] = made.hosts["monitor"]
        lab = LokiLab(made, tmp_path_factory.mktemp("loki"))
        lab.authority.give(lab.monitor, "monitor")
        (lab.monitor.root / "root/loki.yml").write_text(yaml.safe_dump(CONFIGURATION))
        lab.start()
        lab.up.write_text(yaml.safe_dump(PLAY))
        made.play(lab.up)
        yield lab


def test_lines_are_found_by_their_labels(lab):
    said = [line("a", "one", ago=1), line("a", 'two "hü"', Severity.ERROR), line("b", "three")]
    lab.say(lab.monitor, "slipway-worker@0.service", "\n".join([*said, "no line"]) + "\n")
    lab.until(lambda: len(lab.ask('{job="slipway"}')) >= 4)
    assert lab.ask('{job="slipway", run_id="a"}') == said[:2]
    assert lab.ask('{run_id="a", level="error", host="monitor"}') == [said[1]]
    assert lab.ask('{job="slipway"} | json | step=7 | run_id="b"') == [said[2]]
    assert lab.ask('{unit="slipway-worker@0.service"} |= "no line"') == ["no line"]


def test_nothing_is_lost_while_loki_is_away_and_files_do_not_wait(lab):
    said = [line("away", f"{number}", ago=(300 - number) / 1000) for number in range(300)]
    lab.say(lab.monitor, "slipway-worker@0.service", "\n".join(said[:50]) + "\n")
    lab.monitor.run("systemctl", "stop", "loki")
    lab.say(lab.monitor, "slipway-worker@0.service", "\n".join(said[50:]) + "\n")
    lab.wait("monitor", "away", lambda found: len(found) == 300)
    lab.start()
    lab.until(lambda: set(lab.ask('{run_id="away"}')) == set(said))
    assert "Loki fails, and what it has not got waits for it" in lab.monitor.log("slipway-logs.service")


def test_a_line_that_loki_refuses_is_in_its_file_and_holds_nothing_up(lab):
    said = [line("old", "too old", ago=30 * 86_400), line("old", "new")]
    lab.say(lab.monitor, "slipway-worker@0.service", "\n".join(said) + "\n")
    lab.until(lambda: lab.ask('{run_id="old"}') == said[1:])
    assert lab.file("monitor", "old") == said
    assert "Loki refuses some lines, which are in files alone" in lab.monitor.log("slipway-logs.service")
