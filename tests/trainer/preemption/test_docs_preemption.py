"""The commands of docs/preemption.md, run as they stand there, against AWS's mock."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from metadata_servers import MOCK, ec2_mock, free_port

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/preemption.md").read_text()
# Two minutes before midnight the machine goes on the day after, and its time has a date.
CLOCK = re.compile(r"(\d{4}-\d\d-\d\d )?\d\d:\d\d:\d\d")


def block(language, containing):
    """The page's one block of code in a language that contains something."""
    (found,) = [text for text in re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL) if containing in text]
    return found


def test_make_has_the_target():
    (command,) = block("console", "make").splitlines()
    target = command.removeprefix("$ make ")
    assert ROOT / target == MOCK
    shown = subprocess.run(["make", "-n", "-B", target], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "github.com/aws/amazon-ec2-metadata-mock/cmd/ec2-metadata-mock@v" in shown


@pytest.mark.slow
def test_the_commands_show_what_the_page_says(tmp_path):
    with ec2_mock("spot"):  # or it says how to build it
        pass
    (tmp_path / ".tools").symlink_to(ROOT / ".tools")
    lines = [line.removeprefix("$ ") for line in block("console", "--run-id").splitlines()]
    script = "set -m\n" + "\n".join(lines[:3]) + "\ncode=$?\n" + lines[3] + "\nexit $code"
    script = script.replace("1338", str(free_port()))
    ran = subprocess.run(
        ["bash", "-c", script],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": str(tmp_path)},
    )
    assert ran.returncode == 75, ran.stderr
    said = [CLOCK.sub("", line) for line in (ran.stderr + ran.stdout).splitlines()]
    expected = CLOCK.sub("", block("text", "vanishing")).splitlines()
    assert [line for line in said if line in expected] == expected
    message = json.loads((tmp_path / "runs/vanishing/status.json").read_text())["message"]
    assert CLOCK.sub("", message) == expected[2].split(": ", 1)[1]
