"""Progress as a log, as a live terminal, and as silence."""

import fcntl
import io
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from types import SimpleNamespace

import pytest

from trainer import progress
from trainer.progress import NullProgress, PlainProgress

SCORE = SimpleNamespace(name="cost", unit="cost per period", sign=-1)
ROW = {"rl_env_steps_per_second": 50_000.0, "rl_score": 4.8123, "rl_optimality_gap_ratio": 0.0176}


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def test_a_log_gets_one_line_every_ten_seconds_and_the_last(clock):
    stream = io.StringIO()
    shown = PlainProgress(stream, clock=clock)
    shown.start(1_000_000, 0, "lost-sales", SCORE, 4.729)
    shown.phase("training")
    for second in range(1, 26):
        clock.now = 100.0 + second
        shown.update(second * 40_000, ROW)
    shown.message("newest checkpoint is damaged")
    shown.stop()
    shown.stop()
    lines = stream.getvalue().splitlines()
    assert lines[0] == "lost-sales: training"
    assert lines[1] == (
        "lost-sales 40 % · 400k of 1M steps · 40k steps/s · cost 4.812 · gap 1.76 % to the optimum 4.729 · "
        "0:10 elapsed · 0:15 left"
    )
    assert lines[2].startswith("lost-sales 80 % · 800k of 1M steps")
    assert lines[3] == "newest checkpoint is damaged"
    assert lines[4].startswith("lost-sales 100 % · 1M of 1M steps")
    assert "left" not in lines[4]
    assert len(lines) == 5


def test_a_phase_is_told_once_after_the_figures_before_it(clock):
    stream = io.StringIO()
    shown = PlainProgress(stream, clock=clock)
    shown.start(100, 0, "run", SCORE, None)
    shown.phase("training")
    shown.update(100, {"rl_episode_return_mean": 475.0, "rl_cost_usd_total": 0.0123})
    shown.phase("evaluating")
    shown.phase("evaluating")
    lines = stream.getvalue().splitlines()
    assert lines == [
        "run: training",
        "run 100 % · 100 of 100 steps · return 475 · $0.0123 · 0:00 elapsed",
        "run: evaluating",
    ]


def test_a_resumed_run_counts_its_speed_from_where_it_went_on(clock):
    figures = progress.Figures(clock)
    figures.start(1000, 600, "run", SCORE, None)
    assert (figures.steps_per_second, figures.seconds_left, figures.done_ratio) == (None, None, 0.6)
    clock.now += 30  # compilation
    figures.update(700, {"rl_env_steps_per_second": 3.0})
    assert figures.steps_per_second == 3.0
    clock.now += 10
    figures.update(800, {})
    assert figures.steps_per_second == 10.0
    assert figures.seconds_left == 20.0
    assert figures.elapsed_seconds == 40.0


def test_what_is_silent_and_what_is_plain(capsys):
    assert isinstance(progress.make(silent=True), NullProgress)
    assert isinstance(progress.make(stream=io.StringIO()), PlainProgress)
    shown = progress.make(silent=True)
    shown.start(10, 0, "run", SCORE, None)
    shown.update(5, ROW)
    shown.message("text")
    shown.phase("exporting")
    shown.stop()
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("columns", [100, 64])
def test_a_terminal_gets_a_live_bar(columns):
    """In a pseudo-terminal of its own."""
    program = f"""
import time
from types import SimpleNamespace
from trainer import progress
shown = progress.make()
assert type(shown).__name__ == "LiveProgress"
shown.start(1_000_000, 0, "lost-sales", SimpleNamespace(name="cost", unit="", sign=-1), 4.729)
shown.phase("compiling")
time.sleep(0.4)
shown.phase("training")
shown.update(500_000, {ROW!r})
shown.message("[bold] is not markup")
time.sleep(0.4)
shown.phase("evaluating")
shown.update(1_000_000, {ROW!r})
shown.stop()
shown.stop()
"""
    parent, child = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color"}
    environment.pop("COLUMNS", None)
    fcntl.ioctl(parent, termios.TIOCSWINSZ, struct.pack("HHHH", 30, columns, 0, 0))
    with subprocess.Popen([sys.executable, "-c", program], stdout=child, stderr=child, env=environment) as process:
        os.close(child)
        output = b""
        while True:
            try:
                chunk = os.read(parent, 65536)
            except OSError:  # the terminal's other end is closed
                break
            if not chunk:
                break
            output += chunk
        assert process.wait(timeout=60) == 0, output.decode()
    os.close(parent)
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", output.decode())
    assert "compiling" in text
    assert "50 %" in text
    assert "[bold] is not markup" in text
    assert "cost 4.812 · gap 1.76 % to the optimum 4.729" in text
    assert max(len(line) for line in text.splitlines()) <= columns
    last_bar = [line for line in text.splitlines() if "elapsed" in line][-1]
    assert "100 %" in last_bar
    assert "evaluating" in last_bar
    assert output.rstrip().endswith(b"\x1b[?25h")  # the cursor is back
