"""What an operator does with a site: check, plan, up, down, and playbooks that tell something.

Each ends with a result, or with one error that says what happened, where, and how to go on.
"""

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from infra.onprem import bundle, faults, inventory, lock, playbooks, runner
from infra.onprem.artifacts import Artifacts
from infra.onprem.display import Display, Silent
from infra.onprem.events import Event, Host, Problem, State
from infra.onprem.lock import Turn
from infra.onprem.passwords import Passwords
from infra.onprem.runner import First, Outcome, Result, Target
from trainer.errors import BadInput, ExitCode, SlipwayError

UNCHANGED = "nothing was changed"
GO_ON = "what was done stays, and each host has a record of it: `slipway onprem up` goes on, `down` takes it back"
CONFIRMED, ASK = "teardown_confirmed", "Insist on a yes"
ANNOUNCE, PROOF = "Say what becomes of this host", "Show the differences that have an explanation"
"""The variable and the tasks of `teardown.yml` that ask, say what goes, and what is left."""
SUMMARY = "Say all that is wrong"
"""The last task of `check.yml`."""


class Unfit(SlipwayError):
    """Hosts, or what was given for them, will not do; nothing was changed."""

    exit_code = ExitCode.BAD_INPUT


class Interrupted(SlipwayError):
    """An operator stopped it."""


@dataclasses.dataclass(frozen=True)
class Site:
    """A site on an operator's own servers.

    Attributes:
        inventory: its hosts, checked.
        target: whom playbooks are for.
        display: shows what happens.
        folder: where the playbooks are.
    """

    inventory: inventory.Inventory
    target: Target
    display: Display
    folder: Path = playbooks.FOLDER

    @property
    def name(self) -> str:
        """The site's name."""
        return self.inventory.name

    def playbook(self, name: str) -> Path:
        """The path of a playbook."""
        return self.folder / f"{name}.yml"


def open_site(
    path: Path,
    limit: str | None,
    passwords: Passwords,
    artifacts: Path | None,
    display: Display,
    folder: Path | None = None,
) -> Site:
    """A site by its inventory.

    Args:
        path: the inventory, or its folder.
        limit: hosts or groups; None: all.
        passwords: for sudo and encrypted variables.
        artifacts: where to keep what Ansible said; None: in the user's state folder.
        display: shows what happens.
        folder: where the playbooks are; None: slipway's own.

    Raises:
        BadInput: if there is no inventory, or no playbook.
        BadInputs: for all that is wrong with it, together.
    """
    file = inventory.locate(path).resolve()
    if folder is not None and not (folder / "site.yml").is_file():
        raise BadInput(
            "--playbooks", str(folder), "a folder with site.yml", "leave it out, or write a copy of slipway's"
        )
    found = inventory.load(file, limit, passwords)
    kept = Artifacts.of(found.name, file, artifacts)
    return Site(found, Target(file, limit, passwords, kept), display, (folder or playbooks.FOLDER).resolve())


class _Quiet(Silent):
    """Shows words beside alone."""

    def __init__(self, display: Display) -> None:
        self._display = display

    def say(self, text: str) -> None:
        """As the display does."""
        self._display.say(text)


class _Calm(_Quiet):
    """Leaves out what fails on hosts: a check says all of it together at its end."""

    def begin(self, title: str, total: int | None) -> None:
        """As the display does."""
        self._display.begin(title, total)

    def __call__(self, event: Event) -> None:
        """As the display does."""
        if not (isinstance(event, Host) and event.state in (State.FAILED, State.UNREACHABLE)):
            self._display(event)

    def end(self) -> None:
        """As the display does."""
        self._display.end()


def alone(site: Site, command: str) -> contextlib.AbstractContextManager[Turn]:
    """Keep other processes of this machine from the site meanwhile; those of other machines the hosts' locks keep off.

    Raises:
        Locked: if another process is at work.
    """
    return lock.on_this_machine(site.target.artifacts.folder, lock.holder(f"slipway onprem {command}"))


def check(site: Site) -> None:
    """Look whether the hosts can become the site; nothing is changed.

    Raises:
        Unfit: with everything that is wrong on any of them.
        Interrupted: if the operator stops it.
    """
    title, shown = f"checking {site.name}", _Calm(site.display)
    result = runner.play([site.playbook("check")], site.target, shown, title=title, variables=_bundle(site))
    if result.interrupted:
        raise Interrupted(f"check: stopped, and {UNCHANGED}")
    if result.outcome is Outcome.FAILED:
        lines = list(_lines(_found(result)))
        if any(each.host == runner.ITSELF for each in result.problems):
            raise SlipwayError("\n  ".join([f"site {site.name}: it cannot be checked:", *lines]))
        count = f"{len(lines)} problem{'s' if len(lines) > 1 else ''}"
        raise Unfit("\n  ".join([f"site {site.name}: {count}, and nothing was changed:", *lines]))


