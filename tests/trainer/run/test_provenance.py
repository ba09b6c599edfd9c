"""Where a run came from."""

import hashlib
import json
import subprocess

import psutil

from trainer.run import provenance


def test_everything_that_can_be_found_out_is():
    found = provenance.collect(1.5)
    assert json.loads(json.dumps(found)) == found
    lock = (provenance.ROOT / "uv.lock").read_bytes()
    assert found["lock_file_sha256"] == hashlib.sha256(lock).hexdigest()
    assert found["packages"]["tensorflow"].startswith("2.21.")
    assert set(found["packages"]) == set(provenance.PACKAGES)
    assert found["host"]["memory_bytes"] == psutil.virtual_memory().total
    assert (found["price_usd_per_hour"], found["instance_type"]) == (1.5, None)


def test_the_revision_and_whether_it_was_changed(tmp_path):
    def git(*arguments):
        identity = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
        done = subprocess.run(
            ["git", "-C", tmp_path, *identity, *arguments], capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    assert provenance.git(tmp_path) is None
    git("init", "-q")
    assert provenance.git(tmp_path) is None  # no commit yet
    (tmp_path / "file").write_text("1")
    git("add", "file")
    git("commit", "-qm", "First")
    assert provenance.git(tmp_path) == {"revision": git("rev-parse", "HEAD"), "dirty": False}
    (tmp_path / "file").write_text("2")
    assert provenance.git(tmp_path) == {"revision": git("rev-parse", "HEAD"), "dirty": True}


def test_what_is_not_there_is_left_out(tmp_path):
    assert provenance.sha256(tmp_path / "none") is None
    assert provenance.versions(("no-such-package-at-all", "numpy")).keys() == {"numpy"}
