"""How long it takes from the start of a save until the store has confirmed it."""

import argparse
import threading
import time

import numpy as np

from benchmarks.stores.program import report
from trainer.checkpoint import Checkpoints
from trainer.config import presets
from trainer.config.models import RunFile
from trainer.run.directory import RunDirectory
from trainer.run.status import State
from trainer.store import resolve
from trainer.store.told import Told

TIMES = {200_000: 8, 10_000_000: 5, 100_000_000: 3}
"""Sizes of checkpoints in bytes, and how many of each are saved."""
WAIT_SECONDS = 300.0


def measure(places: dict[str, str], times: dict[int, int], seed: int) -> dict[str, dict[str, list[float]]]:
    """Seconds of each commit, by store and by size; of the local folder, until the checkpoint is on the disk."""
    return {
        name: {str(size): _seconds(address, f"run-{size}", size, count, seed) for size, count in times.items()}
        for name, address in places.items()
    }


def _seconds(address: str, run_id: str, size: int, count: int, seed: int) -> list[float]:
    store, chance = resolve(address), np.random.default_rng(seed)
    directory = RunDirectory.create(store, run_id, RunFile.model_validate(presets.data("cartpole-ppo")))
    directory.move(State.RUNNING)
    committed = {step: threading.Event() for step in range(1, count + 1)}

    def confirmed(step: int | None, number: int) -> None:
        del number
        if step in committed:
            committed[step].set()

    hold = store.begin(run_id, Told(committed=confirmed))
    checkpoints, found = Checkpoints(directory.checkpoints), []
    try:
        for step, confirmation in committed.items():
            arrays = {"rows": chance.integers(0, 256, size, np.uint8)}  # new bytes: nothing of it is there already
            began = time.perf_counter()
            checkpoints.save(step, arrays, {})
            hold.snapshot(step)
            if store.is_shared and not confirmation.wait(WAIT_SECONDS):
                hold.check()
                raise RuntimeError(f"{address} did not take a checkpoint in {WAIT_SECONDS} s")
            found.append(time.perf_counter() - began)
    finally:
        hold.abandon()
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("mode", choices=["store-commit"])
    parser.add_argument("setting")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    report(lambda places: measure(places, TIMES, arguments.seed))


if __name__ == "__main__":
    main()
