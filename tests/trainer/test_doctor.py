"""What this machine can do."""

import json
from importlib import metadata

import psutil
import pytest

from trainer import doctor
from trainer.cli import application
from trainer.doctor import Level


def named(checks, name):
    (found,) = [check for check in checks if check.name == name]
    return found


@pytest.fixture(scope="module")
def healthy(tmp_path_factory):
    return doctor.examine(str(tmp_path_factory.mktemp("store") / "runs"))


def test_this_machine_can_train(healthy):
    assert [check for check in healthy if check.level is Level.FAIL] == []
    assert named(healthy, "tensorflow").found == f"{metadata.version('tensorflow')} computes and compiles"
    assert metadata.version("tf-agents") in named(healthy, "packages").found
    assert named(healthy, "store").found.endswith("GiB free")
    assert {"processor", "memory", "python", "gpu", "compilation cache", "extra box2d"} <= {c.name for c in healthy}


def test_whatever_is_not_well_has_a_cure(healthy):
    assert all(check.cure for check in healthy if check.level is not Level.OK)


def test_a_store_that_cannot_be_written_fails_the_command(capsys):
    assert application.run(["doctor", "--store", "/proc/runs", "--json"]) == 1
    found = {check["name"]: check for check in json.loads(capsys.readouterr().out)}
    assert found["store"]["level"] == "fail"
    assert "--store" in found["store"]["cure"]
    assert application.run(["doctor", "--store", "s3://bucket"]) == 1
    assert "fail" in capsys.readouterr().out


def test_a_healthy_machine_passes(tmp_path, capsys):
    assert application.run(["doctor", "--store", str(tmp_path)]) == 0
    assert "fail" not in capsys.readouterr().out


def test_wrong_and_missing_packages(monkeypatch, tmp_path):
    monkeypatch.setattr(
        metadata, "requires", lambda name: ["numpy<1", "no-such-package-at-all>=2", 'absent; extra == "dev"', "click"]
    )
    found = doctor.examine(str(tmp_path))
    assert named(found, "numpy").level is Level.FAIL
    assert named(found, "no-such-package-at-all").found == "not installed; needed: >=2"
    assert named(found, "numpy").cure == "run `uv sync`"
    assert "absent" not in {check.name for check in found}


def test_little_memory_and_space_warn(monkeypatch, tmp_path):
    real = psutil.virtual_memory()
    monkeypatch.setattr(psutil, "virtual_memory", lambda: real._replace(available=10**6))
    monkeypatch.setattr(doctor, "ENOUGH_SPACE_BYTES", 1 << 62)
    found = doctor.examine(str(tmp_path))
    assert named(found, "memory").level is Level.WARN
    assert named(found, "store").level is Level.WARN


def test_a_check_that_breaks_is_a_finding(monkeypatch, tmp_path):
    def broken():
        raise RuntimeError("no\nproc")

    monkeypatch.setattr(psutil, "virtual_memory", broken)
    found = named(doctor.examine(str(tmp_path)), "memory")
    assert (found.level, found.found) == (Level.FAIL, "could not be found out (RuntimeError: no proc)")


@pytest.mark.parametrize(
    ("cloud", "words"), [("ec2", "notices of ec2 are watched"), (None, "this machine is no cloud's")]
)
def test_whose_notices_are_watched(monkeypatch, tmp_path, cloud, words):
    monkeypatch.setattr(doctor.machine, "cloud", lambda: cloud)
    found = named(doctor.examine(str(tmp_path)), "preemption")
    assert found.level is Level.OK
    assert found.found.startswith(words)


def test_the_cache_switched_off(monkeypatch, tmp_path):
    monkeypatch.setenv("SLIPWAY_XLA_CACHE", "off")
    assert named(doctor.examine(str(tmp_path)), "compilation cache").level is Level.WARN