def _found(result: Result) -> list[Problem]:
    """What a check found: a host that came to its last task says all of it there."""
    last = [each for each in result.problems if each.number == result.tasks]
    whole = {each.host for each in last} if result.last == SUMMARY else set()
    return [each for each in result.problems if each.host not in whole or each in last]


def plan(site: Site) -> Result:
    """What `up` would change, by Ansible's check mode; where it fails, what is known until there: `insist` on more.

    Raises:
        SlipwayError: if the bundle for trainers cannot be made.
    """
    options, title, played = ("--check", "--diff"), f"planning {site.name}", [site.playbook("site")]
    variables = _bundle(site)
    return runner.play(played, site.target, site.display, title=title, variables=variables, options=options)


def up(site: Site, turn: Turn, *, break_lock: bool = False) -> Result:
    """Make the site, or change it to what the inventory says; called again it goes on where it stopped.

    Args:
        site: which.
        turn: of who is `alone`.
        break_lock: take the lock away that somebody holds on the hosts.

    Raises:
        Locked: if somebody else is at work.
        SlipwayError: if a host or a task fails, or the operator stops it.
    """
    return _change(site, turn, "up", "site", {}, break_lock=break_lock)


def foresee(site: Site) -> dict[str, Mapping[str, Any]]:
    """What `down` removes, puts back and keeps, by host: the playbook says it, and goes no further without a yes.

    Raises:
        Unfit: with what keeps a host from being given back, such as a connection as a user who would be removed.
        SlipwayError: if a host cannot be reached, or says nothing; or the operator stops it.
    """
    title, no = f"looking at {site.name}", {CONFIRMED: "no", **_bundle(site)}
    result = runner.play([site.playbook("teardown")], site.target, _Calm(site.display), title=title, variables=no)
    # At its question it is told no; whatever failed besides keeps a host from being given back.
    refused = [each for each in result.problems if (result.last, each.number) != (ASK, result.tasks)]
    for_people = not any(each.task or each.host == runner.ITSELF for each in refused)
    if refused and for_people and not result.lost and result.outcome is Outcome.FAILED:
        lines = _lines(refused)
        raise Unfit("\n  ".join([f"site {site.name}: it is not taken down, and nothing was changed:", *lines]))
    told = {host: what for host, task, what in result.told if task == ANNOUNCE and isinstance(what, Mapping)}
    # The others end at the question, which has a no.
    silent = [each for each in result.problems if each.unreachable or each.host not in told]
    if not told or silent or refused or result.interrupted:
        known = dataclasses.replace(result, problems=silent or refused or result.problems)
        insist(site, known, "down")
    return told


def down(site: Site, turn: Turn, *, shred: str | None = None, break_lock: bool = False) -> dict[str, list[str]]:
    """Give the hosts back as they were; called again it goes on, and in the end does nothing.

    Args:
        site: which.
        turn: of who is `alone`.
        shred: the name of the NAS's volume, whose keys are destroyed; None: what it holds stays.
        break_lock: take the lock away that somebody holds on the hosts.

    Returns:
        By host the differences to how it was that have an explanation; there are no others.

    Raises:
        Locked: if somebody else is at work.
        SlipwayError: if something is left that is not explained, or the operator stops it.
    """
    variables = {CONFIRMED: "yes"} | ({} if shred is None else {"nas_server_shred": shred})
    result = _change(site, turn, "down", "teardown", variables, break_lock=break_lock)
    shown = {host: list(map(str, what)) for host, task, what in result.told if task == PROOF and isinstance(what, list)}
    return {host: shown.get(host, []) for host in sorted(result.hosts)}


