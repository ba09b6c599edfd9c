"""A training as a child process, which outlives no worker: it saves and stops when its worker dies."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from trainer.queue import child
from trainer.queue.states import Submission

TAIL_BYTES = 4096
"""How much of what a training complained of is looked at for its reason."""
SLIPWAY = (sys.executable, "-m", "trainer")
"""The command that trains."""


class Training:
    """A training that runs.

    Args:
        command: what `slipway` is started by.
        submission: what to train.
        store: where runs are kept.
        folder: this worker's own, on this machine.
        environment: of the process.

    Raises:
        OSError: if it cannot be started.
    """

    def __init__(
        self, command: Sequence[str], submission: Submission, store: str, folder: Path, environment: Mapping[str, str]
    ) -> None:
        run_file = folder / "run.yaml"
        run_file.write_text(submission.run_file, encoding="utf-8")
        arguments = ["train", str(run_file), "--run-id", submission.run_id, "--seeds", str(submission.seeds)]
        arguments += ["--store", store, "--or-resume", "--quiet"]
        # A pipe would break with the worker, in the middle of the last checkpoint.
        self._complaints = folder / "complaints"
        with self._complaints.open("wb") as complaints:
            self._process = subprocess.Popen(  # noqa: S603
                [sys.executable, "-I", child.__file__, str(os.getpid()), *command, *arguments],
                stdin=subprocess.DEVNULL,
                stderr=complaints,
                env=dict(environment),
                start_new_session=True,  # Ctrl-C is for the worker, which forwards it
            )
        self._told = 0

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    def poll(self) -> int | None:
        """The exit code; of one that a signal ended, that signal's negative number; None while it runs."""
        self._forward()
        return self._process.poll()

    def stop(self) -> None:
        """Ask it to save and stop."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it as it is, with what it started, and wait for that."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def reason(self) -> str:
        """The last that it complained of; empty if it did not. Of an error in several lines, all of them."""
        with contextlib.suppress(OSError):
            said = self._complaints.read_bytes()[-TAIL_BYTES:].decode(errors="replace").strip()
            start = said.rfind("slipway: ")
            return said[start + len("slipway: ") :] if start >= 0 else said.rpartition("\n")[2]
        return ""

    def _forward(self) -> None:
        """Say what it complained of since."""
        with contextlib.suppress(OSError, ValueError), self._complaints.open("rb") as file:
            file.seek(self._told)
            data = file.read()
            self._told += len(data)
            if data:
                sys.stderr.buffer.write(data)
                sys.stderr.buffer.flush()
