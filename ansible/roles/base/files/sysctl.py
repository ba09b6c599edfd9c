"""Values of the kernel.

`read KEY...` prints JSON of those that are there and may be set; `write JSON` sets those that differ, and prints their
keys.
"""

import json
import os
import sys
from pathlib import Path


def path(key: str) -> Path:
    """The file of a key; as sysctl(8) has it, a slash stands for a dot inside a name, such as eth0.1."""
    return Path("/proc/sys/" + key.translate(str.maketrans("./", "/.")))


def main(verb: str, *rest: str) -> None:
    """Read or write."""
    if verb == "read":
        # In a container most of them are mounted read-only, and belong to the machine below it.
        answer: object = {key: path(key).read_text().strip() for key in rest if os.access(path(key), os.W_OK)}
    else:
        answer = [
            key
            for key, value in json.loads(rest[0]).items()
            if path(key).exists()
            and path(key).read_text().split() != str(value).split()
            and path(key).write_text(f"{value}\n")
        ]
    sys.stdout.write(json.dumps(answer))


main(*sys.argv[1:])
