"""What checkpoints in a store cost a training, by the training's own wall time.

Blocks of the same number of iterations take turns: one with a checkpoint only at its end, and one with another in its
middle, whose upload goes on during its second half. The difference of two such neighbours is what one checkpoint adds:
the pause, and all that the uploader's thread takes from the training, which has one processor with it. After each block
the upload of its last checkpoint is waited for, with the clock stopped.
"""

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

from benchmarks.stores import AGENTS
from benchmarks.stores.program import report
from trainer import backend
from trainer.checkpoint import MANIFEST, Checkpoints
from trainer.config import presets
from trainer.config.models import RunFile
from trainer.run.directory import RunDirectory
from trainer.run.status import State
from trainer.store import resolve
from trainer.store.mirror import Mirror
from trainer.store.told import Told

SECONDS = 0.4
"""Of a half block, if that is more than the iterations that write every row of the replay anew."""
PAIRS = 4
WAIT_SECONDS = 120.0


def run_file(agent: str, changes: dict[str, Any] | None = None) -> RunFile:
    """A run of an agent, far from its end."""
    data = presets.data(agent)
    data["agent"] = data["agent"] | AGENTS[agent] | (changes or {})
    data["budget"] = {"env_steps": 10**9}
    return RunFile.model_validate(data)


class Timed(Checkpoints):
    """Checkpoints that note how long each took to be on the disk.

    Attributes:
        began: when the save of a step began.
        took: the seconds of each save.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.began: dict[int, float] = {}
        self.took: list[float] = []

    def save(self, step: int, *saved: Any) -> Path:
        self.began[step] = time.perf_counter()
        path = super().save(step, *saved)
        self.took.append(time.perf_counter() - self.began[step])
        return path

    def bytes(self) -> int:
        """Length of the newest checkpoint, the replay's rows included."""
        folder = self.folder / f"{self.steps()[-1]:012d}"
        rows = json.loads((folder / MANIFEST).read_bytes()).get("replay", {"segments": []})["segments"]
        return sum(path.stat().st_size for path in folder.iterdir()) + sum(each["bytes"] for each in rows)


