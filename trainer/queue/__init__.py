"""A site's run queue: entries in a folder that all its machines mount, and workers that train one each at a time."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trainer.config.models import RunFile
    from trainer.queue.states import Entry


def submit(
    folder: Path,
    run_file: "RunFile",
    run_id: str | None = None,
    *,
    seeds: int = 1,
    priority: int = 0,
    needs_gpu: bool = False,
    submitted_by: str = "",
) -> "Entry":
    """Put a run into a queue.

    Args:
        folder: the queue's.
        run_file: validated; its `store` does not count, the workers have one.
        run_id: the run's name in the store; None makes one. A run that is in the store already goes on.
        seeds: how many runs to train, on consecutive seeds; more than one makes a group.
        priority: entries of a higher one come first.
        needs_gpu: whether only slots with a GPU take it.
        submitted_by: who, for people.

    Raises:
        BadInput: if there is no queue, the run does not fit its environment, or the queue has that run already.
        SlipwayError: if the folder does not take it.
    """
    from trainer.config import check, load
    from trainer.queue.queue import Queue
    from trainer.queue.states import Submission
    from trainer.run import group, ids
    from trainer.run.status import now

    group.with_seeds(run_file, seeds)
    run_id = ids.check(run_id) if run_id is not None else ids.new(run_file)
    queue = Queue(folder)
    queue.check(write=True)
    check.check(run_file)
    return queue.submit(
        Submission(run_id, load.dump(run_file), seeds, priority, needs_gpu, submitted_by, submitted_at=now())
    )


def entries(folder: Path) -> "list[Entry]":
    """The entries of a queue: those that are not over in their order, then those that are, the newest first.

    Raises:
        BadInput: if there is no queue.
        SlipwayError: if the folder does not answer.
    """
    from trainer.queue.queue import Queue

    queue = Queue(folder)
    queue.check()
    return queue.entries() + queue.ended()
