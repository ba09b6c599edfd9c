"""HTTP to a metadata service, which a cloud offers each of its machines at an address of that machine alone."""

import contextlib
import http.client
import socket
import urllib.parse
from collections.abc import Mapping
from email.message import Message
from typing import NamedTuple

TIMEOUT_SECONDS = 2.0
LARGEST_BYTES = 1 << 16


class Unanswered(Exception):
    """What came back is no answer."""


class Answer(NamedTuple):
    """What the service said.

    Attributes:
        status: of HTTP.
        headers: by name, in any case.
        text: the body.
    """

    status: int
    headers: Message
    text: str


class Service:
    """A metadata service. It is asked directly: proxies are for other addresses, and a redirect would be somebody else.

    Args:
        address: `http://` with a host, and perhaps a port and a path.
        variable: the environment variable that it may come from, for messages.

    Raises:
        ValueError: if it is no such address.
    """

    def __init__(self, address: str, variable: str) -> None:
        self.address = address.rstrip("/")
        wrong = f"{variable}: {address!r} is no address such as http://127.0.0.1:1338"
        try:
            parts = urllib.parse.urlsplit(self.address)
            self._host, self._port, self._path = parts.hostname, parts.port, parts.path
        except ValueError:
            raise ValueError(wrong) from None
        if parts.scheme != "http" or not self._host:
            raise ValueError(wrong)
        self._connection: http.client.HTTPConnection | None = None

    def ask(self, method: str, path: str, headers: Mapping[str, str], wait_seconds: float = 0.0) -> Answer:
        """One request and its answer, whatever its status.

        Args:
            method: of HTTP.
            path: from `/` on, with its query.
            headers: to send.
            wait_seconds: how long the service was asked to wait for news.

        Raises:
            OSError: if nobody answers.
            http.client.HTTPException: if what answers does not speak HTTP.
            ValueError: if the body is no text.
        """
        connection = http.client.HTTPConnection(str(self._host), self._port, timeout=TIMEOUT_SECONDS + wait_seconds)
        self._connection = connection
        try:
            connection.request(method, self._path + path, headers=dict(headers))
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read(LARGEST_BYTES).decode())
        finally:
            connection.close()

    def close(self) -> None:
        """End a request that waits, from another thread."""
        waiting = self._connection.sock if self._connection is not None else None
        if waiting is not None:
            with contextlib.suppress(OSError):
                waiting.shutdown(socket.SHUT_RDWR)