class Held:
    """A run in one store, trained block by block; the training itself is shared with the other stores'.

    Args:
        address: the store's.
        settings: the run file.
        training: what is iterated.
        goal: how the task reads its rewards.
    """

    def __init__(self, address: str, settings: RunFile, training: Any, goal: Any) -> None:
        from trainer.metrics.sinks.fanout import open_sinks

        store = resolve(address)
        self._settings, self._training, self._goal = settings, training, goal
        self._directory = RunDirectory.create(store, "held", settings)
        self._directory.move(State.RUNNING)
        self._hold = store.begin("held", Told(committed=self._committed))
        self._is_shared = store.is_shared
        self._sinks = open_sinks(self._directory.folder, print)
        self.checkpoints = Timed(self._directory.checkpoints)
        self.snapshot_seconds: list[float] = []
        self.commit_seconds: list[float] = []
        self.late = 0

    def _committed(self, step: int | None, number: int) -> None:
        del number
        if step in self.checkpoints.began:
            self.commit_seconds.append(time.perf_counter() - self.checkpoints.began[step])

    def train(self, counters: Any, iterations: int, *, middle: bool) -> tuple[float, float]:
        """One block; seconds and seconds of processor time that it took.

        Args:
            counters: how far the training is; grows.
            iterations: how many, half of which `counters.iteration` is a multiple of.
            middle: whether there is a checkpoint in the middle, too.
        """
        from trainer.loop import Loop
        from trainer.preemption import Preemption
        from trainer.progress import NullProgress

        settings = self._settings
        end = {"env_steps": (counters.iteration + iterations) * settings.agent.batch_size}
        due = {"interval_seconds": None, "interval_iterations": iterations // 2 if middle else None}
        settings = settings.model_copy(
            update={
                "budget": settings.budget.model_copy(update=end),
                "checkpoint": settings.checkpoint.model_copy(update=due),
            }
        )
        parts = self._training, self._goal, self._sinks, self.checkpoints, NullProgress()
        loop = Loop(settings, *parts, evaluate=dict, saved=self._saved, counters=counters, enough=self._look)
        commits, saves = len(self.commit_seconds), len(self.checkpoints.took)
        with Preemption() as preemption:
            began, used = time.perf_counter(), time.process_time()
            loop.run(preemption)
            seconds, processor_seconds = time.perf_counter() - began, time.process_time() - used
        if len(self.checkpoints.took) - saves != 1 + middle:
            raise RuntimeError("the block has another number of checkpoints than it should")
        if self._is_shared and middle and len(self.commit_seconds) == commits:
            self.late += 1
        self._settle()
        return seconds, processor_seconds

    def _saved(self, counters: Any) -> None:
        began = time.perf_counter()
        step, spent = counters.env_steps, counters.wall_time_seconds
        self._directory.move(
            State.RUNNING,
            env_steps=step,
            iteration=counters.iteration,
            wall_time_seconds=spent,
            last_checkpoint_step=step,
        )
        self._hold.snapshot(step)
        self.snapshot_seconds.append(time.perf_counter() - began)

    def _look(self) -> str:
        self._hold.check()
        return ""

    def _settle(self) -> None:
        """Wait until all is in the store."""
        if isinstance(self._hold, Mirror) and not self._hold.wait(WAIT_SECONDS):
            raise RuntimeError(f"the store did not take a checkpoint in {WAIT_SECONDS} s")
        self._hold.check()

    def close(self) -> None:
        self._sinks.close()
        self._hold.abandon()


def half_block(settings: RunFile, held: Held, counters: Any, seconds: float) -> int:
    """Iterations that last so long, and write every row of the replay anew."""
    held.train(counters, 2, middle=False)  # compiles
    size, spent, count = settings.agent.batch_size, 0.0, 2
    while spent < min(seconds, 0.2):
        count *= 2
        spent, _ = held.train(counters, count, middle=False)
    replay = getattr(settings.agent, "replay_size", 0)
    return max(1, round(seconds * count / spent), -(-replay // size))


def measure(places: dict[str, str], settings: RunFile, seconds: float, pairs: int) -> dict[str, Any]:
    """Each store's figures.

    Args:
        places: addresses by the store's name.
        settings: the run that is trained.
        seconds: of a half block, at least.
        pairs: of neighbouring blocks, for each store.
    """
    from trainer.loop import Counters
    from trainer.target import Target

    target = Target.of(settings)
    training, goal = target.training(settings), target.goal()
    stores = {name: Held(address, settings, training, goal) for name, address in places.items()}
    found: dict[str, dict[str, list[float]]] = {
        name: {"added_seconds": [], "added_processor_seconds": [], "plain_seconds": []} for name in stores
    }
    try:
        half = half_block(settings, next(iter(stores.values())), Counters(), seconds)
        counters = Counters()
        for held in stores.values():  # the first commit is that of a whole run
            held.train(counters, 2 * half, middle=False)
        for number in range(pairs):
            for name in list(stores)[:: 1 if number % 2 == 0 else -1]:
                order = (False, True) if number % 2 == 0 else (True, False)
                spent = {middle: stores[name].train(counters, 2 * half, middle=middle) for middle in order}
                found[name]["added_seconds"].append(spent[True][0] - spent[False][0])
                found[name]["added_processor_seconds"].append(spent[True][1] - spent[False][1])
                found[name]["plain_seconds"].append(spent[False][0])
    finally:
        for held in stores.values():
            held.close()
        training.close()
    return {name: found[name] | _others(held) for name, held in stores.items()}


def _others(held: Held) -> dict[str, Any]:
    return {
        "checkpoint_bytes": held.checkpoints.bytes(),
        "save_seconds": statistics.median(held.checkpoints.took),
        "snapshot_seconds": statistics.median(held.snapshot_seconds),
        "commit_seconds": held.commit_seconds,
        "late": held.late,
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("mode", choices=["store-overhead"])
    parser.add_argument("setting", choices=AGENTS)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--pairs", type=int, default=PAIRS)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    settings = run_file(arguments.setting).model_copy(update={"seed": arguments.seed})
    report(
        lambda places: measure(places, settings, arguments.seconds, arguments.pairs),
        prepare=backend.prepare,
    )


if __name__ == "__main__":
    main()
