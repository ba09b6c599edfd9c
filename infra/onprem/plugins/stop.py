"""Ends a playbook before its next task, once the file is there that the environment names; and with slipway at once.

Before its next task all hosts have finished the one before, so none is left in the middle of one. Ansible swallows
errors of callbacks, so this takes the way of Ctrl-C. Where slipway itself is gone, however it ended, nobody sees any
more what is changed, and somebody else may begin: Ansible, which ignores SIGHUP here, must not go on by itself.
"""

# Ansible loads this file by its path; nothing here imports it.
# mypy: ignore-errors

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
from pathlib import Path
from typing import Any

from ansible.plugins.callback import CallbackBase

VARIABLE, PARENT = "SLIPWAY_STOP_FILE", "SLIPWAY_PARENT"
PR_SET_PDEATHSIG = 1
"""prctl(2), of Linux; elsewhere a playbook ends before its next task."""
DOCUMENTATION = """
name: stop
type: aggregate
short_description: End the playbook before its next task when asked
description:
  - Looks before each task for the file that SLIPWAY_STOP_FILE names, and interrupts the playbook if it is there, or
    if the process SLIPWAY_PARENT is gone, which started it.
"""


class CallbackModule(CallbackBase):
    """The plugin."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "stop"

    def __init__(self, *args: Any, **keywords: Any) -> None:
        """Be interrupted when slipway ends."""
        super().__init__(*args, **keywords)
        if PARENT in os.environ:
            with contextlib.suppress(OSError, AttributeError):
                ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGINT)

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:
        """Look for the file."""
        del task, is_conditional
        _look()

    def v2_playbook_on_handler_task_start(self, task: Any) -> None:
        """Look for the file."""
        del task
        _look()


def _look() -> None:
    wanted, parent = os.environ.get(VARIABLE), os.environ.get(PARENT)
    if (wanted and Path(wanted).exists()) or (parent and parent != str(os.getppid())):
        os.kill(os.getpid(), signal.SIGINT)
