"""Stores to measure: stand-in servers on processors of their own, so that their time is not taken for the product's."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from benchmarks import stand_ins


def divide() -> tuple[set[int], set[int]]:
    """The processors for what is measured, and those for the servers: the same if there is but one."""
    mine = os.sched_getaffinity(0)
    others = set(range(os.cpu_count() or 1)) - mine
    if not others and len(mine) > 1:
        return {min(mine)}, mine - {min(mine)}
    return mine, others or mine


@contextlib.contextmanager
def standing(folder: Path, cpus: set[int]) -> Iterator[dict[str, str]]:
    """All stores, empty; gives their addresses by their names. The environment leads to them meanwhile.

    Args:
        folder: for what lies on this machine's disk.
        cpus: the processors that the servers are pinned to.
    """
    before = dict(os.environ)
    with contextlib.ExitStack() as stack:
        stack.callback(os.environ.update, before)
        stack.callback(os.environ.clear)
        address = stack.enter_context(stand_ins.s3_apart(cpus))
        os.environ |= stand_ins.s3_environment(address, folder)
        os.environ |= stand_ins.gcs_environment(stack.enter_context(stand_ins.gcs(cpus)))
        os.environ["SLIPWAY_WORK"] = str(folder / "work")
        places = {"local": folder / "local", "nas": folder / "nas"}
        for path in places.values():
            path.mkdir(parents=True)
        buckets = {"s3": "s3://bench", "gs": "gs://bench"}
        for bucket in buckets.values():
            stand_ins.make_bucket(bucket)
        yield {"local": str(places["local"]), "nas": f"nas://{places['nas']}"} | {
            name: f"{bucket}/runs" for name, bucket in buckets.items()
        }
