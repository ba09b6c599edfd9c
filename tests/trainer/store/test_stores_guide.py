"""The commands of docs/stores.md, on the servers that stand in for the clouds."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import servers

ROOT = Path(__file__).parents[3]
sys.path.insert(0, str(ROOT / "tests"))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_each_command_works(tmp_path, monkeypatch):
    from test_docs import commands

    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    monkeypatch.setenv("SLIPWAY_WORK", str(tmp_path / "work"))
    with servers.s3() as s3, servers.gcs() as gcs:
        for name, value in (servers.s3_environment(s3, tmp_path) | servers.gcs_environment(gcs)).items():
            monkeypatch.setenv(name, value)
        for bucket in ("s3://bucket", "gs://bucket"):
            servers.make_bucket(bucket)
        shown = commands(ROOT / "docs/stores.md")
        assert len(shown) == 9
        for command, expected in shown:
            ran = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True)
            assert ran.returncode == expected, f"{command}\n{ran.stdout}\n{ran.stderr}"
