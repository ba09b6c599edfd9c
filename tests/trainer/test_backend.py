"""What `trainer.backend.prepare` leaves behind in a process."""

import subprocess
import sys

PROGRAM = """
import gc
from trainer import backend

with backend._uncollected():
    assert not gc.isenabled()
    made = [[] for _ in range(1000)]
assert gc.isenabled()
assert gc.get_threshold()[0] == backend.COLLECT_AFTER
assert gc.get_freeze_count() > len(made)
"""


def test_garbage_is_looked_for_seldom_and_not_among_what_was_there_before():
    subprocess.run([sys.executable, "-c", PROGRAM], check=True)
