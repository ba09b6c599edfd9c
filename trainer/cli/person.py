"""Who acts, for people to read."""

import getpass
import os
import socket


def user() -> str:
    """This user's name; its number where it has none, as in a container."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # the second from Python 3.13 on
        return str(os.geteuid())


def at_host() -> str:
    """This user on this machine: `USER@HOST`."""
    return f"{user()}@{socket.gethostname()}"
