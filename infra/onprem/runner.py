"""Runs playbooks by ansible-runner: events become progress and a result, signals become a stop.

Passwords go to Ansible's prompts, from memory. What ansible-runner would write of the environment goes nowhere.
"""

import contextlib
import dataclasses
import enum
import json
import os
import shutil
import signal
import sys
import threading
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from infra.onprem import events
from infra.onprem.artifacts import Artifacts
from infra.onprem.display import Display
from infra.onprem.events import Problem, State
from infra.onprem.passwords import Passwords

PLUGINS = Path(__file__).parent / "plugins"
STOP_VARIABLE, PARENT_VARIABLE = "SLIPWAY_STOP_FILE", "SLIPWAY_PARENT"
"""Of the plugin that stops Ansible: the file that asks for it, and the process without which it does not go on."""
LOOK_SECONDS = 0.5
"""How often Ctrl-C is looked for while Ansible says nothing."""
KEEPALIVE = "-o ControlMaster=auto -o ControlPersist=60s -o ServerAliveInterval=5 -o ServerAliveCountMax=4"
"""SSH notices within 20 s that a connection is lost."""
ENVIRONMENT = {
    "ANSIBLE_HOST_KEY_CHECKING": "True",  # ansible-runner would turn it off
    "ANSIBLE_PIPELINING": "True",
    "ANSIBLE_SSH_ARGS": KEEPALIVE,
    "ANSIBLE_TIMEOUT": "10",
    "ANSIBLE_SSH_RETRIES": "3",
    "ANSIBLE_FORKS": "20",
    "ANSIBLE_PYTHON_INTERPRETER": "/usr/bin/python3",
    "ANSIBLE_NOCOLOR": "True",
    "ANSIBLE_DEPRECATION_WARNINGS": "False",
    "ANSIBLE_LOCALHOST_WARNING": "False",
    "ANSIBLE_INVENTORY_UNPARSED_FAILED": "True",
    "ANSIBLE_INJECT_FACT_VARS": "False",
    "ANSIBLE_STRATEGY": "linear",  # whatever a configuration file says: hosts go through tasks together
}
"""What Ansible is told, where the operator's environment has not told it already."""
ALWAYS = {
    "ANSIBLE_STDOUT_CALLBACK": "",  # ansible-runner would make its events by it
    # Passwords are asked for by this program; Ansible's own question would have no answer.
    "ANSIBLE_ASK_PASS": "False",
    "ANSIBLE_ASK_VAULT_PASS": "False",
    "ANSIBLE_BECOME_ASK_PASS": "False",
    "MAX_EVENT_RES": str(10**9),  # ansible-runner leaves longer results out, such as 10,000 lines of logs
}
"""What it is told in any case."""
ITSELF = "ansible"
"""In place of a host, where Ansible complains of what it was given."""


class First(enum.Enum):
    """What the first Ctrl-C does to a playbook; the next one stops it in any case."""

    STOPS_AFTER_TASK = "stopping after this task; Ctrl-C again stops now"
    STOPS_NOW = ""
    """For a playbook that only looks."""
    WAITS = "this has to come to its end first; Ctrl-C again stops now"
    """For one that tidies up after another."""


class Outcome(enum.StrEnum):
    """What became of a playbook."""

    DONE = "done"
    FAILED = "failed"
    STOPPED = "stopped"
    """By Ctrl-C, between two tasks."""
    KILLED = "killed"
    """By Ctrl-C, in the middle of one."""


@dataclasses.dataclass(frozen=True)
class Change:
    """Something that a task changed, or would change.

    Attributes:
        host: its name in the inventory.
        task: the role and the task.
        diff: before and after, if Ansible was asked.
    """

    host: str
    task: str
    diff: str


