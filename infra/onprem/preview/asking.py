"""What a Prometheus has, by its HTTP API (https://prometheus.io/docs/prometheus/latest/querying/api/)."""

import dataclasses
import json
import ssl
import urllib.error
import urllib.parse
import urllib.request
from base64 import b64encode
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from trainer.errors import BadInput, SlipwayError
from trainer.metrics.server import Address

SECONDS = 30
"""The longest that Prometheus may take for an answer."""
POINTS = 240
"""Of a line, about."""


@dataclasses.dataclass(frozen=True)
class Series:
    """One line.

    Attributes:
        labels: of the series.
        times: Unix times.
        values: one for each time.
    """

    labels: Mapping[str, str]
    times: Sequence[float]
    values: Sequence[float]


class Prometheus:
    """Asks a Prometheus.

    Args:
        url: such as `https://monitor:9090`.
        ca: file with the CA that signed its certificate; None: the machine's own.
        user: for basic authentication; None: none.
        password: that user's.
    """

    def __init__(self, url: str, ca: Path | None = None, user: str | None = None, password: str = "") -> None:
        scheme, host = _parts(url)
        if scheme not in ("http", "https"):
            raise BadInput("URL", url, "http://HOST:PORT or https://HOST:PORT", "Give Prometheus' address.")
        if user and scheme == "http" and not Address(host).is_loopback:
            raise BadInput(
                "URL", url, "https://HOST:PORT, as a password goes there", "Give Prometheus' address in TLS."
            )
        self._url = url.rstrip("/")
        try:
            self._context = ssl.create_default_context(cafile=str(ca)) if ca else None
        except OSError as error:
            allowed = f"a CA's certificate in PEM ({error.strerror or error})"
            raise BadInput("--ca", str(ca), allowed, "Give the file with the CA.") from error
        self._headers = {}
        if user:
            self._headers["Authorization"] = f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}"

    def over(self, expression: str, start: float, end: float) -> list[Series]:
        """Series of an expression over a time."""
        step = max(1.0, (end - start) / POINTS)
        found = self._ask("query_range", query=expression, start=start, end=end, step=step)
        return [_series(each["metric"], each["values"]) for each in found]

    def now(self, expression: str, at: float) -> list[Series]:
        """Series of an expression at one time."""
        return [_series(each["metric"], [each["value"]]) for each in self._ask("query", query=expression, time=at)]

    def _ask(self, what: str, **parameters: object) -> list[Any]:
        address = f"{self._url}/api/v1/{what}?{urllib.parse.urlencode(parameters)}"
        request = urllib.request.Request(address, headers=self._headers)  # noqa: S310  the scheme is looked at above
        try:
            with urllib.request.urlopen(request, timeout=SECONDS, context=self._context) as answer:  # noqa: S310
                return json.load(answer)["data"]["result"]
        except urllib.error.HTTPError as error:
            raise SlipwayError(f"{self._url} answers {error.code} to {parameters['query']}") from error
        except (OSError, ValueError, KeyError) as error:
            raise SlipwayError(f"{self._url} does not answer as a Prometheus does: {error}") from error


def _parts(url: str) -> tuple[str, str]:
    """Scheme and host; empty where it has none."""
    try:
        found = urllib.parse.urlsplit(url)
    except ValueError:  # such as an IPv6 address with one bracket
        return "", ""
    return found.scheme, found.hostname or ""


def _series(labels: Mapping[str, str], points: Sequence[Sequence[Any]]) -> Series:
    return Series(labels, [float(at) for at, _ in points], [float(value) for _, value in points])
