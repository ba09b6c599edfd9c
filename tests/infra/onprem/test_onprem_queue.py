"""Runs go into a real queue by `slipway onprem run`, and `status` shows them; trainers are names for this machine."""

import getpass
import json
import os
import sys

import pytest
from onprem_sites import ROOT, inventory, run

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="runs commands as the trainers' user, as root does"),
]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """An inventory of a site whose trainers have slipway, and a queue."""
    folder = tmp_path_factory.mktemp("queue")
    program = folder / "opt/environment/bin/slipway"
    program.parent.mkdir(parents=True)
    program.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m trainer "$@"\n')
    program.chmod(0o755)
    (folder / "opt/environment/.complete").touch()
    (folder / "store/queue").mkdir(parents=True)
    variables = {"trainer_home": str(folder / "opt"), "trainer_user": getpass.getuser(), "trainer_bundle": "none"}
    path = inventory(folder / "site", {"gpu": ["one", "two"]}, site_store=str(folder / "store"), **variables)

    def command(name, *arguments, code=0):
        return run(name, *arguments, "--inventory", path, folder=folder, code=code)

    return command


def test_a_run_is_queued_once_and_seen(site):
    out, _ = site("run", "cartpole-ppo", "--set", "budget.env_steps=4096", "--run-id", "mine", "--seeds", "2", "--json")
    entry = json.loads(out)
    assert (entry["run_id"], entry["state"], entry["seeds"]) == ("mine", "queued", 2)
    assert entry["submitted_by"].startswith(f"{getpass.getuser()}@")
    _, err = site("run", "cartpole-ppo", "--run-id", "mine", "--quiet", code=2)
    assert "one refuses the run: " in err
    assert "mine" in err

    found = json.loads(site("status", "--json")[0])
    assert [row["run_id"] for row in found["queue"]["rows"]] == ["mine"]
    assert set(found["hosts"]) == {"one", "two"}
    assert {"units", "certificates", "disks", "gpus", "load"} <= set(found["hosts"]["one"])
    out, _ = site("status", "--quiet")
    assert "mine queued" in " ".join(out.split())


def test_a_wrong_run_is_refused_before_anything_is_sent(site):
    _, err = site("run", "cartpole-ppo", "--set", "agent.learning=1", code=2)
    assert "agent.learning" in err
    _, err = site("run", "cartpole-ppo", "--run-id", "no/id", code=2)
    assert "no/id" in err
    _, err = site("logs", code=2)
    assert "monitor" in err
