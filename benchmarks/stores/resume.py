"""How long a machine that has nothing takes to go on with a run: from the command to its first new iteration.

A run is trained in a folder until a signal stops it, and pushed to each store. Each resume is a new process with an
empty work folder and no compiled graphs. It is watched from outside: the work folder appears when the run is taken, the
holder's mark when all is fetched, and a new row of `metrics.jsonl` after the first iteration.
"""

import argparse
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.stores import RESUMED, overhead
from benchmarks.stores.program import report
from trainer.config import load
from trainer.config.models import RunFile
from trainer.store import resolve
from trainer.store.mirror import MARK

RUN_ID = "stopped"
WAIT_SECONDS = 300.0
_GLANCE_SECONDS = 0.002


def measure(places: dict[str, str], settings: RunFile, folder: Path) -> dict[str, dict[str, float]]:
    """Each store's figures; of the local folder the whole time alone, as there is nothing to take or to fetch.

    Args:
        places: addresses by the store's name.
        settings: the run.
        folder: an empty one, for work.
    """
    stopped = _stopped(settings, folder)
    found = {}
    for name, address in places.items():
        store = resolve(address)
        if store.is_shared:
            store.push(RUN_ID, stopped)
        else:
            shutil.copytree(stopped, store.folder(RUN_ID))
        found[name] = _resume(f"{address}/{RUN_ID}", store.folder(RUN_ID), folder / "cold" / name, stopped)
    return found


def _stopped(settings: RunFile, folder: Path) -> Path:
    """The directory of a run that was preempted after the replay was full."""
    path, run = folder / "run.yaml", folder / "here" / RUN_ID
    path.write_text(load.dump(settings), encoding="utf-8")
    full = -(-getattr(settings.agent, "replay_size", 0) // settings.agent.batch_size)
    command = ["train", str(path), "--store", str(run.parent), "--run-id", RUN_ID, "--quiet"]
    with _slipway(command, {}) as process:
        _until(lambda: _rows(run) > full, process)
        process.send_signal(signal.SIGTERM)
        if process.wait(WAIT_SECONDS) != 75:
            raise RuntimeError("the run to be resumed was not preempted")
    return run


def _resume(address: str, folder: Path, work: Path, stopped: Path) -> dict[str, float]:
    """Seconds until it was done, of one resume."""
    is_shared = "://" in address
    run = work / folder.relative_to(os.environ["SLIPWAY_WORK"]) if is_shared else folder
    before, began, seconds = _rows(stopped), time.perf_counter(), {}
    with _slipway(["resume", address, "--quiet"], {"SLIPWAY_WORK": str(work), "SLIPWAY_XLA_CACHE": "off"}) as process:
        if is_shared:
            _until(work.exists, process)
            seconds["taken"] = time.perf_counter() - began
            _until((run / MARK).exists, process)
            seconds["fetched"] = time.perf_counter() - began
        _until(lambda: _rows(run) > before, process)
        seconds["iterated"] = time.perf_counter() - began
        process.kill()
    return seconds


def _rows(run: Path) -> int:
    try:
        return (run / "metrics.jsonl").read_bytes().count(b"\n")
    except OSError:
        return 0


def _until(holds: Callable[[], bool], process: "subprocess.Popen[bytes]") -> None:
    end = time.monotonic() + WAIT_SECONDS
    while not holds():
        if process.poll() is not None or time.monotonic() > end:
            raise RuntimeError(f"{process.args!r} ended, or did not get on: {process.returncode}")
        time.sleep(_GLANCE_SECONDS)


@contextlib.contextmanager
def _slipway(arguments: list[str], environment: dict[str, str]) -> "Iterator[subprocess.Popen[bytes]]":
    process = subprocess.Popen([sys.executable, "-m", "trainer", *arguments], env={**os.environ, **environment})
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("mode", choices=["store-resume"])
    parser.add_argument("setting", choices=[RESUMED])
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    settings = overhead.run_file(arguments.setting).model_copy(update={"seed": arguments.seed})

    def measured(places: dict[str, str]) -> dict[str, dict[str, float]]:
        with tempfile.TemporaryDirectory() as folder:
            return measure(places, settings, Path(folder))

    report(measured)


if __name__ == "__main__":
    main()
