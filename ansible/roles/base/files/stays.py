"""Whether the one who connects can come again when a site is gone.

Arguments: user, address and port of the client, and the host's record. Prints JSON:

- `made`: whether role base made the user, and will remove it
- `given`: the fingerprint of the key that this connection logged in by, where role base gave it and will take it away
"""

import json
import pwd
import re
import subprocess
import sys
from pathlib import Path

LINES = 5000  # of the log, backwards


def run(*command: str) -> str:
    """What a command says; nothing if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    return done.stdout if done.returncode == 0 else ""


def lines(path: Path) -> list[str]:
    """Those of a file; none if it is not there."""
    return path.read_text().splitlines() if path.exists() else []


def fingerprint(user: str, address: str, port: str) -> str:
    """The key's, by the log of sshd; "" if that does not have it any more."""
    log = run("journalctl", "--quiet", "--output=cat", f"--lines={LINES}", "-t", "sshd", "-t", "sshd-session")
    accepted = rf"^Accepted publickey for {re.escape(user)} from {re.escape(address)} port {port} .*(SHA256:\S+)"
    found = re.findall(accepted, log, re.MULTILINE)
    return found[-1] if found else ""


def main(user: str, address: str, port: str, record: str) -> None:
    """Print it."""
    keys = f"{pwd.getpwnam(user).pw_dir}/.ssh/authorized_keys"
    given = ""
    if keys in lines(Path(record, "base/keys")):
        kept = json.loads("\n".join(lines(Path(record, "kept.json"))) or "{}").get("paths", {}).get(keys, {})
        before = run("ssh-keygen", "-l", "-f", f"{record}/kept/{kept['copy']}") if "copy" in kept else ""
        now = fingerprint(user, address, port)
        given = "" if now in before else now
    sys.stdout.write(json.dumps({"made": user in lines(Path(record, "base/users")), "given": given}))


main(*sys.argv[1:])
