"""Processes that stand for machines: each makes a run in a store, or takes it over, and brings it further.

What they train learns nothing, but each step's weights are computed from those before, which come out of the newest
checkpoint of the machine's folder: whoever goes on from anything else than was saved ends with other bits. Checkpoints,
snapshots, uploads, journal, lease and restoring are the trainer's own; TensorFlow, the command line and the stages of a
run take no part.

A machine is forked from a process that has imported the clients already (`Nursery`), so it costs no start of Python.
Its waits are shortened, never its attempts (`_hurry`); parts of uploads are small, so that small files have some.
"""

import contextlib
import dataclasses
import datetime
import hashlib
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path

RUN, STEPS = "run", 8
SMALL_BYTES, LARGE_BYTES, PART_BYTES = 2_000, 600_000, 262_144
DEADLINE_SECONDS = 30
ROOT = Path(__file__).parents[2]


@dataclasses.dataclass(frozen=True)
class Wish:
    """What a machine is to do.

    Attributes:
        uri: the store.
        folder: where it works.
        environment: variables that lead to the store.
        until: it is preempted after that step; at `STEPS` the run is finished.
        seed: of its pace.
        takes_over: does not ask whether the holder before lives.
        sweeps: removes old entries at once, not after a minute.
        clock_off_seconds: how wrong its clock is.
    """

    uri: str
    folder: str
    environment: dict[str, str]
    until: int
    seed: int = 0
    takes_over: bool = True
    sweeps: bool = False
    clock_off_seconds: int = 0


class Training:
    """What a machine trains, from where its folder stands."""

    def __init__(self, folder):
        from trainer.checkpoint import Checkpoints

        self.folder, self.checkpoints = folder, Checkpoints(folder / "checkpoints")
        self.step, self._weights, length = 0, bytes(SMALL_BYTES), 0
        if (found := self.checkpoints.latest(print)) is not None:
            self.step, self._weights = found.step, found.arrays["small"].tobytes()
            length = found.state["rows_bytes"]
        if self._rows.exists():
            os.truncate(self._rows, length)  # rows of steps that are lost are made again

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
        """One step with its checkpoint; returns the step."""
        import numpy as np

        from trainer.errors import SlipwayError
        from trainer.run import files

        digest = hashlib.sha256(self._weights + bytes([self.step])).digest()
        draw = np.random.default_rng(list(digest))
        arrays = {name: draw.integers(0, 256, size, np.uint8) for name, size in _SIZES.items()}
        row = json.dumps({"step": self.step + 1, "weights": digest.hex()})
        try:
            with self._rows.open("a") as file:
                file.write(row + "\n")
        except OSError as error:
            raise SlipwayError(f"cannot write {self._rows}: {error.strerror}") from error
        self.checkpoints.save(self.step + 1, arrays, {"rows_bytes": self._rows.stat().st_size})
        self.step, self._weights = self.step + 1, arrays["small"].tobytes()
        files.write_json(self.folder / "status.json", {"step": self.step})
        return self.step


_SIZES = {"small": SMALL_BYTES, "large": LARGE_BYTES}


def content(folder):
    """What a run is: the bytes of its files by their path, a machine's own marks left out."""
    from trainer.store.snapshot import walk

    return {path: found.read_bytes() for path, found in walk(folder)}


def undisturbed(folder):
    """The content of a run that nothing happens to, after each step from 0 on."""
    training = Training(folder).begin()
    states = [content(folder)]
    for _ in range(STEPS):
        training.train()
        states.append(content(folder))
    return states


def live(wish):
    """A machine's life: says `committed STEP NUMBER` of what is safe, and how it ended; returns the exit code."""
    from trainer.errors import SlipwayError
    from trainer.run.status import State
    from trainer.store.journal import Superseded

    try:
        mirror = _held(wish)
    except SlipwayError as error:
        return _say(f"not begun: {error}", error.exit_code)
    pace = random.Random(wish.seed)
    try:
        training = Training(Path(wish.folder))
        while training.step < wish.until:
            mirror.check()
            mirror.snapshot(training.train())
            mirror.wait(pace.choice((0, 0.1, 5)))
        mirror.close(State.FINISHED if training.step == STEPS else State.PREEMPTED, deadline_seconds=DEADLINE_SECONDS)
    except Superseded as error:
        mirror.abandon()
        return _say(f"superseded: {error}", error.exit_code)
    except SlipwayError as error:
        with contextlib.suppress(SlipwayError):
            mirror.close(State.FAILED, deadline_seconds=DEADLINE_SECONDS)
        return _say(f"failed: {error}", error.exit_code)
    return _say("done", 0)


def _held(wish):
    from trainer.store.journal import Journal
    from trainer.store.mirror import Mirror, Pace, Patience
    from trainer.store.objects.places import place
    from trainer.store.told import Told

    told = Told(say=_say, committed=lambda step, number: _say(f"committed {step} {number}"))
    pace = Pace(
        patience=Patience(dead_after_seconds=0.5, look_seconds=0.1),
        beat_seconds=0.1,
        first_pause_seconds=0.02,
        **({"kept_seconds": 0.0} if wish.sweeps else {}),
    )
    objects, folder = place(wish.uri), Path(wish.folder)
    objects.check(write=True)
    if Journal(objects, RUN).last() is None:
        shutil.rmtree(folder, ignore_errors=True)  # of an attempt that came to nothing
        Training(folder).begin()
        return Mirror.create(objects, RUN, folder, step=0, told=told, pace=pace)
    mirror = Mirror.take(objects, RUN, folder, take_over=wish.takes_over, told=told, pace=pace)
    try:
        mirror.restore(keep_newer=True)
    except BaseException:
        mirror.abandon()
        raise
    return mirror


