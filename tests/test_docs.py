"""Every command that the docs show is run; every link inside the project leads somewhere."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("benchmarks/*.md")])
FENCE = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)
ANY_FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"\s+# exit code (\d+)$")
LINK = re.compile(r"\]\(([^)#\s]+)")
ELSEWHERE = ("docs/metrics.md", "docs/preemption.md", "docs/stores.md")
"""Pages with servers to start and stop, which have a test of their own."""


def commands(page):
    """The commands of a page, with or without a prompt, and the exit code that each should have."""
    found = []
    for block in FENCE.findall(page.read_text()):
        for line in block.splitlines():
            if not line.startswith(("$ ", "make ", "slipway ")):
                continue
            command = line.removeprefix("$ ")
            expected = CODE.search(command)
            found.append((CODE.sub("", command).split("  # ")[0].strip(), int(expected[1]) if expected else 0))
    return found


SHOWN = [page for page in PAGES if commands(page) and str(page.relative_to(ROOT)) not in ELSEWHERE]


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("page", SHOWN, ids=lambda page: str(page.relative_to(ROOT)))
def test_each_command_works(page, tmp_path):
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    for command, expected in commands(page):
        if command.startswith("source "):
            continue  # the test's own process is in the environment already
        if command.startswith("make "):
            # The targets install, or run this very suite: here only that they exist and what they would do.
            ran = subprocess.run(
                ["bash", "-c", command.replace("make", "make -n", 1)], cwd=ROOT, capture_output=True, text=True
            )
        else:
            ran = subprocess.run(
                ["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, env={**os.environ, "PATH": path}
            )
        assert ran.returncode == expected, f"{command}\n{ran.stdout}\n{ran.stderr}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    prose = ANY_FENCE.sub("", page.read_text())
    targets = [link for link in LINK.findall(prose) if "://" not in link]
    missing = [link for link in targets if not (page.parent / link).exists()]
    assert not missing


def test_there_is_something_to_run():
    assert sum(len(commands(page)) for page in SHOWN) > 15


def test_make_docs_writes_each_page_that_says_it_is_generated():
    shown = subprocess.run(["make", "-n", "docs"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    written = dict(re.findall(r"python -m (\S+) > (\S+)", shown))
    generated = {
        page: re.search(r"by `python -m ([\w.]+)`; do not edit", page.read_text()) for page in ROOT.glob("docs/**/*.md")
    }
    assert {str(page.relative_to(ROOT)): by[1] for page, by in generated.items() if by} == {
        page: module for module, page in written.items()
    }


@pytest.mark.slow
def test_make_train_is_what_the_first_screen_says(tmp_path):
    """The target's own command, on the installation that runs this test, with a budget that suits a suite."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    shown = subprocess.run(["make", "-n", "train"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert ".venv/bin/slipway train lost-sales-ppo" in shown
    command = [sys.executable, "-m", "trainer", "train", "lost-sales-ppo", "--run-id", "first"]
    ran = subprocess.run(
        [*command, "--set", "budget.env_steps=200_000"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    report, verdict = ran.stdout.splitlines()[-2:]
    assert report == "Report: runs/first/report.html"
    assert re.fullmatch(
        r"Mean cost [\d.]+ \(95 % interval [\d.]+ to [\d.]+\); exactly [\d.]+, .* the optimum of 4\.72[89]\d*\.",
        verdict,
    )
    assert (tmp_path / "runs/first/report.html").is_file()
