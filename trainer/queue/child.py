"""Becomes a command that is told to stop when the process which started it dies, however that dies.

It is run as a file of its own, with the id of that process and the command: nothing of slipway is imported.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1
"""prctl(2); it stays over execve(2)."""

if __name__ == "__main__":
    parent, command = int(sys.argv[1]), sys.argv[2:]
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # it died before that
        raise SystemExit(75)
    os.execv(command[0], command)  # noqa: S606
