"""What an operator's machine has to reach the pages of a site's monitor: the site's CA, a name and a password."""

import functools
import json
import subprocess
import sys
import time
import urllib.parse
from pathlib import Path


class Pages:
    """The pages of a monitor.

    Args:
        address: the monitor's.
        secrets: the folder of the inventory's secrets, with `ca.pem` and the encrypted password.
        passphrase: that the password is encrypted with.
    """

    def __init__(self, address, secrets, passphrase):
        self.address, self.secrets, self._passphrase = address, secrets, passphrase

    @functools.cached_property
    def password(self):
        """As an operator reads it."""
        vault = Path(sys.executable).with_name("ansible-vault")
        view = [vault, "view", "--vault-password-file", "/dev/stdin", self.secrets / "monitoring-password"]
        said = subprocess.run(view, input=self._passphrase, capture_output=True, text=True, check=True)
        return said.stdout.strip()

    def curl(self, port_and_path, *options, scheme="https"):
        """What curl says on the operator's machine: the status code, and the answer."""
        command = ["curl", "--silent", "--max-time", "10", "--write-out", "\n%{http_code}", "--cacert"]
        command += [self.secrets / "ca.pem", *options, f"{scheme}://{self.address}:{port_and_path}"]
        body, _, code = subprocess.run(command, capture_output=True, text=True).stdout.rpartition("\n")
        return int(code), body

    def ask(self, path, port=9090):
        """What Prometheus answers to a person."""
        code, body = self.curl(f"{port}/api/{path}", "--user", f"slipway:{self.password}")
        assert code == 200, body
        return json.loads(body)["data"]

    def wait(self, expression, seconds=60):
        """The series of an expression, once it has some."""
        end = time.monotonic() + seconds
        while not (found := self.ask(f"v1/query?query={urllib.parse.quote(expression)}")["result"]):
            assert time.monotonic() < end, self.ask("v1/targets")
            time.sleep(0.5)
        return found
