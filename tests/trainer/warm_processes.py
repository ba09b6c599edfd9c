"""Processes of `slipway` that begin where Python, TensorFlow and the trainer are imported already.

To import them takes four seconds of processor time, a fifth of what a small training takes in all. So one process
imports them, runs nothing of them, and is forked for each command. What was forked is a process of its own, which
signals stop and kill. It shows what one shows that began from nothing, but for the imports, and for the order of sets,
which all have from the process that was forked: what they are compared with should begin from nothing.

To fork is safe as long as no other thread may hold a lock. The process makes sure that there is none but jemalloc's (of
pyarrow), which takes part in forks by pthread_atfork(3). OpenBLAS would have one, too, and is told to have none.
"""

import atexit
import contextlib
import faulthandler
import gc
import json
import os
import runpy
import select
import selectors
import signal
import socket
import struct
import subprocess
import sys
import threading
from pathlib import Path

import bare_processes

ROOT = Path(__file__).parents[2]
TAKES_PART = "jemalloc_bg_thd"
LARGEST_BYTES = 1 << 17
"""Of a command with its environment."""
_NUMBER = struct.Struct("i")


class WarmProcess:
    """A command of `slipway` that runs: what tests use of `subprocess.Popen`, with both outputs in one pipe.

    Args:
        arguments: of the command.
        cwd: where it runs.
        env: its environment.
    """

    def __init__(self, arguments, cwd, env):
        self.args, self.returncode = ["slipway", *arguments], None
        bare_processes.start()
        env = {**env, bare_processes.VARIABLE: os.environ[bare_processes.VARIABLE]}
        command = json.dumps([arguments, str(cwd), env]).encode()
        assert len(command) < LARGEST_BYTES
        server = _server()
        output, said = os.pipe()
        self._ends, ended = os.pipe()
        socket.send_fds(server, [command], [said, ended])
        for descriptor in (said, ended):
            os.close(descriptor)
        self.pid = self._told(None)
        self.stdout = os.fdopen(output, encoding="utf-8")

    def _told(self, timeout):
        """What the process that forks says next of this one: its id, then its exit code."""
        if not select.select([self._ends], [], [], timeout)[0]:
            raise subprocess.TimeoutExpired(self.args, timeout)
        said = os.read(self._ends, _NUMBER.size)
        assert said, "the process that forks is gone"
        return _NUMBER.unpack(said)[0]

    def wait(self, timeout=None):
        """The exit code; of one that a signal ended, that signal's negative number."""
        if self.returncode is None:
            self.returncode = self._told(timeout)
            os.close(self._ends)
        return self.returncode

    def poll(self):
        """The exit code, or None while it runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def communicate(self, timeout=None):
        """The rest of its output, once it has ended, and None."""
        rest = []
        reader = threading.Thread(target=lambda: rest.append(self.stdout.read()), daemon=True)
        reader.start()
        reader.join(timeout)
        if reader.is_alive():
            raise subprocess.TimeoutExpired(self.args, timeout)
        self.stdout.close()
        self.wait(timeout)
        return rest[0], None

    def send_signal(self, number):
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self):
        self.send_signal(signal.SIGKILL)


_started = []


def _server():
    """The socket of the process that forks, which lasts as long as this one; if it was killed, of another one."""
    if not _started or _started[-1][0].poll() is not None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        environment = os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT}/tests/trainer", "OPENBLAS_NUM_THREADS": "1"}
        command = [sys.executable, "-m", "warm_processes", str(theirs.fileno())]
        _started.append((subprocess.Popen(command, pass_fds=[theirs.fileno()], env=environment), ours))
        theirs.close()
    return _started[-1][1]


@atexit.register
def _end():
    for process, ours in _started:
        ours.close()
        process.wait()


def _serve(requests):
    """Fork for each command that comes, and tell what becomes of it.

    Returns:
        The command, in what was forked; None when no more will come.
    """
    found = selectors.DefaultSelector()
    found.register(requests, selectors.EVENT_READ)
    while True:
        for key, _ in found.select():
            if key.fileobj is requests:
                command, descriptors, _, _ = socket.recv_fds(requests, LARGEST_BYTES, 2)
                if not command:
                    return None
                said, ended = descriptors
                pid = os.fork()
                if pid == 0:
                    os.dup2(said, 1)
                    os.dup2(said, 2)
                    os.close(said)
                    return json.loads(command)
                os.close(said)
                _tell(ended, pid)
                found.register(os.pidfd_open(pid), selectors.EVENT_READ, (pid, ended))
            else:
                pid, ended = key.data
                found.unregister(key.fd)
                os.close(key.fd)
                _tell(ended, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
                os.close(ended)


def _tell(pipe, number):
    with contextlib.suppress(BrokenPipeError):  # nobody asks any more
        os.write(pipe, _NUMBER.pack(number))


def _import_all():
    """What a training imports; nothing of it is run, and so TensorFlow starts no thread."""
    from trainer import backend

    backend.prepare()
    import boto3  # noqa: F401
    import jinja2  # noqa: F401
    import matplotlib.backends.backend_svg
    import matplotlib.figure  # noqa: F401
    import tf_agents.agents  # noqa: F401

    import trainer.config.check
    import trainer.metrics.sinks.tensorboard
    import trainer.report.build
    import trainer.session
    import trainer.stages  # noqa: F401

    gc.freeze()  # in those that are forked, too, nobody looks for garbage among what was imported
    others = [task for task in Path("/proc/self/task").iterdir() if int(task.name) != os.getpid()]
    names = {(task / "comm").read_text().strip() for task in others}
    assert names <= {TAKES_PART}, f"to fork beside these threads may hang: {names}"


def _become(arguments, cwd, env):
    """Run a command, as `python -m trainer` does."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    sys.path[0] = cwd
    sys.argv[1:] = arguments
    faulthandler.enable()
    bare_processes.patch()
    runpy.run_module("trainer", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for those that were forked
    _import_all()
    if (asked := _serve(socket.socket(fileno=int(sys.argv[1])))) is not None:
        _become(*asked)
