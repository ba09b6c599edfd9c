"""How a site is: its hosts, its queue, the alerts that fire."""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from infra.onprem import faults
from infra.onprem import site as sites
from infra.onprem.playbooks import GPU
from infra.onprem.site import Site
from trainer.errors import SlipwayError

HOST, QUEUE = "Tell how the host is", "Tell what is in the queue"
"""The tasks of `ansible/status.yml` that tell."""


@dataclasses.dataclass(frozen=True)
class Queue:
    """The site's run queue.

    Attributes:
        rows: runs that wait or train, in the order that they are taken in; then those that are over, the newest first.
        workers: one for each slot of a trainer.
        drained: hosts that take nothing new.
        error: why it is not known; "" if it is.
        senseless: what is wrong with entries that the trainers' slipway cannot read, by name; nobody takes them.
    """

    rows: list[Mapping[str, Any]]
    workers: list[Mapping[str, Any]]
    drained: list[str]
    error: str = ""
    senseless: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class State:
    """A site as it is.

    Attributes:
        hosts: what each host told: units, certificates, disks, GPUs, and the monitor's alerts.
        lost: why hosts are not reached.
        queue: the runs.
    """

    hosts: Mapping[str, Mapping[str, Any]]
    lost: Mapping[str, str]
    queue: Queue

    @property
    def alerts(self) -> list[Mapping[str, Any]]:
        """What fires, or soon will."""
        return [alert for told in self.hosts.values() for alert in told.get("alerts", ())]


def state(site: Site, limit: str | None = None) -> State:
    """Ask the hosts.

    Args:
        site: whose.
        limit: hosts or groups; None: as the operator said.

    Raises:
        SlipwayError: if the operator stops it, or Ansible fails.
    """
    result = sites.tell(site, "status", title=f"looking at {site.name}", limit=limit)
    if not result.told and not result.lost:
        sites.insist(site, result, "status")
    hosts = {host: told for host, task, told in result.told if task == HOST}
    lost = {each.host: faults.meaning(each).words for each in result.problems if each.host not in hosts}
    told = [what for _, task, what in result.told if task == QUEUE]
    return State(hosts, lost, _queue(told[0]) if told else Queue([], [], [], "no trainer is reached"))


def queue(site: Site) -> Queue:
    """Ask a trainer for the queue alone.

    Raises:
        SlipwayError: if it is not known.
    """
    found = state(site, site.target.limit or GPU).queue
    if found.error:
        raise SlipwayError(f"{site.name}: the queue is not known: {found.error}")
    return found


def _queue(told: Mapping[str, Any]) -> Queue:
    if int(told["code"]):
        return Queue([], [], [], " ".join(str(told["said"]).removeprefix("slipway: ").split()) or "it says nothing")
    try:
        # Ansible makes data of what looks like it.
        said = told["queue"] if isinstance(told["queue"], Mapping) else json.loads(told["queue"])
        rows = [*said["entries"], *said["ended"]]
        return Queue(rows, said["workers"], list(said["drained"]), senseless=said.get("senseless", {}))
    except (ValueError, KeyError, TypeError) as error:
        return Queue([], [], [], f"the trainer's answer makes no sense: {error}")