@dataclasses.dataclass
class Result:
    """What a playbook came to.

    Attributes:
        outcome: in one word.
        interrupted: whether there was a Ctrl-C; one that comes in the last task leaves the outcome as it is.
        tasks: how many there were.
        last: the one under way at the end.
        changes: what changed, or would, in the order it did.
        problems: what failed and was not rescued, host by host.
        told: what tasks told the operator: host, the task's name, what.
        outputs: what programs printed: host, the task's name, text.
        hosts: those that did something.
        folder: the artifacts.
    """

    outcome: Outcome = Outcome.DONE
    interrupted: bool = False
    tasks: int = 0
    last: str = ""
    changes: list[Change] = dataclasses.field(default_factory=list)
    problems: list[Problem] = dataclasses.field(default_factory=list)
    told: list[tuple[str, str, Any]] = dataclasses.field(default_factory=list)
    outputs: list[tuple[str, str, str]] = dataclasses.field(default_factory=list)
    hosts: set[str] = dataclasses.field(default_factory=set)
    folder: Path = Path()

    @property
    def lost(self) -> list[str]:
        """Hosts that cannot be reached, or no longer."""
        return sorted({problem.host for problem in self.problems if problem.unreachable})


@dataclasses.dataclass(frozen=True)
class Target:
    """Whom playbooks are for, and with what.

    Attributes:
        inventory: the file.
        limit: hosts or groups; None: all.
        passwords: for sudo and encrypted variables.
        artifacts: where to keep what Ansible said.
    """

    inventory: Path
    limit: str | None
    passwords: Passwords
    artifacts: Artifacts


def play(
    playbooks: Sequence[Path],
    target: Target,
    display: Display,
    *,
    title: str,
    variables: Mapping[str, Any] | None = None,
    options: Sequence[str] = (),
    first: First = First.STOPS_AFTER_TASK,
) -> Result:
    """Run playbooks one after the other; where one fails the next does not begin. They end with this process.

    Args:
        playbooks: their paths.
        target: whom they are for.
        display: shows what happens.
        title: for people and for the artifacts' name.
        variables: extra ones, which everybody on this machine may read: no secrets.
        options: more of `ansible-playbook`.
        first: what the first Ctrl-C does; the second stops at once.

    Raises:
        SlipwayError: if what Ansible says cannot be kept.
    """
    from ansible_runner import Runner, RunnerConfig

    folder = target.artifacts.make(title)
    key = " ".join([*(path.stem for path in playbooks), *options])
    collector = _Collector(display, Result(folder=folder))
    stop = _Stop(folder / "stop", display, first)
    config = RunnerConfig(
        private_data_dir=str(folder),
        artifact_dir=str(folder),
        ident="ansible",
        playbook=str(playbooks[0]),
        inventory=str(target.inventory),
        limit=target.limit,
        extravars=dict(variables or {}),
        passwords=dict(target.passwords.answers()),
        envvars=_environment(folder),
        fact_cache_type="memory",
        quiet=True,
        suppress_env_files=True,
    )
    config.prepare()
    config.command += [str(path) for path in playbooks[1:]]
    config.command[1:1] = [*target.passwords.options(), *options]
    config.pexpect_timeout = LOOK_SECONDS
    config.cwd = str(Path.cwd())  # as when the inventory was read: it may name keys and configuration from here
    runner = Runner(config, event_handler=collector, cancel_callback=stop.now)
    display.begin(title, target.artifacts.total(key))
    try:
        with stop.listening(), _unwritten(Path(config.artifact_dir) / "command", config.command):
            _, code = runner.run()
    finally:
        display.end()
        (folder / "stop").unlink(missing_ok=True)
    result = collector.result
    result.outcome, result.interrupted = _outcome(code, stop), stop.count > 0
    collector.settle()
    if result.outcome is Outcome.DONE:
        target.artifacts.remember(key, result.tasks)
    elif result.outcome is Outcome.FAILED and not (collector.is_whole and result.problems):
        said = collector.complaints or ([] if result.problems else _words(folder))
        result.problems += [Problem(ITSELF, "", message) for message in said]
    return result


def _outcome(code: int, stop: "_Stop") -> Outcome:
    if stop.is_now:
        return Outcome.KILLED
    if code == 0:
        return Outcome.DONE
    return Outcome.STOPPED if stop.count else Outcome.FAILED


