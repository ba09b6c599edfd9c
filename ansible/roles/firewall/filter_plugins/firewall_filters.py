"""A filter of the role: which holes a host's firewall needs."""

import ipaddress
import socket
from collections.abc import Callable, Mapping
from typing import Any

PEOPLE, EVERYBODY, TUNNEL = "operators", "all", "tunnel"
Net = ipaddress.IPv4Network | ipaddress.IPv6Network


def network(text: str) -> Net:
    """A network, or an address as a network of one."""
    return ipaddress.ip_network(text, strict=False)


def resolve(name: str) -> list[Net]:
    """The addresses of a name, or the address that it is."""
    try:
        return [network(name)]
    except ValueError:
        return [network(str(entry[4][0])) for entry in socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)]


class Holes:
    """The holes of one host, and all that is wrong with what they are asked for."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        self.given = given
        self.errors: dict[str, None] = {}  # in order, each once
        everybody = sorted({host for group in given["groups"].values() for host in group})
        self.members: dict[str, list[str]] = {**given["groups"], EVERYBODY: everybody}
        self.operators = self._networks("site_operators", given["operators"])
        if not given["operators"]:
            self._wrong(
                "site_operators: it is empty, and nobody could reach SSH. Give the networks of people, as CIDRs"
            )
        self.holes = [hole for name, port in sorted(given["ports"].items()) if (hole := self._hole(name, port))]
        if given["connection"]:
            self._keep_in(*given["connection"].split())

    def _wrong(self, error: str) -> None:
        self.errors[error] = None

    def _networks(self, field: str, texts: list[str]) -> list[Net]:
        found = []
        for text in texts:
            try:
                found.append(network(text))
            except ValueError:
                self._wrong(f"{field}: {text} is no address and no network. Give one such as 192.0.2.0/24")
        return found

    def _addresses(self, host: str) -> list[Net]:
        """What a host sends from."""
        name = self.given["names"].get(host) or host
        more = self._networks(f"firewall_addresses of {host}", self.given["more"].get(host) or [])
        try:
            return [*resolve(name), *more]
        except OSError:
            self._wrong(f"host {host}: {name} has no address. Set its ansible_host to one, or make the name resolve")
            return more

    def _in_tunnel(self) -> list[Net]:
        """What trainers send from in the tunnel to the NAS."""
        trainers = sorted({*self.members["gpu"]} - {self.given["host"]})
        texts = ((f"site_tunnel_address of {each}", self.given["tunnel"].get(each)) for each in trainers)
        return [net for field, text in texts if text for net in self._networks(field, [text])]

    def _hole(self, name: str, port: Mapping[str, Any]) -> dict[str, Any] | None:
        """What an entry of the table means for this host: nothing, if it does not concern it."""
        host, transport = self.given["host"], self.given["transport"]
        first = int(port["port"])
        last = first + int(port.get("count", 1)) - 1
        sources = [each for each in port["from"] if each not in (PEOPLE, TUNNEL)]
        unknown = [each for each in (*port["to"], *sources) if each not in (PEOPLE, *self.members)]
        if unknown:
            groups = ", ".join((*self.members, PEOPLE))
            self._wrong(f"site_ports.{name}: {', '.join(unknown)} is no group. Use {groups}")
        if port["protocol"] not in ("tcp", "udp"):
            self._wrong(f"site_ports.{name}: protocol {port['protocol']} is not allowed. Use tcp or udp")
        if not 1 <= first <= last <= 65535:
            self._wrong(f"site_ports.{name}: {first} to {last} are no ports. Use 1 to 65535")
        if self.errors or port.get("loopback") or port.get("when_transport", transport) != transport:
            return None
        if not any(host in self.members[group] for group in port["to"] if group != PEOPLE):
            return None
        # Its own traffic comes over the loopback.
        hosts = {each for group in sources for each in self.members[group]} - {host}
        networks = [net for each in sorted(hosts) for net in self._addresses(each)]
        networks += self.operators if PEOPLE in port["from"] else []
        networks += self._in_tunnel() if TUNNEL in port["from"] else []
        ipv4 = ipaddress.collapse_addresses(net for net in networks if isinstance(net, ipaddress.IPv4Network))
        ipv6 = ipaddress.collapse_addresses(net for net in networks if isinstance(net, ipaddress.IPv6Network))
        hole = {"name": name, "protocol": port["protocol"], "first": first, "last": last}
        return {**hole, "ipv4": [str(net) for net in ipv4], "ipv6": [str(net) for net in ipv6]}

    def _keep_in(self, client: str, _: str, __: str, port: str) -> None:
        """Look whether the connection that is open could be opened again."""
        address = ipaddress.ip_address(client.partition("%")[0])
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        open_to = [
            network(net)
            for hole in self.holes
            if hole["protocol"] == "tcp" and hole["first"] <= int(port) <= hole["last"]
            for net in hole[f"ipv{address.version}"]
        ]
        if not any(address in net for net in open_to):
            self._wrong(
                f"site_operators: you connect from {address} to port {port} of {self.given['host']}, which no hole"
                f" would let in, and would lock yourself out. Add {address} to site_operators, and see that"
                f" site_ports.ssh has port {port} to all"
            )


def firewall_holes(given: Mapping[str, Any]) -> dict[str, list[Any]]:
    """The holes that the table of ports asks for.

    Args:
        given: `host` and `groups` (this host's name, and the names of hosts by group); `names` and `more` (by host, its
            address or DNS name, its own name if empty, and further addresses that it sends from); `operators` (networks
            of people, as CIDRs); `ports` and `transport` (the table, and how files travel to and from the NAS);
            `tunnel` (by host, its address in WireGuard); and `connection` (`SSH_CONNECTION` of the connection that is
            open, or nothing).

    Returns:
        `holes`, each with name, protocol, first and last port, and sources of IPv4 and IPv6; and `errors`, all that are
        found, as words.
    """
    found = Holes(given)
    return {"holes": found.holes, "errors": list(found.errors)}


class FilterModule:
    """What Ansible looks for."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """The filter by name."""
        return {"firewall_holes": firewall_holes}