def _say(words, code=0):
    print(" ".join(words.split()), flush=True)
    return int(code)


def _hurry():
    """Shorten what is waited for, and the parts in which files go up."""
    import boto3.s3.transfer
    import google.cloud.storage.blob
    from botocore.config import Config

    from trainer.store import uploader
    from trainer.store.objects import gcs, s3

    sleep = time.sleep
    time.sleep = lambda seconds: sleep(seconds / 50)
    uploader.LONGEST_PAUSE_SECONDS = uploader.LAST_PAUSE_SECONDS = 0.2
    s3._CONNECTION = s3._CONNECTION.merge(Config(connect_timeout=1.5, read_timeout=1.5))
    s3._PARTS = boto3.s3.transfer.TransferConfig(multipart_threshold=PART_BYTES, multipart_chunksize=PART_BYTES)
    gcs._LIMITS_SECONDS, gcs.PART_BYTES = (1.5, 1.5), PART_BYTES
    google.cloud.storage.blob._MAX_MULTIPART_SIZE = PART_BYTES


def _set_clock(off_seconds):
    """Of this machine, for all that asks for the time of day."""
    import botocore.auth

    import trainer.run.status

    class Wrong(datetime.datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.datetime.now(tz) + datetime.timedelta(seconds=off_seconds)

    clock, of_aws = time.time, botocore.auth.get_current_datetime
    time.time = lambda: clock() + off_seconds
    botocore.auth.get_current_datetime = lambda *args: of_aws(*args) + datetime.timedelta(seconds=off_seconds)
    trainer.run.status.datetime = Wrong


class Nursery:
    """The process that machines are forked from; use it as a context.

    Args:
        folder: for the pipes of machines.
    """

    def __init__(self, folder):
        self._folder, self._count = folder, 0
        folder.mkdir(exist_ok=True)
        environment = os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT}/tests/trainer", "OPENBLAS_NUM_THREADS": "1"}
        command = [sys.executable, "-m", "fault_machines"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, text=True, env=environment)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.stdin.close()
        assert self._process.wait(30) == 0

    def machine(self, wish):
        """A machine that has begun to live."""
        self._count += 1
        pipe = self._folder / f"machine-{self._count}"
        os.mkfifo(pipe)
        print(json.dumps([str(pipe), dataclasses.asdict(wish)]), file=self._process.stdin, flush=True)
        return Machine(pipe)


class Machine:
    """A process that lives.

    Args:
        pipe: what it says comes here.

    Attributes:
        code: its exit code once `lines` have ended; None if it was killed.
    """

    def __init__(self, pipe):
        self._pipe, self.code = pipe.open(), None
        pipe.unlink()
        self._pid = int(self._pipe.readline())

    def lines(self):
        """What it says, until it is dead; may be gone on with."""
        for line in self._pipe:
            word, _, code = line.rpartition(" ")
            if word == "exit code":
                self.code = int(code)
            else:
                yield line.rstrip("\n")

    def signal(self, number):
        """Send it a signal, if it still lives."""
        if not self._pipe.closed:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, number)

    @contextlib.contextmanager
    def limited(self):
        """It can write no large file for a while: what a full disk is where no disk of its own can be mounted."""
        before = self._limit_files(SMALL_BYTES)
        yield
        self._limit_files(before)

    def _limit_files(self, size):
        """Of how many bytes they may be; returns how many that was before."""
        if self.code is None:
            with contextlib.suppress(ProcessLookupError):
                _, most = resource.prlimit(self._pid, resource.RLIMIT_FSIZE)
                return resource.prlimit(self._pid, resource.RLIMIT_FSIZE, (size, most))[0]
        return size

    def close(self):
        """See that it is dead."""
        self.signal(signal.SIGKILL)
        if not self._pipe.closed:
            self._pipe.read()
            self._pipe.close()


def _nurse():
    """Fork a machine for each line that comes."""
    import boto3  # noqa: F401
    import numpy as np  # noqa: F401

    import trainer.checkpoint
    import trainer.store.mirror
    import trainer.store.objects.folder
    import trainer.store.objects.gcs
    import trainer.store.objects.s3  # noqa: F401

    _hurry()
    signal.signal(signal.SIGCHLD, _bury)
    for line in sys.stdin:
        if os.fork() == 0:
            pipe, wish = json.loads(line)
            os._exit(_born(Path(pipe), Wish(**wish)))


def _bury(*_):
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _born(pipe, wish):
    code = 1
    try:
        with pipe.open("w") as said:
            os.dup2(said.fileno(), 1)
            os.dup2(said.fileno(), 2)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        print(os.getpid(), flush=True)
        os.environ.update(wish.environment)
        if wish.clock_off_seconds:
            _set_clock(wish.clock_off_seconds)
        code = live(wish)
    except BaseException:
        traceback.print_exc()
    print(f"exit code {code}", flush=True)
    return code


if __name__ == "__main__":
    _nurse()