def _environment(folder: Path) -> dict[str, str]:
    given = {key: value for key, value in ENVIRONMENT.items() if key not in os.environ}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    ours = {STOP_VARIABLE: str(folder / "stop"), PARENT_VARIABLE: str(os.getpid())}
    return {**given, **ALWAYS, "PATH": path, "ANSIBLE_CALLBACK_PLUGINS": str(PLUGINS), **ours}


@contextlib.contextmanager
def _unwritten(path: Path, command: Sequence[str]) -> Generator[None]:
    """ansible-runner writes the whole environment beside the command: let that go to memory, and keep the command."""
    descriptor = os.memfd_create("command")
    path.symlink_to(f"/proc/self/fd/{descriptor}")
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(descriptor)
        path.write_text(json.dumps({"command": list(command)}), encoding="utf-8")


def _words(folder: Path) -> list[str]:
    """The end of what Ansible printed, where it failed without a problem of a host."""
    path = folder / "ansible/stdout"
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n") if path.is_file() else []
    said = [line.strip() for line in lines if line.strip()]
    return ["Ansible failed: " + " ".join(said[-5:])] if said else ["Ansible failed, and said nothing"]


class _Collector:
    """Takes ansible-runner's events: shows them, and makes the result of them."""

    def __init__(self, display: Display, result: Result) -> None:
        self.result, self.complaints = result, list[str]()
        self._display, self._reader = display, events.Reader()
        self._end: events.End | None = None
        self._name = ""

    def __call__(self, event: Mapping[str, Any]) -> bool:
        """Take an event; True: ansible-runner keeps it."""
        for each in self._reader.read(event):
            self._take(each)
            self._display(each)
        return True

    def _take(self, event: events.Event) -> None:
        result = self.result
        if isinstance(event, events.Task):
            result.tasks, result.last = event.number, event.words
            self._name = event.name
        elif isinstance(event, events.Host):
            result.hosts.add(event.host)
            result.problems += event.problems
            if event.state is State.CHANGED:
                result.changes.append(Change(event.host, result.last, event.diff))
            if event.output:
                result.outputs.append((event.host, self._name, event.output))
            if event.told is not None:
                result.told.append((event.host, self._name, event.told))
        elif isinstance(event, events.End):
            self._end = event
        else:
            self.complaints.append(event.message)

    @property
    def is_whole(self) -> bool:
        """Whether Ansible came to its own end, be it a bad one."""
        return self._end is not None

    def settle(self) -> None:
        """Forget what was rescued: a host that the playbook counts among its failures has real problems."""
        if self._end is not None:
            bad = self._end.failed | self._end.unreachable
            self.result.problems = [each for each in self.result.problems if each.host in bad]


class _Stop:
    """Counts Ctrl-C and SIGTERM while a playbook runs."""

    def __init__(self, file: Path, display: Display, first: First) -> None:
        self.count = 0
        self._file, self._display, self._first = file, display, first
        self._is_said = not first.value

    @contextlib.contextmanager
    def listening(self) -> Generator[None]:
        """Take the signals; in a thread they go where they went before."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {each: signal.signal(each, self._take) for each in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)

    def _take(self, number: int, frame: FrameType | None) -> None:
        """Nothing is said here: what was interrupted may be in the middle of saying something."""
        del number, frame
        self.count += 1
        if self.count == 1 and self._first is First.STOPS_AFTER_TASK:
            with contextlib.suppress(OSError):
                self._file.touch()

    @property
    def is_now(self) -> bool:
        """Whether to stop in the middle of a task."""
        return self.count > (0 if self._first is First.STOPS_NOW else 1)

    def now(self) -> bool:
        """Whether to stop at once: then the processes of the playbook's tasks end too."""
        if self.count and not self._is_said:
            self._is_said = True
            with contextlib.suppress(OSError):  # nobody reads it any more
                self._display.say(self._first.value)
        if not self.is_now:
            return False
        import psutil

        for child in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.Error):
                child.kill()
        return True


def forget(folder: Path) -> None:
    """Remove the artifacts of a run that told all it had to tell."""
    shutil.rmtree(folder, ignore_errors=True)
