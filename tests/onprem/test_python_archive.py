"""A trainer on releases that have no Python 3.11: one that the operator gives as an archive is unpacked, and trains.

The archive stands in for one of python-build-standalone, which is not to be had here: Debian 12's own Python 3.11 with
its standard library. What it needs of the host are libraries that releases from Debian 12 and Ubuntu 22.04 on have.
"""

import hashlib
import json
import os
import re
import tarfile

import pytest
from lab import IMAGES, site

from trainer.cli import application

WHEELHOUSE = IMAGES.parent / "wheelhouse"
TINY = {"agent.num_envs": 8, "agent.rollout_steps": 32, "agent.minibatch_size": 256, "budget.env_steps": 1024}
TINY |= {"evaluation.seeds": 2, "evaluation.episodes_per_seed": 1, "checkpoint.interval_iterations": 1}
TRAIN = "slipway-train.service"

pytestmark = [
    pytest.mark.deep,
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(os.geteuid() != 0, reason="hosts of their own need root"),
]


def archive(folder, note):
    """A Python that can run from anywhere, in one folder; a note makes it another archive."""
    image, tree = IMAGES / "bookworm", folder / f"python-{note}" / "python"
    (tree / "bin").mkdir(parents=True)
    (tree / "bin/python3.11").write_bytes((image / "usr/bin/python3.11").read_bytes())
    (tree / "bin/python3.11").chmod(0o755)
    (tree / "note").write_text(note)
    # Debian keeps the wheels of ensurepip elsewhere.
    text = (image / "usr/lib/python3.11/ensurepip/__init__.py").read_text()
    bundled = tree / "lib/python3.11/ensurepip/_bundled"
    bundled.mkdir(parents=True)
    for name in ("pip", "setuptools"):
        (wheel,) = (image / "usr/share/python-wheels").glob(f"{name}-*.whl")
        (bundled / wheel.name).write_bytes(wheel.read_bytes())
        version = wheel.name.split("-")[1]
        text, found = re.subn(
            f"^_{name.upper()}_VERSION = .*$", f'_{name.upper()}_VERSION = "{version}"', text, flags=re.M
        )
        assert found == 1
    (tree / "lib/python3.11/ensurepip/__init__.py").write_text(text)
    path = folder / f"{note}.tar.gz"
    with tarfile.open(path, "w:gz", compresslevel=1) as packed:
        packed.add(tree, "python")
        packed.add(
            image / "usr/lib/python3.11",
            "python/lib/python3.11",
            filter=lambda each: None if each.name.endswith(("/__pycache__", "ensurepip/__init__.py")) else each,
        )
    return {"trainer_python_archive": str(path), "trainer_python_sha256": hashlib.sha256(path.read_bytes()).hexdigest()}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """The unpacked bundle of a short run."""
    folder = tmp_path_factory.mktemp("bundle")
    pairs = [item for key, value in TINY.items() for item in ("--set", f"{key}={json.dumps(value)}")]
    out = folder / "bundle.tar.gz"
    assert application.run(["bundle", "cartpole-ppo", *pairs, "--run-id", "tiny", "--out", str(out)]) == 0
    with tarfile.open(out) as packed:
        packed.extractall(folder, filter="data")
    return folder


@pytest.mark.parametrize("suite", ["trixie", "noble"])
def test_a_release_without_python_3_11_trains_by_one_from_an_archive(suite, bundle, tmp_path):
    first, second = archive(tmp_path, "first"), archive(tmp_path, "second")
    playbook = bundle / "ansible/node.yml"
    settings = {"trainer_wheelhouse": "/srv/wheelhouse", "trainer_memory_gib": 1}
    with site(f"python-{suite}", {"one": suite}, {"/srv/wheelhouse": WHEELHOUSE}) as lab:
        host = lab.hosts["one"]
        lab.write_inventory({"gpu": ["one"]})

        def play(check=True, **variables):
            return lab.play(playbook, "--extra-vars", json.dumps({**settings, **variables}), check=check)

        def said(played):
            return " ".join(played.output.split())

        assert host.run("python3.11", "--version", check=False).returncode
        refused = play(check=False)
        assert "trainer_python_archive and trainer_python_sha256 to an archive of one" in said(refused)
        for wrong in (
            {**first, "trainer_python_sha256": "0" * 64},
            {**first, "trainer_python_archive": "/nowhere.tar.gz"},
            {"trainer_python_archive": first["trainer_python_archive"]},
        ):
            refused = play(check=False, **wrong)
            assert "Python: trainer_python_archive is" in said(refused)
            assert refused.changed == 0
        assert not (host.root / "opt/slipway").exists()

        play(**first)
        host.wait(TRAIN, lambda found: found["ActiveState"] == "inactive" and not found.get("Job"), 300)
        status = json.loads(host.run("cat", "/var/lib/slipway/runs/tiny/status.json").stdout)
        assert status["state"] == "finished"
        again = play(**first)
        assert again.changed == 0

        play(**second)
        (unpacked,) = (host.root / "opt/slipway").glob("python-*")
        assert (unpacked / "note").read_text() == "second"
        python = host.run("readlink", "-f", "/opt/slipway/current/bin/python").stdout.strip()
        assert python == f"/opt/slipway/{unpacked.name}/bin/python3.11"
        assert len(list((host.root / "opt/slipway").glob("[0-9]*"))) == 1

        play(trainer_state="absent", trainer_purge=True)
        assert not (host.root / "opt/slipway").exists()
