"""What `trainer.backend.prepare` leaves behind in a process; `conftest` has called it in this one."""

import gc

from trainer import backend


def test_garbage_is_looked_for_seldom_and_not_among_modules():
    assert gc.isenabled()
    assert gc.get_threshold()[0] == backend.COLLECT_AFTER
    assert gc.get_freeze_count() > 100_000  # objects of TensorFlow's modules alone are several times as many
