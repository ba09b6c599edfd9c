"""The site's table of ports: one dict, `site_ports`, which firewall, monitoring, checks and docs read."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from infra.onprem import playbooks
from infra.onprem.playbooks import ALL, GROUPS
from trainer.errors import BadInput

OPERATORS, TUNNEL = "operators", "tunnel"
TABLE = "site_ports"


@dataclasses.dataclass(frozen=True)
class Port:
    """A row.

    Attributes:
        name: its key in the table.
        first: the port, or the first of several.
        count: how many in a row.
        protocol: `tcp` or `udp`.
        to: the groups whose hosts listen.
        sources: the groups that may come, `operators`, or `tunnel`, which is trainers by WireGuard.
        service: what listens, for people.
        role: the role that makes it listen.
        loopback: whether it listens on the host itself alone.
        transport: where NFS's encryption is chosen so alone; "" everywhere.
    """

    name: str
    first: int
    count: int
    protocol: str
    to: tuple[str, ...]
    sources: tuple[str, ...]
    service: str
    role: str
    loopback: bool
    transport: str

    @property
    def numbers(self) -> range:
        """All its ports."""
        return range(self.first, self.first + self.count)

    @property
    def words(self) -> str:
        """Its ports for people."""
        last = self.numbers[-1]
        return str(self.first) if self.count == 1 else f"{self.first}-{last}"


def shipped() -> Mapping[str, Any]:
    """The table of role `site`."""
    found = playbooks.defaults("site").get(TABLE, {})
    return found if isinstance(found, Mapping) else {}


def read(table: Mapping[str, Any]) -> tuple[list[Port], list[BadInput]]:
    """The rows of a table, and all that is wrong with it.

    Args:
        table: as the inventory or role `site` has it.
    """
    rows, errors = [], list[BadInput]()
    for name, entry in table.items():
        try:
            rows.append(_row(name, entry))
        except (KeyError, TypeError, ValueError):
            allowed = "port (1 to 65535), protocol (tcp or udp), and lists `to` and `from` of groups"
            errors.append(BadInput(f"{TABLE}.{name}", entry, allowed, "write it as the role `site` has it"))
    return rows, errors + list(_claimed_twice(rows))


def _row(name: str, entry: Mapping[str, Any]) -> Port:
    first, count = int(entry["port"]), int(entry.get("count", 1))
    protocol = str(entry.get("protocol", "tcp"))
    to, sources = tuple(map(str, entry["to"])), tuple(map(str, entry["from"]))
    known = {ALL, OPERATORS, TUNNEL, *GROUPS}
    if not 1 <= first <= first + count - 1 <= 65535 or protocol not in ("tcp", "udp"):
        raise ValueError
    if not {*to, *sources} <= known or TUNNEL in to or count < 1:
        raise ValueError
    return Port(
        name=name,
        first=first,
        count=count,
        protocol=protocol,
        to=to,
        sources=sources,
        service=str(entry.get("service", name)),
        role=str(entry.get("role", "")),
        loopback=bool(entry.get("loopback", False)),
        transport=str(entry.get("when_transport", "")),
    )


def _claimed_twice(rows: list[Port]) -> Iterator[BadInput]:
    """Two services cannot listen on one port; on which hosts does not matter, as a host may be in several groups."""
    for number, row in enumerate(rows):
        for other in rows[:number]:
            shared = set(row.numbers) & set(other.numbers)
            together = row.transport == other.transport or not (row.transport and other.transport)
            if shared and together and row.protocol == other.protocol:
                port = min(shared)
                allowed = f"a port of its own; {other.name} ({other.service}) has {port}/{row.protocol}"
                yield BadInput(f"{TABLE}.{row.name}.port", row.first, allowed, "choose another port for one of them")


def destinations(row: Port, groups: Mapping[str, list[str]]) -> list[str]:
    """The hosts that listen."""
    return sorted({host for group in row.to for host in groups.get(group, ())})
