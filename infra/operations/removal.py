"""Removes a site: relaxes what protects it, destroys it, goes on where an earlier attempt stopped, and proves the end.

Force-destroy and protection are read from a stack's state, so the lifecycle becomes `cleanup` by an `up` first.
"""

import dataclasses
import functools
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from infra.lifecycle import RULES, Lifecycle
from infra.operations import fleet as fleets
from infra.operations import progress, remains
from infra.operations.stacks import Site, free, told
from infra.settings import NAMESPACE
from trainer.errors import SlipwayError

ATTEMPTS = 4
PAUSE_SECONDS = 15.0
"""Before the second attempt; each further one waits twice as long: interfaces and addresses are let go slowly."""
DRAIN_SECONDS, LOOK_SECONDS = 300.0, 5.0
"""How long machines may take to save their last checkpoints and go; the service allows them 90 s."""
LIFECYCLE = f"{NAMESPACE}:lifecycle"


@dataclasses.dataclass
class Left:
    """What a removal came to.

    Attributes:
        removed: what is gone.
        stays: what the clouds keep, each with the reason.
    """

    removed: tuple[remains.Resource, ...]
    stays: tuple[tuple[remains.Resource, str], ...]


def foresee(site: Site) -> remains.Removal:
    """What removing a site does."""
    return remains.foresee(site.resources(), RULES[Lifecycle.CLEANUP])


def drain(site: Site, say: Callable[[str], None], sleep: Callable[[float], None] = time.sleep) -> None:
    """Scale all groups to nothing, and wait until their machines have gone, their last checkpoints saved.

    A cloud that does not answer, or takes longer, does not stop the removal: what was committed stays committed.
    """
    outputs = site.outputs()
    if not outputs.get("groups"):
        return
    try:
        fleet = fleets.fleet(outputs)
        groups = fleet.groups()
        for group in groups:
            if group.wanted or group.nodes:
                fleet.scale(group, 0)
        end = time.monotonic() + DRAIN_SECONDS
        while fleets.running(groups) and time.monotonic() < end:
            say(f"waiting for {fleets.running(groups)} machines to save their last checkpoints")
            sleep(LOOK_SECONDS)
            groups = fleet.groups()
        if fleets.running(groups):
            say(f"{fleets.running(groups)} machines are still there after {DRAIN_SECONDS:.0f} s: going on")
    except SlipwayError as error:
        say(f"machines are not drained: {error}")


RELAXED = {"forceDestroy": True, "deleteContentsOnDestroy": True, "deletionProtection": False}
"""Arguments that decide whether a resource may go, and what they are when it may."""


def standing_against(state: Iterable[Mapping[str, Any]]) -> list[str]:
    """The URNs of what stands against a removal: what is protected, or does not go with what is in it.

    Args:
        state: the stack's resources, as Pulumi exports them.
    """
    return [str(each["urn"]) for each in state if each.get("protect") or _holds(each.get("inputs") or {})]


def _holds(inputs: Mapping[str, Any]) -> bool:
    return any(inputs.get(name, free) != free for name, free in RELAXED.items())


def remove(
    site: Site,
    show: Callable[[str], progress.Shown],
    say: Callable[[str], None],
    *,
    sleep: Callable[[float], None] = time.sleep,
) -> Left:
    """Remove a site with all it has; called again, it goes on where it stopped.

    Args:
        site: what to remove.
        show: makes a display for an operation with this title.
        say: tells people what happens.
        sleep: waits some seconds.

    Raises:
        SlipwayError: if something is left that no declared exception explains, with its names.
    """
    from pulumi.automation import ConfigValue

    foreseen = foresee(site)
    before = site.planned.settings.lifecycle
    # Those alone: an `up` of everything would make anew what an earlier attempt has removed.
    targets = standing_against(site.resources())
    if targets:
        told(lambda: site.stack.set_config(LIFECYCLE, ConfigValue(str(Lifecycle.CLEANUP))))
        relax = functools.partial(site.stack.up, target=targets)
        _attempt(site, f"relaxing {site.name}", relax, show, say, sleep, attempts=2)
    _attempt(site, f"removing {site.name}", site.stack.destroy, show, say, sleep, attempts=ATTEMPTS)
    left = [each for each in remains.real(site.resources()) if not each.kept]
    if left:
        names = ", ".join(f"{each.kind} {each.name}" for each in left)
        raise SlipwayError(f"{len(left)} resources are left in the stack's state: {names}\n  fix:     run it again")
    told(lambda: site.stack.set_config(LIFECYCLE, ConfigValue(str(before))))
    return Left(foreseen.goes, foreseen.stays)


def _attempt(
    site: Site,
    title: str,
    operation: Callable[..., object],
    show: Callable[[str], progress.Shown],
    say: Callable[[str], None],
    sleep: Callable[[float], None],
    *,
    attempts: int,
) -> None:
    """An operation, tried again with pauses; a lock that somebody else holds is not tried again."""
    from pulumi.automation import errors

    pause = PAUSE_SECONDS
    for attempt in range(1, attempts + 1):
        shown = show(title)
        try:
            told(functools.partial(operation, on_event=shown, color="never"))
        except SlipwayError as error:
            shown.stop()
            if free(site.stack, error.__cause__):
                say(f"{title}: whoever worked on the stack before is gone, and its lock is taken away")
                continue
            if attempt == attempts or isinstance(error.__cause__, errors.ConcurrentUpdateError):
                raise SlipwayError("\n  ".join([f"{title} failed:", *(shown.problems or [str(error)])])) from error
            why = _first(shown.problems, error)
            say(f"{title}: attempt {attempt} of {attempts} failed ({why}); again in {pause:.0f} s")
            sleep(pause)
            pause *= 2
        else:
            return
        finally:
            shown.stop()


def _first(problems: Sequence[str], error: Exception) -> str:
    return problems[0] if problems else str(error).splitlines()[0]


def pull_results(site: Site, folder: Path, say: Callable[[str], None]) -> list[str]:
    """Copy all runs of a site's bucket into a folder; those that are there already are left as they are.

    Returns:
        The ids of the runs that were copied.

    Raises:
        SlipwayError: if one cannot be read, or the disk is full.
    """
    from trainer.store import resolve

    store = resolve(str(site.outputs()["store"]))
    copied = []
    for run_id in store.run_ids():
        if (folder / run_id).exists():
            say(f"{run_id} is in {folder} already")
            continue
        say(f"copying {run_id} to {folder}")
        store.pull(run_id, folder / run_id, lambda _: None)
        copied.append(run_id)
    return copied
