"""The bundle that a site's trainers are made of: slipway's wheel and hashed requirements."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from infra.onprem.inventory import Inventory
from infra.onprem.playbooks import GPU
from trainer.errors import SlipwayError

VARIABLE = "trainer_bundle"
KEPT = 3
"""How many bundles stay, those that were used last: another command may be at work with one."""


def variables(inventory: Inventory, folder: Path) -> Mapping[str, Any]:
    """What playbooks need to know of the bundle; nothing where the inventory says which.

    Args:
        inventory: the site's.
        folder: its own on this machine: the bundle is unpacked there, once for the same slipway.

    Raises:
        SlipwayError: if it cannot be written.
    """
    trainers = [inventory.hosts[host] for host in inventory.groups.get(GPU, ())]
    if any(VARIABLE in each for each in trainers):
        return {}
    gpu = not all(each.get("trainer_gpu") is False for each in trainers)
    try:
        return {VARIABLE: str(_made(folder / "bundles", gpu=gpu))}
    except OSError as error:
        raise SlipwayError(f"cannot write the trainers' bundle into {folder}: {error.strerror}") from error


def _made(bundles: Path, *, gpu: bool) -> Path:
    """A bundle's folder, named by what is in it: it is never changed, as another command may be reading it."""
    from trainer.bundle import archive, build

    bundles.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".making-", dir=bundles) as name:
        aside, packed = Path(name) / "bundle", Path(name) / "bundle.tar.gz"
        build.build(None, packed, run_id=None, training_seeds=1, key=None, gpu=gpu, with_wheels=False)
        unpacked = bundles / archive.sha256(packed)[:16]
        if not unpacked.is_dir():
            for path, file in archive.unpack(packed):
                target = aside / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(file.read())
            try:
                aside.rename(unpacked)
            except OSError:
                if not unpacked.is_dir():  # made by another command meanwhile
                    raise
    os.utime(unpacked)
    with contextlib.suppress(FileNotFoundError):  # another command removes one, too
        there = [each for each in bundles.iterdir() if not each.name.startswith(".")]
        for old in sorted(there, key=lambda each: each.stat().st_mtime)[:-KEPT]:
            shutil.rmtree(old, ignore_errors=True)
    return unpacked