def _change(
    site: Site, turn: Turn, command: str, name: str, variables: Mapping[str, Any], *, break_lock: bool
) -> Result:
    played = [site.playbook(each) for each in ("lock", name, "unlock")]
    given = {**variables, "lock_holder": turn.words, "lock_break": break_lock, **_bundle(site)}

    def play() -> tuple[Result, dict[str, str]]:
        result = runner.play(played, site.target, site.display, title=f"{command} {site.name}", variables=given)
        if result.outcome is not Outcome.DONE and result.tasks:
            _release(site, turn.words)
        problems = [each for each in result.problems if each.message.startswith(lock.HELD)]
        return result, {each.host: each.message.removeprefix(lock.HELD) for each in problems}

    result, locked = play()
    if locked and turn.gone.issuperset(locked.values()):
        for words in dict.fromkeys(locked.values()):
            hosts = ", ".join(host for host, each in locked.items() if each == words)
            site.display.say(f"{hosts}: still locked by {words}, which is over: taking the lock")
            _release(site, words)
        result, locked = play()
    for host, task, whose in result.told:
        if task == lock.BROKEN:
            site.display.say(f"{host}: the lock of {whose} was broken")
    for host, words in locked.items():
        if words not in turn.gone:
            raise lock.held(host, words)
    insist(site, result, command, GO_ON)
    return result


def _bundle(site: Site) -> Mapping[str, Any]:
    return bundle.variables(site.inventory, site.target.artifacts.folder)


def _release(site: Site, words: str) -> None:
    """Give somebody's locks back; a host that is lost keeps its own until a restart, or until this machine's next turn.

    Args:
        site: whose.
        words: who holds them: this process, or one that is gone.
    """
    title, given = "giving locks back", {"lock_holder": words}
    runner.play(
        [site.playbook("unlock")], site.target, _Quiet(site.display), title=title, variables=given, first=First.WAITS
    )


def tell(
    site: Site, name: str, *, title: str, variables: Mapping[str, Any] | None = None, limit: str | None = None
) -> Result:
    """Run a playbook that changes nothing, for what it tells.

    Args:
        site: whose.
        name: of the playbook.
        title: for people.
        variables: extra ones.
        limit: hosts or groups; None: as the operator said.

    Raises:
        SlipwayError: if Ansible cannot be started.
        KeyboardInterrupt: if the operator stops it, as with any program that only looks.
    """
    target, played = dataclasses.replace(site.target, limit=limit or site.target.limit), [site.playbook(name)]
    result = runner.play(played, target, site.display, title=title, variables=variables, first=First.STOPS_NOW)
    if result.outcome is Outcome.DONE or result.told or result.interrupted:
        runner.forget(result.folder)
    if result.interrupted:
        raise KeyboardInterrupt
    return result


def insist(site: Site, result: Result, command: str, state: str = UNCHANGED) -> None:
    """Raise the error for a playbook that failed, or was stopped.

    Args:
        site: whose.
        result: what it came to; where that is good nothing is raised.
        command: what the operator wrote.
        state: what became of the site.
    """
    if result.outcome is Outcome.DONE:
        return
    where = f" at task {result.tasks} ({result.last})" if result.tasks else ""
    kept = f"artifacts: {result.folder}"
    if result.outcome is Outcome.STOPPED:
        raise Interrupted(
            f"{command} {site.name}: stopped before task {result.tasks} ({result.last})\n  {state}\n  {kept}"
        )
    if result.outcome is Outcome.KILLED:
        begun = "a host may still be at that task for a moment"
        raise Interrupted(f"{command} {site.name}: stopped in the middle{where}; {begun}\n  {state}\n  {kept}")
    meanings = [faults.meaning(problem) for problem in result.problems]
    lines = list(_lines(result.problems))
    # What the operator gave is wrong only where nothing had gone well with it before.
    given = bool(meanings) and all(each.is_input for each in meanings) and not _had_begun(result)
    if given:
        state = UNCHANGED
    kind: type[SlipwayError] = Unfit if given else SlipwayError
    raise kind("\n  ".join([f"{command} {site.name}: failed{where}:", *lines, state, kept]))


def _had_begun(result: Result) -> bool:
    """Whether anything was changed, or a host had done more than the first task."""
    return bool(result.changes) or result.tasks > 1


def _lines(problems: Sequence[Problem]) -> Iterator[str]:
    """A line for each problem, and one for all hosts that have the same; which of them was the faster does not show."""
    found: dict[str, list[str]] = {}
    for problem in sorted(problems, key=lambda each: (each.number, each.host)):
        meaning = faults.meaning(problem)
        hosts = found.setdefault(meaning.line("").removeprefix(": "), [])
        if problem.host not in hosts:
            hosts.append(problem.host)
    for words, hosts in found.items():
        yield f"{', '.join(hosts)}: {words}"
