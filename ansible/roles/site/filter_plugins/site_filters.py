"""Filters of the role: the table of ports, addresses in the tunnel, names in certificates, and differences as words."""

import hashlib
import ipaddress
from collections.abc import Callable, Iterable, Mapping
from itertools import combinations
from typing import Any


def site_port_clashes(ports: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Which entries of `site_ports` claim the same port, each pair as words."""
    clashes = []
    for (one, first), (other, second) in combinations(sorted(ports.items()), 2):
        begin = max(int(first["port"]), int(second["port"]))
        end = min(int(each["port"]) + int(each.get("count", 1)) for each in (first, second))
        transports = {first.get("when_transport"), second.get("when_transport")} - {None}
        if first["protocol"] == second["protocol"] and begin < end and len(transports) < 2:  # else one at a time
            clashes.append(f"{one} and {other} both claim {first['protocol']} port {begin}")
    return clashes


def site_tunnel_addresses(network: str, given: Mapping[str, str]) -> dict[str, Any]:
    """The addresses of hosts in a network, each made of its host's name: they stay when other hosts come and go.

    Args:
        network: as a CIDR.
        given: of each host the address that it has been given, or nothing.

    Returns:
        `network`, `prefix` (its length), `addresses` by host, and `errors`, all that is wrong, as words.
    """
    try:
        net = ipaddress.ip_network(network)
    except ValueError:
        cure = "Give one such as fd8e:51c4:a7d3::/64 or 10.86.0.0/16"
        error = f"site_tunnel_network: {network} is no network. {cure}"
        return {"network": network, "prefix": 0, "addresses": dict.fromkeys(given, ""), "errors": [error]}
    errors, found, owners = [], {}, dict[str, str]()
    # Neither the first address nor the last: in a network of IPv4 they are nobody's.
    room = net.num_addresses - 2
    if room < len(given):
        errors.append(f"site_tunnel_network: {network} is too small for {len(given)} hosts. Give a larger one")
    for host, address in sorted(given.items()):
        number = int.from_bytes(hashlib.sha256(host.encode()).digest(), "big") % max(room, 1)
        found[host] = address or str(net[min(1 + number, net.num_addresses - 1)])
        try:
            found[host] = str(ipaddress.ip_address(found[host]))  # in the one way that the kernel writes it, too
            inside = ipaddress.ip_address(found[host]) in net
        except ValueError:
            inside = False
        if not inside:
            errors.append(f"site_tunnel_address of {host}: {address} is no address in {network}. Give one that is")
        elif found[host] in owners:
            pair = f"{owners[found[host]]} and {host} both have {found[host]}"
            errors.append(
                f"site_tunnel_network: {pair}. Give one of them a site_tunnel_address, or take a larger network"
            )
        owners.setdefault(found[host], host)
    return {"network": str(net), "prefix": net.prefixlen, "addresses": found, "errors": errors}


def site_within(addresses: Iterable[str], network: str) -> list[str]:
    """Those of some addresses that are in a network."""
    net = ipaddress.ip_network(network)
    return [each for each in addresses if ipaddress.ip_address(each.partition("%")[0]) in net]


def site_names(called: Iterable[str]) -> list[str]:
    """What a certificate has for names and addresses, as community.crypto writes it: addresses in their one form."""
    found = []
    for each in called:
        try:
            found.append(f"IP:{ipaddress.ip_address(each.partition('%')[0])}")
        except ValueError:
            found.append(f"DNS:{each}")
    return list(dict.fromkeys(found))


def site_difference(found: Mapping[str, str]) -> str:
    """A difference that `snapshot.py` found, as a line."""
    values = {"added": found["after"], "removed": found["before"], "changed": f"{found['before']} -> {found['after']}"}
    reason = f" ({found['reason']})" if "reason" in found else ""
    return f"{found['section']}: {found['key']}: {found['change']}: {values[found['change']]}{reason}"


class FilterModule:
    """What Ansible looks for."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """The filters by name."""
        return {
            "site_port_clashes": site_port_clashes,
            "site_tunnel_addresses": site_tunnel_addresses,
            "site_within": site_within,
            "site_names": site_names,
            "site_difference": site_difference,
        }
