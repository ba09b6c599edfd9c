"""An HTTP server of metrics: on a port in clear or with TLS, or on a Unix socket.

What prometheus_client brings of it shakes hands for TLS in the one thread that accepts, so that one client that says
nothing keeps all others out, and keeps the certificate that it began with.
"""

import contextlib
import dataclasses
import errno
import ipaddress
import os
import socket
import socketserver
import ssl
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import make_wsgi_app
from prometheus_client.registry import Collector

from trainer.errors import MISSING, BadInput, SlipwayError

HANDSHAKE_SECONDS = 10.0
"""The longest that a client may take to shake hands, and to ask."""
UNIX = "unix:"
ADDRESS = "SLIPWAY_METRICS"
"""Where this machine wants a run's metrics served, whatever the run file says: HOST:PORT, or unix:PATH."""
CERTIFICATE, KEY, CLIENT_CA = "SLIPWAY_METRICS_CERTIFICATE", "SLIPWAY_METRICS_KEY", "SLIPWAY_METRICS_CLIENT_CA"
"""Files in PEM: with the first two a port speaks TLS; with the third only clients are served that this CA signed."""


@dataclasses.dataclass(frozen=True)
class Tls:
    """What a server shows, and whom it serves.

    Attributes:
        certificate: file with the certificate, and those between it and its CA, in PEM.
        key: file with its key, in PEM, not encrypted.
        client_ca: file with the CA that must have signed a client's certificate; None: any client is served.
    """

    certificate: Path
    key: Path
    client_ca: Path | None = None

    def context(self) -> ssl.SSLContext:
        """TLS from 1.2, as these files have it now.

        Raises:
            BadInput: if a file cannot be read, or is not what it should be.
        """
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            made.load_cert_chain(self.certificate, self.key, password=lambda: "")
        except (OSError, ValueError) as error:
            wanted = f"a certificate and its own key in PEM, key {self.key} ({_words(error)})"
            raise BadInput("certificate", str(self.certificate), wanted, "mend it, or renew both") from None
        if self.client_ca is not None:
            try:
                made.load_verify_locations(self.client_ca)
            except OSError as error:
                wanted = f"a CA's certificate in PEM ({_words(error)})"
                raise BadInput("client CA", str(self.client_ca), wanted, "give the file with the CA") from None
            made.verify_mode = ssl.CERT_REQUIRED
        return made

    def stamp(self) -> tuple[int, ...]:
        """What changes when one of the files is replaced."""
        files = (self.certificate, self.key, *([self.client_ca] if self.client_ca else []))
        found = [path.stat() for path in files]
        return tuple(number for each in found for number in (each.st_mtime_ns, each.st_ino))


@dataclasses.dataclass(frozen=True)
class Address:
    """Where a server listens: `host` and `port`, or the Unix socket `path`."""

    host: str = ""
    port: int = 0
    path: str = ""

    @property
    def is_loopback(self) -> bool:
        """Whether this machine alone can reach it."""
        if self.path or self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:  # a name, such as 127.example.org
            return False


@dataclasses.dataclass(frozen=True)
class Place:
    """Where metrics are served, and how."""

    address: Address
    tls: Tls | None = None


def of_machine(environment: Mapping[str, str] = os.environ) -> Place | None:
    """Where this machine wants a run's metrics served; None: where the run file says.

    A machine's addresses and certificates are no part of a run: the run goes on elsewhere to the same bits.

    Raises:
        BadInput: if a variable makes no sense.
    """
    written = environment.get(ADDRESS, "")
    if not written:
        return None
    if written.startswith(UNIX):
        return Place(Address(path=written.removeprefix(UNIX)))
    host, _, port = written.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise BadInput(ADDRESS, written, "HOST:PORT, or unix:PATH", f"write {ADDRESS}=127.0.0.1:9464")
    address = Address(host.strip("[]"), int(port))
    names = (CERTIFICATE, KEY, CLIENT_CA)
    return Place(address, tls(*(environment.get(name) or None for name in names), names=names))


def tls(
    certificate: str | Path | None,
    key: str | Path | None,
    client_ca: str | Path | None,
    *,
    names: tuple[str, str, str],
) -> Tls | None:
    """TLS by the paths that were given; None: none was.

    Args:
        certificate: see `Tls`.
        key: likewise.
        client_ca: likewise.
        names: of the three settings.

    Raises:
        BadInput: if one is missing that the others need.
    """
    if certificate is None and key is None and client_ca is None:
        return None
    for name, given in zip(names, (certificate, key), strict=False):
        if given is None:
            raise BadInput(name, MISSING, f"a file, as TLS needs {names[0]} and {names[1]}", f"give {name}")
    return Tls(Path(str(certificate)), Path(str(key)), Path(str(client_ca)) if client_ca else None)


