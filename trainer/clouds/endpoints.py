"""Addresses of services, where they are not the cloud's own."""

import ipaddress
from urllib.parse import urlsplit

from trainer.errors import BadInput


def is_loopback(host: str | None) -> bool:
    """Whether a host is this machine."""
    try:
        return host == "localhost" or ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False


def check_encrypted(field: str, address: str) -> None:
    """Find out whether an address is https, or http on loopback.

    Raises:
        BadInput: if what is sent there could be read on the way.
    """
    parts = urlsplit(address)
    if parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname)):
        return
    raise BadInput(field, address, "an https address; http on loopback alone", "write https://, or leave it out")
