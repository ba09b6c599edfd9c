"""Endpoints that a person has set in place of a cloud's own."""

import ipaddress
from urllib.parse import urlsplit

from trainer.errors import BadInput


def check(name: str, url: str) -> None:
    """Find out whether an endpoint is safe to talk to: over TLS, or not leaving this machine.

    Args:
        name: of the setting that it came from.
        url: the endpoint.

    Raises:
        BadInput: if what is sent there could be read on the way.
    """
    parts = urlsplit(url)
    if parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(parts.hostname or "")):
        return
    raise BadInput(name, url, "an https:// address (http:// on this machine alone)", "write https://, or unset it")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