class Server:
    """Serves `/metrics` from threads of its own, until it is closed.

    Args:
        collector: has the metrics, at each scrape.
        place: where, and how.
        setting: the name of what says so, before `.host` and `.port`, for messages.

    Raises:
        BadInput: if the port is taken or not allowed, the host is not this machine's, or a file is not what it should
            be.
    """

    def __init__(self, collector: Collector, place: Place, setting: str) -> None:
        if place.tls is not None:
            place.tls.context()  # what is wrong with it is said now
        kind = _UnixServer if place.address.path else _TcpServer
        try:
            self._server = kind(place)
        except (OSError, UnicodeError) as error:  # the second of a host that can be no name
            raise _explain(error, place.address, setting) from error
        self._server.set_app(make_wsgi_app(_Registry(collector)))
        self._thread = threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._server.server_port

    @property
    def address(self) -> Any:
        """The address it listens on, as the socket has it."""
        return self._server.server_address

    def close(self) -> None:
        """Stop serving and free the port."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Registry(Collector):
    """One collector, in the shape that prometheus_client serves."""

    def __init__(self, collector: Collector) -> None:
        self._collector = collector

    def collect(self) -> Any:
        return self._collector.collect()

    def restricted_registry(self, names: Any) -> Any:
        """All the same: who asks for some metrics gets all."""
        del names
        return self


class _Handler(WSGIRequestHandler):
    """One client's. Nothing is logged; TLS is shaken hands for here, in the client's own thread."""

    timeout = HANDSHAKE_SECONDS

    def handle(self) -> None:
        with contextlib.suppress(OSError):  # the client went away, is too slow, or may not ask
            super().handle()

    def address_string(self) -> str:
        return ""

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass


class _Threads(socketserver.ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def __init__(self, place: Place, address: Any) -> None:
        self._tls = place.tls
        self._context: ssl.SSLContext | None = None
        self._stamp: tuple[int, ...] = ()
        super().__init__(address, _Handler)

    def finish_request(self, request: Any, client_address: Any) -> None:
        if self._tls is None:
            return super().finish_request(request, client_address)
        request.settimeout(HANDSHAKE_SECONDS)
        try:
            secured = self._current(self._tls).wrap_socket(request, server_side=True)
        except OSError:  # no TLS, or a stranger
            return None
        with secured:
            super().finish_request(secured, client_address)
            with contextlib.suppress(OSError):
                secured.unwrap()
        return None

    def _current(self, tls: Tls) -> ssl.SSLContext:
        """The context of the files as they are: a certificate is renewed while this serves."""
        with contextlib.suppress(OSError, BadInput):  # half renewed: the one before serves
            stamp = tls.stamp()
            if self._context is None or stamp != self._stamp:
                self._context, self._stamp = tls.context(), stamp
        if self._context is None:
            raise OSError(errno.ENOENT, "there is no certificate")
        return self._context

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass


class _TcpServer(_Threads):
    def __init__(self, place: Place) -> None:
        host, port = place.address.host, place.address.port
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        self.address_family = found[0][0]
        super().__init__(place, found[0][4][:2])

    def server_bind(self) -> None:
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]
        self.setup_environ()


class _UnixServer(_Threads):
    address_family = socket.AF_UNIX

    def __init__(self, place: Place) -> None:
        self._path = place.address.path
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path)  # noqa: PTH108
        super().__init__(place, self._path)

    def server_bind(self) -> None:
        self.socket.bind(self._path)
        self.server_address = self._path  # type: ignore[assignment]
        self.server_name, self.server_port = "localhost", 0
        self.setup_environ()

    def get_request(self) -> Any:
        request, _ = self.socket.accept()
        return request, ("", 0)

    def server_close(self) -> None:
        super().server_close()
        with contextlib.suppress(OSError):
            os.unlink(self._path)  # noqa: PTH108


def _explain(error: OSError | UnicodeError, address: Address, setting: str) -> SlipwayError:
    if address.path:
        return SlipwayError(f"cannot listen on {address.path}: {_words(error)}")
    if isinstance(error, socket.gaierror | UnicodeError) or error.errno == errno.EADDRNOTAVAIL:
        allowed = "an address of this machine; 127.0.0.1 keeps the metrics on it"
        return BadInput(f"{setting}host", address.host, allowed, "Set it to 127.0.0.1.")
    if error.errno == errno.EADDRINUSE:
        cure = "Stop what listens there (`ss -ltnp` lists it), or set another port."
        return BadInput(f"{setting}port", address.port, "a port that nothing listens on", cure)
    if error.errno == errno.EACCES:
        return BadInput(f"{setting}port", address.port, "1024 to 65535", "Set a port above 1023.")
    return SlipwayError(f"cannot listen on {address.host}:{address.port}: {error.strerror}")


def _words(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or "not what it should be"
