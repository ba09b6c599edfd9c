"""Files that are whole or not there."""

import json
import random
import subprocess
import sys
import time

import pytest

from trainer.errors import SlipwayError
from trainer.run import files

ENDLESS = """
import sys
from pathlib import Path
from trainer.run import files
path, number = Path(sys.argv[1]), 0
while True:
    files.write_json(path, {"number": number, "same": [number] * 20_000})
    number += 1
"""

LIMITED = """
import resource, signal, sys
from pathlib import Path
from trainer.errors import SlipwayError
from trainer.run import files
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    files.write_json(Path(sys.argv[1]), {"long": "x" * 5000})
except SlipwayError as error:
    print(error)
    sys.exit(9)
"""


def test_what_is_written_is_read(tmp_path):
    path = tmp_path / "a.json"
    files.write_json(path, {"b": 1, "a": None})
    files.write_json(path, {"b": 2, "a": [1.5]})
    assert files.read_json(path) == {"b": 2, "a": [1.5]}
    assert list(files.read_json(path)) == ["b", "a"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.json"]
    assert path.stat().st_mode & 0o777 == 0o644


def test_a_kill_at_any_moment_leaves_a_whole_file(tmp_path):
    path = tmp_path / "status.json"
    files.write_json(path, {"number": -1, "same": []})
    chance = random.Random(5)
    seen = set()
    for _ in range(8):
        before = path.read_bytes()
        process = subprocess.Popen([sys.executable, "-c", ENDLESS, str(path)])
        while path.read_bytes() == before:
            time.sleep(0.005)
        time.sleep(chance.uniform(0, 0.05))
        process.kill()
        process.wait()
        value = files.read_json(path)
        assert set(value["same"]) <= {value["number"]}
        seen.add(value["number"])
    assert len(seen) > 1


def test_a_full_disk_leaves_the_file_as_it_was(tmp_path):
    path = tmp_path / "status.json"
    files.write_json(path, {"number": 1})
    result = subprocess.run([sys.executable, "-c", LIMITED, str(path)], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (9, "")
    assert f"cannot write {path}" in result.stdout
    assert files.read_json(path) == {"number": 1}
    assert [entry.name for entry in tmp_path.iterdir()] == ["status.json"]


def test_no_space_left_is_told(tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    path = tmp_path / "status.json"
    files.write_json(path, {"number": 1})
    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(SlipwayError, match="No space left"):
        files.write_json(path, {"number": 2})
    assert json.loads(path.read_text()) == {"number": 1}
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("content", [None, b"", b"[1]", b"{", b"\xff"])
def test_what_is_no_json_object(tmp_path, content):
    path = tmp_path / "a.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SlipwayError, match=r"a\.json"):
        files.read_json(path)


def test_numbers_that_json_has_not_are_refused(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.write_json(tmp_path / "a.json", {"x": float("nan")})
    assert list(tmp_path.iterdir()) == []
