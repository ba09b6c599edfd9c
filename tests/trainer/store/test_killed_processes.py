"""Real processes that are killed while they commit to a shared folder, each going on where the one before came to."""

import json
import os
import random
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from stand_in_training import QUICK, StandIn, content

from trainer.run.status import State
from trainer.store import shared
from trainer.store.mirror import Mirror
from trainer.store.objects.places import place
from trainer.store.verify import verify

CHILD = """
import sys
from pathlib import Path
from stand_in_training import QUICK, StandIn
from trainer.store.mirror import Mirror
from trainer.store.objects.places import place
from trainer.store.told import Told

uri, folder = sys.argv[1], Path(sys.argv[2])
told = Told(committed=lambda step, number: print(step, flush=True))
mirror = Mirror.take(place(uri), "run", folder, take_over=True, pace=QUICK, told=told)
mirror.restore()
training = StandIn(folder, "child")
while True:
    mirror.check()
    mirror.snapshot(training.train())
    mirror.wait(0.05)
"""


def killed_while_it_commits(uri, folder, seconds):
    """A process that is killed some time after its first commit; the last step that it reported."""
    command, helpers = [sys.executable, "-c", CHILD, uri, str(folder)], str(Path(__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (helpers, os.environ.get("PYTHONPATH"))))}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    reported = [process.stdout.readline()]
    timer = threading.Timer(seconds, process.kill)
    timer.start()
    reported += process.stdout.readlines()
    process.wait()
    timer.join()
    process.stdout.close()
    return int([line for line in reported if line.endswith("\n")][-1])


@pytest.mark.slow
def test_nothing_that_was_reported_is_lost(tmp_path):
    (tmp_path / "shared").mkdir()
    uri = f"nas://{tmp_path}/shared"
    training = StandIn(tmp_path / "first").begin()
    mirror = Mirror.create(place(uri), "run", tmp_path / "first", pace=QUICK)
    mirror.snapshot(training.train())
    mirror.close(State.PREEMPTED)
    draw, last = random.Random(4), 1
    for number in range(6):
        reported = killed_while_it_commits(uri, tmp_path / f"child-{number % 2}", draw.uniform(0, 0.5))
        assert reported > last
        found = tmp_path / f"found-{number}"
        shared.pull(place(uri), "run", found)
        files = content(found)
        last = json.loads(files["status.json"])["step"]
        assert last >= reported
        for growing in ("metrics.jsonl", "events/events.1"):
            assert [json.loads(row)["step"] for row in files[growing].splitlines()] == [*range(1, last + 1)]
        kept = [f"{step:04d}" for step in range(max(1, last - 2), last + 1)]
        assert sorted(path.name for path in (found / "checkpoints").iterdir()) == kept
        assert verify(place(uri), "run").whole
