"""Lines of a run's `log.jsonl`, read again."""

import json
from collections.abc import Mapping
from typing import Any

from trainer.logs.lines import Severity

Said = Mapping[str, Any]
"""One line, as `trainer.logs.lines.Line.encode` wrote it."""


def parse(data: bytes, least: Severity) -> list[Said]:
    """The lines that matter at least so much, in their order; what a crash left torn is left out.

    Args:
        data: of the file.
        least: severity.
    """
    found = []
    for text in data.splitlines():
        try:
            line = json.loads(text)
            order = list(Severity).index(Severity(line["severity"]))
        except (ValueError, KeyError, TypeError):
            continue
        if order >= list(Severity).index(least):
            found.append(line)
    return found


def words(line: Said) -> str:
    """A line for people: time, severity, run, words."""
    return f"{line['time']} {line['severity']:<7} {line['run_id']}: {line['message']}"
