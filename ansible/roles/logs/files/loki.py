"""Pushes lines to Loki, one after the other: rsyslog starts it, and keeps each line until it is confirmed.

    loki.py CONFIGURATION

CONFIGURATION is a JSON file: `url`, and `tenant`, `user`, `password`, `ca` or "" for each. Standard input has a JSON
object a line, as rsyslog's template `loki` writes it; each is answered by a line on standard output: `OK`, or why not
yet (https://github.com/rsyslog/rsyslog/blob/master/plugins/external/INTERFACE.md).
"""

import base64
import json
import re
import ssl
import sys
import syslog
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any

PUSH = "/loki/api/v1/push"
SECONDS = 20.0
"""How long Loki may take for a line; rsyslog waits for a minute."""
TOLD_SECONDS = 3600.0
"""How often the journal is told of refused lines."""


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """The password goes to the address that was configured, and to no other."""

    def redirect_request(self, *_: Any) -> None:
        """Follow none."""


class Loki:
    """A Loki.

    Args:
        settings: see above.
    """

    def __init__(self, settings: Mapping[str, str]) -> None:
        trusted = ssl.create_default_context(cafile=settings["ca"] or None)
        handlers = (urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=trusted), NoRedirect())
        self._opener = urllib.request.build_opener(*handlers)
        self._url = settings["url"].rstrip("/") + PUSH
        self._headers = {"Content-Type": "application/json"}
        if settings["tenant"]:
            self._headers["X-Scope-OrgID"] = settings["tenant"]
        if settings["user"]:
            pair = f"{settings['user']}:{settings['password']}".encode()
            self._headers["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"
        self._away = False
        self._told = -TOLD_SECONDS

    def push(self, stream: Mapping[str, Any]) -> str:
        """Send a line; "OK" if Loki has it or never will, else why not yet."""
        data = json.dumps({"streams": [stream]}).encode()
        # The scheme is looked at before this is configured.
        request = urllib.request.Request(self._url, data, self._headers, method="POST")  # noqa: S310
        try:
            with self._opener.open(request, timeout=SECONDS):
                pass
        except urllib.error.HTTPError as error:
            said = error.read(300).decode("utf-8", "replace")
            if error.code != HTTPStatus.BAD_REQUEST:
                return self._wait(f"{error.code} {said}")
            if time.monotonic() - self._told > TOLD_SECONDS:
                self._told = time.monotonic()
                tell(f"Loki refuses some lines, which are in files alone: {said}")
        except OSError as error:
            return self._wait(str(error))
        if self._away:
            self._away = False
            tell("Loki works again")
        return "OK"

    def _wait(self, reason: str) -> str:
        reason = " ".join(reason.split())
        if not self._away:
            self._away = True
            tell(f"Loki fails, and what it has not got waits for it: {reason}")
        return f"not yet: {reason}"


def stream(line: Mapping[str, str]) -> dict[str, Any]:
    """A line as Loki takes it: few labels, and the words as they were said.

    Args:
        line: of rsyslog's template.
    """
    said: Any = None
    if not line["severity"]:  # a trainer's own
        said = json.loads(line["msg"])
    of_run = {"run_id": said["run_id"]} if said else {"unit": line["name"]}
    level = str(said.get("severity", "INFO")) if said else line["severity"]
    labels = {"job": "slipway", "host": line["host"], "level": level.lower()[:20], **of_run}
    return {"stream": labels, "values": [[nanoseconds(said["time"] if said else "", line["time"]), line["msg"]]]}


def nanoseconds(own: str, received: str) -> str:
    """Unix time of a line: its own, or when the journal had it."""
    for text in (own, received):
        try:
            moment = datetime.fromisoformat(re.sub(r"Z$", "+00:00", text))
            return str(int(moment.timestamp() * 1_000_000) * 1000)
        except (ValueError, TypeError, OverflowError):
            continue
    return str(time.time_ns())


def tell(text: str) -> None:
    """Say something in the journal."""
    syslog.syslog(syslog.LOG_WARNING, text)


def main(configuration: Path) -> None:
    """Answer until there is no more."""
    syslog.openlog("slipway-loki")
    loki = Loki(json.loads(configuration.read_text()))
    sys.stdout.write("OK\n")
    sys.stdout.flush()
    for data in sys.stdin.buffer:
        try:
            answer = loki.push(stream(json.loads(data.decode("utf-8", "replace"))))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            tell(f"a line is none, and is left out: {error!r}")  # it would be none the next time, too
            answer = "OK"
        sys.stdout.write(f"{answer}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
