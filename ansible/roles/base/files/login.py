"""How the one who connects logs in. Arguments: user, address and port of the client. Prints JSON.

- `method`: what the log of sshd has of this connection (`publickey`, `password`, ...); "" if it is not there any more
- `found`: how many keys the user's files of authorized keys have
- `files`: these files
- `include`: whether sshd_config includes the folder of drop-ins
"""

import json
import pwd
import re
import subprocess
import sys
from pathlib import Path

LINES = 5000  # of the log, backwards
INCLUDE = re.compile(r"^\s*Include\s+/etc/ssh/sshd_config\.d/\*\.conf", re.MULTILINE | re.IGNORECASE)


def run(*command: str) -> str:
    """What a command says; nothing if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    return done.stdout if done.returncode == 0 else ""


def main(user: str, address: str, port: str) -> None:
    """Print it."""
    home = pwd.getpwnam(user).pw_dir
    log = run("journalctl", "--quiet", "--output=cat", f"--lines={LINES}", "-t", "sshd", "-t", "sshd-session")
    accepted = re.findall(rf"^Accepted (\S+) for \S+ from {re.escape(address)} port {port} ", log, re.MULTILINE)
    settings = run("/usr/sbin/sshd", "-T", "-C", f"user={user},host={address},addr={address}")
    named = re.search(r"^authorizedkeysfile (.*)$", settings, re.MULTILINE)
    names = named[1].split() if named else []
    # A name that begins with / stays as it is.
    files = [Path(home, name.replace("%h", home).replace("%u", user).replace("%%", "%")) for name in names]
    keys = sum(len(run("ssh-keygen", "-l", "-f", str(file)).splitlines()) for file in files if file.exists())
    answer = {
        "method": accepted[-1] if accepted else "",
        "found": keys,
        "files": [str(file) for file in files],
        "include": INCLUDE.search(Path("/etc/ssh/sshd_config").read_text()) is not None,
    }
    sys.stdout.write(json.dumps(answer))


main(*sys.argv[1:])
