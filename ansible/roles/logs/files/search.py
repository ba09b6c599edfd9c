"""Searches what the monitor has collected: one JSON object a line, by time. Runs on the monitor, with Python alone.

    search.py FOLDER QUERY

QUERY is a JSON object: `run`, `host` (names, or null for all), `since` (Unix time), `level` (the least), `most` (how
many lines, the newest). The last line is a summary: `found` lines, the first `hosts` and `runs` that there
are, and which of what was asked for, `run` or `host`, is `unknown`.
"""

import contextlib
import gzip
import heapq
import io
import json
import os
import re
import sys
import zlib
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from time import gmtime, strftime
from typing import Any

LEVELS = ("INFO", "NOTICE", "WARNING", "ERROR")
LONGEST_LINE, LONGEST_MESSAGE = 1 << 18, 16_000
"""Bytes of a line that are read, and characters of a message that are shown."""
FILE = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9@._-]*?)\.jsonl(?:-[0-9-]+)?(?P<packed>\.gz)?")
"""A file: of a run or a unit, as it grows, rotated, or rotated and packed."""
MOST_NAMES = 100
SKEW_SECONDS = 86_400
"""How far a host's clock may be ahead of the monitor's."""


def main(folder: Path, query: dict[str, Any]) -> None:
    """Print what is found.

    Args:
        folder: what the monitor collects in; a folder for each host.
        query: see above.
    """
    newest: list[tuple[float, int, str]] = []
    seen: set[int] = set()
    runs: set[str] = set()
    units: set[str] = set()
    found = 0
    hosts = [path.name for path in inside(folder) if path.is_dir() and not path.is_symlink()]
    for host in hosts:
        for path in inside(folder / host):
            file = FILE.fullmatch(path.name)
            if not file or not path.is_file() or path.is_symlink():
                continue
            (units if file["name"].endswith(".service") else runs).add(file["name"])
            if not wanted(host, file["name"], query):
                continue
            with contextlib.suppress(FileNotFoundError):  # it was rotated away meanwhile
                changed = path.lstat().st_mtime
            if changed + SKEW_SECONDS < query["since"]:
                continue
            for time, text in lines(path, bool(file["packed"]), changed, host, file["name"], query):
                # A line that was sent twice is in the same file, or in the one after it.
                known = hash((host, file["name"], text))
                if known in seen:
                    continue
                seen.add(known)
                found += 1
                (heapq.heappush if len(newest) < query["most"] else heapq.heappushpop)(newest, (time, found, text))
    names = {"hosts": hosts[:MOST_NAMES], "runs": sorted(runs)[:MOST_NAMES], "units": sorted(units)[:MOST_NAMES]}
    asked = {"run": (query["run"] and query["run"].split("/")[0], runs), "host": (query["host"], hosts)}
    unknown = [what for what, (name, known) in asked.items() if name is not None and name not in known]
    summary = json.dumps({"summary": {"found": found, "shown": len(newest), "unknown": unknown, **names}})
    sys.stdout.write("\n".join([*(text for _, _, text in sorted(newest)), summary, ""]))


def inside(folder: Path) -> list[Path]:
    """What is in a folder, by name; nothing if it is not there."""
    with contextlib.suppress(OSError):
        return sorted(folder.iterdir())
    return []


def wanted(host: str, name: str, query: dict[str, Any]) -> bool:
    """Whether a file may have lines that are asked for. What a run's unit says is in the unit's own file."""
    run = query["run"]
    return query["host"] in (None, host) and (run is None or name == run.split("/")[0])


def lines(
    path: Path, packed: bool, changed: float, host: str, name: str, query: dict[str, Any]
) -> Iterator[tuple[float, str]]:
    """The lines of a file that are asked for: time and JSON. A file that cannot be read to its end ends there."""
    before = changed
    with contextlib.suppress(OSError, EOFError, zlib.error):
        # It is not followed if it is a link, whoever put it there.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as raw:
            stream: Any = io.BufferedReader(gzip.GzipFile(fileobj=raw)) if packed else raw
            for data in bounded(stream):
                line = parsed(data, host, name)
                time = seconds(line)
                if time is None or not 0 <= time <= changed + SKEW_SECONDS:
                    time = before  # a line that lies about its time stays where it is
                    line["time"] = strftime("%Y-%m-%dT%H:%M:%SZ", gmtime(time))
                before = time
                if time >= query["since"] and matters(line, query):
                    yield time, json.dumps(line)


def seconds(line: dict[str, Any]) -> float | None:
    """A line's own Unix time, if it has one."""
    try:
        return datetime.fromisoformat(str(line["time"]).replace("Z", "+00:00")).timestamp()
    except (ValueError, KeyError, OverflowError):
        return None


def bounded(stream: Any) -> Iterator[bytes]:
    """The lines of a file; of one that is too long its start."""
    while data := stream.readline(LONGEST_LINE):
        rest = data
        while len(rest) == LONGEST_LINE and not rest.endswith(b"\n"):
            rest = stream.readline(LONGEST_LINE)
        if data.strip():
            yield data


def parsed(data: bytes, host: str, name: str) -> dict[str, Any]:
    """A line as the trainer wrote it, with its host; what is no such line becomes the message of one."""
    text = data.decode("utf-8", "replace").strip()
    line: Any = None
    with contextlib.suppress(ValueError, RecursionError):
        line = json.loads(text, parse_constant=lambda _: None)
    if not isinstance(line, dict) or not isinstance(line.get("message"), str):
        line = {"severity": "INFO", "message": text}
    if line.get("severity") not in LEVELS:
        line["severity"] = "INFO"
    if not isinstance(line.get("run_id"), str):
        line["run_id"] = ""
    line["message"] = line["message"][:LONGEST_MESSAGE]
    return {**line, "host": host, "file": name}


def matters(line: dict[str, Any], query: dict[str, Any]) -> bool:
    """Whether it is of the run, or of the member of a group, that is asked for, and of its level."""
    run, said = query["run"], line["run_id"]
    if LEVELS.index(line["severity"]) < LEVELS.index(query["level"]):
        return False
    return run is None or said in ("", run) or said.startswith(f"{run}/")


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(sys.argv[2]))
