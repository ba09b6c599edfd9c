"""Forked commands are processes like any other, and are forked where that is safe alone."""

import json
import os
import signal
import subprocess
import sys

import pytest
import warm_processes
from processes import finish, slipway
from warm_processes import ROOT

pytestmark = pytest.mark.slow


def test_it_is_a_process_of_its_own_where_and_with_what_it_is_asked(tmp_path, monkeypatch):
    monkeypatch.setenv("SLIPWAY_STORE", "elsewhere")
    asked = slipway("presets", "show", "cartpole-ppo", cwd=tmp_path)
    assert asked.pid != os.getpid()
    code, output = finish(asked)
    assert code == 0
    assert (asked.poll(), asked.wait()) == (0, 0)
    assert "CartPole-v1" in output
    code, output = finish(slipway("runs", "list", "--json", cwd=tmp_path))
    assert (code, json.loads(output)) == (0, [])
    # Both outputs are in one pipe, and an error's exit code comes through.
    code, output = finish(slipway("runs", "show", "missing", cwd=tmp_path))
    assert code == 2
    assert "elsewhere" in output


@pytest.mark.parametrize(("number", "code"), [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGINT, 75)])
def test_signals_reach_it(tmp_path, number, code):
    process = slipway(
        "train", "cartpole-ppo", "--run-id", "run", "--set", "budget.env_steps=1_000_000_000", cwd=tmp_path
    )
    while "%" not in process.stdout.readline():  # it trains
        assert process.poll() is None
    process.send_signal(number)
    assert finish(process)[0] == code
    process.send_signal(number)  # nobody is hit any more


def test_where_the_process_that_forks_was_killed_another_one_does(tmp_path):
    assert finish(slipway("presets", "list", cwd=tmp_path))[0] == 0
    process, _ = warm_processes._started[-1]
    process.kill()
    process.wait()
    assert finish(slipway("presets", "list", cwd=tmp_path))[0] == 0
    assert warm_processes._started[-1][0].pid != process.pid


def test_beside_another_thread_nothing_is_forked(tmp_path):
    """As it would be if TensorFlow, or another library, came to start threads when it is imported."""
    thread = "import threading; threading.Thread(target=threading.Event().wait, daemon=True).start()"
    (tmp_path / "sitecustomize.py").write_text(thread)
    command = [sys.executable, "-m", "warm_processes", "0"]
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}:{ROOT}:{ROOT}/tests/trainer", "OPENBLAS_NUM_THREADS": "1"}
    ran = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert ran.returncode == 1
    assert "to fork beside these threads may hang" in ran.stderr
