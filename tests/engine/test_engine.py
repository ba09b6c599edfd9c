"""The harness itself, where what goes wrong with it would not show in what is tested by it."""

import os
import signal
import threading
import time

import pytest
from engine import Engine


class Stopped(Exception):
    """As a test's time limit raises one, wherever the test is."""


def test_nothing_is_left_of_a_command_that_is_broken_off(tmp_path):
    began, program = tmp_path / "began", tmp_path / "program"
    program.mkdir()
    (program / "Pulumi.yaml").write_text("name: endless\nruntime: python\n")
    (program / "__main__.py").write_text(f"import time; open({str(began)!r}, 'w'); time.sleep(600)")
    engine = Engine(tmp_path / "stack", program=program)

    def stop():
        while not began.exists():
            time.sleep(0.1)
        running.extend(engine.processes())
        os.kill(os.getpid(), signal.SIGUSR1)

    def raise_stopped(*_):
        raise Stopped

    running = []
    before = signal.signal(signal.SIGUSR1, raise_stopped)
    try:
        threading.Thread(target=stop, daemon=True).start()
        with pytest.raises(Stopped):
            engine.preview()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert len(running) >= 3  # the command, its language host, the program
    assert list(engine.processes()) == []
    assert [path.name for path in program.glob("*.yaml")] == ["Pulumi.yaml"]  # nothing is written beside a program
