"""The wheels that a node without a package index installs from."""

import subprocess
import sys
import tempfile
import venv
from collections.abc import Sequence
from pathlib import Path

from trainer.errors import SlipwayError


def download(requirements: Sequence[str], folder: Path) -> list[Path]:
    """Download wheels, each checked by its hash, with pip and its settings (index, proxy, cache).

    Args:
        requirements: texts of hashed requirements files.
        folder: where they come.

    Returns:
        The wheels, sorted.

    Raises:
        SlipwayError: if pip fails; with its last words.
    """
    with tempfile.TemporaryDirectory(prefix="slipway-pip-") as name:
        # An environment that uv made has no pip: this one does.
        venv.EnvBuilder(with_pip=True, symlinks=True).create(name)
        for number, text in enumerate(requirements):
            file = Path(name) / f"requirements-{number}.txt"
            file.write_text(text)
            options = ("--quiet", "--no-deps", "--require-hashes", "--only-binary=:all:")
            command = [f"{name}/bin/python", "-m", "pip", "download", *options, "-r", str(file), "-d", str(folder)]
            done = subprocess.run(command, stdout=sys.stderr, stderr=subprocess.PIPE, text=True, check=False)  # noqa: S603
            if done.returncode:
                said = done.stderr.strip().splitlines() or ["it said nothing"]
                raise SlipwayError(f"cannot download the wheels: pip: {said[-1]}")
    return sorted(folder.glob("*.whl"))
