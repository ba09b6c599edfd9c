"""Processes that have TensorFlow alone, and begin where it is imported already.

Each run that ends has a fresh process answer by its exported model (`trainer.deploy.parity`), and nearly all that this
process does is to import TensorFlow: three seconds of processor time, a third of what a run costs that is there to be
killed and resumed. So, as with `warm_processes`, one process imports it and is forked for each. What was forked has
nothing of ours, which the script itself asserts. Tests of the export itself, and runs that begin from nothing, have
the real one.
"""

import atexit
import contextlib
import json
import os
import select
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

VARIABLE = "SLIPWAY_TESTS_BARE"
"""Where the process that forks listens."""
LARGEST_BYTES = 1 << 17
LOOK_SECONDS = 5.0
"""How often the process that forks looks whether it is still needed."""
TAKES_PART = "jemalloc_bg_thd"
_NUMBER = struct.Struct("i")
_started = []


def start():
    """Start the process that forks, unless it runs; those that are started from here on find it."""
    if _started and _started[-1][0].poll() is None:
        return
    folder = tempfile.mkdtemp(prefix="slipway-bare-")
    path = f"{folder}/socket"
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listening.bind(path)
    listening.listen(64)
    own = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "", "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-I", __file__, str(listening.fileno()), str(os.getpid())]
    with Path(folder, "said").open("wb") as said:  # TensorFlow talks while it is imported, past every log level
        process = subprocess.Popen(
            command,
            pass_fds=[listening.fileno()],
            env=os.environ | own,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
        )
    _started.append((process, folder))
    listening.close()
    os.environ[VARIABLE] = path


@atexit.register
def _end():
    for process, folder in _started:
        process.kill()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


class Subprocess:
    """What `trainer.deploy.parity` uses of `subprocess`, with the process forked."""

    TimeoutExpired = subprocess.TimeoutExpired

    @staticmethod
    def run(command, *, cwd, env, timeout, **_):
        """As `subprocess.run` of this Python with `-I -c SCRIPT`; what it prints on standard error is kept."""
        (interpreter, isolated, says, script), arguments = command[:4], command[4:]
        assert (interpreter, isolated, says) == (sys.executable, "-I", "-c")
        message = json.dumps([script, arguments, str(cwd), env]).encode()
        assert len(message) < LARGEST_BYTES
        if VARIABLE not in os.environ:
            start()
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as asking, tempfile.TemporaryFile() as said:
            asking.connect(os.environ[VARIABLE])
            socket.send_fds(asking, [message], [said.fileno()])
            if not select.select([asking], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(command, timeout)
            answer = asking.recv(_NUMBER.size)
            assert answer, Path(os.environ[VARIABLE]).with_name("said").read_text()
            (code,) = _NUMBER.unpack(answer)
            said.seek(0)
            return subprocess.CompletedProcess(command, code, "", said.read().decode(errors="replace"))


def patch():
    """Let exported models answer from forked processes, here and in what is forked from here."""
    from trainer.deploy import parity

    parity.subprocess = Subprocess


def unpatch():
    """Let them answer from fresh ones."""
    from trainer.deploy import parity

    parity.subprocess = subprocess


def _answer(asked):
    """Run the script that somebody asks for; its exit code goes back."""
    message, (said,), _, _ = socket.recv_fds(asked, LARGEST_BYTES, 1)
    pid = os.fork()
    if pid:
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        with contextlib.suppress(OSError):  # nobody asks any more
            asked.send(_NUMBER.pack(code))
        return
    script, arguments, cwd, env = json.loads(message)
    os.dup2(said, 1)
    os.dup2(said, 2)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    sys.argv[:] = ["-c", *arguments]
    exec(compile(script, "<string>", "exec"), {"__name__": "__main__"})


def _serve(listening, parent):
    """Fork for each that asks, while the parent lives; it forks again, so that nobody waits for another's script."""
    import gc
    import signal

    gc.disable()
    import tensorflow  # noqa: F401

    others = [task for task in Path("/proc/self/task").iterdir() if int(task.name) != os.getpid()]
    names = {(task / "comm").read_text().strip() for task in others}
    assert names <= {TAKES_PART}, f"to fork beside these threads may hang: {names}"
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    listening.settimeout(LOOK_SECONDS)
    while os.getppid() == parent:  # it may have been killed
        try:
            asked, _ = listening.accept()
        except TimeoutError:
            continue
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            listening.close()
            _answer(asked)
            return
        asked.close()


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2]))
