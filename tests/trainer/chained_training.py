"""A process that stands for a machine: it makes, or takes over, a run in a store and brings it further.

Its training learns nothing, but each step's weights are computed from those before, which come out of the newest
checkpoint of the run's folder: whoever goes on from another state than was saved ends with other weights. Checkpoints,
journal, mirror, uploads are the trainer's own.

On standard output it says `committed STEP NUMBER` when it is told so, and how it ended.
"""

import contextlib
import dataclasses
import datetime
import hashlib
import json
import random
import shutil
import sys
import time
from pathlib import Path

import numpy as np

from trainer.run import status as statuses

RUN, STEPS = "run", 8
SMALL, LARGE = 2_000, 300_000
"""Bytes of a checkpoint's two arrays."""


@dataclasses.dataclass(frozen=True)
class Wish:
    """What a machine is to do.

    Attributes:
        uri: the store.
        folder: where it works.
        seed: of its pace.
        make: make the run; else take it over.
        until: stop as preempted after that step; at `STEPS` the run is finished.
        clock_off_seconds: how wrong its clock is.
    """

    uri: str
    folder: str
    seed: int
    make: bool
    until: int
    clock_off_seconds: float = 0.0


class ChainedTraining:
    """The training, from where its folder stands."""

    def __init__(self, folder):
        from trainer.checkpoint import Checkpoints

        self.folder, self.checkpoints = folder, Checkpoints(folder / "checkpoints")
        steps = self.checkpoints.steps()
        self.step = steps[-1] if steps else 0
        self.weights = self.checkpoints.load(self.step).arrays["small"].tobytes() if steps else bytes(SMALL)
        rows = self._rows.read_bytes().splitlines(keepends=True)[: self.step] if steps else []
        if folder.is_dir():
            self._rows.write_bytes(b"".join(rows))  # those of steps that are lost are done again

    @property
    def _rows(self):
        return self.folder / "metrics.jsonl"

    def begin(self):
        from trainer.run import files

        self.folder.mkdir(parents=True)
        files.write(self.folder / "run.yaml", b"agent: {}\n")
        self._rows.write_bytes(b"")
        return self

    def train(self):
        """One step and its checkpoint; returns the step."""
        from trainer.run import files

        self.step += 1
        digest = hashlib.sha256(self.weights + self.step.to_bytes(8, "big")).digest()
        self.weights = np.random.default_rng(list(digest)).bytes(SMALL)
        large = np.frombuffer(np.random.default_rng(list(digest)).bytes(LARGE), dtype=np.uint8)
        with self._rows.open("a") as file:
            file.write(json.dumps({"step": self.step, "weights": hashlib.sha256(self.weights).hexdigest()}) + "\n")
        arrays = {"small": np.frombuffer(self.weights, dtype=np.uint8), "large": large}
        self.checkpoints.save(self.step, arrays, {"step": self.step})
        files.write_json(self.folder / "status.json", {"step": self.step})
        return self.step


def undisturbed(folder):
    """The run of a machine that nothing happens to."""
    training = ChainedTraining(folder).begin()
    while training.step < STEPS:
        training.train()
    return folder


def content(folder):
    """What a run came to: the bytes of its checkpoints, rows and status."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in (".lock", ".holder")
    }


def main(wish):
    """Do it."""
    _hurry(wish)
    from trainer.errors import SlipwayError
    from trainer.run.status import State
    from trainer.store.journal import Superseded

    try:
        training, mirror = _held(wish)
    except SlipwayError as error:
        return _end(f"not begun: {error}", error.exit_code)
    pace = random.Random(wish.seed)
    try:
        while training.step < wish.until:
            mirror.check()
            mirror.snapshot(training.train())
            mirror.wait(pace.uniform(0, 0.3))
        mirror.close(State.FINISHED if training.step == STEPS else State.PREEMPTED, deadline_seconds=90)
    except Superseded as error:
        mirror.abandon()
        return _end(f"superseded: {error}", error.exit_code)
    except SlipwayError as error:
        with contextlib.suppress(SlipwayError):
            mirror.close(State.FAILED, deadline_seconds=90)
        return _end(f"failed: {error}", error.exit_code)
    return _end("done", 0)


def _held(wish):
    from trainer.store.mirror import Mirror, Pace, Patience
    from trainer.store.objects.places import place
    from trainer.store.told import Told

    told = Told(committed=lambda step, number: print("committed", step, number, flush=True))
    pace = Pace(Patience(dead_after_seconds=2.0, look_seconds=0.2), beat_seconds=0.3, first_pause_seconds=0.02)
    folder, objects = Path(wish.folder), place(wish.uri)
    objects.check(write=True)
    if wish.make:
        shutil.rmtree(folder, ignore_errors=True)  # of an attempt that came to nothing
        training = ChainedTraining(folder).begin()
        return training, Mirror.create(objects, RUN, folder, step=0, told=told, pace=pace)
    mirror = Mirror.take(objects, RUN, folder, take_over=True, told=told, pace=pace)
    try:
        mirror.restore(keep_newer=True)
    except BaseException:
        mirror.abandon()
        raise
    return ChainedTraining(folder), mirror


def _hurry(wish):
    """Let nobody wait as long as he would, and set this machine's clock."""
    from trainer.store import uploader

    uploader.LONGEST_PAUSE_SECONDS = 0.2
    sleep = time.sleep
    time.sleep = lambda seconds: sleep(seconds / 20)
    if wish.clock_off_seconds:
        off, clock = datetime.timedelta(seconds=wish.clock_off_seconds), time.time
        time.time = lambda: clock() + wish.clock_off_seconds
        import botocore.auth

        right = botocore.auth.get_current_datetime
        botocore.auth.get_current_datetime = lambda *arguments: right(*arguments) + off
        assert statuses.now  # what entries say of their time is for people alone, and has a test of its own


def _end(words, code):
    print(words, flush=True)
    return int(code)


if __name__ == "__main__":
    sys.exit(main(Wish(**json.loads(sys.argv[1]))))
