"""Imports run one way, `envs <- trainer <- infra`, and TensorFlow comes in only where it is needed."""

import ast
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FORBIDDEN = {"envs": {"trainer", "infra", "benchmarks"}, "trainer": {"infra", "benchmarks"}, "infra": {"benchmarks"}}
LIGHT = (
    *("trainer.bundle", "trainer.cli", "trainer.clouds", "trainer.config", "trainer.logs", "trainer.metrics"),
    *("infra", "trainer.node", "trainer.report"),
    *("trainer.run", "trainer.store"),
)
LIGHT_ALONE = ("envs", "envs.registry", "envs.parameters", "trainer.backend", "trainer.doctor", "trainer.errors")
HEAVY = {"tensorflow", "tf_agents", "tf_keras", "tensorflow_probability"}


def imported(path):
    """The packages that a file imports anywhere, lazily too, by first name."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module.split(".")[0]


@pytest.mark.parametrize("package", FORBIDDEN)
def test_imports_run_one_way(package):
    files = sorted((ROOT / package).rglob("*.py"))
    assert files
    wrong = {str(file.relative_to(ROOT)): FORBIDDEN[package] & set(imported(file)) for file in files}
    assert {name: found for name, found in wrong.items() if found} == {}


def light_modules():
    names = list(LIGHT_ALONE)
    for package in LIGHT:
        names.append(package)
        folder = ROOT / package.replace(".", "/")
        names += [found.name for found in pkgutil.walk_packages([str(folder)], f"{package}.")]
    return names


def test_the_command_line_and_all_that_only_reads_and_writes_import_no_tensorflow():
    modules = light_modules()
    assert len(modules) > 20
    code = (
        "import importlib, sys\n"
        f"for name in {modules!r}:\n"
        "    importlib.import_module(name)\n"
        f"    heavy = {HEAVY!r} & set(sys.modules)\n"
        "    assert not heavy, (name, heavy)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
