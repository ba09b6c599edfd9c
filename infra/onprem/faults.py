"""What Ansible's and SSH's words mean for an operator, with the cure."""

import dataclasses
import re

from infra.onprem.events import Problem


@dataclasses.dataclass(frozen=True)
class Meaning:
    """What a problem is.

    Attributes:
        words: what is wrong.
        cure: what to do; "": the words say it.
        is_input: whether something that the operator gave is wrong, such as a name, a key or a password.
        is_lost: whether a connection was lost or not had.
    """

    words: str
    cure: str = ""
    is_input: bool = False
    is_lost: bool = False

    def line(self, host: str) -> str:
        """For people."""
        return f"{host}: {self.words}" + (f". {self.cure}" if self.cure else "")


_PASSWORD = Meaning("sudo refuses its password", "Run it again with the right one (--ask-become-pass)", is_input=True)
_KNOWN: tuple[tuple[str, Meaning], ...] = (
    (r"incorrect sudo password|sorry, try again|incorrect password attempt", _PASSWORD),
    (r"missing sudo password|a password is required|terminal is required to read the password",
     Meaning("sudo asks for a password", "Write --ask-become-pass", is_input=True)),
    (r"is not in the sudoers file|may not run sudo",
     Meaning("the connection's user may not use sudo", "Allow it, or set ansible_user to one who may", is_input=True)),
    (r"host key verification failed",
     Meaning("SSH does not know its key, or the key has changed",
             "Compare it (ssh-keyscan HOST | ssh-keygen -lf -), and connect once by hand",
             is_input=True, is_lost=True)),
    (r"permission denied",
     Meaning("SSH lets this user and key not in", "Set ansible_user, or put your key there (ssh-copy-id)",
             is_input=True, is_lost=True)),
    (r"could not resolve hostname|name or service not known|temporary failure in name resolution",
     Meaning("no such name", "Mend the name, or set ansible_host to its address", is_input=True, is_lost=True)),
    (r"connection refused|no route to host|network is unreachable|connect.*timed out|connection timed out",
     Meaning("not reached", "Look whether it is on, and whether ansible_host and ansible_port are right",
             is_input=True, is_lost=True)),
    (r"closed by|connection reset|broken pipe|shared connection|not responding|data could not be sent",
     Meaning("its connection was lost", is_lost=True)),
)  # fmt: skip


def _lost(known: Meaning) -> Meaning:
    """A host that was reached before."""
    lost = "its connection was lost"
    return Meaning(lost if known.words == lost else f"{lost} ({known.words})", is_lost=True)


def meaning(problem: Problem) -> Meaning:
    """What a problem is; what is not known is told in Ansible's own words."""
    text = problem.message
    if problem.unreachable or "sudo" in text.lower() or "become" in text.lower():
        for pattern, known in _KNOWN:
            # What a task says of a connection is of one of its own, not of that to the host.
            if (problem.unreachable or not known.is_lost) and re.search(pattern, text, re.IGNORECASE):
                return _lost(known) if problem.unreachable and problem.reached else known
    words = f"{text} ({problem.task})" if problem.task else text
    return Meaning(words, is_lost=problem.unreachable)
