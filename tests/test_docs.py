"""Every command that the docs show is run; every link inside the project leads somewhere."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from warm_processes import WarmProcess

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("benchmarks/*.md")])
FENCE = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)
ANY_FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"\s+# exit code (\d+)$")
LINK = re.compile(r"\]\(([^)#\s]+)")
ELSEWHERE = ("docs/cloud.md", "docs/metrics.md", "docs/preemption.md", "docs/stores.md")
"""Pages with servers to start and stop, or a site, which have a test of their own."""


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


class Made:
    """What commands made: one that several pages show is run once for each state of the things that it names."""

    def __init__(self, folder):
        self._folder, self._by_key = folder, {}

    def key(self, command, place, origins):
        """What decides what a command makes: its words, and where the things are from whose names are among them.

        Args:
            command: as it is shown.
            place: the folder in which it is run.
            origins: of what is there, the keys of the commands that made or changed it last.
        """
        return command, *(origins[name] for name in things(place) if name.removeprefix("runs/") in command)

    def again(self, key, place):
        """Bring what is known of a command to a folder; gives the names of it, none if it is not known."""
        for name, kept in self._by_key.get(key, {}).items():
            shutil.rmtree(place / name, ignore_errors=True)
            copy(kept, place / name)
        return [*self._by_key.get(key, ())]

    def keep(self, key, place, names):
        """Remember what a command made."""
        folder = self._folder / str(len(self._by_key))
        self._by_key[key] = {name: copy(place / name, folder / name) for name in names}


def things(place):
    """Runs, files and folders in a folder, each with its state."""
    found = [path for path in place.glob("*") if path.name != "runs"] + [*place.glob("runs/*")]
    return {
        str(path.relative_to(place)): {
            (str(inner), inner.stat().st_size, inner.stat().st_mtime_ns) for inner in [path, *path.rglob("*")]
        }
        for path in sorted(found)
    }


def copy(one, other):
    """Copy a file or a folder; gives the copy."""
    other.parent.mkdir(parents=True, exist_ok=True)
    return shutil.copytree(one, other) if one.is_dir() else Path(shutil.copy2(one, other))


SHOWN = [page for page in PAGES if commands(page) and str(page.relative_to(ROOT)) not in ELSEWHERE]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return Made(tmp_path_factory.mktemp("made"))


def run(command, folder):
    """Run a command in a folder; gives its exit code and what it printed.

    One of `slipway` alone is forked from a process with its imports done. The shell has those with more in them, and
    those beside code of a reader's own, which the program itself must find.
    """
    is_alone = command.startswith("slipway ") and not set(command) & set("|&;<>$`*?")
    if is_alone and not any(folder.glob("*.py")) and not any(folder.glob("*/*.py")):
        process = WarmProcess(shlex.split(command)[1:], folder, dict(os.environ))
        output, _ = process.communicate()
        return process.returncode, output
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    ran = subprocess.run(
        ["bash", "-c", command], cwd=folder, capture_output=True, text=True, env={**os.environ, "PATH": path}
    )
    return ran.returncode, ran.stdout + ran.stderr


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("page", SHOWN, ids=lambda page: str(page.relative_to(ROOT)))
def test_each_command_works(page, tmp_path, made):
    origins = {}
    for command, expected in commands(page):
        if command.startswith("source "):
            continue  # the test's own process is in the environment already
        if command.startswith("make "):
            # The targets install, or run this very suite: here only that they exist and what they would do.
            code, output = run(command.replace("make", "make -n", 1), ROOT)
        else:
            key, before = made.key(command, tmp_path, origins), things(tmp_path)
            if names := made.again(key, tmp_path):
                origins |= dict.fromkeys(names, key)
                continue
            code, output = run(command, tmp_path)
            names = [name for name, state in things(tmp_path).items() if state != before.get(name)]
            if code == 0 and names:
                made.keep(key, tmp_path, names)
            origins |= dict.fromkeys(names, key)
        assert code == expected, f"{command}\n{output}"


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
    written = dict(re.findall(r"python -m (\S+) > (\S+\.md)", shown))
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
