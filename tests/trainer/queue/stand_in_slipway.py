"""Stands in for `slipway` where a worker of a queue is tested: what it does is the first word of the run's id.

It takes its run's lock as a training does, and writes down what happened to `STORE/events`.
"""

import fcntl
import os
import signal
import sys
import time
from pathlib import Path

CODES = {"ok": 0, "bad": 2, "budget": 3, "crash": 1}

if __name__ == "__main__":
    arguments = sys.argv[1:]
    options = dict(zip(arguments[2::2], arguments[3::2], strict=False))
    run_id, store = options["--run-id"], Path(options["--store"])

    def say(word):
        with (store / "events").open("a") as file:
            file.write(f"{run_id} {word}\n")

    def stop(*_):
        say("saved")
        os._exit(75)

    signal.signal(signal.SIGTERM, stop)
    with (store / f"{run_id}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("twice")
            os._exit(75)
        say("begun")
        word = run_id.split("-")[0]
        if word == "long":
            while not (store / f"{run_id}.enough").exists():
                time.sleep(0.02)
        elif word == "again":  # preempted seven times, then done
            if (store / "events").read_text().count(f"{run_id} begun") < 8:
                os._exit(75)
        elif word == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        else:
            time.sleep(0.05)
        code = CODES.get(word, 0)
        if code in (1, 2):
            print(f"slipway: {run_id} is wrong\n  fix:     mend it", file=sys.stderr)
        say("ended")
        sys.exit(code)
